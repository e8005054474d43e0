//! Planes whose last row or column is followed by the first one.

use super::Epilogue;

/// Along which sides of a plane the end is followed by the beginning, so that copies of it can be laid side by side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Wrap {
    /// The last row is followed by the first one.
    pub y: bool,
    /// The last column is followed by the first one.
    pub x: bool,
}

impl Wrap {
    /// Along no side.
    pub const NONE: Self = Self { y: false, x: false };
    /// Along both sides.
    pub const BOTH: Self = Self { y: true, x: true };

    /// Whether it is along any side.
    pub const fn is_any(self) -> bool {
        self.y || self.x
    }

    /// Flag bits for kernels.
    pub(crate) const fn flags(self) -> u32 {
        let y = if self.y { Epilogue::WRAP_Y } else { 0 };
        y | if self.x { Epilogue::WRAP_X } else { 0 }
    }
}
