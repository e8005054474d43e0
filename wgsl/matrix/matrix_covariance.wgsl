// y(i, j) = E(i, j) − μ(i)·μ(j), the covariance of channels, and on the diagonal 10⁻⁴·E(i, i)/(1 + 10⁴·r²) more, where r is the
// share of the variance in the squares, (tr E − |μ|²)/tr E. moments (1, C+1, C): the rows of E and then μ; y (1, C, C).
//
// Where a picture is nearly flat, r is small, the difference is what rounding left of two large numbers, and a root of it
// would be none. What is added is more than that then, and nothing to speak of where r is a tenth or more.
// Threads: one an element, workgroups in one line. Bandwidth bound: no tile. Those of the diagonal sum the traces.

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

struct Params { channels: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> moments: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let at = group * WORKGROUP + lane;
    let size = params.channels * params.channels;
    if (group >= slice.end || at >= size) {
        return;
    }
    let row = at / params.channels;
    let column = at % params.channels;
    var covariance = moments[at] - moments[size + row] * moments[size + column];
    if (row == column) {
        var squares = 0.0;
        var variance = 0.0;
        for (var channel = 0u; channel < params.channels; channel += 1u) {
            let square = moments[channel * params.channels + channel];
            let mean = moments[size + channel];
            squares += square;
            variance += square - mean * mean;
        }
        let share = select(1.0, variance / squares, squares != 0.0);
        covariance += 1e-4 * moments[at] / (1.0 + 1e4 * share * share);
    }
    y[at] = covariance;
}
