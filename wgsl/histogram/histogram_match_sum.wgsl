// y(c, v) = Σ over the parts g of partials(g, c, v): the histogram of a picture, whole numbers, y (3, 256).
// Threads: one an element of y, workgroups in one line; neighbours read neighbours.

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

struct Params { parts: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> partials: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<u32>;

const COUNTS: u32 = 768u;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= COUNTS) {
        return;
    }
    var sum = 0u;
    for (var part = 0u; part < params.parts; part++) {
        sum += partials[part * COUNTS + i];
    }
    y[i] = sum;
}
