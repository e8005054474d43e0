// x ← clamp(x − rate·d, −mean(channel), 255 − mean(channel)), NaN where that is not a number;
// average ← (1 − weight)·average + weight·x: written so, a weight of 1 gives x itself, whatever the average was. d, x,
// average (C, H, W), pieces of whole channels from `channel` on; state = (i, 1 − decayⁱ, rate, weight).
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

struct Params { plane: u32, channel: u32, channels: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> state: array<f32>;
@group(0) @binding(3) var<storage, read> mean: array<f32>;
@group(0) @binding(4) var<storage, read> d: array<f32>;
@group(0) @binding(5) var<storage, read_write> x: array<f32>;
@group(0) @binding(6) var<storage, read_write> average: array<f32>;

// shared: clamp_pixel
// Pixels minus the mean, brought into 0..255. A NaN stays one: made 0 or 255 it would hide that the optimisation
// diverges. It is told by its bits, because a compiler may reason that no NaN comes.
fn clamp_pixel(value: f32, mean: f32) -> f32 {
    let is_nan = (bitcast<u32>(value) & 0x7fffffffu) > 0x7f800000u;
    return select(clamp(value, -mean, 255.0 - mean), value, is_nan);
}
// end

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.plane * params.channels) {
        return;
    }
    let value = clamp_pixel(x[i] - state[2] * d[i], mean[params.channel + i / params.plane]);
    x[i] = value;
    average[i] = (1.0 - state[3]) * average[i] + state[3] * value;
}
