// y = Σ^−½·(Σ^½·Σ_t·Σ^½)^½·Σ^−½: the map of the normal distribution with the covariance Σ to that with Σ_t, around their
// means, that moves colours the least; identity·I is added to both covariances before. covariance, covariance_target, y
// (3, 3). All roots come from one-sided rotations (Hestenes): they make the
// columns of a matrix M orthogonal, M·V = U·S, and then (MᵀM)^½ = V·S·Vᵀ. For the middle root M is Σ_t^½·Σ^½, so that the
// product of the covariances, whose eigenvalues lie twice as far apart, is never formed.
// Threads: one, in one workgroup: nine numbers do not suffice for more.

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

struct Params { identity: f32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> covariance: array<f32>;
@group(0) @binding(3) var<storage, read> covariance_target: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

// After few rounds each brings the columns from ε to ε² of being orthogonal: six suffice for three columns.
const ROUNDS: u32 = 8u;

// Two columns of M with those of V.
struct Pair { a: vec3<f32>, b: vec3<f32>, v: vec3<f32>, w: vec3<f32> }

// The same after the rotation that makes a and b orthogonal.
fn turned(pair: Pair) -> Pair {
    let product = dot(pair.a, pair.b);
    let square = dot(pair.a, pair.a);
    let other = dot(pair.b, pair.b);
    // As orthogonal as they can be told to be.
    if (abs(product) <= 1.0e-8 * sqrt(square) * sqrt(other)) {
        return pair;
    }
    let cotangent = (other - square) / (2.0 * product);
    let tangent = select(-1.0, 1.0, cotangent >= 0.0) / (abs(cotangent) + sqrt(1.0 + cotangent * cotangent));
    let c = 1.0 / sqrt(1.0 + tangent * tangent);
    let s = c * tangent;
    return Pair(
        c * pair.a - s * pair.b,
        s * pair.a + c * pair.b,
        c * pair.v - s * pair.w,
        s * pair.v + c * pair.w,
    );
}

// S, and V as the columns of a matrix.
struct Rotated { s: vec3<f32>, v: mat3x3<f32> }

fn rotated(m: mat3x3<f32>) -> Rotated {
    var a = m[0];
    var b = m[1];
    var c = m[2];
    var u = vec3<f32>(1.0, 0.0, 0.0);
    var v = vec3<f32>(0.0, 1.0, 0.0);
    var w = vec3<f32>(0.0, 0.0, 1.0);
    for (var k = 0u; k < ROUNDS; k++) {
        let first = turned(Pair(a, b, u, v));
        let second = turned(Pair(first.a, c, first.v, w));
        let third = turned(Pair(first.b, second.b, first.w, second.w));
        a = second.a;
        b = third.a;
        c = third.b;
        u = second.v;
        v = third.v;
        w = third.w;
    }
    return Rotated(vec3<f32>(length(a), length(b), length(c)), mat3x3<f32>(u, v, w));
}

// V·diag(s)·Vᵀ.
fn composed(v: mat3x3<f32>, s: vec3<f32>) -> mat3x3<f32> {
    return mat3x3<f32>(v[0] * s.x, v[1] * s.y, v[2] * s.z) * transpose(v);
}

fn store(at: u32, row: vec3<f32>) {
    y[at] = row.x;
    y[at + 1u] = row.y;
    y[at + 2u] = row.z;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    let i = group * WORKGROUP + lane;
    if (group >= slice.end || i >= 1u) {
        return;
    }
    let ridge = params.identity;
    let own = rotated(mat3x3<f32>(
        covariance[0] + ridge, covariance[1], covariance[2],
        covariance[3], covariance[4] + ridge, covariance[5],
        covariance[6], covariance[7], covariance[8] + ridge,
    ));
    let wanted = rotated(mat3x3<f32>(
        covariance_target[0] + ridge, covariance_target[1], covariance_target[2],
        covariance_target[3], covariance_target[4] + ridge, covariance_target[5],
        covariance_target[6], covariance_target[7], covariance_target[8] + ridge,
    ));
    let roots = sqrt(own.s);
    let middle = rotated(composed(wanted.v, sqrt(wanted.s)) * composed(own.v, roots));
    let inverse = composed(own.v, 1.0 / roots);
    let map = inverse * composed(middle.v, middle.s) * inverse;
    store(0u, vec3<f32>(map[0].x, map[1].x, map[2].x));
    store(3u, vec3<f32>(map[0].y, map[1].y, map[2].y));
    store(6u, vec3<f32>(map[0].z, map[1].z, map[2].z));
}
