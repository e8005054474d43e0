//! What every kernel that produces a gradient can do while it writes: add to a gradient that is already
//! there, and let through only where a ReLU did.

use super::add::Accumulate;
use super::relu::{ReluBackward, expect_whole_mask};
use super::{Io, Op, Operand};
use crate::error::Result;

/// Merged work at the end of a backward op. Its inputs follow the op's own: the gradient to add to first,
/// then the ReLU's mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Epilogue {
    /// dx += … in place instead of dx = ….
    pub accumulate: bool,
    /// dx = 0 where the bit of the ReLU's mask `gate` is not set.
    pub gate: bool,
}

impl Epilogue {
    /// Flag bit: add to what the output holds.
    pub const ACCUMULATE: u32 = 1;
    /// Flag bit: add the bias.
    pub const BIAS: u32 = 2;
    /// Flag bit: apply ReLU.
    pub const RELU: u32 = 4;
    /// Flag bit: zero where the bit of `gate` is not set.
    pub const GATE: u32 = 8;
    /// Flag bit: write the ReLU's mask.
    pub const MASK: u32 = 16;
    /// Flag bit: write a pool of 2×2 instead, of means unless `MAX` is set.
    pub const POOL: u32 = 32;
    /// Flag bit of convolutions: beyond the edges of x lie the nearest elements instead of zeros.
    pub const EDGE: u32 = 64;
    /// Flag bit: a pool takes the largest of its cells.
    pub const MAX: u32 = 128;
    /// Flag bit: write which cells of such a pool won.
    pub const WINNERS: u32 = 256;

    /// This epilogue with `next` merged into it, if that is possible.
    pub(crate) fn absorb(self, next: &dyn Op, slot: usize) -> Option<Self> {
        if self.gate {
            return None;
        }
        if next.downcast::<Accumulate>().is_some() && slot == 1 && !self.accumulate {
            return Some(Self { accumulate: true, ..self });
        }
        (next.downcast::<ReluBackward>().is_some() && slot == 0).then_some(Self { gate: true, ..self })
    }

    /// The input that the output takes over, where `own` is the number of the op's own inputs.
    pub(crate) fn in_place(self, own: usize) -> Option<usize> {
        self.accumulate.then_some(own)
    }

    /// The gate operand, where `own` is the number of the op's own inputs: the whole mask.
    pub(crate) fn gate_operand(self, own: usize, io: &Io<'_>) -> Result<Operand> {
        if !self.gate {
            return Ok(Operand::Unused);
        }
        let index = own + usize::from(self.accumulate);
        expect_whole_mask(&io.inputs[index])?;
        Ok(Operand::input(index, 0))
    }

    /// Flags of dispatch `index` of `count` that together make one output piece: the first begins it, the
    /// others add to it, the last finishes it.
    pub(crate) fn flags(self, index: usize, count: usize) -> u32 {
        let accumulate = if index > 0 || self.accumulate { Self::ACCUMULATE } else { 0 };
        let gate = if index + 1 == count && self.gate { Self::GATE } else { 0 };
        accumulate | gate
    }
}
