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

/// From the numbers `index` of blocks of `block` × `block` cells, of a grid of `other` (rows, columns) cells, to those of the
/// cells of a grid of `size` (rows, columns).
pub fn expand_blocks<T: Real>(
    index: &[T],
    block: usize,
    (height, width): (usize, usize),
    other: (usize, usize),
) -> Vec<T> {
    let (blocks, other_blocks) = (width.div_ceil(block), other.1.div_ceil(block));
    expect_len("index", index, height.div_ceil(block) * blocks);
    let cell = |(row, column): (usize, usize)| {
        let found = index[row / block * blocks + column / block].to_usize().expect("a block's number");
        let other_row = (found / other_blocks * block + row % block).min(other.0 - 1);
        let other_column = (found % other_blocks * block + column % block).min(other.1 - 1);
        count(other_row * other.1 + other_column)
    };
    (0..height).flat_map(|row| (0..width).map(move |column| (row, column))).map(cell).collect()
}
