// sums(s, p) = (Σ a(k, p)², Σ a(k, p)·target(k, p)) over the channels k of split s, a = x − centre; flags: sums +=. x and
// target (C, H, W) are pieces that begin at channel `first`, centre (1, 1, C), sums (splits, H, W).
// Threads: as in energy.

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

struct Params { cells: u32, channels: u32, first: u32, splits: u32, split_channels: u32, flags: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> centre: array<f32>;
@group(0) @binding(4) var<storage, read> target_: array<f32>;
@group(0) @binding(5) var<storage, read_write> sums: array<vec2<f32>>;

const ACCUMULATE: u32 = 1u;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    // shared: channel_split
    // The cell of thread i and the channels that it adds up.
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.cells * params.splits) {
        return;
    }
    let cell = i % params.cells;
    let begin = i / params.cells * params.split_channels;
    let end = min(begin + params.split_channels, params.channels);
    // end
    var sum = vec2(0.0);
    for (var k = begin; k < end; k++) {
        let at = k * params.cells + cell;
        let value = x[at] - centre[params.first + k];
        sum += value * vec2(value, target_[at]);
    }
    if ((params.flags & ACCUMULATE) != 0u) {
        sum += sums[i];
    }
    sums[i] = sum;
}
