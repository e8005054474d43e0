// The gradient of the moments (1, C+1, C): of E factor·(1 − σ_target(c)/σ(c)) on the diagonal and 0 beside it; of the mean μ, the
// last row, 2·factor·(μ(c) − μ_target(c) − (1 − σ_target(c)/σ(c))·μ(c)). factor = dy/Σ of σ_target²; σ(c)² = E(c, c) − μ(c)², not
// below 0, + EPSILON, and where it is not above 0 no gradient flows through σ. dy (1), moments, target and d_x (1, C+1, C).
// Threads: a workgroup has a row of E, as in wasserstein_backward, and adds up the target's variance by the way.

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
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read> moments: array<f32>;
@group(0) @binding(4) var<storage, read> target_: array<f32>;
@group(0) @binding(5) var<storage, read_write> d_x: array<f32>;

var<workgroup> sums: array<f32, WORKGROUP>;

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
    var sum = 0.0;
    for (var k = lane; k < params.channels; k += WORKGROUP) {
        let wanted = deviation(target_[k * params.channels + k], target_[means + k]);
        sum += wanted * wanted;
        if (k != group) {
            d_x[group * params.channels + k] = 0.0;
        }
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
        let factor = dy[0] / sums[0];
        let square = group * params.channels + group;
        let mean = moments[means + group];
        let wanted = deviation(target_[square], target_[means + group]);
        var slope = 1.0 - wanted / deviation(moments[square], mean);
        // Rounding has left less than nothing of the variance: no gradient flows through what was held at 0.
        if (moments[square] - mean * mean < 0.0) {
            slope = 0.0;
        }
        d_x[square] = factor * slope;
        d_x[means + group] = 2.0 * factor * (mean - target_[means + group] - slope * mean);
    }
}
