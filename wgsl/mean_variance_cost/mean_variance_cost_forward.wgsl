// y = Σ over the channels c of (μ(c) − μ_target(c))² + (σ(c) − σ_target(c))², over Σ of σ_target(c)². σ(c)² = E(c, c) − μ(c)²,
// not below 0, + EPSILON. moments and target (1, C+1, C), the rows of E and then μ; y (1).
// Threads: one workgroup, as in squared_error_reduce: there are some hundred channels.

// shared: slice
override WORKGROUP: u32;
override FOLD: u32;

struct Slice { first: u32, end: u32 }
@group(0) @binding(0) var<uniform> slice: Slice;

// A workgroup's number in the line that is folded into y at FOLD, of which this dispatch runs a slice.
fn group_number(group_id: vec3<u32>) -> u32 {
    return slice.first + group_id.y * FOLD + group_id.x;
}
// end

struct Params { channels: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> moments: array<f32>;
@group(0) @binding(3) var<storage, read> target_: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

var<workgroup> sums: array<vec2<f32>, WORKGROUP>;

// shared: channel_deviation
// What keeps the deviation of a channel that is the same everywhere, and its gradient, finite.
const EPSILON: f32 = 1e-5;

// The standard deviation of a channel, of its mean square and its mean.
fn deviation(square: f32, mean: f32) -> f32 {
    let variance = square - mean * mean;
    // Not max, which may hide a NaN.
    return sqrt(select(variance, 0.0, variance < 0.0) + EPSILON);
}
// end

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    if (group >= slice.end) {
        return;
    }
    let means = params.channels * params.channels;
    var sum = vec2(0.0);
    for (var c = lane; c < params.channels; c += WORKGROUP) {
        let square = c * params.channels + c;
        let wanted = deviation(target_[square], target_[means + c]);
        let of_mean = moments[means + c] - target_[means + c];
        let of_deviation = deviation(moments[square], moments[means + c]) - wanted;
        sum += vec2(of_mean * of_mean + of_deviation * of_deviation, wanted * wanted);
    }
    sums[lane] = sum;
    // shared: sum_tree
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (lane < half) {
            sums[lane] += sums[lane + half];
        }
    }
    // end
    if (lane == 0u) {
        y[0] = sums[0].x / sums[0].y;
    }
}
