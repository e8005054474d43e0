//! Gradients of one size for every term of a cost: each is divided by its L1 norm at the layer that the term looks at, and its
//! weight comes after that. It is `-normalize_gradients` of Justin Johnson's neural-style.

use std::sync::Arc;

use super::squared_error::{partial_sums, reduce};
use super::{
    Capabilities, Epilogue, Io, Lowered, Op, Operand, Rule, Shape, Wire, elementwise, expect_shapes,
};
use crate::error::Result;
use crate::gpu::params;

params! {
    /// Uniforms of the first pass: `threads` threads each leave one partial sum, from `first` on.
    SumsParams { count: u32, threads: u32, first: u32 }
}
params! {
    /// Uniforms of the division: the piece begins at channel `out_first`; the term's weight is the product of two.
    NormaliseGradientParams {
        count: u32,
        h: u32,
        w: u32,
        out_first: u32,
        index: u32,
        group_index: u32,
        flags: u32,
    }
}

super::kernels! {
    folder: "normalise_gradient";
    normalise_gradient_sums(SumsParams) { workgroup: 64, bindings: [read dy, write partials] }
    normalise_gradient(NormaliseGradientParams) {
        workgroup: 64,
        bindings: [read dy, read norm, read weights, read gate, write d_x],
    }
}

/// Partial sums, in workspace 0.
const SUMS: Operand = Operand::Scratch { index: 0 };
/// The norm, in workspace 1.
const NORM: Operand = Operand::Scratch { index: 1 };

/// Where a term's weight is in a row of weights: the product of that in its group and that of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightIndices {
    /// Index of the term's weight in its group.
    pub term: u32,
    /// Index of the group's weight.
    pub group: u32,
}

impl WeightIndices {
    /// Whether a row of weights has both.
    fn are_in(self, weights: Shape) -> bool {
        weights == Shape::row(weights.w) && self.term.max(self.group) < weights.w
    }
}

/// x itself, whose gradient becomes what [`NormaliseGradient`] makes of it. Inputs x (C, H, W) and the weights (1, 1, n), output
/// x. It is for the backward pass alone: differentiation takes it out.
#[derive(Clone, Copy, Debug)]
pub struct Normalised(pub WeightIndices);

impl Op for Normalised {
    fn name(&self) -> &'static str {
        "normalised"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 2 && self.0.are_in(inputs[1]);
        expect_shapes(self.name(), fits, "a tensor C×H×W and a row of weights", inputs)?;
        Ok(inputs[0])
    }

    fn backward(&self, input: usize, _shapes: &[Shape]) -> Option<Rule> {
        let op = NormaliseGradient { weight: self.0, epilogue: Epilogue::default() };
        (input == 0).then(|| Rule::new(op, [Wire::Upstream, Wire::Input(1)]))
    }

    fn passes_through(&self) -> Option<usize> {
        Some(0)
    }

    fn in_place(&self) -> Option<usize> {
        self.passes_through()
    }

    fn lower(&self, _io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        Ok(Lowered::default())
    }
}

/// dx = w·g/(Σ|g| + 10⁻⁸) of the gradient g = dy/w without the term's weight w: dy·w/(Σ|dy| + 10⁻⁸·w), and 0 where w is not above
/// 0. Inputs dy (C, H, W) and the weights (1, 1, n), output (C, H, W).
#[derive(Clone, Copy, Debug)]
pub struct NormaliseGradient {
    /// Where w is.
    pub weight: WeightIndices,
    /// Merged work.
    pub epilogue: Epilogue,
}

impl Op for NormaliseGradient {
    fn name(&self) -> &'static str {
        "normalise_gradient"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() >= 2 && inputs[0].d == 1 && self.weight.are_in(inputs[1]);
        expect_shapes(self.name(), fits, "a gradient C×H×W of planes and a row of weights", inputs)?;
        Ok(inputs[0])
    }

    fn fuse(&self, next: &dyn Op, slot: usize) -> Option<Arc<dyn Op>> {
        Some(Arc::new(Self { epilogue: self.epilogue.absorb(next, slot)?, ..*self }))
    }

    fn in_place(&self) -> Option<usize> {
        self.epilogue.in_place(2)
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let dx = io.output();
        let params = |count, threads, first| SumsParams { count, threads, first };
        let inputs = |piece| vec![Operand::input(0, piece)];
        let (mut dispatches, partials) =
            partial_sums(&kernels::normalise_gradient_sums, &io.inputs[0], 1, params, inputs);
        dispatches.push(reduce(SUMS, partials, 1.0, NORM));
        let gate = self.epilogue.gate_operand(2, io)?;
        let params = |piece: usize| NormaliseGradientParams {
            count: dx.piece_elements(piece),
            h: dx.shape.h,
            w: dx.shape.w,
            out_first: dx.pieces[piece].start,
            index: self.weight.term,
            group_index: self.weight.group,
            flags: self.epilogue.flags(0, 1),
        };
        let operands =
            |piece| vec![Operand::input(0, piece), NORM, Operand::input(1, 0), gate, Operand::output(piece)];
        dispatches.extend(elementwise(&kernels::normalise_gradient, dx, 1, params, operands));
        Ok(Lowered { scratch: vec![partials.into(), 1], dispatches, ..Lowered::default() })
    }
}
