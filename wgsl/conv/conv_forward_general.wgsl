// y(o, p) = relu(b(o) + Σ w(o, i, k)·x(i, p·stride + k·dilation − before)): a convolution of any geometry, in up to
// three dimensions. p and k count along depth, height and width; i are the channels of o's group. Beyond the edges x is
// 0 or the nearest element, as `padding` says, or with WRAP_D, WRAP_Y and WRAP_X the one from the other end.
// x (C_in, D, H, W), w (C_out, C_in/groups, taps), b (C_out), y (C_out, D', H', W'); x_* are D, H, W and y_* D', H', W'.
// flags say which of bias, ReLU and y += take part. x and y are pieces: channel groups of their tensors.
// Threads: one an output element, pixels first, in one line of workgroups. No tile: it is there for the geometries that no
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
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> w: array<f32>;
@group(0) @binding(4) var<storage, read> b: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

const ACCUMULATE: u32 = 1u;
const BIAS: u32 = 2u;
const RELU: u32 = 4u;

// The element of an axis of `size` at a place that is counted from `before` elements before its first one; `size` where
// there is none.
fn element(place: u32, before: u32, size: u32, wraps: bool) -> u32 {
    if (wraps) {
        return (place % size + size - before % size) % size;
    }
    if (params.padding == REPLICATE) {
        return clamp(place, before, before + size - 1u) - before;
    }
    // What lies before the first element wraps, and is large.
    return min(place - before, size);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let output = group / params.pixel_groups;
    let pixel = group % params.pixel_groups * WORKGROUP + lane;
    let plane = params.y_d * params.y_h * params.y_w;
    if (group >= slice.end || pixel >= plane) {
        return;
    }
    let depth = pixel / (params.y_h * params.y_w);
    let row = pixel / params.y_w % params.y_h;
    let col = pixel % params.y_w;
    let taps = params.kernel_d * params.kernel_h * params.kernel_w;
    let x_plane = params.x_d * params.x_h * params.x_w;
    let channel = params.out_first + output;
    // The input channels of this group, and which of them this piece holds.
    let inputs = params.in_total / params.groups;
    let group_first = channel / (params.out_total / params.groups) * inputs;
    let first = max(group_first, params.in_first);
    let end = min(group_first + inputs, params.in_first + params.in_count);
    let wrap_d = (params.flags & WRAP_D) != 0u;
    let wrap_y = (params.flags & WRAP_Y) != 0u;
    let wrap_x = (params.flags & WRAP_X) != 0u;
    var sum = 0.0;
    for (var i = first; i < end; i++) {
        let weights = (channel * inputs + i - group_first) * taps;
        let base = (i - params.in_first) * x_plane;
        for (var kd = 0u; kd < params.kernel_d; kd++) {
            let source_depth = element(depth * params.stride_d + kd * params.dilation_d, params.before_d, params.x_d, wrap_d);
            for (var kh = 0u; kh < params.kernel_h; kh++) {
                let source_row = element(row * params.stride_h + kh * params.dilation_h, params.before_h, params.x_h, wrap_y);
                for (var kw = 0u; kw < params.kernel_w; kw++) {
                    let source_col = element(col * params.stride_w + kw * params.dilation_w, params.before_w, params.x_w, wrap_x);
                    if (source_depth < params.x_d && source_row < params.x_h && source_col < params.x_w) {
                        let weight = w[weights + (kd * params.kernel_h + kh) * params.kernel_w + kw];
                        sum += weight * x[base + (source_depth * params.x_h + source_row) * params.x_w + source_col];
                    }
                }
            }
        }
    }
    let at = output * plane + pixel;
    var value = sum;
    if ((params.flags & ACCUMULATE) != 0u) {
        value += y[at];
    }
    if ((params.flags & BIAS) != 0u) {
        value += b[channel];
    }
    if ((params.flags & RELU) != 0u) {
        // Not max, which may make 0 of a NaN and hide it.
        value = select(value, 0.0, value < 0.0);
    }
    y[at] = value;
}
