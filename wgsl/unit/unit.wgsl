// y(k, p) = (x(k, p) − centre(k))/lengths(p), without a centre x(k, p)/lengths(p); 0 where the length is 0. x (C, H, W),
// centre (1, 1, C), lengths (1, H, W) as unit_lengths makes them. x and y are pieces: `count` elements from x_first and
// y_first on, which begin at channel `first` of the centre.
// Threads: one an element, workgroups in one line. Bandwidth bound: no tile, a cache serves the lengths.

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

struct Params { count: u32, cells: u32, first: u32, x_first: u32, y_first: u32, centred: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> centre: array<f32>;
@group(0) @binding(4) var<storage, read> lengths: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.count) {
        return;
    }
    var value = x[params.x_first + i];
    if (params.centred != 0u) {
        value -= centre[params.first + i / params.cells];
    }
    let length = lengths[i % params.cells];
    if (length != 0.0) {
        value /= length;
    } else {
        value = 0.0;
    }
    y[params.y_first + i] = value;
}
