//! Total variation (Mahendran and Vedaldi, arXiv 1412.0035, with β = 2), divided by the elements.

use super::{Real, count, expect_len};
use crate::ops::Wrap;

/// The neighbours to the right and below of every element of x (C, H, W), as pairs of places in x. What wraps goes on at the
/// other end.
fn neighbours(
    (channels, height, width): (usize, usize, usize),
    wrap: Wrap,
) -> impl Iterator<Item = (usize, usize)> {
    (0..channels * height * width).flat_map(move |at| {
        let (row, column) = (at / width % height, at % width);
        let right = (wrap.x || column + 1 < width).then_some((at, at - column + (column + 1) % width));
        let first = at - row * width;
        let below = (wrap.y || row + 1 < height).then_some((at, first + (row + 1) % height * width));
        right.into_iter().chain(below)
    })
}

/// Σ (x − neighbour)²/(C·H·W) over all pairs of neighbours in the planes of x (C, H, W). Returns one element.
pub fn total_variation_forward<T: Real>(x: &[T], size: (usize, usize, usize), wrap: Wrap) -> Vec<T> {
    expect_len("x", x, size.0 * size.1 * size.2);
    let sum: T = neighbours(size, wrap).map(|(a, b)| (x[b] - x[a]) * (x[b] - x[a])).sum();
    vec![sum / count(x.len())]
}

/// The gradient of [`total_variation_forward`] with respect to `x`, from `dy` (1). Returns dx, shaped as `x`.
pub fn total_variation_backward<T: Real>(
    dy: &[T],
    x: &[T],
    size: (usize, usize, usize),
    wrap: Wrap,
) -> Vec<T> {
    expect_len("dy", dy, 1);
    expect_len("x", x, size.0 * size.1 * size.2);
    let two = T::one() + T::one();
    let scale = dy[0] * two / count(x.len());
    let mut dx = vec![T::zero(); x.len()];
    for (a, b) in neighbours(size, wrap) {
        let difference = scale * (x[b] - x[a]);
        dx[b] += difference;
        dx[a] -= difference;
    }
    dx
}
