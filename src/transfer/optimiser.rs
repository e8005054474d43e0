//! What minimises: its nodes on the tape of a step, and the state that it keeps between steps.

use super::options::Options;
use crate::error::Result;
use crate::graph::{Role, Tape, TensorId};
use crate::ops::Shape;
use crate::ops::adam::{Adam, AdamAdvance, HYPER, STATE, hyper};

/// β₁, β₂ and ε of Adam.
const ADAM: [f32; 3] = [0.9, 0.999, 1e-8];

/// Names of Adam's tensors among a step's externals.
const ADAM_HYPER: &str = "adam.hyper";
const ADAM_STATE: &str = "adam.state";
const ADAM_M: &str = "adam.m";
const ADAM_V: &str = "adam.v";

/// A tensor that an optimiser keeps from step to step. It begins as zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StateTensor {
    /// Its name among a step's externals, and in a checkpoint.
    pub(super) name: &'static str,
    /// Its shape.
    pub(super) shape: Shape,
    /// What it counts as in the account of memory.
    role: Role,
}

/// Adam's m, v, and 1 − β₁ᵗ, 1 − β₂ᵗ and t.
fn adam_state(pixels: Shape) -> [StateTensor; 3] {
    [
        StateTensor { name: ADAM_M, shape: pixels, role: Role::Optimiser },
        StateTensor { name: ADAM_V, shape: pixels, role: Role::Optimiser },
        StateTensor { name: ADAM_STATE, shape: Shape::row(STATE), role: Role::Workspace },
    ]
}

/// A way to change the pixels by their gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Optimiser {
    /// Kingma and Ba, arXiv 1412.6980, with this learning rate in 8-bit levels.
    Adam { learning_rate: f32 },
}

impl Optimiser {
    /// The one that `options` ask for.
    pub(super) fn of(options: &Options) -> Self {
        Self::Adam { learning_rate: options.learning_rate }
    }

    /// Its state for pixels of shape (3, H, W).
    pub(super) fn state(self, pixels: Shape) -> Vec<StateTensor> {
        match self {
            Self::Adam { .. } => adam_state(pixels).to_vec(),
        }
    }

    /// The values that it reads and that can change from step to step, by the names of their tensors.
    pub(super) fn settings(self) -> Vec<(&'static str, Vec<f32>)> {
        match self {
            Self::Adam { learning_rate } => vec![(ADAM_HYPER, hyper(learning_rate, ADAM).to_vec())],
        }
    }

    /// Records one update of `pixels` (3, H, W) by their `gradient`, in place.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where the two do not fit.
    pub(super) fn record(self, tape: &mut Tape, pixels: TensorId, gradient: TensorId) -> Result<()> {
        match self {
            Self::Adam { .. } => {
                let hyper = tape.external(ADAM_HYPER, Shape::row(HYPER), Role::Workspace);
                let [m, v, state] = adam_state(tape.shape(pixels))
                    .map(|tensor| tape.external(tensor.name, tensor.shape, tensor.role));
                let state = tape.record_update(AdamAdvance, &[hyper, state], "pixels")?;
                tape.record_update(Adam, &[hyper, state, gradient, pixels, m, v], "pixels")?;
                Ok(())
            }
        }
    }

    /// How many steps a state has had; `values` are those of [`Optimiser::state`], in order.
    pub(super) fn steps(self, values: &[&[f32]]) -> Option<u32> {
        match self {
            Self::Adam { .. } => values.get(2)?.get(2).map(|t| *t as u32),
        }
    }
}
