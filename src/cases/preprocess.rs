//! Cases of what turns pictures into pixels, and back.

use super::twin::{as_words, bytes, plane};
use super::{Case, Dimensions, Elements, Family, Fill, MANY, OwnCase, Tolerance, Twin, input};
use crate::ops::Shape;
use crate::ops::preprocess::{Postprocess, Preprocess};
use crate::picture::Extent;
use crate::reference;

pub(super) static PREPROCESS: Family = Family {
    name: "preprocess",
    list: preprocess,
    twin: |op, inputs, shapes| {
        let mean = op.downcast::<Preprocess>()?.mean.map(f64::from);
        Some(Twin::new(reference::preprocess(&bytes(inputs[0]), plane(shapes[0]), mean)))
    },
    of: |op, shapes| {
        op.downcast::<Preprocess>()?;
        Some(OwnCase::new(vec![input(shapes[0], Fill::Rgba)], preprocess_tolerance()))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static POSTPROCESS: Family = Family {
    name: "postprocess",
    list: postprocess,
    twin: |op, inputs, shapes| {
        let mean = op.downcast::<Postprocess>()?.mean.map(f64::from);
        Some(Twin::new(as_words(&reference::postprocess(inputs[0], plane(shapes[0]), mean))))
    },
    of: |op, shapes| {
        let mean = op.downcast::<Postprocess>()?.mean;
        Some(OwnCase::new(vec![input(shapes[0], Fill::Pixels(mean))], Tolerance::EXACT))
    },
    elements: |_| Elements::Words,
    dimensions: Dimensions::of_largest,
};

fn preprocess_tolerance() -> Tolerance {
    Tolerance::few(1, 0.0)
}

/// The channel means that the network was trained with, RGB.
const MEAN: [f32; 3] = [123.68, 116.779, 103.939];

const SIZES: [Extent; 3] = [Extent::new(1, 1), Extent::new(7, 5), Extent::new(67, 61)];

fn preprocess() -> Vec<Case> {
    let many = Extent { width: MANY.w, height: MANY.h };
    let cases = SIZES.into_iter().chain([many]).map(|Extent { width, height }| {
        let inputs = vec![input(Shape::new(1, height, width), Fill::Rgba)];
        let what = format!("{height}×{width}");
        PREPROCESS.case(what, Preprocess { mean: MEAN }, inputs, preprocess_tolerance())
    });
    cases.collect()
}

fn postprocess() -> Vec<Case> {
    let cases = SIZES.into_iter().chain([Extent::new(199, 211)]).map(|Extent { width, height }| {
        let inputs = vec![input(Shape::new(3, height, width), Fill::Pixels(MEAN))];
        let what = format!("{height}×{width}");
        POSTPROCESS.case(what, Postprocess { mean: MEAN }, inputs, Tolerance::EXACT)
    });
    cases.collect()
}
