// dx = dy·w/(norm + 10⁻⁸·w), w = weights[index]·weights[group_index], and 0 where w is not above 0: w·g/(|g| + 10⁻⁸) of the
// gradient g = dy/w without its weight. flags: dx += and zero where the bit of the ReLU's mask `gate` is not set. dy, dx
// (C, H, W), norm (1) = Σ |dy| over all of dy, weights (n), gate (C, ⌈H/4⌉, ⌈W/8⌉) words as relu_mask makes them; dy and dx
// are pieces: the channels from out_first on.
// Threads: one an element, workgroups in one line. Bandwidth bound: no tile.

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

struct Params { count: u32, h: u32, w: u32, out_first: u32, index: u32, group_index: u32, flags: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read> norm: array<f32>;
@group(0) @binding(4) var<storage, read> weights: array<f32>;
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

// What keeps a gradient that is 0 from being divided by 0.
const SMALL: f32 = 1e-8;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.count) {
        return;
    }
    let weight = weights[params.index] * weights[params.group_index];
    var factor = 0.0;
    if (weight > 0.0) {
        factor = weight / (norm[0] + SMALL * weight);
    }
    let col = i % params.w;
    let row = i / params.w % params.h;
    let word = gate_word(i / (params.w * params.h), row / 4u * ((params.w + 7u) / 8u) + col / 8u);
    store(i, factor * dy[i], ((word >> (row % 4u * 8u + col % 8u)) & 1u) != 0u);
}
