//! Cases of the costs.

use super::case::Case;
use super::common::{ACCUMULATE, BOTH, GATE, NONE};
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase};
use super::input::{all_signed, signed};
use super::tolerance::Tolerance;
use super::twin::{Twin, finish};
use crate::ops::Shape;
use crate::ops::squared_error::{SquaredError, SquaredErrorBackward};
use crate::reference;

pub(super) static FORWARD: Family = Family {
    name: "squared_error_forward",
    list: forward,
    twin: |op, inputs, _| {
        op.downcast::<SquaredError>()?;
        Some(Twin::new(reference::squared_error_forward(inputs[0], inputs[1])))
    },
    of: |op, shapes| {
        op.downcast::<SquaredError>()?;
        Some(OwnCase::new(all_signed(shapes), forward_tolerance(shapes[0])))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static BACKWARD: Family = Family {
    name: "squared_error_backward",
    list: backward,
    twin: |op, inputs, shapes| {
        let cost = op.downcast::<SquaredErrorBackward>()?;
        let dx = reference::squared_error_backward(inputs[0], inputs[1], inputs[2]);
        Some(finish(dx, cost.epilogue, &inputs[3..], shapes[1]))
    },
    of: |op, shapes| {
        let cost = op.downcast::<SquaredErrorBackward>()?;
        Some(OwnCase::new(all_signed(&shapes[..3]), backward_tolerance()).ending_in(cost.epilogue))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

fn forward_tolerance(x: Shape) -> Tolerance {
    // At most 35 elements a thread, then 256 partials a lane, then a tree.
    Tolerance::positive_sum(50 + x.elements() / 2048)
}

fn backward_tolerance() -> Tolerance {
    Tolerance::few(4, 0.0)
}

const COST_SIZES: [Shape; 5] = [
    Shape::new(1, 1, 1),
    Shape::new(1, 5, 5),
    Shape::new(17, 23, 19),
    Shape::new(1, 70, 70),
    Shape::new(5, 331, 337),
];

fn forward() -> Vec<Case> {
    let case = |x| {
        let inputs = vec![signed(x), signed(x)];
        FORWARD.case(x.to_string(), SquaredError::content_cost(), inputs, forward_tolerance(x))
    };
    COST_SIZES.map(case).into()
}

fn backward() -> Vec<Case> {
    let epilogues = [NONE, ACCUMULATE, BOTH, GATE, BOTH];
    let cases = COST_SIZES.into_iter().zip(epilogues).map(|(x, epilogue)| {
        let op = SquaredErrorBackward { name: "style_cost_backward", epilogue };
        let inputs = vec![signed(Shape::SCALAR), signed(x), signed(x)];
        BACKWARD.backward(x.to_string(), op, epilogue, inputs, x, backward_tolerance())
    });
    cases.collect()
}
