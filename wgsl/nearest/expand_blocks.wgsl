// y(r, c) = min(R·block + r mod block, other_h − 1)·other_w + min(C·block + c mod block, other_w − 1), where R and C are row and
// column of the block whose number index(r / block, c / block) has among those of the other grid; index
// (⌈h/block⌉, ⌈w/block⌉), y (h, w), whole numbers as f32.
// Threads: one a cell of y, workgroups in one line. Bandwidth bound: no tile.

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

struct Params { h: u32, w: u32, other_h: u32, other_w: u32, block: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> index: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.h * params.w) {
        return;
    }
    let block = params.block;
    let row = i / params.w;
    let column = i % params.w;
    let blocks = (params.w + block - 1u) / block;
    let other_blocks = (params.other_w + block - 1u) / block;
    let found = u32(index[row / block * blocks + column / block]);
    let other_row = min(found / other_blocks * block + row % block, params.other_h - 1u);
    let other_column = min(found % other_blocks * block + column % block, params.other_w - 1u);
    y[i] = f32(other_row * params.other_w + other_column);
}
