//! Features minus their mean.

use super::{Real, expect_len};

/// `x` (C, cells) less `centre` (C) at every cell.
pub fn centre<T: Real>(x: &[T], centre: &[T], cells: usize) -> Vec<T> {
    expect_len("x", x, centre.len() * cells);
    x.iter().enumerate().map(|(at, &x)| x - centre[at / cells]).collect()
}
