//! Cases of the addition of two gradients, and of any two tensors, and of mixtures.

use std::sync::Arc;

use super::case::{Case, Step};
use super::common::{MANY, RELU, SIZES};
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase};
use super::input::{all_signed, signed};
use super::tolerance::Tolerance;
use super::twin::Twin;
use crate::ops::add::{Accumulate, Add, Mix};
use crate::reference;

pub(super) static ACCUMULATE: Family = Family {
    name: "accumulate",
    list,
    twin: |op, inputs, _| {
        op.downcast::<Accumulate>()?;
        Some(Twin::new(reference::accumulate(inputs[1], inputs[0])))
    },
    of: |op, shapes| {
        op.downcast::<Accumulate>()?;
        Some(OwnCase::new(all_signed(shapes), tolerance()))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static ADD: Family = Family {
    name: "add",
    list: sums,
    twin: |op, inputs, _| {
        op.downcast::<Add>()?;
        Some(Twin::new(reference::add(inputs[0], inputs[1])))
    },
    of: |op, shapes| {
        op.downcast::<Add>()?;
        Some(OwnCase::new(all_signed(shapes), tolerance()))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static MIX: Family = Family {
    name: "mix",
    list: mixtures,
    twin: |op, inputs, _| {
        let Mix { share } = *op.downcast()?;
        Some(Twin::new(reference::mix(inputs[0], inputs[1], share.into())))
    },
    of: |op, shapes| {
        op.downcast::<Mix>()?;
        Some(OwnCase::new(all_signed(shapes), mixture_tolerance()))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

/// One rounding of a sum within ±2.
fn tolerance() -> Tolerance {
    Tolerance::few(1, 0.0)
}

fn mixture_tolerance() -> Tolerance {
    // Two products within ±1 that may cancel.
    Tolerance::few(2, 2.0)
}

fn list() -> Vec<Case> {
    let cases = SIZES.into_iter().chain([MANY]).map(|x| {
        let mut case = ACCUMULATE.case(x.to_string(), Accumulate, vec![signed(x), signed(x)], tolerance());
        if x == SIZES[5] {
            // In place of a computed tensor.
            case.name += ", computed";
            case.steps[0].inputs = vec![2, 1];
            case.steps.insert(0, Step { op: Arc::new(RELU), inputs: vec![0] });
        }
        case
    });
    cases.collect()
}

fn sums() -> Vec<Case> {
    let cases = SIZES.into_iter().chain([MANY]).map(|x| {
        let mut case = ADD.case(x.to_string(), Add, vec![signed(x), signed(x)], tolerance());
        if x == SIZES[4] {
            // Of a computed tensor with itself.
            case.name += ", with itself";
            case.inputs.truncate(1);
            case.steps[0].inputs = vec![1, 1];
            case.steps.insert(0, Step { op: Arc::new(RELU), inputs: vec![0] });
        }
        case
    });
    cases.collect()
}

fn mixtures() -> Vec<Case> {
    let shares = [0.5, 0.5, 0.3, 1.0, 0.0, 0.123_456_79, 0.9];
    let cases = SIZES.into_iter().chain([MANY]).zip(shares).map(|(x, share)| {
        let what = format!("{share} of {x}");
        MIX.case(what, Mix { share }, vec![signed(x), signed(x)], mixture_tolerance())
    });
    cases.collect()
}
