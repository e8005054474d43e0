//! The nearest cell of one picture's features for each cell of another's, and the features there.

use super::{Real, count, expect_len};

/// For each cell i of `q` (K, cells) the cell j of `s` (K, others) with the largest Σ q_i·s_j over the K `channels`, the
/// lowest of equals. Returns these numbers.
pub fn nearest<T: Real>(q: &[T], s: &[T], channels: usize) -> Vec<T> {
    assert!(q.len().is_multiple_of(channels) && s.len().is_multiple_of(channels), "whole cells");
    let (cells, others) = (q.len() / channels, s.len() / channels);
    let of_cell = |cell: usize| {
        // All products of the cell at once, a channel after the other.
        let mut products = vec![T::zero(); others];
        for channel in 0..channels {
            let q = q[channel * cells + cell];
            for (product, &s) in products.iter_mut().zip(&s[channel * others..][..others]) {
                *product += q * s;
            }
        }
        let mut best = 0;
        for (other, product) in products.iter().enumerate() {
            if *product > products[best] {
                best = other;
            }
        }
        count(best)
    };
    (0..cells).map(of_cell).collect()
}

/// The features of `x` (C, h, w) at the cells whose numbers `index` (H, W) has. Returns (C, H, W).
pub fn gather<T: Real>(x: &[T], index: &[T], (channels, height, width): (usize, usize, usize)) -> Vec<T> {
    let others = height * width;
    expect_len("x", x, channels * others);
    let cells: Vec<usize> = index.iter().map(|index| index.to_usize().expect("a cell's number")).collect();
    x.chunks(others).flat_map(|channel| cells.iter().map(|cell| channel[*cell])).collect()
}
