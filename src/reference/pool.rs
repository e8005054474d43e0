//! Pools 2×2 with stride 2 and the "SAME" rule: sizes round up, and a cell outside is not counted.

use super::relu::mask_place;
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

/// The largest of the cells that exist in each 2×2 window of `x` (C, H, W), NaN where one of them is. Returns y (C,
/// ⌈H/2⌉, ⌈W/2⌉), and the winners: one bit for each element of x in the words of [`relu_mask`](super::relu_mask), set
/// for the cell of each window that was taken. Of equal cells that is the first in row order.
pub fn max_pool_forward<T: Real>(
    x: &[T],
    size @ (channels, height, width): (usize, usize, usize),
) -> (Vec<T>, Vec<u32>) {
    expect_len("x", x, channels * height * width);
    let mut y = Vec::with_capacity(channels * height.div_ceil(2) * width.div_ceil(2));
    let mut winners = vec![0; channels * height.div_ceil(4) * width.div_ceil(8)];
    for channel in 0..channels {
        for top in (0..height).step_by(2) {
            for left in (0..width).step_by(2) {
                let mut best = (channel * height + top) * width + left;
                for row in top..height.min(top + 2) {
                    for column in left..width.min(left + 2) {
                        let cell = (channel * height + row) * width + column;
                        if !x[best].is_nan() && (x[cell].is_nan() || x[cell] > x[best]) {
                            best = cell;
                        }
                    }
                }
                y.push(x[best]);
                let (word, bit) = mask_place(best, size);
                winners[word] |= 1 << bit;
            }
        }
    }
    (y, winners)
}

/// The gradient of [`max_pool_forward`]: each `dy` (C, ⌈H/2⌉, ⌈W/2⌉) goes to the cell that won, by its bit among the
/// `winners`; the others have none. The size is that of the forward input. Returns dx (C, H, W).
pub fn max_pool_backward<T: Real>(
    dy: &[T],
    winners: &[u32],
    size @ (channels, height, width): (usize, usize, usize),
) -> Vec<T> {
    let (pooled_height, pooled_width) = (height.div_ceil(2), width.div_ceil(2));
    expect_len("dy", dy, channels * pooled_height * pooled_width);
    expect_len("winners", winners, channels * height.div_ceil(4) * width.div_ceil(8));
    let mut dx = Vec::with_capacity(channels * height * width);
    for channel in 0..channels {
        for row in 0..height {
            for column in 0..width {
                let (word, bit) = mask_place((channel * height + row) * width + column, size);
                let upstream = dy[(channel * pooled_height + row / 2) * pooled_width + column / 2];
                dx.push(if winners[word] >> bit & 1 == 1 { upstream } else { T::zero() });
            }
        }
    }
    dx
}
