// m(ξ, o, t) = Σ weight(ξ, d, o)·v(ξ, d, t) over the channels d: the middle of Winograd's F(4×4, 3×3), a product of
// matrices for each of the 36 components ξ of the transformed 6×6 tiles t.
// v (36, depth, stride4) and m (36, outputs, stride4) in vec4s of four tiles each; a row holds tiles4 of them, the rest
// is padding. u (36, ⌈C_out/32⌉, C_in, 32): the weights in blocks of 32 output channels, padded with zeros.
// weight(ξ, d, o) = u(ξ; d, o); TRANSPOSED, for the gradient: u(35 − ξ; o, d). The components are in such an order that
// the transform of the flipped kernel is the reversed one, so both directions read the same u.
// Threads: 8×8 in a workgroup that owns 64 outputs × 64 tiles of one component; each thread 8×8 of them, as two vec4s
// of outputs and two of tiles, 32 apart, so that neighbours read neighbouring vec4s of workgroup memory.
// Tile: 8×8 a thread reads half as much workgroup memory for a multiply-add as 4×4 does. Blocks of 128×128 with 256
// threads would fill worse: VGG-19 at 400×300 has 130 tiles in block 4 and 64 outputs in block 1.
// For AMD and NVIDIA: RADV's compiler for polaris10, vega10, navi10, navi21, navi31 takes 124, 128, 128, 128, 132
// registers and spills nothing; 73 to 78 % of the loop's instructions are multiply-adds; 8.5 KiB of workgroup memory,
// which allows about as many workgroups as the registers do. Unrolled by the compiler it would spill on Intel.
// The next lines are fetched while the present ones are multiplied: hence the branch around fetching, after which the
// compiler would otherwise put the loads, and what is fetched is put away in the same trip, or it would be copied, and
// so awaited, too early.
// Rows of workgroup memory are padded by a vec4, or the transposed copy would meet a bank four times instead of twice.

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

const TRANSPOSED: u32 = 1u;

const COMPONENTS: u32 = 36u;
const OUTPUTS: u32 = 64u;
const TILES: u32 = 64u;
const DEPTH: u32 = 16u;
const BLOCK: u32 = 32u;
// In vec4s: a row of a block of u; what a workgroup owns of a row; a row of workgroup memory.
const RUN: u32 = 8u;
const WIDTH: u32 = 16u;
const ROW: u32 = 17u;

var<workgroup> weights_tile: array<vec4<f32>, 272>;
var<workgroup> values_tile: array<vec4<f32>, 272>;

// shared: winograd_gemm_loads
// The variants with operands in f16 load otherwise: src/ops/conv/gemm.rs.
fn load_weights(at: u32) -> vec4<f32> {
    return u[at];
}

fn load_values(at: u32) -> vec4<f32> {
    return v[at];
}
// end

// Four vec4s that lie `step` apart, none past `last`.
fn fetch_weights(at: u32, step: u32, last: u32) -> mat4x4<f32> {
    return mat4x4(
        load_weights(min(at, last)),
        load_weights(min(at + step, last)),
        load_weights(min(at + 2u * step, last)),
        load_weights(min(at + 3u * step, last)),
    );
}

fn fetch_values(at: u32, step: u32, last: u32) -> mat4x4<f32> {
    return mat4x4(
        load_values(min(at, last)),
        load_values(min(at + step, last)),
        load_values(min(at + 2u * step, last)),
        load_values(min(at + 3u * step, last)),
    );
}

// Puts what the thread has fetched into workgroup memory: lines of outputs. Channels after the last weigh nothing.
fn put_weights(fetched: mat4x4<f32>, lane: u32, first: u32) {
    if ((params.flags & TRANSPOSED) != 0u) {
        let to = lane % 4u * 4u * ROW + lane / 4u;
        let lines = transpose(fetched);
        weights_tile[to] = lines[0];
        weights_tile[to + ROW] = lines[1];
        weights_tile[to + 2u * ROW] = lines[2];
        weights_tile[to + 3u * ROW] = lines[3];
    } else {
        let to = lane / WIDTH * ROW + lane % WIDTH;
        let channel = first + lane / WIDTH;
        weights_tile[to] = select(vec4(0.0), fetched[0], channel < params.depth);
        weights_tile[to + 4u * ROW] = select(vec4(0.0), fetched[1], channel + 4u < params.depth);
        weights_tile[to + 8u * ROW] = select(vec4(0.0), fetched[2], channel + 8u < params.depth);
        weights_tile[to + 12u * ROW] = select(vec4(0.0), fetched[3], channel + 12u < params.depth);
    }
}

fn put_values(fetched: mat4x4<f32>, lane: u32) {
    let to = lane / WIDTH * ROW + lane % WIDTH;
    values_tile[to] = fetched[0];
    values_tile[to + 4u * ROW] = fetched[1];
    values_tile[to + 8u * ROW] = fetched[2];
    values_tile[to + 12u * ROW] = fetched[3];
}

fn store(at: u32, output: u32, column: u32, left: vec4<f32>, right: vec4<f32>) {
    if (output < params.outputs) {
        if (column < params.tiles4) {
            m[at + output * params.stride4] = left;
        }
        if (column + RUN < params.tiles4) {
            m[at + output * params.stride4 + RUN] = right;
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    if (group >= slice.end) {
        return;
    }
    let output_groups = (params.outputs + OUTPUTS - 1u) / OUTPUTS;
    let component = group / params.tile_groups / output_groups;
    let first_output = group / params.tile_groups % output_groups * OUTPUTS;
    let first_column = group % params.tile_groups * WIDTH;
    let transposed = (params.flags & TRANSPOSED) != 0u;
    // What this thread fetches: a column in four lines, four lines apart. An index past the end is held at the last
    // line or column: what is read there is multiplied by zero or not stored.
    let fetched_column = lane % WIDTH;
    let fetched_line = lane / WIDTH;
    let values_step = 4u * params.stride4;
    let held_column = min(first_column + fetched_column, params.tiles4 - 1u);
    let values_row = component * params.depth * params.stride4 + held_column;
    let values_at = values_row + fetched_line * params.stride4;
    let values_last = values_row + (params.depth - 1u) * params.stride4;
    // Of u forward the same; of u transposed four outputs × four channels: a vec4 of channels in four rows.
    let block_size = params.weight_rows * RUN;
    let block = min(first_output / BLOCK + fetched_column / RUN, params.weight_blocks - 1u);
    var weights_row = (component * params.weight_blocks + block) * block_size + fetched_column % RUN;
    var weights_at = weights_row + fetched_line * RUN;
    var weights_last = weights_row + (params.depth - 1u) * RUN;
    var weights_step = 4u * RUN;
    if (transposed) {
        weights_row = (COMPONENTS - 1u - component) * params.weight_blocks * block_size + lane % 4u;
        weights_at = weights_row + (first_output + lane / 4u * 4u) * RUN;
        weights_last = weights_row + (params.outputs - 1u) * RUN;
        weights_step = RUN;
    }
    // What it computes.
    let column = lane % 8u;
    let line = lane / 8u;

    put_weights(fetch_weights(weights_at, weights_step, weights_last), lane, 0u);
    put_values(fetch_values(values_at, values_step, values_last), lane);
    workgroupBarrier();
    var sum: array<vec4<f32>, 16>;
    for (var first = 0u; first < params.depth; first += DEPTH) {
        // The next lines are on their way while these are multiplied.
        let next = first + DEPTH;
        var weights: mat4x4<f32>;
        var values: mat4x4<f32>;
        if (next < params.depth) {
            let within = next / BLOCK * block_size + next % BLOCK / 4u;
            let advance = select(next * RUN, within, transposed);
            let last = weights_last + select(0u, within, transposed);
            weights = fetch_weights(weights_at + advance, weights_step, last);
            values = fetch_values(values_at + next * params.stride4, values_step, values_last);
        }
        for (var k = 0u; k < DEPTH; k++) {
            let upper = weights_tile[k * ROW + line];
            let lower = weights_tile[k * ROW + line + 8u];
            let left = values_tile[k * ROW + column];
            let right = values_tile[k * ROW + column + 8u];
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
        put_weights(weights, lane, next);
        put_values(values, lane);
        workgroupBarrier();
    }
    let at = component * params.outputs * params.stride4 + first_column + column;
    let output = first_output + line * 4u;
    store(at, output, first_column + column, sum[0], sum[1]);
    store(at, output + 1u, first_column + column, sum[2], sum[3]);
    store(at, output + 2u, first_column + column, sum[4], sum[5]);
    store(at, output + 3u, first_column + column, sum[6], sum[7]);
    store(at, output + 32u, first_column + column, sum[8], sum[9]);
    store(at, output + 33u, first_column + column, sum[10], sum[11]);
    store(at, output + 34u, first_column + column, sum[12], sum[13]);
    store(at, output + 35u, first_column + column, sum[14], sum[15]);
}
