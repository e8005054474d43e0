// m(ξ, i, t) = Σ u(35 − ξ; i, d)·v(ξ, d, t) over the channels d of dy: as winograd_gemm_forward_subgroup, for the
// gradient with respect to the convolution's input i. The reversed component is the flipped kernel's, so both
// directions read one copy of the weights; here neighbours in u are the channels that are summed over.
// v (36, depth, stride4) and m (36, outputs, stride4) in vec4s of four tiles, tiles4 of them in a row; u (36,
// ⌈C_out/32⌉, C_in, 32).
// Threads: a workgroup is one subgroup of 8 lanes that owns 64 outputs × 32 tiles of one component; a lane owns 4 tiles.
// Tile: as in the forward kernel, but a lane loads the weights of two channels for one of 8 outputs. Only for subgroups
// of exactly 8 lanes, which is the software adapter.

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

// shared: winograd_gemm_params
struct Params {
    depth: u32,
    outputs: u32,
    tiles4: u32,
    stride4: u32,
    weight_rows: u32,
    weight_blocks: u32,
    tile_groups: u32,
    flags: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
// end
@group(0) @binding(2) var<storage, read> u: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read> v: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> m: array<vec4<f32>>;

const COMPONENTS: u32 = 36u;
const OUTPUTS: u32 = 64u;
const TILES: u32 = 32u;
const BLOCK: u32 = 32u;
const LANES: u32 = 8u;
// Pairs of channels in a row of a block of u.
const RUN: u32 = 16u;

// The variants with operands in f16 load otherwise: src/ops/conv/gemm.rs.
fn load_weights(at: u32) -> vec2<f32> {
    return u[at];
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(subgroup_invocation_id) lane: u32) {
    let group = group_number(group_id);
    if (group >= slice.end) {
        return;
    }
    let output_groups = (params.outputs + OUTPUTS - 1u) / OUTPUTS;
    let component = group / params.tile_groups / output_groups;
    let first_output = group / params.tile_groups % output_groups * OUTPUTS;
    let column = group % params.tile_groups * LANES + lane;
    // Past the end the last one is read instead; it is not stored.
    var at = component * params.depth * params.stride4 + min(column, params.tiles4 - 1u);
    let from0 = min(first_output + 0u + lane, params.outputs - 1u) * RUN;
    let from1 = min(first_output + 8u + lane, params.outputs - 1u) * RUN;
    let from2 = min(first_output + 16u + lane, params.outputs - 1u) * RUN;
    let from3 = min(first_output + 24u + lane, params.outputs - 1u) * RUN;
    let from4 = min(first_output + 32u + lane, params.outputs - 1u) * RUN;
    let from5 = min(first_output + 40u + lane, params.outputs - 1u) * RUN;
    let from6 = min(first_output + 48u + lane, params.outputs - 1u) * RUN;
    let from7 = min(first_output + 56u + lane, params.outputs - 1u) * RUN;
    let first_row = (COMPONENTS - 1u - component) * params.weight_blocks * params.weight_rows * RUN;

    var sum: array<vec4<f32>, 64>;
    for (var d = 0u; d < params.depth; d += 2u) {
        let row = first_row + d / BLOCK * params.weight_rows * RUN + d % BLOCK / 2u;
        let even = v[at];
        // An odd last channel is paired with itself: its partner in u is padding, 0.
        let odd = v[at + select(0u, params.stride4, d + 1u < params.depth)];
        let pairs0 = load_weights(row + from0);
        for (var l = 0u; l < 8u; l++) {
            let s = subgroupShuffle(pairs0, l);
            sum[0u + l] += s.x * even + s.y * odd;
        }
        let pairs1 = load_weights(row + from1);
        for (var l = 0u; l < 8u; l++) {
            let s = subgroupShuffle(pairs1, l);
            sum[8u + l] += s.x * even + s.y * odd;
        }
        let pairs2 = load_weights(row + from2);
        for (var l = 0u; l < 8u; l++) {
            let s = subgroupShuffle(pairs2, l);
            sum[16u + l] += s.x * even + s.y * odd;
        }
        let pairs3 = load_weights(row + from3);
        for (var l = 0u; l < 8u; l++) {
            let s = subgroupShuffle(pairs3, l);
            sum[24u + l] += s.x * even + s.y * odd;
        }
        let pairs4 = load_weights(row + from4);
        for (var l = 0u; l < 8u; l++) {
            let s = subgroupShuffle(pairs4, l);
            sum[32u + l] += s.x * even + s.y * odd;
        }
        let pairs5 = load_weights(row + from5);
        for (var l = 0u; l < 8u; l++) {
            let s = subgroupShuffle(pairs5, l);
            sum[40u + l] += s.x * even + s.y * odd;
        }
        let pairs6 = load_weights(row + from6);
        for (var l = 0u; l < 8u; l++) {
            let s = subgroupShuffle(pairs6, l);
            sum[48u + l] += s.x * even + s.y * odd;
        }
        let pairs7 = load_weights(row + from7);
        for (var l = 0u; l < 8u; l++) {
            let s = subgroupShuffle(pairs7, l);
            sum[56u + l] += s.x * even + s.y * odd;
        }
        at += 2u * params.stride4;
    }
    let row = (component * params.outputs + first_output) * params.stride4 + column;
    for (var o = 0u; o < OUTPUTS; o++) {
        if (first_output + o < params.outputs && column < params.tiles4) {
            m[row + o * params.stride4] = sum[o];
        }
    }
}
