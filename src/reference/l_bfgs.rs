//! L-BFGS without a line search, in the form of Chen, Wang and Zhou ("Large-scale L-BFGS using MapReduce", NIPS 2014): the
//! recursion sees no vectors, only their products.

use super::{Real, count, expect_len};

/// How s, y and the gradient of a history of `slots` slots lie: s and y are (C, slots, H, W) and the gradient (C, H, W), with
/// `plane` = H·W.
fn element(i: usize, slot: usize, (slots, plane): (usize, usize)) -> usize {
    (i / plane * slots + slot) * plane + i % plane
}

/// Slot `slot` of a half of a history, as a vector of the shape of the gradient.
fn held<T: Real>(half: &[T], slot: usize, elements: usize, size: (usize, usize)) -> Vec<T> {
    (0..elements).map(|i| half[element(i, slot, size)]).collect()
}

fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    a.iter().zip(b).map(|(&a, &b)| a * b).sum()
}

/// The products with a new pair and the gradient `g` (C, H, W). `state` is (pairs, spare slot, whether there was a step
/// before), `s` and `y` are (C, slots, H, W), and `size` is (slots, H·W). The new pair is s_spare and g − y_spare, and counts as
/// that of the spare slot. Returns (sᵢ·y, sᵢ·g, yᵢ·y, yᵢ·g) for every slot i, then Σ|g|, g·g, s·s and 0.
pub fn l_bfgs_products<T: Real>(state: &[T], g: &[T], s: &[T], y: &[T], size: (usize, usize)) -> Vec<T> {
    let (slots, plane) = size;
    expect_len("state", state, 3);
    expect_len("s", s, slots * g.len());
    expect_len("y", y, slots * g.len());
    expect_len("g", g, g.len() / plane * plane);
    let spare = state[1].to_usize().expect("a number of a slot");
    let before = held(y, spare, g.len(), size);
    let step = held(s, spare, g.len(), size);
    let difference: Vec<T> = g.iter().zip(&before).map(|(&g, &before)| g - before).collect();
    let mut totals = Vec::new();
    for slot in 0..slots {
        let s = held(s, slot, g.len(), size);
        let y = if slot == spare { difference.clone() } else { held(y, slot, g.len(), size) };
        totals.extend([dot(&s, &difference), dot(&s, g), dot(&y, &difference), dot(&y, g)]);
    }
    let sum = g.iter().map(|g| g.abs()).sum();
    totals.extend([sum, dot(g, g), dot(&step, &step), T::zero()]);
    totals
}

/// What [`l_bfgs_direction`] makes.
#[derive(Clone, Debug)]
pub struct LBfgsDirection<T> {
    /// The weights of s for every slot, those of y, that of the gradient, the slot that was spare, and the one that is.
    pub weights: Vec<T>,
    /// The new state.
    pub state: Vec<T>,
    /// The new products between the pairs: row i has sᵢ·yⱼ, row slots + i has yᵢ·yⱼ.
    pub products: Vec<T>,
    /// The steps with this one.
    pub steps: T,
}

/// The weights of a step in the history and the gradient, from the totals of [`l_bfgs_products`], and the state with the new
/// pair, where that counts: where s·y > 1e-6·|s|·|y|. `elements` are those of the gradient. Of the `products` those of older
/// with newer pairs are read: sᵢ·yⱼ where i is not newer than j.
pub fn l_bfgs_direction<T: Real>(
    rate: T,
    totals: &[T],
    state: &[T],
    products: &[T],
    steps: T,
    elements: usize,
) -> LBfgsDirection<T> {
    let slots = totals.len() / 4 - 1;
    expect_len("totals", totals, 4 * (slots + 1));
    expect_len("state", state, 3);
    expect_len("products", products, 2 * slots * slots);
    let number = |value: T| value.to_usize().expect("a count");
    let least = T::from(1e-30).expect("a number");
    let cosine = T::from(1e-6).expect("a number");
    let (mut pairs, spare) = (number(state[0]), number(state[1]));
    let [of_s, of_y] = [0, 1].map(|half| move |i: usize, j: usize| (half * slots + i) * slots + j);
    let mut products = products.to_vec();
    let (sum, g_by_g, s_by_s) = (totals[4 * slots], totals[4 * slots + 1], totals[4 * slots + 2]);
    let (s_by_y, y_by_y) = (totals[4 * spare], totals[4 * spare + 2]);
    let counts = state[2] > T::zero()
        && y_by_y >= least
        && s_by_s >= least
        && s_by_y > cosine * y_by_y.sqrt() * s_by_s.sqrt();
    let mut next = spare;
    if counts {
        for slot in 0..slots {
            products[of_s(slot, spare)] = totals[4 * slot];
            products[of_y(slot, spare)] = totals[4 * slot + 2];
            products[of_y(spare, slot)] = totals[4 * slot + 2];
        }
        pairs = (pairs + 1).min(slots - 1);
        next = (spare + 1) % slots;
    }
    // The newest first.
    let used: Vec<usize> = (1..=pairs).map(|age| (next + slots - age) % slots).collect();
    let mut alpha = vec![T::zero(); slots];
    for &i in &used {
        // sᵢ·q with q = −g − Σ α·y over the newer ones.
        let newer = used.iter().take_while(|newer| **newer != i);
        let along: T = newer.map(|&newer| alpha[newer] * products[of_s(i, newer)]).sum();
        alpha[i] = (-totals[4 * i + 1] - along) / products[of_s(i, i)];
    }
    let scaling = used
        .first()
        .map_or(T::one(), |&newest| products[of_s(newest, newest)] / products[of_y(newest, newest)]);
    let mut weight = vec![T::zero(); slots];
    for &i in used.iter().rev() {
        // yᵢ·r with r = scaling·(−g − Σ α·y) + Σ weight·s over the older ones.
        let along_y: T = used.iter().map(|&other| alpha[other] * products[of_y(i, other)]).sum();
        let older = used.iter().rev().take_while(|older| **older != i);
        let along_s: T = older.map(|&older| weight[older] * products[of_s(older, i)]).sum();
        let along = scaling * (-totals[4 * i + 3] - along_y) + along_s;
        weight[i] = alpha[i] - along / products[of_s(i, i)];
    }
    let mut slope = -scaling * g_by_g;
    for &i in &used {
        slope += weight[i] * totals[4 * i + 1] - scaling * alpha[i] * totals[4 * i + 3];
    }
    let mut weights: Vec<T>;
    if pairs > 0 && slope < T::zero() {
        weights = weight.iter().map(|&weight| rate * weight).collect();
        weights.extend(alpha.iter().map(|&alpha| -rate * scaling * alpha));
        weights.push(-rate * scaling);
    } else {
        pairs = 0;
        weights = vec![T::zero(); 2 * slots];
        weights.push(if sum < least { T::zero() } else { -rate * count(elements) / sum });
    }
    let [was, is, pairs] = [spare, next, pairs].map(count);
    weights.extend([was, is]);
    LBfgsDirection { weights, state: vec![pairs, is, T::one()], products, steps: steps + T::one() }
}

/// The step: x + Σ wᵢ·sᵢ + Σ vᵢ·yᵢ + u·g with the weights of [`l_bfgs_direction`]. `size` is (slots, H·W), as for
/// [`l_bfgs_products`]. Returns the new (x, s, y): the slot that was spare has y = g − y where it is not spare any more, and the
/// spare one what was added to x, and g. What a slot without weight holds is not looked at.
pub fn l_bfgs_step<T: Real>(
    weights: &[T],
    g: &[T],
    x: &[T],
    s: &[T],
    y: &[T],
    size: (usize, usize),
) -> (Vec<T>, Vec<T>, Vec<T>) {
    let (slots, plane) = size;
    expect_len("weights", weights, 2 * slots + 3);
    expect_len("x", x, g.len());
    expect_len("s", s, slots * g.len());
    expect_len("y", y, slots * g.len());
    expect_len("g", g, g.len() / plane * plane);
    let [was, is] = [1, 2].map(|at| weights[2 * slots + at].to_usize().expect("a number of a slot"));
    let (mut x, mut s, mut y) = (x.to_vec(), s.to_vec(), y.to_vec());
    for (i, &gradient) in g.iter().enumerate() {
        if was != is {
            let pair = element(i, was, size);
            y[pair] = gradient - y[pair];
        }
        let mut change = weights[2 * slots] * gradient;
        for slot in 0..slots {
            let at = element(i, slot, size);
            for (weight, vector) in [(weights[slot], &s), (weights[slots + slot], &y)] {
                if weight != T::zero() {
                    change += weight * vector[at];
                }
            }
        }
        x[i] += change;
        s[element(i, is, size)] = change;
        y[element(i, is, size)] = gradient;
    }
    (x, s, y)
}
