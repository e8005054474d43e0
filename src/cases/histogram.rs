//! Cases of histograms.

use super::case::Case;
use super::common::MANY;
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase};
use super::input::{Fill, Input, input};
use super::tolerance::Tolerance;
use super::twin::{Twin, bytes};
use crate::ops::Shape;
use crate::ops::histogram::{ApplyLevels, MatchLevels};
use crate::ops::preprocess::MEAN_SHAPE;
use crate::reference;

pub(super) static MATCH: Family = Family {
    name: "histogram_match",
    list: matched,
    twin: |op, inputs, _| {
        op.downcast::<MatchLevels>()?;
        Some(Twin::new(reference::histogram_match(&bytes(inputs[0]), &bytes(inputs[1]))))
    },
    of: |op, shapes| {
        op.downcast::<MatchLevels>()?;
        Some(OwnCase::new(vec![picture(shapes[0]), picture(shapes[1])], Tolerance::EXACT))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static APPLY: Family = Family {
    name: "histogram_apply",
    list: apply,
    twin: |op, inputs, _| {
        op.downcast::<ApplyLevels>()?;
        let mean = [inputs[2][0], inputs[2][1], inputs[2][2]];
        Some(Twin::new(reference::histogram_apply(&bytes(inputs[0]), inputs[1], mean)))
    },
    of: |op, shapes| {
        op.downcast::<ApplyLevels>()?;
        Some(OwnCase::new(applied(shapes[0]), apply_tolerance()))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

/// The channel means that the network was trained with, RGB.
const MEAN: [f32; 3] = [123.68, 116.779, 103.939];

fn picture(shape: Shape) -> Input {
    input(shape, Fill::Rgba)
}

fn apply_tolerance() -> Tolerance {
    Tolerance::few(1, 0.0)
}

fn applied(x: Shape) -> Vec<Input> {
    let table = input(Shape::new(1, 3, 256), Fill::Below(256));
    vec![picture(x), table, input(MEAN_SHAPE, Fill::Given(MEAN.to_vec()))]
}

fn matched() -> Vec<Case> {
    let shape = |height, width| Shape::new(1, height, width);
    let case = |what: String, inputs| MATCH.case(what, MatchLevels, inputs, Tolerance::EXACT);
    // Less than a workgroup, a part that is not full, several parts.
    let sizes = [
        (shape(1, 1), shape(1, 1)),
        (shape(1, 1), shape(7, 5)),
        (shape(61, 67), shape(9, 13)),
        (shape(97, 101), shape(61, 131)),
        (shape(13, 11), shape(613, 617)),
    ];
    sizes.map(|(a, b)| case(format!("{a} to {b}"), vec![picture(a), picture(b)])).into()
}

fn apply() -> Vec<Case> {
    let sizes = [(1, 1), (5, 7), (61, 67), (MANY.h, MANY.w)];
    let cases = sizes.map(|(height, width)| {
        let x = Shape::new(1, height, width);
        APPLY.case(x.to_string(), ApplyLevels, applied(x), apply_tolerance())
    });
    cases.into()
}
