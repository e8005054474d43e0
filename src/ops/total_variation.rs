//! Total variation: how much neighbouring pixels differ. A. Mahendran, A. Vedaldi, "Understanding Deep Image
//! Representations by Inverting Them" (arXiv 1412.0035), section 3.2, with β = 2 and divided by the elements, so that
//! pictures of any size can be compared.

use std::sync::Arc;

use super::squared_error::sum;
use super::{
    Capabilities, Epilogue, Io, Lowered, Op, Operand, Rule, Shape, Wire, Wrap, elementwise, expect_shapes,
};
use crate::error::Result;
use crate::gpu::params;

params! {
    /// Uniforms of the first pass: `threads` threads each leave one partial sum, from `first` on.
    TotalVariationParams { count: u32, h: u32, w: u32, threads: u32, first: u32, flags: u32 }
}
params! {
    /// Uniforms of the backward kernel: the piece begins at channel `out_first`; scale = 2/(C·H·W).
    TotalVariationBackwardParams { count: u32, h: u32, w: u32, out_first: u32, scale: f32, flags: u32 }
}

super::kernels! {
    folder: "total_variation";
    total_variation_forward(TotalVariationParams) { workgroup: 64, bindings: [read x, write partials] }
    total_variation_backward(TotalVariationBackwardParams) {
        workgroup: 64,
        bindings: [read dy, read x, read gate, write d_x],
    }
}

const RULE: &str = "one tensor C×H×W of planes";

/// Σ ((right − x)² + (below − x)²)/(C·H·W) over the elements of x, where a difference across the border is 0. Input x
/// (C, H, W), output a scalar.
#[derive(Clone, Copy, Debug, Default)]
pub struct TotalVariation {
    /// Where the other end is the neighbour of the border.
    pub wrap: Wrap,
}

impl Op for TotalVariation {
    fn name(&self) -> &'static str {
        "total_variation"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        expect_shapes(self.name(), inputs.len() == 1 && inputs[0].d == 1, RULE, inputs)?;
        Ok(Shape::SCALAR)
    }

    fn backward(&self, _input: usize, _shapes: &[Shape]) -> Option<Rule> {
        let op = TotalVariationBackward { wrap: self.wrap, epilogue: Epilogue::default() };
        Some(Rule::new(op, [Wire::Upstream, Wire::Input(0)]))
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let x = &io.inputs[0];
        let Shape { h, w, .. } = x.shape;
        let scale = (1.0 / x.shape.elements() as f64) as f32;
        let params = |count, threads, first| TotalVariationParams {
            count,
            h,
            w,
            threads,
            first,
            flags: self.wrap.flags(),
        };
        let inputs = |piece| vec![Operand::input(0, piece)];
        Ok(sum(&kernels::total_variation_forward, x, scale, 6, params, inputs))
    }
}

/// dx = dy·2/(C·H·W)·Σ (x − neighbour). Inputs dy (scalar) and x (C, H, W), output (C, H, W).
#[derive(Clone, Copy, Debug)]
pub struct TotalVariationBackward {
    /// Where the other end is the neighbour of the border.
    pub wrap: Wrap,
    /// Merged work.
    pub epilogue: Epilogue,
}

impl Op for TotalVariationBackward {
    fn name(&self) -> &'static str {
        "total_variation_backward"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() >= 2 && inputs[0] == Shape::SCALAR && inputs[1].d == 1;
        expect_shapes(self.name(), fits, "a scalar and a tensor C×H×W of planes", inputs)?;
        Ok(inputs[1])
    }

    fn fuse(&self, next: &dyn Op, slot: usize) -> Option<Arc<dyn Op>> {
        Some(Arc::new(Self { epilogue: self.epilogue.absorb(next, slot)?, ..*self }))
    }

    fn in_place(&self) -> Option<usize> {
        self.epilogue.in_place(2)
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let dx = io.output();
        let gate = self.epilogue.gate_operand(2, io)?;
        let params = |piece: usize| TotalVariationBackwardParams {
            count: dx.piece_elements(piece),
            h: dx.shape.h,
            w: dx.shape.w,
            out_first: dx.pieces[piece].start,
            scale: (2.0 / dx.shape.elements() as f64) as f32,
            flags: self.epilogue.flags(0, 1) | self.wrap.flags(),
        };
        let operands =
            |piece| vec![Operand::input(0, 0), Operand::input(1, piece), gate, Operand::output(piece)];
        let dispatches = elementwise(&kernels::total_variation_backward, dx, 10, params, operands);
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}
