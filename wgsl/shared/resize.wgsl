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
