// y(first + c·threads + t) = scale·Σ of x(c, k) over k = t, t + threads, t + 2·threads, …: a pass of the mean of every
// channel. x (channels, count): planes, or what the pass before has left of them. The last pass has one thread a channel.
// Where guided is 1, x(c, k) is weighed by guidance(k).
// Threads: one a sum, so the order of every sum, and with it every bit, is fixed. Neighbouring threads read neighbouring
// elements of a channel. Several short passes instead of a long one, so that a large plane of few channels has threads
// enough, and no workgroup memory, which processors are slow at.

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

struct Params { channels: u32, count: u32, threads: u32, first: u32, guided: u32, scale: f32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> guidance: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.channels * params.threads) {
        return;
    }
    let first = i / params.threads * params.count;
    var sum = 0.0;
    // Two loops, so that the one without weights has no branch in it.
    if (params.guided != 0u) {
        for (var k = i % params.threads; k < params.count; k += params.threads) {
            sum += guidance[k] * x[first + k];
        }
    } else {
        for (var k = i % params.threads; k < params.count; k += params.threads) {
            sum += x[first + k];
        }
    }
    y[params.first + i] = params.scale * sum;
}
