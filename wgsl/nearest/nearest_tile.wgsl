// partials(split, i) = (the largest Σ over the channels k of q(k, i)·s(k, j) for the cells j of a split, that j, the lowest of
// equals); q (K, H, W), s (K, h, w). The products are a matrix H·W × h·w that is never stored: its rows are reduced at
// once. Splitting the cells of s fills the machine where q has few; nearest_reduce compares the splits.
// Threads: 8×8 in a workgroup that owns 32 cells of q × one split; each thread 4×4 products at a time, 8 apart.
// Tile: as in conv_gemm_tile with one tap. Each thread keeps the largest product of its four rows in registers and compares
// with the other seven threads of these rows once, after the last block of the split.

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
const BLOCK: u32 = 32u;
const DEPTH: u32 = 8u;
const APART: u32 = 8u;

// Each vec4 holds four channels of one cell, as in conv_gemm_tile: the weights are cells of q, the pixels those of s.
var<workgroup> weights_tile: array<vec4<f32>, 64>;
var<workgroup> pixels_tile: array<vec4<f32>, 64>;
// The largest product of a row among the columns of a thread, and its cell.
var<workgroup> bests: array<vec2<f32>, 256>;

// The larger of two products, each with its cell; of equals that with the lower cell.
fn larger(a: vec2<f32>, b: vec2<f32>) -> vec2<f32> {
    return select(a, b, b.x > a.x || (b.x == a.x && b.y < a.y));
}

// The largest so far, or one of four products whose cells are APART apart from j on.
fn largest(best: vec2<f32>, sum: vec4<f32>, j: u32, end: u32) -> vec2<f32> {
    let cells = vec4(j) + vec4(0u, 1u, 2u, 3u) * APART;
    let products = select(vec4(LEAST), sum, cells < vec4(end));
    let left = larger(vec2(products.x, f32(cells.x)), vec2(products.y, f32(cells.y)));
    let right = larger(vec2(products.z, f32(cells.z)), vec2(products.w, f32(cells.w)));
    return larger(best, larger(left, right));
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    if (group >= slice.end) {
        return;
    }
    let first_i = group % params.row_groups * BLOCK;
    let split = group / params.row_groups;
    let end = min((split + 1u) * params.split_cells, params.others);
    // What this thread fetches: four channels of one cell of q and of one of s.
    let column = lane % BLOCK;
    let lines = vec4(lane / BLOCK * 4u) + vec4(0u, 1u, 2u, 3u);
    let source = min(first_i + column, params.cells - 1u);
    // What it computes.
    let output = lane / 8u;
    let pixel = lane % 8u;

    var best: array<vec2<f32>, 4>;
    for (var r = 0u; r < 4u; r++) {
        best[r] = vec2(LEAST, f32(split * params.split_cells));
    }
    for (var first_j = split * params.split_cells; first_j < end; first_j += BLOCK) {
        let other = min(first_j + column, params.others - 1u);
        var sum = array<vec4<f32>, 4>(vec4(0.0), vec4(0.0), vec4(0.0), vec4(0.0));
        for (var first = 0u; first < params.channels; first += DEPTH) {
            let channels = vec4(first) + lines;
            let inside = min(channels, vec4(params.channels - 1u));
            let at = inside * params.cells + source;
            let other_at = inside * params.others + other;
            let fetched = vec4(q[at.x], q[at.y], q[at.z], q[at.w]);
            weights_tile[lane] = select(vec4(0.0), fetched, channels < vec4(params.channels));
            pixels_tile[lane] = vec4(s[other_at.x], s[other_at.y], s[other_at.z], s[other_at.w]);
            workgroupBarrier();
            // shared: multiply_4x4
            for (var k = 0u; k < DEPTH / 4u; k++) {
                let line = k * BLOCK + pixel;
                let pixels = transpose(mat4x4(
                    pixels_tile[line],
                    pixels_tile[line + 8u],
                    pixels_tile[line + 16u],
                    pixels_tile[line + 24u],
                ));
                let a = weights_tile[k * BLOCK + output];
                sum[0] = sum[0] + a.x * pixels[0] + a.y * pixels[1]
                    + a.z * pixels[2] + a.w * pixels[3];
                let b = weights_tile[k * BLOCK + output + 8u];
                sum[1] = sum[1] + b.x * pixels[0] + b.y * pixels[1]
                    + b.z * pixels[2] + b.w * pixels[3];
                let c = weights_tile[k * BLOCK + output + 16u];
                sum[2] = sum[2] + c.x * pixels[0] + c.y * pixels[1]
                    + c.z * pixels[2] + c.w * pixels[3];
                let d = weights_tile[k * BLOCK + output + 24u];
                sum[3] = sum[3] + d.x * pixels[0] + d.y * pixels[1]
                    + d.z * pixels[2] + d.w * pixels[3];
            }
            // end
            workgroupBarrier();
        }
        best[0] = largest(best[0], sum[0], first_j + pixel, end);
        best[1] = largest(best[1], sum[1], first_j + pixel, end);
        best[2] = largest(best[2], sum[2], first_j + pixel, end);
        best[3] = largest(best[3], sum[3], first_j + pixel, end);
    }
    for (var r = 0u; r < 4u; r++) {
        bests[(output + APART * r) * 8u + pixel] = best[r];
    }
    workgroupBarrier();
    if (lane < BLOCK && first_i + lane < params.cells) {
        var of_row = bests[lane * 8u];
        for (var p = 1u; p < 8u; p++) {
            of_row = larger(of_row, bests[lane * 8u + p]);
        }
        partials[split * params.cells + first_i + lane] = of_row;
    }
}
