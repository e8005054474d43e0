// partials(s, i, j) = Σ over the pixels p of split s of x(i, p)·x(j, p): the Gram matrix before the splits are
// added up and divided by the pixels. Splitting the sum over pixels fills the machine although G is small, and the
// fixed order keeps every bit. xa, xb (C, H, W): the pieces of x that rows and columns come from.
// Threads: a workgroup is one subgroup of 8 lanes that owns 16 rows × 64 columns of G for one split; a lane owns 8
// columns, j = first + lane + 8k.
// Tile: two loads bring the 16 row values of a pixel, one a lane, and broadcasts hand them to all: 10 loads for 128
// multiply-adds. Two pixels are added to a sum in one expression, which halves the traffic of sums that do not fit the
// registers. Only for subgroups of exactly 8 lanes, which is the software adapter: on a GPU the lanes of a load
// would lie a plane apart.

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

// shared: gram_params
struct Params {
    plane: u32,
    channels: u32,
    row_first: u32,
    row_count: u32,
    column_first: u32,
    column_count: u32,
    splits: u32,
    split_pixels: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
// end
@group(0) @binding(2) var<storage, read> xa: array<f32>;
@group(0) @binding(3) var<storage, read> xb: array<f32>;
@group(0) @binding(4) var<storage, read_write> partials: array<f32>;

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
    let blocks = (params.column_count + LANES * COLUMNS - 1u) / (LANES * COLUMNS);
    let split = group % params.splits;
    let first_i = group / params.splits / blocks * ROWS;
    let first_j = group / params.splits % blocks * LANES * COLUMNS + lane;
    let end = min((split + 1u) * params.split_pixels, params.plane);
    // Rows and columns past the end repeat the last one; they are not stored.
    let low = min(first_i + lane, params.row_count - 1u) * params.plane;
    let high = min(first_i + LANES + lane, params.row_count - 1u) * params.plane;
    var column: array<u32, 8>;
    for (var k = 0u; k < COLUMNS; k++) {
        column[k] = min(first_j + LANES * k, params.column_count - 1u) * params.plane;
    }

    var sum: array<f32, 128>;
    for (var p = split * params.split_pixels; p < end; p += 2u) {
        // An odd last pixel is paired with itself and row value 0.
        let paired = p + 1u < end;
        let next = select(p, p + 1u, paired);
        var even: array<f32, 8>;
        var odd: array<f32, 8>;
        for (var k = 0u; k < COLUMNS; k++) {
            even[k] = xb[column[k] + p];
            odd[k] = xb[column[k] + next];
        }
        for (var half = 0u; half < 2u; half++) {
            let row = select(low, high, half == 1u);
            let even_row = xa[row + p];
            let odd_row = select(0.0, xa[row + next], paired);
            for (var i = 0u; i < LANES; i++) {
                let e = subgroupShuffle(even_row, i);
                let d = subgroupShuffle(odd_row, i);
                for (var k = 0u; k < COLUMNS; k++) {
                    sum[(half * LANES + i) * COLUMNS + k] += e * even[k] + d * odd[k];
                }
            }
        }
    }
    for (var i = 0u; i < ROWS; i++) {
        for (var k = 0u; k < COLUMNS; k++) {
            let j = first_j + LANES * k;
            if (first_i + i < params.row_count && j < params.column_count) {
                let row = split * params.channels + params.row_first + first_i + i;
                partials[row * params.channels + params.column_first + j] = sum[i * COLUMNS + k];
            }
        }
    }
}
