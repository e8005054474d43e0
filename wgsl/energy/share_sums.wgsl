// partials[i] = Σ energy(⌊row/s⌋, ⌊column/s⌋) over the cells i, i + threads, i + 2·threads, … of a grid (H, W), where
// energy is (⌈H/s⌉, ⌈W/s⌉), and s is 1 or 2: halved is 0 or 1.
// Threads: each leaves one partial sum, so the order of the sum, and with it every bit, is fixed; squared_error_reduce
// adds the partials up.

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

struct Params { cells: u32, w: u32, halved: u32, threads: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> energy: array<f32>;
@group(0) @binding(3) var<storage, read_write> partials: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.threads) {
        return;
    }
    let w = (params.w + params.halved) >> params.halved;
    var sum = 0.0;
    for (var cell = i; cell < params.cells; cell += params.threads) {
        let row = cell / params.w;
        sum += energy[(row >> params.halved) * w + ((cell % params.w) >> params.halved)];
    }
    partials[i] = sum;
}
