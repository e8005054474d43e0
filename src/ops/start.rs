//! What an optimisation begins with: a picture mixed with noise.

use super::{Capabilities, Io, Lowered, Op, Operand, Shape, elementwise, expect_shapes};
use crate::error::Result;
use crate::gpu::params;

params! {
    /// Uniforms: `channel` is the first channel in the piece; the two parts of the ratio add up to it; `zero` is 0.
    StartParams { count: u32, plane: u32, channel: u32, ratio_high: f32, ratio_low: f32, zero: u32 }
}

super::kernels! {
    folder: "start";
    start(StartParams) {
        workgroup: 64, bindings: [read noise, read picture, read levels, write y]
    }
}

/// Values of a byte.
const LEVELS: u32 = 256;

/// (1 − ratio)·(level − mean) for every channel and every level of a byte, (1, 3, 256), in 0..255 units: what [`Start`]
/// adds the noise to. Computed in f64 and rounded once, because the costs of the first steps feel the last bit.
pub fn levels(ratio: f32, mean: [f32; 3]) -> Vec<f32> {
    let of = |mean: f32| {
        (0..LEVELS).map(move |level| ((1.0 - f64::from(ratio)) * (f64::from(level) - f64::from(mean))) as f32)
    };
    mean.into_iter().flat_map(of).collect()
}

/// Shape of [`levels`].
pub const LEVELS_SHAPE: Shape = Shape::new(1, 3, LEVELS);

/// `y = ratio·noise + levels[channel][byte]`, rounded once. Inputs: noise (3, H, W), an RGBA picture (1, H, W) with red in
/// the lowest byte, [`levels`] (1, 3, 256); output (3, H, W).
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// The share of the noise, 0..1.
    pub ratio: f32,
}

impl Op for Start {
    fn name(&self) -> &'static str {
        "start"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 3
            && inputs[0].c == 3
            && inputs[1] == Shape { c: 1, ..inputs[0] }
            && inputs[2] == LEVELS_SHAPE;
        expect_shapes(self.name(), fits, "noise 3×H×W, an RGBA picture 1×H×W, levels 1×3×256", inputs)?;
        Ok(inputs[0])
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let y = io.output();
        // Twelve bits of the mantissa: a product with twelve bits of the noise is exact.
        let ratio_high = f32::from_bits(self.ratio.to_bits() & 0xffff_f000);
        let params = |piece: usize| StartParams {
            count: y.piece_elements(piece),
            plane: y.shape.plane() as u32,
            channel: y.pieces[piece].start,
            ratio_high,
            ratio_low: self.ratio - ratio_high,
            zero: 0,
        };
        let operands = |piece| {
            let [picture, levels] = [1, 2].map(|input| Operand::input(input, 0));
            vec![Operand::input(0, piece), picture, levels, Operand::output(piece)]
        };
        let dispatches = elementwise(&kernels::start, y, 30, params, operands);
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}
