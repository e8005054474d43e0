//! Sums of costs: the style cost over its layers, and the total cost.

use super::{Real, expect_len};

/// Σ weight·x over costs `xs` (n) and their `weights` (n): the total cost, or the style cost over its layers.
/// Returns one element.
pub fn weighted_sum_forward<T: Real>(xs: &[T], weights: &[T]) -> Vec<T> {
    expect_len("weights", weights, xs.len());
    vec![xs.iter().zip(weights).map(|(&x, &weight)| weight * x).sum()]
}

/// The gradient of [`weighted_sum_forward`] with respect to each cost, from `dy` (1). Returns one per weight
/// (n).
pub fn weighted_sum_backward<T: Real>(dy: &[T], weights: &[T]) -> Vec<T> {
    expect_len("dy", dy, 1);
    weights.iter().map(|&weight| dy[0] * weight).collect()
}
