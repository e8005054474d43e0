// y(i, j) = scale·Σ over k of a(i, k)·b(k, j), and on the diagonal + identity; a, b, y (1, n, n). a and b may be one tensor.
// Of a product that is known to be symmetric little more than what is on and above the diagonal is computed.
// Threads: one an element, in one line of workgroups. No tile: this is the second oracle.

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

// shared: matrix_product
struct Params { size: u32, symmetric: u32, scale: f32, identity: f32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

// Writes element (i, j), whose sum is this; nothing outside of y. Of a symmetric product, what is above the diagonal is
// also what is below it.
fn store(i: u32, j: u32, sum: f32) {
    let n = params.size;
    let symmetric = params.symmetric != 0u;
    if (max(i, j) >= n || (symmetric && i > j)) {
        return;
    }
    let value = params.scale * sum + select(0.0, params.identity, i == j);
    y[i * n + j] = value;
    if (symmetric) {
        y[j * n + i] = value;
    }
}
// end

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = (group * WORKGROUP + lane) / params.size;
    let j = (group * WORKGROUP + lane) % params.size;
    if (group >= slice.end || i >= params.size || (params.symmetric != 0u && i > j)) {
        return;
    }
    var sum = 0.0;
    for (var k = 0u; k < params.size; k++) {
        sum += a[i * params.size + k] * b[k * params.size + j];
    }
    store(i, j, sum);
}
