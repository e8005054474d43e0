//! Convolution 3×3, stride 1, zero padding 1: VGG's only kind (Simonyan and Zisserman, arXiv 1409.1556).

use std::ops::Range;

use super::{Real, expect_len};

/// The outputs along one axis of `n` cells whose kernel tap `k` (0, 1 or 2) lies inside the picture. Output
/// `o` reads input `o + k - 1`; what lies outside is zero and adds nothing, so it is left out instead of
/// padded.
fn inside(k: usize, n: usize) -> Range<usize> {
    1_usize.saturating_sub(k)..(n + 1 - k).min(n)
}

/// Convolves `x` (C_in, H, W) with `w` (C_out, C_in, ky, kx) and adds the bias `b` (C_out). Returns y (C_out,
/// H, W).
///
/// As in every network library this is a correlation: the kernel is not flipped.
pub fn conv_forward<T: Real>(
    x: &[T],
    w: &[T],
    b: &[T],
    (c_in, height, width): (usize, usize, usize),
    c_out: usize,
) -> Vec<T> {
    let plane = height * width;
    expect_len("x", x, c_in * plane);
    expect_len("w", w, c_out * c_in * 9);
    expect_len("b", b, c_out);
    let mut y = Vec::with_capacity(c_out * plane);
    for out in 0..c_out {
        let start = y.len();
        y.resize(start + plane, b[out]);
        let y = &mut y[start..];
        for input in 0..c_in {
            let x = &x[input * plane..][..plane];
            let taps = &w[(out * c_in + input) * 9..][..9];
            // The taps are outside and the columns innermost, so that the innermost loop is one weight times
            // a row: the tests compare whole layers with this twin and wait for it.
            for ky in 0..3 {
                for kx in 0..3 {
                    let tap = taps[ky * 3 + kx];
                    let columns = inside(kx, width);
                    for row in inside(ky, height) {
                        let from = &x[(row + ky - 1) * width + columns.start + kx - 1..][..columns.len()];
                        let to = &mut y[row * width + columns.start..][..columns.len()];
                        for (to, &from) in to.iter_mut().zip(from) {
                            *to += tap * from;
                        }
                    }
                }
            }
        }
    }
    y
}

/// The gradient with respect to the input of [`conv_forward`], from `dy` (C_out, H, W) and `w` (C_out, C_in,
/// ky, kx). Returns dx (C_in, H, W). The weights are frozen, so they have no gradient.
///
/// Every product of the forward pass is visited again with the roles of input and output exchanged.
pub fn conv_backward<T: Real>(
    dy: &[T],
    w: &[T],
    (c_in, height, width): (usize, usize, usize),
    c_out: usize,
) -> Vec<T> {
    let plane = height * width;
    expect_len("dy", dy, c_out * plane);
    expect_len("w", w, c_out * c_in * 9);
    let mut dx = vec![T::zero(); c_in * plane];
    for input in 0..c_in {
        let dx = &mut dx[input * plane..][..plane];
        for out in 0..c_out {
            let dy = &dy[out * plane..][..plane];
            let taps = &w[(out * c_in + input) * 9..][..9];
            for ky in 0..3 {
                for kx in 0..3 {
                    let tap = taps[ky * 3 + kx];
                    let columns = inside(kx, width);
                    for row in inside(ky, height) {
                        let from = &dy[row * width + columns.start..][..columns.len()];
                        let to = &mut dx[(row + ky - 1) * width + columns.start + kx - 1..][..columns.len()];
                        for (to, &from) in to.iter_mut().zip(from) {
                            *to += tap * from;
                        }
                    }
                }
            }
        }
    }
    dx
}
