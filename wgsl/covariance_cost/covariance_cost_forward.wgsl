// partials[first + t] = Σ over the elements e = t, t + threads, … of C×C matrices of (Σ − Σ_target)²/norm², and 0 where norm is
// not above 0. Σ(i, j) = E(i, j) − μ(i)·μ(j) of the moments (1, C+1, C), whose last row is μ; target Σ_target (1, C, C), norm (1).
// Threads: each leaves one partial sum, as in squared_error_forward. It is divided here already: what adds the partials up
// multiplies by a constant alone.

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

struct Params { count: u32, channels: u32, threads: u32, first: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> moments: array<f32>;
@group(0) @binding(3) var<storage, read> target_: array<f32>;
@group(0) @binding(4) var<storage, read> norm: array<f32>;
@group(0) @binding(5) var<storage, read_write> partials: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.threads) {
        return;
    }
    let means = params.channels * params.channels;
    // Each difference is divided before it is squared: squares of large activations leave less room above them.
    var scale = 0.0;
    // Not >, which would hide a NaN.
    if (!(norm[0] <= 0.0)) {
        scale = 1.0 / norm[0];
    }
    var sum = 0.0;
    for (var e = i; e < params.count; e += params.threads) {
        let product = moments[means + e / params.channels] * moments[means + e % params.channels];
        let difference = scale * (moments[e] - product - target_[e]);
        sum += difference * difference;
    }
    partials[params.first + i] = sum;
}
