//! The squared norm of the features of each cell, and its share of the sum.

use super::{Real, count, expect_len};

/// Σ x² over the channels of each cell of `x` (C, H, W). Returns (H, W).
pub fn energy<T: Real>(x: &[T], (channels, height, width): (usize, usize, usize)) -> Vec<T> {
    let cells = height * width;
    expect_len("x", x, channels * cells);
    (0..cells).map(|cell| (0..channels).map(|k| x[k * cells + cell] * x[k * cells + cell]).sum()).collect()
}

/// `energy` (h, w) on a grid (H, W), divided by its sum there; where that is 0, everywhere 1/(H·W) if it is to be `even`, and
/// else 0. The grid is the same, or cell (y, x) of it takes the energy at (y/2, x/2), rounded down. Returns (H, W).
pub fn share<T: Real>(
    energy: &[T],
    (h, w): (usize, usize),
    (height, width): (usize, usize),
    even: bool,
) -> Vec<T> {
    expect_len("energy", energy, h * w);
    let step = if (h, w) == (height, width) { 1 } else { 2 };
    assert_eq!((h, w), (height.div_ceil(step), width.div_ceil(step)), "the grid");
    let cells = (0..height * width).map(|cell| energy[cell / width / step * w + cell % width / step]);
    let cells: Vec<T> = cells.collect();
    let total: T = cells.iter().copied().sum();
    let nothing = if even { T::one() / count(cells.len()) } else { T::zero() };
    cells.into_iter().map(|energy| if total == T::zero() { nothing } else { energy / total }).collect()
}
