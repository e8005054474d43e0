//! Smoothing by (1 2 1)/4 along rows and columns.

use super::{Real, count, expect_len};
use crate::ops::Wrap;

/// `scale`·x (C, H, W) smoothed along the rows, then along the columns, the border repeated, or followed by the one at
/// the other end where it wraps. Returns y, shaped as x.
pub fn smooth<T: Real>(
    x: &[T],
    (channels, height, width): (usize, usize, usize),
    scale: T,
    wrap: Wrap,
) -> Vec<T> {
    expect_len("x", x, channels * height * width);
    let along = |x: &[T], stride: usize, cells: usize, wraps: bool| -> Vec<T> {
        let across = if wraps { (cells - 1) * stride } else { 0 };
        let smoothed = |at: usize| {
            let place = at / stride % cells;
            let before = if place > 0 { at - stride } else { at + across };
            let behind = if place + 1 < cells { at + stride } else { at - across };
            (x[before] + count::<T>(2) * x[at] + x[behind]) / count(4)
        };
        (0..x.len()).map(smoothed).collect()
    };
    let rows = along(x, 1, width, wrap.x);
    along(&rows, width, height, wrap.y).into_iter().map(|value| scale * value).collect()
}
