// y = w/max(m, 0.1)²: the weights w (1, H, W) of a content cost's cells, or the weight `scale` of all where that is not 0, over
// the squared brightness m (1, H, W) of a map of the strength; black counts as 0.1, so that the weight is finite.
// Threads: one a pixel, workgroups in one line. Bandwidth bound: no tile.

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

// Must agree with LEAST_BRIGHTNESS in src/ops/guide.rs.
const LEAST_BRIGHTNESS = 0.1;

struct Params { count: u32, scale: f32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> weights: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.count) {
        return;
    }
    var weight = params.scale;
    if (weight == 0.0) {
        weight = weights[i];
    }
    let brightness = max(x[i], LEAST_BRIGHTNESS);
    y[i] = weight / (brightness * brightness);
}
