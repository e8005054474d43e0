//! How far the features of each cell point away from a target.

use super::unit::{epsilon, lengths, unit};
use super::{Real, expect_len};

/// Σ a·b over the channels of each cell of two tensors (C, cells).
fn products<T: Real>(a: &[T], b: &[T], cells: usize) -> Vec<T> {
    let mut sums = vec![T::zero(); cells];
    for (at, (&a, &b)) in a.iter().zip(b).enumerate() {
        sums[at % cells] += a * b;
    }
    sums
}

/// 1 − Σ p_i·<u_i, t_i> over the cells i of `x` (C, H, W), with u = [`unit`](super::unit()) of x and `centre` (C), t = `target`
/// (C, H, W) and p = `share` (H, W). Returns one element.
pub fn match_cost_forward<T: Real>(
    x: &[T],
    centre: &[T],
    target: &[T],
    share: &[T],
    size: (usize, usize, usize),
) -> Vec<T> {
    let cells = size.1 * size.2;
    expect_len("target", target, x.len());
    expect_len("share", share, cells);
    let cosines = products(&unit(x, centre, size), target, cells);
    vec![T::one() - cosines.iter().zip(share).map(|(&cosine, &share)| share * cosine).sum()]
}

/// The gradient of [`match_cost_forward`] with respect to `x`, from `dy` (1): of u = a/(|a| + ε), which is 0 where a = x − c
/// is. Returns dx, shaped as `x`.
pub fn match_cost_backward<T: Real>(
    dy: &[T],
    x: &[T],
    centre: &[T],
    target: &[T],
    share: &[T],
    (_, height, width): (usize, usize, usize),
) -> Vec<T> {
    let cells = height * width;
    expect_len("dy", dy, 1);
    expect_len("target", target, x.len());
    expect_len("share", share, cells);
    let a = super::centre(x, centre, cells);
    let (lengths, products) = (lengths(&a, cells), products(&a, target, cells));
    let gradient = |(at, (&a, &target)): (usize, (&T, &T))| {
        let (length, product) = (lengths[at % cells], products[at % cells]);
        if length == T::zero() {
            return T::zero();
        }
        let divisor = length + epsilon();
        let change = target / divisor - product * a / (length * divisor * divisor);
        -dy[0] * share[at % cells] * change
    };
    a.iter().zip(target).enumerate().map(gradient).collect()
}
