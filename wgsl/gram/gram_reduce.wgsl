// y(i, j) = scale·Σ over the splits s of partials(s, i, j), scale = 1/(H·W); y (1, C, C). Below the diagonal the
// mirrored element is taken: pieces of x are only paired once.
// Threads: one an element, in one line of workgroups. The order of the sum is fixed.

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

struct Params { channels: u32, splits: u32, scale: f32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> partials: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let at = group * WORKGROUP + lane;
    let size = params.channels * params.channels;
    if (group >= slice.end || at >= size) {
        return;
    }
    let row = at / params.channels;
    let column = at % params.channels;
    let upper = min(row, column) * params.channels + max(row, column);
    var sum = 0.0;
    for (var s = 0u; s < params.splits; s++) {
        sum += partials[s * size + upper];
    }
    y[at] = params.scale * sum;
}
