// dx(i, r, c) = Σ w(o, i, ky, kx)·dy(o, r−ky+1, c−kx+1), zero outside, or with WRAP_Y and WRAP_X the element
// from the other end: the transpose of conv_forward.
// dy (C_out, H, W), w (C_out, C_in, 3, 3), dx (C_in, H, W); flags say whether dx += and gate (zero where the bit of the
// ReLU's mask `gate`, (C_in, ⌈H/4⌉, ⌈W/8⌉) words as relu_mask makes them, is not set) take part. dy and dx are
// pieces; in_* count dy's channels, out_* dx's.
// Threads: one an element of dx, pixels first, in one line of workgroups. No tile: this is the second oracle.

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

// shared: conv_params
struct Params {
    h: u32,
    w: u32,
    in_first: u32,
    in_count: u32,
    in_total: u32,
    out_first: u32,
    out_count: u32,
    out_total: u32,
    out_padded: u32,
    pixel_groups: u32,
    flags: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
// end
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read> w: array<f32>;
@group(0) @binding(4) var<storage, read> gate: array<u32>;
@group(0) @binding(5) var<storage, read_write> d_x: array<f32>;

// shared: gradient_store
// The epilogue of a gradient: adds to what is there, and writes 0 where the gate is closed.
const ACCUMULATE: u32 = 1u;
const GATE: u32 = 8u;

fn store(at: u32, gradient: f32, open: bool) {
    var value = gradient;
    if ((params.flags & ACCUMULATE) != 0u) {
        value += d_x[at];
    }
    d_x[at] = select(0.0, value, open);
}
// end

// shared: gate_word
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
// end

// shared: conv_source
const WRAP_Y: u32 = 512u;
const WRAP_X: u32 = 1024u;

// The element of a line of `size` that is read at `place` − 1: beyond the ends the nearest one, or where the line wraps
// the one from the other end.
fn source(place: u32, size: u32, wraps: bool) -> u32 {
    let nearest = clamp(place, 1u, size) - 1u;
    let other = select(0u, size - 1u, place == 0u);
    return select(nearest, other, wraps && place != nearest + 1u);
}
// end

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let channel = group / params.pixel_groups;
    let pixel = group % params.pixel_groups * WORKGROUP + lane;
    let plane = params.h * params.w;
    if (group >= slice.end || pixel >= plane) {
        return;
    }
    let row = pixel / params.w;
    let col = pixel % params.w;
    let wrap_y = (params.flags & WRAP_Y) != 0u;
    let wrap_x = (params.flags & WRAP_X) != 0u;
    var sum = 0.0;
    for (var o = 0u; o < params.in_count; o++) {
        for (var ky = 0u; ky < 3u; ky++) {
            for (var kx = 0u; kx < 3u; kx++) {
                let row_counted = wrap_y || row + 1u - ky < params.h;
                let col_counted = wrap_x || col + 1u - kx < params.w;
                if (row_counted && col_counted) {
                    let source_row = source(row + 2u - ky, params.h, wrap_y);
                    let source_col = source(col + 2u - kx, params.w, wrap_x);
                    let weight = w[(((params.in_first + o) * params.out_total + params.out_first + channel) * 3u + ky) * 3u + kx];
                    sum += weight * dy[o * plane + source_row * params.w + source_col];
                }
            }
        }
    }
    let word = gate_word(channel, row / 4u * ((params.w + 7u) / 8u) + col / 8u);
    store(channel * plane + pixel, sum, ((word >> (row % 4u * 8u + col % 8u)) & 1u) != 0u);
}
