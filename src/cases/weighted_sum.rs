//! Cases of weighted sums of costs.

use super::case::Case;
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase};
use super::input::{all_signed, signed};
use super::tolerance::Tolerance;
use super::twin::Twin;
use crate::ops::Shape;
use crate::ops::weighted_sum::{WeightedSum, WeightedSumBackward};
use crate::reference;

pub(super) static FORWARD: Family = Family {
    name: "weighted_sum_forward",
    list: forward,
    twin: |op, inputs, _| {
        let sum = op.downcast::<WeightedSum>()?;
        let xs: Vec<f64> = inputs[1..].iter().map(|x| x[0]).collect();
        let weights = &inputs[0][sum.first as usize..][..xs.len()];
        Some(Twin::new(reference::weighted_sum_forward(&xs, weights)))
    },
    of: |op, shapes| {
        op.downcast::<WeightedSum>()?;
        Some(OwnCase::new(all_signed(shapes), forward_tolerance(shapes.len() as u64 - 1)))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static BACKWARD: Family = Family {
    name: "weighted_sum_backward",
    list: backward,
    twin: |op, inputs, _| {
        let sum = op.downcast::<WeightedSumBackward>()?;
        let dx = reference::weighted_sum_backward(inputs[0], inputs[1]);
        Some(Twin::new(vec![dx[sum.index as usize]]))
    },
    of: |op, shapes| {
        op.downcast::<WeightedSumBackward>()?;
        Some(OwnCase::new(all_signed(shapes), backward_tolerance()))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

fn forward_tolerance(terms: u64) -> Tolerance {
    Tolerance::sum(2 * terms, 1.0)
}

fn backward_tolerance() -> Tolerance {
    Tolerance::few(1, 0.0)
}

fn forward() -> Vec<Case> {
    [(1, 0), (2, 0), (5, 2)]
        .map(|(terms, first)| {
            let mut inputs = vec![signed(Shape::row(terms + first + 1))];
            inputs.extend((0..terms).map(|_| signed(Shape::SCALAR)));
            let what = format!("{terms} from weight {first} on");
            FORWARD.case(what, WeightedSum { first }, inputs, forward_tolerance(terms.into()))
        })
        .into()
}

fn backward() -> Vec<Case> {
    [0, 4]
        .map(|index| {
            let inputs = vec![signed(Shape::SCALAR), signed(Shape::row(5))];
            let op = WeightedSumBackward { index };
            BACKWARD.case(format!("weight {index}"), op, inputs, backward_tolerance())
        })
        .into()
}
