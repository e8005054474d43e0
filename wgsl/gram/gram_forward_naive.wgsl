// partials(s, i, j) = Σ over the pixels p of split s of x(i, p)·x(j, p): the Gram matrix before the splits are
// added up and divided by the pixels. Splitting the sum over pixels fills the machine although G is small, and the
// fixed order keeps every bit. xa, xb (C, H, W): the pieces of x that rows and columns come from.
// Threads: one an element of an 8×8 block of G. No tile: this is the second oracle.

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

// shared: gram_params
struct Params {
    plane: u32,
    channels: u32,
    row_first: u32,
    row_count: u32,
    column_first: u32,
    column_count: u32,
    splits: u32,
    split_pixels: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
// end
@group(0) @binding(2) var<storage, read> xa: array<f32>;
@group(0) @binding(3) var<storage, read> xb: array<f32>;
@group(0) @binding(4) var<storage, read_write> partials: array<f32>;

const BLOCK: u32 = 8u;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let blocks = (params.column_count + BLOCK - 1u) / BLOCK;
    let split = group % params.splits;
    let i = group / params.splits / blocks * BLOCK + lane / BLOCK;
    let j = group / params.splits % blocks * BLOCK + lane % BLOCK;
    if (group >= slice.end || i >= params.row_count || j >= params.column_count) {
        return;
    }
    let end = min((split + 1u) * params.split_pixels, params.plane);
    var sum = 0.0;
    for (var p = split * params.split_pixels; p < end; p++) {
        sum += xa[i * params.plane + p] * xb[j * params.plane + p];
    }
    partials[(split * params.channels + params.row_first + i) * params.channels + params.column_first + j] = sum;
}
