//! The cost of Gatys, Ecker and Bethge (arXiv 1508.06576) in the constants of deeplearning.ai's course: the
//! content cost on activations, the style cost of a layer on Gram matrices. A cost is a tensor of one element,
//! and so is the gradient that comes down to it.

use super::{Real, count, expect_len};

/// Σ (x − target)² / (4·n) over n elements of any shape. On activations (C, H, W) this is the content cost
/// with its 4·H·W·C; on Gram matrices (C, C), both divided by their own pixel count as
/// [`gram_forward`](super::gram_forward) does, the style cost of one layer with its 4·C², without the layer's
/// weight λ. Returns one element.
pub fn squared_error_forward<T: Real>(x: &[T], target: &[T]) -> Vec<T> {
    expect_len("target", target, x.len());
    let sum: T = x.iter().zip(target).map(|(&x, &target)| (x - target) * (x - target)).sum();
    vec![sum / count(4 * x.len())]
}

/// The gradient of [`squared_error_forward`] with respect to `x`, from `dy` (1). Returns dx, shaped as `x`.
pub fn squared_error_backward<T: Real>(dy: &[T], x: &[T], target: &[T]) -> Vec<T> {
    expect_len("dy", dy, 1);
    expect_len("target", target, x.len());
    let scale = dy[0] / count(2 * x.len());
    x.iter().zip(target).map(|(&x, &target)| scale * (x - target)).collect()
}
