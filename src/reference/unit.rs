//! Features of cells by their direction alone: a cell's features are its column of all channels.

use super::{Real, expect_len};

/// What is added to a length before something is divided by it.
pub(super) fn epsilon<T: Real>() -> T {
    T::from(1e-6).expect("every f64 converts to a float")
}

/// The length of each cell's column in `x` (C, cells).
pub(super) fn lengths<T: Real>(x: &[T], cells: usize) -> Vec<T> {
    let square = |value: T| value * value;
    (0..cells).map(|cell| x.iter().skip(cell).step_by(cells).map(|&x| square(x)).sum::<T>().sqrt()).collect()
}

/// (x_i − c)/(|x_i − c| + 10⁻⁶) for each cell i of `x` (C, H, W), c = `centre` (C). Returns (C, H, W).
pub fn unit<T: Real>(x: &[T], centre: &[T], (channels, height, width): (usize, usize, usize)) -> Vec<T> {
    let cells = height * width;
    expect_len("centre", centre, channels);
    let x = super::centre(x, centre, cells);
    let lengths = lengths(&x, cells);
    x.iter().enumerate().map(|(at, &x)| x / (lengths[at % cells] + epsilon())).collect()
}

/// `a` (C₁, H, W) above `b` (C₂, H, W), each cell's column divided by its length; 0 where that is 0. Returns (C₁ + C₂, H, W).
pub fn stack<T: Real>(a: &[T], b: &[T], (height, width): (usize, usize)) -> Vec<T> {
    let cells = height * width;
    assert!(a.len().is_multiple_of(cells) && b.len().is_multiple_of(cells), "whole channels");
    let both = [a, b].concat();
    let lengths = lengths(&both, cells);
    let divided = |(at, &x): (usize, &T)| {
        let length = lengths[at % cells];
        if length == T::zero() { T::zero() } else { x / length }
    };
    both.iter().enumerate().map(divided).collect()
}
