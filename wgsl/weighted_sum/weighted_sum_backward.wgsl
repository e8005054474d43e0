// dx = weights[index]·dy; dy, dx (1).
// Threads: one, in one workgroup.

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

struct Params { index: u32, flags: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read> weights: array<f32>;
@group(0) @binding(4) var<storage, read_write> d_x: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= 1u) {
        return;
    }
    d_x[0] = weights[params.index] * dy[0];
}
