//! The costs of Gatys, Ecker and Bethge (arXiv 1508.06576) in the constants of deeplearning.ai's course. A
//! cost is a tensor of one element, and so is the gradient that comes down to it.

use super::{Real, count, expect_len};

/// Σ (a − b)²
fn squared_distance<T: Real>(a: &[T], b: &[T]) -> T {
    a.iter().zip(b).map(|(&a, &b)| (a - b) * (a - b)).sum()
}

/// Content cost Σ (x − target)² / (4·H·W·C) of activations of any shape. Returns one element.
pub fn content_cost_forward<T: Real>(x: &[T], target: &[T]) -> Vec<T> {
    expect_len("target", target, x.len());
    vec![squared_distance(x, target) / count(4 * x.len())]
}

/// The gradient of [`content_cost_forward`] with respect to `x`, from `dy` (1). Returns dx, shaped as `x`.
pub fn content_cost_backward<T: Real>(dy: &[T], x: &[T], target: &[T]) -> Vec<T> {
    expect_len("dy", dy, 1);
    expect_len("target", target, x.len());
    let scale = dy[0] / count(2 * x.len());
    x.iter().zip(target).map(|(&x, &target)| scale * (x - target)).collect()
}

/// Style cost Σ (g − target)² / (4·C²) of one layer, both Gram matrices (C, C) divided by their own pixel
/// count, as [`gram_forward`](super::gram_forward) does. Returns one element, without the layer's weight λ.
pub fn style_cost_forward<T: Real>(g: &[T], target: &[T], channels: usize) -> Vec<T> {
    expect_len("g", g, channels * channels);
    expect_len("target", target, channels * channels);
    vec![squared_distance(g, target) / count(4 * channels * channels)]
}

/// The gradient of [`style_cost_forward`] with respect to `g`, from `dy` (1). Returns dg (C, C).
pub fn style_cost_backward<T: Real>(dy: &[T], g: &[T], target: &[T], channels: usize) -> Vec<T> {
    expect_len("dy", dy, 1);
    expect_len("g", g, channels * channels);
    expect_len("target", target, channels * channels);
    let scale = dy[0] / count(2 * channels * channels);
    g.iter().zip(target).map(|(&g, &target)| scale * (g - target)).collect()
}

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
