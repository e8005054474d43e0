//! A gradient divided by its L1 norm, before it has its weight.

use super::Real;

/// weight·g/(Σ|g| + 10⁻⁸) of the gradient g = dy/weight, for any shape; zeros where the weight is not above 0. Returns dx, shaped
/// as `dy`.
pub fn normalise_gradient<T: Real>(dy: &[T], weight: T) -> Vec<T> {
    if weight <= T::zero() {
        return vec![T::zero(); dy.len()];
    }
    let small = T::from(1e-8).expect("a small number");
    let norm = dy.iter().map(|dy| (*dy / weight).abs()).sum::<T>() + small;
    dy.iter().map(|dy| *dy / norm).collect()
}
