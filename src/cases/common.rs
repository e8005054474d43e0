//! Shapes, epilogues and a ReLU that the cases of several ops have.

use crate::ops::relu::Relu;
use crate::ops::{Epilogue, Shape};

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
