// y(i) = the cell of the largest of partials(split, i) over the splits, the lowest of equals: a split's cells lie before
// those of the next. y (1, H, W), partials (splits, H, W) as nearest_tile makes them.
// Threads: one a cell, in one line of workgroups.

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
@group(0) @binding(2) var<storage, read> partials: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.cells) {
        return;
    }
    var best = partials[i];
    for (var split = 1u; split < params.splits; split++) {
        let other = partials[split * params.cells + i];
        if (other.x > best.x) {
            best = other;
        }
    }
    y[i] = best.y;
}
