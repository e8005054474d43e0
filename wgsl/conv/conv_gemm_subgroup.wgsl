// y(o, r, c) = relu(b(o) + Σ w(o, i, ky, kx)·x(i, r+ky−1, c+kx−1)), as an implicit GEMM; outside zero, with
// EDGE the nearest element, or with WRAP_Y and WRAP_X the one from the other end. With the flipped, transposed weights it is the backward convolution.
// x (C_in, H, W), w (⌈C_out/16⌉, C_in, 3, 3, 16), b (C_out), y (C_out, H, W); flags say which of bias, ReLU,
// y += and gate (zero where the bit of the ReLU's mask `gate`, (C_out, ⌈H/4⌉, ⌈W/8⌉) words as relu_mask makes
// them, is not set) take part. x and y are pieces: channel groups of their tensors.
// Threads: one owns 8 neighbouring pixels of a row × 16 outputs; all threads of a workgroup have the same outputs.
// Tile: each lane loads one of 8 weights and broadcasts hand them to all, so a weight is loaded once for 64 or more
// pixels; a row of 10 pixels is loaded once for 3 taps. The 3 taps of a row are added to a sum in one expression: on
// the software adapter the 128 sums do not fit the registers, and this touches them a third as often (twice the
// speed of one tap at a time). No workgroup memory, no barrier. Right for subgroups of 8 lanes or more.

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

const PIXELS: u32 = 8u;
const OUTPUTS: u32 = 16u;

fn weight(tap: u32, input: u32, output: u32) -> f32 {
    let column = min(params.out_first + output, params.out_padded - 1u);
    let row = column / OUTPUTS * params.in_total + params.in_first + input;
    return w[(row * 9u + tap) * OUTPUTS + column % OUTPUTS];
}

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
fn main(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
    let group = group_number(group_id);
    if (group >= slice.end) {
        return;
    }
    let first_output = group / params.pixel_groups * OUTPUTS;
    let segment = group % params.pixel_groups * WORKGROUP + lane;
    let segments = (params.w + PIXELS - 1u) / PIXELS;
    let row = segment / segments;
    let first_col = segment % segments * PIXELS;
    let plane = params.h * params.w;

    // Pixels outside are read from a place inside and, unless they are its copies, replaced by 0; decided once, not once
    // a tap.
    let edge = (params.flags & EDGE) != 0u;
    let wrap_y = (params.flags & WRAP_Y) != 0u;
    let wrap_x = (params.flags & WRAP_X) != 0u;
    var column: array<u32, 10>;
    var counted: array<bool, 10>;
    for (var k = 0u; k < PIXELS + 2u; k++) {
        counted[k] = edge || wrap_x || first_col + k - 1u < params.w;
        column[k] = source(first_col + k, params.w, wrap_x);
    }
    var sum: array<f32, 128>;
    for (var input = 0u; input < params.in_count; input++) {
        for (var ky = 0u; ky < 3u; ky++) {
            let row_counted = edge || wrap_y || row + ky - 1u < params.h;
            let at = input * plane + source(row + ky, params.h, wrap_y) * params.w;
            var line: array<f32, 10>;
            for (var k = 0u; k < PIXELS + 2u; k++) {
                line[k] = select(0.0, x[at + column[k]], row_counted && counted[k]);
            }
            for (var half = 0u; half < OUTPUTS; half += 8u) {
                let output = first_output + half + (subgroup_lane & 7u);
                let left = weight(3u * ky, input, output);
                let middle = weight(3u * ky + 1u, input, output);
                let right = weight(3u * ky + 2u, input, output);
                for (var o = 0u; o < 8u; o++) {
                    let l = subgroupShuffle(left, o);
                    let m = subgroupShuffle(middle, o);
                    let r = subgroupShuffle(right, o);
                    for (var p = 0u; p < PIXELS; p++) {
                        sum[(half + o) * PIXELS + p] += l * line[p] + m * line[p + 1u] + r * line[p + 2u];
                    }
                }
            }
        }
    }
    // The segment is one line of one word of the gate.
    let block = row / 4u * ((params.w + 7u) / 8u) + first_col / 8u;
    for (var o = 0u; o < OUTPUTS; o++) {
        let output = first_output + o;
        if (output < params.out_count && row < params.h) {
            let open = gate_word(output, block) >> (row % 4u * 8u);
            for (var p = 0u; p < PIXELS; p++) {
                let col = first_col + p;
                if (col < params.w) {
                    let at = output * plane + row * params.w + col;
                    store(output, at, sum[o * PIXELS + p], ((open >> p) & 1u) != 0u);
                }
            }
        }
    }
}
