//! The colours of pictures: their luminance, a map that gives one the colours of another, and the chroma of one with the
//! luminance of another. L. A. Gatys et al., "Preserving Color in Neural Artistic Style Transfer" (arXiv 1606.05897).

use super::{Capabilities, Io, Layout, Lowered, Op, Operand, Shape, elementwise, expect_shapes};
use crate::error::Result;
use crate::gpu::params;
use crate::ops::Dispatch;
use crate::ops::preprocess::MEAN_SHAPE;

params! {
    /// Uniforms of the kernel that makes a picture grey.
    GreyParams { count: u32 }
}
params! {
    /// Uniforms of [`Transport`]: what of the identity is added to covariances.
    TransportParams { identity: f32 }
}
params! {
    /// Uniforms of the kernels that need all channels of a pixel: `count` elements of a piece that begins at `channel`; red,
    /// green and blue begin at these elements of their pieces.
    PixelParams { count: u32, plane: u32, channel: u32, red: u32, green: u32, blue: u32 }
}

super::kernels! {
    folder: "colour";
    colour_grey(GreyParams) { workgroup: 64, bindings: [read x, write y] }
    colour_transport(TransportParams) {
        workgroup: 1,
        bindings: [read covariance, read covariance_target, write y],
    }
    colour_transform(PixelParams) {
        workgroup: 64,
        bindings: [read x_red, read x_green, read x_blue, read map, read shift, write y],
    }
    colour_replace(PixelParams) {
        workgroup: 64,
        bindings: [read x_red, read x_green, read x_blue, read picture, read mean, write y],
    }
}

/// A covariance of colours, and what [`Transport`] makes.
const MATRIX: Shape = Shape::new(1, 3, 3);

/// Whether they are three planes (3, H, W).
fn are_pixels(x: Shape) -> bool {
    (x.c, x.d) == (3, 1)
}

/// The planes of x (3, H, W) one by one, wherever its pieces end: the operands of red, green and blue, and at which element of
/// its operand each begins.
fn planes(x: &Layout) -> ([Operand; 3], [u32; 3]) {
    let plane = x.shape.plane() as u32;
    let find = |channel: u32| {
        let piece = x.pieces.iter().position(|piece| piece.contains(&channel)).unwrap_or_default();
        (Operand::input(0, piece), (channel - x.pieces[piece].start) * plane)
    };
    let found = [0, 1, 2].map(find);
    (found.map(|(operand, _)| operand), found.map(|(_, first)| first))
}

/// A kernel of `flops` an element that makes three planes of three, and of `others`.
fn lower_pixels(
    kernel: &'static crate::gpu::Kernel,
    io: &Io<'_>,
    flops: u64,
    others: &[Operand],
) -> Vec<Dispatch> {
    let (y, (operands, [red, green, blue])) = (io.output(), planes(&io.inputs[0]));
    let params = |piece: usize| PixelParams {
        count: y.piece_elements(piece),
        plane: y.shape.plane() as u32,
        channel: y.pieces[piece].start,
        red,
        green,
        blue,
    };
    let operands = |piece| [&operands[..], others, &[Operand::output(piece)]].concat();
    elementwise(kernel, y, flops, params, operands)
}

/// The luminance 0.299·red + 0.587·green + 0.114·blue (BT.601) of a picture, rounded to 8 bits, in all three channels. Input and
/// output an RGBA picture (1, H, W), one 32-bit word a pixel, red in the lowest byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grey;

impl Op for Grey {
    fn name(&self) -> &'static str {
        "colour_grey"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 1 && (inputs[0].c, inputs[0].d) == (1, 1);
        expect_shapes(self.name(), fits, "an RGBA picture 1×H×W", inputs)?;
        Ok(inputs[0])
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let params = |piece| GreyParams { count: io.output().piece_elements(piece) };
        let operands = |piece| vec![Operand::input(0, 0), Operand::output(piece)];
        let dispatches = elementwise(&kernels::colour_grey, io.output(), 7, params, operands);
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}

/// The linear map from the colours of one picture to those of another that moves them the least, the one of Monge and
/// Kantorovitch between two normal distributions around their means: A = Σ^−½·(Σ^½·Σₜ·Σ^½)^½·Σ^−½, with the ridge on the
/// diagonal of both covariances. Inputs the covariances Σ and Σₜ (1, 3, 3), output A (1, 3, 3). It is that of F. Pitié and A. Kokaram, "The Linear Monge-Kantorovitch Linear Colour Mapping
/// for Example-Based Colour Transfer", 2007.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transport {
    /// What is added to every variance, above 0: where a picture is flat, and has none, a map would make any colour of
    /// what was rounded.
    pub ridge: f32,
}

impl Op for Transport {
    fn name(&self) -> &'static str {
        "colour_transport"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs == [MATRIX; 2] && self.ridge > 0.0;
        expect_shapes(self.name(), fits, "two covariances 1×3×3, and a ridge above 0", inputs)?;
        Ok(MATRIX)
    }

    fn lower(&self, _io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let params = TransportParams { identity: self.ridge };
        let operands = (0..2).map(|input| Operand::input(input, 0)).chain([Operand::output(0)]).collect();
        // Three roots of eight rounds of three rotations, some 80 operations each.
        let dispatch = Dispatch::new(&kernels::colour_transport, params, operands, 1, 6000);
        Ok(Lowered { dispatches: vec![dispatch], ..Lowered::default() })
    }
}

/// Every pixel by a matrix and a shift: y = A·x + b. Inputs x (3, H, W), A (1, 3, 3), such as [`Transport`] makes, and b
/// (1, 1, 3); output (3, H, W). No gradient flows through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transform;

impl Op for Transform {
    fn name(&self) -> &'static str {
        "colour_transform"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 3 && are_pixels(inputs[0]) && inputs[1..] == [MATRIX, Shape::row(3)];
        expect_shapes(self.name(), fits, "pixels 3×H×W, a matrix 1×3×3 and a shift 1×1×3", inputs)?;
        Ok(inputs[0])
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let others = [Operand::input(1, 0), Operand::input(2, 0)];
        let dispatches = lower_pixels(&kernels::colour_transform, io, 6, &others);
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}

/// The luminance (BT.601) of pixels, as far as a picture can show these, with the chroma of a picture: what its channels differ
/// from its own luminance by, of which YCbCr's Cb and Cr are two, each times a constant. Where that leaves 0..255 the chroma
/// becomes as much smaller as it has to, in all channels alike: hue and luminance stay, and the colour is paler. Inputs the
/// pixels (3, H, W) minus the mean, an RGBA picture (1, H, W), one 32-bit word a pixel, and the mean (1, 1, 3); output (3, H, W)
/// minus the mean. No gradient flows through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replace;

impl Op for Replace {
    fn name(&self) -> &'static str {
        "colour_replace"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 3
            && are_pixels(inputs[0])
            && inputs[1] == Shape { c: 1, ..inputs[0] }
            && inputs[2] == MEAN_SHAPE;
        expect_shapes(self.name(), fits, "pixels 3×H×W, an RGBA picture 1×H×W and the mean 1×1×3", inputs)?;
        Ok(inputs[0])
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let others = [Operand::input(1, 0), Operand::input(2, 0)];
        let dispatches = lower_pixels(&kernels::colour_replace, io, 36, &others);
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}
