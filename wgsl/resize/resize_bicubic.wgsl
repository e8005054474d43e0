// y = Σ of x over its four nearest rows and columns times the weights k of their distances s: 1.25s³ − 2.25s² + 1 up
// to 1 and −0.75(s − 1)(s − 2)² up to 2 (R. Keys, 1981, with a = −0.75). Rows and columns of y lie at
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

// The weights of the cells at 1 + t before, t before, 1 − t behind and 2 − t behind, each polynomial with its roots
// taken out.
fn weights(t: f32) -> vec4<f32> {
    let s = 1.0 - t;
    return vec4<f32>(
        -0.75 * t * s * s,
        1.0 - t * t * (2.25 - 1.25 * t),
        1.0 - s * s * (2.25 - 1.25 * s),
        -0.75 * s * t * t,
    );
}

// The sum of four cells of a row by their weights; `plane` is the first element of x's.
fn along(weights: vec4<f32>, plane: u32, row: i32, col: i32) -> f32 {
    let wrap_x = (params.flags & WRAP_X) != 0u;
    let first = plane + inside(row, params.x_h, (params.flags & WRAP_Y) != 0u) * params.x_w;
    return weights.x * x[first + inside(col - 1, params.x_w, wrap_x)]
        + weights.y * x[first + inside(col, params.x_w, wrap_x)]
        + weights.z * x[first + inside(col + 1, params.x_w, wrap_x)]
        + weights.w * x[first + inside(col + 2, params.x_w, wrap_x)];
}

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
    let columns = weights(col.distance);
    let rows = weights(row.distance);
    let sum = rows.x * along(columns, plane, row.cell - 1, col.cell)
        + rows.y * along(columns, plane, row.cell, col.cell)
        + rows.z * along(columns, plane, row.cell + 1, col.cell)
        + rows.w * along(columns, plane, row.cell + 2, col.cell);
    store_resized(params.y_first * params.h * params.w + i, sum);
}
