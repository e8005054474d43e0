// y(o, r, c) = relu(b(o) + Σ w(o, i, ky, kx)·x(i, r+ky−1, c+kx−1)), for x of at most 3 channels; outside zero,
// with EDGE the nearest element, or with WRAP_Y and WRAP_X the one from the other end.
// x (C_in, H, W), w (C_out, C_in, 3, 3), b (C_out), y (C_out, H, W); flags say which of bias, ReLU, y += and gate (zero
// where the bit of the ReLU's mask `gate`, (C_out, ⌈H/4⌉, ⌈W/8⌉) words, is not set) take part. x and y are pieces:
// channel groups of their tensors.
// Threads: one owns 4 neighbouring pixels of a row and computes all outputs for them.
// Tile: the 3×3×6 patch of x stays in 54 registers, so x is read once and each weight serves 4 pixels; the layer is
// bound by writing y.

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

// shared: conv_params
struct Params {
    h: u32,
    w: u32,
    in_first: u32,
    in_count: u32,
    in_total: u32,
    out_first: u32,
    out_count: u32,
    out_total: u32,
    out_padded: u32,
    pixel_groups: u32,
    flags: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
// end

// shared: conv_operands
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> w: array<f32>;
@group(0) @binding(4) var<storage, read> b: array<f32>;
@group(0) @binding(5) var<storage, read> gate: array<u32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;

const ACCUMULATE: u32 = 1u;
const BIAS: u32 = 2u;
const RELU: u32 = 4u;
const GATE: u32 = 8u;
const EDGE: u32 = 64u;
// end

const CHANNELS: u32 = 3u;
const PIXELS: u32 = 4u;

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

// shared: conv_store
fn store(output: u32, at: u32, sum: f32, open: bool) {
    var value = sum;
    if ((params.flags & ACCUMULATE) != 0u) {
        value += y[at];
    }
    if ((params.flags & BIAS) != 0u) {
        value += b[params.out_first + output];
    }
    if ((params.flags & RELU) != 0u) {
        // Not max, which may make 0 of a NaN and hide it.
        value = select(value, 0.0, value < 0.0);
    }
    y[at] = select(0.0, value, open);
}
// end

// shared: conv_source
const WRAP_Y: u32 = 512u;
const WRAP_X: u32 = 1024u;

// The element of a line of `size` that is read at `place` − 1: beyond the ends the nearest one, or where the line wraps
// the one from the other end.
fn source(place: u32, size: u32, wraps: bool) -> u32 {
    let nearest = clamp(place, 1u, size) - 1u;
    let other = select(0u, size - 1u, place == 0u);
    return select(nearest, other, wraps && place != nearest + 1u);
}
// end

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let segment = group * WORKGROUP + lane;
    let segments = (params.w + PIXELS - 1u) / PIXELS;
    let row = segment / segments;
    let first_col = segment % segments * PIXELS;
    if (group >= slice.end || row >= params.h) {
        return;
    }
    let plane = params.h * params.w;
    // Pixels outside are read from a place inside and, unless they are its copies, replaced by 0.
    let edge = (params.flags & EDGE) != 0u;
    let wrap_y = (params.flags & WRAP_Y) != 0u;
    let wrap_x = (params.flags & WRAP_X) != 0u;
    var column: array<u32, 6>;
    var counted: array<bool, 6>;
    for (var k = 0u; k < 6u; k++) {
        counted[k] = edge || wrap_x || first_col + k - 1u < params.w;
        column[k] = source(first_col + k, params.w, wrap_x);
    }
    var patch_: array<f32, 54>;
    for (var i = 0u; i < CHANNELS; i++) {
        for (var ky = 0u; ky < 3u; ky++) {
            let row_counted = i < params.in_count && (edge || wrap_y || row + ky - 1u < params.h);
            let source_row = source(row + ky, params.h, wrap_y);
            let at = min(i, params.in_count - 1u) * plane + source_row * params.w;
            for (var k = 0u; k < 6u; k++) {
                patch_[(i * 3u + ky) * 6u + k] = select(0.0, x[at + column[k]], row_counted && counted[k]);
            }
        }
    }
    // The segment lies in one line of one word of the gate.
    let block = row / 4u * ((params.w + 7u) / 8u) + first_col / 8u;
    let bit = row % 4u * 8u + first_col % 8u;
    for (var output = 0u; output < params.out_count; output++) {
        // Said, because Tint does not make it 0 again for the next output.
        var sum = array<f32, 4>();
        for (var i = 0u; i < CHANNELS; i++) {
            // A channel that is not there has patch 0: any weight will do, but it must lie in the buffer.
            let channel = min(params.in_first + i, params.in_total - 1u);
            for (var ky = 0u; ky < 3u; ky++) {
                for (var kx = 0u; kx < 3u; kx++) {
                    let weight = w[(((params.out_first + output) * params.in_total + channel) * 3u + ky) * 3u + kx];
                    for (var p = 0u; p < PIXELS; p++) {
                        sum[p] += weight * patch_[(i * 3u + ky) * 6u + kx + p];
                    }
                }
            }
        }
        let open = gate_word(output, block) >> bit;
        for (var p = 0u; p < PIXELS; p++) {
            if (first_col + p < params.w) {
                store(output, output * plane + row * params.w + first_col + p, sum[p], ((open >> p) & 1u) != 0u);
            }
        }
    }
}
