// partials[first + i] = Σ |dy| over the elements i, i + threads, i + 2·threads, … of a piece of dy (C, H, W).
// Threads: each leaves one partial sum, so the order of the sum, and with it every bit, is fixed; squared_error_reduce
// adds the partials up. Neighbouring threads read neighbouring elements. Bandwidth bound: no tile.

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

struct Params { count: u32, threads: u32, first: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> partials: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.threads) {
        return;
    }
    var sum = 0.0;
    for (var k = i; k < params.count; k += params.threads) {
        sum += abs(dy[k]);
    }
    partials[params.first + i] = sum;
}
