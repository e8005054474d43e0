//! The squared Wasserstein-2 distance of two Gaussians, linear in the covariance until its gradient G is made anew.

use super::{Real, count, expect_len};

/// (|μ − μ_t|² + <G, E − μ·μᵀ> + r)/t, and 0 where t is not above 0; r and t are `rest`. `moments` and `target` (C + 1, C), `g`
/// (C, C), `rest` (2). Returns one element.
pub fn wasserstein_forward<T: Real>(
    moments: &[T],
    target: &[T],
    g: &[T],
    rest: &[T],
    channels: usize,
) -> Vec<T> {
    expect_len("moments", moments, (channels + 1) * channels);
    expect_len("target", target, moments.len());
    expect_len("g", g, channels * channels);
    expect_len("rest", rest, 2);
    let (products, means) = moments.split_at(channels * channels);
    let covariance = |at: usize| products[at] - means[at / channels] * means[at % channels];
    let product: T = g.iter().enumerate().map(|(at, g)| *g * covariance(at)).sum();
    let means = moments.iter().zip(target).skip(channels * channels);
    let distance: T = means.map(|(mean, target)| (*mean - *target) * (*mean - *target)).sum();
    vec![if rest[1] > T::zero() { (distance + product + rest[0]) / rest[1] } else { T::zero() }]
}

/// The gradient of [`wasserstein_forward`] with respect to `moments`, from `dy` (1). Returns (C + 1, C).
pub fn wasserstein_backward<T: Real>(
    dy: &[T],
    moments: &[T],
    target: &[T],
    g: &[T],
    rest: &[T],
    channels: usize,
) -> Vec<T> {
    expect_len("dy", dy, 1);
    expect_len("moments", moments, (channels + 1) * channels);
    expect_len("target", target, moments.len());
    expect_len("g", g, channels * channels);
    expect_len("rest", rest, 2);
    let factor = if rest[1] > T::zero() { dy[0] / rest[1] } else { T::zero() };
    let (means, targets) = (&moments[channels * channels..], &target[channels * channels..]);
    let of_means = (0..channels).map(|i| {
        let both = |j: usize| (g[i * channels + j] + g[j * channels + i]) * means[j];
        let difference = means[i] - targets[i];
        factor * (difference + difference - (0..channels).map(both).sum::<T>())
    });
    g.iter().map(|g| factor * *g).chain(of_means).collect()
}

/// tr Σ + tr Σ_t − 2·tr S − <G, Σ>, and tr Σ_t, or C where it is `by_channels`. `covariance` Σ, `root` S, `g` and `target` Σ_t
/// (C, C). Returns two elements.
pub fn wasserstein_rest<T: Real>(
    covariance: &[T],
    root: &[T],
    g: &[T],
    target: &[T],
    channels: usize,
    by_channels: bool,
) -> Vec<T> {
    for (name, matrix) in [("covariance", covariance), ("root", root), ("g", g), ("target", target)] {
        expect_len(name, matrix, channels * channels);
    }
    let trace = |a: &[T]| (0..channels).map(|i| a[i * channels + i]).sum::<T>();
    let product: T = g.iter().zip(covariance).map(|(g, c)| *g * *c).sum();
    let divisor = if by_channels { count(channels) } else { trace(target) };
    vec![trace(covariance) + trace(target) - trace(root) - trace(root) - product, divisor]
}
