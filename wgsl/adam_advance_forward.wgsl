// state ← (c₁ + (1−β₁)(1−c₁), c₂ + (1−β₂)(1−c₂), t + 1): keeps c = 1 − βᵗ without `pow`, whose error in 1 − β₂ᵗ is 3e-4
// at t = 1. Not βc + (1−β), which Microsoft's FXC computes as (βc − β) + 1: 3e-5 off at small t.
// hyper = (lr, β₁, β₂, ε). It lives on the GPU so that steps can be recorded one behind the other.
// Threads: one, in one workgroup.

override WORKGROUP: u32 = 64u;
override FOLD: u32 = 32768u;

struct Slice { first: u32, end: u32 }
@group(0) @binding(0) var<uniform> slice: Slice;

struct Params { unused: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> hyper: array<f32>;
@group(0) @binding(3) var<storage, read_write> state: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = slice.first + group_id.y * FOLD + group_id.x;
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= 1u) {
        return;
    }
    state[0] = state[0] + (1.0 - hyper[1]) * (1.0 - state[0]);
    state[1] = state[1] + (1.0 - hyper[2]) * (1.0 - state[1]);
    state[2] = state[2] + 1.0;
}
