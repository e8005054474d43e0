// dx(i, p) = Σ w(o, i, k)·dy(o, q) over all o of i's group, taps k and outputs q that read x(i, p): the transpose of
// conv_forward of any geometry, in up to three dimensions. An element is read at its own place, and with `padding` also
// where it stands for one beyond the edges: at the edge for all places outside, or where the axis wraps once in every
// period.
// dy (C_out, D', H', W'), w (C_out, C_in/groups, taps), dx (C_in, D, H, W); x_* are D, H, W and y_* D', H', W'.
// flags say whether dx += and gate (zero where the bit of the ReLU's mask `gate`, (C_in, ⌈D·H/4⌉, ⌈W/8⌉) words as
// relu_mask makes them, is not set) take part. dy and dx are pieces; in_* count dy's channels, out_* dx's.
// Threads: one an element of dx, pixels first, in one line of workgroups. No tile: it is there for the geometries that no
// other kernel does. A place is counted from the first element of the padding on, so that no number is negative.

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

// shared: conv_general_params
struct Params {
    x_d: u32,
    x_h: u32,
    x_w: u32,
    y_d: u32,
    y_h: u32,
    y_w: u32,
    kernel_d: u32,
    kernel_h: u32,
    kernel_w: u32,
    stride_d: u32,
    stride_h: u32,
    stride_w: u32,
    before_d: u32,
    before_h: u32,
    before_w: u32,
    after_d: u32,
    after_h: u32,
    after_w: u32,
    dilation_d: u32,
    dilation_h: u32,
    dilation_w: u32,
    padding: u32,
    groups: u32,
    in_first: u32,
    in_count: u32,
    in_total: u32,
    out_first: u32,
    out_count: u32,
    out_total: u32,
    pixel_groups: u32,
    flags: u32,
}
@group(0) @binding(1) var<uniform> params: Params;

// Values of `padding`: what lies beyond the edges of x.
const ZERO: u32 = 0u;
const REPLICATE: u32 = 1u;

// Flags: along depth, height and width lie the elements from the other end instead.
const WRAP_D: u32 = 2048u;
const WRAP_Y: u32 = 512u;
const WRAP_X: u32 = 1024u;
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

// The places at which element `at` of an axis is read: from `first` to `last` in steps of `step`.
struct Places { first: u32, last: u32, step: u32 }

fn places(at: u32, size: u32, before: u32, after: u32, wraps: bool) -> Places {
    let own = at + before;
    let end = before + size + after - 1u;
    if (wraps) {
        return Places(own % size, end, size);
    }
    if (params.padding == REPLICATE) {
        return Places(select(own, 0u, at == 0u), select(own, end, at == size - 1u), 1u);
    }
    return Places(own, own, 1u);
}

// The output of an axis of `size` whose tap lies at a place; `size` where there is none.
fn output_at(place: u32, offset: u32, stride: u32, size: u32) -> u32 {
    // What lies before the first output wraps.
    let distance = place - offset;
    let found = place >= offset && distance % stride == 0u;
    return select(size, min(distance / stride, size), found);
}

fn gate_open(channel: u32, row: u32, col: u32) -> bool {
    var word = 0xffffffffu;
    let words = (params.x_w + 7u) / 8u;
    if ((params.flags & GATE) != 0u) {
        let blocks = (params.x_d * params.x_h + 3u) / 4u * words;
        word = gate[channel * blocks + row / 4u * words + col / 8u];
    }
    return ((word >> (row % 4u * 8u + col % 8u)) & 1u) != 0u;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let input = group / params.pixel_groups;
    let pixel = group % params.pixel_groups * WORKGROUP + lane;
    let plane = params.x_d * params.x_h * params.x_w;
    if (group >= slice.end || pixel >= plane) {
        return;
    }
    // Rows of all planes are counted through, as the mask counts them.
    let all_rows = pixel / params.x_w;
    let col = pixel % params.x_w;
    let depths = places(all_rows / params.x_h, params.x_d, params.before_d, params.after_d, (params.flags & WRAP_D) != 0u);
    let rows = places(all_rows % params.x_h, params.x_h, params.before_h, params.after_h, (params.flags & WRAP_Y) != 0u);
    let cols = places(col, params.x_w, params.before_w, params.after_w, (params.flags & WRAP_X) != 0u);
    let taps = params.kernel_d * params.kernel_h * params.kernel_w;
    let y_plane = params.y_d * params.y_h * params.y_w;
    let channel = params.out_first + input;
    // The channels of dy in this group, and which of them this piece holds.
    let inputs = params.out_total / params.groups;
    let outputs = params.in_total / params.groups;
    let group_first = channel / inputs * outputs;
    let first = max(group_first, params.in_first);
    let end = min(group_first + outputs, params.in_first + params.in_count);
    var sum = 0.0;
    for (var o = first; o < end; o++) {
        let weights = (o * inputs + channel % inputs) * taps;
        let base = (o - params.in_first) * y_plane;
        for (var kd = 0u; kd < params.kernel_d; kd++) {
            for (var depth = depths.first; depth <= depths.last; depth += depths.step) {
                let out_depth = output_at(depth, kd * params.dilation_d, params.stride_d, params.y_d);
                if (out_depth == params.y_d) {
                    continue;
                }
                for (var kh = 0u; kh < params.kernel_h; kh++) {
                    for (var row = rows.first; row <= rows.last; row += rows.step) {
                        let out_row = output_at(row, kh * params.dilation_h, params.stride_h, params.y_h);
                        if (out_row == params.y_h) {
                            continue;
                        }
                        for (var kw = 0u; kw < params.kernel_w; kw++) {
                            let weight = w[weights + (kd * params.kernel_h + kh) * params.kernel_w + kw];
                            for (var place = cols.first; place <= cols.last; place += cols.step) {
                                let out_col = output_at(place, kw * params.dilation_w, params.stride_w, params.y_w);
                                if (out_col < params.y_w) {
                                    sum += weight * dy[base + (out_depth * params.y_h + out_row) * params.y_w + out_col];
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    store(input * plane + pixel, sum, gate_open(channel, all_rows, col));
}
