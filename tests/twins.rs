//! The CPU twins against mathematics: hand-computed numbers, independent formulations, finite differences,
//! and the values that the course published. The kernels are compared with the twins, so nothing here may
//! come from our own output.

#![allow(clippy::unwrap_used)]

mod common;

use common::compare::{assert_canary, assert_close, compare};
use common::random::Random;
use impasto::ops::Wrap;
use impasto::ops::conv::{ConvGeometry, Padding, PaddingMode};
use impasto::ops::resize::Filter;
use impasto::picture::Picture;
use impasto::reference::*;

/// Sizes (C, H, W): one cell, one row, one column, odd, prime, even beside odd, never only squares.
const SIZES: [(usize, usize, usize); 9] =
    [(1, 1, 1), (3, 1, 1), (2, 1, 9), (2, 8, 1), (3, 2, 2), (1, 2, 3), (3, 5, 7), (5, 4, 6), (4, 11, 13)];

/// The step of the finite differences. Every map differentiated here is at most quadratic in the tensor that
/// is moved (ReLU: linear on either side of its kink), and for those the central difference is exact at any
/// step, so the step is large, and a power of two, to lose nothing to rounding.
const STEP: f64 = 0.125;

/// What remains is rounding in f64: fewer than 1000 additions of terms near 1, each off by at most 1.1e-16,
/// divided by the doubled step: 1000 · 1.1e-16 / 0.25 = 4.4e-13, rounded up.
const GRADIENT_ATOL: f64 = 5e-13;

/// The same count for sums whose terms are larger than 1 because the sum itself is.
const GRADIENT_RTOL: f64 = 5e-13;

/// Checks `gradient` (of the scalar Σ upstream·forward(x) with respect to `x`) against central differences.
#[track_caller]
fn check_gradient(
    name: &str,
    x: &[f64],
    upstream: &[f64],
    forward: impl Fn(&[f64]) -> Vec<f64>,
    gradient: &[f64],
) {
    let differences = differences(name, x, upstream, forward, STEP);
    assert_close(name, gradient, &differences, GRADIENT_ATOL, GRADIENT_RTOL);
    assert_canary(name, gradient, &differences, GRADIENT_ATOL, GRADIENT_RTOL);
}

/// The central differences of Σ upstream·forward(x) with this `step`.
#[track_caller]
fn differences(
    name: &str,
    x: &[f64],
    upstream: &[f64],
    forward: impl Fn(&[f64]) -> Vec<f64>,
    step: f64,
) -> Vec<f64> {
    let mut moved = x.to_vec();
    let difference = |i: usize| {
        moved[i] = x[i] + step;
        let after = forward(&moved);
        moved[i] = x[i] - step;
        let before = forward(&moved);
        moved[i] = x[i];
        assert_eq!(after.len(), upstream.len(), "{name}: one upstream value per output");
        // Differences first, then the sum: the outputs that do not depend on this element cancel exactly.
        upstream.iter().zip(after.iter().zip(&before)).map(|(dy, (a, b))| dy * (a - b)).sum::<f64>()
            / (2.0 * step)
    };
    (0..x.len()).map(difference).collect()
}

/// Checks an f32 result against the same twin in f64. Each of `terms` additions of random terms within ±1
/// rounds by at most 6e-8 of a partial sum; those of mixed sign stay small, those of one sign grow into the
/// result and their roundings, of either sign, into its square root. Both count double; what is then divided
/// by `divisor` is divided here.
#[track_caller]
fn check_rounding(name: &str, got: &[f32], want: &[f64], terms: usize, divisor: usize) {
    let atol = 1.2e-7 * terms as f64 / divisor as f64;
    let rtol = 1.2e-7 * (1.0 + (terms as f64).sqrt());
    assert_close(name, got, want, atol, rtol);
    assert_canary(name, got, want, atol, rtol);
}

const SAME: ConvGeometry = ConvGeometry::SAME_3X3;

/// A geometry with the input's (C, D, H, W) and the output's channels.
type Convolution = (ConvGeometry, (usize, usize, usize, usize), usize);

/// Convolutions 3×3 with zeros around, on [`SIZES`], then every other geometry.
fn convolutions() -> Vec<Convolution> {
    let same = SIZES.into_iter().zip([1, 4, 3, 2, 7, 1, 5, 2, 3]);
    let same = same.map(|((c, h, w), c_out)| (SAME, (c, 1, h, w), c_out));
    let any = ConvGeometry::POINTWISE;
    let padded = |padding, before, after| Padding { before, after, ..padding };
    let modes = [PaddingMode::Zero, PaddingMode::Replicate];
    let mixed = Padding { wrapped: [true, false, true], ..Padding::even(modes[1], [0; 3]) };
    let paddings = [Padding::NONE, Padding::even(modes[1], [0; 3]), Padding::circular([0; 3]), mixed];
    let others = [
        (any, (3, 1, 4, 5), 2),
        (
            ConvGeometry { kernel: [1, 5, 5], padding: Padding::even(modes[0], [0, 2, 2]), ..any },
            (2, 1, 7, 6),
            3,
        ),
        (ConvGeometry { kernel: [1, 2, 2], ..any }, (2, 1, 4, 3), 2),
        (ConvGeometry { stride: [1, 2, 2], ..SAME }, (2, 1, 7, 5), 3),
        (ConvGeometry { stride: [1, 2, 2], ..SAME }, (2, 1, 6, 8), 3),
        (ConvGeometry { stride: [1, 3, 4], ..SAME }, (1, 1, 8, 9), 2),
        (ConvGeometry { dilation: [1, 2, 2], ..SAME }, (2, 1, 7, 8), 2),
        (ConvGeometry { groups: 4, ..SAME }, (4, 1, 3, 5), 4),
        (ConvGeometry { groups: 2, ..SAME }, (6, 1, 4, 3), 4),
        (ConvGeometry { kernel: [1, 1, 3], ..any }, (3, 1, 1, 9), 2),
        (ConvGeometry { kernel: [3; 3], padding: Padding::even(modes[0], [1; 3]), ..any }, (2, 4, 3, 5), 2),
        (SAME, (2, 3, 4, 5), 2),
    ];
    let padded = paddings.into_iter().flat_map(|mode| {
        let strided = ConvGeometry { kernel: [1, 4, 3], stride: [1, 2, 1], ..any };
        let solid =
            ConvGeometry { kernel: [2, 3, 2], stride: [2, 1, 2], dilation: [1, 2, 1], groups: 2, ..any };
        [
            (ConvGeometry { padding: padded(mode, [0, 1, 1], [0, 1, 1]), ..SAME }, (2, 1, 5, 4), 2),
            (ConvGeometry { padding: padded(mode, [0, 3, 0], [0, 0, 2]), ..strided }, (2, 1, 6, 4), 3),
            // More than one period.
            (ConvGeometry { padding: padded(mode, [0, 7, 2], [0, 4, 6]), ..strided }, (1, 1, 3, 2), 2),
            (ConvGeometry { padding: padded(mode, [1, 0, 3], [0, 2, 1]), ..solid }, (2, 3, 4, 5), 4),
        ]
    });
    same.chain(others).chain(padded).collect()
}

fn widen(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| x.into()).collect()
}

// ---- Gradients ----

#[test]
fn conv_backward_is_the_gradient_of_its_forward() {
    let mut random = Random::new(1);
    for (geometry, size, c_out) in convolutions() {
        let (c_in, depth, height, width) = size;
        let x = random.vec_f64(c_in * depth * height * width);
        let w = random.vec_f64(geometry.weights_shape(c_in as u32, c_out as u32).elements() as usize);
        let b = random.vec_f64(c_out);
        let dy = random.vec_f64(conv_forward(&x, &w, &b, &geometry, size, c_out).len());
        let dx = conv_backward(&dy, &w, &geometry, size, c_out);
        let name = format!("conv_backward {size:?} to {c_out}, {geometry:?}");
        check_gradient(&name, &x, &dy, |x| conv_forward(x, &w, &b, &geometry, size, c_out), &dx);
    }
}

#[test]
fn relu_backward_is_the_gradient_of_its_forward() {
    let mut random = Random::new(2);
    for len in [1, 2, 7, 101] {
        // Twice the step away from the kink, where a difference would straddle both slopes.
        let x: Vec<f64> = random.vec_f64(len).iter().map(|x| x + 2.0 * STEP * x.signum()).collect();
        let dy = random.vec_f64(len);
        let size = (1, 1, len);
        let dx = relu_backward(&dy, &relu_mask(&relu_forward(&x), size), size);
        check_gradient(&format!("relu_backward {len}"), &x, &dy, relu_forward, &dx);
    }
}

#[test]
fn pool_backward_is_the_gradient_of_its_forward() {
    let mut random = Random::new(3);
    for size @ (channels, height, width) in SIZES {
        let x = random.vec_f64(channels * height * width);
        let dy = random.vec_f64(channels * height.div_ceil(2) * width.div_ceil(2));
        let dx = pool_backward(&dy, size);
        check_gradient(&format!("pool_backward {size:?}"), &x, &dy, |x| pool_forward(x, size), &dx);
    }
}

#[test]
fn max_pool_backward_is_the_gradient_of_its_forward() {
    let mut random = Random::new(23);
    for size @ (channels, height, width) in SIZES {
        // Apart by more than both steps, so that no cell overtakes another: a whole number each, in random order.
        let mut x: Vec<f64> = (0..channels * height * width).map(|i| i as f64).collect();
        (1..x.len()).for_each(|i| x.swap(i, random.index(i + 1)));
        let dy = random.vec_f64(channels * height.div_ceil(2) * width.div_ceil(2));
        let dx = max_pool_backward(&dy, &max_pool_forward(&x, size).1, size);
        check_gradient(&format!("max_pool_backward {size:?}"), &x, &dy, |x| max_pool_forward(x, size).0, &dx);
    }
}

#[test]
fn the_first_of_equal_cells_wins_and_a_nan_before_all() {
    // Windows: ties in each order, an odd column, negative numbers, zeros of either sign, a NaN.
    let nan = f64::NAN;
    let x = [
        1.0, 1.0, 2.0, 3.0, -5.0, //
        1.0, 1.0, 3.0, 3.0, -4.0, //
        -0.0, 0.0, nan, 9.0, 7.0,
    ];
    let (y, winners) = max_pool_forward(&x, (1, 3, 5));
    assert_eq!(y[..4], [1.0, 3.0, -4.0, 0.0]);
    assert!(y[4].is_nan());
    assert_eq!(y[5], 7.0);
    // Bits (row, column): (0, 0), (0, 3), (1, 4), (2, 0), (2, 2), (2, 4).
    assert_eq!(winners, [1_u32 | 1 << 3 | 1 << 12 | 1 << 16 | 1 << 18 | 1 << 20]);
    let dx = max_pool_backward(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &winners, (1, 3, 5));
    assert_eq!(dx, [1., 0., 0., 2., 0., 0., 0., 0., 0., 3., 4., 0., 5., 0., 6.]);
}

#[test]
fn gram_backward_is_the_gradient_of_its_forward_for_any_upstream_matrix() {
    let mut random = Random::new(4);
    for size @ (channels, height, width) in SIZES {
        let x = random.vec_f64(channels * height * width);
        // Not symmetric, so that a backward which reads one half only, or transposes, is found.
        let dy = random.vec_f64(channels * channels);
        let dx = gram_backward(&dy, &x, size);
        check_gradient(&format!("gram_backward {size:?}"), &x, &dy, |x| gram_forward(x, size), &dx);
    }
}

#[test]
fn moments_backward_is_the_gradient_of_its_forward_for_any_upstream_matrix() {
    let mut random = Random::new(23);
    for size @ (channels, height, width) in SIZES {
        let x = random.vec_f64(channels * height * width);
        let dy = random.vec_f64((channels + 1) * channels);
        let dx = moments_backward(&dy, &x, size);
        check_gradient(&format!("moments_backward {size:?}"), &x, &dy, |x| moments(x, size), &dx);
        let guidance = random.vec_f64(height * width);
        let dx = moments_guided_backward(&dy, &x, &guidance, size);
        let forward = |x: &[f64]| moments_guided(x, &guidance, size);
        check_gradient(&format!("moments_guided_backward {size:?}"), &x, &dy, forward, &dx);
    }
}

/// They are not quadratic: the step is as small as for matches.
#[test]
fn covariance_and_mean_variance_backward_are_the_gradients_of_their_forwards() {
    let mut random = Random::new(27);
    for channels in [1, 2, 3, 7, 11] {
        let size = (channels + 1) * channels;
        let (moments, dy) = (random.vec_f64(size), random.vec_f64(1));
        // Not symmetric, so that a backward which reads one half only is found.
        let (target, norm) = (random.vec_f64(channels * channels), [1.5]);
        let dx = covariance_cost_backward(&dy, &moments, &target, &norm, channels);
        let forward = |moments: &[f64]| covariance_cost_forward(moments, &target, &norm, channels);
        let name = format!("covariance {channels}");
        let want = differences(&name, &moments, &dy, forward, 1e-5);
        assert_close(&name, &dx, &want, 1e-8, 1e-6);
        assert_canary(&name, &dx, &want, 1e-8, 1e-6);
        // Variances of at least 0.11.
        let mut spread = || random.vec_f64(size).iter().map(|x| 0.65 + 0.05 * x).collect::<Vec<f64>>();
        let (moments, target) = (spread(), spread());
        let dx = mean_variance_cost_backward(&dy, &moments, &target, channels);
        let forward = |moments: &[f64]| mean_variance_cost_forward(moments, &target, channels);
        let name = format!("mean and variance {channels}");
        let want = differences(&name, &moments, &dy, forward, 1e-5);
        assert_close(&name, &dx, &want, 1e-8, 1e-6);
        assert_canary(&name, &dx, &want, 1e-8, 1e-6);
    }
}

#[test]
fn wasserstein_backward_is_the_gradient_of_its_forward_for_any_map() {
    let mut random = Random::new(24);
    for channels in [1, 2, 3, 7, 11] {
        let size = (channels + 1) * channels;
        let (moments, target) = (random.vec_f64(size), random.vec_f64(size));
        // Not symmetric, so that a backward which reads one half only is found.
        let (g, dy, rest) = (random.vec_f64(channels * channels), random.vec_f64(1), [0.75, 1.5]);
        let dx = wasserstein_backward(&dy, &moments, &target, &g, &rest, channels);
        let forward = |moments: &[f64]| wasserstein_forward(moments, &target, &g, &rest, channels);
        check_gradient(&format!("wasserstein_backward {channels}"), &moments, &dy, forward, &dx);
    }
}

#[test]
fn cost_backwards_are_the_gradients_of_their_forwards() {
    let mut random = Random::new(5);
    for len in [1, 2, 9, 49, 169] {
        let (x, target, dy) = (random.vec_f64(len), random.vec_f64(len), random.vec_f64(1));
        let dx = squared_error_backward(&dy, &x, &target);
        let name = format!("squared_error_backward {len}");
        check_gradient(&name, &x, &dy, |x| squared_error_forward(x, &target), &dx);
        let dx = squared_error_backward(&dy, &target, &x);
        let name = format!("squared_error_backward {len} in the target");
        check_gradient(&name, &target, &dy, |target| squared_error_forward(&x, target), &dx);

        let weights = random.vec_f64(len);
        let dx = weighted_sum_backward(&dy, &weights);
        let name = format!("weighted_sum_backward {len}");
        check_gradient(&name, &x, &dy, |x| weighted_sum_forward(x, &weights), &dx);
    }
}

#[test]
fn total_variation_backward_is_the_gradient_of_its_forward() {
    let mut random = Random::new(7);
    let sizes = [(1, 1, 1), (2, 1, 5), (3, 4, 1), (2, 5, 7)].into_iter().flat_map(|size| {
        [Wrap::NONE, Wrap { y: true, x: false }, Wrap { y: false, x: true }].map(|wrap| (size, wrap))
    });
    for (size, wrap) in sizes {
        let (x, dy) = (random.vec_f64(size.0 * size.1 * size.2), random.vec_f64(1));
        let dx = total_variation_backward(&dy, &x, size, wrap);
        check_gradient(
            &format!("{size:?}, {wrap:?}"),
            &x,
            &dy,
            |x| total_variation_forward(x, size, wrap),
            &dx,
        );
    }
}

#[test]
fn guide_backward_is_the_gradient_of_its_forward() {
    let mut random = Random::new(8);
    for size in [(1, 1, 1), (2, 1, 5), (3, 4, 1), (2, 5, 7)] {
        let elements = size.0 * size.1 * size.2;
        let (x, dy) = (random.vec_f64(elements), random.vec_f64(elements));
        let guidance = random.vec_f64(size.1 * size.2);
        let dx = guide_backward(&dy, &guidance, size);
        check_gradient(&format!("{size:?}"), &x, &dy, |x| guide_forward(x, &guidance, size), &dx);
        // Blending has the same gradient.
        let base = random.vec_f64(elements);
        check_gradient(&format!("{size:?}"), &x, &dy, |x| guide_blend(x, &base, &guidance, size), &dx);
    }
}

#[test]
fn weighted_error_backward_is_the_gradient_of_its_forward() {
    let mut random = Random::new(9);
    for size in [(1, 1, 1), (2, 1, 5), (3, 4, 1), (2, 5, 7)] {
        let elements = size.0 * size.1 * size.2;
        let (x, target, dy) = (random.vec_f64(elements), random.vec_f64(elements), random.vec_f64(1));
        let weights = random.vec_f64(size.1 * size.2);
        let dx = weighted_error_backward(&dy, &x, &target, &weights, size);
        let forward = |x: &[f64]| weighted_error_forward(x, &target, &weights, size);
        check_gradient(&format!("{size:?}"), &x, &dy, forward, &dx);
    }
}

#[test]
fn match_cost_backward_is_the_gradient_of_its_forward() {
    let mut random = Random::new(10);
    for size @ (channels, height, width) in [(1, 1, 1), (2, 1, 5), (3, 4, 1), (5, 4, 6)] {
        let elements = channels * height * width;
        let (x, target, dy) = (random.vec_f64(elements), random.vec_f64(elements), random.vec_f64(1));
        let (centre, share) = (random.vec_f64(channels), random.vec_f64(height * width));
        let dx = match_cost_backward(&dy, &x, &centre, &target, &share, size);
        let forward = |x: &[f64]| match_cost_forward(x, &centre, &target, &share, size);
        // Not quadratic: a step h leaves h²/6 of the third derivative, which is a few over the cube of the length, and
        // the rounding of numbers near 1 over 2h. With h = 1e-5 and lengths of at least 0.05, 1e-6 at most, mostly 1e-10.
        let name = format!("{size:?}");
        let want = differences(&name, &x, &dy, forward, 1e-5);
        assert_close(&name, &dx, &want, 1e-8, 1e-6);
        assert_canary(&name, &dx, &want, 1e-8, 1e-6);
    }
    // At the centre there is no direction, and no gradient.
    let dx = match_cost_backward(&[1.0], &[2.0, 3.0], &[2.0, 3.0], &[1.0, 0.0], &[1.0], (2, 1, 1));
    assert_eq!(dx, [0.0, 0.0]);
}

#[test]
fn directions_give_hand_computed_numbers() {
    // Two channels of two cells: (3, 4) and (0, 0) from the centre.
    let (x, size) = ([4.0, 1.0, 6.0, 2.0], (2, 1, 2));
    let directions = unit(&x, &[1.0, 2.0], size);
    assert_eq!(directions, [3.0 / (5.0 + 1e-6), 0.0, 4.0 / (5.0 + 1e-6), 0.0]);
    // One channel above two: columns (1, 2, 2) and (0, 0, 0).
    assert_eq!(
        stack(&[1.0, 0.0], &[2.0, 0.0, 2.0, 0.0], (1, 2)),
        [1.0, 0.0, 2.0, 0.0, 2.0, 0.0].map(|x| x / 3.0)
    );
    // A cell that points to its target, one that points away from it and one across, with a quarter, a quarter and a half.
    let (x, target) = ([2.0, -3.0, 0.0, 0.0, 0.0, 4.0], [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
    let cost = match_cost_forward(&x, &[0.0; 2], &target, &[0.25, 0.25, 0.5], (2, 1, 3));
    assert_close("no match", &cost, &[1.0], 1e-6, 0.0);
    let cost = match_cost_forward(&x, &[0.0; 2], &target, &[1.0, 0.0, 0.0], (2, 1, 3));
    assert_close("a match", &cost, &[0.0], 1e-6, 0.0);
}

#[test]
fn the_nearest_cell_is_the_lowest_of_equals() {
    // Cells (1, 0), (0, 1) and (1, 1) among (0, 1), (1, 0), (1, 0) and (0, 1).
    let (q, s) = ([1.0, 0.0, 1.0, 0.0, 1.0, 1.0], [0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0]);
    assert_eq!(nearest(&q, &s, 2), [1.0, 0.0, 0.0]);
    // All products are negative.
    assert_eq!(nearest(&[-1.0], &[3.0, 1.0, 2.0], 1), [1.0]);
    assert_eq!(gather(&s, &[3.0, 1.0, 1.0], (2, 2, 2)), [0.0, 1.0, 1.0, 1.0, 0.0, 0.0]);
}

#[test]
fn weights_of_cells_give_hand_computed_numbers() {
    let (x, size) = ([1.0, 0.0, 3.0, 2.0, 0.0, 4.0], (2, 1, 3));
    let energies = energy(&x, size);
    assert_eq!(energies, [5.0, 0.0, 25.0]);
    assert_eq!(share(&energies, (1, 3), (1, 3), true), [5.0 / 30.0, 0.0, 25.0 / 30.0]);
    // Every cell of the coarser grid but the last counts twice in a row, and in each of two rows.
    let finer = [5.0, 5.0, 0.0, 0.0, 25.0].map(|energy| energy / 70.0);
    assert_eq!(share(&energies, (1, 3), (2, 5), false), [finer, finer].concat());
    assert_eq!(share(&[0.0], (1, 1), (2, 2), true), [0.25; 4]);
    assert_eq!(share(&[0.0], (1, 1), (2, 2), false), [0.0; 4]);
    // From the mean (4/3, 2) the cells are (1/9 + 0), (16/9 + 4) and (25/9 + 4) away.
    let mean = [4.0 / 3.0, 2.0];
    let divisor = 5.0 / 9.0 + 25.0 * 61.0 / 9.0;
    let weights = cell_weights(&x, &mean, size);
    assert_close("weights", &weights, &[5.0, 0.0, 25.0].map(|energy| energy / divisor), 0.0, 1e-15);
    // With these weights a picture that is its mean everywhere costs 1.
    let flat = [mean[0], mean[0], mean[0], mean[1], mean[1], mean[1]];
    assert_close("flat", &weighted_error_forward(&flat, &x, &weights, size), &[1.0], 0.0, 1e-14);
    assert_eq!(weighted_error_forward(&x, &x, &weights, size), [0.0]);
    assert_eq!(cell_weights(&[2.0, 2.0], &[2.0], (1, 1, 2)), [0.0, 0.0]);
}

#[test]
fn guidance_gives_hand_computed_numbers() {
    // White, black, red and green.
    let rgba = [255, 255, 255, 255, 0, 0, 0, 255, 255, 0, 0, 255, 0, 255, 0, 9];
    assert_eq!(guide_brightness::<f64>(&rgba, (2, 2)), [1.0, 0.0, 54.0 / 256.0, 183.0 / 256.0]);
    // The squares of what comes out have the mean 1.
    assert_eq!(guide_scale(&[1.0, 0.0, 0.0, 0.0], &[0.25]), [2.0, 0.0, 0.0, 0.0]);
    assert_eq!(guide_scale(&[3.0, 0.0], &[0.0]), [0.0, 0.0]);
    assert_eq!(guide_union(&[0.0, 1.0, 0.5, 0.25], &[0.5, 0.5, 0.5, 0.0]), [0.5, 1.0, 0.75, 0.25]);
    let (x, base) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]);
    assert_eq!(guide_blend(&x, &base, &[0.0, 0.25], (2, 1, 2)), [5.0, 5.0, 7.0, 7.0]);
    // Every channel under the same plane.
    assert_eq!(guide_forward(&[1.0, 2.0, 3.0, 4.0], &[0.5, 2.0], (2, 1, 2)), [0.5, 4.0, 1.5, 8.0]);
}

#[test]
fn total_variation_gives_hand_computed_numbers() {
    // 1 2 / 4 8 in one plane: 1² + 4² to the right, 3² + 6² below.
    let x = [1.0, 2.0, 4.0, 8.0];
    assert_eq!(total_variation_forward(&x, (1, 2, 2), Wrap::NONE), [62.0 / 4.0]);
    // Where rows wrap, 3² and 6² count twice.
    assert_eq!(total_variation_forward(&x, (1, 2, 2), Wrap { y: true, x: false }), [107.0 / 4.0]);
    // 1, 2 and 4 in a row that wraps: 1² + 2² + 3².
    assert_eq!(total_variation_forward(&x[..3], (1, 1, 3), Wrap::BOTH), [14.0 / 3.0]);
    // Planes are no neighbours.
    assert_eq!(total_variation_forward(&[1.0, 5.0], (2, 1, 1), Wrap::BOTH), [0.0]);
    assert_eq!(total_variation_backward(&[2.0], &x, (1, 2, 2), Wrap::NONE), [-4.0, -5.0, -1.0, 10.0]);
}

#[test]
fn add_passes_its_upstream_gradient_to_both_sides() {
    let mut random = Random::new(6);
    let (x, y, dz) = (random.vec_f64(37), random.vec_f64(37), random.vec_f64(37));
    check_gradient("accumulate in x", &x, &dz, |x| accumulate(x, &y), &dz);
    check_gradient("accumulate in y", &y, &dz, |y| accumulate(&x, y), &dz);
    check_gradient("add in a", &x, &dz, |x| add(x, &y), &dz);
    check_gradient("add in b", &y, &dz, |y| add(&x, y), &dz);
}

// ---- The course's published values ----

/// A published value is printed with five decimals; the twins must give it within this.
const PUBLISHED_ATOL: f64 = 1e-5;

/// The arrays of the course's unit tests, by name, with their shapes.
fn course_array(name: &str) -> (Vec<usize>, Vec<f32>) {
    let bytes = include_bytes!("fixtures/course-costs.safetensors");
    let file = safetensors::SafeTensors::deserialize(bytes).unwrap();
    let tensor = file.tensor(name).unwrap();
    assert_eq!(tensor.dtype(), safetensors::Dtype::F32);
    let values = tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    (tensor.shape().to_vec(), values)
}

/// One activation array, stored (1, H, W, C), as planes and their size (C, H, W).
fn course_activations(name: &str) -> (Vec<f32>, (usize, usize, usize)) {
    let (shape, values) = course_array(name);
    let [1, height, width, channels] = shape[..] else { panic!("{name} is (1, H, W, C), not {shape:?}") };
    let planes = (0..channels).flat_map(|c| values.iter().skip(c).step_by(channels)).copied().collect();
    (planes, (channels, height, width))
}

#[test]
fn the_courses_content_cost_comes_out() {
    let (first, _) = course_activations("costs.first");
    let (second, _) = course_activations("costs.second");
    let cost = squared_error_forward(&first, &second);
    assert_close("content cost, published", &cost, &[6.76559], PUBLISHED_ATOL, 0.0);
    let (_, stored) = course_array("expected.content_cost");
    assert_close("content cost, stored", &cost, &stored, PUBLISHED_ATOL, 0.0);
    let cost = squared_error_forward(&widen(&first), &widen(&second));
    assert_close("content cost in f64", &cost, &[6.76559], PUBLISHED_ATOL, 0.0);
    assert_canary("content cost in f64", &cost, &[6.76559], PUBLISHED_ATOL, 0.0);
}

#[test]
fn the_courses_gram_matrix_comes_out() {
    let (shape, a) = course_array("gram.a");
    assert_eq!(shape, [3, 2], "C × HW");
    // The course does not divide by the pixel count here.
    let gram: Vec<f32> = gram_forward(&a, (3, 1, 2)).iter().map(|g| g * 2.0).collect();
    let published = [
        [6.42230511, -4.42912197, -2.09668207],
        [-4.42912197, 19.46583748, 19.56387138],
        [-2.09668207, 19.56387138, 20.6864624],
    ];
    assert_close("Gram, published", &gram, published.as_flattened(), PUBLISHED_ATOL, 0.0);
    assert_canary("Gram, published", &gram, published.as_flattened(), PUBLISHED_ATOL, 0.0);
    assert_close("Gram, stored", &gram, &course_array("expected.gram").1, PUBLISHED_ATOL, 0.0);
}

#[test]
fn the_courses_style_layer_cost_comes_out() {
    let (first, size) = course_activations("costs.first");
    let (second, _) = course_activations("costs.second");
    let cost = squared_error_forward(&gram_forward(&first, size), &gram_forward(&second, size));
    assert_close("style layer cost, published", &cost, &[9.19028], PUBLISHED_ATOL, 0.0);
    let (_, stored) = course_array("expected.style_layer_cost");
    assert_close("style layer cost, stored", &cost, &stored, PUBLISHED_ATOL, 0.0);
    let cost =
        squared_error_forward(&gram_forward(&widen(&first), size), &gram_forward(&widen(&second), size));
    assert_close("style layer cost in f64", &cost, &[9.19028], PUBLISHED_ATOL, 0.0);
    assert_canary("style layer cost in f64", &cost, &[9.19028], PUBLISHED_ATOL, 0.0);
}

#[test]
fn the_courses_total_cost_comes_out() {
    let costs = [1.7886284734303186, 0.43650985051198943];
    let total = weighted_sum_forward(&costs, &[10.0, 40.0]);
    assert_close("total cost", &total, &[35.34667875478276], PUBLISHED_ATOL, 0.0);
    assert_canary("total cost", &total, &[35.34667875478276], PUBLISHED_ATOL, 0.0);
}

// ---- Independent formulations and hand-computed numbers ----

/// The same convolution written the other way round: pad explicitly, then gather each output by itself.
fn conv_by_padding(
    x: &[f64],
    w: &[f64],
    b: &[f64],
    geometry: &ConvGeometry,
    (c_in, depth, height, width): (usize, usize, usize, usize),
    c_out: usize,
) -> Vec<f64> {
    let [before, after] =
        [geometry.padding.before, geometry.padding.after].map(|sides| sides.map(|side| side as usize));
    let [kernel, stride, dilation] =
        [geometry.kernel, geometry.stride, geometry.dilation].map(|sides| sides.map(|side| side as usize));
    let size = [depth, height, width];
    let padded_size: [usize; 3] = std::array::from_fn(|axis| before[axis] + size[axis] + after[axis]);
    let split = |i: usize, [_, h, w]: [usize; 3]| [i / (h * w), i / w % h, i % w];
    let join = |[z, y, x]: [usize; 3], [_, h, w]: [usize; 3]| (z * h + y) * w + x;
    let padded: Vec<Vec<f64>> = x
        .chunks(depth * height * width)
        .map(|plane| {
            let value = |i: usize| {
                let place = split(i, padded_size);
                let inside = (0..3).all(|axis| {
                    let own = before[axis]..before[axis] + size[axis];
                    geometry.padding.wrapped[axis] || own.contains(&place[axis])
                });
                let source = std::array::from_fn(|axis| {
                    let [place, before, size] = [place[axis], before[axis], size[axis]];
                    if geometry.padding.wrapped[axis] {
                        (place + before * (size - 1)) % size
                    } else {
                        place.max(before).min(before + size - 1) - before
                    }
                });
                let is_zero = geometry.padding.mode == PaddingMode::Zero && !inside;
                if is_zero { 0.0 } else { plane[join(source, size)] }
            };
            (0..padded_size.iter().product()).map(value).collect()
        })
        .collect();
    let made: [usize; 3] = std::array::from_fn(|axis| {
        (0..padded_size[axis])
            .step_by(stride[axis])
            .filter(|first| first + dilation[axis] * (kernel[axis] - 1) < padded_size[axis])
            .count()
    });
    let (made_plane, taps) = (made.iter().product::<usize>(), kernel.iter().product::<usize>());
    let groups = geometry.groups as usize;
    let (inputs, outputs) = (c_in / groups, c_out / groups);
    (0..c_out * made_plane)
        .map(|i| {
            let (out, place) = (i / made_plane, split(i % made_plane, made));
            let products = (0..inputs * taps).map(|k| {
                let tap = split(k % taps, kernel);
                let source =
                    std::array::from_fn(|axis| place[axis] * stride[axis] + tap[axis] * dilation[axis]);
                let channel = out / outputs * inputs + k / taps;
                w[out * inputs * taps + k] * padded[channel][join(source, padded_size)]
            });
            b[out] + products.sum::<f64>()
        })
        .collect()
}

#[test]
fn conv_forward_agrees_with_explicit_padding() {
    let mut random = Random::new(7);
    for (geometry, size, c_out) in convolutions() {
        let (c_in, depth, height, width) = size;
        let x = random.vec_f64(c_in * depth * height * width);
        let w = random.vec_f64(geometry.weights_shape(c_in as u32, c_out as u32).elements() as usize);
        let b = random.vec_f64(c_out);
        let name = format!("conv_forward {size:?} to {c_out}, {geometry:?}");
        // The two add the same at most 55 terms near 1 in another order: 55 · 2.2e-16 = 1.2e-14.
        let want = conv_by_padding(&x, &w, &b, &geometry, size, c_out);
        assert_close(&name, &conv_forward(&x, &w, &b, &geometry, size, c_out), &want, 1.2e-14, 0.0);
    }
}

/// What is repeated in the forward pass only: forward as repeated, backward as with zeros.
#[test]
fn conv_of_a_forward_repetition_is_one_way_forward_and_another_back() {
    let mut random = Random::new(19);
    let of = |geometry: ConvGeometry, mode| geometry.with_padding(mode);
    for (geometry, size, c_out) in convolutions() {
        let (c_in, depth, height, width) = size;
        let x = random.vec_f64(c_in * depth * height * width);
        let w = random.vec_f64(geometry.weights_shape(c_in as u32, c_out as u32).elements() as usize);
        let b = random.vec_f64(c_out);
        let forward = |mode| conv_forward(&x, &w, &b, &of(geometry, mode), size, c_out);
        let y = forward(PaddingMode::ReplicateForward);
        assert_eq!(y, forward(PaddingMode::Replicate));
        let backward = |mode| conv_backward(&y, &w, &of(geometry, mode), size, c_out);
        assert_eq!(backward(PaddingMode::ReplicateForward), backward(PaddingMode::Zero));
    }
}

#[test]
fn conv_forward_gives_hand_computed_numbers() {
    let ramp: Vec<f64> = (1..=9).map(f64::from).collect();
    // The centre is the sum of the squares to 9; with a flipped kernel it would be 165.
    let want = [[94.0, 154.0, 106.0], [186.0, 285.0, 186.0], [106.0, 154.0, 94.0]];
    assert_eq!(conv_forward(&ramp, &ramp, &[0.0], &SAME, (1, 1, 3, 3), 1), want.as_flattened());

    // Two inputs to two outputs of one row: the weights' order is (out, in, ky, kx), and only the middle row
    // is read.
    let x = [1.0, 2.0, 3.0, 10.0, 20.0, 30.0];
    let w: Vec<f64> = (0..36).map(f64::from).collect();
    // First output: input 0 with taps 3, 4, 5 and input 1 with taps 12, 13, 14; second output: 18 more in
    // each tap.
    let first = [14.0 + 410.0, 26.0 + 800.0, 18.0 + 630.0];
    let more = [18.0 * 33.0, 18.0 * 66.0, 18.0 * 55.0];
    let want = [
        [first[0] + 0.5, first[1] + 0.5, first[2] + 0.5],
        [first[0] + more[0] - 7.0, first[1] + more[1] - 7.0, first[2] + more[2] - 7.0],
    ];
    assert_eq!(conv_forward(&x, &w, &[0.5, -7.0], &SAME, (2, 1, 1, 3), 2), want.as_flattened());

    // A line 1, 2, 4, 8 with the taps 1, 10, 100 two apart, a stride of 3 and two elements before and after: the
    // first output reads places −2, 0 and 2, the second 1, 3 and 5.
    let line = [1.0, 2.0, 4.0, 8.0];
    let made = |padding: Padding| {
        let geometry =
            ConvGeometry { kernel: [1, 1, 3], stride: [1, 1, 3], padding, dilation: [1, 1, 2], groups: 1 };
        conv_forward(&line, &[1.0, 10.0, 100.0], &[0.0], &geometry, (1, 1, 1, 4), 1)
    };
    assert_eq!(made(Padding::even(PaddingMode::Zero, [0, 0, 2])), [410.0, 82.0]);
    assert_eq!(made(Padding::even(PaddingMode::Replicate, [0, 0, 2])), [411.0, 882.0]);
    assert_eq!(made(Padding::circular([0, 0, 2])), [414.0, 282.0]);
}

#[test]
fn relu_gives_hand_computed_numbers() {
    assert_eq!(relu_forward(&[-2.0, -0.0, 0.0, 1e-30, 3.5]), [0.0, 0.0, 0.0, 1e-30, 3.5]);
    // At the kink nothing passes.
    let mask = relu_mask(&[0.0, 0.5, -0.0, 1e-30], (1, 2, 2));
    assert_eq!(mask, [1 << 1 | 1 << 9]);
    assert_eq!(relu_backward(&[1.0, -2.0, 3.0, -4.0], &mask, (1, 2, 2)), [0.0, -2.0, 0.0, -4.0]);
    assert!(relu_forward(&[f32::NAN])[0].is_nan(), "a NaN must not be hidden");
}

#[test]
fn a_mask_has_its_bits_where_they_belong() {
    // Two channels of 5×9: 2×2 words each. A word has 4 rows of 8 bits, the leftmost column lowest.
    let size = (2, 5, 9);
    let mut y = vec![0.0; 2 * 5 * 9];
    let mut want = vec![0; 2 * 2 * 2];
    for (channel, row, column, word, bit) in [
        (0, 0, 0, 0, 0),
        (0, 0, 7, 0, 7),
        (0, 0, 8, 1, 0),
        (0, 2, 3, 0, 19),
        (0, 3, 7, 0, 31),
        (0, 4, 0, 2, 0),
        (1, 0, 0, 4, 0),
        (1, 4, 8, 7, 0),
    ] {
        y[(channel * 5 + row) * 9 + column] = 0.5;
        want[word] |= 1_u32 << bit;
        assert_eq!(relu_mask(&y, size), want, "channel {channel}, row {row}, column {column}");
    }
    let open: Vec<f64> = y.iter().map(|y| if *y > 0.0 { -3.0 } else { 0.0 }).collect();
    assert_eq!(relu_backward(&vec![-3.0; y.len()], &want, size), open);
    // What lies outside the picture is 0 whatever lies inside.
    assert_eq!(relu_mask(&[1.0; 3 * 3], (1, 3, 3)), [0x0007_0707]);
}

#[test]
fn pool_follows_the_same_rule_by_hand() {
    let x: Vec<f64> = (1..=15).map(f64::from).collect();
    // 3×5 → 2×3; the last column averages two cells, the last row two, the corner one.
    assert_eq!(pool_forward(&x, (1, 3, 5)), [4.0, 6.0, 7.5, 11.5, 13.5, 15.0]);
    let dx = [[0.25, 0.25, 0.5, 0.5, 1.5], [0.25, 0.25, 0.5, 0.5, 1.5], [2.0, 2.0, 2.5, 2.5, 6.0]];
    assert_eq!(pool_backward(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], (1, 3, 5)), dx.as_flattened());

    // Two channels with even height and odd width.
    assert_eq!(pool_forward(&x[..12], (2, 2, 3)), [3.0, 4.5, 9.0, 10.5]);
    // One cell is its own average.
    assert_eq!(pool_forward(&[5.0, 7.0], (2, 1, 1)), [5.0, 7.0]);
    assert_eq!(pool_backward(&[5.0, 7.0], (2, 1, 1)), [5.0, 7.0]);
    // Nothing outside is counted, so a flat picture stays flat: 75×100 to 38×50, as on the way down from
    // 300×400.
    assert_eq!(pool_forward(&vec![1.0; 75 * 100], (1, 75, 100)), vec![1.0; 38 * 50]);
}

#[test]
fn gram_and_its_backward_give_hand_computed_numbers() {
    // F = (1 2; 3 −1), two pixels: F·Fᵀ = (5 1; 1 10).
    let x = [1.0, 2.0, 3.0, -1.0];
    assert_eq!(gram_forward(&x, (2, 1, 2)), [2.5, 0.5, 0.5, 5.0]);
    assert_eq!(gram_forward(&x, (2, 2, 1)), [2.5, 0.5, 0.5, 5.0]);
    // dY = (1 2; 4 8): dY + dYᵀ = (2 6; 6 16), times F, over 2.
    assert_eq!(gram_backward(&[1.0, 2.0, 4.0, 8.0], &x, (2, 1, 2)), [10.0, -1.0, 27.0, -2.0]);
}

#[test]
fn moments_and_their_backward_give_hand_computed_numbers() {
    let x = [1.0, 2.0, 3.0, -1.0];
    assert_eq!(channel_mean(&x, (2, 1, 2)), [1.5, 1.0]);
    assert_eq!(moments(&x, (2, 1, 2)), [2.5, 0.5, 0.5, 5.0, 1.5, 1.0]);
    let covariance = matrix_covariance(&[2.5, 0.5, 0.5, 5.0, 1.5, 1.0], 2);
    assert!(
        covariance
            .iter()
            .zip([0.25, -1.0, -1.0, 4.0])
            .all(|(got, want): (&f64, f64)| (got - want).abs() < 2e-7)
    );
    // Where there is nothing but a mean, a ten thousandth of the squares is left.
    assert_eq!(matrix_covariance(&[4.0, 2.0], 1), [4e-4]);
    assert_eq!(matrix_covariance(&[0.0, 0.0], 1), [0.0]);
    // As the Gram matrix's, and 6/2 and −4/2 more.
    assert_eq!(moments_backward(&[1.0, 2.0, 4.0, 8.0, 6.0, -4.0], &x, (2, 1, 2)), [13.0, 2.0, 25.0, -4.0]);
    // Under a guidance of 3 and −1 the means are (3 − 2)/2 and (9 + 1)/2, and 6·3/2, −6/2, −4·3/2 and 4/2 are more.
    let guidance = [3.0, -1.0];
    assert_eq!(moments_guided(&x, &guidance, (2, 1, 2)), [2.5, 0.5, 0.5, 5.0, 0.5, 5.0]);
    let dy = [1.0, 2.0, 4.0, 8.0, 6.0, -4.0];
    assert_eq!(moments_guided_backward(&dy, &x, &guidance, (2, 1, 2)), [19.0, -4.0, 21.0, 0.0]);
}

/// Where a place counts in full or not at all, the moments are those of the places that count.
#[test]
fn guided_moments_are_those_of_a_region() {
    let mut random = Random::new(27);
    let (features, counts) = (random.vec_f64(3 * 8), [true, false, true, true, false, false, true, true]);
    let brightness = counts.map(|counts| if counts { 1.0 } else { 0.0 });
    let guidance = guide_scale(&brightness, &gram_forward(&brightness, (1, 2, 4)));
    let x = guide_forward(&features, &guidance, (3, 2, 4));
    let own = features.iter().zip(counts.iter().cycle()).filter(|(_, counts)| **counts);
    let region: Vec<f64> = own.map(|(feature, _)| *feature).collect();
    let (found, want) = (moments_guided(&x, &guidance, (3, 2, 4)), moments(&region, (3, 1, 5)));
    assert!(found.iter().zip(&want).all(|(found, want)| (found - want).abs() < 1e-12), "{found:?} {want:?}");
}

#[test]
fn matrices_give_hand_computed_numbers() {
    let a = [1.0, 2.0, 3.0, 4.0];
    // A·B = (−2 5; −4 11).
    assert_eq!(matrix_product(&a, &[0.0, 1.0, -1.0, 2.0], 2, 2.0, 3.0), [-1.0, 10.0, -8.0, 25.0]);
    assert_eq!(matrix_affine(&a, 2, -0.5, 1.5), [1.0, -1.0, -1.5, -0.5]);
    // The trace is 5, and half of its mean is added.
    assert_eq!(matrix_symmetrise(&a, 2, 0.5), [2.25, 2.5, 2.5, 5.25]);
    assert_eq!(matrix_norm(&[1.0, -2.0, 2.0, 4.0]), [5.0]);
    assert_eq!(matrix_scale(&a, &[4.0], true, false), [2.0, 4.0, 6.0, 8.0]);
    assert_eq!(matrix_scale(&a, &[4.0], false, true), [0.25, 0.5, 0.75, 1.0]);
    assert_eq!(matrix_scale(&a, &[4.0], true, true), [0.5, 1.0, 1.5, 2.0]);
    for root in [false, true] {
        assert_eq!(matrix_scale(&a, &[0.0], root, true), [0.0; 4], "a quotient by 0");
    }
}

#[test]
fn covariance_and_mean_variance_costs_give_hand_computed_numbers() {
    // Σ = (0.25, −1; −1, 4), and Σ − Σ_t = (0, −1; −1, 1).
    let moments = [2.5, 0.5, 0.5, 5.0, 1.5, 1.0];
    let target = [0.25, 0.0, 0.0, 3.0];
    assert_eq!(covariance_cost_forward(&moments, &target, &[2.0], 2), [0.75]);
    let dx = covariance_cost_backward(&[4.0], &moments, &target, &[2.0], 2);
    // (D + Dᵀ)·μ = (−2, −1).
    assert_eq!(dx, [0.0, -2.0, -2.0, 2.0, 4.0, 2.0]);
    // A target without covariance.
    assert_eq!(covariance_cost_forward(&moments, &target, &[0.0], 2), [0.0]);
    assert_eq!(covariance_cost_backward(&[4.0], &moments, &target, &[0.0], 2), [0.0; 6]);
    // The same distribution, whatever its mean; a picture without contrast is 1.
    let shifted = [0.25 + 9.0, 6.0, 6.0, 7.0, 3.0, 2.0];
    assert_eq!(covariance_cost_forward(&shifted, &target, &[2.0], 2), [0.0]);
    assert_eq!(
        covariance_cost_forward(&[0.0; 6], &[0.0, 3.0, 3.0, 0.0], &[18.0_f64.sqrt()], 2)[0].round(),
        1.0
    );

    // Deviations (0.5, 2) and (1, 3), means (1.5, 1) and (0.5, 3).
    let target = [1.25, 0.0, 0.0, 18.0, 0.5, 3.0];
    let cost = mean_variance_cost_forward(&moments, &target, 2);
    assert_close("cost", &cost, &[(5.0 + 1.25) / 10.0], 1e-4, 0.0);
    let dx = mean_variance_cost_backward(&[10.0], &moments, &target, 2);
    assert_close("gradient", &dx, &[-1.0, 0.0, 0.0, -0.5, 2.0 * 2.5, 2.0 * -1.5], 1e-3, 0.0);
    assert_eq!(mean_variance_cost_forward(&target, &target, 2), [0.0]);
    // Less than no variance is none, and no gradient flows through it.
    let flat = [1.0, 0.0, 0.0, 0.5, 1.0, 1.0];
    let dx = mean_variance_cost_backward(&[10.0], &flat, &target, 2);
    assert_eq!((dx[3], dx[1]), (0.0, 0.0));
    assert!(dx.iter().all(|dx: &f64| dx.is_finite()));
}

#[test]
fn wasserstein_costs_give_hand_computed_numbers() {
    let moments = [2.5, 0.5, 0.5, 5.0, 1.5, 1.0];
    let target = [9.0, 9.0, 9.0, 9.0, 0.5, 3.0];
    let g = [1.0, 2.0, 0.0, -1.0];
    // |μ − μ_t|² = 1 + 4, <G, Σ> = 0.25 − 2 − 4.
    let rest = [1.75, 2.0];
    assert_eq!(wasserstein_forward(&moments, &target, &g, &rest, 2), [0.5]);
    // (G + Gᵀ)·μ = (5, 1).
    let dx = wasserstein_backward(&[4.0], &moments, &target, &g, &rest, 2);
    assert_eq!(dx, [2.0, 4.0, 0.0, -2.0, -6.0, -10.0]);
    let covariance = [0.25, -1.0, -1.0, 4.0];
    let (root, wanted) = ([1.0, 0.0, 0.0, 2.0], [2.0, 1.0, 1.0, 3.0]);
    // 4.25 + 5 − 6 + 5.75.
    assert_eq!(wasserstein_rest(&covariance, &root, &g, &wanted, 2, false), [9.0, 5.0]);
    assert_eq!(wasserstein_rest(&covariance, &root, &g, &wanted, 2, true), [9.0, 2.0]);
    // A target without variance.
    for variance in [0.0, -1.0] {
        assert_eq!(wasserstein_forward(&moments, &target, &g, &[1.75, variance], 2), [0.0]);
        let dx = wasserstein_backward(&[4.0], &moments, &target, &g, &[1.75, variance], 2);
        assert_eq!(dx, [0.0; 6]);
    }
    assert_eq!(store(&moments), moments);
}

#[test]
fn costs_and_add_give_hand_computed_numbers() {
    assert_eq!(squared_error_forward(&[1.0, 5.0], &[4.0, 1.0]), [25.0 / 8.0]);
    assert_eq!(squared_error_backward(&[8.0], &[1.0, 5.0], &[4.0, 1.0]), [-6.0, 8.0]);
    // Four elements: the style cost of two channels.
    assert_eq!(squared_error_forward(&[1.0, 2.0, 3.0, 4.0], &[0.0, 4.0, 3.0, 1.0]), [14.0 / 16.0]);
    let dx = squared_error_backward(&[8.0], &[1.0, 2.0, 3.0, 4.0], &[0.0, 4.0, 3.0, 1.0]);
    assert_eq!(dx, [1.0, -2.0, 0.0, 3.0]);
    assert_eq!(weighted_sum_forward(&[2.0, 3.0], &[10.0, -40.0]), [-100.0]);
    assert_eq!(weighted_sum_backward(&[0.5], &[10.0, -40.0]), [5.0, -20.0]);
    assert_eq!(accumulate(&[1.0, 2.0], &[10.0, -2.0]), [11.0, 0.0]);
    assert_eq!(add(&[1.0, 2.0], &[10.0, -2.0]), [11.0, 0.0]);
    assert_eq!(mix(&[1.0, 2.0], &[10.0, -2.0], 0.25), [7.75, -1.0]);
}

/// The course's hyperparameters: learning rate, β₁, β₂, ε, 1 − β₁, 1 − β₂.
const HYPER: [f64; 6] = [2.0, 0.9, 0.999, 1e-8, 1.0 - 0.9, 1.0 - 0.999];

#[test]
fn adam_takes_the_hand_computed_first_two_steps() {
    // Worked out to 40 digits from the formulas: gradients 0.5 then −1.5, 0.25 then 0, and none at all.
    let steps = [
        (
            [0.5, 0.25, 0.0],
            [0.1, 0.001, 1.0],
            [8.000_001_264_910_264, -4.999_997_470_181_071, 7.0],
            [0.05, 0.025, 0.0],
            [0.00025, 0.0000625, 0.0],
        ),
        (
            [-1.5, 0.0, 0.0],
            [0.19, 0.001999, 2.0],
            [8.988_380_733_818_66, -6.340_112_282_479_906, 7.0],
            [-0.105, 0.0225, 0.0],
            [0.00249975, 0.0000624375, 0.0],
        ),
    ];
    // The nearest f64 to 0.999 may be 5.5e-17 off, which is 5.5e-14 of 1 − 0.999; the rest of the rounding is
    // less.
    let rtol = 1e-13;
    let (mut state, mut x, mut m, mut v) = (vec![0.0; 3], vec![10.0, -3.0, 7.0], vec![0.0; 3], vec![0.0; 3]);
    // In f32, 1 − 0.999 is 4.7e-5 off, and so are v and 1 − β₂ᵗ; in x the two cancel.
    let narrow = |x: &[f64]| x.iter().map(|&x| x as f32).collect::<Vec<f32>>();
    let (mut state32, mut x32, mut m32, mut v32) = (narrow(&state), narrow(&x), narrow(&m), narrow(&v));
    for (t, (dx, want_state, want_x, want_m, want_v)) in steps.into_iter().enumerate() {
        state = adam_advance(&HYPER, &state);
        (x, m, v) = adam(&HYPER, &state, &dx, &x, &m, &v);
        for (name, got, want) in
            [("state", &state, want_state), ("x", &x, want_x), ("m", &m, want_m), ("v", &v, want_v)]
        {
            let name = format!("adam {name} at step {}", t + 1);
            assert_close(&name, got, &want, 0.0, rtol);
            assert_canary(&name, got, &want, 0.0, rtol);
        }

        let hyper = narrow(&HYPER);
        state32 = adam_advance(&hyper, &state32);
        (x32, m32, v32) = adam(&hyper, &state32, &narrow(&dx), &x32, &m32, &v32);
        assert_close("adam x in f32", &x32, &want_x, 0.0, 5e-7);
        assert_close("adam m in f32", &m32, &want_m, 0.0, 1e-6);
        assert_close("adam v in f32", &v32, &want_v, 0.0, 5e-5);
        assert_close("adam state in f32", &state32, &want_state, 0.0, 5e-5);
    }
}

#[test]
fn adam_advance_keeps_the_closed_form_over_a_whole_run() {
    let mut state = vec![0.0; 3];
    for t in 1..=200 {
        state = adam_advance(&HYPER, &state);
        if [1, 2, 7, 50, 200].contains(&t) {
            let want = [1.0 - HYPER[1].powi(t), 1.0 - HYPER[2].powi(t), t.into()];
            // 1 − β₂ᵗ is 1e-3 at first, so the closed form loses three digits of sixteen.
            assert_close(&format!("adam_advance to step {t}"), &state, &want, 0.0, 1e-13);
        }
    }
}

/// The channel means that the network was trained with, RGB.
const MEAN: [f64; 3] = [123.68, 116.779, 103.939];

#[test]
fn preprocess_gives_hand_computed_numbers() {
    let rgba = [1, 2, 3, 99, 255, 0, 128, 7];
    let want = [-122.68, 131.32, -114.779, -116.779, -100.939, 24.061];
    // One subtraction of numbers below 256 rounds by at most 1.5e-14, and the decimals themselves by as much.
    let got = preprocess(&rgba, (1, 2), MEAN);
    assert_close("preprocess", &got, &want, 3e-14, 0.0);
    assert_canary("preprocess", &got, &want, 3e-14, 0.0);
    assert_eq!(preprocess(&rgba, (2, 1), MEAN), got, "planes do not know their rows");
}

#[test]
fn postprocess_clamps_and_truncates() {
    let x =
        [-1e9, 254.9, 255.0, 1e9, -0.5, 0.999, 1.0, f64::INFINITY, f64::NAN, 127.5, f64::NEG_INFINITY, 12.0];
    let want = [0, 0, 0, 255, 254, 0, 127, 255, 255, 1, 0, 255, 255, 255, 12, 255];
    assert_eq!(postprocess(&x, (2, 2), [0.0; 3], false), want);
    // The mean is added to its own channel.
    assert_eq!(postprocess(&[0.0; 3], (1, 1), MEAN, false), [123, 116, 103, 255]);
}

#[test]
fn postprocess_rounds_halves_to_even() {
    let x =
        [-1e9, 254.5, 254.6, 1e9, -0.5, 0.5, 1.5, f64::INFINITY, f64::NAN, 127.5, f64::NEG_INFINITY, 12.499];
    let want = [0, 0, 0, 255, 254, 0, 128, 255, 255, 2, 0, 255, 255, 255, 12, 255];
    assert_eq!(postprocess(&x, (2, 2), [0.0; 3], true), want);
    assert_eq!(postprocess(&[0.0; 3], (1, 1), MEAN, true), [124, 117, 104, 255]);
}

#[test]
fn clamped_pixels_are_those_of_a_picture() {
    let x = [-1e9, 2.5, 200.0, 200.0, f64::INFINITY, -116.779, f64::NEG_INFINITY, 151.061];
    let want = [-123.68, 2.5, 138.221, 138.221, 151.061, -103.939];
    let planes = [x[0], x[1], x[2], x[3], x[4], x[6]];
    assert_close("clamp_pixels", &clamp_pixels(&planes, MEAN), &want, 3e-14, 0.0);
    assert_eq!(clamp_pixels(&[0.0, x[5], x[7]], MEAN), [0.0, x[5], x[7]]);
    assert!(clamp_pixels(&[f64::NAN, 0.0, -f64::NAN], MEAN)[0].is_nan());
    assert!(clamp_pixels(&[0.0, 0.0, -f64::NAN], MEAN)[2].is_nan());
}

#[test]
fn a_picture_survives_the_way_in_and_out() {
    let mut random = Random::new(8);
    // Means with an exact binary form, because a sum that rounds to just below a whole number is truncated.
    let mean = [123.5_f32, 116.75, 103.25];
    for (height, width) in [(1, 1), (3, 7), (8, 5)] {
        let mut rgba = random.bytes(height * width * 4);
        let planes = preprocess(&rgba, (height, width), mean);
        rgba.iter_mut().skip(3).step_by(4).for_each(|alpha| *alpha = 255);
        for rounded in [false, true] {
            let back = postprocess(&planes, (height, width), mean, rounded);
            assert_close("picture in and out", &back, &rgba, 0.0, 0.0);
            assert_canary("picture in and out", &back, &rgba, 0.0, 0.0);
        }
    }
}

/// Numbers in 0..255 as bytes.
fn rounded(numbers: &[f64]) -> Vec<u8> {
    numbers.iter().map(|number| number.round() as u8).collect()
}

#[test]
fn texels_of_8_bits_are_laid_over_white_by_hand() {
    // Opaque red-ish, half transparent, nothing there, and two words that are padding; then a row of the same.
    let row = [0xff0a_c801, 0x800a_c801, 0x0012_3456, 0xdead_beef, 0x1234_5678];
    let x = [row, row].concat();
    let y: Vec<f64> = decode_texels(&x, (2, 3), 5, 1, false);
    // 255 − (255 − value)·128/255.
    let half = [1.0, 200.0, 10.0].map(|value| 255.0 - (255.0 - value) * 128.0 / 255.0);
    let row = [1.0, 200.0, 10.0, 255.0, half[0], half[1], half[2], 255.0, 255.0, 255.0, 255.0, 255.0];
    // Two roundings of numbers below 256.
    assert_close("decode_texels", &y, &[row, row].concat(), 6e-14, 0.0);
    assert_canary("decode_texels", &y, &[row, row].concat(), 6e-14, 0.0);
}

/// Every value with every alpha becomes what the same picture becomes when it comes from a file.
#[test]
fn texels_of_8_bits_are_what_a_png_gives() {
    let pixels = image::RgbaImage::from_fn(256, 256, |x, y| {
        image::Rgba([x as u8, 255 - x as u8, (x * 7 + y) as u8, y as u8])
    });
    let mut file = std::io::Cursor::new(Vec::new());
    pixels.write_to(&mut file, image::ImageFormat::Png).unwrap();
    let picture = Picture::decode(file.get_ref(), "").unwrap();
    let (words, _) = pixels.as_raw().as_chunks();
    let words: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
    let y: Vec<f64> = decode_texels(&words, (256, 256), 256, 1, false);
    assert!(rounded(&y) == picture.to_rgba());
    let y: Vec<f32> = decode_texels(&words, (256, 256), 256, 1, false);
    assert!(rounded(&y.into_iter().map(f64::from).collect::<Vec<_>>()) == picture.to_rgba());
}

#[test]
fn texels_of_half_precision_give_hand_computed_numbers() {
    // Bits of halves: 1, ½, ¼, 0.002 and what is out of range. A half is a sign, 5 bits of exponent above −15, and 10
    // of mantissa.
    let [one, half, quarter, small] = [0x3c00, 0x3800, 0x3400, 0x1819];
    let [tiny, two, infinity, minus_one, minus_infinity] = [0x0001, 0x4000, 0x7c00, 0xbc00, 0xfc00];
    let [nan, negative_nan] = [0x7e01, 0xfe00];
    let texels: [[u32; 4]; 6] = [
        [one, half, quarter, one],
        [small, tiny, 0, one],
        [two, infinity, minus_one, one],
        [minus_infinity, nan, negative_nan, two],
        // ½ of alpha, and none.
        [quarter, one, 0, half],
        [half, quarter, one, nan],
    ];
    let mut x: Vec<u32> = texels.iter().flat_map(|[r, g, b, a]| [r | g << 16, b | a << 16]).collect();
    // Three texels a row, and a word behind them.
    x.insert(6, 0x7e00_7e00);
    x.push(0x7e00_7e00);
    let y: Vec<f64> = decode_texels(&x, (2, 3), 7, 2, false);
    // 255·(1.055·½^(1/2.4) − 0.055) and the same of ¼, worked out to 20 digits; 0x1819 is (1024 + 25)·2⁻¹⁹.
    let [half, quarter] = [187.516_030_678_374_62, 136.960_176_273_214_53];
    let small = 255.0 * 12.92 * 1049.0 / 524_288.0;
    let tiny = 255.0 * 12.92 / 16_777_216.0;
    let want = [
        [255.0, half, quarter, 255.0],
        [small, tiny, 0.0, 255.0],
        [255.0, 255.0, 0.0, 255.0],
        [0.0, 0.0, 0.0, 255.0],
        [(quarter + 255.0) / 2.0, 255.0, 127.5, 255.0],
        [255.0; 4],
    ];
    assert_close("halves", &y, want.as_flattened(), 1e-12, 0.0);
    assert_canary("halves", &y, want.as_flattened(), 1e-12, 0.0);
}

#[test]
fn pictures_become_texels_by_hand() {
    let rgba = [255, 0, 128, 255, 10, 11, 1, 255];
    // Rows of one pixel, then of two, with a word of padding.
    let y: Vec<f64> = encode_texels(&rgba, (2, 1), 2, 1, false);
    assert_eq!(rounded(&y), [255, 0, 128, 255, 0, 0, 0, 0, 10, 11, 1, 255, 0, 0, 0, 0]);
    let y: Vec<f64> = encode_texels(&rgba, (1, 2), 5, 2, false);
    // ((128/255 + 0.055)/1.055)^2.4 and of 11, the first above the foot, to 20 digits; 10 and 1 are below.
    let linear = |byte: f64| byte / 255.0 / 12.92;
    let [middle, eleven] = [0.215_860_500_113_899_16, 0.003_346_535_763_899_158_5];
    let want = [1.0, 0.0, middle, 1.0, linear(10.0), eleven, linear(1.0), 1.0, 0.0, 0.0];
    assert_close("encode_texels", &y, &want, 1e-15, 1e-14);
    assert_canary("encode_texels", &y, &want, 1e-15, 1e-14);
}

/// In half precision too there are enough numbers for every one of 256.
#[test]
fn a_picture_survives_the_way_out_to_texels_and_in_again() {
    let rgba: Vec<u8> = (0..=255_u8).flat_map(|level| [level, 255 - level, level ^ 0x55, 255]).collect();
    let y: Vec<f64> = encode_texels(&rgba, (16, 16), 33, 2, false);
    let half = |value: f64| u32::from(half::f16::from_f64(value).to_bits());
    let words: Vec<u32> = y.chunks_exact(2).map(|pair| half(pair[0]) | half(pair[1]) << 16).collect();
    assert_eq!(rounded(&decode_texels(&words, (16, 16), 33, 2, false)), rgba);
}

#[test]
fn resample_gives_hand_computed_numbers() {
    // Of one pixel only copies can be made; alpha goes.
    let one: Vec<f64> = resample(&[10, 200, 0, 7], (1, 1), (2, 3));
    assert_close("copies", &one, &[10.0, 200.0, 0.0, 255.0].repeat(6), 1e-12, 0.0);
    // To the same size nothing changes: the weights of all other pixels are those of whole places, 0.
    let mut random = Random::new(12);
    let rgba: Vec<u8> = random.bytes(7 * 5 * 4);
    let same: Vec<f64> = resample(&rgba, (7, 5), (7, 5));
    let opaque: Vec<f64> =
        rgba.iter().enumerate().map(|(i, byte)| if i % 4 == 3 { 255.0 } else { f64::from(*byte) }).collect();
    assert_close("the same size", &same, &opaque, 1e-12, 0.0);
    // Two rows to four: each of the four is ¼, ¾ or 1¼ away from the two, in quarters of a row 1, 3 or 5, where
    // L(q/4) = 48·sin(45°·q)·sin(15°·q)/(π·q)².
    let sine = |degrees: f64| degrees.to_radians().sin();
    let square = |x: f64| x * x;
    let window = |q: f64| 48.0 * sine(45.0 * q) * sine(15.0 * q) / square(std::f64::consts::PI * q);
    let [near, next, far] = [window(1.0), window(3.0), window(5.0)];
    let mix = |upper: f64, lower: f64| (upper * 40.0 + lower * 200.0) / (upper + lower);
    let rows = [mix(near, far), mix(near, next), mix(next, near), mix(far, near)];
    let want: Vec<f64> = rows.iter().flat_map(|row| [*row, *row, 0.0, 255.0]).collect();
    let x = [40, 40, 0, 255, 200, 200, 0, 255];
    let y: Vec<f64> = resample(&x, (2, 1), (4, 1));
    assert_close("two rows to four", &y, &want, 1e-12, 0.0);
    assert_canary("two rows to four", &y, &want, 1e-12, 0.0);
    // Columns go the same way.
    assert_close("columns", &resample::<f64>(&x, (1, 2), (1, 4)), &want, 1e-12, 0.0);
    // Beside an edge the window overshoots, and is clamped.
    let edge: Vec<f64> = resample(&[[0; 4], [255; 4]].concat(), (1, 2), (1, 4));
    assert_eq!([edge[0], edge[12]], [0.0, 255.0]);
}

/// In f32 the twin does what the crate does for [`Picture::resized`], operation by operation.
#[test]
fn resample_is_what_image_does() {
    let mut random = Random::new(13);
    for ((height, width), (new_height, new_width)) in [
        ((1, 1), (3, 2)),
        ((7, 5), (13, 11)),
        ((61, 67), (23, 19)),
        ((61, 67), (60, 68)),
        ((127, 31), (31, 127)),
        ((211, 199), (1, 503)),
    ] {
        let rgba = random.bytes(height * width * 4);
        // The kernel reads no alpha.
        let rgb = rgba.chunks(4).flat_map(|texel| texel[..3].to_vec()).collect();
        let picture = Picture::from_rgb(width as u32, height as u32, rgb).unwrap();
        let want = picture.resized(new_width as u32, new_height as u32).to_rgba();
        let y: Vec<f32> = resample(&rgba, (height, width), (new_height, new_width));
        let y: Vec<u8> = y.iter().map(|value| value.round() as u8).collect();
        assert!(y == want, "{height}×{width} to {new_height}×{new_width}");
    }
}

/// `values` (rows, columns) of four digits or more behind the point.
#[track_caller]
fn assert_resized(filter: Filter, x: &[f64], size: (usize, usize, usize), to: (usize, usize), want: &[f64]) {
    let name = format!("resize {size:?} to {to:?}, {filter:?}");
    let got = resize(x, size, to, filter, Wrap::NONE);
    // Half of the last digit that is stated.
    assert_close(&name, &got[..want.len()], want, 6e-9, 0.0);
    assert_canary(&name, &got[..want.len()], want, 6e-9, 0.0);
}

#[test]
fn resize_gives_the_values_that_others_publish() {
    // The documentation of `torch.nn.Upsample`, its example with scale_factor=2, mode='bilinear'.
    let want = [1.0, 1.25, 1.75, 2.0, 1.5, 1.75, 2.25, 2.5, 2.5, 2.75, 3.25, 3.5, 3.0, 3.25, 3.75, 4.0];
    assert_resized(Filter::Bilinear, &[1.0, 2.0, 3.0, 4.0], (1, 2, 2), (4, 4), &want);
    // The specification of ONNX, operator `Resize`, whose cubic interpolation with half pixels and a coefficient of
    // −0.75 is PyTorch's: its examples resize_downsample_sizes_cubic, resize_upsample_scales_cubic and
    // resize_upsample_sizes_cubic, of the last two the first rows.
    let x: Vec<f64> = (1..=16).map(f64::from).collect();
    let smaller = [
        1.63078704,
        3.00462963,
        4.37847222, //
        7.12615741,
        8.5,
        9.87384259, //
        12.62152778,
        13.99537037,
        15.36921296,
    ];
    assert_resized(Filter::Bicubic, &x, (1, 4, 4), (3, 3), &smaller);
    let twice = [
        0.47265625, 0.76953125, 1.24609375, 1.875, 2.28125, 2.91015625, 3.38671875, 3.68359375, //
        1.66015625, 1.95703125, 2.43359375, 3.0625, 3.46875, 4.09765625, 4.57421875, 4.87109375,
    ];
    assert_resized(Filter::Bicubic, &x, (1, 4, 4), (8, 8), &twice);
    let larger = [
        0.45507922, 0.64057922, 0.97157922, 1.42257922, 1.90732922, //
        2.22332922, 2.70807922, 3.15907922, 3.49007922, 3.67557922, //
        1.39437963, 1.57987963, 1.91087963, 2.36187963, 2.84662963,
    ];
    assert_resized(Filter::Bicubic, &x, (1, 4, 4), (9, 10), &larger);
}

#[test]
fn resize_gives_hand_computed_numbers() {
    use Filter::{Bicubic, Bilinear};
    // To a third: the cell in the middle, though two thirds are not seen.
    let row = [5.0, 1.0, 7.0, 2.0, 8.0, 3.0];
    assert_eq!(resize(&row, (1, 1, 6), (1, 2), Bilinear, Wrap::NONE), [1.0, 8.0]);
    // To a half, to one: between two cells, those at (2c + ½) and at 2½.
    assert_eq!(resize(&row, (1, 1, 6), (1, 3), Bilinear, Wrap::NONE), [3.0, 4.5, 5.5]);
    assert_eq!(resize(&row, (1, 1, 6), (1, 1), Bilinear, Wrap::NONE), [4.5]);
    // Five from three columns: places −0.2, 0.4, 1, 1.6 and 2.2, of which the first and the last are at the border.
    let want = [10.0, 14.0, 20.0, 5.0, -5.0];
    let got = resize(&[10.0, 20.0, -5.0], (1, 1, 3), (1, 5), Bilinear, Wrap::NONE);
    assert_close("resize of a row", &got, &want, 1e-14, 0.0);
    // Rows and columns are not taken for each other, nor channels.
    let got = resize(&[1.0, 2.0, 3.0, 5.0, 6.0, 7.0], (2, 3, 1), (2, 1), Bilinear, Wrap::NONE);
    assert_close("resize of two columns", &got, &[1.25, 2.75, 5.25, 6.75], 1e-14, 0.0);
    // Cubic at ½ between cells: weights −3/32, 19/32, 19/32, −3/32.
    let weights = [-3.0, 19.0, 19.0, -3.0];
    let want = |cells: [f64; 4]| cells.iter().zip(weights).map(|(x, w)| x * w / 32.0).sum::<f64>();
    let got = resize(&row, (1, 1, 6), (1, 3), Bicubic, Wrap::NONE);
    let all = [want([5.0, 5.0, 1.0, 7.0]), want([1.0, 7.0, 2.0, 8.0]), want([2.0, 8.0, 3.0, 3.0])];
    assert_close("cubic at halves", &got, &all, 1e-14, 0.0);
    let mut random = Random::new(31);
    for size @ (channels, height, width) in SIZES {
        let x = random.vec_f64(channels * height * width);
        for filter in [Bilinear, Bicubic] {
            assert_close(
                "the same size",
                &resize(&x, size, (height, width), filter, Wrap::NONE),
                &x,
                0.0,
                0.0,
            );
            let flat = resize(&vec![3.0; x.len()], size, (height + 3, 2 * width), filter, Wrap::NONE);
            assert_close("a plain", &flat, &vec![3.0; flat.len()], 1e-14, 0.0);
        }
    }
}

#[test]
fn smooth_gives_hand_computed_numbers() {
    // One cell spreads by (1 2 1) along both sides, in sixteenths, and none of it is lost but at the border, where it
    // counts twice.
    let mut x = vec![0.0; 25];
    x[12] = 16.0;
    let mut want = vec![0.0; 25];
    for (at, value) in [6, 7, 8, 11, 12, 13, 16, 17, 18].into_iter().zip([1., 2., 1., 2., 4., 2., 1., 2., 1.])
    {
        want[at] = value;
    }
    assert_eq!(smooth(&x, (1, 5, 5), 1.0, Wrap::NONE), want);
    assert_eq!(
        smooth(&[16.0, 0.0, 0.0, 0.0, 0.0, 0.0], (1, 2, 3), 1.0, Wrap::NONE),
        [9.0, 3.0, 0.0, 3.0, 1.0, 0.0]
    );
    assert_eq!(
        smooth(&[4.0, 0.0, 0.0, 8.0, 0.0, 0.0], (2, 1, 3), 2.0, Wrap::NONE),
        [6.0, 2.0, 0.0, 12.0, 4.0, 0.0]
    );
    assert_eq!(
        smooth(&[4.0, 0.0, 0.0, 8.0, 0.0, 0.0], (2, 3, 1), 2.0, Wrap::NONE),
        [6.0, 2.0, 0.0, 12.0, 4.0, 0.0]
    );
    // What alternates is gone inside, the mean is not.
    let board: Vec<f64> = (0..49).map(|at| if at % 2 == 0 { 5.0 } else { 1.0 }).collect();
    let got = smooth(&board, (1, 7, 7), 1.0, Wrap::NONE);
    assert!((1..6).all(|row| got[7 * row + 1..7 * row + 6].iter().all(|value| *value == 3.0)), "{got:?}");
    assert_eq!(smooth(&[7.0], (1, 1, 1), 3.0, Wrap::NONE), [21.0]);
}

#[test]
fn a_schedule_falls_and_averages_without_a_bias() {
    let (rate, fade, steps, decay) = (3.0, 0.8, 30.0, 0.9_f64);
    let hyper = [rate, fade, steps, decay, 1.0 - decay];
    let mut state = vec![0.0; 4];
    // The other way to average: from 0 on, divided at the end by the sum of all weights.
    let (mut average, mut biased) = (0.0, 0.0);
    for i in 0..30 {
        state = schedule_advance(&hyper, &state);
        let done = f64::from(i) + 1.0;
        let sum = 1.0 - decay.powi(i + 1);
        let want = [done, sum, rate * (1.0 - fade * f64::from(i) / steps), (1.0 - decay) / sum];
        assert_close(&format!("schedule at step {i}"), &state, &want, 0.0, 1e-13);
        let x = (17.0 * done).sin() * 100.0;
        (_, average) = {
            let (x, average) = descend(&state, [0.0; 3], &[0.0; 3], &[x; 3], &[average; 3]);
            (x[0], average[0])
        };
        biased = decay * biased + (1.0 - decay) * x.max(0.0);
        assert_close("average", &[average], &[biased / sum], 1e-12, 0.0);
    }
    // Rates from 3 to 0.6 of the last step's next one.
    assert_close("the last rate", &[state[2]], &[3.0 * (1.0 - 0.8 * 29.0 / 30.0)], 0.0, 1e-14);
    // Without a decay the average is the last of all.
    let mut state = vec![0.0; 4];
    for i in 1..4 {
        state = schedule_advance(&[2.0, 0.0, 1.0, 0.0, 1.0], &state);
        assert_eq!(state, [f64::from(i), 1.0, 2.0, 1.0]);
    }
    // In f32, too.
    let mut state = vec![0.0_f32; 4];
    for _ in 0..30 {
        state = schedule_advance(&[3.0, 0.8, 30.0, 0.9, 1.0 - 0.9], &state);
    }
    let sum = 1.0 - 0.9_f64.powi(30);
    assert_close("schedule in f32", &state, &[30.0, sum, 0.68, 0.1 / sum], 0.0, 3e-6);
}

#[test]
fn a_level_takes_the_steps_of_adam() {
    // β 0.9 and 0.99; at a learning rate of 1 Adam's pixels change by −d.
    let hyper = [1.0, 0.9, 0.99, 1e-8, 1.0 - 0.9, 1.0 - 0.99];
    let mut random = Random::new(32);
    let zeros = || vec![0.0; 12];
    let (mut state, mut x, mut m, mut v, mut level_m, mut level_v) =
        (vec![0.0; 3], zeros(), zeros(), zeros(), zeros(), zeros());
    for step in 0..5 {
        state = adam_advance(&hyper, &state);
        let gradient = random.vec_f64(12);
        let before = x.clone();
        (x, m, v) = adam(&hyper, &state, &gradient, &x, &m, &v);
        let d;
        (d, level_m, level_v) = adam_level(&hyper, &state, &gradient, &level_m, &level_v);
        let change: Vec<f64> = before.iter().zip(&x).map(|(before, x)| before - x).collect();
        assert_close(&format!("d at step {step}"), &d, &change, 1e-14, 0.0);
        assert_close("m", &level_m, &m, 1e-16, 1e-15);
        assert_close("v", &level_v, &v, 1e-16, 1e-15);
    }
    // The first step is the gradient's sign, whatever its size.
    let state = adam_advance(&hyper, &[0.0; 3]);
    let (d, ..) = adam_level(&hyper, &state, &[5.0, -1e-3, 0.0], &[0.0; 3], &[0.0; 3]);
    assert_close("the first step", &d, &[1.0, -1.0, 0.0], 0.0, 1e-3);
}

#[test]
fn a_descent_gives_hand_computed_numbers() {
    let state = [7.0, 0.5, 2.0, 0.25];
    let mean = [100.0, 50.0, 0.0];
    // In each channel one pixel that stays a picture's, one below and one above.
    let d = [1.0, 1.0, -1.0, -2.0, 3.0, -4.0, 0.5, 1.0, -1.0];
    let x = [10.0, -99.0, 154.0, 10.0, -45.0, 200.0, 100.0, 1.0, 254.0];
    let (x, average) = descend(&state, mean, &d, &x, &[8.0; 9]);
    assert_eq!(x, [8.0, -100.0, 155.0, 14.0, -50.0, 205.0, 99.0, 0.0, 255.0]);
    assert_eq!(average, [8.0, -19.0, 44.75, 9.5, -6.5, 57.25, 30.75, 6.0, 69.75]);
    let (x, average) = descend(&state, mean, &[f64::NAN, 0.0, 0.0], &[0.0, f64::NAN, 0.0], &[0.0; 3]);
    assert!(x[0].is_nan() && x[1].is_nan() && average[0].is_nan() && average[1].is_nan());
    assert_eq!((x[2], average[2]), (0.0, 0.0));
}

#[test]
fn start_gives_hand_computed_numbers() {
    // Levels that say their channel and level: red 0…255, green 1000…1255, blue 2000…2255.
    let levels: Vec<f64> =
        (0..3).flat_map(|channel| (0..256).map(move |level| f64::from(1000 * channel + level))).collect();
    let rgba = [1, 2, 3, 255, 4, 5, 255, 255];
    let noise = [4.0, -8.0, 0.0, 2.0, 1.0, -4.0];
    let y = start(&noise, &rgba, &levels, (1, 2), 0.25);
    assert_eq!(y, [2.0, 2.0, 1002.0, 1005.5, 2003.25, 2254.0]);
}

/// What the optimisation begins with, and what levels are, to the bit as f64 has it.
#[test]
fn levels_of_the_start_are_rounded_once() {
    let levels = impasto::ops::start::levels(0.6, MEAN.map(|mean| mean as f32));
    assert_eq!(levels.len(), 3 * 256);
    for (at, level) in [(0, 0_u8), (256 + 7, 7), (512 + 255, 255)] {
        let mean = f64::from(MEAN[at / 256] as f32);
        let want = (1.0 - f64::from(0.6_f32)) * (f64::from(level) - mean);
        assert_eq!(levels[at], want as f32);
    }
}

// ---- f32 against f64, with a canary for every function ----

#[test]
fn conv_in_f32_differs_by_rounding_alone() {
    let mut random = Random::new(9);
    let (size @ (c_in, _, height, width), c_out) = ((17, 1, 7, 11), 5);
    let (x, w) = (random.vec_f32(c_in * height * width), random.vec_f32(c_out * c_in * 9));
    let (b, dy) = (random.vec_f32(c_out), random.vec_f32(c_out * height * width));
    let want = conv_forward(&widen(&x), &widen(&w), &widen(&b), &SAME, size, c_out);
    check_rounding("conv_forward", &conv_forward(&x, &w, &b, &SAME, size, c_out), &want, c_in * 9 + 1, 1);
    let want = conv_backward(&widen(&dy), &widen(&w), &SAME, size, c_out);
    check_rounding("conv_backward", &conv_backward(&dy, &w, &SAME, size, c_out), &want, c_out * 9, 1);
}

#[test]
fn relu_and_pool_in_f32_differ_by_rounding_alone() {
    let mut random = Random::new(10);
    let size = (3, 5, 7);
    let (x, dy) = (random.vec_f32(3 * 5 * 7), random.vec_f32(3 * 5 * 7));
    check_rounding("relu_forward", &relu_forward(&x), &relu_forward(&widen(&x)), 1, 1);
    let mask = relu_mask(&x, size);
    assert_eq!(mask, relu_mask(&widen(&x), size), "narrowing changes no sign");
    let want = relu_backward(&widen(&dy), &mask, size);
    check_rounding("relu_backward", &relu_backward(&dy, &mask, size), &want, 1, 1);
    check_rounding("pool_forward", &pool_forward(&x, size), &pool_forward(&widen(&x), size), 4, 4);
    let dy = &dy[..3 * 3 * 4];
    check_rounding("pool_backward", &pool_backward(dy, size), &pool_backward(&widen(dy), size), 1, 1);
    let (y, winners) = max_pool_forward(&x, size);
    let want = max_pool_forward(&widen(&x), size);
    assert_eq!((widen(&y), &winners), (want.0, &want.1), "a choice does not round");
    let want = max_pool_backward(&widen(dy), &winners, size);
    assert_eq!(widen(&max_pool_backward(dy, &winners, size)), want);
}

#[test]
fn gram_costs_and_add_in_f32_differ_by_rounding_alone() {
    let mut random = Random::new(11);
    let size @ (channels, height, width) = (7, 11, 13);
    let (x, target) = (random.vec_f32(channels * height * width), random.vec_f32(channels * height * width));
    let (g, dy) = (random.vec_f32(channels * channels), random.vec_f32(channels * channels));
    let (wide_x, wide_target, wide_g, wide_dy) = (widen(&x), widen(&target), widen(&g), widen(&dy));
    let pixels = height * width;
    check_rounding("gram_forward", &gram_forward(&x, size), &gram_forward(&wide_x, size), pixels, pixels);
    let want = gram_backward(&wide_dy, &wide_x, size);
    check_rounding("gram_backward", &gram_backward(&dy, &x, size), &want, 2 * channels, pixels);

    let len = x.len();
    let want = squared_error_forward(&wide_x, &wide_target);
    check_rounding("squared_error_forward", &squared_error_forward(&x, &target), &want, len, 4 * len);
    let want = squared_error_backward(&[0.75], &wide_x, &wide_target);
    let got = squared_error_backward(&[0.75], &x, &target);
    check_rounding("squared_error_backward", &got, &want, 1, 2 * len);
    let len = g.len();
    let want = weighted_sum_forward(&wide_g, &wide_dy);
    check_rounding("weighted_sum_forward", &weighted_sum_forward(&g, &dy), &want, len, 1);
    let want = weighted_sum_backward(&[0.75], &wide_dy);
    check_rounding("weighted_sum_backward", &weighted_sum_backward(&[0.75], &dy), &want, 1, 1);
    check_rounding("add", &add(&x, &target), &add(&wide_x, &wide_target), 1, 1);
    let rgba: Vec<u8> = (0..=255).cycle().take(4 * 35).collect();
    let (noise, wide_noise) = (&x[..105], &wide_x[..105]);
    let levels: Vec<f32> = random.vec_f32(3 * 256);
    let wide_levels: Vec<f64> = levels.iter().map(|level| f64::from(*level)).collect();
    let want = start(wide_noise, &rgba, &wide_levels, (5, 7), 0.625);
    check_rounding("start", &start(noise, &rgba, &levels, (5, 7), 0.625), &want, 2, 1);
}

#[test]
fn matrices_and_wasserstein_costs_in_f32_differ_by_rounding_alone() {
    let mut random = Random::new(25);
    let (size, n) = ((7, 11, 13), 7);
    let x = random.vec_f32(7 * 11 * 13);
    check_rounding("channel_mean", &channel_mean(&x, size), &channel_mean(&widen(&x), size), 143, 143);
    let (made, target) = (moments(&x, size), random.vec_f32((n + 1) * n));
    check_rounding("moments", &made, &moments(&widen(&x), size), 143, 143);
    let want = moments_backward(&widen(&target), &widen(&x), size);
    check_rounding("moments_backward", &moments_backward(&target, &x, size), &want, 2 * n + 1, 143);
    let guidance = random.vec_f32(143);
    let want = moments_guided(&widen(&x), &widen(&guidance), size);
    check_rounding("moments_guided", &moments_guided(&x, &guidance, size), &want, 144, 143);
    let want = moments_guided_backward(&widen(&target), &widen(&x), &widen(&guidance), size);
    let dx = moments_guided_backward(&target, &x, &guidance, size);
    check_rounding("moments_guided_backward", &dx, &want, 2 * n + 2, 143);

    let (a, b) = (random.vec_f32(n * n), random.vec_f32(n * n));
    let (wide_a, wide_b) = (widen(&a), widen(&b));
    let want = matrix_product(&wide_a, &wide_b, n, -0.5, 1.5);
    check_rounding("matrix_product", &matrix_product(&a, &b, n, -0.5, 1.5), &want, n + 1, 1);
    let want = matrix_affine(&wide_a, n, -0.5, 1.5);
    check_rounding("matrix_affine", &matrix_affine(&a, n, -0.5, 1.5), &want, 2, 1);
    let want = matrix_symmetrise(&wide_a, n, 0.25);
    check_rounding("matrix_symmetrise", &matrix_symmetrise(&a, n, 0.25), &want, n + 2, 1);
    check_rounding("matrix_norm", &matrix_norm(&a), &matrix_norm(&wide_a), n * n, n);
    let want = matrix_scale(&wide_a, &[2.5], true, true);
    check_rounding("matrix_scale", &matrix_scale(&a, &[2.5], true, true), &want, 2, 1);
    let want = matrix_covariance(&widen(&target), n);
    check_rounding("matrix_covariance", &matrix_covariance(&target, n), &want, 2, 1);

    let rest = [0.75, 1.5];
    let (wide, wide_target, wide_rest) = (widen(&made), widen(&target), widen(&rest));
    let got = wasserstein_forward(&made, &target, &a, &rest, n);
    let want = wasserstein_forward(&wide, &wide_target, &wide_a, &wide_rest, n);
    check_rounding("wasserstein_forward", &got, &want, (n + 1) * n, 1);
    let got = wasserstein_backward(&[0.75], &made, &target, &a, &rest, n);
    let want = wasserstein_backward(&[0.75], &wide, &wide_target, &wide_a, &wide_rest, n);
    check_rounding("wasserstein_backward", &got, &want, n + 2, 1);
    let got = wasserstein_rest(&a, &b, &a, &b, n, false);
    let want = wasserstein_rest(&wide_a, &wide_b, &wide_a, &wide_b, n, false);
    check_rounding("wasserstein_rest", &got, &want, n * (n + 3), 1);

    let norm = [1.5];
    let got = covariance_cost_forward(&made, &a, &norm, n);
    let want = covariance_cost_forward(&wide, &wide_a, &widen(&norm), n);
    check_rounding("covariance_cost_forward", &got, &want, n * n, 1);
    let got = covariance_cost_backward(&[0.75], &made, &a, &norm, n);
    let want = covariance_cost_backward(&[0.75], &wide, &wide_a, &widen(&norm), n);
    check_rounding("covariance_cost_backward", &got, &want, n + 2, 1);
    // Deviations of uniform numbers are near 0.6, those of the target a third of that.
    let narrow: Vec<f32> = x.iter().map(|x| x / 3.0).collect();
    let target = moments(&narrow, size);
    let got = mean_variance_cost_forward(&made, &target, n);
    let want = mean_variance_cost_forward(&wide, &widen(&target), n);
    check_rounding("mean_variance_cost_forward", &got, &want, 20, 1);
    let got = mean_variance_cost_backward(&[0.75], &made, &target, n);
    let want = mean_variance_cost_backward(&[0.75], &wide, &widen(&target), n);
    check_rounding("mean_variance_cost_backward", &got, &want, 20, 1);
}

#[test]
fn blocks_expand_to_hand_computed_cells() {
    // Two blocks side by side, the second of one column; four in the other grid, of which three are cut off.
    let cells = expand_blocks(&[1.0, 0.0], 2, (2, 3), (3, 3));
    assert_eq!(cells, [2.0, 2.0, 0.0, 5.0, 5.0, 3.0]);
    // Blocks of one cell are cells.
    assert_eq!(expand_blocks(&[4.0, 2.0], 1, (1, 2), (2, 3)), [4.0, 2.0]);
}

#[test]
fn matches_and_weights_in_f32_differ_by_rounding_alone() {
    let mut random = Random::new(12);
    let size @ (channels, height, width) = (7, 11, 13);
    let (x, target) = (random.vec_f32(channels * height * width), random.vec_f32(channels * height * width));
    let (centre, weights) = (random.vec_f32(channels), random.vec_f32(height * width));
    let (wide_x, wide_target) = (widen(&x), widen(&target));
    let (wide_centre, wide_weights) = (widen(&centre), widen(&weights));
    let len = x.len();
    check_rounding("unit", &unit(&x, &centre, size), &unit(&wide_x, &wide_centre, size), channels, 1);
    let plane = (height, width);
    check_rounding("stack", &stack(&x, &target, plane), &stack(&wide_x, &wide_target, plane), 14, 1);
    check_rounding("energy", &energy(&x, size), &energy(&wide_x, size), channels, 1);
    let energies = energy(&x, size);
    let want = share(&widen(&energies), plane, (2 * height, 2 * width), true);
    check_rounding("share", &share(&energies, plane, (2 * height, 2 * width), true), &want, 4 * 143, 4 * 143);
    let want = weighted_error_forward(&wide_x, &wide_target, &wide_weights, size);
    check_rounding("weighted_error", &weighted_error_forward(&x, &target, &weights, size), &want, len, 1);
    let want = cell_weights(&wide_x, &wide_centre, size);
    check_rounding("cell_weights", &cell_weights(&x, &centre, size), &want, len, len);
    let want = match_cost_forward(&wide_x, &wide_centre, &wide_target, &wide_weights, size);
    let got = match_cost_forward(&x, &centre, &target, &weights, size);
    check_rounding("match_cost", &got, &want, len, 1);
}

// ---- The comparison itself ----

#[test]
fn the_comparison_fails_when_it_should() {
    let want = [1.0_f64, -2.0, 0.0];
    let share = |got: &[f32]| compare("", got, &want, 0.25, 0.25).worst_share;
    assert_eq!(share(&[1.0, -2.0, 0.0]), 0.0);
    assert_eq!(share(&[1.0, -2.0, 0.125]), 0.5);
    assert_eq!(share(&[1.5, -2.0, 0.125]), 1.0);
    assert_eq!(share(&[1.0, 1.0, 0.0]), 4.0, "the sign counts");
    assert_eq!(compare("", &[1.0_f32, 1.0, 9.0], &want, 0.25, 0.25).worst_index, 2);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let comparison = compare("", &[1.0, bad, 5.0], &want, 0.25, 0.25);
        assert!(!comparison.passes());
        assert_eq!(comparison.worst_index, 1, "nothing is worse than {bad}");
    }
    // A reference that is not finite proves nothing, even where both sides agree.
    assert!(!compare("", &[f32::NAN], &[f64::NAN], 1.0, 1.0).passes());
    assert!(!compare("", &[f32::INFINITY], &[f64::INFINITY], 1.0, 1.0).passes());
    // Nor does a tolerance that is not.
    assert!(!compare("", &[1.0_f32], &[1.0_f64], f64::NAN, 0.0).passes());
    assert!(!compare("", &[1.0_f32], &[1.0_f64], f64::INFINITY, 0.0).passes());
    assert!(!compare("", &[1.0_f32, -2.0], &want, 1.0, 1.0).passes(), "too short");
    assert!(!compare("", &[1.0_f32, -2.0, 0.0, 0.0], &want, 1.0, 1.0).passes(), "too long");
    assert!(!compare::<f32, f64>("", &[], &[], 1.0, 1.0).passes(), "nothing was compared");
    assert!(compare("", &[1.0_f32], &[1.0_f64], 0.0, 0.0).passes());
    assert!(!compare("", &[1.0_f32.next_up()], &[1.0_f64], 0.0, 0.0).passes());
}

/// The cost 3/2·x² from x = 2: the first step is of one level, and then the curvature is known, and the second step ends at
/// the bottom. Worked out by hand; one slot more than pairs.
#[test]
fn l_bfgs_finds_the_bottom_of_a_parabola() {
    let size = (2, 1);
    let (mut x, mut s, mut y) = (vec![2.0], vec![0.0; 2], vec![0.0; 2]);
    let (mut state, mut products, mut steps) = (vec![0.0; 3], vec![0.0; 8], 0.0);
    let expected = [
        // x, the weights of both s, both y and g, then the slots that were and are spare, and (pairs, spare, 1).
        (1.0, [0.0, 0.0, 0.0, 0.0, -1.0 / 6.0, 0.0, 0.0], [0.0, 0.0, 1.0]),
        (0.0, [1.0, 0.0, -1.0 / 3.0, 0.0, -1.0 / 3.0, 0.0, 1.0], [1.0, 1.0, 1.0]),
    ];
    for (want_x, want_weights, want_state) in expected {
        let g = vec![3.0 * x[0]];
        let totals = l_bfgs_products(&state, &g, &s, &y, size);
        let made = l_bfgs_direction(1.0, &totals, &state, &products, steps, 1);
        assert_close("weights", &made.weights, &want_weights, 1e-14, 0.0);
        assert_close("state", &made.state, &want_state, 0.0, 0.0);
        (x, s, y) = l_bfgs_step(&made.weights, &g, &x, &s, &y, size);
        assert_close("x", &x, &[want_x], 1e-14, 0.0);
        (state, products, steps) = (made.state, made.products, made.steps);
    }
    // s = −1 and y = −3; in the spare slot the last step, and the gradient before it.
    assert_close("s", &s, &[-1.0, -1.0], 1e-14, 0.0);
    assert_close("y", &y, &[-3.0, 3.0], 1e-14, 0.0);
    assert_close("s·y and y·y", &[products[0], products[4]], &[3.0, 9.0], 1e-14, 0.0);
    assert_eq!(steps, 2.0);
}
