// y = the largest of the 2×2 cells of x that exist ("SAME": sizes round up, cells outside are not counted), NaN where
// one of them is; x (C, H, W), y (C, ⌈H/2⌉, ⌈W/2⌉). With the flag MASK also winners (C, ⌈H/4⌉, ⌈W/8⌉), words of 4 rows ×
// 8 columns of x as relu_mask makes them: the bit of the cell that won is set, of equal ones that of the first
// in row order. Pieces of x and y hold different channel groups: the dispatch covers the channels that both hold, from
// x_first and y_first on, among the winners from gate_first on.
// Threads: one a word of winners, so 2×4 elements of y, and no two threads write one word. Workgroups in one line.
// Bandwidth bound: no tile.

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

struct Params { channels: u32, h: u32, w: u32, x_first: u32, y_first: u32, gate_first: u32, flags: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> winners: array<u32>;

const MASK: u32 = 16u;

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
    let i = group * WORKGROUP + lane;
    let words_h = (params.h + 3u) / 4u;
    let words_w = (params.w + 7u) / 8u;
    if (group >= slice.end || i >= params.channels * words_h * words_w) {
        return;
    }
    let first_col = i % words_w * 8u;
    let first_row = i / words_w % words_h * 4u;
    let channel = i / (words_w * words_h);
    let h = (params.h + 1u) / 2u;
    let w = (params.w + 1u) / 2u;
    var word = 0u;
    for (var r = 0u; r < 4u; r += 2u) {
        let row = first_row + r;
        for (var k = 0u; k < 8u; k += 2u) {
            let col = first_col + k;
            if (row < params.h && col < params.w) {
                let corner = ((params.x_first + channel) * params.h + row) * params.w + col;
                let right = col + 1u < params.w;
                let below = row + 1u < params.h;
                var best = x[corner];
                // Of the four cells' bits, counted from the corner's.
                var bit = 0u;
                if (right) {
                    let value = x[corner + 1u];
                    if (beats(value, best)) {
                        best = value;
                        bit = 1u;
                    }
                }
                if (below) {
                    let value = x[corner + params.w];
                    if (beats(value, best)) {
                        best = value;
                        bit = 8u;
                    }
                }
                if (right && below) {
                    let value = x[corner + params.w + 1u];
                    if (beats(value, best)) {
                        best = value;
                        bit = 9u;
                    }
                }
                y[((params.y_first + channel) * h + row / 2u) * w + col / 2u] = best;
                word |= 1u << (r * 8u + k + bit);
            }
        }
    }
    if ((params.flags & MASK) != 0u) {
        winners[params.gate_first * words_h * words_w + i] = word;
    }
}
