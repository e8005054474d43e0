// y(row, column) = energy(⌊row/s⌋, ⌊column/s⌋)/total; where the total is 0 the same everywhere, which is 1/(H·W) or, where
// even is 0, nothing. y (1, H, W), energy (1, ⌈H/s⌉, ⌈W/s⌉), total (1); s is 1 or 2: halved is 0 or 1.
// Threads: one a cell, workgroups in one line. Bandwidth bound: no tile.

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

struct Params { cells: u32, w: u32, halved: u32, even: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> energy: array<f32>;
@group(0) @binding(3) var<storage, read> total: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.cells) {
        return;
    }
    let row = (i / params.w) >> params.halved;
    let column = (i % params.w) >> params.halved;
    var value = f32(params.even) / f32(params.cells);
    if (total[0] != 0.0) {
        value = energy[row * ((params.w + params.halved) >> params.halved) + column] / total[0];
    }
    y[i] = value;
}
