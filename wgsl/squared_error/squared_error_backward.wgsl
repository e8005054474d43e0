// dx = dy·scale·(x − target), scale = 1/(2n) for n elements; flags: dx += and zero where the bit of the ReLU's mask
// `gate` is not set. dy (1), x, target, dx (C, H, W), pieces that begin at channel `first` of their tensors; gate
// (C, ⌈H/4⌉, ⌈W/8⌉) words as relu_mask makes them.
// Threads: one owns 8 columns of a row, a line of the gate's word, so that the divisions that find its place are paid
// once for 8 elements. Workgroups in one line. Bandwidth bound: no tile.

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

struct Params { channels: u32, h: u32, w: u32, first: u32, scale: f32, flags: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read> x: array<f32>;
@group(0) @binding(4) var<storage, read> target_: array<f32>;
@group(0) @binding(5) var<storage, read> gate: array<u32>;
@group(0) @binding(6) var<storage, read_write> d_x: array<f32>;

// shared: gradient_store
// The epilogue of a gradient: adds to what is there, and writes 0 where the gate is closed.
const ACCUMULATE: u32 = 1u;
const GATE: u32 = 8u;

fn store(at: u32, gradient: f32, open: bool) {
    var value = gradient;
    if ((params.flags & ACCUMULATE) != 0u) {
        value += d_x[at];
    }
    d_x[at] = select(0.0, value, open);
}
// end

const COLUMNS: u32 = 8u;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    // shared: mask_line
    let h = (params.h + 3u) / 4u;
    let w = (params.w + COLUMNS - 1u) / COLUMNS;
    if (group >= slice.end || i >= params.channels * params.h * w) {
        return;
    }
    let block = i % w;
    let line = i / w;
    // end
    var open = 0xffffffffu;
    if ((params.flags & GATE) != 0u) {
        let row = line % params.h;
        let channel = params.first + line / params.h;
        open = gate[(channel * h + row / 4u) * w + block] >> (row % 4u * COLUMNS);
    }
    let factor = dy[0] * params.scale;
    for (var k = 0u; k < COLUMNS; k++) {
        let col = block * COLUMNS + k;
        if (col < params.w) {
            let at = line * params.w + col;
            store(at, factor * (x[at] - target_[at]), ((open >> k) & 1u) != 0u);
        }
    }
}
