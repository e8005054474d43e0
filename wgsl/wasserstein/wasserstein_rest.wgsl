// partials[first + t] = Σ over the elements e = t, t + threads, … of C×C matrices: x of −G·Σ and on the diagonal
// + Σ + Σ_target − 2·S, y of Σ_target on the diagonal. covariance Σ, root S, g G and target Σ_target (1, C, C).
// Threads: each leaves two partial sums, as in squared_error_forward; wasserstein_rest_reduce adds the partials up. Traces
// and products are added element by element, because their sums nearly cancel.

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
@group(0) @binding(2) var<storage, read> covariance: array<f32>;
@group(0) @binding(3) var<storage, read> root: array<f32>;
@group(0) @binding(4) var<storage, read> g: array<f32>;
@group(0) @binding(5) var<storage, read> target_: array<f32>;
@group(0) @binding(6) var<storage, read_write> partials: array<vec2<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.threads) {
        return;
    }
    var sum = vec2(0.0);
    for (var e = i; e < params.count; e += params.threads) {
        sum.x -= g[e] * covariance[e];
        if (e / params.channels == e % params.channels) {
            sum.x += covariance[e] + target_[e] - 2.0 * root[e];
            sum.y += target_[e];
        }
    }
    partials[params.first + i] = sum;
}
