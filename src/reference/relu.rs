//! ReLU, element by element.

use super::{Real, expect_len};

/// max(x, 0) for any shape. Returns y of the same length.
pub fn relu_forward<T: Real>(x: &[T]) -> Vec<T> {
    // Written as a comparison because `max` would turn a NaN into a zero and hide it.
    x.iter().map(|&x| if x < T::zero() { T::zero() } else { x }).collect()
}

/// The gradient of [`relu_forward`]: `dy` where the forward output `y` is positive, zero elsewhere, so also
/// zero at the kink. Only the sign of `y` is used, which is why a kernel may keep one bit of it. Returns dx
/// of the same length.
pub fn relu_backward<T: Real>(dy: &[T], y: &[T]) -> Vec<T> {
    expect_len("dy", dy, y.len());
    dy.iter().zip(y).map(|(&dy, &y)| if y > T::zero() { dy } else { T::zero() }).collect()
}
