// The gradient of the moments (1, C+1, C): of E, the first C rows, factor·D with D = Σ − Σ_target; of the mean μ, the last row,
// −factor·(D + Dᵀ)·μ. factor = 2·dy/norm², and 0 where norm is not above 0. Σ(i, j) = E(i, j) − μ(i)·μ(j). dy (1), target
// Σ_target (1, C, C), norm (1), d_x (1, C+1, C).
// Threads: a workgroup has a row of D, as in wasserstein_backward.

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
@group(0) @binding(5) var<storage, read> norm: array<f32>;
@group(0) @binding(6) var<storage, read_write> d_x: array<f32>;

var<workgroup> sums: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    if (group >= slice.end) {
        return;
    }
    let means = params.channels * params.channels;
    var scale = 0.0;
    // Not >, which would hide a NaN.
    if (!(norm[0] <= 0.0)) {
        scale = 1.0 / norm[0];
    }
    let factor = 2.0 * dy[0] * scale;
    let own_mean = moments[means + group];
    var sum = 0.0;
    for (var k = lane; k < params.channels; k += WORKGROUP) {
        let at = group * params.channels + k;
        let mirrored = k * params.channels + group;
        let product = own_mean * moments[means + k];
        let difference = scale * (moments[at] - product - target_[at]);
        let other = scale * (moments[mirrored] - product - target_[mirrored]);
        d_x[at] = factor * difference;
        sum += (difference + other) * moments[means + k];
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
        d_x[means + group] = -factor * sums[0];
    }
}
