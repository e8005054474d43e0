// y = x between its two nearest rows and columns, in proportion to the distances: rows and columns of y lie at
// (at + ½)·before/after − ½ of x, and beyond the border is the border, or with
// WRAP_Y and WRAP_X the other end. Flags: y +=. x (C, x_h, x_w), y (C, h, w);
// pieces of both hold different channel groups: the dispatch covers the channels that both hold, from x_first and
// y_first on.
// Threads: one an element of y, workgroups in one line. Bandwidth bound: no tile, a cache serves the neighbours.

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

// shared: resize
struct Params {
    channels: u32,
    x_h: u32,
    x_w: u32,
    h: u32,
    w: u32,
    x_first: u32,
    y_first: u32,
    flags: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

const ACCUMULATE: u32 = 1u;
const WRAP_Y: u32 = 512u;
const WRAP_X: u32 = 1024u;

// Where the centre of a cell lies in a line of another number of cells: the last cell whose centre does not lie behind
// it, −1 where all do, and the distance from that centre in cells.
struct Place { cell: i32, distance: f32 }

// (at + ½)·before/after − ½, in whole numbers over 2·after, and with one cell more so that they are not negative: no
// place is rounded, only the distance is.
fn place(at: u32, before: u32, after: u32) -> Place {
    let n = (2u * at + 1u) * before + after;
    return Place(i32(n / (2u * after)) - 1, f32(n % (2u * after)) / f32(2u * after));
}

// The cell, or the one that stands for it: at the border, or where a line wraps, at the other end.
fn inside(cell: i32, cells: u32, wraps: bool) -> u32 {
    if (wraps) {
        // At most two cells before the first one.
        return u32(cell + 2 * i32(cells)) % cells;
    }
    return min(u32(max(cell, 0)), cells - 1u);
}

fn store_resized(at: u32, resized: f32) {
    var value = resized;
    if ((params.flags & ACCUMULATE) != 0u) {
        value += y[at];
    }
    y[at] = value;
}
// end

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.channels * params.h * params.w) {
        return;
    }
    let row = place(i / params.w % params.h, params.x_h, params.h);
    let col = place(i % params.w, params.x_w, params.w);
    let plane = (params.x_first + i / (params.w * params.h)) * params.x_h * params.x_w;
    let wrap_y = (params.flags & WRAP_Y) != 0u;
    let wrap_x = (params.flags & WRAP_X) != 0u;
    let upper = plane + inside(row.cell, params.x_h, wrap_y) * params.x_w;
    let lower = plane + inside(row.cell + 1, params.x_h, wrap_y) * params.x_w;
    let left = inside(col.cell, params.x_w, wrap_x);
    let right = inside(col.cell + 1, params.x_w, wrap_x);
    let above = x[upper + left] + col.distance * (x[upper + right] - x[upper + left]);
    let below = x[lower + left] + col.distance * (x[lower + right] - x[lower + left]);
    store_resized(params.y_first * params.h * params.w + i, above + row.distance * (below - above));
}
