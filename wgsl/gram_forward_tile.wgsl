// partials(s, i, j) = Σ over the pixels p of split s of x(i, p)·x(j, p): the Gram matrix before the splits are
// added up and divided by the pixels. Splitting the sum over pixels fills the machine although G is small, and the
// fixed order keeps every bit. xa, xb (C, H, W): the pieces of x that rows and columns come from.
// Threads: 8×8 in a workgroup that owns a 32×32 block of G for one split; each thread 4×4 of it.
// Tile: as in conv_forward_tile. The tiles are fetched along the pixels, which lie side by side, and kept transposed
// with rows padded to 33, so that neither side of the copy meets a bank twice.

override WORKGROUP: u32 = 64u;
override FOLD: u32 = 32768u;

struct Slice { first: u32, end: u32 }
@group(0) @binding(0) var<uniform> slice: Slice;

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
@group(0) @binding(2) var<storage, read> xa: array<f32>;
@group(0) @binding(3) var<storage, read> xb: array<f32>;
@group(0) @binding(4) var<storage, read_write> partials: array<f32>;

const BLOCK: u32 = 32u;
const DEPTH: u32 = 8u;
const THREAD: u32 = 4u;
const ROW: u32 = 33u;

var<workgroup> rows_tile: array<f32, 264>;
var<workgroup> columns_tile: array<f32, 264>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = slice.first + group_id.y * FOLD + group_id.x;
    if (group >= slice.end) {
        return;
    }
    let blocks = (params.column_count + BLOCK - 1u) / BLOCK;
    let split = group % params.splits;
    let first_i = group / params.splits / blocks * BLOCK;
    let first_j = group / params.splits % blocks * BLOCK;
    let end = min((split + 1u) * params.split_pixels, params.plane);
    let rows = lane / 8u * THREAD;
    let columns = lane % 8u * THREAD;

    var sum: array<f32, 16>;
    for (var first = split * params.split_pixels; first < end; first += DEPTH) {
        for (var k = lane; k < BLOCK * DEPTH; k += WORKGROUP) {
            let p = first + k % DEPTH;
            let line = k / DEPTH;
            var row_value = 0.0;
            var column_value = 0.0;
            if (p < end && first_i + line < params.row_count) {
                row_value = xa[(first_i + line) * params.plane + p];
            }
            if (p < end && first_j + line < params.column_count) {
                column_value = xb[(first_j + line) * params.plane + p];
            }
            rows_tile[k % DEPTH * ROW + line] = row_value;
            columns_tile[k % DEPTH * ROW + line] = column_value;
        }
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k++) {
            for (var i = 0u; i < THREAD; i++) {
                let value = rows_tile[k * ROW + rows + i];
                for (var j = 0u; j < THREAD; j++) {
                    sum[i * THREAD + j] += value * columns_tile[k * ROW + columns + j];
                }
            }
        }
        workgroupBarrier();
    }
    for (var r = 0u; r < THREAD; r++) {
        for (var c = 0u; c < THREAD; c++) {
            let i = first_i + rows + r;
            let j = first_j + columns + c;
            if (i < params.row_count && j < params.column_count) {
                let row = split * params.channels + params.row_first + i;
                partials[row * params.channels + params.column_first + j] = sum[r * THREAD + c];
            }
        }
    }
}
