// y(k, p) = x(k, index(p)); x (C, h, w), index (1, H, W) whole numbers as f32, y (C, H, W). x and y are pieces: the
// channels that both hold, from element x_first of x and y_first of y on. An index past the last cell is the last one.
// Threads: one an element, workgroups in one line. Bandwidth bound: no tile.

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

struct Params { count: u32, cells: u32, others: u32, x_first: u32, y_first: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> index: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.count) {
        return;
    }
    let other = min(u32(index[i % params.cells]), params.others - 1u);
    y[params.y_first + i] = x[params.x_first + i / params.cells * params.others + other];
}
