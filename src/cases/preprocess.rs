//! Cases of what turns pictures into pixels, and back.

use super::case::Case;
use super::common::MANY;
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase};
use super::input::{Fill, Input, input};
use super::tolerance::Tolerance;
use super::twin::{Twin, as_words, bytes, plane};
use crate::ops::Shape;
use crate::ops::preprocess::{ClampPixels, MEAN_SHAPE, Postprocess, Preprocess};
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
        let Postprocess { rounded } = *op.downcast()?;
        let rgba = reference::postprocess(inputs[0], plane(shapes[0]), rgb(inputs[1]), rounded);
        Some(Twin::new(as_words(&rgba)))
    },
    of: |op, shapes| {
        let op: Postprocess = *op.downcast()?;
        Some(OwnCase::new(vec![numbers(op, shapes[0]), mean()], Tolerance::EXACT))
    },
    elements: |_| Elements::Words,
    dimensions: Dimensions::of_largest,
};

pub(super) static CLAMP_PIXELS: Family = Family {
    name: "clamp_pixels",
    list: clamp_pixels,
    twin: |op, inputs, _| {
        op.downcast::<ClampPixels>()?;
        Some(Twin::new(reference::clamp_pixels(inputs[0], rgb(inputs[1]))))
    },
    of: |op, shapes| {
        op.downcast::<ClampPixels>()?;
        Some(OwnCase::new(vec![wide(shapes[0]), mean()], clamp_tolerance()))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

fn preprocess_tolerance() -> Tolerance {
    Tolerance::few(1, 0.0)
}

fn clamp_tolerance() -> Tolerance {
    // 255 minus the mean rounds once; all else is copied.
    Tolerance::few(1, 0.0)
}

/// The channel means that the network was trained with, RGB.
const MEAN: [f32; 3] = [123.68, 116.779, 103.939];

fn mean() -> Input {
    input(MEAN_SHAPE, Fill::Given(MEAN.to_vec()))
}

/// Pixels without the mean that no rounding can bring to another byte.
fn numbers(Postprocess { rounded }: Postprocess, shape: Shape) -> Input {
    // Away from whole numbers, or where those count, from halves.
    let shift = if rounded { 0.5 } else { 0.0 };
    input(shape, Fill::Pixels(MEAN.map(|mean| mean - shift)))
}

/// Pixels without the mean, some of them outside what a picture can show.
fn wide(shape: Shape) -> Input {
    input(shape, Fill::Between(-160.0, 160.0))
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
    let sizes = || SIZES.into_iter().chain([Extent::new(199, 211)]);
    let cases = [false, true].into_iter().flat_map(|rounded| sizes().map(move |size| (rounded, size)));
    let cases = cases.map(|(rounded, Extent { width, height })| {
        let op = Postprocess { rounded };
        let inputs = vec![numbers(op, Shape::new(3, height, width)), mean()];
        let what = if rounded { ", rounded" } else { "" };
        POSTPROCESS.case(format!("{height}×{width}{what}"), op, inputs, Tolerance::EXACT)
    });
    cases.collect()
}

fn clamp_pixels() -> Vec<Case> {
    let cases = SIZES.into_iter().chain([Extent::new(199, 211)]).map(|Extent { width, height }| {
        let inputs = vec![wide(Shape::new(3, height, width)), mean()];
        CLAMP_PIXELS.case(format!("{height}×{width}"), ClampPixels, inputs, clamp_tolerance())
    });
    cases.collect()
}
