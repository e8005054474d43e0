//! Sums of two tensors: [`Add`] is y = a + b as a layer of a network, [`Accumulate`] adds one gradient to another in
//! place, [`Mix`] takes a share of each.

use super::{Capabilities, Io, Lowered, Op, Operand, Rule, Shape, elementwise, expect_shapes};
use crate::error::Result;
use crate::gpu::params;

params! {
    /// Uniforms of the kernels without factors.
    AddParams { count: u32 }
}
params! {
    /// Uniforms of the mixture: `ratio` is the share of a.
    MixParams { count: u32, ratio: f32 }
}

super::kernels! {
    folder: "add";
    accumulate(AddParams) { workgroup: 64, bindings: [read x, write y] }
    add(AddParams) { workgroup: 64, bindings: [read a, read b, write y] }
    mix(MixParams) { workgroup: 64, bindings: [read a, read b, write y] }
}

fn output_shape(name: &'static str, inputs: &[Shape]) -> Result<Shape> {
    let fits = inputs.len() == 2 && inputs[0] == inputs[1];
    expect_shapes(name, fits, "two tensors of one shape", inputs)?;
    Ok(inputs[0])
}

/// y = a + b; inputs a and b (C, H, W), which stay as they are and may be the same tensor.
#[derive(Debug)]
pub struct Add;

impl Op for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        output_shape(self.name(), inputs)
    }

    fn backward(&self, _input: usize, _shapes: &[Shape]) -> Option<Rule> {
        Some(Rule::Upstream)
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let params = |piece| AddParams { count: io.output().piece_elements(piece) };
        let operands =
            |piece| vec![Operand::input(0, piece), Operand::input(1, piece), Operand::output(piece)];
        let dispatches = elementwise(&kernels::add, io.output(), 1, params, operands);
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}

/// y + x in y's place; inputs y and x (C, H, W). No other node may read y now or later.
#[derive(Debug)]
pub struct Accumulate;

impl Op for Accumulate {
    fn name(&self) -> &'static str {
        "accumulate"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        output_shape(self.name(), inputs)
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let params = |piece| AddParams { count: io.output().piece_elements(piece) };
        let operands = |piece| vec![Operand::input(1, piece), Operand::output(piece)];
        let dispatches = elementwise(&kernels::accumulate, io.output(), 1, params, operands);
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}

/// y = share·a + (1 − share)·b; inputs a and b (C, H, W), which stay as they are. No gradient flows through it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mix {
    /// The share of a, 0 to 1.
    pub share: f32,
}

impl Op for Mix {
    fn name(&self) -> &'static str {
        "mix"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        output_shape(self.name(), inputs)
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let params = |piece| MixParams { count: io.output().piece_elements(piece), ratio: self.share };
        let operands =
            |piece| vec![Operand::input(0, piece), Operand::input(1, piece), Operand::output(piece)];
        let dispatches = elementwise(&kernels::mix, io.output(), 4, params, operands);
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}
