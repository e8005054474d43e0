//! Planes at another size, as PyTorch's `interpolate` makes them with `align_corners=False` and `antialias=False`.

use super::{Real, count, expect_len};
use crate::ops::Wrap;
use crate::ops::resize::Filter;

/// Stretches the planes of `x` (C, H, W) to `(new_height, new_width)`; beyond the border is the border, or the other end
/// where it wraps. Returns y (C, new_height, new_width).
pub fn resize<T: Real>(
    x: &[T],
    (channels, height, width): (usize, usize, usize),
    (new_height, new_width): (usize, usize),
    filter: Filter,
    wrap: Wrap,
) -> Vec<T> {
    expect_len("x", x, channels * height * width);
    let taps = |before, after, wraps| -> Vec<Vec<(usize, T)>> {
        (0..after).map(|at| taps(at, before, after, filter, wraps)).collect()
    };
    let (rows, columns) = (taps(height, new_height, wrap.y), taps(width, new_width, wrap.x));
    let mut y = Vec::with_capacity(channels * new_height * new_width);
    for channel in 0..channels {
        for row in &rows {
            for column in &columns {
                let mut sum = T::zero();
                for &(r, weight) in row {
                    let cell = |c: usize| x[(channel * height + r) * width + c];
                    sum += weight * column.iter().map(|&(c, weight)| weight * cell(c)).sum();
                }
                y.push(sum);
            }
        }
    }
    y
}

/// The cells that cell `at` of `after` is made of, where there were `before`, with their weights.
fn taps<T: Real>(at: usize, before: usize, after: usize, filter: Filter, wraps: bool) -> Vec<(usize, T)> {
    let half = T::one() / count(2);
    let place = (count::<T>(at) + half) * count(before) / count(after) - half;
    let first = place.floor();
    let inside = |cell: T| {
        let cell = cell.to_isize().expect("a place");
        let cells = before as isize;
        (if wraps { cell.rem_euclid(cells) } else { cell.clamp(0, cells - 1) }) as usize
    };
    match filter {
        Filter::Bilinear => {
            let distance = place - first;
            vec![(inside(first), T::one() - distance), (inside(first + T::one()), distance)]
        }
        Filter::Bicubic => {
            let tap = |offset: i8| {
                let cell = first + T::from(offset).expect("a small number");
                (inside(cell), cubic((place - cell).abs()))
            };
            [-1, 0, 1, 2].map(tap).into()
        }
    }
}

/// The weight of a cell at a `distance` of at most 2: PyTorch's polynomials with A = −0.75.
fn cubic<T: Real>(distance: T) -> T {
    let x = distance;
    let whole = |number| count::<T>(number);
    let a = -whole(3) / whole(4);
    if x <= T::one() {
        ((a + whole(2)) * x - (a + whole(3))) * x * x + T::one()
    } else {
        ((a * x - whole(5) * a) * x + whole(8) * a) * x - whole(4) * a
    }
}
