// An RGBA picture x (H, W), one word a pixel with red in the lowest byte, to texels y (H, pitch), one or two words a
// texel, after each row zeros. Texels of one word are the pixels, with red and blue exchanged where
// bgra is 1. Texels of two are four halves: red, green and blue as
// linear light c = e/12.92 for e = byte/255 up to 0.04045, ((e + 0.055)/1.055)^2.4 above (IEC 61966-2-1), and 1.
// Threads: one a word of y, so that rows are written whole, workgroups in one line. Bandwidth bound: no tile.

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

struct Params { h: u32, w: u32, pitch: u32, words: u32, bgra: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<u32>;

fn decoded(byte: u32) -> f32 {
    let e = f32(byte) / 255.0;
    return select(pow((e + 0.055) / 1.055, 2.4), e / 12.92, e <= 0.04045);
}

// A number's bits as a half, rounded to the nearest, of two equally near ones to the even. By hand and not by
// pack2x16float, which not every device has, and which may round either way. For what a byte gives: 0, or 1/255/12.92,
// which is above the smallest normal half 2⁻¹⁴, to 1.
fn as_half(value: f32) -> u32 {
    let bits = bitcast<u32>(value);
    let rounded = (bits + 0xfffu + ((bits >> 13u) & 1u)) >> 13u;
    return select(rounded - (112u << 10u), 0u, value < 6.103515625e-5);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.h * params.pitch) {
        return;
    }
    let column = i % params.pitch / params.words;
    var word = 0u;
    if (column < params.w) {
        let pixel = x[i / params.pitch * params.w + column];
        if (params.words == 1u) {
            let exchanged = (pixel & 0xff00ff00u) | ((pixel >> 16u) & 255u) | ((pixel & 255u) << 16u);
            word = select(pixel, exchanged, params.bgra == 1u);
        } else if (i % params.pitch % 2u == 0u) {
            word = as_half(decoded(pixel & 255u)) | (as_half(decoded((pixel >> 8u) & 255u)) << 16u);
        } else {
            word = as_half(decoded((pixel >> 16u) & 255u)) | (0x3c00u << 16u);
        }
    }
    y[i] = word;
}
