//! Planes whose last row or column is followed by the first one.

/// Along which sides of a plane the end is followed by the beginning, so that copies of it can be laid side by side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Wrap {
    /// The last row is followed by the first one.
    pub y: bool,
    /// The last column is followed by the first one.
    pub x: bool,
}

impl Wrap {
    // They stand beside those of the epilogue in one word of flags.
    /// Flag bit: beyond the first and the last row lie the rows from the other end.
    pub const FLAG_Y: u32 = 512;
    /// Flag bit: the same of columns.
    pub const FLAG_X: u32 = 1024;
    /// Flag bit of convolutions: the same along depth.
    pub const FLAG_D: u32 = 2048;
    /// Along no side.
    pub const NONE: Self = Self { y: false, x: false };
    /// Along both sides.
    pub const BOTH: Self = Self { y: true, x: true };

    /// Flag bits for kernels.
    pub(crate) const fn flags(self) -> u32 {
        let y = if self.y { Self::FLAG_Y } else { 0 };
        y | if self.x { Self::FLAG_X } else { 0 }
    }
}
