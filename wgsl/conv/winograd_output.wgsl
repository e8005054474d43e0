// y(o) = Aᵀ·m(o)·A for each tile, then += y, bias, ReLU and gate as the flags say: the output transform of Winograd's
// F(4×4, 3×3); see winograd_input for the points. It also writes the ReLU's mask, and with POOL only the
// means of 2×2 instead of y, or with MAX the largest, as max_pool_forward does with its winners.
// m (36, outputs, stride): the tiles of a band of rows from tile row first_row on. b (C_out), y (C_out, H, W) or with
// POOL (C_out, ⌈H/2⌉, ⌈W/2⌉), gate, mask and winners words (C_out, ⌈H/4⌉, ⌈W/8⌉). y is a piece: `count` channels that come from m,
// gate, mask and winners from channel `first` on. The same kernel serves the gradient, where y is dx.
// Threads: one owns two neighbouring tiles of a channel: 8 columns × 4 rows, which are one word of a mask.
// Tile: 36 numbers in registers, one tile after the other.

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

struct Params {
    h: u32,
    w: u32,
    outputs: u32,
    first: u32,
    count: u32,
    tiles_w: u32,
    first_row: u32,
    pairs: u32,
    stride: u32,
    flags: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> m: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read> gate: array<u32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<storage, read_write> mask: array<u32>;
@group(0) @binding(7) var<storage, read_write> winners: array<u32>;

const ACCUMULATE: u32 = 1u;
const BIAS: u32 = 2u;
const RELU: u32 = 4u;
const GATE: u32 = 8u;
const MASK: u32 = 16u;
const POOL: u32 = 32u;
const MAX: u32 = 128u;
const WINNERS: u32 = 256u;

const SIDE: u32 = 6u;
const TILE: u32 = 4u;
const ROOT: f32 = 1.4142135623730951;

// Aᵀ·m for one line m of a transformed tile.
fn transform(m: array<f32, 6>) -> vec4<f32> {
    let near = m[1] + m[2];
    let near_odd = m[1] - m[2];
    let far = m[4] + m[3];
    let far_odd = m[4] - m[3];
    return vec4(
        m[0] + near + far,
        ROOT * (0.5 * near_odd + far_odd),
        0.5 * near + 2.0 * far,
        ROOT * (0.25 * near_odd + 2.0 * far_odd) + m[5],
    );
}

// shared: max_pool_beats
// By its bits: a compiler may reason that no NaN comes.
fn is_nan(value: f32) -> bool {
    return (bitcast<u32>(value) & 0x7fffffffu) > 0x7f800000u;
}

// Whether a cell wins over those before it.
fn beats(value: f32, best: f32) -> bool {
    return !is_nan(best) && (is_nan(value) || value > best);
}
// end

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let index = group * WORKGROUP + lane;
    let channel = index / params.pairs;
    if (group >= slice.end || channel >= params.count) {
        return;
    }
    let pairs_w = (params.tiles_w + 1u) / 2u;
    let row = index % params.pairs / pairs_w;
    let pair = index % params.pairs % pairs_w;
    let tile_row = params.first_row + row;
    let top = tile_row * TILE;
    let output = params.first + channel;
    let word_at = (output * ((params.h + TILE - 1u) / TILE) + tile_row) * pairs_w + pair;
    let component = params.outputs * params.stride;
    var bias = 0.0;
    if ((params.flags & BIAS) != 0u) {
        bias = b[output];
    }
    var open = 0xFFFFFFFFu;
    if ((params.flags & GATE) != 0u) {
        open = gate[word_at];
    }
    let relu = (params.flags & RELU) != 0u;
    let accumulate = (params.flags & ACCUMULATE) != 0u;

    var positive = 0u;
    var won = 0u;
    for (var half = 0u; half < 2u; half++) {
        // The last tile of an odd row stands in for the one that is not there; its pixels lie outside.
        let tile = row * params.tiles_w + min(2u * pair + half, params.tiles_w - 1u);
        let left = (2u * pair + half) * TILE;
        let from_ = output * params.stride + tile;
        var columns: array<vec4<f32>, 6>;
        for (var c = 0u; c < SIDE; c++) {
            var line: array<f32, 6>;
            for (var r = 0u; r < SIDE; r++) {
                line[r] = m[from_ + (r * SIDE + c) * component];
            }
            columns[c] = transform(line);
        }
        var lines: array<vec4<f32>, 4>;
        for (var r = 0u; r < TILE; r++) {
            var line: array<f32, 6>;
            for (var c = 0u; c < SIDE; c++) {
                line[c] = columns[c][r];
            }
            var values = transform(line);
            for (var c = 0u; c < TILE; c++) {
                let inside = top + r < params.h && left + c < params.w;
                if (accumulate && inside) {
                    values[c] += y[(channel * params.h + top + r) * params.w + left + c];
                }
                let bit = 1u << (r * 8u + half * TILE + c);
                // No max for the ReLU, which may make 0 of a NaN and hide it.
                let value = values[c] + bias;
                let closed = !inside || (open & bit) == 0u || (relu && value < 0.0);
                values[c] = select(value, 0.0, closed);
                positive |= select(0u, bit, values[c] > 0.0);
            }
            lines[r] = values;
        }
        if ((params.flags & POOL) != 0u) {
            let height = (params.h + 1u) / 2u;
            let width = (params.w + 1u) / 2u;
            for (var r = 0u; r < 2u; r++) {
                let upper = lines[2u * r];
                let lower = lines[2u * r + 1u];
                for (var c = 0u; c < 2u; c++) {
                    // Cells outside the picture are 0 and not counted.
                    let row = top + 2u * r;
                    let col = left + 2u * c;
                    let below = row + 1u < params.h;
                    let right = col + 1u < params.w;
                    var pooled: f32;
                    if ((params.flags & MAX) != 0u) {
                        pooled = upper[2u * c];
                        // Of the four cells' bits, counted from the corner's.
                        var bit = 0u;
                        if (right && beats(upper[2u * c + 1u], pooled)) {
                            pooled = upper[2u * c + 1u];
                            bit = 1u;
                        }
                        if (below && beats(lower[2u * c], pooled)) {
                            pooled = lower[2u * c];
                            bit = 8u;
                        }
                        if (right && below && beats(lower[2u * c + 1u], pooled)) {
                            pooled = lower[2u * c + 1u];
                            bit = 9u;
                        }
                        won |= select(0u, 1u << (r * 16u + half * TILE + 2u * c + bit), row < params.h && col < params.w);
                    } else {
                        let cells = select(1.0, 2.0, below) * select(1.0, 2.0, right);
                        pooled = (upper[2u * c] + upper[2u * c + 1u] + lower[2u * c] + lower[2u * c + 1u]) / cells;
                    }
                    if (row < params.h && col < params.w) {
                        y[(channel * height + row / 2u) * width + col / 2u] = pooled;
                    }
                }
            }
        } else {
            for (var r = 0u; r < TILE; r++) {
                for (var c = 0u; c < TILE; c++) {
                    if (top + r < params.h && left + c < params.w) {
                        y[(channel * params.h + top + r) * params.w + left + c] = lines[r][c];
                    }
                }
            }
        }
    }
    if ((params.flags & MASK) != 0u) {
        mask[word_at] = positive;
    }
    if ((params.flags & WINNERS) != 0u) {
        winners[word_at] = won;
    }
}
