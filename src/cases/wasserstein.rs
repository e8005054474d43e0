//! Cases of the Wasserstein distance.

use super::case::Case;
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase};
use super::input::{Fill, Input, all_signed, input, signed};
use super::tolerance::Tolerance;
use super::twin::Twin;
use crate::ops::Shape;
use crate::ops::wasserstein::{Divisor, WassersteinBackward, WassersteinCost, WassersteinRest};
use crate::reference;

pub(super) static FORWARD: Family = Family {
    name: "wasserstein_forward",
    list: forward,
    twin: |op, inputs, shapes| {
        op.downcast::<WassersteinCost>()?;
        let [moments, target, g, rest] = inputs[..4].try_into().ok()?;
        let channels = shapes[0].w as usize;
        Some(Twin::new(reference::wasserstein_forward(moments, target, g, rest, channels)))
    },
    of: |op, shapes| {
        op.downcast::<WassersteinCost>()?;
        Some(OwnCase::new(cost_inputs(shapes[0].w), forward_tolerance(shapes[0].w)))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static BACKWARD: Family = Family {
    name: "wasserstein_backward",
    list: backward,
    twin: |op, inputs, shapes| {
        op.downcast::<WassersteinBackward>()?;
        let [dy, moments, target, g, rest] = inputs[..5].try_into().ok()?;
        let channels = shapes[1].w as usize;
        Some(Twin::new(reference::wasserstein_backward(dy, moments, target, g, rest, channels)))
    },
    of: |op, shapes| {
        op.downcast::<WassersteinBackward>()?;
        Some(OwnCase::new(backward_inputs(shapes[1].w), backward_tolerance(shapes[1].w)))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static REST: Family = Family {
    name: "wasserstein_rest",
    list: rest,
    twin: |op, inputs, shapes| {
        let WassersteinRest { divisor } = *op.downcast()?;
        let by_channels = divisor == Divisor::Channels;
        let [covariance, root, g, target] = inputs[..4].try_into().ok()?;
        let channels = shapes[0].w as usize;
        Some(Twin::new(reference::wasserstein_rest(covariance, root, g, target, channels, by_channels)))
    },
    of: |op, shapes| {
        op.downcast::<WassersteinRest>()?;
        Some(OwnCase::new(all_signed(shapes), rest_tolerance(shapes[0].w)))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

fn forward_tolerance(channels: u32) -> Tolerance {
    // A covariance is within ±2 and a squared difference within 4, over at least 1/2.
    let elements = u64::from(channels + 1) * u64::from(channels);
    Tolerance::sum(elements + 1, 8.0)
}

fn backward_tolerance(channels: u32) -> Tolerance {
    // The sum of two elements of G times a mean, and twice a difference, over at least 1/2.
    Tolerance::sum(u64::from(channels) + 2, 4.0)
}

fn rest_tolerance(channels: u32) -> Tolerance {
    // Products within ±1, and on the diagonal sums of three terms within ±4.
    Tolerance::sum(u64::from(channels) * u64::from(channels + 3), 4.0)
}

/// The moments and the target's, G, which is not symmetric so that a transposed one is found, and a rest whose variance is above
/// 0.
fn cost_inputs(channels: u32) -> Vec<Input> {
    let moments = Shape::new(1, channels + 1, channels);
    let g = Shape::new(1, channels, channels);
    let rest = input(Shape::row(2), Fill::Between(0.5, 2.0));
    vec![signed(moments), signed(moments), signed(g), rest]
}

fn backward_inputs(channels: u32) -> Vec<Input> {
    let mut inputs = cost_inputs(channels);
    inputs.insert(0, signed(Shape::SCALAR));
    inputs
}

const CHANNELS: [u32; 6] = [1, 3, 17, 33, 64, 131];

/// A target without variance, of five channels.
fn flat(inputs: &mut [Input]) {
    inputs[inputs.len() - 1] = input(Shape::row(2), Fill::Between(0.0, 0.0));
}

fn forward() -> Vec<Case> {
    let case = |what, channels| {
        FORWARD.case(what, WassersteinCost, cost_inputs(channels), forward_tolerance(channels))
    };
    let mut cases: Vec<Case> = CHANNELS.map(|channels| case(channels.to_string(), channels)).into();
    let mut without = case("5, no variance".to_owned(), 5);
    flat(&mut without.inputs);
    cases.push(without);
    cases
}

fn backward() -> Vec<Case> {
    let case = |what, channels| {
        BACKWARD.case(what, WassersteinBackward, backward_inputs(channels), backward_tolerance(channels))
    };
    let mut cases: Vec<Case> = CHANNELS.map(|channels| case(channels.to_string(), channels)).into();
    let mut without = case("5, no variance".to_owned(), 5);
    flat(&mut without.inputs);
    cases.push(without);
    cases
}

fn rest() -> Vec<Case> {
    let case = |channels: u32, divisor, what: String| {
        let inputs = vec![signed(Shape::new(1, channels, channels)); 4];
        REST.case(what, WassersteinRest { divisor }, inputs, rest_tolerance(channels))
    };
    let of_variance = CHANNELS.map(|channels| case(channels, Divisor::Variance, channels.to_string()));
    let of_channels =
        CHANNELS.map(|channels| case(channels, Divisor::Channels, format!("{channels}, over the channels")));
    of_variance.into_iter().chain(of_channels).collect()
}
