// y(i, j) = scale·Σ over k of a(i, k)·b(k, j), and on the diagonal + identity; a, b, y (1, n, n). a and b may be one tensor.
// Of a product that is known to be symmetric little more than what is on and above the diagonal is computed.
// Threads: 8×8 in a workgroup that owns a 32×32 block of y; each thread 4×4 of it, 8 apart.
// Tile: 32×32, because the matrices are small: n = 512 has 256 blocks of this size and only 64 of the next, too few to fill
// a GPU. 16 deep. Rows of a are fetched along k, where they lie side by side, and kept transposed as in gram_forward_tile, in
// rows padded by one vec4. What the next round needs is on its way while this one multiplies, because so few workgroups
// leave a GPU little else to do meanwhile.

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

const BLOCK: u32 = 32u;
const DEPTH: u32 = 16u;
const APART: u32 = 8u;
const ROW: u32 = 9u;

// Each vec4 holds four rows of a, or four columns of b, APART apart.
var<workgroup> rows_tile: array<vec4<f32>, 144>;
var<workgroup> columns_tile: array<vec4<f32>, 144>;

// Element k of four rows of a, 0 after the last. What is read for rows after the last one is not stored.
fn of_rows(row: u32, k: u32) -> vec4<f32> {
    let last = params.size - 1u;
    let at = min(vec4(row) + vec4(0u, 1u, 2u, 3u) * APART, vec4(last)) * params.size + min(k, last);
    return select(vec4(0.0), vec4(a[at.x], a[at.y], a[at.z], a[at.w]), k <= last);
}

// Element k of four columns of b.
fn of_columns(column: u32, k: u32) -> vec4<f32> {
    let last = params.size - 1u;
    let at = min(vec4(column) + vec4(0u, 1u, 2u, 3u) * APART, vec4(last)) + min(k, last) * params.size;
    return vec4(b[at.x], b[at.y], b[at.z], b[at.w]);
}

fn store_line(i: u32, j: u32, sum: vec4<f32>) {
    store(i, j, sum.x);
    store(i, j + APART, sum.y);
    store(i, j + 2u * APART, sum.z);
    store(i, j + 3u * APART, sum.w);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    if (group >= slice.end) {
        return;
    }
    let origin = block_origin(group, BLOCK, BLOCK);
    // What this thread fetches of a: one k of eight rows; and of b: eight columns of two k. The latter is also what it
    // computes.
    let fetched_row = origin.x + lane / DEPTH;
    let fetched_k = lane % DEPTH;
    let row = lane / APART;
    let column = lane % APART;
    let first_i = origin.x + row;
    let first_j = origin.y + column;

    var upper = of_rows(fetched_row, fetched_k);
    var lower = of_rows(fetched_row + 4u, fetched_k);
    var near = of_columns(first_j, row);
    var far = of_columns(first_j, row + 8u);
    var sum: array<vec4<f32>, 4>;
    for (var first = 0u; first < params.size; first += DEPTH) {
        rows_tile[fetched_k * ROW + lane / DEPTH] = upper;
        rows_tile[fetched_k * ROW + lane / DEPTH + 4u] = lower;
        columns_tile[row * ROW + column] = near;
        columns_tile[(row + 8u) * ROW + column] = far;
        workgroupBarrier();
        let next = first + DEPTH;
        upper = of_rows(fetched_row, next + fetched_k);
        lower = of_rows(fetched_row + 4u, next + fetched_k);
        near = of_columns(first_j, next + row);
        far = of_columns(first_j, next + row + 8u);
        for (var k = 0u; k < DEPTH; k++) {
            let left = rows_tile[k * ROW + row];
            let right = columns_tile[k * ROW + column];
            sum[0] += left.x * right;
            sum[1] += left.y * right;
            sum[2] += left.z * right;
            sum[3] += left.w * right;
        }
        workgroupBarrier();
    }
    store_line(first_i, first_j, sum[0]);
    store_line(first_i + APART, first_j, sum[1]);
    store_line(first_i + 2u * APART, first_j, sum[2]);
    store_line(first_i + 3u * APART, first_j, sum[3]);
}
