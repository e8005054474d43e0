// partials(s, i, j) = Σ over the pixels p of split s of x(i, p)·x(j, p): the Gram matrix before the splits are
// added up and divided by the pixels. Splitting the sum over pixels fills the machine although G is small, and the
// fixed order keeps every bit. xa, xb (C, H, W): the pieces of x that rows and columns come from.
// Threads: 8×8 in a workgroup that owns a 32×32 block of G for one split; each thread 4×4 of it, 8 apart.
// Tile: as in conv_gemm_tile, but 16 deep. The tiles are fetched along the pixels, which lie side by side, and kept
// transposed as vec4s of four channels, in rows padded by one, so that neither side of the copy meets a bank twice.

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

const BLOCK: u32 = 32u;
const DEPTH: u32 = 16u;
const APART: u32 = 8u;
const ROW: u32 = 9u;

var<workgroup> rows_tile: array<vec4<f32>, 144>;
var<workgroup> columns_tile: array<vec4<f32>, 144>;

// A pixel of four channels, APART apart. What is read for channels after the last one is not stored.
fn row_values(channel: u32, pixel: u32) -> vec4<f32> {
    let channels = min(vec4(channel) + vec4(0u, 1u, 2u, 3u) * APART, vec4(params.row_count - 1u));
    let at = channels * params.plane + pixel;
    return vec4(xa[at.x], xa[at.y], xa[at.z], xa[at.w]);
}

fn column_values(channel: u32, pixel: u32) -> vec4<f32> {
    let channels = min(vec4(channel) + vec4(0u, 1u, 2u, 3u) * APART, vec4(params.column_count - 1u));
    let at = channels * params.plane + pixel;
    return vec4(xb[at.x], xb[at.y], xb[at.z], xb[at.w]);
}

fn store(split: u32, i: u32, j: u32, sum: vec4<f32>) {
    if (i >= params.row_count) {
        return;
    }
    let columns = vec4(j) + vec4(0u, 1u, 2u, 3u) * APART;
    let row = split * params.channels + params.row_first + i;
    let at = row * params.channels + params.column_first + columns;
    let inside = columns < vec4(params.column_count);
    if (inside.x) {
        partials[at.x] = sum.x;
    }
    if (inside.y) {
        partials[at.y] = sum.y;
    }
    if (inside.z) {
        partials[at.z] = sum.z;
    }
    if (inside.w) {
        partials[at.w] = sum.w;
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    if (group >= slice.end) {
        return;
    }
    let blocks = (params.column_count + BLOCK - 1u) / BLOCK;
    let split = group % params.splits;
    let first_i = group / params.splits / blocks * BLOCK;
    let first_j = group / params.splits % blocks * BLOCK;
    let end = min((split + 1u) * params.split_pixels, params.plane);
    // What this thread fetches: one pixel of eight rows and eight columns.
    let line = lane % DEPTH;
    let channel = lane / DEPTH;
    // What it computes.
    let row = lane / 8u;
    let column = lane % 8u;

    var sum: array<vec4<f32>, 4>;
    for (var first = split * params.split_pixels; first < end; first += DEPTH) {
        let pixel = min(first + line, end - 1u);
        let counted = first + line < end;
        let upper = row_values(first_i + channel, pixel);
        let lower = row_values(first_i + channel + 4u, pixel);
        let left = column_values(first_j + channel, pixel);
        let right = column_values(first_j + channel + 4u, pixel);
        rows_tile[line * ROW + channel] = select(vec4(0.0), upper, counted);
        rows_tile[line * ROW + channel + 4u] = select(vec4(0.0), lower, counted);
        columns_tile[line * ROW + channel] = left;
        columns_tile[line * ROW + channel + 4u] = right;
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k++) {
            let row_channels = rows_tile[k * ROW + row];
            let column_channels = columns_tile[k * ROW + column];
            sum[0] += row_channels.x * column_channels;
            sum[1] += row_channels.y * column_channels;
            sum[2] += row_channels.z * column_channels;
            sum[3] += row_channels.w * column_channels;
        }
        workgroupBarrier();
    }
    store(split, first_i + row, first_j + column, sum[0]);
    store(split, first_i + row + 8u, first_j + column, sum[1]);
    store(split, first_i + row + 16u, first_j + column, sum[2]);
    store(split, first_i + row + 24u, first_j + column, sum[3]);
}
