//! A copy.

use super::Real;

/// y = x.
pub fn store<T: Real>(x: &[T]) -> Vec<T> {
    x.to_vec()
}
