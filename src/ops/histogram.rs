//! Histograms of pictures, and the map of levels that gives one the histograms of another. All of it is whole numbers, and
//! nothing is rounded.

use super::{Capabilities, Dispatch, Io, Layout, Lowered, Op, Operand, Shape, elementwise, expect_shapes};
use crate::error::Result;
use crate::gpu::params;
use crate::ops::preprocess::MEAN_SHAPE;

params! {
    /// Uniforms of the first pass: parts of `part` pixels each.
    CountParams { count: u32, part: u32 }
}
params! {
    /// Uniforms of the second pass.
    SumParams { parts: u32 }
}
params! {
    /// Uniforms of the match: pixels of both pictures.
    MatchParams { count: u32, count_target: u32 }
}
params! {
    /// Uniforms of [`ApplyLevels`]: `channels` channels from `channel` on are in the piece.
    ApplyParams { plane: u32, channel: u32, channels: u32 }
}

super::kernels! {
    folder: "histogram";
    histogram_match_count(CountParams) { workgroup: 64, bindings: [read x, write partials] }
    histogram_match_sum(SumParams) { workgroup: 64, bindings: [read partials, write y] }
    histogram_match(MatchParams) { workgroup: 64, bindings: [read counts, read counts_target, write y] }
    histogram_apply(ApplyParams) { workgroup: 64, bindings: [read x, read table, read mean, write y] }
}

/// Levels of a channel: four for each thread of the first pass.
const LEVELS: u32 = 256;
/// A level for each level of each channel.
const TABLE: Shape = Shape::new(1, 3, LEVELS);
/// Pixels that a workgroup counts: its counts take a fifth of their memory.
const PART: u32 = 4096;

/// Whether it is an RGBA picture (1, H, W) with pixels, of which twice as many can still be counted in 32 bits.
fn is_picture(shape: Shape) -> bool {
    (shape.c, shape.d) == (1, 1) && (1..1 << 31).contains(&shape.plane())
}

/// The map of levels, one for each channel, that gives a picture the histograms of another: the middle of what has a level among
/// the pixels goes to where the other picture has its pixel of this rank. Inputs two RGBA pictures (1, H, W) and (1, h, w), one
/// 32-bit word a pixel, red in the lowest byte; output (1, 3, 256): for each channel and level of the first the level of the
/// second. It rises with the level. Equal pictures map each level that they have to itself, and a picture of one level becomes
/// the median of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatchLevels;

/// The two passes that leave the histogram of a picture, which is input number `input`, in workspace number `counts`; the
/// partial sums are in the one before it. Returns the elements of both workspaces and the dispatches.
fn lower_histogram(picture: &Layout, input: usize, counts: usize) -> ([u64; 2], [Dispatch; 2]) {
    let count = picture.shape.plane() as u32;
    let parts = count.div_ceil(PART);
    let [partials, sums] = [counts - 1, counts].map(|index| Operand::Scratch { index });
    let elements = TABLE.elements();
    let all = u64::from(parts) * elements;
    let kernel = &kernels::histogram_match_sum;
    let groups = elements.div_ceil(kernel.workgroup.into()) as u32;
    let dispatches = [
        Dispatch::new(
            &kernels::histogram_match_count,
            CountParams { count, part: PART },
            vec![Operand::input(input, 0), partials],
            parts,
            2 * elements * u64::from(count),
        ),
        Dispatch::new(kernel, SumParams { parts }, vec![partials, sums], groups, all),
    ];
    ([all, elements], dispatches)
}

impl Op for MatchLevels {
    fn name(&self) -> &'static str {
        "histogram_match"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 2 && inputs.iter().all(|picture| is_picture(*picture));
        expect_shapes(self.name(), fits, "two RGBA pictures 1×H×W", inputs)?;
        Ok(TABLE)
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let (scratch, first) = lower_histogram(&io.inputs[0], 0, 1);
        let (scratch_target, second) = lower_histogram(&io.inputs[1], 1, 3);
        let [count, count_target] = [0, 1].map(|input| io.inputs[input].shape.plane() as u32);
        let kernel = &kernels::histogram_match;
        let operands = vec![Operand::Scratch { index: 1 }, Operand::Scratch { index: 3 }, Operand::output(0)];
        let elements = TABLE.elements();
        let last = Dispatch::new(
            kernel,
            MatchParams { count, count_target },
            operands,
            elements.div_ceil(kernel.workgroup.into()) as u32,
            20 * elements * u64::from(LEVELS),
        );
        let dispatches = first.into_iter().chain(second).chain([last]).collect();
        Ok(Lowered { scratch: [scratch, scratch_target].concat(), dispatches, ..Lowered::default() })
    }
}

/// A picture with other levels. Inputs an RGBA picture (1, H, W), one 32-bit word a pixel, red in the lowest byte, a table
/// (1, 3, 256) of a level for each level of each channel, and the mean (1, 1, 3); output (3, H, W): the levels of red, green and
/// blue minus the mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApplyLevels;

impl Op for ApplyLevels {
    fn name(&self) -> &'static str {
        "histogram_apply"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits =
            inputs.len() == 3 && is_picture(inputs[0]) && inputs[1] == TABLE && inputs[2] == MEAN_SHAPE;
        let rule = "an RGBA picture 1×H×W, levels 1×3×256 and the mean 1×1×3";
        expect_shapes(self.name(), fits, rule, inputs)?;
        Ok(Shape { c: 3, ..inputs[0] })
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let y = io.output();
        let params = |piece: usize| ApplyParams {
            plane: y.shape.plane() as u32,
            channel: y.pieces[piece].start,
            channels: y.piece_shape(piece).c,
        };
        let operands = |piece| {
            vec![Operand::input(0, 0), Operand::input(1, 0), Operand::input(2, 0), Operand::output(piece)]
        };
        let dispatches = elementwise(&kernels::histogram_apply, y, 1, params, operands);
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}
