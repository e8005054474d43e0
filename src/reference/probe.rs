//! The probes that measure a device: multiply-adds in a row, and a copy.

use super::{Real, count, expect_len};

/// For each element of `x` the sum of `numbers` numbers that begin at x, x + 1, x + 2 …, and each become
/// a·z + b `steps` times; `factors` are a and b. Returns y of the same length as `x`.
pub fn peak<T: Real>(x: &[T], factors: &[T], numbers: usize, steps: usize) -> Vec<T> {
    expect_len("factors", factors, 2);
    let end = |x: T, k: usize| (0..steps).fold(x + count(k), |z, _| factors[0] * z + factors[1]);
    x.iter().map(|&x| (0..numbers).map(|k| end(x, k)).sum()).collect()
}

/// `x` as it is. Returns y of the same length.
pub fn copy<T: Real>(x: &[T]) -> Vec<T> {
    x.to_vec()
}
