//! The colours of pictures: Gatys et al., arXiv 1606.05897.

use super::preprocess::clamped;
use super::{Real, expect_len};

/// BT.601's weights of red, green and blue in thousandths.
const LUMINANCE: [f64; 3] = [299.0, 587.0, 114.0];

fn number<T: Real>(value: f64) -> T {
    T::from(value).expect("an f64 converts to a float")
}

fn luminance<T: Real>(rgb: [T; 3]) -> T {
    let parts = rgb.into_iter().zip(LUMINANCE).map(|(value, weight)| number::<T>(weight) * value);
    parts.sum::<T>() / number(1000.0)
}

/// The colours of interleaved bytes (H, W, 4) as numbers, pixel by pixel.
fn colours<T: Real>(rgba: &[u8]) -> impl Iterator<Item = [T; 3]> {
    rgba.as_chunks()
        .0
        .iter()
        .map(|[red, green, blue, _]| [*red, *green, *blue].map(|byte| number(byte.into())))
}

/// The luminance of interleaved bytes `rgba` (H, W, 4), rounded to whole levels, halves up; alpha is ignored. Returns y (H, W).
pub fn colour_grey<T: Real>(rgba: &[u8], (height, width): (usize, usize)) -> Vec<T> {
    expect_len("rgba", rgba, height * width * 4);
    // In thousandths, which are whole numbers.
    let level = |rgb: [T; 3]| {
        let parts = rgb.into_iter().zip(LUMINANCE).map(|(value, weight)| number::<T>(weight) * value);
        ((parts.sum::<T>() + number(500.0)) / number(1000.0)).floor()
    };
    colours(rgba).map(level).collect()
}

/// A symmetric matrix.
type Matrix<T> = [[T; 3]; 3];

fn product<T: Real>(a: &Matrix<T>, b: &Matrix<T>) -> Matrix<T> {
    std::array::from_fn(|i| std::array::from_fn(|j| (0..3).map(|k| a[i][k] * b[k][j]).sum()))
}

/// The symmetric matrix with the same eigenvectors whose eigenvalues are `power` of those of `a`: by Jacobi's rotations, which
/// take what is off the diagonal to 0.
fn of_eigenvalues<T: Real>(a: &Matrix<T>, power: impl Fn(T) -> T) -> Matrix<T> {
    let (zero, one) = (T::zero(), T::one());
    let mut a = *a;
    let mut v: Matrix<T> = std::array::from_fn(|i| std::array::from_fn(|j| if i == j { one } else { zero }));
    for _ in 0..30 {
        for (p, q) in [(0, 1), (0, 2), (1, 2)] {
            if a[p][q] == zero {
                continue;
            }
            let theta = (a[q][q] - a[p][p]) / (a[p][q] + a[p][q]);
            let sign = if theta < zero { -one } else { one };
            let t = sign / (theta.abs() + (theta * theta + one).sqrt());
            let c = one / (t * t + one).sqrt();
            let s = t * c;
            let mut turn: Matrix<T> =
                std::array::from_fn(|i| std::array::from_fn(|j| if i == j { one } else { zero }));
            (turn[p][p], turn[q][q], turn[p][q], turn[q][p]) = (c, c, s, -s);
            let back: Matrix<T> = std::array::from_fn(|i| std::array::from_fn(|j| turn[j][i]));
            a = product(&product(&back, &a), &turn);
            v = product(&v, &turn);
        }
    }
    let values: [T; 3] = std::array::from_fn(|k| power(a[k][k].max(zero)));
    std::array::from_fn(|i| std::array::from_fn(|j| (0..3).map(|k| v[i][k] * values[k] * v[j][k]).sum()))
}

/// The map of the normal distribution with this covariance (3, 3) to that of the target, around their means, which moves colours
/// the least: Σ^−½·(Σ^½·Σ_t·Σ^½)^½·Σ^−½ with `ridge` on the diagonal of both covariances. Returns (3, 3), row by row.
pub fn colour_transport<T: Real>(covariance: &[T], covariance_target: &[T], ridge: T) -> Vec<T> {
    expect_len("covariance", covariance, 9);
    expect_len("covariance_target", covariance_target, 9);
    let ridged = |a: &[T]| -> Matrix<T> {
        std::array::from_fn(|i| {
            std::array::from_fn(|j| a[3 * i + j] + if i == j { ridge } else { T::zero() })
        })
    };
    let (own, target) = (ridged(covariance), ridged(covariance_target));
    let root = of_eigenvalues(&own, T::sqrt);
    let inverse = of_eigenvalues(&own, |value| T::one() / value.sqrt());
    let middle = of_eigenvalues(&product(&product(&root, &target), &root), T::sqrt);
    product(&product(&inverse, &middle), &inverse).as_flattened().to_vec()
}

/// Every pixel of x (3, H, W) by the matrix `map` (3, 3) and the `shift` (3). Returns y, shaped as x.
pub fn colour_transform<T: Real>(x: &[T], map: &[T], shift: &[T]) -> Vec<T> {
    let plane = x.len() / 3;
    expect_len("x", x, 3 * plane);
    expect_len("map", map, 9);
    expect_len("shift", shift, 3);
    let element = |at: usize| {
        let (channel, pixel) = (at / plane, at % plane);
        (0..3).map(|k| map[3 * channel + k] * x[k * plane + pixel]).sum::<T>() + shift[channel]
    };
    (0..3 * plane).map(element).collect()
}

/// The luminance of the pixels x (3, H, W), minus the `mean` and as far as a picture can show them, with the chroma of the
/// interleaved bytes `rgba` (H, W, 4), made smaller where a channel would leave 0..255. Returns y, shaped as x, minus the mean.
pub fn colour_replace<T: Real>(x: &[T], rgba: &[u8], mean: [T; 3]) -> Vec<T> {
    let plane = x.len() / 3;
    expect_len("x", x, 3 * plane);
    expect_len("rgba", rgba, 4 * plane);
    let white = number::<T>(255.0);
    let mut y = vec![T::zero(); 3 * plane];
    for (pixel, rgb) in colours::<T>(rgba).enumerate() {
        let shown = [0, 1, 2].map(|k: usize| clamped(x[k * plane + pixel], mean[k]) + mean[k]);
        let (l, of_bytes) = (luminance(shown), luminance(rgb));
        let chroma = rgb.map(|value| value - of_bytes);
        let fits = chroma.iter().fold(T::one(), |fits, difference| {
            let room = if *difference > T::zero() { white - l } else { l };
            if difference.abs() > room { fits.min(room.max(T::zero()) / difference.abs()) } else { fits }
        });
        for k in 0..3 {
            y[k * plane + pixel] = l + fits * chroma[k] - mean[k];
        }
    }
    y
}
