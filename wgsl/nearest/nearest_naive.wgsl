// y(i) = the j for which Σ over the channels k of q(k, i)·s(k, j) is the largest, the lowest of equals, as an f32; q (K, H,
// W), s (K, h, w), y (1, H, W).
// Threads: one a cell of q, workgroups in one line. The definition, and the second oracle; never chosen.

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

// shared: nearest_params
struct Params { channels: u32, cells: u32, others: u32, row_groups: u32, split_cells: u32 }
@group(0) @binding(1) var<uniform> params: Params;
// end
@group(0) @binding(2) var<storage, read> q: array<f32>;
@group(0) @binding(3) var<storage, read> s: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

// Below every sum that is a number.
const LEAST: f32 = -3.4e38;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.cells) {
        return;
    }
    var best = LEAST;
    var best_at = 0u;
    for (var j = 0u; j < params.others; j++) {
        var sum = 0.0;
        for (var k = 0u; k < params.channels; k++) {
            sum += q[k * params.cells + i] * s[k * params.others + j];
        }
        if (sum > best) {
            best = sum;
            best_at = j;
        }
    }
    y[i] = f32(best_at);
}
