// The gradient of the moments (1, C+1, C): of E, the first C rows, factor·G; of the mean μ, the last row,
// factor·(2·(μ − μ_target) − (G + Gᵀ)·μ). factor = dy/rest[1], and 0 where rest[1] is not above 0. dy (1), target and d_x
// (1, C+1, C), g (1, C, C), rest (1, 1, 2).
// Threads: a workgroup has a row of G, writes its gradient and adds up the products with μ by the way: each thread every
// WORKGROUP-th, then a tree in workgroup memory, a fixed order. One thread a sum would be C threads, which no GPU is filled by.

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
@group(0) @binding(5) var<storage, read> g: array<f32>;
@group(0) @binding(6) var<storage, read> rest: array<f32>;
@group(0) @binding(7) var<storage, read_write> d_x: array<f32>;

var<workgroup> sums: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    if (group >= slice.end) {
        return;
    }
    let means = params.channels * params.channels;
    var factor = 0.0;
    // Not >, which would hide a NaN.
    if (!(rest[1] <= 0.0)) {
        factor = dy[0] / rest[1];
    }
    var sum = 0.0;
    for (var k = lane; k < params.channels; k += WORKGROUP) {
        let at = group * params.channels + k;
        d_x[at] = factor * g[at];
        sum += (g[at] + g[k * params.channels + group]) * moments[means + k];
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
        let difference = moments[means + group] - target_[means + group];
        d_x[means + group] = factor * (2.0 * difference - sums[0]);
    }
}
