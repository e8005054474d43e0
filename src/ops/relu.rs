//! ReLU: y = max(x, 0).

use super::{Capabilities, Io, Lowered, Op, Operand, Rule, Shape, Wire, elementwise, expect_shapes};
use crate::error::Result;
use crate::gpu::{Kernel, params};

params! {
    /// Uniforms of both kernels.
    ReluParams { count: u32 }
}

pub(crate) static RELU_FORWARD: Kernel =
    super::kernel!("relu_forward", ReluParams, 64, None, [read x, write y]);
pub(crate) static RELU_BACKWARD: Kernel =
    super::kernel!("relu_backward", ReluParams, 64, None, [read dy, read y, write dx]);

/// y = max(x, 0); input (C, H, W), output (C, H, W).
#[derive(Debug)]
pub struct Relu;

impl Op for Relu {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        expect_shapes(self.name(), inputs.len() == 1, "one tensor", inputs)?;
        Ok(inputs[0])
    }

    fn backward(&self, _input: usize, _shapes: &[Shape]) -> Option<Rule> {
        Some(Rule::new(ReluBackward, [Wire::Upstream, Wire::Output]))
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let params = |piece| ReluParams { count: io.output.piece_elements(piece) };
        let operands = |piece| vec![Operand::input(0, piece), Operand::output(piece)];
        let dispatches = elementwise(&RELU_FORWARD, io.output, 1, params, operands);
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}

/// dx = dy where y > 0, else 0; inputs dy and y (C, H, W).
#[derive(Debug)]
pub struct ReluBackward;

impl Op for ReluBackward {
    fn name(&self) -> &'static str {
        "relu_backward"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 2 && inputs[0] == inputs[1];
        expect_shapes(self.name(), fits, "two tensors of one shape", inputs)?;
        Ok(inputs[0])
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let params = |piece| ReluParams { count: io.output.piece_elements(piece) };
        let operands =
            |piece| vec![Operand::input(0, piece), Operand::input(1, piece), Operand::output(piece)];
        let dispatches = elementwise(&RELU_BACKWARD, io.output, 1, params, operands);
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}
