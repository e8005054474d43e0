//! A mixture of two tensors.

use super::{Real, expect_len};

/// ratio·noise + (1 − ratio)·x, element by element, for any shape. Returns the mixture.
pub fn mix<T: Real>(noise: &[T], x: &[T], ratio: T) -> Vec<T> {
    expect_len("x", x, noise.len());
    noise.iter().zip(x).map(|(&noise, &x)| ratio * noise + (T::one() - ratio) * x).collect()
}
