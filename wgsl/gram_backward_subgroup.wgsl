// dx(c, p) = scale·Σ over k of (dY + dYᵀ)(k, c)·x(k, p), scale = 1/(H·W); flags: dx += and zero where the bit of the
// ReLU's mask `gate` is not set. dy (1, C, C), x, dx (C, H, W), gate (C, ⌈H/4⌉, ⌈W/8⌉) words as relu_forward_mask makes
// them; x and dx are pieces: channel groups of their tensors.
// Threads: one owns 8 neighbouring pixels × 16 channels; all threads of a workgroup have the same channels.
// Tile: as in conv_forward_subgroup: each lane loads one of 8 weights and broadcasts hand them to all. Two
// channels are added to a sum in one expression, which halves the traffic of sums that do not fit the registers.
// Right for subgroups of 8 lanes or more, but taken for exactly 8, which is the software adapter: AMD's compiler keeps
// the 128 sums in memory.

override WORKGROUP: u32 = 64u;
override FOLD: u32 = 32768u;

struct Slice { first: u32, end: u32 }
@group(0) @binding(0) var<uniform> slice: Slice;

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
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read> x: array<f32>;
@group(0) @binding(4) var<storage, read> gate: array<u32>;
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;

const ACCUMULATE: u32 = 1u;
const GATE: u32 = 8u;

// dY + dYᵀ at (input, output): the gradient reaches F from both sides of F·Fᵀ.
fn weight(input: u32, output: u32) -> f32 {
    let i = params.in_first + input;
    let o = min(params.out_first + output, params.channels - 1u);
    return dy[i * params.channels + o] + dy[o * params.channels + i];
}

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

fn store(at: u32, sum: f32, open: bool) {
    var value = params.scale * sum;
    if ((params.flags & ACCUMULATE) != 0u) {
        value += dx[at];
    }
    dx[at] = select(0.0, value, open);
}

const PIXELS: u32 = 8u;
const OUTPUTS: u32 = 16u;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
    let group = slice.first + group_id.y * FOLD + group_id.x;
    let plane = params.h * params.w;
    if (group >= slice.end) {
        return;
    }
    let first_output = group / params.pixel_groups * OUTPUTS;
    let first_pixel = (group % params.pixel_groups * WORKGROUP + lane) * PIXELS;

    var pixel: array<u32, 8>;
    for (var p = 0u; p < PIXELS; p++) {
        // Pixels past the end repeat the last one; they are not stored.
        pixel[p] = min(first_pixel + p, plane - 1u);
    }
    var sum: array<f32, 128>;
    for (var k = 0u; k < params.in_count; k += 2u) {
        // An odd last channel is paired with itself and weight 0.
        let paired = k + 1u < params.in_count;
        let next = select(k, k + 1u, paired);
        var even: array<f32, 8>;
        var odd: array<f32, 8>;
        for (var p = 0u; p < PIXELS; p++) {
            even[p] = x[k * plane + pixel[p]];
            odd[p] = x[next * plane + pixel[p]];
        }
        for (var half = 0u; half < OUTPUTS; half += 8u) {
            let output = first_output + half + (subgroup_lane & 7u);
            let even_weight = weight(k, output);
            let odd_weight = select(0.0, weight(next, output), paired);
            for (var o = 0u; o < 8u; o++) {
                let e = subgroupShuffle(even_weight, o);
                let d = subgroupShuffle(odd_weight, o);
                for (var p = 0u; p < PIXELS; p++) {
                    sum[(half + o) * PIXELS + p] += e * even[p] + d * odd[p];
                }
            }
        }
    }
    for (var p = 0u; p < PIXELS; p++) {
        let pixel = first_pixel + p;
        if (pixel < plane) {
            // Where the pixel is in the gate, found once for all outputs.
            let row = pixel / params.w;
            let col = pixel % params.w;
            let block = row / 4u * ((params.w + 7u) / 8u) + col / 8u;
            let bit = row % 4u * 8u + col % 8u;
            for (var o = 0u; o < OUTPUTS; o++) {
                let output = first_output + o;
                if (output < params.out_count) {
                    let open = ((gate_word(output, block) >> bit) & 1u) != 0u;
                    store(output * plane + pixel, sum[o * PIXELS + p], open);
                }
            }
        }
    }
}
