// s(k, c) = dY(k, c) + dY(c, k): the gradient reaches F from both sides of F·Fᵀ. For gram_backward_subgroup.
// dy (1, C, C); s (⌈count/32⌉, C, 32) in blocks of 32 channels c, `count` of them from `first` on, padded with zeros.
// Threads: one an element of s, in its order. Bandwidth bound: no tile.

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

struct Params { channels: u32, first: u32, count: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> s: array<f32>;

const BLOCK: u32 = 32u;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    let blocks = (params.count + BLOCK - 1u) / BLOCK;
    if (group >= slice.end || i >= blocks * params.channels * BLOCK) {
        return;
    }
    let k = i / BLOCK % params.channels;
    let own = i / BLOCK / params.channels * BLOCK + i % BLOCK;
    let exists = own < params.count;
    let c = params.first + select(0u, own, exists);
    let sum = dy[k * params.channels + c] + dy[c * params.channels + k];
    s[i] = select(0.0, sum, exists);
}
