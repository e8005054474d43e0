//! Features minus their mean: of large numbers that differ little, products of the differences keep what a difference of the
//! products would lose.

use super::{Capabilities, Io, Lowered, Op, Operand, Shape, elementwise, expect_shapes};
use crate::error::Result;
use crate::gpu::params;

params! {
    /// Uniforms: `count` elements of a piece that begins at channel `first`.
    CentreParams { count: u32, cells: u32, first: u32 }
}

super::kernels! {
    folder: "centre";
    centre(CentreParams) { workgroup: 64, bindings: [read x, read centre, write y] }
}

/// x − centre in every channel. Inputs x (C, H, W) and the centre (1, 1, C), output (C, H, W). No gradient flows through it.
#[derive(Clone, Copy, Debug)]
pub struct Centre;

impl Op for Centre {
    fn name(&self) -> &'static str {
        "centre"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 2 && inputs[1] == Shape::row(inputs[0].c);
        expect_shapes(self.name(), fits, "a tensor C×H×W and a centre 1×1×C", inputs)?;
        Ok(inputs[0])
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let y = io.output();
        let params = |piece: usize| CentreParams {
            count: y.piece_elements(piece),
            cells: y.shape.plane() as u32,
            first: y.pieces[piece].start,
        };
        let operands = |piece| vec![Operand::input(0, piece), Operand::input(1, 0), Operand::output(piece)];
        let dispatches = elementwise(&kernels::centre, y, 1, params, operands);
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}
