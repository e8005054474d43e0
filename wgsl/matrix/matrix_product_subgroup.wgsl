// y(i, j) = scale·Σ over k of a(i, k)·b(k, j), and on the diagonal + identity; a, b, y (1, n, n). a and b may be one tensor.
// Of a product that is known to be symmetric little more than what is on and above the diagonal is computed.
// Threads: a workgroup is one subgroup of 8 lanes that owns 16 rows × 64 columns of y; a lane owns 8 columns,
// j = first + lane + 8c.
// Tile: as in gram_forward_subgroup: two loads bring element k of 16 rows of a, one a lane, and shuffles hand them to all:
// 10 loads for 128 multiply-adds. Two k are added to a sum in one expression, which halves the traffic of sums that do not
// fit the registers. Only for subgroups of exactly 8 lanes, which is the software adapter.

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

// shared: matrix_product
struct Params { size: u32, symmetric: u32, scale: f32, identity: f32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

// Writes element (i, j), whose sum is this; nothing outside of y. Of a symmetric product, what is above the diagonal is
// also what is below it.
fn store(i: u32, j: u32, sum: f32) {
    let n = params.size;
    let symmetric = params.symmetric != 0u;
    if (max(i, j) >= n || (symmetric && i > j)) {
        return;
    }
    let value = params.scale * sum + select(0.0, params.identity, i == j);
    y[i * n + j] = value;
    if (symmetric) {
        y[j * n + i] = value;
    }
}
// end

// shared: matrix_blocks
// Row and column of the first element of a block of `rows` × `columns` elements: the `group`th that is computed. Of a
// symmetric product, each line of blocks begins with the one that the diagonal passes through.
fn block_origin(group: u32, rows: u32, columns: u32) -> vec2<u32> {
    let across = (params.size + columns - 1u) / columns;
    if (params.symmetric == 0u) {
        return vec2(group / across * rows, group % across * columns);
    }
    var row = 0u;
    var block = group;
    var first = 0u;
    while (row < params.size && block >= across - first) {
        block -= across - first;
        row += rows;
        first = row / columns;
    }
    return vec2(row, (first + block) * columns);
}
// end

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
    let n = params.size;
    let origin = block_origin(group, ROWS, LANES * COLUMNS);
    let first_i = origin.x;
    let first_j = origin.y + lane;
    // Rows and columns past the end repeat the last one; they are not stored.
    let upper = min(first_i + lane, n - 1u) * n;
    let lower = min(first_i + LANES + lane, n - 1u) * n;
    var columns: array<u32, 8>;
    for (var c = 0u; c < COLUMNS; c++) {
        columns[c] = min(first_j + LANES * c, n - 1u);
    }

    var sum: array<f32, 128>;
    for (var k = 0u; k < n; k += 2u) {
        // An odd last k is paired with itself and 0.
        let paired = k + 1u < n;
        let next = select(k, k + 1u, paired);
        var even: array<f32, 8>;
        var odd: array<f32, 8>;
        for (var c = 0u; c < COLUMNS; c++) {
            even[c] = b[k * n + columns[c]];
            odd[c] = b[next * n + columns[c]];
        }
        for (var half = 0u; half < 2u; half++) {
            let rows = select(upper, lower, half == 1u);
            let even_rows = a[rows + k];
            let odd_rows = select(0.0, a[rows + next], paired);
            for (var r = 0u; r < LANES; r++) {
                let e = subgroupShuffle(even_rows, r);
                let o = subgroupShuffle(odd_rows, r);
                for (var c = 0u; c < COLUMNS; c++) {
                    sum[(half * LANES + r) * COLUMNS + c] += e * even[c] + o * odd[c];
                }
            }
        }
    }
    for (var r = 0u; r < ROWS; r++) {
        for (var c = 0u; c < COLUMNS; c++) {
            store(first_i + r, first_j + LANES * c, sum[r * COLUMNS + c]);
        }
    }
}
