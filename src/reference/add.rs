//! The sum of two tensors: a layer of a network, what gradients do where a tensor has several readers, and a mixture.

use super::{Real, expect_len};

/// y + x, element by element, for any shape. Returns the sum.
pub fn accumulate<T: Real>(x: &[T], y: &[T]) -> Vec<T> {
    expect_len("y", y, x.len());
    y.iter().zip(x).map(|(&y, &x)| y + x).collect()
}

/// a + b, element by element, for any shape. Returns y. Its gradient is dy for a and for b.
pub fn add<T: Real>(a: &[T], b: &[T]) -> Vec<T> {
    expect_len("b", b, a.len());
    a.iter().zip(b).map(|(&a, &b)| a + b).collect()
}

/// share·a + (1 − share)·b, element by element, for any shape. Returns y.
pub fn mix<T: Real>(a: &[T], b: &[T], share: T) -> Vec<T> {
    expect_len("b", b, a.len());
    a.iter().zip(b).map(|(&a, &b)| share * a + (T::one() - share) * b).collect()
}
