// partials(split, i) = (the largest Σ over the channels k of q(k, i)·s(k, j) for the cells j of a split, that j, the lowest of
// equals); q (K, H, W), s (K, h, w). The products are a matrix H·W × h·w that is never stored: its rows are reduced at
// once. Splitting the cells of s fills the machine where q has few; nearest_reduce compares the splits.
// Threads: a workgroup is one subgroup of 8 lanes that owns 16 cells of q × one split; a lane owns 8 cells of s at a time,
// j = first + lane + 8c.
// Tile: as in gram_forward_subgroup, with channels in the place of pixels: two loads bring 16 cells of q, shuffles hand
// them to all, and two channels are added to a sum in one expression. Only for subgroups of exactly 8 lanes, which is the
// software adapter.

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

// shared: nearest_params
struct Params { channels: u32, cells: u32, others: u32, row_groups: u32, split_cells: u32 }
@group(0) @binding(1) var<uniform> params: Params;
// end
@group(0) @binding(2) var<storage, read> q: array<f32>;
@group(0) @binding(3) var<storage, read> s: array<f32>;
@group(0) @binding(4) var<storage, read_write> partials: array<vec2<f32>>;

// Below every sum that is a number.
const LEAST: f32 = -3.4e38;
const ROWS: u32 = 16u;
const COLUMNS: u32 = 8u;
const LANES: u32 = 8u;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let group = group_number(group_id);
    if (group >= slice.end) {
        return;
    }
    let first_i = group % params.row_groups * ROWS;
    let split = group / params.row_groups;
    let end = min((split + 1u) * params.split_cells, params.others);
    // Cells past the end repeat the last one; they are not compared, nor stored.
    let low = min(first_i + lane, params.cells - 1u);
    let high = min(first_i + LANES + lane, params.cells - 1u);
    var best: array<f32, 16>;
    var best_at: array<u32, 16>;
    for (var i = 0u; i < ROWS; i++) {
        best[i] = LEAST;
        best_at[i] = split * params.split_cells;
    }
    var sum: array<f32, 128>;
    for (var block = split * params.split_cells; block < end; block += LANES * COLUMNS) {
        let first_j = block + lane;
        for (var n = 0u; n < ROWS * COLUMNS; n++) {
            sum[n] = 0.0;
        }
        for (var k = 0u; k < params.channels; k += 2u) {
            // An odd last channel is paired with itself and 0.
            let paired = k + 1u < params.channels;
            let next = select(k, k + 1u, paired);
            var even: array<f32, 8>;
            var odd: array<f32, 8>;
            for (var c = 0u; c < COLUMNS; c++) {
                let j = min(first_j + LANES * c, params.others - 1u);
                let both_s = vec2(s[k * params.others + j], s[next * params.others + j]);
                even[c] = both_s.x;
                odd[c] = both_s.y;
            }
            for (var half = 0u; half < 2u; half++) {
                let cell = select(low, high, half == 1u);
                let both_q = vec2(q[k * params.cells + cell], select(0.0, q[next * params.cells + cell], paired));
                for (var i = 0u; i < LANES; i++) {
                    let e = subgroupShuffle(both_q.x, i);
                    let d = subgroupShuffle(both_q.y, i);
                    for (var c = 0u; c < COLUMNS; c++) {
                        sum[(half * LANES + i) * COLUMNS + c] += e * even[c] + d * odd[c];
                    }
                }
            }
        }
        for (var i = 0u; i < ROWS; i++) {
            for (var c = 0u; c < COLUMNS; c++) {
                let j = first_j + LANES * c;
                if (j < end && sum[i * COLUMNS + c] > best[i]) {
                    best[i] = sum[i * COLUMNS + c];
                    best_at[i] = j;
                }
            }
        }
    }
    for (var i = 0u; i < ROWS; i++) {
        var value = best[i];
        var at = best_at[i];
        for (var apart = LANES / 2u; apart > 0u; apart /= 2u) {
            let other = subgroupShuffle(value, lane ^ apart);
            let other_at = subgroupShuffle(at, lane ^ apart);
            if (other > value || (other == value && other_at < at)) {
                value = other;
                at = other_at;
            }
        }
        if (lane == i % LANES && first_i + i < params.cells) {
            partials[split * params.cells + first_i + i] = vec2(value, f32(at));
        }
    }
}
