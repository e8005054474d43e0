// m ← β₁m + (1−β₁)dx; v ← β₂v + (1−β₂)dx²; x ← x − lr·√(1−β₂ᵗ)/(1−β₁ᵗ)·m/(√v + ε); dx, x, m, v (C, H, W),
// hyper = (lr, β₁, β₂, ε, 1−β₁, 1−β₂), state = (1−β₁ᵗ, 1−β₂ᵗ, t). TensorFlow's form of Kingma and Ba, arXiv 1412.6980.
// 1−β is handed over: where it is computed here, a compiler may take β₂v + (1−β₂)dx² for dx² + β₂(v − dx²), as FXC does,
// and lose four digits of v.
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
@group(0) @binding(4) var<storage, read> d_x: array<f32>;
@group(0) @binding(5) var<storage, read_write> x: array<f32>;
@group(0) @binding(6) var<storage, read_write> m: array<f32>;
@group(0) @binding(7) var<storage, read_write> v: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.count) {
        return;
    }
    let gradient = d_x[i];
    let first_moment = hyper[1] * m[i] + hyper[4] * gradient;
    let second_moment = hyper[2] * v[i] + hyper[5] * gradient * gradient;
    let rate = hyper[0] * sqrt(state[1]) / state[0];
    m[i] = first_moment;
    v[i] = second_moment;
    x[i] = x[i] - rate * first_moment / (sqrt(second_moment) + hyper[3]);
}
