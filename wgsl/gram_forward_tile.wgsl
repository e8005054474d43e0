// partials(s, i, j) = Σ over the pixels p of split s of x(i, p)·x(j, p): the Gram matrix before the splits are
// added up and divided by the pixels. Splitting the sum over pixels fills the machine although G is small, and the
// fixed order keeps every bit. xa, xb (C, H, W): the pieces of x that rows and columns come from.
// Threads: 8×8 in a workgroup that owns a 32×32 block of G for one split; each thread 4×4 of it.
// Tile: as in conv_forward_tile. The tiles are fetched along the pixels, which lie side by side, and kept transposed
// with rows padded to 36: the copy spreads over the banks, and four values still lie on a multiple of 16 bytes, so that
// one load brings them.

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
const ROW: u32 = 36u;

var<workgroup> rows_tile: array<f32, 288>;
var<workgroup> columns_tile: array<f32, 288>;

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

    // What this thread fetches: one pixel of every eighth row of both tiles. Rows outside are read from the last one;
    // what comes of them is not stored.
    let step = lane % DEPTH;
    let first_line = lane / DEPTH;
    let lines = WORKGROUP / DEPTH;

    var sum: array<f32, 16>;
    for (var first = split * params.split_pixels; first < end; first += DEPTH) {
        // Without branches: all loads are under way before the first is waited for.
        let exists = first + step < end;
        let p = min(first + step, end - 1u);
        for (var i = 0u; i < BLOCK; i += lines) {
            let line = i + first_line;
            let row_value = xa[min(first_i + line, params.row_count - 1u) * params.plane + p];
            let column_value = xb[min(first_j + line, params.column_count - 1u) * params.plane + p];
            rows_tile[step * ROW + line] = select(0.0, row_value, exists);
            columns_tile[step * ROW + line] = select(0.0, column_value, exists);
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
