// y(k, i) = x(2k, i) and x(2k + 1, i) in f16, in one word; x (K, cells), y (⌈K/2⌉, cells). Beside the last channel of an odd K
// stands 0.
// Threads: one a word, workgroups in one line. Bandwidth bound: no tile.

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

struct Params { count: u32, cells: u32, channels: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.count) {
        return;
    }
    let channel = i / params.cells * 2u;
    let at = channel * params.cells + i % params.cells;
    let paired = channel + 1u < params.channels;
    let next = select(0.0, x[select(at, at + params.cells, paired)], paired);
    y[i] = pack2x16float(vec2(x[at], next));
}
