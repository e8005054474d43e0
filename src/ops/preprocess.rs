//! 8-bit pictures to planar floats and back.

use super::{Capabilities, Dispatch, Io, Lowered, Op, Operand, Shape, elementwise, expect_shapes};
use crate::error::Result;
use crate::gpu::params;

params! {
    /// Uniforms of both kernels: `channels` channels from `channel` on are in the piece.
    PreprocessParams { plane: u32, channel: u32, channels: u32, mean_r: f32, mean_g: f32, mean_b: f32 }
}

super::kernels! {
    folder: "preprocess";
    preprocess(PreprocessParams) { workgroup: 64, bindings: [read x, write y] }
    postprocess(PreprocessParams) { workgroup: 64, bindings: [read x, write y] }
}

fn block(mean: [f32; 3], plane: u64, channels: &std::ops::Range<u32>) -> PreprocessParams {
    let [mean_r, mean_g, mean_b] = mean;
    let channel = channels.start;
    PreprocessParams {
        plane: plane as u32,
        channel,
        channels: channels.end - channel,
        mean_r,
        mean_g,
        mean_b,
    }
}

/// Input: an RGBA picture (1, H, W), one 32-bit word a pixel, red in the lowest byte. Output (3, H, W): red,
/// green and blue 0..255 minus the mean.
#[derive(Debug)]
pub struct Preprocess {
    /// Subtracted from (R, G, B), in 0..255.
    pub mean: [f32; 3],
}

impl Op for Preprocess {
    fn name(&self) -> &'static str {
        "preprocess"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        expect_shapes(self.name(), inputs.len() == 1 && inputs[0].c == 1, "an RGBA picture 1×H×W", inputs)?;
        Ok(Shape { c: 3, ..inputs[0] })
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let plane = io.output().shape.plane();
        let params = |piece: usize| block(self.mean, plane, &io.output().pieces[piece]);
        let operands = |piece| vec![Operand::input(0, 0), Operand::output(piece)];
        let dispatches = elementwise(&kernels::preprocess, io.output(), 1, params, operands);
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}

/// The way back: adds the mean, clamps to 0..255, truncates to 8 bits, alpha 255. Input (3, H, W), output
/// (1, H, W) words.
#[derive(Debug)]
pub struct Postprocess {
    /// Added to (R, G, B), in 0..255.
    pub mean: [f32; 3],
}

impl Op for Postprocess {
    fn name(&self) -> &'static str {
        "postprocess"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        expect_shapes(self.name(), inputs.len() == 1 && inputs[0].c == 3, "a picture 3×H×W", inputs)?;
        Ok(Shape { c: 1, ..inputs[0] })
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let plane = io.output().shape.plane();
        let x = &io.inputs[0];
        let dispatches = x
            .pieces
            .iter()
            .enumerate()
            .map(|(piece, channels)| {
                let params = block(self.mean, plane, channels);
                let operands = vec![Operand::input(0, piece), Operand::output(0)];
                let groups = (plane as u32).div_ceil(kernels::postprocess.workgroup);
                Dispatch::new(&kernels::postprocess, params, operands, groups, 3 * plane)
            })
            .collect();
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}
