//! How far means and standard deviations of channels are from others, over the variance of those.

use super::{Real, expect_len};

/// What keeps the deviation of a channel that is the same everywhere, and its gradient, finite.
const EPSILON: f32 = 1e-5;

/// (|μ − μ_t|² + |σ − σ_t|²)/|σ_t|² with σ(c)² = E(c, c) − μ(c)², not below 0, + 10⁻⁵. `moments` and `target` (C + 1, C): the rows
/// of E and then μ. Returns one element.
pub fn mean_variance_cost_forward<T: Real>(moments: &[T], target: &[T], channels: usize) -> Vec<T> {
    let (means, deviations) = statistics(moments, channels);
    let (wanted_means, wanted) = statistics(target, channels);
    let square = |(a, b): (&T, &T)| (*a - *b) * (*a - *b);
    let of_means: T = means.iter().zip(wanted_means).map(square).sum();
    let of_deviations: T = deviations.iter().zip(&wanted).map(square).sum();
    vec![(of_means + of_deviations) / variance(&wanted)]
}

/// The gradient of [`mean_variance_cost_forward`] with respect to `moments`, from `dy` (1). Returns (C + 1, C).
pub fn mean_variance_cost_backward<T: Real>(
    dy: &[T],
    moments: &[T],
    target: &[T],
    channels: usize,
) -> Vec<T> {
    expect_len("dy", dy, 1);
    let (means, deviations) = statistics(moments, channels);
    let (wanted_means, wanted) = statistics(target, channels);
    let factor = dy[0] / variance(&wanted);
    let mut dx = vec![T::zero(); (channels + 1) * channels];
    for c in 0..channels {
        let square = c * channels + c;
        // No gradient flows through what was held at 0.
        let is_held = moments[square] - means[c] * means[c] < T::zero();
        let slope = if is_held { T::zero() } else { T::one() - wanted[c] / deviations[c] };
        dx[square] = factor * slope;
        dx[channels * channels + c] = (factor + factor) * (means[c] - wanted_means[c] - slope * means[c]);
    }
    dx
}

/// The means and the deviations of the channels.
fn statistics<T: Real>(moments: &[T], channels: usize) -> (&[T], Vec<T>) {
    expect_len("moments", moments, (channels + 1) * channels);
    let (products, means) = moments.split_at(channels * channels);
    let epsilon = T::from(EPSILON).expect("every f32 converts to a float");
    let deviation = |c: usize| {
        let variance = products[c * channels + c] - means[c] * means[c];
        (variance.max(T::zero()) + epsilon).sqrt()
    };
    (means, (0..channels).map(deviation).collect())
}

fn variance<T: Real>(deviations: &[T]) -> T {
    deviations.iter().map(|deviation| *deviation * *deviation).sum()
}
