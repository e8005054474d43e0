// byte(row, column) = round(clamp(t, 0, 255)), alpha 255, t = Σ over k of L((k + ½ − centre)/stretch) · plane(row, k) / Σ
// of the same weights, with centre = (column + ½)·ratio, stretch = max(ratio, 1), ratio = W/size, L(z) = sinc(z)·sinc(z/3)
// for |z| < 3: the second half of a Lanczos resampling. Three planes (H, W) to an RGBA picture y (H, size), one word a
// pixel with red in the lowest byte.
// Threads: one a pixel of y, workgroups in one line; what neighbours read overlaps. Weights as in the first half.

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

struct Params { h: u32, w: u32, size: u32, ratio: f32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> red: array<f32>;
@group(0) @binding(3) var<storage, read> green: array<f32>;
@group(0) @binding(4) var<storage, read> blue: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<u32>;

// shared: lanczos
// sin(πx)/(πx). With n the whole number nearest to x and r = x − n, which is exact, the sine is ±sin(πr): a Taylor
// series in r² with r taken out, off by 6·10⁻⁸ at r = ±½. The language allows its own sine to be off by 2⁻¹¹, which
// divided by a small x is anything.
fn sinc(x: f32) -> f32 {
    let n = round(x);
    let r = x - n;
    let s = r * r;
    let sine = 1.0 + s * (-1.6449341 + s * (0.8117424 + s * (-0.19075182 + s * (0.026147848 + s * -0.0023460810))));
    // Around 0, r is x.
    let is_near = n == 0.0;
    let quotient = select(r, 1.0, is_near) / select(x, 1.0, is_near);
    return select(sine, -sine, (i32(n) & 1) == 1) * quotient;
}

// The window of 3 pixels.
fn lanczos(x: f32) -> f32 {
    return select(0.0, sinc(x) * sinc(x / 3.0), abs(x) < 3.0);
}
// end

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= params.h * params.size) {
        return;
    }
    let row = i / params.size * params.w;
    let centre = (f32(i % params.size) + 0.5) * params.ratio;
    let stretch = max(params.ratio, 1.0);
    let first = min(u32(max(floor(centre - 3.0 * stretch), 0.0)), params.w - 1u);
    let end = clamp(u32(ceil(centre + 3.0 * stretch)), first + 1u, params.w);
    var sum = vec3<f32>(0.0);
    var weights = 0.0;
    for (var k = first; k < end; k++) {
        let weight = lanczos((f32(k) - (centre - 0.5)) / stretch);
        sum += weight * vec3<f32>(red[row + k], green[row + k], blue[row + k]);
        weights += weight;
    }
    let bytes = vec3<u32>(clamp(sum / weights, vec3<f32>(0.0), vec3<f32>(255.0)) + 0.5);
    y[i] = bytes.x | (bytes.y << 8u) | (bytes.z << 16u) | (255u << 24u);
}
