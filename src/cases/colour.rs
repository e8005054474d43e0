//! Cases of the colours of pictures.

use super::case::Case;
use super::common::MANY;
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase};
use super::input::{Fill, Input, input};
use super::random::Random;
use super::tolerance::{EPSILON, Tolerance};
use super::twin::{Twin, as_words, bytes, plane};
use crate::ops::Shape;
use crate::ops::colour::{Grey, Replace, Transform, Transport};
use crate::ops::preprocess::MEAN_SHAPE;
use crate::picture::Extent;
use crate::reference;

pub(super) static GREY: Family = Family {
    name: "colour_grey",
    list: grey,
    twin: |op, inputs, shapes| {
        op.downcast::<Grey>()?;
        let levels = reference::colour_grey::<f64>(&bytes(inputs[0]), plane(shapes[0]));
        let rgba: Vec<u8> =
            levels.iter().flat_map(|level| [*level as u8; 3].into_iter().chain([255])).collect();
        Some(Twin::new(as_words(&rgba)))
    },
    of: |op, shapes| {
        op.downcast::<Grey>()?;
        Some(OwnCase::new(vec![input(shapes[0], Fill::Rgba)], Tolerance::EXACT))
    },
    elements: |_| Elements::Words,
    dimensions: Dimensions::of_largest,
};

pub(super) static TRANSPORT: Family = Family {
    name: "colour_transport",
    list: transport,
    twin: |op, inputs, _| {
        let Transport { ridge } = *op.downcast()?;
        Some(Twin::new(reference::colour_transport(inputs[0], inputs[1], f64::from(ridge))))
    },
    of: |op, _| {
        op.downcast::<Transport>()?;
        Some(OwnCase::new(covariances([PAINTING, PHOTOGRAPH]), transport_tolerance()))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static TRANSFORM: Family = Family {
    name: "colour_transform",
    list: transform,
    twin: |op, inputs, _| {
        op.downcast::<Transform>()?;
        Some(Twin::new(reference::colour_transform(inputs[0], inputs[1], inputs[2])))
    },
    of: |op, shapes| {
        op.downcast::<Transform>()?;
        Some(OwnCase::new(transformed(shapes[0]), transform_tolerance()))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static REPLACE: Family = Family {
    name: "colour_replace",
    list: replace,
    twin: |op, inputs, _| {
        op.downcast::<Replace>()?;
        let mean = [inputs[2][0], inputs[2][1], inputs[2][2]];
        Some(Twin::new(reference::colour_replace(inputs[0], &bytes(inputs[1]), mean)))
    },
    of: |op, shapes| {
        op.downcast::<Replace>()?;
        Some(OwnCase::new(replaced(shapes[0]), replace_tolerance()))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

/// The channel means that the network was trained with, RGB.
const MEAN: [f32; 3] = [123.68, 116.779, 103.939];

const SIZES: [Extent; 4] =
    [Extent::new(1, 1), Extent::new(7, 5), Extent::new(67, 61), Extent { width: MANY.w, height: MANY.h }];

/// Standard deviations of the colours of a picture, in levels, along three axes that are like those of most: light and dark,
/// then two of hue.
type Spread = [f32; 3];
const PHOTOGRAPH: Spread = [60.0, 20.0, 8.0];
const PAINTING: Spread = [45.0, 30.0, 12.0];
/// Hardly any chroma.
const SKETCH: Spread = [80.0, 1.0, 0.7];
const FLAT: Spread = [0.0; 3];

/// A covariance of colours with this spread, whose axes are turned a little by `seed`.
fn covariance(spread: Spread, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed);
    let mut axes = [[0.577, 0.577, 0.577], [0.707, 0.0, -0.707], [0.408, -0.816, 0.408]];
    for element in axes.as_flattened_mut() {
        *element += 0.1 * random.uniform(-1.0, 1.0);
    }
    let element = |at: usize| {
        let terms = axes
            .iter()
            .zip(spread)
            .map(|(axis, spread)| axis[at / 3] * axis[at % 3] * f64::from(spread * spread));
        terms.sum::<f64>() as f32
    };
    (0..9).map(element).collect()
}

/// A covariance for each spread.
fn covariances(spreads: [Spread; 2]) -> Vec<Input> {
    let of = |(seed, spread)| input(Shape::new(1, 3, 3), Fill::Given(covariance(spread, seed)));
    (1..).zip(spreads).map(of).collect()
}

fn transport_tolerance() -> Tolerance {
    Tolerance {
        atol: 4096.0 * EPSILON,
        rtol: 64.0 * EPSILON,
        reason: "a small variance is what is left of a large one by rotations, so that it is off by 2⁻²⁴ of the large \
                 one, some thousand times as much of itself, and its root goes into the map",
    }
}

fn transform_tolerance() -> Tolerance {
    // Products within ±160 · 4 that may cancel, and a shift within ±100.
    Tolerance::few(4, 3000.0)
}

fn replace_tolerance() -> Tolerance {
    // What is left of a sum of levels near white is divided by the chroma of one channel, and multiplied by that of another,
    // which may be eight times as large.
    Tolerance::few(4, 16.0 * 255.0)
}

fn pixels(shape: Shape) -> Input {
    // Some lie outside what a picture can show.
    input(shape, Fill::Between(-160.0, 160.0))
}

fn transformed(x: Shape) -> Vec<Input> {
    let map = input(Shape::new(1, 3, 3), Fill::Between(-4.0, 4.0));
    vec![pixels(x), map, input(MEAN_SHAPE, Fill::Between(-90.0, 90.0))]
}

fn replaced(x: Shape) -> Vec<Input> {
    let mean = input(MEAN_SHAPE, Fill::Given(MEAN.to_vec()));
    vec![pixels(x), input(Shape { c: 1, ..x }, Fill::Rgba), mean]
}

fn grey() -> Vec<Case> {
    let cases = SIZES.map(|Extent { width, height }| {
        let inputs = vec![input(Shape::new(1, height, width), Fill::Rgba)];
        GREY.case(format!("{height}×{width}"), Grey, inputs, Tolerance::EXACT)
    });
    cases.into()
}

fn transport() -> Vec<Case> {
    let pairs = [
        ("a painting to a photograph", [PAINTING, PHOTOGRAPH]),
        ("a photograph to a painting", [PHOTOGRAPH, PAINTING]),
        ("a photograph to a sketch", [PHOTOGRAPH, SKETCH]),
        ("a sketch to a painting", [SKETCH, PAINTING]),
        ("what is flat to a painting", [FLAT, PAINTING]),
        ("a painting to what is flat", [PAINTING, FLAT]),
        ("what is flat to what is flat", [FLAT, FLAT]),
    ];
    let cases = pairs.into_iter().zip([0.1, 0.1, 0.1, 1.0, 0.1, 0.1, 0.1]).map(|((what, spreads), ridge)| {
        TRANSPORT.case(what.to_owned(), Transport { ridge }, covariances(spreads), transport_tolerance())
    });
    cases.collect()
}

fn transform() -> Vec<Case> {
    let cases = SIZES.map(|Extent { width, height }| {
        let x = Shape::new(3, height, width);
        TRANSFORM.case(x.to_string(), Transform, transformed(x), transform_tolerance())
    });
    cases.into()
}

fn replace() -> Vec<Case> {
    let cases = SIZES.map(|Extent { width, height }| {
        let x = Shape::new(3, height, width);
        REPLACE.case(x.to_string(), Replace, replaced(x), replace_tolerance())
    });
    cases.into()
}
