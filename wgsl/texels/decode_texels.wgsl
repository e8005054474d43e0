// byte(channel) = round(255·(e·alpha + 1 − alpha)), alpha 255, with e the sRGB-encoded colour: texels x (H, pitch), one
// or two words a texel, to an RGBA picture y (H, W), one word a pixel with red in the lowest byte. Texels of one word
// are encoded already: 8 bits a channel, red or (bgra) blue in the lowest byte, and all arithmetic is of integers.
// Texels of two are four halves of linear light: e = 12.92·c up to 0.0031308, 1.055·c^(1/2.4) − 0.055 above (IEC
// 61966-2-1).
// Threads: one a pixel of y, workgroups in one line. Bandwidth bound: no tile.

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

// A half's bits as a number, clamped to 0..1, NaN as 0. By hand and not by unpack2x16float, which not every device has,
// and which may lose subnormal numbers; what is compared are integers, because a compiler may take it that there is no
// NaN.
fn unit(bits: u32) -> f32 {
    let magnitude = bits & 0x7fffu;
    // The sign is set, or the exponent is full and the mantissa is not 0.
    if (bits != magnitude || magnitude > 0x7c00u) {
        return 0.0;
    }
    // Without an exponent, in units of 2⁻²⁴.
    if (magnitude < 0x400u) {
        return f32(magnitude) * 5.9604644775390625e-8;
    }
    // The exponent of f32 begins 112 lower. Infinity is 1, as all that is larger.
    return bitcast<f32>((min(magnitude, 0x3c00u) << 13u) + (112u << 23u));
}

fn units(word: u32) -> vec2<f32> {
    return vec2<f32>(unit(word & 0xffffu), unit(word >> 16u));
}

fn encoded(linear: vec3<f32>) -> vec3<f32> {
    let curve = 1.055 * pow(linear, vec3<f32>(1.0 / 2.4)) - 0.055;
    return select(curve, 12.92 * linear, linear <= vec3<f32>(0.0031308));
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.h * params.w) {
        return;
    }
    let at = i / params.w * params.pitch + i % params.w * params.words;
    var bytes: vec3<u32>;
    if (params.words == 1u) {
        let texel = vec3<u32>(x[at]);
        let alpha = texel.x >> 24u;
        let colour = (texel >> vec3<u32>(0u, 8u, 16u)) & vec3<u32>(255u);
        bytes = (colour * alpha + 255u * (255u - alpha) + 127u) / vec3<u32>(255u);
        bytes = select(bytes, bytes.zyx, params.bgra == 1u);
    } else {
        let red_green = units(x[at]);
        let blue_alpha = units(x[at + 1u]);
        let alpha = blue_alpha.y;
        let over_white = encoded(vec3<f32>(red_green, blue_alpha.x)) * alpha + (1.0 - alpha);
        bytes = vec3<u32>(clamp(255.0 * over_white + 0.5, vec3<f32>(0.0), vec3<f32>(255.0)));
    }
    y[i] = bytes.x | (bytes.y << 8u) | (bytes.z << 16u) | (255u << 24u);
}
