// mask: one bit for each element of y, set where y > 0. y (C, H, W), the output of a ReLU, a piece that begins at
// channel `first` of its tensor; mask (C, ⌈H/4⌉, ⌈W/8⌉) words of the whole tensor: a word holds 4 rows × 8 columns of a
// channel, bit (row mod 4)·8 + (column mod 8). Bits outside the picture are 0.
// Threads: one a word of the piece's channels, workgroups in one line, so that no two threads write one word and the
// divisions that find its place are paid once for 32 elements. Bandwidth bound: no tile.

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
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> mask: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    let h = (params.h + 3u) / 4u;
    let w = (params.w + 7u) / 8u;
    if (group >= slice.end || i >= params.channels * h * w) {
        return;
    }
    let first_col = i % w * 8u;
    let first_row = i / w % h * 4u;
    let channel = i / (w * h);
    var word = 0u;
    for (var r = 0u; r < 4u; r++) {
        let row = first_row + r;
        for (var k = 0u; k < 8u; k++) {
            let col = first_col + k;
            if (row < params.h && col < params.w) {
                let positive = y[(channel * params.h + row) * params.w + col] > 0.0;
                word |= select(0u, 1u << (r * 8u + k), positive);
            }
        }
    }
    mask[params.first * h * w + i] = word;
}
