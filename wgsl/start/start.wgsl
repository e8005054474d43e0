// y = ratio·noise + levels[channel][byte], rounded once: noise, y (C, H, W), the channels from `channel` on; picture
// (H, W), one word a pixel with red in the lowest byte; levels (3, 256).
//
// Rounded once, because Adam's first steps take the sign of gradients that may be nearly 0: a picture that differs in
// its last bits is painted otherwise. The product is made of four that are exact, since each factor has half the bits of
// a number, so it does not matter whether a compiler merges them with additions. The rounding errors of the sums are
// kept and added last (Knuth's two-sum; D. Knuth, The Art of Computer Programming, volume 2, 4.2.2).
// Threads: one an element, workgroups in one line. Bandwidth bound: no tile.

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

struct Params { count: u32, plane: u32, channel: u32, ratio_high: f32, ratio_low: f32, zero: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> noise: array<f32>;
@group(0) @binding(3) var<storage, read> picture: array<u32>;
@group(0) @binding(4) var<storage, read> levels: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;

// The same number, of which no compiler knows how it was made: Mesa's and Microsoft's take a + b - a for b.
fn rounded(value: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(value) ^ params.zero);
}

// The sum of two numbers, and what its rounding lost.
fn two_sum(a: f32, b: f32) -> vec2<f32> {
    let sum = rounded(a + b);
    let of_b = rounded(sum - a);
    return vec2<f32>(sum, (a - (sum - of_b)) + (b - of_b));
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.count) {
        return;
    }
    let channel = params.channel + i / params.plane;
    let byte = (picture[i % params.plane] >> (8u * channel)) & 255u;
    let noise_high = bitcast<f32>(bitcast<u32>(noise[i]) & 0xfffff000u);
    let noise_low = noise[i] - noise_high;
    let middle = two_sum(params.ratio_high * noise_low, params.ratio_low * noise_high);
    let start = two_sum(params.ratio_high * noise_high, levels[256u * channel + byte]);
    let sum = two_sum(start.x, middle.x);
    y[i] = sum.x + ((sum.y + start.y) + (middle.y + params.ratio_low * noise_low));
}
