// y(c, v) = the lowest level t with F_t(c, t)/N_t ≥ (F(c, v − 1) + F(c, v))/(2·N), where F(c, v) counts the pixels of one
// picture whose channel c is at most v, and F_t those of the other: the middle of what has the level v among the pixels goes to
// where the other picture has its pixel of this rank. counts and counts_target (3, 256) of pictures of N = `count` and N_t =
// `count_target` pixels, whole numbers; y (3, 256), levels as floats. The fractions are compared as products of 64 bits, so
// nothing is rounded.
// Threads: one an element of y, workgroups in one line; a channel's counts stay in the innermost cache.

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

struct Params { count: u32, count_target: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> counts: array<u32>;
@group(0) @binding(3) var<storage, read> counts_target: array<u32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

const LEVELS: u32 = 256u;

// a·b: the upper 32 bits, then the lower ones.
fn product(a: u32, b: u32) -> vec2<u32> {
    let low = (a & 0xffffu) * (b & 0xffffu);
    let first = (a >> 16u) * (b & 0xffffu);
    let second = (a & 0xffffu) * (b >> 16u);
    let middle = (low >> 16u) + (first & 0xffffu) + (second & 0xffffu);
    let high = (a >> 16u) * (b >> 16u) + (first >> 16u) + (second >> 16u) + (middle >> 16u);
    return vec2<u32>(high, (middle << 16u) | (low & 0xffffu));
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= 3u * LEVELS) {
        return;
    }
    let first = i / LEVELS * LEVELS;
    var rank = counts[i];
    for (var k = first; k < i; k++) {
        rank += 2u * counts[k];
    }
    let wanted = product(rank, params.count_target);
    var found = counts_target[first];
    var level = 0u;
    for (; level < LEVELS - 1u; level++) {
        let there = product(found, 2u * params.count);
        if (there.x > wanted.x || (there.x == wanted.x && there.y >= wanted.y)) {
            break;
        }
        found += counts_target[first + level + 1u];
    }
    y[i] = f32(level);
}
