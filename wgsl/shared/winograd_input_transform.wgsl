const SIDE: u32 = 6u;
const TILE: u32 = 4u;
const ROOT: f32 = 1.4142135623730951;

// Bᵀ·d for one line d of a patch.
fn transform(d: array<Number, 6>) -> array<Number, 6> {
    let near = 2.0 * d[2] - d[4];
    let near_odd = ROOT * (d[1] - 0.5 * d[3]);
    let far = 0.5 * d[4] - 0.25 * d[2];
    let far_odd = ROOT * (0.25 * d[1] - 0.5 * d[3]);
    return array<Number, 6>(
        d[0] - 2.5 * d[2] + d[4],
        near + near_odd,
        near - near_odd,
        far + far_odd,
        far - far_odd,
        d[1] - 2.5 * d[3] + d[5],
    );
}
