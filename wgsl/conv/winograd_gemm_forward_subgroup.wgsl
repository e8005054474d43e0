// m(ξ, o, t) = Σ u(ξ; d, o)·v(ξ, d, t) over the channels d: the products of matrices in the middle of Winograd's
// F(4×4, 3×3), one for each of the 36 components ξ of the transformed tiles t.
// v (36, depth, stride4) and m (36, outputs, stride4) in vec4s of four tiles, tiles4 of them in a row; u (36,
// ⌈C_out/32⌉, C_in, 32).
// Threads: a workgroup is one subgroup of 8 lanes that owns 64 outputs × 32 tiles of one component; a lane owns 4 tiles.
// Tile: a lane loads 4 of 32 weights, and shuffles hand them to all: 3 vec4 loads for 64 vec4 multiply-adds. Two
// channels are added to a sum in one expression, which halves the traffic of sums that do not fit the registers. A
// larger tile, or more channels at a time, needs fewer loads a product, but no longer fits the processor's cache of
// instructions (half as fast). Only for subgroups of exactly 8 lanes, which is the software adapter.

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
@group(0) @binding(2) var<storage, read> u: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> v: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> m: array<vec4<f32>>;

const COMPONENTS: u32 = 36u;
const OUTPUTS: u32 = 64u;
const TILES: u32 = 32u;
const BLOCK: u32 = 32u;
const LANES: u32 = 8u;

// shared: winograd_gemm_loads
// The variants with operands in f16 load otherwise: src/ops/conv/gemm.rs.
fn load_weights(at: u32) -> vec4<f32> {
    return u[at];
}

fn load_values(at: u32) -> vec4<f32> {
    return v[at];
}
// end

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
    let block = params.weight_rows * LANES;
    let first_block = component * params.weight_blocks + first_output / BLOCK;
    let last_block = component * params.weight_blocks + params.weight_blocks - 1u;
    var low_at = first_block * block + lane;
    var high_at = min(first_block + 1u, last_block) * block + lane;

    var sum: array<vec4<f32>, 64>;
    for (var d = 0u; d < params.depth; d += 2u) {
        // An odd last channel is paired with itself and weight 0.
        let paired = d + 1u < params.depth;
        let even = load_values(at);
        let odd = load_values(at + select(0u, params.stride4, paired));
        let next = select(0u, LANES, paired);
        let share = select(0.0, 1.0, paired);
        let low_even = load_weights(low_at);
        let low_odd = share * load_weights(low_at + next);
        for (var l = 0u; l < 4u; l++) {
            let e = subgroupShuffle(low_even, l);
            let o = subgroupShuffle(low_odd, l);
            sum[4u * l] += e.x * even + o.x * odd;
            sum[4u * l + 1u] += e.y * even + o.y * odd;
            sum[4u * l + 2u] += e.z * even + o.z * odd;
            sum[4u * l + 3u] += e.w * even + o.w * odd;
        }
        for (var l = 4u; l < 8u; l++) {
            let e = subgroupShuffle(low_even, l);
            let o = subgroupShuffle(low_odd, l);
            sum[4u * l] += e.x * even + o.x * odd;
            sum[4u * l + 1u] += e.y * even + o.y * odd;
            sum[4u * l + 2u] += e.z * even + o.z * odd;
            sum[4u * l + 3u] += e.w * even + o.w * odd;
        }
        let high_even = load_weights(high_at);
        let high_odd = share * load_weights(high_at + next);
        for (var l = 0u; l < 4u; l++) {
            let e = subgroupShuffle(high_even, l);
            let o = subgroupShuffle(high_odd, l);
            sum[BLOCK + 4u * l] += e.x * even + o.x * odd;
            sum[BLOCK + 4u * l + 1u] += e.y * even + o.y * odd;
            sum[BLOCK + 4u * l + 2u] += e.z * even + o.z * odd;
            sum[BLOCK + 4u * l + 3u] += e.w * even + o.w * odd;
        }
        for (var l = 4u; l < 8u; l++) {
            let e = subgroupShuffle(high_even, l);
            let o = subgroupShuffle(high_odd, l);
            sum[BLOCK + 4u * l] += e.x * even + o.x * odd;
            sum[BLOCK + 4u * l + 1u] += e.y * even + o.y * odd;
            sum[BLOCK + 4u * l + 2u] += e.z * even + o.z * odd;
            sum[BLOCK + 4u * l + 3u] += e.w * even + o.w * odd;
        }
        at += 2u * params.stride4;
        low_at += 2u * LANES;
        high_at += 2u * LANES;
    }
    let row = (component * params.outputs + first_output) * params.stride4 + column;
    for (var o = 0u; o < OUTPUTS; o++) {
        if (first_output + o < params.outputs && column < params.tiles4) {
            m[row + o * params.stride4] = sum[o];
        }
    }
}
