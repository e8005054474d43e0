//! y = Σ weightₖ·xₖ over scalars: the style cost of all layers, and the total cost.

use super::{Capabilities, Dispatch, Epilogue, Io, Lowered, Op, Operand, Rule, Shape, Wire, expect_shapes};
use crate::error::Result;
use crate::gpu::params;

params! {
    /// Uniforms of both kernels: which weight.
    WeightedSumParams { index: u32, flags: u32 }
}

super::kernels! {
    folder: "weighted_sum";
    weighted_sum_forward(WeightedSumParams) { workgroup: 1, bindings: [read x, read weights, write y] }
    weighted_sum_backward(WeightedSumParams) { workgroup: 1, bindings: [read dy, read weights, write d_x] }
}

/// Inputs: the weights (1, 1, n), then any number of scalars. The scalar of input 1 + k has the weight
/// `first + k`, so that one row of weights serves several sums and can change while a program runs.
#[derive(Debug)]
pub struct WeightedSum {
    /// Index of the first scalar's weight.
    pub first: u32,
}

impl Op for WeightedSum {
    fn name(&self) -> &'static str {
        "weighted_sum"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() >= 2
            && inputs[0].w as usize + 1 >= self.first as usize + inputs.len()
            && inputs[1..].iter().all(|x| *x == Shape::SCALAR);
        expect_shapes(self.name(), fits, "a row of weights and as many scalars", inputs)?;
        Ok(Shape::SCALAR)
    }

    fn backward(&self, input: usize, _shapes: &[Shape]) -> Option<Rule> {
        let index = self.first + u32::try_from(input.checked_sub(1)?).ok()?;
        Some(Rule::new(WeightedSumBackward { index }, [Wire::Upstream, Wire::Input(0)]))
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let dispatches = (1..io.inputs.len())
            .map(|input| {
                let flags = if input > 1 { Epilogue::ACCUMULATE } else { 0 };
                let params = WeightedSumParams { index: self.first + input as u32 - 1, flags };
                let operands = vec![Operand::input(input, 0), Operand::input(0, 0), Operand::output(0)];
                Dispatch::new(&kernels::weighted_sum_forward, params, operands, 1, 2)
            })
            .collect();
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}

/// dx = weight·dy; inputs dy (scalar) and the weights (1, 1, n).
#[derive(Debug)]
pub struct WeightedSumBackward {
    /// Index of the scalar's weight.
    pub index: u32,
}

impl Op for WeightedSumBackward {
    fn name(&self) -> &'static str {
        "weighted_sum_backward"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 2 && inputs[0] == Shape::SCALAR && inputs[1].w > self.index;
        expect_shapes(self.name(), fits, "a scalar and a row of weights", inputs)?;
        Ok(Shape::SCALAR)
    }

    fn lower(&self, _io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let params = WeightedSumParams { index: self.index, flags: 0 };
        let operands = vec![Operand::input(0, 0), Operand::input(1, 0), Operand::output(0)];
        Ok(Lowered {
            dispatches: vec![Dispatch::new(&kernels::weighted_sum_backward, params, operands, 1, 1)],
            ..Lowered::default()
        })
    }
}
