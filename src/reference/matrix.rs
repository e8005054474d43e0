//! Square matrices (n, n), row by row.

use super::{Real, count, expect_len};

/// 1 on the diagonal, else 0.
fn identity<T: Real>(at: usize, n: usize) -> T {
    if at / n == at % n { T::one() } else { T::zero() }
}

/// scale·A·B + `diagonal`·I. Returns (n, n).
pub fn matrix_product<T: Real>(a: &[T], b: &[T], n: usize, scale: T, diagonal: T) -> Vec<T> {
    expect_len("a", a, n * n);
    expect_len("b", b, n * n);
    let element = |at: usize| {
        let dot = (0..n).map(|k| a[at / n * n + k] * b[k * n + at % n]).sum::<T>();
        scale * dot + diagonal * identity(at, n)
    };
    (0..n * n).map(element).collect()
}

/// A (n, n) with what is above the diagonal in the place of what is below it, too. Returns (n, n).
pub fn matrix_mirrored<T: Real>(a: &[T], n: usize) -> Vec<T> {
    expect_len("a", a, n * n);
    (0..n * n).map(|at| (at / n, at % n)).map(|(i, j)| a[i.min(j) * n + i.max(j)]).collect()
}

/// scale·A + `diagonal`·I. Returns (n, n).
pub fn matrix_affine<T: Real>(a: &[T], n: usize, scale: T, diagonal: T) -> Vec<T> {
    expect_len("a", a, n * n);
    (0..n * n).map(|at| scale * a[at] + diagonal * identity(at, n)).collect()
}

/// (A + Aᵀ)/2 + `ridge`·tr(A)/n·I. Returns (n, n).
pub fn matrix_symmetrise<T: Real>(a: &[T], n: usize, ridge: T) -> Vec<T> {
    expect_len("a", a, n * n);
    let trace = (0..n).map(|i| a[i * n + i]).sum::<T>();
    let diagonal = ridge * trace / count(n);
    let mean = |at: usize| (a[at] + a[at % n * n + at / n]) / (T::one() + T::one());
    (0..n * n).map(|at| mean(at) + diagonal * identity(at, n)).collect()
}

/// The Frobenius norm √Σ a². Returns one element.
pub fn matrix_norm<T: Real>(a: &[T]) -> Vec<T> {
    vec![a.iter().map(|a| *a * *a).sum::<T>().sqrt()]
}

/// A times a power of `s` (1): of its root where `root` says so, of the reciprocal of either where `inverse` does. A reciprocal
/// of 0 counts as 0. Returns what is shaped as `a`.
pub fn matrix_scale<T: Real>(a: &[T], s: &[T], root: bool, inverse: bool) -> Vec<T> {
    expect_len("s", s, 1);
    let factor = if root { s[0].sqrt() } else { s[0] };
    let scaled = |a: &T| match inverse {
        false => *a * factor,
        true if factor == T::zero() => T::zero(),
        true => *a / factor,
    };
    a.iter().map(scaled).collect()
}

/// The covariance E − μ·μᵀ from `moments` (C + 1, C), whose last row is μ, with 10⁻⁴·E(i, i)/(1 + 10⁴·r²) more on the
/// diagonal, where r = (tr E − |μ|²)/tr E. Returns (C, C).
pub fn matrix_covariance<T: Real>(moments: &[T], channels: usize) -> Vec<T> {
    expect_len("moments", moments, (channels + 1) * channels);
    let (products, means) = moments.split_at(channels * channels);
    let (mut squares, mut variance) = (T::zero(), T::zero());
    for channel in 0..channels {
        let square = products[channel * channels + channel];
        squares += square;
        variance += square - means[channel] * means[channel];
    }
    let share = if squares == T::zero() { T::one() } else { variance / squares };
    let floor = T::one() / (count::<T>(10_000) * (T::one() + count::<T>(10_000) * share * share));
    let element = |(at, product): (usize, &T)| {
        let (row, column) = (at / channels, at % channels);
        let covariance = *product - means[row] * means[column];
        if row == column { covariance + floor * *product } else { covariance }
    };
    products.iter().enumerate().map(element).collect()
}
