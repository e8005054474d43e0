// partials[first + i] = Σ weights(p)·(x − target)² over the elements i, i + threads, i + 2·threads, …, p the element's cell;
// x, target (C, H, W) pieces, weights (1, H, W).
// Threads: each leaves one partial sum, so the order of the sum, and with it every bit, is fixed; squared_error_reduce
// adds the partials up. Neighbouring threads read neighbouring elements.

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

struct Params { count: u32, cells: u32, threads: u32, first: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> target_: array<f32>;
@group(0) @binding(4) var<storage, read> weights: array<f32>;
@group(0) @binding(5) var<storage, read_write> partials: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.threads) {
        return;
    }
    var sum = 0.0;
    for (var k = i; k < params.count; k += params.threads) {
        let difference = x[k] - target_[k];
        sum += weights[k % params.cells] * (difference * difference);
    }
    partials[params.first + i] = sum;
}
