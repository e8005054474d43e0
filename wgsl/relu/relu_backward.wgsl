// dx = dy where the bit of the ReLU's mask `gate` is set, else 0; dy, dx (C, H, W), pieces that begin at channel
// `first` of their tensors; gate (C, ⌈H/4⌉, ⌈W/8⌉) words as relu_mask makes them.
// Threads: one owns 8 columns of a row, a line of the gate's word, so that the divisions that find its place are paid
// once for 8 elements. Workgroups in one line. Bandwidth bound: no tile.

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

struct Params { channels: u32, h: u32, w: u32, first: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read> gate: array<u32>;
@group(0) @binding(4) var<storage, read_write> d_x: array<f32>;

const COLUMNS: u32 = 8u;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    // shared: mask_line
    let h = (params.h + 3u) / 4u;
    let w = (params.w + COLUMNS - 1u) / COLUMNS;
    if (group >= slice.end || i >= params.channels * params.h * w) {
        return;
    }
    let block = i % w;
    let line = i / w;
    // end
    let row = line % params.h;
    let channel = params.first + line / params.h;
    let open = gate[(channel * h + row / 4u) * w + block] >> (row % 4u * COLUMNS);
    for (var k = 0u; k < COLUMNS; k++) {
        let col = block * COLUMNS + k;
        if (col < params.w) {
            let at = line * params.w + col;
            d_x[at] = select(0.0, dy[at], ((open >> k) & 1u) != 0u);
        }
    }
}
