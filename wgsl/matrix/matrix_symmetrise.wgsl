// y = (a + aᵀ)/2, and on the diagonal + scale·tr(a), scale = ridge/n; a, y (1, n, n), trace (1).
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

struct Params { size: u32, scale: f32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> trace: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let at = group * WORKGROUP + lane;
    if (group >= slice.end || at >= params.size * params.size) {
        return;
    }
    let i = at / params.size;
    let j = at % params.size;
    // The sum is the same to the bit on both sides of the diagonal.
    let mean = 0.5 * (a[at] + a[j * params.size + i]);
    y[at] = mean + select(0.0, params.scale * trace[0], i == j);
}
