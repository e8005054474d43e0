// byte(channel) = ⌊clamp(x(channel) + mean(channel), 0, 255)⌋, or where `rounded` is not 0 the nearest whole number,
// of two the even one; alpha 255: planar floats x (C, H, W) and mean (3), the channels from `channel` on, to an RGBA
// picture y (H, W), one word a pixel with red in the lowest byte.
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

struct Params { plane: u32, channel: u32, channels: u32, rounded: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> mean: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.plane) {
        return;
    }
    // Pieces after the first add their channels to the word that is there.
    var word = 255u << 24u;
    if (params.channel > 0u) {
        word = y[i];
    }
    for (var k = 0u; k < params.channels; k++) {
        let channel = params.channel + k;
        var value = clamp(x[k * params.plane + i] + mean[channel], 0.0, 255.0);
        if (params.rounded != 0u) {
            value = round(value);
        }
        word |= u32(value) << (8u * channel);
    }
    y[i] = word;
}
