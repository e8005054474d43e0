//! Adam on a pyramid of the gradient: every level keeps moments of its own, and the pixels go down by the sum of what
//! all levels would change them by. Large areas move as a whole where single pixels would each have to find out. The
//! levels are made by [`Pool::MEAN`](super::pool::Pool::MEAN), their steps added up by
//! [`AddUpsampled`](super::resize::AddUpsampled), and t is [`AdamAdvance`](super::adam::AdamAdvance)'s.

use super::adam::{HYPER, STATE};
use super::preprocess::MEAN_SHAPE;
use super::{Capabilities, Dispatch, Io, Lowered, Op, Operand, Shape, elementwise, expect_shapes};
use crate::error::Result;
use crate::gpu::params;

params! {
    /// The advance needs none; a uniform block may not be empty.
    ScheduleParams { unused: u32 }
}
params! {
    /// Uniforms of a level.
    LevelParams { count: u32 }
}
params! {
    /// Uniforms of the descent: `channels` channels from `channel` on are in the piece.
    DescendParams { plane: u32, channel: u32, channels: u32 }
}

super::kernels! {
    folder: "pyramid";
    schedule_advance(ScheduleParams) { workgroup: 1, bindings: [read hyper, write state] }
    adam_level(LevelParams) {
        workgroup: 64,
        bindings: [read hyper, read state, read g, write m, write v, write d],
    }
    descend(DescendParams) {
        workgroup: 64,
        bindings: [read state, read mean, read d, write x, write average],
    }
}

/// Numbers in the row that [`schedule`] makes: rate, fade, steps, decay, 1 − decay.
pub const SCHEDULE: u32 = 5;
/// Numbers in the state of a schedule: the steps i so far, 1 − decayⁱ, the rate of the last step, and its weight in the
/// average.
pub const SCHEDULE_STATE: u32 = 4;

/// The row of a schedule: step i, counted from 0, has the rate rate·(1 − fade·i/steps), in 8-bit levels, and what
/// [`Descend`] averages counts `decay` times as much with each step that follows. `decay` is 0 or more and less than 1,
/// `steps` 1 or more. 1 − decay is not left to kernels, as in [`hyper`](super::adam::hyper).
pub fn schedule(rate: f32, fade: f32, steps: u32, decay: f32) -> [f32; SCHEDULE as usize] {
    [rate, fade, steps as f32, decay, 1.0 - decay]
}

/// Makes the rate and the weight of the next step. Inputs the [`schedule`] (1, 1, 5) and the state (1, 1, 4), all
/// zeros before the first step; output the state in its place. The weight is that of an average without a bias
/// towards 0: after any number of steps the weights of what was averaged sum to 1.
#[derive(Debug)]
pub struct ScheduleAdvance;

impl Op for ScheduleAdvance {
    fn name(&self) -> &'static str {
        "schedule_advance"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs == [Shape::row(SCHEDULE), Shape::row(SCHEDULE_STATE)];
        expect_shapes(self.name(), fits, "schedule 1×1×5 and state 1×1×4", inputs)?;
        Ok(inputs[1])
    }

    fn in_place(&self) -> Option<usize> {
        Some(1)
    }

    fn lower(&self, _io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let operands = vec![Operand::input(0, 0), Operand::output(0)];
        let params = ScheduleParams { unused: 0 };
        let dispatch = Dispatch::new(&kernels::schedule_advance, params, operands, 1, 8);
        Ok(Lowered { dispatches: vec![dispatch], ..Lowered::default() })
    }
}

/// What [`Adam`](super::adam::Adam) would change a level by at a learning rate of 1: m ← β₁m + (1−β₁)g; v ← β₂v +
/// (1−β₂)g²; d = √(1−β₂ᵗ)/(1−β₁ᵗ)·m/(√v + ε). Inputs Adam's hyper (1, 1, 6), of which the learning rate is not read,
/// its state of this step (1, 1, 3), and g, m, v (C, H, W); m and v are updated in place, and d is the output.
#[derive(Debug)]
pub struct AdamLevel;

impl Op for AdamLevel {
    fn name(&self) -> &'static str {
        "adam_level"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 5
            && inputs[..2] == [Shape::row(HYPER), Shape::row(STATE)]
            && inputs[3..].iter().all(|shape| *shape == inputs[2]);
        expect_shapes(self.name(), fits, "hyper, state, and g, m, v of one shape", inputs)?;
        Ok(inputs[2])
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let params = |piece| LevelParams { count: io.output().piece_elements(piece) };
        let operands = |piece| {
            vec![
                Operand::input(0, 0),
                Operand::input(1, 0),
                Operand::input(2, piece),
                Operand::input(3, piece),
                Operand::input(4, piece),
                Operand::output(piece),
            ]
        };
        let dispatches = elementwise(&kernels::adam_level, io.output(), 13, params, operands);
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}

/// Moves the pixels against d and averages where they have been: x ← clamp(x − rate·d, −mean, 255 − mean) in each
/// channel, then average ← (1 − weight)·average + weight·x. A NaN stays a NaN, so that a clamp does not hide that
/// numbers are not finite any more. Inputs the state of a schedule after [`ScheduleAdvance`] (1, 1, 4), the mean
/// (1, 1, 3), and d, x, average (3, H, W); x and average are updated in place, and x is the output.
#[derive(Debug)]
pub struct Descend;

impl Op for Descend {
    fn name(&self) -> &'static str {
        "descend"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 5
            && inputs[..2] == [Shape::row(SCHEDULE_STATE), MEAN_SHAPE]
            && inputs[2].c == 3
            && inputs[3..].iter().all(|shape| *shape == inputs[2]);
        let rule = "the state of a schedule 1×1×4, the mean 1×1×3, and d, x, average 3×H×W of one shape";
        expect_shapes(self.name(), fits, rule, inputs)?;
        Ok(inputs[3])
    }

    fn in_place(&self) -> Option<usize> {
        Some(3)
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let plane = io.output().shape.plane() as u32;
        let params = |piece: usize| {
            let channels = &io.output().pieces[piece];
            DescendParams { plane, channel: channels.start, channels: channels.end - channels.start }
        };
        let operands = |piece| {
            vec![
                Operand::input(0, 0),
                Operand::input(1, 0),
                Operand::input(2, piece),
                Operand::output(piece),
                Operand::input(4, piece),
            ]
        };
        let dispatches = elementwise(&kernels::descend, io.output(), 8, params, operands);
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}
