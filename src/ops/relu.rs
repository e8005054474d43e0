//! ReLU, y = max(x, 0), and its mask: one bit for each element of y, set where y > 0. The backward pass reads the
//! mask, so that y need not live until then.

use super::{
    Capabilities, Dispatch, Io, Layout, Lowered, Op, Operand, Rule, Shape, Wire, elementwise, expect_shapes,
    piecewise,
};
use crate::error::{Error, Remedy, Result};
use crate::gpu::params;

params! {
    /// Uniforms of the forward kernel.
    ReluParams { count: u32 }
}
params! {
    /// Uniforms of the kernels with a mask: the piece holds `channels` channels (h, w), from channel `first` of
    /// the mask on.
    MaskParams { channels: u32, h: u32, w: u32, first: u32 }
}

super::kernels! {
    folder: "relu";
    relu_forward(ReluParams) { workgroup: 64, bindings: [read x, write y] }
    relu_mask(MaskParams) { workgroup: 64, bindings: [read y, write mask] }
    relu_backward(MaskParams) {
        workgroup: 64,
        bindings: [read dy, read gate, write d_x],
        tile: [COLUMNS = MASK_COLUMNS],
    }
}

/// Columns of a mask's word.
pub const MASK_COLUMNS: u32 = 8;
/// Rows of a mask's word.
pub const MASK_ROWS: u32 = 4;

/// Shape in 32-bit words of the mask of activations (C, H, W): (C, ⌈H/4⌉, ⌈W/8⌉). The rows of the planes of a volume
/// are counted through: H is [`Shape::rows`].
///
/// A word holds 4 rows × 8 columns of a channel: bit (row mod 4)·8 + (column mod 8) is set where the ReLU's output
/// is positive. Bits outside the picture are 0. Kernels that cover pixels in rows or in squares thus find the bits
/// of neighbours in one word.
pub fn mask_shape(y: Shape) -> Shape {
    Shape::new(y.c, y.rows().div_ceil(MASK_ROWS), y.w.div_ceil(MASK_COLUMNS))
}

/// Threads that each own one line of a mask's word: 8 columns of a row.
pub(crate) fn mask_lines(y: Shape) -> u64 {
    u64::from(y.c) * u64::from(y.rows()) * u64::from(y.w.div_ceil(MASK_COLUMNS))
}

/// A mask is never cut: it has a 32nd of the bytes of the activations, whose pieces begin anywhere in it.
pub(crate) fn expect_whole_mask(mask: &Layout) -> Result<()> {
    if mask.pieces.len() == 1 {
        return Ok(());
    }
    Err(Error::Memory {
        what: format!("the mask of a layer, {} words of 32 bits", mask.shape),
        needed: mask.shape.bytes(),
        available: mask.piece_shape(0).bytes(),
        remedy: Remedy::SmallerSize(None),
    })
}

/// The mask that is output number `index`, whole.
pub(crate) fn whole_mask(io: &Io<'_>, index: usize) -> Result<Operand> {
    expect_whole_mask(&io.outputs[index])?;
    Ok(Operand::Output { index, piece: 0 })
}

/// The dispatches that write the mask (output 1) of activations that are already in output 0.
pub(crate) fn lower_mask(io: &Io<'_>) -> Result<Vec<Dispatch>> {
    expect_whole_mask(&io.outputs[1])?;
    let y = io.output();
    let operands = |piece| vec![Operand::output(piece), Operand::Output { index: 1, piece: 0 }];
    let words = |shape| mask_shape(shape).elements();
    Ok(piecewise(&kernels::relu_mask, y, 1, words, |piece| mask_params(y, piece), operands))
}

fn mask_params(y: &Layout, piece: usize) -> MaskParams {
    let shape = y.piece_shape(piece);
    MaskParams { channels: shape.c, h: shape.rows(), w: shape.w, first: y.pieces[piece].start }
}

/// y = max(x, 0); input (C, H, W), output (C, H, W), and the mask of y where asked for.
#[derive(Debug)]
pub struct Relu {
    /// Whether the mask is made: the backward rule reads it.
    pub mask: bool,
}

impl Op for Relu {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        expect_shapes(self.name(), inputs.len() == 1, "one tensor", inputs)?;
        Ok(inputs[0])
    }

    fn side_outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        self.mask.then(|| mask_shape(inputs[0])).into_iter().collect()
    }

    fn backward(&self, _input: usize, _shapes: &[Shape]) -> Option<Rule> {
        self.mask.then(|| Rule::new(ReluBackward, [Wire::Upstream, Wire::Output(1)]))
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let y = io.output();
        let params = |piece| ReluParams { count: y.piece_elements(piece) };
        let operands = |piece| vec![Operand::input(0, piece), Operand::output(piece)];
        let mut dispatches = elementwise(&kernels::relu_forward, y, 1, params, operands);
        if self.mask {
            dispatches.extend(lower_mask(io)?);
        }
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}

/// dx = dy where the mask's bit is set, else 0; inputs dy (C, H, W) and the mask, output (C, H, W).
#[derive(Debug)]
pub struct ReluBackward;

impl Op for ReluBackward {
    fn name(&self) -> &'static str {
        "relu_backward"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 2 && inputs[1] == mask_shape(inputs[0]);
        expect_shapes(self.name(), fits, "dy C×H×W and its mask C×⌈H/4⌉×⌈W/8⌉", inputs)?;
        Ok(inputs[0])
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        expect_whole_mask(&io.inputs[1])?;
        let dx = io.output();
        let operands = |piece| vec![Operand::input(0, piece), Operand::input(1, 0), Operand::output(piece)];
        let dispatches =
            piecewise(&kernels::relu_backward, dx, 1, mask_lines, |piece| mask_params(dx, piece), operands);
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}
