//! Guidance (Gatys et al., arXiv 1611.07865, section 4): how much each place of a layer counts in a statistic.

use super::{Real, count, expect_len};

/// BT.709's weights of red, green and blue in parts of 256.
const BRIGHTNESS: [usize; 3] = [54, 183, 19];

/// The brightness, 0..1, of interleaved bytes `rgba` (H, W, 4); alpha is ignored. Returns y (1, H, W).
pub fn guide_brightness<T: Real>(rgba: &[u8], (height, width): (usize, usize)) -> Vec<T> {
    expect_len("rgba", rgba, height * width * 4);
    let brightness = |pixel: &[u8; 4]| -> usize {
        BRIGHTNESS.iter().zip(pixel).map(|(weight, byte)| weight * usize::from(*byte)).sum()
    };
    rgba.as_chunks().0.iter().map(|pixel| count::<T>(brightness(pixel)) / count(256 * 255)).collect()
}

/// What two masks cover together: a + (1 − a)·b, element by element. Returns y, shaped as a and b.
pub fn guide_union<T: Real>(a: &[T], b: &[T]) -> Vec<T> {
    expect_len("b", b, a.len());
    a.iter().zip(b).map(|(a, b)| *a + (T::one() - *a) * *b).collect()
}

/// The weights of a content cost's cells (1, H, W) over the squared brightness (1, H, W) of a map of the strength, of which black
/// counts as a tenth of white. Returns y (1, H, W).
pub fn guide_strength<T: Real>(brightness: &[T], weights: &[T]) -> Vec<T> {
    expect_len("weights", weights, brightness.len());
    let least = T::one() / count(10);
    brightness.iter().zip(weights).map(|(m, w)| *w / (m.max(least) * m.max(least))).collect()
}

/// x over `base` (C, H, W), as far as the guidance (1, H, W) says in every channel: t·x + (1 − t)·base. Returns y (C, H, W).
pub fn guide_blend<T: Real>(x: &[T], base: &[T], guidance: &[T], size: (usize, usize, usize)) -> Vec<T> {
    let (channels, height, width) = size;
    expect_len("x", x, channels * height * width);
    expect_len("base", base, x.len());
    expect_len("guidance", guidance, height * width);
    let pairs = x.iter().zip(base).zip(guidance.iter().cycle());
    pairs.map(|((x, base), t)| *t * *x + (T::one() - *t) * *base).collect()
}

/// x (1, H, W) divided by the root of `mean_square` (1); 0 where that is 0. Returns y (1, H, W).
pub fn guide_scale<T: Real>(x: &[T], mean_square: &[T]) -> Vec<T> {
    expect_len("mean_square", mean_square, 1);
    let root = mean_square[0].sqrt();
    x.iter().map(|x| if root > T::zero() { *x / root } else { T::zero() }).collect()
}

/// x (C, H, W) times the guidance (1, H, W) in every channel. Returns y (C, H, W).
pub fn guide_forward<T: Real>(x: &[T], guidance: &[T], size: (usize, usize, usize)) -> Vec<T> {
    let (channels, height, width) = size;
    expect_len("x", x, channels * height * width);
    expect_len("guidance", guidance, height * width);
    x.iter().zip(guidance.iter().cycle()).map(|(x, guidance)| *guidance * *x).collect()
}

/// The gradient of [`guide_forward`] with respect to `x`, from `dy` (C, H, W). Returns dx, shaped as dy.
pub fn guide_backward<T: Real>(dy: &[T], guidance: &[T], size: (usize, usize, usize)) -> Vec<T> {
    guide_forward(dy, guidance, size)
}
