// partials[first + t] = Σ over the elements e = t, t + threads, … of the moments (1, C+1, C): of E, its first C rows,
// G(i, j)·(E(i, j) − μ(i)·μ(j)); of μ, its last row, (μ − μ_target)². target (1, C+1, C), g (1, C, C).
// Threads: each leaves one partial sum, as in squared_error_forward; wasserstein_reduce adds the partials up. The covariance
// comes first and the product then: both parts of it are far larger than their difference.

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
@group(0) @binding(4) var<storage, read> g: array<f32>;
@group(0) @binding(5) var<storage, read_write> partials: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.threads) {
        return;
    }
    let means = params.channels * params.channels;
    var sum = 0.0;
    for (var e = i; e < params.count; e += params.threads) {
        if (e < means) {
            let product = moments[means + e / params.channels] * moments[means + e % params.channels];
            sum += g[e] * (moments[e] - product);
        } else {
            let difference = moments[e] - target_[e];
            sum += difference * difference;
        }
    }
    partials[params.first + i] = sum;
}
