// y(o, r, c) = relu(b(o) + Σ w(ky, kx, i, o)·x(i, r+ky−1, c+kx−1)), zero outside, as an implicit GEMM. With the
// flipped, transposed weights it is the backward convolution.
// x (C_in, H, W), w (3, 3, C_in, out_stride), b (C_out), gate and y (C_out, H, W); flags say which of bias, ReLU,
// y += and gate take part. x and y are pieces: channel groups of their tensors.
// Threads: one owns 8 neighbouring pixels of a row × 16 outputs; all threads of a workgroup have the same outputs.
// Tile: each lane loads one of 8 weights and broadcasts hand them to all, so a weight is loaded once for 64 or more
// pixels; a row of 10 pixels is loaded once for 3 taps. No workgroup memory, no barrier. Right for subgroups of 8
// lanes or more.

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
    out_stride: u32,
    pixel_groups: u32,
    flags: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> w: array<f32>;
@group(0) @binding(4) var<storage, read> b: array<f32>;
@group(0) @binding(5) var<storage, read> gate: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;

const ACCUMULATE: u32 = 1u;
const BIAS: u32 = 2u;
const RELU: u32 = 4u;
const GATE: u32 = 8u;

fn store(output: u32, at: u32, sum: f32) {
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
    if ((params.flags & GATE) != 0u) {
        value = select(0.0, value, gate[at] > 0.0);
    }
    y[at] = value;
}

const PIXELS: u32 = 8u;
const OUTPUTS: u32 = 16u;

fn weight(tap: u32, input: u32, output: u32) -> f32 {
    let column = min(params.out_first + output, params.out_stride - 1u);
    return w[(tap * params.in_total + params.in_first + input) * params.out_stride + column];
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
    let group = slice.first + group_id.y * FOLD + group_id.x;
    if (group >= slice.end) {
        return;
    }
    let first_output = group / params.pixel_groups * OUTPUTS;
    let segment = group % params.pixel_groups * WORKGROUP + lane;
    let segments = (params.w + PIXELS - 1u) / PIXELS;
    let row = segment / segments;
    let first_col = segment % segments * PIXELS;
    let plane = params.h * params.w;

    var sum: array<f32, 128>;
    for (var input = 0u; input < params.in_count; input++) {
        for (var ky = 0u; ky < 3u; ky++) {
            let source_row = row + ky - 1u;
            var line: array<f32, 10>;
            for (var k = 0u; k < PIXELS + 2u; k++) {
                let source_col = first_col + k - 1u;
                let inside = source_row < params.h && source_col < params.w;
                let value = x[select(0u, input * plane + source_row * params.w + source_col, inside)];
                line[k] = select(0.0, value, inside);
            }
            for (var kx = 0u; kx < 3u; kx++) {
                for (var half = 0u; half < OUTPUTS; half += 8u) {
                    let mine = weight(ky * 3u + kx, input, first_output + half + (subgroup_lane & 7u));
                    for (var o = 0u; o < 8u; o++) {
                        let shared_weight = subgroupShuffle(mine, o);
                        for (var p = 0u; p < PIXELS; p++) {
                            sum[(half + o) * PIXELS + p] += shared_weight * line[kx + p];
                        }
                    }
                }
            }
        }
    }
    for (var o = 0u; o < OUTPUTS; o++) {
        for (var p = 0u; p < PIXELS; p++) {
            let output = first_output + o;
            let col = first_col + p;
            if (output < params.out_count && row < params.h && col < params.w) {
                store(output, output * plane + row * params.w + col, sum[o * PIXELS + p]);
            }
        }
    }
}
