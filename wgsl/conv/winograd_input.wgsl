// v(ξ, i, t) = (Bᵀ·d·B)(ξ), where d is the 6×6 patch of x(i) around tile t: the input transform of Winograd's
// F(4×4, 3×3), Lavin and Gray (arXiv 1509.09308), with the points 0, ±√½, ±√2, ∞. They are closed under reciprocals:
// in the order 0, √½, −√½, −√2, √2, ∞ the flipped kernel's transform is the reversed one, so that both directions read
// one copy of the weights. Their rounding error is half that of the usual points 0, ±1, ±2.
// x (C, H, W), outside zero, with EDGE the nearest element, or with WRAP_Y and WRAP_X the one from the other
// end; a tile is 4×4 pixels, its patch begins one pixel above and left of it. v (36, C, stride):
// the tiles of a band of rows, line by line, from tile row first_row on. x is a piece: `count` channels that go to v
// from channel `first` on. The same kernel serves the gradient, where x is dy.
// Threads: one owns a tile of a channel.
// Tile: 36 numbers in registers, transformed along columns and then along rows; neighbours write neighbours.

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

// shared: winograd_input_params
struct Params {
    h: u32,
    w: u32,
    channels: u32,
    first: u32,
    count: u32,
    tiles_w: u32,
    first_row: u32,
    tiles: u32,
    stride: u32,
    flags: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
// end
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> v: array<f32>;

const EDGE: u32 = 64u;

// Arrays are of `Number` throughout: naga 30 takes those of `f32` for another type.
alias Number = f32;

// shared: winograd_input_transform
const SIDE: u32 = 6u;
const TILE: u32 = 4u;
const ROOT: f32 = 1.4142135623730951;

// Bᵀ·d for one line d of a patch.
fn transform(d: array<Number, 6>) -> array<Number, 6> {
    let near = 2.0 * d[2] - d[4];
    let near_odd = ROOT * (d[1] - 0.5 * d[3]);
    let far = 0.5 * d[4] - 0.25 * d[2];
    let far_odd = ROOT * (0.25 * d[1] - 0.5 * d[3]);
    return array<Number, 6>(
        d[0] - 2.5 * d[2] + d[4],
        near + near_odd,
        near - near_odd,
        far + far_odd,
        far - far_odd,
        d[1] - 2.5 * d[3] + d[5],
    );
}
// end

// shared: conv_source
const WRAP_Y: u32 = 512u;
const WRAP_X: u32 = 1024u;

// The element of a line of `size` that is read at `place` − 1: beyond the ends the nearest one, or where the line wraps
// the one from the other end.
fn source(place: u32, size: u32, wraps: bool) -> u32 {
    let nearest = clamp(place, 1u, size) - 1u;
    let other = select(0u, size - 1u, place == 0u);
    return select(nearest, other, wraps && place != nearest + 1u);
}
// end

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let index = group * WORKGROUP + lane;
    let channel = index / params.tiles;
    if (group >= slice.end || channel >= params.count) {
        return;
    }
    let tile = index % params.tiles;
    // shared: winograd_input_load
    let top = (params.first_row + tile / params.tiles_w) * TILE;
    let left = tile % params.tiles_w * TILE;

    // Pixels outside are read from a place inside and, unless they are its copies, replaced by 0.
    let edge = (params.flags & EDGE) != 0u;
    let wrap_y = (params.flags & WRAP_Y) != 0u;
    let wrap_x = (params.flags & WRAP_X) != 0u;
    var column: array<u32, 6>;
    var counted: array<bool, 6>;
    for (var c = 0u; c < SIDE; c++) {
        counted[c] = edge || wrap_x || left + c - 1u < params.w;
        column[c] = source(left + c, params.w, wrap_x);
    }
    var cells: array<Number, 36>;
    for (var r = 0u; r < SIDE; r++) {
        let row_counted = edge || wrap_y || top + r - 1u < params.h;
        let at = (channel * params.h + source(top + r, params.h, wrap_y)) * params.w;
        var line: array<Number, 6>;
        for (var c = 0u; c < SIDE; c++) {
            line[c] = select(0.0, x[at + column[c]], row_counted && counted[c]);
        }
        line = transform(line);
        for (var c = 0u; c < SIDE; c++) {
            cells[r * SIDE + c] = line[c];
        }
    }
    // end
    // shared: winograd_input_store
    let to = (params.first + channel) * params.stride + tile;
    let component = params.channels * params.stride;
    for (var c = 0u; c < SIDE; c++) {
        var line: array<Number, 6>;
        for (var r = 0u; r < SIDE; r++) {
            line[r] = cells[r * SIDE + c];
        }
        line = transform(line);
        for (var r = 0u; r < SIDE; r++) {
            v[to + (r * SIDE + c) * component] = line[r];
        }
    }
    // end
}
