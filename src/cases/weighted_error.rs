//! Cases of the squared error with weights.

use super::case::Case;
use super::common::{ACCUMULATE, BOTH, GATE, MANY, NONE, SIZES};
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase};
use super::input::{Fill, Input, input, signed};
use super::tolerance::Tolerance;
use super::twin::{Twin, finish, size};
use crate::ops::Shape;
use crate::ops::weighted_error::{CellWeights, WeightedError, WeightedErrorBackward};
use crate::reference;

pub(super) static FORWARD: Family = Family {
    name: "weighted_error_forward",
    list: forward,
    twin: |op, inputs, shapes| {
        op.downcast::<WeightedError>()?;
        let error = reference::weighted_error_forward(inputs[0], inputs[1], inputs[2], size(shapes[0]));
        Some(Twin::new(error))
    },
    of: |op, shapes| {
        op.downcast::<WeightedError>()?;
        Some(OwnCase::new(inputs(shapes[0]), forward_tolerance(shapes[0])))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static BACKWARD: Family = Family {
    name: "weighted_error_backward",
    list: backward,
    twin: |op, inputs, shapes| {
        let error = op.downcast::<WeightedErrorBackward>()?;
        let &[dy, x, target, weights, ..] = inputs else { return None };
        let dx = reference::weighted_error_backward(dy, x, target, weights, size(shapes[1]));
        Some(finish(dx, error.epilogue, &inputs[4..], shapes[1]))
    },
    of: |op, shapes| {
        let error = op.downcast::<WeightedErrorBackward>()?;
        let own = [vec![signed(Shape::SCALAR)], inputs(shapes[1])].concat();
        Some(OwnCase::new(own, backward_tolerance()).ending_in(error.epilogue))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static CELL_WEIGHTS: Family = Family {
    name: "cell_weights",
    list: cell_weights,
    twin: |op, inputs, shapes| {
        op.downcast::<CellWeights>()?;
        Some(Twin::new(reference::cell_weights(inputs[0], inputs[1], size(shapes[0]))))
    },
    of: |op, shapes| {
        op.downcast::<CellWeights>()?;
        Some(OwnCase::new(vec![signed(shapes[0]), signed(shapes[1])], weights_tolerance(shapes[0])))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

/// A tensor, a target and weights.
fn inputs(x: Shape) -> Vec<Input> {
    vec![signed(x), signed(x), input(Shape { c: 1, ..x }, Fill::Between(0.0, 1.0))]
}

fn forward_tolerance(x: Shape) -> Tolerance {
    // At most 35 elements a thread, then 256 partials a lane, then a tree; and two products.
    Tolerance::positive_sum(52 + x.elements() / 2048)
}

fn backward_tolerance() -> Tolerance {
    Tolerance::few(5, 0.0)
}

fn weights_tolerance(x: Shape) -> Tolerance {
    // Two sums over channels, then 89 cells a thread, 256 partials a lane and a tree, and a division.
    Tolerance::positive_sum(u64::from(2 * x.c) + 60 + x.plane() / 2048)
}

fn forward() -> Vec<Case> {
    let cases = SIZES.into_iter().chain([MANY]);
    cases.map(|x| FORWARD.case(x.to_string(), WeightedError, inputs(x), forward_tolerance(x))).collect()
}

fn backward() -> Vec<Case> {
    let epilogues = [NONE, ACCUMULATE, BOTH, GATE, BOTH, ACCUMULATE, NONE];
    let cases = SIZES.into_iter().chain([MANY]).zip(epilogues).map(|(x, epilogue)| {
        let own = [vec![signed(Shape::SCALAR)], inputs(x)].concat();
        let op = WeightedErrorBackward { epilogue };
        BACKWARD.backward(x.to_string(), op, epilogue, own, x, backward_tolerance())
    });
    cases.collect()
}

fn cell_weights() -> Vec<Case> {
    let case = |what: String, x: Input, mean: Input| {
        let tolerance = weights_tolerance(x.shape);
        CELL_WEIGHTS.case(what, CellWeights, vec![x, mean], tolerance)
    };
    let sizes = SIZES.into_iter().chain([MANY]);
    let mut cases: Vec<Case> =
        sizes.map(|x| case(x.to_string(), signed(x), signed(Shape::row(x.c)))).collect();
    // Every cell is the mean.
    let x = Shape::new(2, 3, 5);
    let half = |shape| input(shape, Fill::Between(0.5, 0.5));
    cases.push(case(format!("{x}, flat"), half(x), half(Shape::row(x.c))));
    cases
}
