// dx(c, p) = scale·Σ over k of (dY + dYᵀ)(k, c)·x(k, p), scale = 1/(H·W); flags: dx += and zero where the bit of the
// ReLU's mask `gate` is not set. dy (1, C, C), x, dx (C, H, W), gate (C, ⌈H/4⌉, ⌈W/8⌉) words as relu_forward_mask makes
// them; x and dx are pieces: channel groups of their tensors.
// Threads: 8×8 in a workgroup that owns 32 channels × 32 pixels; each thread 4×4 of them.
// Tile: as in conv_forward_tile.

override WORKGROUP: u32 = 64u;
override FOLD: u32 = 32768u;

struct Slice { first: u32, end: u32 }
@group(0) @binding(0) var<uniform> slice: Slice;

struct Params {
    h: u32,
    w: u32,
    channels: u32,
    in_first: u32,
    in_count: u32,
    out_first: u32,
    out_count: u32,
    pixel_groups: u32,
    scale: f32,
    flags: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read> x: array<f32>;
@group(0) @binding(4) var<storage, read> gate: array<u32>;
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;

const ACCUMULATE: u32 = 1u;
const GATE: u32 = 8u;

// The word of the mask `gate` at place `block` of output channel `output`; all its bits are set where no gate takes
// part.
fn gate_word(output: u32, block: u32) -> u32 {
    var word = 0xffffffffu;
    if ((params.flags & GATE) != 0u) {
        let blocks = (params.h + 3u) / 4u * ((params.w + 7u) / 8u);
        word = gate[(params.out_first + output) * blocks + block];
    }
    return word;
}

fn store(at: u32, sum: f32, open: bool) {
    var value = params.scale * sum;
    if ((params.flags & ACCUMULATE) != 0u) {
        value += dx[at];
    }
    dx[at] = select(0.0, value, open);
}

const BLOCK: u32 = 32u;
const DEPTH: u32 = 8u;
const THREAD: u32 = 4u;

var<workgroup> weights_tile: array<f32, 256>;
var<workgroup> pixels_tile: array<f32, 256>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = slice.first + group_id.y * FOLD + group_id.x;
    let plane = params.h * params.w;
    if (group >= slice.end) {
        return;
    }
    let first_output = group / params.pixel_groups * BLOCK;
    let first_pixel = group % params.pixel_groups * BLOCK;
    let outputs = lane / 8u * THREAD;
    let pixels = lane % 8u * THREAD;

    // What this thread fetches: one column of both tiles, every second row. Of each address, the part that differs
    // between threads is made outside the loop; the rest is the same for all threads. Columns outside are read from the
    // last one; what comes of them is not stored.
    let column = lane % BLOCK;
    let first_line = lane / BLOCK;
    let lines = WORKGROUP / BLOCK;
    let output = min(params.out_first + first_output + column, params.channels - 1u);
    let across = first_line * params.channels + output;
    let down = output * params.channels + first_line;
    let source = first_line * plane + min(first_pixel + column, plane - 1u);

    var sum: array<f32, 16>;
    for (var first = 0u; first < params.in_count; first += DEPTH) {
        // Without branches: all loads are under way before the first is waited for.
        for (var line = 0u; line < DEPTH; line += lines) {
            let exists = first + line + first_line < params.in_count;
            let channel = params.in_first + first + line;
            // The gradient reaches F from both sides of F·Fᵀ.
            let left = dy[select(0u, across + channel * params.channels, exists)];
            let right = dy[select(0u, down + channel, exists)];
            let pixel = x[select(0u, source + (first + line) * plane, exists)];
            weights_tile[(line + first_line) * BLOCK + column] = select(0.0, left + right, exists);
            pixels_tile[(line + first_line) * BLOCK + column] = select(0.0, pixel, exists);
        }
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k++) {
            for (var o = 0u; o < THREAD; o++) {
                let value = weights_tile[k * BLOCK + outputs + o];
                for (var p = 0u; p < THREAD; p++) {
                    sum[o * THREAD + p] += value * pixels_tile[k * BLOCK + pixels + p];
                }
            }
        }
        workgroupBarrier();
    }
    for (var p = 0u; p < THREAD; p++) {
        let pixel = first_pixel + pixels + p;
        if (pixel < plane) {
            // Where the pixel is in the gate, found once for all outputs.
            let row = pixel / params.w;
            let col = pixel % params.w;
            let block = row / 4u * ((params.w + 7u) / 8u) + col / 8u;
            let bit = row % 4u * 8u + col % 8u;
            for (var o = 0u; o < THREAD; o++) {
                let output = first_output + outputs + o;
                if (output < params.out_count) {
                    let open = ((gate_word(output, block) >> bit) & 1u) != 0u;
                    store(output * plane + pixel, sum[o * THREAD + p], open);
                }
            }
        }
    }
}
