// dx = dy·scale·Σ (x − neighbour) over the up to four neighbours of x in its plane, which with WRAP_Y and WRAP_X goes on at the
// other end; scale = 2/(C·H·W); flags: dx += and
// zero where the bit of the ReLU's mask `gate` is not set. dy (1), x, dx (C, H, W), gate (C, ⌈H/4⌉, ⌈W/8⌉) words as
// relu_mask makes them; x and dx are pieces: the channels from out_first on.
// Threads: one an element, workgroups in one line. Bandwidth bound: no tile, a cache serves the neighbours.

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

struct Params { count: u32, h: u32, w: u32, out_first: u32, scale: f32, flags: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read> x: array<f32>;
@group(0) @binding(4) var<storage, read> gate: array<u32>;
@group(0) @binding(5) var<storage, read_write> d_x: array<f32>;

const WRAP_Y: u32 = 512u;
const WRAP_X: u32 = 1024u;

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

// shared: gate_word
// The word of the mask `gate` at place `block` of output channel `output`; all its bits are set where no gate takes
// part.
fn gate_word(output: u32, block: u32) -> u32 {
    var word = 0xffffffffu;
    if ((params.flags & GATE) != 0u) {
        let blocks = (params.h + 3u) / 4u * ((params.w + 7u) / 8u);
        word = gate[(params.out_first + output) * blocks + block];
    }
    return word;
}
// end

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.count) {
        return;
    }
    let col = i % params.w;
    let row = i / params.w % params.h;
    // From a border to the other one, which is the way back: what is subtracted for the one is added for the other. Without
    // wrapping a border is its own neighbour, from which it does not differ.
    let across = select(0u, params.w - 1u, (params.flags & WRAP_X) != 0u);
    let down = select(0u, (params.h - 1u) * params.w, (params.flags & WRAP_Y) != 0u);
    let own = x[i];
    var sum = own - x[i - select(0u - across, 1u, col > 0u)];
    sum += own - x[i + select(0u - across, 1u, col + 1u < params.w)];
    sum += own - x[i - select(0u - down, params.w, row > 0u)];
    sum += own - x[i + select(0u - down, params.w, row + 1u < params.h)];
    let word = gate_word(i / (params.w * params.h), row / 4u * ((params.w + 7u) / 8u) + col / 8u);
    store(i, dy[0] * (params.scale * sum), ((word >> (row % 4u * 8u + col % 8u)) & 1u) != 0u);
}
