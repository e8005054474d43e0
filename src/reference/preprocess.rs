//! Between 8-bit pictures and the planar, mean-subtracted floats that the network reads.

use super::{Real, expect_len};

/// Turns interleaved bytes `rgba` (H, W, 4) into planes, each minus its channel's `mean` (in 0..255, RGB);
/// alpha is ignored. Returns y (3, H, W).
pub fn preprocess<T: Real>(rgba: &[u8], (height, width): (usize, usize), mean: [T; 3]) -> Vec<T> {
    expect_len("rgba", rgba, height * width * 4);
    let mut y = Vec::with_capacity(3 * height * width);
    for (channel, &mean) in mean.iter().enumerate() {
        for pixel in rgba.chunks_exact(4) {
            y.push(T::from(pixel[channel]).expect("a byte converts to a float") - mean);
        }
    }
    y
}

/// Turns mean-subtracted planes `x` (3, H, W) into interleaved bytes (H, W, 4): adds the `mean`, clamps to
/// 0..255, truncates or rounds (halves to even), and sets alpha to 255. A NaN becomes 0. Returns the bytes.
pub fn postprocess<T: Real>(
    x: &[T],
    (height, width): (usize, usize),
    mean: [T; 3],
    rounded: bool,
) -> Vec<u8> {
    let plane = height * width;
    expect_len("x", x, 3 * plane);
    let white = T::from(u8::MAX).expect("a byte converts to a float");
    let mut rgba = vec![u8::MAX; plane * 4];
    for (channel, &mean) in mean.iter().enumerate() {
        for pixel in 0..plane {
            let value = (x[channel * plane + pixel] + mean).max(T::zero()).min(white);
            let value = if rounded { nearest(value) } else { value };
            rgba[pixel * 4 + channel] = value.to_u8().expect("clamped to a byte");
        }
    }
    rgba
}

/// The nearest whole number to a number that is not negative; the even one of two.
fn nearest<T: Real>(value: T) -> T {
    let (below, half) = (value.floor(), T::one() / (T::one() + T::one()));
    let is_odd = (below * half).fract() > T::zero();
    let rest = value - below;
    if rest > half || (rest == half && is_odd) { below + T::one() } else { below }
}

/// A pixel minus its `mean` as far as a picture can show it, −mean to 255 − mean; a NaN stays one.
pub(super) fn clamped<T: Real>(value: T, mean: T) -> T {
    let white = T::from(u8::MAX).expect("a byte converts to a float") - mean;
    if value < -mean {
        -mean
    } else if value > white {
        white
    } else {
        value
    }
}

/// Planes x (3, H, W), each minus its channel's `mean`, as far as a picture can show them; a NaN stays one. Returns
/// y, shaped as x.
pub fn clamp_pixels<T: Real>(x: &[T], mean: [T; 3]) -> Vec<T> {
    let plane = x.len() / 3;
    expect_len("x", x, 3 * plane);
    x.iter().enumerate().map(|(i, &x)| clamped(x, mean[i / plane])).collect()
}
