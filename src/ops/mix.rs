//! A mixture of two tensors: what an optimisation begins with.

use super::{Capabilities, Io, Lowered, Op, Operand, Shape, elementwise, expect_shapes};
use crate::error::Result;
use crate::gpu::params;

params! {
    /// Uniforms.
    MixParams { count: u32, ratio: f32 }
}

super::kernels! {
    folder: "mix";
    mix(MixParams) { workgroup: 64, bindings: [read noise, read x, write y] }
}

/// ratio·noise + (1 − ratio)·x; inputs noise and x (C, H, W), output the same.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    /// The share of the noise, 0..1.
    pub ratio: f32,
}

impl Op for Mix {
    fn name(&self) -> &'static str {
        "mix"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 2 && inputs[0] == inputs[1];
        expect_shapes(self.name(), fits, "noise and x of one shape", inputs)?;
        Ok(inputs[0])
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let params = |piece| MixParams { count: io.output().piece_elements(piece), ratio: self.ratio };
        let operands =
            |piece| vec![Operand::input(0, piece), Operand::input(1, piece), Operand::output(piece)];
        let dispatches = elementwise(&kernels::mix, io.output(), 4, params, operands);
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}
