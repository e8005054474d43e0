const SIDE: u32 = 6u;
const BLOCK: u32 = 32u;
const ROOT: f32 = 1.4142135623730951;

// G·g for one line g = (x, y, z) of a kernel.
fn transform(x: Number, y: Number, z: Number) -> array<Number, 6> {
    let near = (2.0 * x + z) / 3.0;
    let far = (x + 2.0 * z) / 3.0;
    let odd = ROOT / 3.0 * y;
    return array<Number, 6>(x, near + odd, near - odd, far - odd, far + odd, z);
}
