//! The sum of two tensors: gradients add up where a tensor has several readers.

use super::{Real, expect_len};

/// y + x, element by element, for any shape. Returns the sum.
pub fn add<T: Real>(x: &[T], y: &[T]) -> Vec<T> {
    expect_len("y", y, x.len());
    y.iter().zip(x).map(|(&y, &x)| y + x).collect()
}
