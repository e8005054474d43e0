//! ReLU, element by element, and its mask.

use super::{Real, expect_len};

/// max(x, 0) for any shape. Returns y of the same length.
pub fn relu_forward<T: Real>(x: &[T]) -> Vec<T> {
    // Written as a comparison because `max` would turn a NaN into a zero and hide it.
    x.iter().map(|&x| if x < T::zero() { T::zero() } else { x }).collect()
}

/// Which elements of the forward output `y` (C, H, W) are positive, so that the kink itself is not: one bit each,
/// all that the gradient needs. Returns the mask (C, ⌈H/4⌉, ⌈W/8⌉); a word holds 4 rows × 8 columns, bit
/// (row mod 4)·8 + (column mod 8). Bits outside the picture are 0.
pub fn relu_mask<T: Real>(y: &[T], size @ (channels, height, width): (usize, usize, usize)) -> Vec<u32> {
    expect_len("y", y, channels * height * width);
    let mut mask = vec![0; channels * height.div_ceil(4) * width.div_ceil(8)];
    for (i, &y) in y.iter().enumerate() {
        let (word, bit) = mask_place(i, size);
        mask[word] |= u32::from(y > T::zero()) << bit;
    }
    mask
}

/// The gradient of [`relu_forward`]: `dy` (C, H, W) where the bit of the forward output's `mask`
/// ([`relu_mask`]) is set, zero elsewhere. Returns dx (C, H, W).
pub fn relu_backward<T: Real>(
    dy: &[T],
    mask: &[u32],
    size @ (channels, height, width): (usize, usize, usize),
) -> Vec<T> {
    expect_len("dy", dy, channels * height * width);
    expect_len("mask", mask, channels * height.div_ceil(4) * width.div_ceil(8));
    let passes = |i| {
        let (word, bit) = mask_place(i, size);
        mask[word] >> bit & 1 == 1
    };
    dy.iter().enumerate().map(|(i, &dy)| if passes(i) { dy } else { T::zero() }).collect()
}

/// Word and bit of element `i` in the mask.
pub(super) fn mask_place(i: usize, (_, height, width): (usize, usize, usize)) -> (usize, usize) {
    let (channel, row, column) = (i / (height * width), i / width % height, i % width);
    let word = (channel * height.div_ceil(4) + row / 4) * width.div_ceil(8) + column / 8;
    (word, row % 4 * 8 + column % 8)
}
