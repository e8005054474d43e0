// partials[i] = Σ share(p)·<a, target>/(|a| + 1e-6) over the cells p = i, i + threads, i + 2·threads, …, less 1 for i = 0:
// together they are the cost with its sign turned. share (1, H, W), sums (splits, H, W) as match_cost_sums makes them.
// Threads: each leaves one partial sum, so the order of the sum, and with it every bit, is fixed; squared_error_reduce
// adds the partials up and turns the sign.

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

struct Params { cells: u32, splits: u32, threads: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> sums: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read> share: array<f32>;
@group(0) @binding(4) var<storage, read_write> partials: array<f32>;

// shared: match_cost_totals
const EPSILON: f32 = 1e-6;

// Σ (x − c)² and Σ (x − c)·target over all channels of a cell.
fn totals(cell: u32) -> vec2<f32> {
    var total = vec2(0.0);
    for (var split = 0u; split < params.splits; split++) {
        total += sums[split * params.cells + cell];
    }
    return total;
}
// end

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.threads) {
        return;
    }
    var sum = select(0.0, -1.0, i == 0u);
    for (var cell = i; cell < params.cells; cell += params.threads) {
        let total = totals(cell);
        sum += share[cell] * (total.y / (sqrt(total.x) + EPSILON));
    }
    partials[i] = sum;
}
