//! Pictures of another size, as the crate `image` makes them with its filter `Lanczos3`.

use super::{Real, count, expect_len};

/// The window's reach, in pixels of the larger of both scales.
const REACH: usize = 3;

/// Stretches interleaved bytes `rgba` (H, W, 4) to `(new_height, new_width)`, the rows first. Returns interleaved RGBA
/// clamped to 0..255, which is still to be rounded, with alpha 255.
pub fn resample<T: Real>(
    rgba: &[u8],
    (height, width): (usize, usize),
    (new_height, new_width): (usize, usize),
) -> Vec<T> {
    expect_len("rgba", rgba, height * width * 4);
    let white = T::from(u8::MAX).expect("a byte converts to a float");
    // (new_height, width, 3)
    let mut between = Vec::with_capacity(new_height * width * 3);
    for row in 0..new_height {
        let (first, weights) = weights::<T>(row, height, new_height);
        for column in 0..width {
            for channel in 0..3 {
                let mut sum = T::zero();
                for (k, &weight) in weights.iter().enumerate() {
                    let byte = rgba[((first + k) * width + column) * 4 + channel];
                    sum += T::from(byte).expect("a byte converts to a float") * weight;
                }
                between.push(sum);
            }
        }
    }
    let mut y = vec![white; new_height * new_width * 4];
    for column in 0..new_width {
        let (first, weights) = weights::<T>(column, width, new_width);
        for row in 0..new_height {
            for channel in 0..3 {
                let mut sum = T::zero();
                for (k, &weight) in weights.iter().enumerate() {
                    sum += between[(row * width + first + k) * 3 + channel] * weight;
                }
                y[(row * new_width + column) * 4 + channel] = sum.max(T::zero()).min(white);
            }
        }
    }
    y
}

/// The first of the pixels that pixel `place` of `after` is made of, where there were `before`, and their shares.
fn weights<T: Real>(place: usize, before: usize, after: usize) -> (usize, Vec<T>) {
    let half = T::one() / count(2);
    let ratio = count::<T>(before) / count(after);
    let stretch = ratio.max(T::one());
    let reach = count::<T>(REACH) * stretch;
    let centre = (count::<T>(place) + half) * ratio;
    let first = (centre - reach).floor().max(T::zero()).to_usize().expect("a place").min(before - 1);
    let end = (centre + reach).ceil().to_usize().expect("a place").clamp(first + 1, before);
    let mut weights: Vec<T> =
        (first..end).map(|k| lanczos((count::<T>(k) - (centre - half)) / stretch)).collect();
    let mut sum = T::zero();
    weights.iter().for_each(|&weight| sum += weight);
    weights.iter_mut().for_each(|weight| *weight = *weight / sum);
    (first, weights)
}

fn lanczos<T: Real>(x: T) -> T {
    let reach = count::<T>(REACH);
    if x.abs() < reach { sinc(x) * sinc(x / reach) } else { T::zero() }
}

fn sinc<T: Real>(x: T) -> T {
    let angle = x * T::from(std::f64::consts::PI).expect("π as a float");
    if x == T::zero() { T::one() } else { angle.sin() / angle }
}
