// state ← (i + 1, decay·c + (1−decay), rate·(1 − fade·i/steps), (1−decay)/c) with the new c = 1 − decayⁱ: the steps
// so far, this step's rate, and its weight in the average. hyper = (rate, fade, steps, decay, 1−decay). It lives on
// the GPU so that steps can be recorded one after the other.
// Threads: one, in one workgroup.

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

struct Params { unused: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> hyper: array<f32>;
@group(0) @binding(3) var<storage, read_write> state: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= 1u) {
        return;
    }
    let c = hyper[3] * state[1] + hyper[4];
    state[2] = hyper[0] * (1.0 - hyper[1] * state[0] / hyper[2]);
    state[3] = hyper[4] / c;
    state[1] = c;
    state[0] = state[0] + 1.0;
}
