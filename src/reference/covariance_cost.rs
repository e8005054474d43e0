//! How far the covariance of channels is from another, as a share of that.

use super::{Real, expect_len};

/// |Σ − Σ_t|²/|Σ_t|² by the Frobenius norm |Σ_t|, `norm` (1), and 0 where that is not above 0; Σ(i, j) = E(i, j) − μ(i)·μ(j) of
/// `moments` (C + 1, C), whose last row is μ; `target` Σ_t (C, C). Returns one element.
pub fn covariance_cost_forward<T: Real>(moments: &[T], target: &[T], norm: &[T], channels: usize) -> Vec<T> {
    let scale = reciprocal(norm);
    let squares = differences(moments, target, channels).into_iter().map(|d| scale * d * (scale * d));
    vec![squares.sum()]
}

/// The gradient of [`covariance_cost_forward`] with respect to `moments`, from `dy` (1). Returns (C + 1, C).
pub fn covariance_cost_backward<T: Real>(
    dy: &[T],
    moments: &[T],
    target: &[T],
    norm: &[T],
    channels: usize,
) -> Vec<T> {
    expect_len("dy", dy, 1);
    let scale = reciprocal(norm);
    let factor = (dy[0] + dy[0]) * scale * scale;
    let d = differences(moments, target, channels);
    let means = &moments[channels * channels..];
    let of_means = (0..channels).map(|i| {
        let both = |j: usize| (d[i * channels + j] + d[j * channels + i]) * means[j];
        -factor * (0..channels).map(both).sum::<T>()
    });
    d.iter().map(|d| factor * *d).chain(of_means).collect()
}

/// Σ − Σ_t.
fn differences<T: Real>(moments: &[T], target: &[T], channels: usize) -> Vec<T> {
    expect_len("moments", moments, (channels + 1) * channels);
    expect_len("target", target, channels * channels);
    let (products, means) = moments.split_at(channels * channels);
    let covariance = |at: usize| products[at] - means[at / channels] * means[at % channels];
    target.iter().enumerate().map(|(at, target)| covariance(at) - *target).collect()
}

fn reciprocal<T: Real>(norm: &[T]) -> T {
    expect_len("norm", norm, 1);
    if norm[0] > T::zero() { T::one() / norm[0] } else { T::zero() }
}
