// y(c, p) = l + s·(b(c, p) − l_b) − mean(c): the luminance l of the pixels x (3, H, W), as far as a picture can show these, with
// the chroma of a picture (H, W), one word a pixel with red in the lowest byte, whose bytes b have the luminance l_b. The
// luminance is 0.299·red + 0.587·green + 0.114·blue (BT.601), and the chroma what the channels differ from it by: YCbCr's Cb
// and Cr are two of these differences, each times a constant. s, 1 or less, is the largest with which all channels lie in
// 0..255: where it is less a colour is paler, and has the same hue and luminance. x and y are minus the mean; y: the channels of
// a piece, which begin at `channel`. Red, green and blue of x begin at these elements of their bindings.
// Threads: one an element of y, workgroups in one line. Bandwidth bound: no tile, a cache serves the other channels.

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

struct Params { count: u32, plane: u32, channel: u32, red: u32, green: u32, blue: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x_red: array<f32>;
@group(0) @binding(3) var<storage, read> x_green: array<f32>;
@group(0) @binding(4) var<storage, read> x_blue: array<f32>;
@group(0) @binding(5) var<storage, read> picture: array<u32>;
@group(0) @binding(6) var<storage, read> mean: array<f32>;
@group(0) @binding(7) var<storage, read_write> y: array<f32>;

// shared: clamp_pixel
// Pixels minus the mean, brought into 0..255. A NaN stays one: made 0 or 255 it would hide that the optimisation
// diverges. It is told by its bits, because a compiler may reason that no NaN comes.
fn clamp_pixel(value: f32, mean: f32) -> f32 {
    let is_nan = (bitcast<u32>(value) & 0x7fffffffu) > 0x7f800000u;
    return select(clamp(value, -mean, 255.0 - mean), value, is_nan);
}
// end

// How much of a difference from the luminance l fits into 0..255.
fn share(difference: f32, l: f32) -> f32 {
    let room = select(l, 255.0 - l, difference > 0.0);
    return select(1.0, room / abs(difference), abs(difference) > room);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.count) {
        return;
    }
    let channel = params.channel + i / params.plane;
    let p = i % params.plane;
    let weights = vec3<f32>(0.299, 0.587, 0.114);
    let shown = vec3<f32>(
        clamp_pixel(x_red[params.red + p], mean[0]) + mean[0],
        clamp_pixel(x_green[params.green + p], mean[1]) + mean[1],
        clamp_pixel(x_blue[params.blue + p], mean[2]) + mean[2],
    );
    let l = dot(weights, shown);
    let word = picture[p];
    let bytes = vec3<f32>((vec3<u32>(word) >> vec3<u32>(0u, 8u, 16u)) & vec3<u32>(255u));
    let l_bytes = dot(weights, bytes);
    let chroma = bytes - vec3<f32>(l_bytes);
    let fits = max(min(share(chroma.x, l), min(share(chroma.y, l), share(chroma.z, l))), 0.0);
    let byte = f32((word >> (8u * channel)) & 255u);
    y[i] = l + fits * (byte - l_bytes) - mean[channel];
}
