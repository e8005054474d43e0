// u(ξ; i, o) = (G·g·Gᵀ)(ξ) for the 3×3 kernel g = w(o, i): the weights' transform of Winograd's F(4×4, 3×3); see
// winograd_input for the points. It runs before each use where the transformed weights, four times as
// large, are not kept.
// w (C_out, C_in, 3, 3), u (36, ⌈C_out/32⌉, C_in, 32): blocks of 32 output channels, padded with zeros.
// Threads: one owns a kernel g; neighbours have neighbouring outputs of a block.
// Tile: 18 numbers in registers; the rows of G·g are transformed one by one.

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

struct Params {
    inputs: u32,
    outputs: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read_write> u: array<f32>;

// Arrays are of `Number` throughout: naga 30 takes those of `f32` for another type.
alias Number = f32;

// shared: winograd_weights_transform
const SIDE: u32 = 6u;
const BLOCK: u32 = 32u;
const ROOT: f32 = 1.4142135623730951;

// G·g for one line g = (x, y, z) of a kernel.
fn transform(x: Number, y: Number, z: Number) -> array<Number, 6> {
    let near = (2.0 * x + z) / 3.0;
    let far = (x + 2.0 * z) / 3.0;
    let odd = ROOT / 3.0 * y;
    return array<Number, 6>(x, near + odd, near - odd, far - odd, far + odd, z);
}
// end

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let index = group * WORKGROUP + lane;
    let input = index / BLOCK % params.inputs;
    let block = index / BLOCK / params.inputs;
    let output = block * BLOCK + index % BLOCK;
    let blocks = (params.outputs + BLOCK - 1u) / BLOCK;
    if (group >= slice.end || block >= blocks) {
        return;
    }
    let at = (min(output, params.outputs - 1u) * params.inputs + input) * 9u;
    let weight = select(0.0, 1.0, output < params.outputs);
    var columns: array<array<Number, 6>, 3>;
    for (var c = 0u; c < 3u; c++) {
        columns[c] = transform(weight * w[at + c], weight * w[at + 3u + c], weight * w[at + 6u + c]);
    }
    for (var r = 0u; r < SIDE; r++) {
        let line = transform(columns[0][r], columns[1][r], columns[2][r]);
        for (var c = 0u; c < SIDE; c++) {
            u[(((r * SIDE + c) * blocks + block) * params.inputs + input) * BLOCK + index % BLOCK] = line[c];
        }
    }
}
