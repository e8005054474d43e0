// dx = dy in the cell that won, 0 in the others; flags: dx += and zero where the bit of the ReLU's mask `gate` is not
// set. dy (C, ⌈H/2⌉, ⌈W/2⌉), dx (C, H, W), winners (C, ⌈H/4⌉, ⌈W/8⌉) words as max_pool_forward makes them, gate words as
// relu_mask does. Pieces of x and y hold different channel groups: the dispatch covers the channels that both
// hold, from x_first and y_first on, in the words from gate_first on.
// Threads: one an element of dy, which writes the cells that it was chosen from, so the divisions that find its place
// are paid once for 4 elements. Workgroups in one line. Bandwidth bound: no tile.

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

struct Params { channels: u32, h: u32, w: u32, x_first: u32, y_first: u32, gate_first: u32, flags: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read> winners: array<u32>;
@group(0) @binding(4) var<storage, read> gate: array<u32>;
@group(0) @binding(5) var<storage, read_write> d_x: array<f32>;

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

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    // shared: pool_window
    // The window of element i of the pooled tensor: its first cell in x, and whether there is one to the right and below.
    let h = (params.h + 1u) / 2u;
    let w = (params.w + 1u) / 2u;
    if (group >= slice.end || i >= params.channels * h * w) {
        return;
    }
    let col = 2u * (i % w);
    let row = 2u * (i / w % h);
    let channel = i / (w * h);
    let corner = ((params.x_first + channel) * params.h + row) * params.w + col;
    let right = col + 1u < params.w;
    let below = row + 1u < params.h;
    // end
    let gradient = dy[params.y_first * w * h + i];
    // The cells lie in one word of the winners, and in one of the gate.
    let word_row = (params.gate_first + channel) * ((params.h + 3u) / 4u) + row / 4u;
    let word = word_row * ((params.w + 7u) / 8u) + col / 8u;
    let first_bit = row % 4u * 8u + col % 8u;
    let won = winners[word] >> first_bit;
    var open = 0xffffffffu;
    if ((params.flags & GATE) != 0u) {
        open = gate[word] >> first_bit;
    }
    store(corner, select(0.0, gradient, (won & 1u) != 0u), (open & 1u) != 0u);
    if (right) {
        store(corner + 1u, select(0.0, gradient, (won & 2u) != 0u), (open & 2u) != 0u);
    }
    if (below) {
        store(corner + params.w, select(0.0, gradient, (won & 0x100u) != 0u), (open & 0x100u) != 0u);
    }
    if (right && below) {
        store(corner + params.w + 1u, select(0.0, gradient, (won & 0x200u) != 0u), (open & 0x200u) != 0u);
    }
}
