// v(ξ, i, t) = 2⁻⁶·(Bᵀ·d·B)(ξ) in f16: as winograd_input, for the forward direction with storage in half
// precision.
// The scale keeps the largest number of an f16, 65504, out of reach: Bᵀ·d·B is up to 26 times as large as d, and VGG-19
// has activations of some 10⁴. winograd_gemm_*_half undo it. What is larger still is held at the end.
// x (C, H, W), outside zero, with EDGE the nearest element, or with WRAP_Y and WRAP_X the one from the other end; v (36, C, stride), two tiles a word. Other shapes as there.
// Threads: one owns two neighbouring tiles of a channel, in the order of v, which share a word.
// Tile: 36 numbers in registers, as there; the first tile's results wait in 18 words while the second is transformed. With
// both at once, 72 numbers, chips with 128 registers and fewer put some of them into memory.

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
@group(0) @binding(3) var<storage, read_write> v: array<u32>;

// 2⁻⁶, and the largest number of an f16.
const SCALE: f32 = 0.015625;
const LARGEST: f32 = 65504.0;

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
    let pairs = (params.tiles + 1u) / 2u;
    let channel = index / pairs;
    if (group >= slice.end || channel >= params.count) {
        return;
    }
    let pair = index % pairs;
    let stride = params.stride / 2u;
    let to = (params.first + channel) * stride + pair;
    let component = params.channels * stride;
    // Of the first tile, two components a word.
    var kept: array<u32, 18>;
    for (var second = 0u; second < 2u; second++) {
        // Behind the last of an odd number of tiles, it is made twice.
        let tile = min(2u * pair + second, params.tiles - 1u);
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
        for (var c = 0u; c < SIDE; c++) {
            var line: array<Number, 6>;
            for (var r = 0u; r < SIDE; r++) {
                line[r] = cells[r * SIDE + c];
            }
            line = transform(line);
            for (var r = 0u; r < SIDE; r += 2u) {
                let scaled = clamp(SCALE * vec2(line[r], line[r + 1u]), vec2(-LARGEST), vec2(LARGEST));
                let word = pack2x16float(scaled);
                if (second == 0u) {
                    kept[r * SIDE / 2u + c] = word;
                } else {
                    let first = kept[r * SIDE / 2u + c];
                    let at = to + (r * SIDE + c) * component;
                    v[at] = (first & 0xffffu) | (word << 16u);
                    v[at + SIDE * component] = (first >> 16u) | (word & 0xffff0000u);
                }
            }
        }
    }
}
