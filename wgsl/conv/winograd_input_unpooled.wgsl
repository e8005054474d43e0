// v(ξ, i, t) = (Bᵀ·d·B)(ξ), where d is the 6×6 patch of dx around tile t and dx the gradient of a 2×2 pool after a ReLU,
// 0 where the bit of the ReLU's mask `gate` is not set. Of means: dx(i, r, c) = dy(i, r/2, c/2) / cells. With MAX:
// dx(i, r, c) = dy(i, r/2, c/2) where the bit of `winners` is set, else 0. As winograd_input, without dx ever being in
// memory.
// dy (C, ⌈H/2⌉, ⌈W/2⌉), gate and winners (C, ⌈H/4⌉, ⌈W/8⌉) words as relu_mask and max_pool_forward make them. v (36, C, stride): the tiles of a band
// of rows, line by line, from tile row first_row on. dy is a piece: `count` channels that go to v from channel `first`
// on, which is also their first in the masks.
// Threads: one owns a tile of a channel.
// Tile: 16 numbers of dy and 6 words of the gate make the 36 of the patch, which stay in registers.

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
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read> gate: array<u32>;
@group(0) @binding(4) var<storage, read> winners: array<u32>;
@group(0) @binding(5) var<storage, read_write> v: array<f32>;

const MAX: u32 = 128u;

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

// A word of the gate, with MAX only where a cell won.
fn open_word(at: u32) -> u32 {
    var word = gate[at];
    if ((params.flags & MAX) != 0u) {
        word &= winners[at];
    }
    return word;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let index = group * WORKGROUP + lane;
    let channel = index / params.tiles;
    if (group >= slice.end || channel >= params.count) {
        return;
    }
    let tile = index % params.tiles;
    let top = (params.first_row + tile / params.tiles_w) * TILE;
    let left = tile % params.tiles_w * TILE;

    // The patch lies over 4×4 cells of dy, each divided by the pixels of the picture that it is the mean of, if it is.
    let is_mean = (params.flags & MAX) == 0u;
    let height = (params.h + 1u) / 2u;
    let width = (params.w + 1u) / 2u;
    var shares: array<vec4<f32>, 4>;
    for (var r = 0u; r < 4u; r++) {
        let row = top / 2u + r - 1u;
        let at = (channel * height + min(row, height - 1u)) * width;
        let share_row = select(1.0, 0.5, is_mean && 2u * row + 1u < params.h);
        for (var c = 0u; c < 4u; c++) {
            let col = left / 2u + c - 1u;
            let share = share_row * select(1.0, 0.5, is_mean && 2u * col + 1u < params.w);
            shares[r][c] = share * dy[at + min(col, width - 1u)];
        }
    }
    // In columns it lies over the word of its own 8 pixels and, by one column, over the word before or after.
    let words_w = (params.w + 7u) / 8u;
    let words_h = (params.h + TILE - 1u) / TILE;
    let word_col = left / 8u;
    let is_right = (left & TILE) != 0u;
    let beside_col = select(word_col - 1u, word_col + 1u, is_right);
    // No bit is set outside the picture; where there is no word, there is none either.
    var own: array<u32, 3>;
    var beside: array<u32, 3>;
    for (var i = 0u; i < 3u; i++) {
        let row = top / TILE + i - 1u;
        let at = ((params.first + channel) * words_h + min(row, words_h - 1u)) * words_w;
        own[i] = select(0u, open_word(at + word_col), row < words_h);
        let exists = row < words_h && beside_col < words_w;
        beside[i] = select(0u, open_word(at + min(beside_col, words_w - 1u)), exists);
    }
    var cells: array<Number, 36>;
    for (var r = 0u; r < SIDE; r++) {
        let i = (r + 3u) / TILE;
        let shift = (r + 3u) % TILE * 8u;
        let own_line = (own[i] >> shift) & 0xFFu;
        let beside_line = (beside[i] >> shift) & 0xFFu;
        let bits = select((own_line << 1u) | (beside_line >> 7u), (own_line >> 3u) | (beside_line << 5u), is_right);
        let cell_line = shares[(r + 1u) / 2u];
        var line: array<Number, 6>;
        for (var c = 0u; c < SIDE; c++) {
            line[c] = select(0.0, cell_line[(c + 1u) / 2u], ((bits >> c) & 1u) != 0u);
        }
        line = transform(line);
        for (var c = 0u; c < SIDE; c++) {
            cells[r * SIDE + c] = line[c];
        }
    }
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
