//! Cases of the match cost.

use super::case::Case;
use super::common::{ACCUMULATE, BOTH, GATE, MANY, NONE, SIZES};
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase};
use super::input::{Fill, Input, input, signed};
use super::tolerance::{EPSILON, Tolerance};
use super::twin::{Twin, finish, size};
use crate::ops::Shape;
use crate::ops::match_cost::{MatchBackward, MatchCost};
use crate::reference;

pub(super) static FORWARD: Family = Family {
    name: "match_cost_forward",
    list: forward,
    twin: |op, inputs, shapes| {
        op.downcast::<MatchCost>()?;
        let &[x, centre, target, share] = inputs else { return None };
        Some(Twin::new(reference::match_cost_forward(x, centre, target, share, size(shapes[0]))))
    },
    of: |op, shapes| {
        op.downcast::<MatchCost>()?;
        Some(OwnCase::new(inputs(shapes[0]), forward_tolerance(shapes[0])))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static BACKWARD: Family = Family {
    name: "match_cost_backward",
    list: backward,
    twin: |op, inputs, shapes| {
        let cost = op.downcast::<MatchBackward>()?;
        let &[dy, x, centre, target, share, ..] = inputs else { return None };
        let dx = reference::match_cost_backward(dy, x, centre, target, share, size(shapes[1]));
        Some(finish(dx, cost.epilogue, &inputs[5..], shapes[1]))
    },
    of: |op, shapes| {
        let cost = op.downcast::<MatchBackward>()?;
        let own = [vec![signed(Shape::SCALAR)], inputs(shapes[1])].concat();
        Some(OwnCase::new(own, backward_tolerance(shapes[1])).ending_in(cost.epilogue))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

/// Features that keep away from their centre, targets that are at most as long as a unit, and shares that add up to about 1.
fn inputs(x: Shape) -> Vec<Input> {
    let most = 1.0 / (x.c as f32).sqrt();
    vec![
        signed(x),
        input(Shape::row(x.c), Fill::Between(1.5, 2.5)),
        input(x, Fill::Between(-most, most)),
        input(Shape { c: 1, ..x }, Fill::Between(0.0, 2.0 / x.plane() as f32)),
    ]
}

fn forward_tolerance(x: Shape) -> Tolerance {
    // Cosines within ±1; at most 353 cells a thread, then 64 partials a lane, then a tree.
    let depth = f64::from(x.c).sqrt() + (80.0 + x.plane() as f64 / 4096.0).sqrt();
    Tolerance {
        atol: EPSILON * (4.0 + depth),
        rtol: 0.0,
        reason: "1, and a mean of numbers within ±1: each of the additions that a product passes through, over channels \
                 and cells, rounds by 2⁻²⁴ of at most about 1, up or down, so that their root counts, doubled",
    }
}

fn backward_tolerance(x: Shape) -> Tolerance {
    // Of a target of at most 1/√C, times a share of at most 2 in the number of cells, over a length of at least √C/2.
    let largest = 4.0 / (f64::from(x.c) * x.plane() as f64);
    Tolerance {
        atol: EPSILON * largest * (8.0 + f64::from(x.c).sqrt()),
        rtol: 0.0,
        reason: "two terms that may cancel, each of a few operations and of sums over the channels, whose roundings by \
                 2⁻²⁴ count by their root, doubled: relative to the largest term",
    }
}

/// Sizes that are also split: few cells of many channels.
fn sizes() -> impl Iterator<Item = Shape> {
    SIZES.into_iter().chain([Shape::new(131, 5, 3), MANY])
}

/// The same with features that are at their centre everywhere: there is no direction.
fn at_centre(x: Shape) -> Vec<Input> {
    let [_, _, target, share] = inputs(x).try_into().expect("four inputs");
    let half = |shape| input(shape, Fill::Between(0.5, 0.5));
    vec![half(x), half(Shape::row(x.c)), target, share]
}

fn forward() -> Vec<Case> {
    let case = |what: String, x, inputs| FORWARD.case(what, MatchCost, inputs, forward_tolerance(x));
    let mut cases: Vec<Case> = sizes().map(|x| case(x.to_string(), x, inputs(x))).collect();
    let x = Shape::new(2, 3, 5);
    cases.push(case(format!("{x} at the centre"), x, at_centre(x)));
    cases
}

fn backward() -> Vec<Case> {
    let case = |what: String, x, inputs, epilogue| {
        let inputs = [vec![signed(Shape::SCALAR)], inputs].concat();
        let op = MatchBackward { epilogue };
        BACKWARD.backward(what, op, epilogue, inputs, x, backward_tolerance(x))
    };
    let epilogues = [NONE, ACCUMULATE, BOTH, GATE, BOTH, ACCUMULATE, GATE, NONE];
    let cases = sizes().zip(epilogues);
    let mut cases: Vec<Case> =
        cases.map(|(x, epilogue)| case(x.to_string(), x, inputs(x), epilogue)).collect();
    let x = Shape::new(2, 3, 5);
    cases.push(case(format!("{x} at the centre"), x, at_centre(x), NONE));
    cases
}
