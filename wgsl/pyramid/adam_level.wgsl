// m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²; d = √(1−β₂ᵗ)/(1−β₁ᵗ)·m/(√v + ε): what Adam would change by at a learning
// rate of 1; g, m, v, d (C, H, W), hyper = (lr, β₁, β₂, ε, 1−β₁, 1−β₂), state = (1−β₁ᵗ, 1−β₂ᵗ, t).
// Threads: one an element, workgroups in one line. Bandwidth bound: no tile.

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

struct Params { count: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> hyper: array<f32>;
@group(0) @binding(3) var<storage, read> state: array<f32>;
@group(0) @binding(4) var<storage, read> g: array<f32>;
@group(0) @binding(5) var<storage, read_write> m: array<f32>;
@group(0) @binding(6) var<storage, read_write> v: array<f32>;
@group(0) @binding(7) var<storage, read_write> d: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.count) {
        return;
    }
    let first_moment = hyper[1] * m[i] + hyper[4] * g[i];
    let second_moment = hyper[2] * v[i] + hyper[5] * g[i] * g[i];
    m[i] = first_moment;
    v[i] = second_moment;
    d[i] = sqrt(state[1]) / state[0] * first_moment / (sqrt(second_moment) + hyper[3]);
}
