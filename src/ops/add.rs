//! The sum of two gradients: y += x.

use super::{Capabilities, Io, Lowered, Op, Operand, Shape, elementwise, expect_shapes};
use crate::error::Result;
use crate::gpu::params;

params! {
    /// Uniforms.
    AddParams { count: u32 }
}

super::kernels! {
    folder: "add";
    add(AddParams) { workgroup: 64, bindings: [read x, write y] }
}

/// y + x in y's place; inputs y and x (C, H, W).
#[derive(Debug)]
pub struct Add;

impl Op for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 2 && inputs[0] == inputs[1];
        expect_shapes(self.name(), fits, "two tensors of one shape", inputs)?;
        Ok(inputs[0])
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let params = |piece| AddParams { count: io.output().piece_elements(piece) };
        let operands = |piece| vec![Operand::input(1, piece), Operand::output(piece)];
        let dispatches = elementwise(&kernels::add, io.output(), 1, params, operands);
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}
