// y(c, p) = table(c, byte(c, p)) − mean(c): an RGBA picture x (H, W), one word a pixel with red in the lowest byte, by a table of
// levels (3, 256), to planar floats y (C, H, W), the channels from `channel` on.
// Threads: one an element of y, workgroups in one line. Bandwidth bound: no tile, a cache serves the table.

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

struct Params { plane: u32, channel: u32, channels: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<u32>;
@group(0) @binding(3) var<storage, read> table: array<f32>;
@group(0) @binding(4) var<storage, read> mean: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.plane * params.channels) {
        return;
    }
    let channel = params.channel + i / params.plane;
    let byte = (x[i % params.plane] >> (8u * channel)) & 255u;
    y[i] = table[channel * 256u + byte] - mean[channel];
}
