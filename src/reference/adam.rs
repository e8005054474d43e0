//! Adam on the pixels (Kingma and Ba, arXiv 1412.6980), in TensorFlow's form: the bias corrections go into
//! the learning rate, and ε is added to the root of the uncorrected second moment.

use super::{Real, expect_len};

/// Moves the step counter on by one. `hyper` is (learning rate, β₁, β₂, ε, 1 − β₁, 1 − β₂); `state` is (1 − β₁ᵗ, 1 −
/// β₂ᵗ, t), all zero before the first step. Returns the state of step t + 1.
///
/// The corrections are kept by c ← β·c + (1 − β) and not computed as powers, because WGSL's `pow` is too
/// coarse for 1 − β₂ᵗ at small t.
pub fn adam_advance<T: Real>(hyper: &[T], state: &[T]) -> Vec<T> {
    expect_len("hyper", hyper, 6);
    expect_len("state", state, 3);
    vec![hyper[1] * state[0] + hyper[4], hyper[2] * state[1] + hyper[5], state[2] + T::one()]
}

/// One step: m ← β₁·m + (1 − β₁)·dx, v ← β₂·v + (1 − β₂)·dx², x ← x − lr_t·m / (√v + ε) with
/// lr_t = lr·√(1 − β₂ᵗ) / (1 − β₁ᵗ). `state` is that of this step, after [`adam_advance`];
/// `dx`, `x`, `m` and `v` have one shape, any. Returns the new (x, m, v).
pub fn adam<T: Real>(
    hyper: &[T],
    state: &[T],
    dx: &[T],
    x: &[T],
    m: &[T],
    v: &[T],
) -> (Vec<T>, Vec<T>, Vec<T>) {
    expect_len("hyper", hyper, 6);
    expect_len("state", state, 3);
    for (name, slice) in [("dx", dx), ("m", m), ("v", v)] {
        expect_len(name, slice, x.len());
    }
    let (learning_rate, beta1, beta2, epsilon) = (hyper[0], hyper[1], hyper[2], hyper[3]);
    let corrected_rate = learning_rate * state[1].sqrt() / state[0];
    let (mut x, mut m, mut v) = (x.to_vec(), m.to_vec(), v.to_vec());
    for (i, &gradient) in dx.iter().enumerate() {
        m[i] = beta1 * m[i] + hyper[4] * gradient;
        v[i] = beta2 * v[i] + hyper[5] * gradient * gradient;
        x[i] -= corrected_rate * m[i] / (v[i].sqrt() + epsilon);
    }
    (x, m, v)
}
