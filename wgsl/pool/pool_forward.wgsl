// y = mean of the 2×2 cells of x that exist ("SAME": sizes round up, cells outside are not counted);
// x (C, H, W), y (C, ⌈H/2⌉, ⌈W/2⌉). Pieces of x and y hold different channel groups: the dispatch covers the
// channels that both hold, from x_first and y_first on.
// Threads: one an element of y, workgroups in one line. Bandwidth bound: no tile.

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

struct Params { channels: u32, h: u32, w: u32, x_first: u32, y_first: u32, gate_first: u32, flags: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    let h = (params.h + 1u) / 2u;
    let w = (params.w + 1u) / 2u;
    if (group >= slice.end || i >= params.channels * h * w) {
        return;
    }
    let col = 2u * (i % w);
    let row = 2u * (i / w % h);
    let corner = ((params.x_first + i / (w * h)) * params.h + row) * params.w + col;
    let right = col + 1u < params.w;
    let below = row + 1u < params.h;
    var sum = x[corner];
    var cells = 1.0;
    if (right) {
        sum += x[corner + 1u];
        cells += 1.0;
    }
    if (below) {
        sum += x[corner + params.w];
        cells += 1.0;
    }
    if (right && below) {
        sum += x[corner + params.w + 1u];
        cells += 1.0;
    }
    y[params.y_first * w * h + i] = sum / cells;
}
