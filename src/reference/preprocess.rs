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
/// 0..255, truncates, and sets alpha to 255. A NaN becomes 0. Returns the bytes.
pub fn postprocess<T: Real>(x: &[T], (height, width): (usize, usize), mean: [T; 3]) -> Vec<u8> {
    let plane = height * width;
    expect_len("x", x, 3 * plane);
    let white = T::from(u8::MAX).expect("a byte converts to a float");
    let mut rgba = vec![u8::MAX; plane * 4];
    for (channel, &mean) in mean.iter().enumerate() {
        for pixel in 0..plane {
            let value = (x[channel * plane + pixel] + mean).max(T::zero()).min(white);
            rgba[pixel * 4 + channel] = value.to_u8().expect("clamped to a byte");
        }
    }
    rgba
}
