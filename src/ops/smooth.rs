//! Smoothing by the smallest binomial window.

use super::{Capabilities, Io, Lowered, Op, Operand, Shape, Wrap, elementwise, expect_shapes};
use crate::error::Result;
use crate::gpu::params;

params! {
    /// Uniforms of the kernel.
    SmoothParams { count: u32, h: u32, w: u32, scale: f32, flags: u32 }
}

super::kernels! {
    folder: "smooth";
    smooth(SmoothParams) { workgroup: 64, bindings: [read x, write y] }
}

/// y = scale·x smoothed by (1 2 1)/4 along rows and columns, the border repeated: what alternates from one element to
/// the next is gone, the mean stays. Input and output (C, H, W). No gradient flows through it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Smooth {
    /// What every element is multiplied by.
    pub scale: f32,
    /// Where the border is followed by the one at the other end instead.
    pub wrap: Wrap,
}

impl Op for Smooth {
    fn name(&self) -> &'static str {
        "smooth"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        expect_shapes(self.name(), inputs.len() == 1 && inputs[0].d == 1, "one tensor C×H×W", inputs)?;
        Ok(inputs[0])
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let y = io.output();
        let params = |piece| SmoothParams {
            count: y.piece_elements(piece),
            h: y.shape.h,
            w: y.shape.w,
            scale: self.scale,
            flags: self.wrap.flags(),
        };
        let operands = |piece| vec![Operand::input(0, piece), Operand::output(piece)];
        let dispatches = elementwise(&kernels::smooth, y, 14, params, operands);
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}
