//! The Gram matrix of a layer: which channels are active together, wherever in the picture.

use super::{Real, count, expect_len, guide_forward};

/// F·Fᵀ / (H·W) with F = `x` (C, H, W) unrolled to C × HW. Returns the Gram matrix (C, C), which is
/// symmetric.
///
/// It is divided by its own pixel count, so that the style picture may have any size.
pub fn gram_forward<T: Real>(x: &[T], (channels, height, width): (usize, usize, usize)) -> Vec<T> {
    let pixels = height * width;
    expect_len("x", x, channels * pixels);
    let mut gram = vec![T::zero(); channels * channels];
    for i in 0..channels {
        for j in 0..=i {
            let (a, b) = (&x[i * pixels..][..pixels], &x[j * pixels..][..pixels]);
            let dot = a.iter().zip(b).map(|(&a, &b)| a * b).sum::<T>() / count(pixels);
            gram[i * channels + j] = dot;
            gram[j * channels + i] = dot;
        }
    }
    gram
}

/// The gradient of [`gram_forward`]: (dY + dYᵀ)·F / (H·W) from `dy` (C, C) and the forward input `x` (C, H,
/// W). Returns dx (C, H, W).
///
/// `dy` may be any matrix: both of its halves count, because each entry of the Gram matrix is an output of
/// its own.
pub fn gram_backward<T: Real>(dy: &[T], x: &[T], (channels, height, width): (usize, usize, usize)) -> Vec<T> {
    let pixels = height * width;
    expect_len("dy", dy, channels * channels);
    expect_len("x", x, channels * pixels);
    let mut dx = vec![T::zero(); channels * pixels];
    for i in 0..channels {
        let to = &mut dx[i * pixels..][..pixels];
        for j in 0..channels {
            let weight = (dy[i * channels + j] + dy[j * channels + i]) / count(pixels);
            for (to, &from) in to.iter_mut().zip(&x[j * pixels..][..pixels]) {
                *to += weight * from;
            }
        }
    }
    dx
}

/// The mean of each channel of `x` (C, H, W). Returns (C).
pub fn channel_mean<T: Real>(x: &[T], (channels, height, width): (usize, usize, usize)) -> Vec<T> {
    let pixels = height * width;
    expect_len("x", x, channels * pixels);
    x.chunks_exact(pixels).map(|channel| channel.iter().copied().sum::<T>() / count(pixels)).collect()
}

/// The first two moments of the channels of `x` (C, H, W). Returns (C + 1, C): the rows of [`gram_forward`], then
/// [`channel_mean`].
pub fn moments<T: Real>(x: &[T], size: (usize, usize, usize)) -> Vec<T> {
    [gram_forward(x, size), channel_mean(x, size)].concat()
}

/// The same under a `guidance` (H, W), by which the means alone are weighed: where x is features times the guidance, and its
/// squares have the mean 1, these are the moments of the features with the guidance's squares as weights.
pub fn moments_guided<T: Real>(x: &[T], guidance: &[T], size: (usize, usize, usize)) -> Vec<T> {
    [gram_forward(x, size), channel_mean(&guide_forward(x, guidance, size), size)].concat()
}

/// The gradient of [`moments`], from `dy` (C + 1, C) and the forward input `x` (C, H, W). Returns dx (C, H, W).
pub fn moments_backward<T: Real>(dy: &[T], x: &[T], size: (usize, usize, usize)) -> Vec<T> {
    moments_guided_backward(dy, x, &vec![T::one(); size.1 * size.2], size)
}

/// The gradient of [`moments_guided`], from `dy` (C + 1, C), the forward input `x` (C, H, W) and the `guidance` (H, W), which
/// has none. Returns dx (C, H, W).
pub fn moments_guided_backward<T: Real>(
    dy: &[T],
    x: &[T],
    guidance: &[T],
    size: (usize, usize, usize),
) -> Vec<T> {
    let (channels, height, width) = size;
    expect_len("dy", dy, (channels + 1) * channels);
    expect_len("guidance", guidance, height * width);
    let (of_gram, of_means) = dy.split_at(channels * channels);
    let mut dx = gram_backward(of_gram, x, size);
    for (channel, mean) in dx.chunks_exact_mut(height * width).zip(of_means) {
        let weighed = channel.iter_mut().zip(guidance);
        weighed.for_each(|(element, weight)| *element += *weight * *mean / count(height * width));
    }
    dx
}
