// y = tr(a): the sum of the diagonal, for matrix_symmetrise; a (1, n, n), y (1).
// Threads: one workgroup. Each thread adds every WORKGROUP-th element, then a tree in workgroup memory halves the number of
// sums: a fixed order, so two runs are bit-equal.

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

struct Params { size: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

var<workgroup> sums: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    if (group >= slice.end) {
        return;
    }
    var sum = 0.0;
    for (var i = lane; i < params.size; i += WORKGROUP) {
        sum += a[i * params.size + i];
    }
    sums[lane] = sum;
    // shared: sum_tree
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (lane < half) {
            sums[lane] += sums[lane + half];
        }
    }
    // end
    if (lane == 0u) {
        y[0] = sums[0];
    }
}
