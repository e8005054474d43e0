//! Cases of the costs of covariances.

use super::case::Case;
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase};
use super::input::{Fill, Input, input, signed};
use super::tolerance::Tolerance;
use super::twin::Twin;
use crate::ops::Shape;
use crate::ops::covariance_cost::{CovarianceCost, CovarianceCostBackward};
use crate::reference;

pub(super) static FORWARD: Family = Family {
    name: "covariance_cost_forward",
    list: forward,
    twin: |op, inputs, shapes| {
        op.downcast::<CovarianceCost>()?;
        let [moments, target, norm] = inputs[..3].try_into().ok()?;
        Some(Twin::new(reference::covariance_cost_forward(moments, target, norm, shapes[0].w as usize)))
    },
    of: |op, shapes| {
        op.downcast::<CovarianceCost>()?;
        Some(OwnCase::new(cost_inputs(shapes[0].w), forward_tolerance(shapes[0].w)))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static BACKWARD: Family = Family {
    name: "covariance_cost_backward",
    list: backward,
    twin: |op, inputs, shapes| {
        op.downcast::<CovarianceCostBackward>()?;
        let [dy, moments, target, norm] = inputs[..4].try_into().ok()?;
        let channels = shapes[1].w as usize;
        Some(Twin::new(reference::covariance_cost_backward(dy, moments, target, norm, channels)))
    },
    of: |op, shapes| {
        op.downcast::<CovarianceCostBackward>()?;
        Some(OwnCase::new(backward_inputs(shapes[1].w), backward_tolerance(shapes[1].w)))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

fn forward_tolerance(channels: u32) -> Tolerance {
    // A difference of covariances is within ±3, over a norm of at least 1/2.
    Tolerance::sum(u64::from(channels) * u64::from(channels) + 8, 36.0)
}

fn backward_tolerance(channels: u32) -> Tolerance {
    // Twice the sum of two such differences, each over the norm twice.
    Tolerance::sum(u64::from(channels) + 8, 48.0)
}

/// The moments, the target's covariance, neither of them symmetric so that a transposed one is found, and a norm above 0.
fn cost_inputs(channels: u32) -> Vec<Input> {
    let norm = input(Shape::SCALAR, Fill::Between(0.5, 2.0));
    vec![signed(Shape::new(1, channels + 1, channels)), signed(Shape::new(1, channels, channels)), norm]
}

fn backward_inputs(channels: u32) -> Vec<Input> {
    let mut inputs = cost_inputs(channels);
    inputs.insert(0, signed(Shape::SCALAR));
    inputs
}

const CHANNELS: [u32; 6] = [1, 3, 17, 33, 64, 131];

/// The cases, and one of a target without covariance.
fn with_flat(case: impl Fn(String, u32) -> Case) -> Vec<Case> {
    let mut cases: Vec<Case> = CHANNELS.map(|channels| case(channels.to_string(), channels)).into();
    let mut flat = case("5, no covariance".to_owned(), 5);
    if let Some(norm) = flat.inputs.last_mut() {
        norm.fill = Fill::Between(0.0, 0.0);
    }
    cases.push(flat);
    cases
}

fn forward() -> Vec<Case> {
    with_flat(|what, channels| {
        FORWARD.case(what, CovarianceCost, cost_inputs(channels), forward_tolerance(channels))
    })
}

fn backward() -> Vec<Case> {
    with_flat(|what, channels| {
        let inputs = backward_inputs(channels);
        BACKWARD.case(what, CovarianceCostBackward, inputs, backward_tolerance(channels))
    })
}
