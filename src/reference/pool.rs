//! Average pool 2×2 with stride 2 and the "SAME" rule: sizes round up, and a cell outside is not counted.

use super::{Real, count, expect_len};

/// Averages the cells that exist in each 2×2 window of `x` (C, H, W). Returns y (C, ⌈H/2⌉, ⌈W/2⌉).
pub fn pool_forward<T: Real>(x: &[T], (channels, height, width): (usize, usize, usize)) -> Vec<T> {
    expect_len("x", x, channels * height * width);
    let mut y = Vec::with_capacity(channels * height.div_ceil(2) * width.div_ceil(2));
    for channel in 0..channels {
        for top in (0..height).step_by(2) {
            for left in (0..width).step_by(2) {
                let (bottom, right) = (height.min(top + 2), width.min(left + 2));
                let mut sum = T::zero();
                for row in top..bottom {
                    for column in left..right {
                        sum += x[(channel * height + row) * width + column];
                    }
                }
                y.push(sum / count((bottom - top) * (right - left)));
            }
        }
    }
    y
}

/// The gradient of [`pool_forward`]: each `dy` (C, ⌈H/2⌉, ⌈W/2⌉) is shared out equally among the cells that
/// it averaged. The size is that of the forward input. Returns dx (C, H, W).
pub fn pool_backward<T: Real>(dy: &[T], (channels, height, width): (usize, usize, usize)) -> Vec<T> {
    let (pooled_height, pooled_width) = (height.div_ceil(2), width.div_ceil(2));
    expect_len("dy", dy, channels * pooled_height * pooled_width);
    let mut dx = Vec::with_capacity(channels * height * width);
    for channel in 0..channels {
        for row in 0..height {
            for column in 0..width {
                // The window of this cell has two rows unless this is the last row of an odd height; columns
                // alike.
                let rows = 2.min(height - row / 2 * 2);
                let columns = 2.min(width - column / 2 * 2);
                let upstream = dy[(channel * pooled_height + row / 2) * pooled_width + column / 2];
                dx.push(upstream / count(rows * columns));
            }
        }
    }
    dx
}
