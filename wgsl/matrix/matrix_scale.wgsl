// y = a·s, a/s, a·√s or a/√s, as `root` and `inverse` say; a quotient by 0 is 0. a, y (1, n, n), s (1).
// Threads: one an element, workgroups in one line. Bandwidth bound: no tile. A division, because the reciprocal root that
// WGSL has may be off by more.

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

struct Params { count: u32, root: u32, inverse: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> s: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.count) {
        return;
    }
    var factor = s[0];
    if (params.root != 0u) {
        factor = sqrt(factor);
    }
    var value = a[i] * factor;
    if (params.inverse != 0u) {
        value = 0.0;
        // Not >, which would hide a NaN.
        if (factor != 0.0) {
            value = a[i] / factor;
        }
    }
    y[i] = value;
}
