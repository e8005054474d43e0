//! Cases of total variation.

use super::case::Case;
use super::common::{ACCUMULATE, BOTH, GATE, MANY, NONE, SIZES, WRAPS};
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase};
use super::input::signed;
use super::tolerance::Tolerance;
use super::twin::{Twin, finish, size};
use crate::ops::total_variation::{TotalVariation, TotalVariationBackward};
use crate::ops::{Shape, Wrap};
use crate::reference;

pub(super) static FORWARD: Family = Family {
    name: "total_variation_forward",
    list: forward,
    twin: |op, inputs, shapes| {
        let TotalVariation { wrap } = *op.downcast()?;
        Some(Twin::new(reference::total_variation_forward(inputs[0], size(shapes[0]), wrap)))
    },
    of: |op, shapes| {
        op.downcast::<TotalVariation>()?;
        Some(OwnCase::new(vec![signed(shapes[0])], forward_tolerance(shapes[0])))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static BACKWARD: Family = Family {
    name: "total_variation_backward",
    list: backward,
    twin: |op, inputs, shapes| {
        let cost = op.downcast::<TotalVariationBackward>()?;
        let dx = reference::total_variation_backward(inputs[0], inputs[1], size(shapes[1]), cost.wrap);
        Some(finish(dx, cost.epilogue, &inputs[2..], shapes[1]))
    },
    of: |op, shapes| {
        let cost = op.downcast::<TotalVariationBackward>()?;
        let own = vec![signed(Shape::SCALAR), signed(shapes[1])];
        Some(OwnCase::new(own, backward_tolerance(shapes[1])).ending_in(cost.epilogue))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

fn forward_tolerance(x: Shape) -> Tolerance {
    // Two terms for each of at most 35 elements a thread, then 256 partials a lane, then a tree.
    Tolerance::positive_sum(90 + x.elements() / 2048)
}

fn backward_tolerance(x: Shape) -> Tolerance {
    // Four differences within ±2, in units of the scale.
    Tolerance::sum(8, 2.0 / x.elements() as f64)
}

fn wrapped() -> impl Iterator<Item = (Shape, Wrap)> {
    WRAPS.into_iter().map(|(c, h, w, wrap)| (Shape::new(c, h, w), wrap))
}

fn described(x: Shape, wrap: Wrap) -> String {
    if wrap == Wrap::NONE { x.to_string() } else { format!("{x}, {wrap:?}") }
}

fn forward() -> Vec<Case> {
    let cases = SIZES.into_iter().chain([MANY]).filter(|x| x.plane() > 1);
    let cases = cases.map(|x| (x, Wrap::NONE)).chain(wrapped().filter(|(x, _)| x.plane() > 1));
    cases
        .map(|(x, wrap)| {
            let what = described(x, wrap);
            FORWARD.case(what, TotalVariation { wrap }, vec![signed(x)], forward_tolerance(x))
        })
        .collect()
}

fn backward() -> Vec<Case> {
    let epilogues = [NONE, ACCUMULATE, BOTH, GATE, BOTH, ACCUMULATE, NONE];
    let cases = SIZES.into_iter().chain([MANY]).map(|x| (x, Wrap::NONE)).zip(epilogues);
    let cases = cases.chain(wrapped().zip(epilogues.into_iter().cycle()));
    let cases = cases.map(|((x, wrap), epilogue)| {
        let inputs = vec![signed(Shape::SCALAR), signed(x)];
        let op = TotalVariationBackward { wrap, epilogue };
        BACKWARD.backward(described(x, wrap), op, epilogue, inputs, x, backward_tolerance(x))
    });
    cases.collect()
}
