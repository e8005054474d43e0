//! Cases of what turns pictures into pixels, and back.

use super::case::Case;
use super::common::MANY;
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase};
use super::input::{Fill, Input, input};
use super::tolerance::Tolerance;
use super::twin::{Twin, as_words, bytes, plane};
use crate::ops::Shape;
use crate::ops::preprocess::{MEAN_SHAPE, Postprocess, Preprocess};
use crate::picture::Extent;
use crate::reference;

pub(super) static PREPROCESS: Family = Family {
    name: "preprocess",
    list: preprocess,
    twin: |op, inputs, shapes| {
        op.downcast::<Preprocess>()?;
        Some(Twin::new(reference::preprocess(&bytes(inputs[0]), plane(shapes[0]), rgb(inputs[1]))))
    },
    of: |op, shapes| {
        op.downcast::<Preprocess>()?;
        Some(OwnCase::new(vec![input(shapes[0], Fill::Rgba), mean()], preprocess_tolerance()))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static POSTPROCESS: Family = Family {
    name: "postprocess",
    list: postprocess,
    twin: |op, inputs, shapes| {
        op.downcast::<Postprocess>()?;
        let rgba = reference::postprocess(inputs[0], plane(shapes[0]), rgb(inputs[1]));
        Some(Twin::new(as_words(&rgba)))
    },
    of: |op, shapes| {
        op.downcast::<Postprocess>()?;
        Some(OwnCase::new(vec![input(shapes[0], Fill::Pixels(MEAN)), mean()], Tolerance::EXACT))
    },
    elements: |_| Elements::Words,
    dimensions: Dimensions::of_largest,
};

fn preprocess_tolerance() -> Tolerance {
    Tolerance::few(1, 0.0)
}

/// The channel means that the network was trained with, RGB.
const MEAN: [f32; 3] = [123.68, 116.779, 103.939];

fn mean() -> Input {
    input(MEAN_SHAPE, Fill::Given(MEAN.to_vec()))
}

/// A row of three numbers.
fn rgb(row: &[f64]) -> [f64; 3] {
    [row[0], row[1], row[2]]
}

const SIZES: [Extent; 3] = [Extent::new(1, 1), Extent::new(7, 5), Extent::new(67, 61)];

fn preprocess() -> Vec<Case> {
    let many = Extent { width: MANY.w, height: MANY.h };
    let cases = SIZES.into_iter().chain([many]).map(|Extent { width, height }| {
        let inputs = vec![input(Shape::new(1, height, width), Fill::Rgba), mean()];
        let what = format!("{height}×{width}");
        PREPROCESS.case(what, Preprocess, inputs, preprocess_tolerance())
    });
    cases.collect()
}

fn postprocess() -> Vec<Case> {
    let cases = SIZES.into_iter().chain([Extent::new(199, 211)]).map(|Extent { width, height }| {
        let inputs = vec![input(Shape::new(3, height, width), Fill::Pixels(MEAN)), mean()];
        let what = format!("{height}×{width}");
        POSTPROCESS.case(what, Postprocess, inputs, Tolerance::EXACT)
    });
    cases.collect()
}
