//! 8-bit pictures to planar floats and back. The network's mean is an input of both, so that a program does not
//! depend on its values.

use super::resize::Resize;
use super::{
    Capabilities, Dispatch, Io, Lowered, Op, Operand, Shape, elementwise, expect_shapes, unfit_shapes,
};
use crate::error::Result;
use crate::gpu::params;

params! {
    /// Uniforms of the kernels that make planes: `channels` channels from `channel` on are in the piece.
    PreprocessParams { plane: u32, channel: u32, channels: u32 }
}
params! {
    /// Uniforms of the way back: the same, and whether numbers are rounded or else truncated.
    PostprocessParams { plane: u32, channel: u32, channels: u32, rounded: u32 }
}

super::kernels! {
    folder: "preprocess";
    preprocess(PreprocessParams) { workgroup: 64, bindings: [read x, read mean, write y] }
    postprocess(PostprocessParams) { workgroup: 64, bindings: [read x, read mean, write y] }
    clamp_pixels(PreprocessParams) { workgroup: 64, bindings: [read x, read mean, write y] }
}

/// Shape of the mean: (R, G, B) in 0..255.
pub const MEAN_SHAPE: Shape = Shape::row(3);

fn block(plane: u64, channels: &std::ops::Range<u32>) -> PreprocessParams {
    PreprocessParams { plane: plane as u32, channel: channels.start, channels: channels.end - channels.start }
}

/// Inputs: an RGBA picture (1, H, W), one 32-bit word a pixel, red in the lowest byte, and the mean (1, 1, 3). Output
/// (3, H, W): red, green and blue 0..255 minus the mean.
#[derive(Debug)]
pub struct Preprocess;

impl Op for Preprocess {
    fn name(&self) -> &'static str {
        "preprocess"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 2 && inputs[0].c == 1 && inputs[1] == MEAN_SHAPE;
        expect_shapes(self.name(), fits, "an RGBA picture 1×H×W and the mean 1×1×3", inputs)?;
        Ok(Shape { c: 3, ..inputs[0] })
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let plane = io.output().shape.plane();
        let params = |piece: usize| block(plane, &io.output().pieces[piece]);
        let operands = |piece| vec![Operand::input(0, 0), Operand::input(1, 0), Operand::output(piece)];
        let dispatches = elementwise(&kernels::preprocess, io.output(), 1, params, operands);
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}

/// The way back: adds the mean, clamps to 0..255, truncates or rounds to 8 bits, alpha 255. Inputs (3, H, W) and the
/// mean (1, 1, 3), output (1, H, W) words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Postprocess {
    /// Whether numbers are rounded to the nearest byte, of two equally near to the even one; otherwise they are
    /// truncated, as the course does.
    pub rounded: bool,
}

impl Postprocess {
    /// Adds `channels`, planes of `plane` pixels each in `x`, to the words of the main output. Those of channel 0 come first.
    fn dispatch(self, x: Operand, plane: u64, channels: &std::ops::Range<u32>) -> Dispatch {
        let PreprocessParams { plane: count, channel, channels } = block(plane, channels);
        let params = PostprocessParams { plane: count, channel, channels, rounded: self.rounded.into() };
        let operands = vec![x, Operand::input(1, 0), Operand::output(0)];
        let groups = (plane as u32).div_ceil(kernels::postprocess.workgroup);
        Dispatch::new(&kernels::postprocess, params, operands, groups, 3 * plane)
    }
}

impl Op for Postprocess {
    fn name(&self) -> &'static str {
        "postprocess"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 2 && inputs[0].c == 3 && inputs[1] == MEAN_SHAPE;
        expect_shapes(self.name(), fits, "a picture 3×H×W and the mean 1×1×3", inputs)?;
        Ok(Shape { c: 1, ..inputs[0] })
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let plane = io.output().shape.plane();
        let pieces = io.inputs[0].pieces.iter().enumerate();
        let dispatches = pieces
            .map(|(piece, channels)| self.dispatch(Operand::input(0, piece), plane, channels))
            .collect();
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}

/// A picture at another size: [`Resize`], then [`Postprocess`], a channel after the other, so that one plane of floats is all that
/// lies between the two. Inputs (3, H, W) and the mean (1, 1, 3), output (1, height, width) words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResizePostprocess {
    /// How the planes get their size.
    pub resize: Resize,
    /// How they become bytes.
    pub postprocess: Postprocess,
}

impl Op for ResizePostprocess {
    fn name(&self) -> &'static str {
        "resize_postprocess"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let [x, mean] = inputs else {
            return Err(unfit_shapes(self.name(), "a picture 3×H×W and the mean 1×1×3", inputs));
        };
        self.postprocess.output_shape(&[self.resize.output_shape(&[*x])?, *mean])
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let between = Shape::new(1, self.resize.height, self.resize.width);
        let plane = Operand::Scratch { index: 0 };
        let of_channel = |channel| {
            let bytes = self.postprocess.dispatch(plane, between.plane(), &(channel..channel + 1));
            [self.resize.channel(0, channel, io, plane), Some(bytes)]
        };
        let dispatches = (0..io.inputs[0].shape.c).flat_map(of_channel).flatten().collect();
        Ok(Lowered { scratch: vec![between.elements()], dispatches, ..Lowered::default() })
    }
}

/// x as far as a picture can show it: clamp(x, −mean, 255 − mean) in each channel, but a NaN stays a NaN, so that it
/// is not hidden. Inputs x (3, H, W) and the mean (1, 1, 3), output (3, H, W).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClampPixels;

impl Op for ClampPixels {
    fn name(&self) -> &'static str {
        "clamp_pixels"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 2 && inputs[0].c == 3 && inputs[1] == MEAN_SHAPE;
        expect_shapes(self.name(), fits, "a picture 3×H×W and the mean 1×1×3", inputs)?;
        Ok(inputs[0])
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let plane = io.output().shape.plane();
        let params = |piece: usize| block(plane, &io.output().pieces[piece]);
        let operands = |piece| vec![Operand::input(0, piece), Operand::input(1, 0), Operand::output(piece)];
        let dispatches = elementwise(&kernels::clamp_pixels, io.output(), 4, params, operands);
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}
