//! What an optimisation begins with.

use super::{Real, expect_len};

/// `ratio·noise + levels[channel][byte]` for noise (3, H, W), interleaved bytes `rgba` (H, W, 4) and levels (3, 256).
/// Returns y (3, H, W).
pub fn start<T: Real>(
    noise: &[T],
    rgba: &[u8],
    levels: &[T],
    (height, width): (usize, usize),
    ratio: T,
) -> Vec<T> {
    let plane = height * width;
    expect_len("noise", noise, 3 * plane);
    expect_len("rgba", rgba, 4 * plane);
    expect_len("levels", levels, 3 * 256);
    let level = |i: usize| levels[i / plane * 256 + usize::from(rgba[i % plane * 4 + i / plane])];
    noise.iter().enumerate().map(|(i, &noise)| ratio * noise + level(i)).collect()
}
