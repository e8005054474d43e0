// Pixels minus the mean, brought into 0..255. A NaN stays one: made 0 or 255 it would hide that the optimisation
// diverges. It is told by its bits, because a compiler may reason that no NaN comes.
fn clamp_pixel(value: f32, mean: f32) -> f32 {
    let is_nan = (bitcast<u32>(value) & 0x7fffffffu) > 0x7f800000u;
    return select(clamp(value, -mean, 255.0 - mean), value, is_nan);
}
