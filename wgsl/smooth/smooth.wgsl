// y = scale·Σ of (1 2 1)/4 along the rows times (1 2 1)/4 along the columns times x, the border repeated, or
// with WRAP_Y and WRAP_X followed by the one at the other end; x, y (C, H, W), pieces of whole channels.
// Threads: one an element, workgroups in one line. Bandwidth bound: no tile, a cache serves the neighbours.

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

struct Params { count: u32, h: u32, w: u32, scale: f32, flags: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

const WRAP_Y: u32 = 512u;
const WRAP_X: u32 = 1024u;

// Four times the mean of an element and its neighbours in the row, which are `left` before and `right` behind it.
fn along(at: u32, left: u32, right: u32) -> f32 {
    return x[at - left] + 2.0 * x[at] + x[at + right];
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.count) {
        return;
    }
    let col = i % params.w;
    let row = i / params.w % params.h;
    // From a border to the other one, which is the way back: what is subtracted for the one is added for the other.
    let across = select(0u, params.w - 1u, (params.flags & WRAP_X) != 0u);
    let down = select(0u, (params.h - 1u) * params.w, (params.flags & WRAP_Y) != 0u);
    let left = select(0u - across, 1u, col > 0u);
    let right = select(0u - across, 1u, col + 1u < params.w);
    let above = select(0u - down, params.w, row > 0u);
    let below = select(0u - down, params.w, row + 1u < params.h);
    let sum = along(i - above, left, right) + 2.0 * along(i, left, right) + along(i + below, left, right);
    y[i] = params.scale * (0.0625 * sum);
}
