// What keeps the deviation of a channel that is the same everywhere, and its gradient, finite.
const EPSILON: f32 = 1e-5;

// The standard deviation of a channel, of its mean square and its mean.
fn deviation(square: f32, mean: f32) -> f32 {
    let variance = square - mean * mean;
    // Not max, which may hide a NaN.
    return sqrt(select(variance, 0.0, variance < 0.0) + EPSILON);
}
