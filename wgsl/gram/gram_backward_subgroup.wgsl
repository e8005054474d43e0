// dx(c, p) = scale·(Σ over k of s(k, c)·x(k, p) + m(c)·t(p)), scale = 1/(H·W); flags: whether m takes part, whether t is the
// guidance or 1, dx += and zero where the bit of the ReLU's mask `gate` is not set. s (⌈C/32⌉, C, 32) = dY + dYᵀ for the
// channels of dx as gram_backward_weights makes it, dy (1, C+1, C) with m as its last row, x, dx (C, H, W), guidance (1, H, W),
// gate (C, ⌈H/4⌉, ⌈W/8⌉) words as relu_mask makes them; x and dx are pieces: channel groups of their tensors.
// Threads: one owns 4 neighbouring pixels × 32 channels; all threads of a workgroup have the same channels.
// Tile: as in winograd_gemm_forward_subgroup: a lane loads 4 of 32 weights, and shuffles hand them to all. Two
// channels are added to a sum in one expression, which halves the traffic of sums that do not fit the registers. Only
// for subgroups of exactly 8 lanes, which is the software adapter: AMD's compiler keeps the 128 sums in memory.

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
@group(0) @binding(2) var<storage, read> s: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read> x: array<f32>;
@group(0) @binding(5) var<storage, read> guidance: array<f32>;
@group(0) @binding(6) var<storage, read> gate: array<u32>;
@group(0) @binding(7) var<storage, read_write> d_x: array<f32>;

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

const PIXELS: u32 = 4u;
const OUTPUTS: u32 = 32u;
const LANES: u32 = 8u;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
    let group = group_number(group_id);
    let plane = params.h * params.w;
    if (group >= slice.end) {
        return;
    }
    let block = group / params.pixel_groups;
    let first_pixel = (group % params.pixel_groups * WORKGROUP + lane) * PIXELS;

    // Pixels past the end repeat the last one; they are not stored.
    let pixels = min(vec4(first_pixel) + vec4(0u, 1u, 2u, 3u), vec4(plane - 1u));
    var weights_at = (block * params.channels + params.in_first) * LANES + subgroup_lane;
    var sum: array<vec4<f32>, 32>;
    for (var k = 0u; k < params.in_count; k += 2u) {
        // An odd last channel is paired with itself and weight 0.
        let paired = k + 1u < params.in_count;
        let at = pixels + k * plane;
        let next = at + select(0u, plane, paired);
        let even = vec4(x[at.x], x[at.y], x[at.z], x[at.w]);
        let odd = vec4(x[next.x], x[next.y], x[next.z], x[next.w]);
        let even_weights = s[weights_at];
        let odd_weights = select(0.0, 1.0, paired) * s[weights_at + select(0u, LANES, paired)];
        for (var l = 0u; l < LANES; l++) {
            let e = subgroupShuffle(even_weights, l);
            let o = subgroupShuffle(odd_weights, l);
            sum[4u * l] += e.x * even + o.x * odd;
            sum[4u * l + 1u] += e.y * even + o.y * odd;
            sum[4u * l + 2u] += e.z * even + o.z * odd;
            sum[4u * l + 3u] += e.w * even + o.w * odd;
        }
        weights_at += 2u * LANES;
    }
    if ((params.flags & MEAN) != 0u) {
        let pixel_weights = mean_weights(pixels);
        for (var o = 0u; o < OUTPUTS; o++) {
            // Channels past the end repeat the last one; they are not stored.
            sum[o] += pixel_weights * mean_gradient(min(block * OUTPUTS + o, params.out_count - 1u));
        }
    }
    for (var p = 0u; p < PIXELS; p++) {
        let pixel = first_pixel + p;
        if (pixel < plane) {
            // Where the pixel is in the gate, found once for all outputs.
            let row = pixel / params.w;
            let col = pixel % params.w;
            let gate_block = row / 4u * ((params.w + 7u) / 8u) + col / 8u;
            let bit = row % 4u * 8u + col % 8u;
            for (var o = 0u; o < OUTPUTS; o++) {
                let output = block * OUTPUTS + o;
                if (output < params.out_count) {
                    let open = ((gate_word(output, gate_block) >> bit) & 1u) != 0u;
                    store(output * plane + pixel, params.scale * sum[o][p], open);
                }
            }
        }
    }
}
