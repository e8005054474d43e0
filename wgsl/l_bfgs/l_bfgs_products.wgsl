// partials(i, group) = (sᵢ·y, sᵢ·g, yᵢ·y, yᵢ·g) for every slot i of the history, and after the last slot (Σ|g|, g·g, s·s, 0):
// sums over the elements of the group. The new pair is s = s_spare and y = g − y_spare, because the spare slot holds the
// gradient of the step before in the place of y, and it counts as y_spare. g (C, H, W) is a piece that has `channels` channels
// in common with a piece of s and y (C, slots, H, W); state = (pairs, spare slot, whether there was a step before).
// Threads: each holds ELEMENTS elements of g and y in registers while a loop runs over the slots: gradient and history are
// read once. Neighbouring threads read neighbouring elements. A tree in workgroup memory ends the four sums of a slot
// together; the reduce kernel adds the groups up, so the order of every sum is fixed.

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

struct Params {
    plane: u32,
    channels: u32,
    slots: u32,
    first: u32,
    history_first: u32,
    first_group: u32,
    groups: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> state: array<f32>;
@group(0) @binding(3) var<storage, read> g: array<f32>;
@group(0) @binding(4) var<storage, read> s: array<f32>;
@group(0) @binding(5) var<storage, read> y: array<f32>;
@group(0) @binding(6) var<storage, read_write> partials: array<vec4<f32>>;

const ELEMENTS: u32 = 8u;

var<workgroup> sums: array<vec4<f32>, WORKGROUP>;

// shared: history_place
// The place of element k of the pixels in slot 0 of the history, counted as in the pieces at hand.
fn history_place(k: u32) -> u32 {
    return (params.history_first + k / params.plane) * params.slots * params.plane + k % params.plane;
}
// end

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    if (group >= slice.end) {
        return;
    }
    let spare = u32(state[1]) * params.plane;
    let count = params.channels * params.plane;
    var places: array<u32, ELEMENTS>;
    var gradients: array<f32, ELEMENTS>;
    var differences: array<f32, ELEMENTS>;
    var of_gradient = vec4(0.0);
    for (var e = 0u; e < ELEMENTS; e++) {
        let i = (group * ELEMENTS + e) * WORKGROUP + lane;
        let is_inside = i < count;
        let k = select(0u, i, is_inside);
        let place = history_place(k);
        let gradient = select(0.0, g[params.first * params.plane + k], is_inside);
        let step = select(0.0, s[place + spare], is_inside);
        places[e] = place;
        gradients[e] = gradient;
        differences[e] = select(0.0, gradient - y[place + spare], is_inside);
        of_gradient += vec4(abs(gradient), gradient * gradient, step * step, 0.0);
    }
    for (var slot = 0u; slot <= params.slots; slot++) {
        var sum = of_gradient;
        if (slot < params.slots) {
            let first = slot * params.plane;
            sum = vec4(0.0);
            for (var e = 0u; e < ELEMENTS; e++) {
                let step = s[places[e] + first];
                let difference = select(y[places[e] + first], differences[e], first == spare);
                let others = vec2(differences[e], gradients[e]);
                sum += vec4(step * others, difference * others);
            }
        }
        sums[lane] = sum;
        // shared: sum_tree
        for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
            workgroupBarrier();
            if (lane < half) {
                sums[lane] += sums[lane + half];
            }
        }
        // end
        if (lane == 0u) {
            partials[slot * params.groups + params.first_group + group] = sums[0];
        }
        workgroupBarrier();
    }
}
