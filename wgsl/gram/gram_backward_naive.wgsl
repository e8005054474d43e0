// dx(c, p) = scale·(Σ over k of (dY + dYᵀ)(k, c)·x(k, p) + m(c)·t(p)), scale = 1/(H·W); flags: whether m takes part, whether t
// is the guidance or 1, dx += and zero where the bit of the ReLU's mask `gate` is not set. dy (1, C, C), with m (1, C+1, C),
// whose last row it is; x, dx (C, H, W), guidance (1, H, W), gate (C, ⌈H/4⌉, ⌈W/8⌉) words as relu_mask makes them; x and dx are
// pieces: channel groups of their tensors.
// Threads: one an element of dx, pixels first. No tile: this is the second oracle.

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

// shared: gram_backward_params
struct Params {
    h: u32,
    w: u32,
    channels: u32,
    in_first: u32,
    in_count: u32,
    out_first: u32,
    out_count: u32,
    pixel_groups: u32,
    scale: f32,
    flags: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
// end
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read> x: array<f32>;
@group(0) @binding(4) var<storage, read> guidance: array<f32>;
@group(0) @binding(5) var<storage, read> gate: array<u32>;
@group(0) @binding(6) var<storage, read_write> d_x: array<f32>;

// shared: gradient_store
// The epilogue of a gradient: adds to what is there, and writes 0 where the gate is closed.
const ACCUMULATE: u32 = 1u;
const GATE: u32 = 8u;

fn store(at: u32, gradient: f32, open: bool) {
    var value = gradient;
    if ((params.flags & ACCUMULATE) != 0u) {
        value += d_x[at];
    }
    d_x[at] = select(0.0, value, open);
}
// end

// shared: gram_mean
// The gradient of the mean of an output channel: the last row of dy. It reaches all of the channel's pixels, each as much as
// the guidance says, or alike where none takes part.
const MEAN: u32 = 64u;
const GUIDED: u32 = 128u;

fn mean_gradient(output: u32) -> f32 {
    return dy[params.channels * params.channels + params.out_first + output];
}

fn mean_weight(pixel: u32) -> f32 {
    var weight = 1.0;
    if ((params.flags & GUIDED) != 0u) {
        weight = guidance[pixel];
    }
    return weight;
}
// end

// dY + dYᵀ at (input, output): the gradient reaches F from both sides of F·Fᵀ.
fn weight(input: u32, output: u32) -> f32 {
    let i = params.in_first + input;
    let o = min(params.out_first + output, params.channels - 1u);
    return dy[i * params.channels + o] + dy[o * params.channels + i];
}

// shared: gate_word
// The word of the mask `gate` at place `block` of output channel `output`; all its bits are set where no gate takes
// part.
fn gate_word(output: u32, block: u32) -> u32 {
    var word = 0xffffffffu;
    if ((params.flags & GATE) != 0u) {
        let blocks = (params.h + 3u) / 4u * ((params.w + 7u) / 8u);
        word = gate[(params.out_first + output) * blocks + block];
    }
    return word;
}
// end

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let plane = params.h * params.w;
    let output = group / params.pixel_groups;
    let pixel = group % params.pixel_groups * WORKGROUP + lane;
    if (group >= slice.end || pixel >= plane) {
        return;
    }
    var sum = 0.0;
    for (var k = 0u; k < params.in_count; k++) {
        sum += weight(k, output) * x[k * plane + pixel];
    }
    if ((params.flags & MEAN) != 0u) {
        sum += mean_weight(pixel) * mean_gradient(output);
    }
    let row = pixel / params.w;
    let col = pixel % params.w;
    let word = gate_word(output, row / 4u * ((params.w + 7u) / 8u) + col / 8u);
    store(output * plane + pixel, params.scale * sum, ((word >> (row % 4u * 8u + col % 8u)) & 1u) != 0u);
}
