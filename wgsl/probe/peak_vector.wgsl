// y = Σ over k < 4·CHAINS of zₖ; zₖ begins at x + k and becomes a·zₖ + b, STEPS times a round; x, y (C, H, W), factors
// (a, b).
// Measures how fast multiply-adds go: nothing else is in the way, and every one of them changes y.
// Threads: one an element, workgroups in one line.
// Tile: CHAINS chains of 4 numbers in registers. How many are needed, so that none waits for its last addition, differs
// from device to device; so there are variants with 4, 8 and 16, of numbers and of vectors: src/ops/probe.rs.

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

struct Params { count: u32, rounds: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> factors: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

const CHAINS: u32 = 4u;
const STEPS: u32 = 16u;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.count) {
        return;
    }
    let a = factors[0];
    let b = factors[1];
    var z: array<vec4<f32>, CHAINS>;
    for (var chain = 0u; chain < CHAINS; chain++) {
        z[chain] = vec4(x[i]) + f32(4u * chain) + vec4(0.0, 1.0, 2.0, 3.0);
    }
    for (var round = 0u; round < params.rounds; round++) {
        for (var step = 0u; step < STEPS; step++) {
            for (var chain = 0u; chain < CHAINS; chain++) {
                z[chain] = a * z[chain] + b;
            }
        }
    }
    var sum = vec4(0.0);
    for (var chain = 0u; chain < CHAINS; chain++) {
        sum += z[chain];
    }
    y[i] = sum.x + sum.y + sum.z + sum.w;
}
