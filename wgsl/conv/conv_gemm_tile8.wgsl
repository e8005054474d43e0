// y(o, r, c) = relu(b(o) + Σ w(o, i, ky, kx)·x(i, r+ky−1, c+kx−1)), as an implicit GEMM: outputs × (taps·inputs)
// times (taps·inputs) × pixels; outside zero, with EDGE the nearest element, or with WRAP_Y and
// WRAP_X the one from the other end. With the flipped, transposed weights it is
// the backward convolution.
// x (C_in, H, W), w (⌈C_out/16⌉, C_in, 3, 3, 16), b (C_out), y (C_out, H, W); flags say which of bias, ReLU,
// y += and gate (zero where the bit of the ReLU's mask `gate`, (C_out, ⌈H/4⌉, ⌈W/8⌉) words as relu_mask makes
// them, is not set) take part. x and y are pieces: channel groups of their tensors.
// Threads: 8×8 in a workgroup that owns 64 outputs × 64 pixels; each thread 8×8 of them, 8 apart.
// Tile: for AMD and NVIDIA, as winograd_gemm_tile8, but 8 deep: 16 deep, the compiler ran out of registers
// and waited for what it had just asked for. RADV's compiler for polaris10, vega10, navi10, navi21, navi31: 116, 116,
// 116, 120, 120 registers, nothing spilled, for zeros around two thirds of the loop's instructions are multiply-adds; 4 KiB
// of workgroup memory. What is fetched is put away in the same trip, or it would be copied, and so awaited, too early.

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

const BLOCK: u32 = 64u;
const DEPTH: u32 = 8u;
const APART: u32 = 16u;
const RUN: u32 = 16u;
const TAPS: u32 = 9u;
// A row of workgroup memory in vec4s. Each holds four columns, 16 apart: neighbouring threads fetch neighbours,
// wherever a row of the picture begins, and still move whole vec4s.
const ROW: u32 = 16u;

var<workgroup> weights_tile: array<vec4<f32>, 128>;
var<workgroup> pixels_tile: array<vec4<f32>, 128>;

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

// Four weights of an input and a tap, from places that belong to four outputs.
fn weights_line(places: vec4<u32>, input: u32, tap: u32) -> vec4<f32> {
    let at = places + (min(input, params.in_count - 1u) * TAPS + tap) * RUN;
    return vec4(w[at.x], w[at.y], w[at.z], w[at.w]);
}

fn pixels_line(places: vec4<u32>, input: u32) -> vec4<f32> {
    let at = places + min(input, params.in_count - 1u) * params.h * params.w;
    return vec4(x[at.x], x[at.y], x[at.z], x[at.w]);
}

// What a thread fetches for one tap: four columns of every fourth input.
fn fetch_weights(places: vec4<u32>, input: u32, tap: u32) -> mat2x4<f32> {
    return mat2x4(
        weights_line(places, input, tap),
        weights_line(places, input + 4u, tap),
    );
}

fn fetch_pixels(pixel: u32, inside: vec4<u32>, input: u32, tap: u32) -> mat2x4<f32> {
    let shift = (tap / 3u - 1u) * params.w + tap % 3u - 1u;
    let pixels = vec4(pixel + shift) + vec4(0u, 1u, 2u, 3u) * APART;
    var places = select(vec4(0u), pixels, ((inside >> vec4(tap)) & vec4(1u)) != vec4(0u));
    if ((params.flags & EDGE) != 0u || (params.flags & WRAP_Y) != 0u || (params.flags & WRAP_X) != 0u) {
        places = vec4(
            source_place(pixel, inside.x, tap),
            source_place(pixel + APART, inside.y, tap),
            source_place(pixel + 2u * APART, inside.z, tap),
            source_place(pixel + 3u * APART, inside.w, tap),
        );
    }
    return mat2x4(
        pixels_line(places, input),
        pixels_line(places, input + 4u),
    );
}

// Puts into workgroup memory what was fetched, and zeros for inputs after the last one and for pixels outside.
fn put_weights(fetched: mat2x4<f32>, lane: u32, input: u32) {
    weights_tile[lane] = select(vec4(0.0), fetched[0], input < params.in_count);
    weights_tile[lane + 4u * ROW] = select(vec4(0.0), fetched[1], input + 4u < params.in_count);
}

fn put_pixels(fetched: mat2x4<f32>, lane: u32, inside: vec4<u32>, tap: u32) {
    let here = ((inside >> vec4(TAPS + tap)) & vec4(1u)) != vec4(0u);
    pixels_tile[lane] = select(vec4(0.0), fetched[0], here);
    pixels_tile[lane + 4u * ROW] = select(vec4(0.0), fetched[1], here);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    if (group >= slice.end) {
        return;
    }
    let first_output = group / params.pixel_groups * BLOCK;
    let first_pixel = group % params.pixel_groups * BLOCK;
    // What this thread fetches: the columns from its own on, and from its own line on every fourth input.
    let fetched_pixel = first_pixel + lane % ROW;
    let line = lane / ROW;
    let inside = vec4(
        taps_inside(fetched_pixel),
        taps_inside(fetched_pixel + APART),
        taps_inside(fetched_pixel + 2u * APART),
        taps_inside(fetched_pixel + 3u * APART),
    );
    let weight_column = params.out_first + first_output + lane % ROW;
    let last_block = vec4(params.out_padded / RUN - 1u);
    let blocks = min(vec4(weight_column / RUN) + vec4(0u, 1u, 2u, 3u), last_block);
    let places = (blocks * params.in_total + params.in_first) * TAPS * RUN + weight_column % RUN;

    put_weights(fetch_weights(places, line, 0u), lane, line);
    put_pixels(fetch_pixels(fetched_pixel, inside, line, 0u), lane, inside, 0u);
    workgroupBarrier();
    var sum: array<vec4<f32>, 16>;
    var first = 0u;
    var tap = 0u;
    while (first < params.in_count) {
        // The next tap's numbers are on their way while these are multiplied. The taps of the same inputs follow each
        // other, so that they find the same pixels near.
        tap++;
        if (tap == TAPS) {
            tap = 0u;
            first += DEPTH;
        }
        var weights: mat2x4<f32>;
        var pixels: mat2x4<f32>;
        if (first < params.in_count) {
            weights = fetch_weights(places, first + line, tap);
            pixels = fetch_pixels(fetched_pixel, inside, first + line, tap);
        }
        for (var k = 0u; k < DEPTH; k++) {
            let upper = weights_tile[k * ROW + lane / 8u];
            let lower = weights_tile[k * ROW + lane / 8u + 8u];
            let left = pixels_tile[k * ROW + lane % 8u];
            let right = pixels_tile[k * ROW + lane % 8u + 8u];
            // shared: multiply_8x8
            sum[0] += upper.x * left;
            sum[1] += upper.x * right;
            sum[2] += upper.y * left;
            sum[3] += upper.y * right;
            sum[4] += upper.z * left;
            sum[5] += upper.z * right;
            sum[6] += upper.w * left;
            sum[7] += upper.w * right;
            sum[8] += lower.x * left;
            sum[9] += lower.x * right;
            sum[10] += lower.y * left;
            sum[11] += lower.y * right;
            sum[12] += lower.z * left;
            sum[13] += lower.z * right;
            sum[14] += lower.w * left;
            sum[15] += lower.w * right;
            // end
        }
        workgroupBarrier();
        put_weights(weights, lane, first + line);
        put_pixels(pixels, lane, inside, tap);
        workgroupBarrier();
    }
    let output = first_output + lane / 8u;
    let pixel = first_pixel + lane % 8u;
    store(output, pixel, sum[0]);
    store(output, pixel + 8u, sum[1]);
    store(output + 16u, pixel, sum[2]);
    store(output + 16u, pixel + 8u, sum[3]);
    store(output + 32u, pixel, sum[4]);
    store(output + 32u, pixel + 8u, sum[5]);
    store(output + 48u, pixel, sum[6]);
    store(output + 48u, pixel + 8u, sum[7]);
    store(output + 8u, pixel, sum[8]);
    store(output + 8u, pixel + 8u, sum[9]);
    store(output + 24u, pixel, sum[10]);
    store(output + 24u, pixel + 8u, sum[11]);
    store(output + 40u, pixel, sum[12]);
    store(output + 40u, pixel + 8u, sum[13]);
    store(output + 56u, pixel, sum[14]);
    store(output + 56u, pixel + 8u, sum[15]);
}
