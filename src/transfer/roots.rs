//! Roots of covariances, and what the style cost by optimal transport makes of them.

use crate::error::Result;
use crate::graph::{Tape, TensorId};
use crate::ops::matrix::{FrobeniusNorm, MatrixAffine, MatrixProduct, Power, ScaleByPower, Symmetrise};

/// What is added to the diagonal of a covariance before its root is taken, as a share of the mean variance: with fewer cells than
/// channels a covariance has directions without any.
const RIDGE: f32 = 1e-4;
/// What one step of the iteration multiplies by: the polynomial a·I + b·X + c·X² of a matrix.
#[derive(Clone, Copy)]
struct Polynomial {
    a: f32,
    b: f32,
    c: f32,
}

const fn polynomial(a: f32, b: f32, c: f32) -> Polynomial {
    Polynomial { a, b, c }
}

/// For the root of a target, which is taken once: steps of Newton and Schulz, which hand on the least of what is rounded away.
/// Fewer steps of larger polynomials would leave R off by 1 % where half of its variances are the ridge.
const TARGET_STEPS: [Polynomial; 20] = [polynomial(1.5, -0.5, 0.0); 20];
/// For the map: exact for directions with at least 3 % of the largest variance. Those with less than about 1 % are left short of
/// their root. That is wanted: there the map shrinks what the picture has, and most of it is noise.
const MAP_STEPS: [Polynomial; 5] = [
    polynomial(4.753_129, -4.610_659_6, 0.0),
    polynomial(3.274_782, -2.455_885_6, 0.506_357_7),
    polynomial(2.264_122_2, -1.635_931_3, 0.415_250_75),
    polynomial(1.887_855_5, -1.264_210_9, 0.376_423_93),
    polynomial(1.875_000_7, -1.250_000_8, 0.375_000_1),
];

const PRODUCT: MatrixProduct = MatrixProduct { scale: 1.0, identity: 0.0, symmetric: false };
/// A product that is symmetric but for rounding: of symmetric matrices that commute, or R·Σ·R of symmetric ones.
const SYMMETRIC: MatrixProduct = MatrixProduct { symmetric: true, ..PRODUCT };

/// Records T = a·I + b·X + c·X².
fn record_polynomial(tape: &mut Tape, x: TensorId, p: Polynomial, layer: &str) -> Result<TensorId> {
    if p.c == 0.0 {
        return tape.record(MatrixAffine { scale: p.b, identity: p.a }, &[x], layer);
    }
    let factor = tape.record(MatrixAffine { scale: p.c, identity: p.b }, &[x], layer)?;
    tape.record(MatrixProduct { identity: p.a, ..SYMMETRIC }, &[x, factor], layer)
}

/// Records an iteration of Newton and Schulz's kind (N. J. Higham, "Functions of Matrices", 2008, chapter 6) for a symmetric
/// matrix A (1, n, n) without negative eigenvalues, and returns A^½ and A^−½ as far as `steps` of it lead: with X = A/‖A‖
/// and Z = I at first, T = a·I + b·X + c·X², Z ← Z·T, X ← X·T². X goes to I, and Z to X^−½ of the first X.
///
/// Newton and Schulz have T = (3·I − X)/2 in each step, which multiplies the root of a small eigenvalue by 1.5. For the map each
/// step has the polynomial that brings what the steps before made of all roots between 0.03 and 1 the nearest to 1 (N. Amsel,
/// D. Persson, C. Musco, R. M. Gower, "The Polar Express", 2025, which is about the polar factor), and multiplies small ones by
/// 2 to 5: five steps lead as far as twelve, with half of the products. The first is without X² and saves one.
///
/// The usual form goes on with Y = X^½ and makes X = Z·Y in each step. It is stable only as long as no product is made
/// symmetric: rounding makes Z·Y and Y·Z differ, and of the two only one leads back. Here every matrix is a polynomial of X
/// as it is, so that half of each product is enough.
///
/// A matrix of zeros has zeros for both.
fn record_roots(
    tape: &mut Tape,
    matrix: TensorId,
    steps: &[Polynomial],
    layer: &str,
) -> Result<(TensorId, TensorId)> {
    let norm = tape.record(FrobeniusNorm, &[matrix], layer)?;
    let scaled = |power| ScaleByPower { power };
    let begin = tape.record(scaled(Power::Reciprocal), &[matrix, norm], layer)?;
    let mut x = begin;
    let mut t = record_polynomial(tape, x, steps[0], layer)?;
    let mut z = t;
    for step in &steps[1..] {
        let square = tape.record(SYMMETRIC, &[t, t], layer)?;
        x = tape.record(SYMMETRIC, &[x, square], layer)?;
        t = record_polynomial(tape, x, *step, layer)?;
        z = tape.record(SYMMETRIC, &[z, t], layer)?;
    }
    let y = tape.record(SYMMETRIC, &[begin, z], layer)?;
    let root = tape.record(scaled(Power::Root), &[y, norm], layer)?;
    let inverse = tape.record(scaled(Power::ReciprocalRoot), &[z, norm], layer)?;
    Ok((root, inverse))
}

/// Records R = Σ_t^½ of a target's covariance (1, C, C).
pub(super) fn record_root_of_target(tape: &mut Tape, covariance: TensorId, layer: &str) -> Result<TensorId> {
    let matrix = tape.record(Symmetrise { ridge: RIDGE }, &[covariance], layer)?;
    let (root, _) = record_roots(tape, matrix, &TARGET_STEPS, layer)?;
    Ok(root)
}

/// Records G and S for a picture's covariance Σ (1, C, C) and the root R of the target's: S = (R·Σ·R)^½ and
/// G = I − R·(R·Σ·R)^−½·R, where I − G maps one Gaussian to the other.
pub(super) fn record_map(
    tape: &mut Tape,
    covariance: TensorId,
    root: TensorId,
    layer: &str,
) -> Result<(TensorId, TensorId)> {
    let half = tape.record(PRODUCT, &[root, covariance], layer)?;
    let product = tape.record(SYMMETRIC, &[half, root], layer)?;
    let product = tape.record(Symmetrise { ridge: RIDGE }, &[product], layer)?;
    let (middle, inverse) = record_roots(tape, product, &MAP_STEPS, layer)?;
    let half = tape.record(PRODUCT, &[root, inverse], layer)?;
    let g = tape.record(MatrixProduct { scale: -1.0, identity: 1.0, ..SYMMETRIC }, &[half, root], layer)?;
    Ok((g, middle))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use pollster::block_on;

    use super::*;
    use crate::cases::Random;
    use crate::cases::golden::{kept, relative_in_norm};
    use crate::graph::Role;
    use crate::ops::gram::Moments;
    use crate::ops::matrix::Covariance;
    use crate::ops::wasserstein::{Divisor, WassersteinCost, WassersteinRest};
    use crate::ops::{Algorithm, MethodRequest, Shape};
    use crate::reference::{
        matrix_affine, matrix_covariance, matrix_norm, matrix_product, matrix_symmetrise, moments,
        wasserstein_forward,
    };
    use crate::transfer::Engine;

    /// Activations (C, 1, N) as a ReLU leaves them, whose channels depend on each other.
    fn activations(seed: u64, channels: usize, cells: usize) -> Vec<f32> {
        let mut random = Random::new(seed);
        let (noise, mixture) = (random.vec_f32(channels * cells), random.vec_f32(channels * channels));
        let cell = |i: usize, p: usize| {
            let own = 2.0 * noise[i * cells + p];
            let mixed = |k: usize| 0.3 * mixture[i * channels + k] * noise[k * cells + p];
            (0.3 + own + (0..channels).map(mixed).sum::<f32>()).max(0.0)
        };
        (0..channels * cells).map(|at| cell(at / cells, at % cells)).collect()
    }

    fn product(a: &[f64], b: &[f64], n: usize) -> Vec<f64> {
        matrix_product(a, b, n, 1.0, 0.0)
    }

    /// The formula in its coupled form (Y ← Y·T, Z ← T·Z with X = Z·Y), with nothing left out.
    fn roots(a: &[f64], n: usize, steps: &[Polynomial]) -> (Vec<f64>, Vec<f64>) {
        let norm = matrix_norm(a)[0];
        let scaled = |a: &[f64], factor: f64| a.iter().map(|a| a * factor).collect::<Vec<f64>>();
        let (mut y, mut z) = (scaled(a, 1.0 / norm), matrix_affine(a, n, 0.0, 1.0));
        for p in steps {
            let x = product(&z, &y, n);
            let factor = matrix_affine(&x, n, f64::from(p.c), f64::from(p.b));
            let t = matrix_product(&x, &factor, n, 1.0, f64::from(p.a));
            (y, z) = (product(&y, &t, n), product(&t, &z, n));
        }
        (scaled(&y, norm.sqrt()), scaled(&z, 1.0 / norm.sqrt()))
    }

    /// The Wasserstein distance over the variance of the target, in f64: the root of the target, G, S, and the distance.
    fn expected(x: &[f64], target: &[f64], n: usize) -> [Vec<f64>; 4] {
        let (of_x, of_target) = (moments(x, (n, 1, x.len() / n)), moments(target, (n, 1, target.len() / n)));
        let (covariance, wanted) = (matrix_covariance(&of_x, n), matrix_covariance(&of_target, n));
        let ridge = f64::from(RIDGE);
        let root = roots(&matrix_symmetrise(&wanted, n, ridge), n, &TARGET_STEPS).0;
        let between = product(&product(&root, &covariance, n), &root, n);
        let (middle, inverse) = roots(&matrix_symmetrise(&between, n, ridge), n, &MAP_STEPS);
        let g = matrix_product(&product(&root, &inverse, n), &root, n, -1.0, 1.0);
        let trace = |a: &[f64]| (0..n).map(|i| a[i * n + i]).sum::<f64>();
        let means = of_x.iter().zip(&of_target).skip(n * n).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        let distance = means + trace(&covariance) + trace(&wanted) - 2.0 * trace(&middle);
        // The cost is linear in the covariance, and at this one it is the distance.
        let product: f64 = g.iter().zip(&covariance).map(|(g, c)| g * c).sum();
        let rest = [distance - means - product, trace(&wanted)];
        let cost = wasserstein_forward(&of_x, &of_target, &g, &rest, n);
        // But for the floor of the covariance, which the cost does not have.
        assert!((cost[0] - distance / trace(&wanted)).abs() < 1e-6 * cost[0], "{cost:?}");
        [root, g, middle, cost]
    }

    #[test]
    fn maps_and_distances_on_the_device_are_those_of_f64() {
        let gpu = block_on(crate::gpu::Gpu::open(None)).unwrap();
        let engine = Engine::builder(gpu).build().unwrap();
        // With fewer cells than channels, too.
        for (n, cells, target_cells) in [(33, 500, 700), (64, 40, 50), (3, 70, 90)] {
            let (x, target) = (activations(1, n, cells), activations(2, n, target_cells));
            let mut tape = Tape::new();
            let mut inputs = [("x", cells), ("target", target_cells)].map(|(name, cells)| {
                let shape = Shape::new(n as u32, 1, cells as u32);
                let activations = tape.external(name, shape, Role::Workspace);
                tape.record(Moments, &[activations], "layer").unwrap()
            });
            let [of_x, of_target] = inputs;
            inputs = inputs.map(|moments| tape.record(Covariance, &[moments], "layer").unwrap());
            let [covariance, wanted] = inputs;
            let root = record_root_of_target(&mut tape, wanted, "layer").unwrap();
            let (g, middle) = record_map(&mut tape, covariance, root, "layer").unwrap();
            let rest = tape
                .record(
                    WassersteinRest { divisor: Divisor::Variance },
                    &[covariance, middle, g, wanted],
                    "layer",
                )
                .unwrap();
            let cost = tape.record(WassersteinCost, &[of_x, of_target, g, rest], "layer").unwrap();
            let outputs = [root, g, middle, cost];
            outputs.iter().for_each(|output| tape.keep(*output));
            let wide = |x: &[f32]| x.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>();
            let want = expected(&wide(&x), &wide(&target), n);
            // Iterations with directions of little variance hand errors on: 6e-5 of G where half of the variances are the ridge.
            for request in [MethodRequest::Auto, MethodRequest::Algorithm(Algorithm::Naive)] {
                let engine = engine.reconfigured(|options| options.methods = request);
                let got = block_on(kept(&engine, &tape, &[("x", &x), ("target", &target)])).unwrap();
                for ((name, got), want) in ["R", "G", "S", "distance"].iter().zip(&got).zip(&want) {
                    let error = relative_in_norm(got, want);
                    println!("{n} channels, {cells} cells, {request:?}, {name}: {error:.1e}");
                    assert!(error < 3e-4, "{n} channels, {cells} cells, {request:?}, {name}: {error:.1e}");
                }
            }
        }
    }

    /// What the steps make of the root σ of an eigenvalue.
    fn led(steps: &[Polynomial], root: f64) -> f64 {
        steps.iter().fold(root, |root, p| {
            let square = root * root;
            root * (f64::from(p.a) + square * (f64::from(p.b) + square * f64::from(p.c)))
        })
    }

    #[test]
    fn the_steps_lead_all_the_way_but_for_weak_directions() {
        for i in 0..=1000 {
            let root = 0.03_f64.powf(f64::from(i) / 1000.0);
            assert!((led(&MAP_STEPS, root) - 1.0).abs() < 1e-6, "{root}: {}", led(&MAP_STEPS, root));
        }
        // Twelve steps of Newton and Schulz lead as far.
        let twelve = [polynomial(1.5, -0.5, 0.0); 12];
        for (weak, short) in [(0.01, 0.886), (0.001, 0.124)] {
            assert!((led(&MAP_STEPS, weak) - short).abs() < 1e-3, "{}", led(&MAP_STEPS, weak));
            assert!((led(&twelve, weak) - short).abs() < 0.01, "{}", led(&twelve, weak));
        }
        assert!((led(&TARGET_STEPS, 0.003) - 1.0).abs() < 1e-6);
    }

    /// Where all variances are alike in size, the iterations lead all the way.
    #[test]
    fn roots_are_roots_and_the_map_leads_to_the_target() {
        let n = 7;
        let [a, b] = [3, 4].map(|seed| {
            let x: Vec<f64> = activations(seed, n, 400).iter().map(|x| f64::from(*x)).collect();
            matrix_covariance(&moments(&x, (n, 1, 400)), n)
        });
        let steps = [polynomial(1.5, -0.5, 0.0); 30];
        let (root, inverse) = roots(&b, n, &steps);
        let narrow = |a: &[f64]| a.iter().map(|a| *a as f32).collect::<Vec<f32>>();
        assert!(relative_in_norm(&narrow(&product(&root, &root, n)), &b) < 1e-6);
        let identity = matrix_affine(&a, n, 0.0, 1.0);
        assert!(relative_in_norm(&narrow(&product(&root, &inverse, n)), &identity) < 1e-6);
        let between = product(&product(&root, &a, n), &root, n);
        let map = product(&product(&root, &roots(&between, n, &steps).1, n), &root, n);
        let moved = product(&product(&map, &a, n), &map, n);
        assert!(relative_in_norm(&narrow(&moved), &b) < 1e-6);
    }
}
