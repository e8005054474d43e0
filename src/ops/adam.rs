//! Adam (Kingma and Ba, arXiv 1412.6980) in TensorFlow's form, with its t on the GPU.

use super::{Capabilities, Dispatch, Io, Lowered, Op, Operand, Shape, elementwise, expect_shapes};
use crate::error::Result;
use crate::gpu::params;

params! {
    /// Uniforms of the step.
    AdamParams { count: u32 }
}
params! {
    /// The advance needs none; a uniform block may not be empty.
    AdvanceParams { unused: u32 }
}

super::kernels! {
    folder: "adam";
    adam_advance(AdvanceParams) { workgroup: 1, bindings: [read hyper, write state] }
    adam(AdamParams) {
        workgroup: 64,
        bindings: [read hyper, read state, read d_x, write x, write m, write v],
    }
}

/// Numbers in the `hyper` row: learning rate, β₁, β₂, ε, 1 − β₁, 1 − β₂.
pub const HYPER: u32 = 6;
/// Numbers in the `state` row: 1 − β₁ᵗ, 1 − β₂ᵗ, t.
pub const STATE: u32 = 3;

/// The `hyper` row for a learning rate and for β₁, β₂ and ε. 1 − β, which f32 holds exactly, is not left to kernels:
/// see `wgsl/adam/adam.wgsl`.
pub fn hyper(learning_rate: f32, [beta1, beta2, epsilon]: [f32; 3]) -> [f32; HYPER as usize] {
    [learning_rate, beta1, beta2, epsilon, 1.0 - beta1, 1.0 - beta2]
}

/// Advances t by one: c ← β·c + (1 − β), which keeps 1 − βᵗ exact where `pow` would not. Inputs hyper
/// (1, 1, 6) and state (1, 1, 3), output the state in its place.
#[derive(Debug)]
pub struct AdamAdvance;

impl Op for AdamAdvance {
    fn name(&self) -> &'static str {
        "adam_advance"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs == [Shape::row(HYPER), Shape::row(STATE)];
        expect_shapes(self.name(), fits, "hyper 1×1×6 and state 1×1×3", inputs)?;
        Ok(inputs[1])
    }

    fn in_place(&self) -> Option<usize> {
        Some(1)
    }

    fn lower(&self, _io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let operands = vec![Operand::input(0, 0), Operand::output(0)];
        Ok(Lowered {
            dispatches: vec![Dispatch::new(
                &kernels::adam_advance,
                AdvanceParams { unused: 0 },
                operands,
                1,
                6,
            )],
            ..Lowered::default()
        })
    }
}

/// m ← β₁m + (1−β₁)dx; v ← β₂v + (1−β₂)dx²; x ← x − lr·√(1−β₂ᵗ)/(1−β₁ᵗ)·m/(√v + ε). Inputs hyper, state,
/// dx, x, m, v; x, m and v (C, H, W) are updated in place, and x is the output.
#[derive(Debug)]
pub struct Adam;

impl Op for Adam {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 6
            && inputs[..2] == [Shape::row(HYPER), Shape::row(STATE)]
            && inputs[3..].iter().all(|shape| *shape == inputs[2]);
        expect_shapes(self.name(), fits, "hyper, state, and dx, x, m, v of one shape", inputs)?;
        Ok(inputs[3])
    }

    fn in_place(&self) -> Option<usize> {
        Some(3)
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let params = |piece| AdamParams { count: io.output().piece_elements(piece) };
        let operands = |piece| {
            vec![
                Operand::input(0, 0),
                Operand::input(1, 0),
                Operand::input(2, piece),
                Operand::output(piece),
                Operand::input(4, piece),
                Operand::input(5, piece),
            ]
        };
        let dispatches = elementwise(&kernels::adam, io.output(), 12, params, operands);
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}
