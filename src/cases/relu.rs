//! Cases of ReLU and of its mask.

use super::case::Case;
use super::common::{MANY, SIZES};
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase};
use super::input::{all_signed, mask, signed};
use super::tolerance::Tolerance;
use super::twin::{Twin, size, words};
use crate::ops::relu::{Relu, ReluBackward};
use crate::reference;

pub(super) static FORWARD: Family = Family {
    name: "relu_forward",
    list: forward,
    twin: |op, inputs, shapes| {
        let relu = op.downcast::<Relu>()?;
        Some(Twin::new(reference::relu_forward(inputs[0])).with_mask(relu.mask, shapes[0]))
    },
    of: |op, shapes| {
        op.downcast::<Relu>()?;
        Some(OwnCase::new(all_signed(shapes), Tolerance::EXACT))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static BACKWARD: Family = Family {
    name: "relu_backward",
    list: backward,
    twin: |op, inputs, shapes| {
        op.downcast::<ReluBackward>()?;
        Some(Twin::new(reference::relu_backward(inputs[0], &words(inputs[1]), size(shapes[0]))))
    },
    of: |op, shapes| {
        op.downcast::<ReluBackward>()?;
        Some(OwnCase::new(vec![signed(shapes[0]), mask(shapes[0])], Tolerance::EXACT))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

fn forward() -> Vec<Case> {
    let sizes = SIZES.into_iter().chain([MANY]);
    let cases = sizes.flat_map(|x| {
        [Relu { mask: false }, Relu { mask: true }].map(|op| {
            let what = format!("{x}{}", if op.mask { ", mask" } else { "" });
            FORWARD.case(what, op, vec![signed(x)], Tolerance::EXACT)
        })
    });
    cases.collect()
}

fn backward() -> Vec<Case> {
    SIZES
        .map(|x| BACKWARD.case(x.to_string(), ReluBackward, vec![signed(x), mask(x)], Tolerance::EXACT))
        .into()
}
