// dx = dy·scale·(x − target), scale = 1/(2n) for n elements; flags: dx += and zero where the ReLU output `gate`
// is 0. dy (1), x, target, gate, dx (C, H, W).
// Threads: one an element, workgroups in one line. Bandwidth bound: no tile.

override WORKGROUP: u32 = 64u;
override FOLD: u32 = 32768u;

struct Slice { first: u32, end: u32 }
@group(0) @binding(0) var<uniform> slice: Slice;

struct Params { count: u32, scale: f32, flags: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read> x: array<f32>;
@group(0) @binding(4) var<storage, read> target_: array<f32>;
@group(0) @binding(5) var<storage, read> gate: array<f32>;
@group(0) @binding(6) var<storage, read_write> dx: array<f32>;

const ACCUMULATE: u32 = 1u;
const GATE: u32 = 8u;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = slice.first + group_id.y * FOLD + group_id.x;
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.count) {
        return;
    }
    var value = dy[0] * params.scale * (x[i] - target_[i]);
    if ((params.flags & ACCUMULATE) != 0u) {
        value += dx[i];
    }
    if ((params.flags & GATE) != 0u) {
        value = select(0.0, value, gate[i] > 0.0);
    }
    dx[i] = value;
}
