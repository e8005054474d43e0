// y = x; x, y (C, H, W) with planes of whole vectors.
// Measures how fast memory is read and written at once.
// Threads: one a vector of 4 elements, workgroups in one line. Bandwidth bound: no tile.

override WORKGROUP: u32 = 64u;
override FOLD: u32 = 32768u;

struct Slice { first: u32, end: u32 }
@group(0) @binding(0) var<uniform> slice: Slice;

struct Params { vectors: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = slice.first + group_id.y * FOLD + group_id.x;
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.vectors) {
        return;
    }
    y[i] = x[i];
}
