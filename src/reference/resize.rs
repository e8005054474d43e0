//! Planes at another size, as PyTorch's `interpolate` makes them with `align_corners=False` and `antialias=False`.

use super::{Real, count, expect_len};
use crate::ops::resize::Filter;

/// Stretches the planes of `x` (C, H, W) to `(new_height, new_width)`. Returns y (C, new_height, new_width).
pub fn resize<T: Real>(
    x: &[T],
    (channels, height, width): (usize, usize, usize),
    (new_height, new_width): (usize, usize),
    filter: Filter,
) -> Vec<T> {
    expect_len("x", x, channels * height * width);
    let taps = |before, after| -> Vec<Vec<(usize, T)>> {
        (0..after).map(|at| taps(at, before, after, filter)).collect()
    };
    let (rows, columns) = (taps(height, new_height), taps(width, new_width));
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
fn taps<T: Real>(at: usize, before: usize, after: usize, filter: Filter) -> Vec<(usize, T)> {
    let half = T::one() / count(2);
    let place = (count::<T>(at) + half) * count(before) / count(after) - half;
    let last = before - 1;
    match filter {
        Filter::Bilinear => {
            let place = place.max(T::zero());
            let first = place.floor().to_usize().expect("a place");
            let distance = place - count(first);
            vec![(first.min(last), T::one() - distance), ((first + 1).min(last), distance)]
        }
        Filter::Bicubic => {
            let first = place.floor();
            let tap = |offset: i8| {
                let cell = first + T::from(offset).expect("a small number");
                let inside = cell.max(T::zero()).to_usize().expect("a place").min(last);
                (inside, cubic((place - cell).abs()))
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
