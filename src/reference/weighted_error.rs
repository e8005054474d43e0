//! A squared error in which every cell has its weight.

use super::{Real, centre, energy, expect_len};

/// Σ w_i·|x_i − target_i|² over the cells i of `x` and `target` (C, H, W), w = `weights` (H, W). Returns one element.
pub fn weighted_error_forward<T: Real>(
    x: &[T],
    target: &[T],
    weights: &[T],
    (channels, height, width): (usize, usize, usize),
) -> Vec<T> {
    expect_len("x", x, channels * height * width);
    expect_len("target", target, x.len());
    expect_len("weights", weights, height * width);
    let errors = x.iter().zip(target).map(|(&x, &target)| (x - target) * (x - target));
    vec![errors.zip(weights.iter().cycle()).map(|(error, &weight)| weight * error).sum()]
}

/// The gradient of [`weighted_error_forward`] with respect to `x`, from `dy` (1). Returns dx, shaped as `x`.
pub fn weighted_error_backward<T: Real>(
    dy: &[T],
    x: &[T],
    target: &[T],
    weights: &[T],
    (channels, height, width): (usize, usize, usize),
) -> Vec<T> {
    expect_len("dy", dy, 1);
    expect_len("x", x, channels * height * width);
    expect_len("target", target, x.len());
    expect_len("weights", weights, height * width);
    let scale = dy[0] + dy[0];
    let differences = x.iter().zip(target).map(|(&x, &target)| x - target);
    differences.zip(weights.iter().cycle()).map(|(difference, &weight)| scale * weight * difference).collect()
}

/// e_i/Σ e_j·|x_j − c|² with the [`energy`](super::energy()) e of `x` (C, H, W) and c = `mean` (C); 0 where the divisor is.
/// Returns (H, W).
pub fn cell_weights<T: Real>(x: &[T], mean: &[T], size: (usize, usize, usize)) -> Vec<T> {
    expect_len("mean", mean, size.0);
    let energies = energy(x, size);
    let spreads = energy(&centre(x, mean, size.1 * size.2), size);
    let total: T = energies.iter().zip(&spreads).map(|(&energy, &spread)| energy * spread).sum();
    let weight = |energy: T| if total == T::zero() { T::zero() } else { energy / total };
    energies.into_iter().map(weight).collect()
}
