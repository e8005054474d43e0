// y = Σ partials, two sums; y (1, 1, 2). Where `channels` is not 0, it takes the place of the second sum.
// Threads: one workgroup, as in squared_error_reduce.

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

struct Params { partials: u32, channels: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> partials: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

var<workgroup> sums: array<vec2<f32>, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) lane: u32) {
    var sum = vec2(0.0);
    for (var k = lane; k < params.partials; k += WORKGROUP) {
        sum += partials[k];
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
        y[0] = sums[0].x;
        y[1] = select(f32(params.channels), sums[0].y, params.channels == 0u);
    }
}
