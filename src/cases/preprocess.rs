//! Cases of what turns pictures into pixels, and back.

use super::case::Case;
use super::common::MANY;
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase};
use super::input::{Fill, Input, input};
use super::tolerance::Tolerance;
use super::twin::{Twin, as_words, bytes, plane, size};
use crate::ops::preprocess::{ClampPixels, MEAN_SHAPE, Postprocess, Preprocess, ResizePostprocess};
use crate::ops::resize::{Filter, Resize};
use crate::ops::{Shape, Wrap};
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
        if let Some(&ResizePostprocess { resize, postprocess }) = op.downcast() {
            let to = (resize.height as usize, resize.width as usize);
            let x = reference::resize(inputs[0], size(shapes[0]), to, resize.filter, resize.wrap);
            return Some(Twin::bytes(shown(&x, rgb(inputs[1]), postprocess)));
        }
        let Postprocess { rounded } = *op.downcast()?;
        let rgba = reference::postprocess(inputs[0], plane(shapes[0]), rgb(inputs[1]), rounded);
        Some(Twin::new(as_words(&rgba)))
    },
    of: |op, shapes| {
        if op.downcast::<ResizePostprocess>().is_some() {
            return Some(OwnCase::new(vec![wide(shapes[0]), mean()], RESIZED));
        }
        let op: Postprocess = *op.downcast()?;
        Some(OwnCase::new(vec![numbers(op, shapes[0]), mean()], Tolerance::EXACT))
    },
    elements: |op| match op.downcast::<ResizePostprocess>() {
        Some(_) => Elements::Bytes,
        None => Elements::Words,
    },
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

/// Of a picture that is resized on its way to bytes.
const RESIZED: Tolerance = Tolerance {
    atol: 0.5 + 1e-3,
    rtol: 0.0,
    reason: "half a level is the rounding to 8 bits. A sum of up to 1.6 times 160 levels is off by less than 16 times 2⁻²³ of that, as \
             that of planes at another size is: a thousandth of a level",
};

/// What the bytes of planes are rounded from, pixel by pixel with their alpha: where they are truncated, half a level less, so that
/// the bytes are the nearest ones there, too.
fn shown(x: &[f64], mean: [f64; 3], Postprocess { rounded }: Postprocess) -> Vec<f64> {
    let (plane, shift) = (x.len() / 3, if rounded { 0.0 } else { 0.5 });
    let level =
        |pixel: usize, channel: usize| (x[channel * plane + pixel] + mean[channel]).clamp(0.0, 255.0) - shift;
    (0..plane).flat_map(|pixel| [level(pixel, 0), level(pixel, 1), level(pixel, 2), 255.0]).collect()
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
    let resized = [
        (Shape::new(3, 1, 1), Extent::new(3, 5), Wrap::NONE, false),
        (Shape::new(3, 7, 5), Extent::new(11, 13), Wrap { y: true, x: false }, true),
        (Shape::new(3, 61, 67), Extent::new(95, 86), Wrap::NONE, true),
        (Shape::new(3, 149, 141), Extent::new(211, 199), Wrap { y: false, x: true }, true),
    ];
    let resized = resized.into_iter().map(|(x, Extent { width, height }, wrap, rounded)| {
        let resize = Resize { height, width, filter: Filter::Bicubic, wrap };
        let op = ResizePostprocess { resize, postprocess: Postprocess { rounded } };
        let what = format!("{x} to {height}×{width}, {wrap:?}");
        POSTPROCESS.case(what, op, vec![wide(x), mean()], RESIZED)
    });
    cases.chain(resized).collect()
}

fn clamp_pixels() -> Vec<Case> {
    let cases = SIZES.into_iter().chain([Extent::new(199, 211)]).map(|Extent { width, height }| {
        let inputs = vec![wide(Shape::new(3, height, width)), mean()];
        CLAMP_PIXELS.case(format!("{height}×{width}"), ClampPixels, inputs, clamp_tolerance())
    });
    cases.collect()
}
