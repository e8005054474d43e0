//! Shapes, epilogues and a ReLU that the cases of several ops have.

use crate::ops::relu::Relu;
use crate::ops::{Epilogue, Shape, Wrap};

/// A shape of more than 65535 workgroups for kernels whose threads own one element.
pub(super) const MANY: Shape = Shape::new(3, 1201, 1203);

/// Sizes for kernels that do not look beyond one element or one window: one cell, one row, one column, odd,
/// prime, width ≠ height.
pub(super) const SIZES: [Shape; 6] = [
    Shape::new(1, 1, 1),
    Shape::new(3, 5, 7),
    Shape::new(5, 1, 9),
    Shape::new(17, 8, 1),
    Shape::new(70, 13, 11),
    Shape::new(17, 37, 41),
];

pub(super) const RELU: Relu = Relu { mask: false };
pub(super) const NONE: Epilogue = Epilogue { accumulate: false, gate: false };
pub(super) const ACCUMULATE: Epilogue = Epilogue { accumulate: true, gate: false };
pub(super) const GATE: Epilogue = Epilogue { accumulate: false, gate: true };
pub(super) const BOTH: Epilogue = Epilogue { accumulate: true, gate: true };

/// Channels, height and width of planes that wrap, and how: single rows and columns, and sides that end anywhere in a tile.
pub(super) const WRAPS: [(u32, u32, u32, Wrap); 6] = [
    (2, 1, 1, Wrap::BOTH),
    (3, 2, 9, Wrap::BOTH),
    (3, 16, 32, Wrap::BOTH),
    (17, 6, 10, Wrap { y: true, x: false }),
    (5, 13, 7, Wrap { y: false, x: true }),
    (3, 1, 5, Wrap::BOTH),
];
