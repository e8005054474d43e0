// y(o, r, c) = relu(b(o) + Σ w(o, i, ky, kx)·x(i, r+ky−1, c+kx−1)), as an implicit GEMM: outputs × (taps·inputs)
// times (taps·inputs) × pixels; outside zero, with EDGE the nearest element, or with WRAP_Y and
// WRAP_X the one from the other end. With the flipped, transposed weights it is
// the backward convolution.
// x (C_in, H, W), w (⌈C_out/16⌉, C_in, 3, 3, 16), b (C_out), y (C_out, H, W); flags say which of bias, ReLU,
// y += and gate (zero where the bit of the ReLU's mask `gate`, (C_out, ⌈H/4⌉, ⌈W/8⌉) words as relu_mask makes
// them, is not set) take part. x and y are pieces: channel groups of their tensors.
// Threads: 8×8 in a workgroup that owns 32 outputs × 32 pixels; each thread 4×4 of them, 8 apart.
// Tile: 4×4 a thread with 8×8 threads and 8 deep is the best float tile over NVIDIA, AMD, Intel and Apple in
// ggml's exhaustive search (its pull request 22241), and needs 2 KiB of workgroup memory and no optional feature.
// All that a thread fetches for a tap is asked for before any of it is awaited. RADV's compiler for polaris10, vega10,
// navi10, navi21, navi31 unrolls the taps: 60 to 64 registers, nothing spilled, 60 to 65 % of the loop's instructions are
// multiply-adds (a third where each thread fetched number after number).

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

const BLOCK: u32 = 32u;
const DEPTH: u32 = 8u;
const APART: u32 = 8u;
const RUN: u32 = 16u;
const TAPS: u32 = 9u;

// Each vec4 holds four inputs of one output or pixel: columns are then fetched side by side, wherever a row of the
// picture begins, and still move as whole vec4s.
var<workgroup> weights_tile: array<vec4<f32>, 64>;
var<workgroup> pixels_tile: array<vec4<f32>, 64>;

// shared: gate_vec4
// Whether the bit of the mask `gate` is set for an output and a pixel.
fn is_open(output: u32, pixel: u32) -> bool {
    let row = pixel / params.w;
    let col = pixel % params.w;
    let blocks_w = (params.w + 7u) / 8u;
    let line = (params.out_first + output) * ((params.h + 3u) / 4u) + row / 4u;
    return ((gate[line * blocks_w + col / 8u] >> (row % 4u * 8u + col % 8u)) & 1u) != 0u;
}

// The values of four pixels of an output, 0 where a gate takes part and is closed.
fn gated(value: vec4<f32>, output: u32, pixels: vec4<u32>) -> vec4<f32> {
    var kept = value;
    if ((params.flags & GATE) != 0u) {
        let open = vec4(
            is_open(output, pixels.x),
            is_open(output, pixels.y),
            is_open(output, pixels.z),
            is_open(output, pixels.w),
        );
        kept = select(vec4(0.0), value, open);
    }
    return kept;
}
// end

// shared: conv_store_vec4
// Four pixels of an output, APART apart. What lies after the last pixel is neither read nor written.
fn store(output: u32, pixel: u32, sum: vec4<f32>) {
    let plane = params.h * params.w;
    if (output >= params.out_count || pixel >= plane) {
        return;
    }
    let pixels = vec4(pixel) + vec4(0u, 1u, 2u, 3u) * APART;
    let inside = pixels < vec4(plane);
    let at = vec4(output * plane) + select(vec4(pixel), pixels, inside);
    var value = sum;
    if ((params.flags & ACCUMULATE) != 0u) {
        value += vec4(y[at.x], y[at.y], y[at.z], y[at.w]);
    }
    if ((params.flags & BIAS) != 0u) {
        value += b[params.out_first + output];
    }
    if ((params.flags & RELU) != 0u) {
        // Not max, which may make 0 of a NaN and hide it.
        value = select(value, vec4(0.0), value < vec4(0.0));
    }
    value = gated(value, output, select(vec4(pixel), pixels, inside));
    y[at.x] = value.x;
    if (inside.y) {
        y[at.y] = value.y;
    }
    if (inside.z) {
        y[at.z] = value.z;
    }
    if (inside.w) {
        y[at.w] = value.w;
    }
}
// end

// shared: taps_inside
const WRAP_Y: u32 = 512u;
const WRAP_X: u32 = 1024u;

// The taps of a pixel that lie inside, one bit each, and from bit TAPS on those that are not 0.
fn taps_inside(pixel: u32) -> u32 {
    let edge = (params.flags & EDGE) != 0u;
    let wrap_y = (params.flags & WRAP_Y) != 0u;
    let wrap_x = (params.flags & WRAP_X) != 0u;
    let row = pixel / params.w;
    let col = pixel % params.w;
    let columns = select(0u, 0x49u, col > 0u) | 0x92u | select(0u, 0x124u, col + 1u < params.w);
    let rows = select(0u, 0x7u, row > 0u) | 0x38u | select(0u, 0x1c0u, row + 1u < params.h);
    let counted = select(columns, 0x1ffu, edge || wrap_x) & select(rows, 0x1ffu, edge || wrap_y);
    return select(0u, (columns & rows) | (counted << TAPS), row < params.h);
}

// The place of a tap of a pixel; beyond the edges the nearest one inside, or where lines wrap the one at the other end; any
// place for what lies after the last pixel.
fn source_place(pixel: u32, inside: u32, tap: u32) -> u32 {
    // Of the middle column's taps only rows decide whether they lie inside, and of the middle row's only columns.
    let row_inside = ((inside >> (tap / 3u * 3u + 1u)) & 1u) != 0u;
    let col_inside = ((inside >> (tap % 3u + 3u)) & 1u) != 0u;
    let other_row = select(0u, (1u - tap / 3u) * (params.h - 1u) * params.w, (params.flags & WRAP_Y) != 0u);
    let other_col = select(0u, (1u - tap % 3u) * (params.w - 1u), (params.flags & WRAP_X) != 0u);
    let row_shift = select(other_row, (tap / 3u - 1u) * params.w, row_inside);
    let col_shift = select(other_col, tap % 3u - 1u, col_inside);
    return select(0u, pixel + row_shift + col_shift, inside != 0u);
}
// end

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    if (group >= slice.end) {
        return;
    }
    let first_output = group / params.pixel_groups * BLOCK;
    let first_pixel = group % params.pixel_groups * BLOCK;
    let plane = params.h * params.w;
    // What this thread fetches: four inputs of one output and of one pixel.
    let column = lane % BLOCK;
    let inputs = lane / BLOCK * 4u;
    let inside = taps_inside(first_pixel + column);
    let weight_column = min(params.out_first + first_output + column, params.out_padded - 1u);
    let weight_row = weight_column / RUN * params.in_total + params.in_first;
    // What it computes.
    let output = lane / 8u;
    let pixel = lane % 8u;

    var sum: array<vec4<f32>, 4>;
    for (var first = 0u; first < params.in_count; first += DEPTH) {
        let input = vec4(first + inputs) + vec4(0u, 1u, 2u, 3u);
        let counted = input < vec4(params.in_count);
        let held = min(input, vec4(params.in_count - 1u));
        let weights_at = (held + weight_row) * TAPS * RUN + weight_column % RUN;
        let planes = held * plane;
        // The taps come last, so that they find the same pixels near.
        for (var tap = 0u; tap < TAPS; tap++) {
            let counted_pixel = ((inside >> (TAPS + tap)) & 1u) != 0u;
            let at = planes + source_place(first_pixel + column, inside, tap);
            let row = weights_at + tap * RUN;
            let fetched = vec4(x[at.x], x[at.y], x[at.z], x[at.w]);
            let weights = vec4(w[row.x], w[row.y], w[row.z], w[row.w]);
            pixels_tile[lane] = select(vec4(0.0), fetched, counted_pixel);
            weights_tile[lane] = select(vec4(0.0), weights, counted);
            workgroupBarrier();
            // shared: multiply_4x4
            for (var k = 0u; k < DEPTH / 4u; k++) {
                let line = k * BLOCK + pixel;
                let pixels = transpose(mat4x4(
                    pixels_tile[line],
                    pixels_tile[line + 8u],
                    pixels_tile[line + 16u],
                    pixels_tile[line + 24u],
                ));
                let a = weights_tile[k * BLOCK + output];
                sum[0] = sum[0] + a.x * pixels[0] + a.y * pixels[1]
                    + a.z * pixels[2] + a.w * pixels[3];
                let b = weights_tile[k * BLOCK + output + 8u];
                sum[1] = sum[1] + b.x * pixels[0] + b.y * pixels[1]
                    + b.z * pixels[2] + b.w * pixels[3];
                let c = weights_tile[k * BLOCK + output + 16u];
                sum[2] = sum[2] + c.x * pixels[0] + c.y * pixels[1]
                    + c.z * pixels[2] + c.w * pixels[3];
                let d = weights_tile[k * BLOCK + output + 24u];
                sum[3] = sum[3] + d.x * pixels[0] + d.y * pixels[1]
                    + d.z * pixels[2] + d.w * pixels[3];
            }
            // end
            workgroupBarrier();
        }
    }
    store(first_output + output, first_pixel + pixel, sum[0]);
    store(first_output + output + 8u, first_pixel + pixel, sum[1]);
    store(first_output + output + 16u, first_pixel + pixel, sum[2]);
    store(first_output + output + 24u, first_pixel + pixel, sum[3]);
}
