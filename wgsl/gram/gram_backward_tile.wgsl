// dx(c, p) = scale·(Σ over k of (dY + dYᵀ)(k, c)·x(k, p) + m(c)·t(p)), scale = 1/(H·W); flags: whether m takes part, whether t
// is the guidance or 1, dx += and zero where the bit of the ReLU's mask `gate` is not set. dy (1, C, C), with m (1, C+1, C),
// whose last row it is; x, dx (C, H, W), guidance (1, H, W), gate (C, ⌈H/4⌉, ⌈W/8⌉) words as relu_mask makes them; x and dx are
// pieces: channel groups of their tensors.
// Threads: 8×8 in a workgroup that owns 32 channels × 32 pixels; each thread 4×4 of them, 8 apart.
// Tile: as in conv_gemm_tile.

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

const ACCUMULATE: u32 = 1u;
const GATE: u32 = 8u;

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

// shared: gram_mean_vec4
fn mean_weights(pixels: vec4<u32>) -> vec4<f32> {
    return vec4(mean_weight(pixels.x), mean_weight(pixels.y), mean_weight(pixels.z), mean_weight(pixels.w));
}
// end

// dY + dYᵀ at four inputs and an output: the gradient reaches F from both sides of F·Fᵀ. What lies after the last
// input weighs nothing.
fn weights(input: vec4<u32>, output: u32) -> vec4<f32> {
    let i = params.in_first + min(input, vec4(params.in_count - 1u));
    let o = min(params.out_first + output, params.channels - 1u);
    let row = i * params.channels + o;
    let column = o * params.channels + i;
    let sum = vec4(dy[row.x], dy[row.y], dy[row.z], dy[row.w])
        + vec4(dy[column.x], dy[column.y], dy[column.z], dy[column.w]);
    return select(vec4(0.0), sum, input < vec4(params.in_count));
}

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

// Four pixels of an output, APART apart. What lies after the last pixel is neither read nor written.
fn store(output: u32, pixel: u32, sum: vec4<f32>) {
    let plane = params.h * params.w;
    if (output >= params.out_count || pixel >= plane) {
        return;
    }
    let pixels = vec4(pixel) + vec4(0u, 1u, 2u, 3u) * APART;
    let inside = pixels < vec4(plane);
    let sources = select(vec4(pixel), pixels, inside);
    let at = output * plane + sources;
    var total = sum;
    if ((params.flags & MEAN) != 0u) {
        total += mean_weights(sources) * mean_gradient(output);
    }
    var value = params.scale * total;
    if ((params.flags & ACCUMULATE) != 0u) {
        value += vec4(d_x[at.x], d_x[at.y], d_x[at.z], d_x[at.w]);
    }
    value = gated(value, output, sources);
    d_x[at.x] = value.x;
    if (inside.y) {
        d_x[at.y] = value.y;
    }
    if (inside.z) {
        d_x[at.z] = value.z;
    }
    if (inside.w) {
        d_x[at.w] = value.w;
    }
}

const BLOCK: u32 = 32u;
const DEPTH: u32 = 8u;
const APART: u32 = 8u;

// Each vec4 holds four inputs of one output or pixel, as in conv_gemm_tile.
var<workgroup> weights_tile: array<vec4<f32>, 64>;
var<workgroup> pixels_tile: array<vec4<f32>, 64>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    if (group >= slice.end) {
        return;
    }
    let first_output = group / params.pixel_groups * BLOCK;
    let first_pixel = group % params.pixel_groups * BLOCK;
    // What this thread fetches: four inputs of one output and of one pixel.
    let column = lane % BLOCK;
    let inputs = vec4(lane / BLOCK * 4u) + vec4(0u, 1u, 2u, 3u);
    let plane = params.h * params.w;
    let source = min(first_pixel + column, plane - 1u);
    // What it computes.
    let output = lane / 8u;
    let pixel = lane % 8u;

    var sum: array<vec4<f32>, 4>;
    for (var first = 0u; first < params.in_count; first += DEPTH) {
        let input = first + inputs;
        let at = min(input, vec4(params.in_count - 1u)) * plane + source;
        pixels_tile[lane] = vec4(x[at.x], x[at.y], x[at.z], x[at.w]);
        weights_tile[lane] = weights(input, first_output + column);
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
    store(first_output + output, first_pixel + pixel, sum[0]);
    store(first_output + output + 8u, first_pixel + pixel, sum[1]);
    store(first_output + output + 16u, first_pixel + pixel, sum[2]);
    store(first_output + output + 24u, first_pixel + pixel, sum[3]);
}
