//! Adam on a pyramid of the gradient: its schedule, the step of one level, and the descent of the pixels.

use super::preprocess::clamped;
use super::{Real, expect_len};

/// Moves a schedule on by one step. `hyper` is (rate, fade, steps, decay, 1 − decay); `state` is (i, 1 − decayⁱ, rate
/// of the last step, its weight), all zero before the first. Returns the state with i + 1: the step's rate is
/// rate·(1 − fade·i/steps) with the i of before, its weight (1 − decay)/(1 − decayⁱ) with that of after.
pub fn schedule_advance<T: Real>(hyper: &[T], state: &[T]) -> Vec<T> {
    expect_len("hyper", hyper, 5);
    expect_len("state", state, 4);
    let (rate, fade, steps, decay, rest) = (hyper[0], hyper[1], hyper[2], hyper[3], hyper[4]);
    let sum = decay * state[1] + rest;
    vec![state[0] + T::one(), sum, rate * (T::one() - fade * state[0] / steps), rest / sum]
}

/// What Adam would change a level by at a learning rate of 1; see [`adam`](super::adam()) for `hyper` and `state`. `g`,
/// `m` and `v` have one shape, any. Returns (d, m, v): √(1 − β₂ᵗ)/(1 − β₁ᵗ)·m/(√v + ε), and the new moments.
pub fn adam_level<T: Real>(hyper: &[T], state: &[T], g: &[T], m: &[T], v: &[T]) -> (Vec<T>, Vec<T>, Vec<T>) {
    expect_len("hyper", hyper, 6);
    expect_len("state", state, 3);
    expect_len("m", m, g.len());
    expect_len("v", v, g.len());
    let moment = |beta: T, rest: T, old: &[T], power: i32| -> Vec<T> {
        old.iter().zip(g).map(|(&old, g)| beta * old + rest * g.powi(power)).collect()
    };
    let m = moment(hyper[1], hyper[4], m, 1);
    let v = moment(hyper[2], hyper[5], v, 2);
    let rate = state[1].sqrt() / state[0];
    let d = m.iter().zip(&v).map(|(&m, v)| rate * m / (v.sqrt() + hyper[3])).collect();
    (d, m, v)
}

/// Moves the pixels against `d` and averages them: x ← clamp(x − rate·d, −mean, 255 − mean), then
/// average ← average + weight·(x − average). `state` is that of the step, after [`schedule_advance`]; `d`, `x` and
/// `average` are (3, H, W). A NaN stays one. Returns the new (x, average).
pub fn descend<T: Real>(state: &[T], mean: [T; 3], d: &[T], x: &[T], average: &[T]) -> (Vec<T>, Vec<T>) {
    expect_len("state", state, 4);
    expect_len("d", d, x.len());
    expect_len("average", average, x.len());
    let plane = x.len() / 3;
    expect_len("x", x, 3 * plane);
    let moved = |i: usize| clamped(x[i] - state[2] * d[i], mean[i / plane]);
    let x: Vec<T> = (0..x.len()).map(moved).collect();
    let average = average.iter().zip(&x).map(|(&average, &x)| average + state[3] * (x - average)).collect();
    (x, average)
}
