//! Smoothing by (1 2 1)/4 along rows and columns.

use super::{Real, count, expect_len};

/// `scale`·x (C, H, W) smoothed along the rows, then along the columns, the border repeated. Returns y, shaped as x.
pub fn smooth<T: Real>(x: &[T], (channels, height, width): (usize, usize, usize), scale: T) -> Vec<T> {
    expect_len("x", x, channels * height * width);
    let along = |x: &[T], stride: usize, cells: usize| -> Vec<T> {
        let smoothed = |at: usize| {
            let place = at / stride % cells;
            let before = if place > 0 { at - stride } else { at };
            let behind = if place + 1 < cells { at + stride } else { at };
            (x[before] + count::<T>(2) * x[at] + x[behind]) / count(4)
        };
        (0..x.len()).map(smoothed).collect()
    };
    let rows = along(x, 1, width);
    along(&rows, width, height).into_iter().map(|value| scale * value).collect()
}
