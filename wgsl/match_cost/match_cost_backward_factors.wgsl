// y(p) = share(p)·(1/l, <a, target>/(|a|·l²)), l = |a| + 1e-6; 0 where |a| is 0: what match_cost_backward multiplies the
// target and a by. y, share (1, H, W), sums (splits, H, W) as match_cost_sums makes them.
// Threads: one a cell, workgroups in one line. The order of the sum is fixed.

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

struct Params { cells: u32, splits: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> sums: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read> share: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<vec2<f32>>;

// shared: match_cost_totals
const EPSILON: f32 = 1e-6;

// Σ (x − c)² and Σ (x − c)·target over all channels of a cell.
fn totals(cell: u32) -> vec2<f32> {
    var total = vec2(0.0);
    for (var split = 0u; split < params.splits; split++) {
        total += sums[split * params.cells + cell];
    }
    return total;
}
// end

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.cells) {
        return;
    }
    let total = totals(i);
    let norm = sqrt(total.x);
    let length = norm + EPSILON;
    var factors = vec2(0.0);
    if (norm != 0.0) {
        factors = share[i] / length * vec2(1.0, total.y / length / norm);
    }
    y[i] = factors;
}
