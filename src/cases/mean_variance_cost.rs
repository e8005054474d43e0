//! Cases of the costs of means and deviations.

use super::case::Case;
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase};
use super::input::{Fill, Input, input, signed};
use super::tolerance::{EPSILON, Tolerance};
use super::twin::Twin;
use crate::ops::Shape;
use crate::ops::mean_variance_cost::{MeanVarianceCost, MeanVarianceCostBackward};
use crate::reference;

pub(super) static FORWARD: Family = Family {
    name: "mean_variance_cost_forward",
    list: forward,
    twin: |op, inputs, shapes| {
        op.downcast::<MeanVarianceCost>()?;
        let [moments, target] = inputs[..2].try_into().ok()?;
        Some(Twin::new(reference::mean_variance_cost_forward(moments, target, shapes[0].w as usize)))
    },
    of: |op, shapes| {
        op.downcast::<MeanVarianceCost>()?;
        Some(OwnCase::new(cost_inputs(shapes[0].w, SPREAD), forward_tolerance(shapes[0].w)))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static BACKWARD: Family = Family {
    name: "mean_variance_cost_backward",
    list: backward,
    twin: |op, inputs, shapes| {
        op.downcast::<MeanVarianceCostBackward>()?;
        let [dy, moments, target] = inputs[..3].try_into().ok()?;
        let channels = shapes[1].w as usize;
        Some(Twin::new(reference::mean_variance_cost_backward(dy, moments, target, channels)))
    },
    of: |op, shapes| {
        op.downcast::<MeanVarianceCostBackward>()?;
        Some(OwnCase::new(backward_inputs(shapes[1].w, SPREAD), backward_tolerance(shapes[1].w)))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

/// Moments whose variances lie in 0.11..0.34, and such of which nothing is left.
const SPREAD: [f32; 2] = [0.6, 0.7];
const FLAT: [f32; 2] = [-1.0, -0.5];

const REASON: &str = "a variance of at least 0.11 is the difference of two numbers below 1, which round by 2⁻²⁴ each, and so \
                      is a deviation off by 2·10⁻⁷ and the square of a difference of two, which is within 1/4, by half of \
                      that; all are divided by variances, and the sums round by a few 2⁻²⁴ of themselves";

fn forward_tolerance(channels: u32) -> Tolerance {
    let sum = Tolerance::positive_sum(u64::from(channels).div_ceil(64) + 6);
    Tolerance { atol: 32.0 * EPSILON, rtol: sum.rtol + 16.0 * EPSILON, reason: REASON }
}

fn backward_tolerance(channels: u32) -> Tolerance {
    // The share of a channel in the gradient falls with their number.
    let atol = 256.0 * EPSILON / f64::from(channels);
    let sum = Tolerance::positive_sum(u64::from(channels).div_ceil(64) + 6);
    Tolerance { atol, rtol: sum.rtol + 16.0 * EPSILON, reason: REASON }
}

fn cost_inputs(channels: u32, [low, high]: [f32; 2]) -> Vec<Input> {
    let moments = input(Shape::new(1, channels + 1, channels), Fill::Between(low, high));
    vec![moments.clone(), moments]
}

fn backward_inputs(channels: u32, range: [f32; 2]) -> Vec<Input> {
    let mut inputs = cost_inputs(channels, range);
    inputs.insert(0, signed(Shape::SCALAR));
    inputs
}

const CHANNELS: [u32; 6] = [1, 3, 17, 33, 64, 131];

/// The cases, and one of channels without variance.
fn with_flat(case: impl Fn(String, u32, [f32; 2]) -> Case) -> Vec<Case> {
    let mut cases: Vec<Case> = CHANNELS.map(|channels| case(channels.to_string(), channels, SPREAD)).into();
    cases.push(case("5, no variance".to_owned(), 5, FLAT));
    cases
}

fn forward() -> Vec<Case> {
    with_flat(|what, channels, range| {
        FORWARD.case(what, MeanVarianceCost, cost_inputs(channels, range), forward_tolerance(channels))
    })
}

fn backward() -> Vec<Case> {
    with_flat(|what, channels, range| {
        let inputs = backward_inputs(channels, range);
        BACKWARD.case(what, MeanVarianceCostBackward, inputs, backward_tolerance(channels))
    })
}
