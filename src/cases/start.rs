//! Cases of what an optimisation begins with.

use super::case::Case;
use super::common::MANY;
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase};
use super::input::{Fill, Input, input};
use super::tolerance::{EPSILON, Tolerance};
use super::twin::{Twin, bytes, plane};
use crate::ops::Shape;
use crate::ops::start::{LEVELS_SHAPE, Start, levels};
use crate::reference;

pub(super) static FORWARD: Family = Family {
    name: "start",
    list,
    twin: |op, inputs, shapes| {
        let Start { ratio } = op.downcast::<Start>()?;
        let y =
            reference::start(inputs[0], &bytes(inputs[1]), inputs[2], plane(shapes[0]), f64::from(*ratio));
        Some(Twin::new(y))
    },
    of: |op, shapes| {
        let Start { ratio } = op.downcast::<Start>()?;
        Some(OwnCase::new(inputs(shapes[0], *ratio), TOLERANCE))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

const TOLERANCE: Tolerance = Tolerance {
    atol: 0.0,
    rtol: 0.6 * EPSILON,
    reason: "the sum is rounded once, by half of 2⁻²³ of it; a tenth of that is for the rounding of what other roundings \
             lost",
};

/// The channel means that the network was trained with, RGB.
const MEAN: [f32; 3] = [123.68, 116.779, 103.939];

fn inputs(noise: Shape, ratio: f32) -> Vec<Input> {
    vec![
        input(noise, Fill::Between(-20.0, 20.0)),
        input(Shape { c: 1, ..noise }, Fill::Rgba),
        input(LEVELS_SHAPE, Fill::Given(levels(ratio, MEAN))),
    ]
}

fn list() -> Vec<Case> {
    let sizes = [(1, 1), (5, 7), (1, 9), (8, 1), (37, 41), (97, 75), (MANY.h, MANY.w)];
    let ratios = [0.6, 1e-3, 1.0, 0.25, 0.6, 0.123_456_79, 0.9];
    let cases = sizes.into_iter().zip(ratios).map(|((h, w), ratio)| {
        FORWARD.case(
            format!("{h}×{w}, {ratio} of noise"),
            Start { ratio },
            inputs(Shape::new(3, h, w), ratio),
            TOLERANCE,
        )
    });
    cases.collect()
}
