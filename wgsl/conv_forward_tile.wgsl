// y(o, r, c) = relu(b(o) + Σ w(o, i, ky, kx)·x(i, r+ky−1, c+kx−1)), zero outside, as an implicit GEMM: outputs ×
// (taps·inputs) times (taps·inputs) × pixels. With the flipped, transposed weights it is the backward convolution.
// x (C_in, H, W), w (⌈C_out/16⌉, C_in, 3, 3, 16), b (C_out), y (C_out, H, W); flags say which of bias, ReLU,
// y += and gate (zero where the bit of the ReLU's mask `gate`, (C_out, ⌈H/4⌉, ⌈W/8⌉) words as relu_forward_mask makes
// them, is not set) take part. x and y are pieces: channel groups of their tensors.
// Threads: 8×8 in a workgroup that owns 32 outputs × 32 pixels; each thread 4×4 of them.
// Tile: 4×4 a thread with 8×8 threads and 8 deep is the best float tile over NVIDIA, AMD, Intel and Apple in
// ggml's exhaustive search (its pull request 22241), fits 48 registers, and needs 2 KiB of workgroup memory and no
// optional feature.

override WORKGROUP: u32 = 64u;
override FOLD: u32 = 32768u;

struct Slice { first: u32, end: u32 }
@group(0) @binding(0) var<uniform> slice: Slice;

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
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> w: array<f32>;
@group(0) @binding(4) var<storage, read> b: array<f32>;
@group(0) @binding(5) var<storage, read> gate: array<u32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;

const ACCUMULATE: u32 = 1u;
const BIAS: u32 = 2u;
const RELU: u32 = 4u;
const GATE: u32 = 8u;

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

fn store(output: u32, at: u32, sum: f32, open: bool) {
    var value = sum;
    if ((params.flags & ACCUMULATE) != 0u) {
        value += y[at];
    }
    if ((params.flags & BIAS) != 0u) {
        value += b[params.out_first + output];
    }
    if ((params.flags & RELU) != 0u) {
        value = max(value, 0.0);
    }
    y[at] = select(0.0, value, open);
}

const BLOCK: u32 = 32u;
const DEPTH: u32 = 8u;
const THREAD: u32 = 4u;
const RUN: u32 = 16u;

var<workgroup> weights_tile: array<f32, 256>;
var<workgroup> pixels_tile: array<f32, 256>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = slice.first + group_id.y * FOLD + group_id.x;
    if (group >= slice.end) {
        return;
    }
    let first_output = group / params.pixel_groups * BLOCK;
    let first_pixel = group % params.pixel_groups * BLOCK;
    let plane = params.h * params.w;
    // What this thread fetches: one column of both tiles, every second row. Of each address, the part that differs
    // between threads is made outside the inner loop; the rest is the same for all threads.
    let column = lane % BLOCK;
    let first_line = lane / BLOCK;
    let lines = WORKGROUP / BLOCK;
    let row = (first_pixel + column) / params.w;
    let col = (first_pixel + column) % params.w;
    let weight_column = min(params.out_first + first_output + column, params.out_padded - 1u);
    let weight_row = weight_column / RUN * params.in_total + params.in_first + first_line;
    let weight_at = weight_row * (9u * RUN) + weight_column % RUN;
    // What it computes.
    let outputs = lane / 8u * THREAD;
    let pixels = lane % 8u * THREAD;

    var sum: array<f32, 16>;
    for (var tap = 0u; tap < 9u; tap++) {
        let source_row = row + tap / 3u - 1u;
        let source_col = col + tap % 3u - 1u;
        let inside = source_row < params.h && source_col < params.w;
        let source = first_line * plane + source_row * params.w + source_col;
        for (var first_input = 0u; first_input < params.in_count; first_input += DEPTH) {
            // Without branches: all loads are under way before the first is waited for.
            for (var line = 0u; line < DEPTH; line += lines) {
                let input = first_input + line;
                let exists = input + first_line < params.in_count;
                let weight = w[select(0u, weight_at + (input * 9u + tap) * RUN, exists)];
                let pixel = x[select(0u, source + input * plane, exists && inside)];
                weights_tile[(line + first_line) * BLOCK + column] = select(0.0, weight, exists);
                pixels_tile[(line + first_line) * BLOCK + column] = select(0.0, pixel, exists && inside);
            }
            workgroupBarrier();
            for (var k = 0u; k < DEPTH; k++) {
                for (var o = 0u; o < THREAD; o++) {
                    let weight = weights_tile[k * BLOCK + outputs + o];
                    for (var p = 0u; p < THREAD; p++) {
                        sum[o * THREAD + p] += weight * pixels_tile[k * BLOCK + pixels + p];
                    }
                }
            }
            workgroupBarrier();
        }
    }
    for (var p = 0u; p < THREAD; p++) {
        let pixel = first_pixel + pixels + p;
        if (pixel < plane) {
            // Where the pixel is in the gate, found once for all outputs.
            let pixel_row = pixel / params.w;
            let pixel_col = pixel % params.w;
            let block = pixel_row / 4u * ((params.w + 7u) / 8u) + pixel_col / 8u;
            let bit = pixel_row % 4u * 8u + pixel_col % 8u;
            for (var o = 0u; o < THREAD; o++) {
                let output = first_output + outputs + o;
                if (output < params.out_count) {
                    let open = ((gate_word(output, block) >> bit) & 1u) != 0u;
                    store(output, output * plane + pixel, sum[o * THREAD + p], open);
                }
            }
        }
    }
}
