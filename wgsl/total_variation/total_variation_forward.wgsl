// partials[first + i] = Σ (right − x)² + (below − x)² over the elements i, i + threads, i + 2·threads, …; x (C, H, W);
// right and below are the neighbours of x in its plane; a difference across the border is 0, or with WRAP_Y and WRAP_X that to
// the other end.
// Threads: each leaves one partial sum, so the order of the sum, and with it every bit, is fixed; squared_error_reduce
// adds the partials up. Neighbouring threads read neighbouring elements, so a cache serves the neighbours.

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

struct Params { count: u32, h: u32, w: u32, threads: u32, first: u32, flags: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> partials: array<f32>;

const WRAP_Y: u32 = 512u;
const WRAP_X: u32 = 1024u;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.threads) {
        return;
    }
    // From the last to its neighbour, which is the way back: what is subtracted is added. Without wrapping it is itself.
    let across = select(0u, params.w - 1u, (params.flags & WRAP_X) != 0u);
    let down = select(0u, (params.h - 1u) * params.w, (params.flags & WRAP_Y) != 0u);
    var sum = 0.0;
    for (var k = i; k < params.count; k += params.threads) {
        let right = select(0u - across, 1u, k % params.w + 1u < params.w);
        let below = select(0u - down, params.w, k / params.w % params.h + 1u < params.h);
        let horizontal = x[k + right] - x[k];
        let vertical = x[k + below] - x[k];
        sum += horizontal * horizontal;
        sum += vertical * vertical;
    }
    partials[params.first + i] = sum;
}
