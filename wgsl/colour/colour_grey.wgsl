// byte = ⌊(299·red + 587·green + 114·blue + 500)/1000⌋ in all three channels, alpha 255: the luminance of an RGBA picture x
// (H, W), one word a pixel with red in the lowest byte, as such a picture y. The weights are BT.601's, in whole numbers.
// Threads: one a pixel, workgroups in one line. Bandwidth bound: no tile.

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

struct Params { count: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.count) {
        return;
    }
    let word = x[i];
    let sum = 299u * (word & 255u) + 587u * ((word >> 8u) & 255u) + 114u * ((word >> 16u) & 255u);
    let level = (sum + 500u) / 1000u;
    y[i] = level * 0x10101u | (255u << 24u);
}
