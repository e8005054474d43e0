// y(c, p) = Σ over k of map(c, k)·x(k, p) + shift(c): every pixel of x (3, H, W) by a matrix (3, 3) and a shift (3). y: the
// channels of a piece, which begin at `channel`. Red, green and blue of x begin at these elements of their bindings, which
// may be one and the same piece.
// Threads: one an element of y, workgroups in one line. Bandwidth bound: no tile, a cache serves the other channels.

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

struct Params { count: u32, plane: u32, channel: u32, red: u32, green: u32, blue: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x_red: array<f32>;
@group(0) @binding(3) var<storage, read> x_green: array<f32>;
@group(0) @binding(4) var<storage, read> x_blue: array<f32>;
@group(0) @binding(5) var<storage, read> map: array<f32>;
@group(0) @binding(6) var<storage, read> shift: array<f32>;
@group(0) @binding(7) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.count) {
        return;
    }
    let channel = params.channel + i / params.plane;
    let p = i % params.plane;
    let pixel = vec3<f32>(x_red[params.red + p], x_green[params.green + p], x_blue[params.blue + p]);
    let row = vec3<f32>(map[3u * channel], map[3u * channel + 1u], map[3u * channel + 2u]);
    y[i] = dot(row, pixel) + shift[channel];
}
