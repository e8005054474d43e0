// x ← x + Σ wᵢ·sᵢ + Σ vᵢ·yᵢ + u·g, with weights = (w for every slot, v, u, the slot that was spare, the one that is). The slot that
// was spare gets y = g − y where it is a pair now, and the spare one s = what was added, y = g: the pair of the next step. g and x
// (C, H, W) are pieces that have `channels` channels in common with a piece of s and y (C, slots, H, W).
// Threads: one an element, workgroups in one line. Bandwidth bound: no tile. Slots without weight are not read: they may hold
// what is left of another size.

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

struct Params { plane: u32, channels: u32, slots: u32, first: u32, history_first: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read> g: array<f32>;
@group(0) @binding(4) var<storage, read_write> x: array<f32>;
@group(0) @binding(5) var<storage, read_write> s: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;

// shared: history_place
// The place of element k of the pixels in slot 0 of the history, counted as in the pieces at hand.
fn history_place(k: u32) -> u32 {
    return (params.history_first + k / params.plane) * params.slots * params.plane + k % params.plane;
}
// end

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.channels * params.plane) {
        return;
    }
    let slots = params.slots;
    let was_spare = u32(weights[2u * slots + 1u]);
    let spare = u32(weights[2u * slots + 2u]);
    let at = params.first * params.plane + i;
    let place = history_place(i);
    let gradient = g[at];
    if (spare != was_spare) {
        let pair = place + was_spare * params.plane;
        y[pair] = gradient - y[pair];
    }
    var change = weights[2u * slots] * gradient;
    for (var slot = 0u; slot < slots; slot++) {
        let of_s = weights[slot];
        let of_y = weights[slots + slot];
        if (of_s != 0.0 || of_y != 0.0) {
            let held = place + slot * params.plane;
            change += of_s * s[held] + of_y * y[held];
        }
    }
    x[at] = x[at] + change;
    s[place + spare * params.plane] = change;
    y[place + spare * params.plane] = gradient;
}
