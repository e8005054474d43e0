// m(ξ, o, t) = Σ weight(ξ, d, o)·v(ξ, d, t) over the channels d: the middle of Winograd's F(4×4, 3×3), a product of
// matrices for each of the 36 components ξ of the transformed 6×6 tiles t.
// v (36, depth, stride4) and m (36, outputs, stride4) in vec4s of four tiles each; a row holds tiles4 of them, the rest
// is padding. u (36, ⌈C_out/32⌉, C_in, 32): the weights in blocks of 32 output channels, padded with zeros.
// weight(ξ, d, o) = u(ξ; d, o); TRANSPOSED, for the gradient: u(35 − ξ; o, d). The components are in such an order that
// the transform of the flipped kernel is the reversed one, so both directions read the same u.
// Threads: 8×8 in a workgroup that owns 32 outputs × 32 tiles of one component; each thread 4×4 of them.
// Tile: 4×4 a thread, as in conv_gemm_tile, fits every vendor. All that a thread fetches is asked for before any of
// it is awaited. RADV's compiler for polaris10, vega10, navi10, navi21, navi31: 64 to 72 registers, nothing spilled, of
// the loop's instructions 73 % are multiply-adds forward and 68 % transposed; 4.5 KiB of workgroup memory. Its rows are
// padded by a vec4, or the transposed copy would meet a bank four times instead of twice.

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
const OUTPUTS: u32 = 32u;
const TILES: u32 = 32u;
const DEPTH: u32 = 16u;
// In vec4s: what a workgroup owns of a row, which is also a row of a block of u; and a row of workgroup memory.
const RUN: u32 = 8u;
const ROW: u32 = 9u;

var<workgroup> weights_tile: array<vec4<f32>, 144>;
var<workgroup> values_tile: array<vec4<f32>, 144>;

// shared: winograd_gemm_loads
// The variants with operands in f16 load otherwise: src/ops/conv/gemm.rs.
fn load_weights(at: u32) -> vec4<f32> {
    return u[at];
}

fn load_values(at: u32) -> vec4<f32> {
    return v[at];
}
// end

fn store(at: u32, output: u32, sum: vec4<f32>) {
    if (output < params.outputs) {
        m[at + output * params.stride4] = sum;
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
    let output_group = group / params.tile_groups % output_groups;
    let first_column = group % params.tile_groups * RUN;
    let transposed = (params.flags & TRANSPOSED) != 0u;
    let column = lane % RUN;
    let line = lane / RUN;
    // What this thread fetches of v: its column in the lines `line` and `line + 8`. An index past the end is held at
    // the last line or column: what is read there is multiplied by zero or not stored.
    let last_line = params.depth - 1u;
    let held_column = min(first_column + column, params.tiles4 - 1u);
    let values_at = component * params.depth * params.stride4 + held_column;
    // Of u forward the same. Of u transposed, by the first half of the threads, four outputs × four channels: `corner`
    // is the vec4 of outputs, lane % 4 that of channels.
    let weights_at = (component * params.weight_blocks + output_group) * params.weight_rows * RUN + column;
    let corner = lane / 4u;
    let mirrored_at = (COMPONENTS - 1u - component) * params.weight_blocks * params.weight_rows * RUN + lane % 4u;
    let output = output_group * OUTPUTS + corner * 4u;
    let rows = min(vec4(output) + vec4(0u, 1u, 2u, 3u), vec4(params.outputs - 1u)) * RUN;

    var sum: array<vec4<f32>, 4>;
    for (var first = 0u; first < params.depth; first += DEPTH) {
        let near = first + line;
        let far = near + DEPTH / 2u;
        let near_value = load_values(values_at + min(near, last_line) * params.stride4);
        let far_value = load_values(values_at + min(far, last_line) * params.stride4);
        if (!transposed) {
            let near_weight = load_weights(weights_at + min(near, last_line) * RUN);
            let far_weight = load_weights(weights_at + min(far, last_line) * RUN);
            weights_tile[line * ROW + column] = select(vec4(0.0), near_weight, near <= last_line);
            weights_tile[(line + DEPTH / 2u) * ROW + column] = select(vec4(0.0), far_weight, far <= last_line);
        } else if (corner < RUN) {
            let at = mirrored_at + first / OUTPUTS * params.weight_rows * RUN + first % OUTPUTS / 4u;
            let block = transpose(mat4x4(
                load_weights(at + rows.x),
                load_weights(at + rows.y),
                load_weights(at + rows.z),
                load_weights(at + rows.w),
            ));
            let to = lane % 4u * 4u * ROW + corner;
            weights_tile[to] = block[0];
            weights_tile[to + ROW] = block[1];
            weights_tile[to + 2u * ROW] = block[2];
            weights_tile[to + 3u * ROW] = block[3];
        }
        values_tile[line * ROW + column] = near_value;
        values_tile[(line + DEPTH / 2u) * ROW + column] = far_value;
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k++) {
            let weight = weights_tile[k * ROW + line];
            let value = values_tile[k * ROW + column];
            sum[0] += weight.x * value;
            sum[1] += weight.y * value;
            sum[2] += weight.z * value;
            sum[3] += weight.w * value;
        }
        workgroupBarrier();
    }
    if (first_column + column < params.tiles4) {
        let at = component * params.outputs * params.stride4 + first_column + column;
        let first_output = output_group * OUTPUTS + line * 4u;
        store(at, first_output, sum[0]);
        store(at, first_output + 1u, sum[1]);
        store(at, first_output + 2u, sum[2]);
        store(at, first_output + 3u, sum[3]);
    }
}
