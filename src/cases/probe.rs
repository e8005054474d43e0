//! Cases of what measures a device: multiply-adds in registers, and a copy.

use super::case::Case;
use super::common::SIZES;
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase};
use super::input::{Fill, Input, all_signed, input, signed};
use super::tolerance::{EPSILON, Tolerance};
use super::twin::Twin;
use crate::ops::Shape;
use crate::ops::probe::{Copy, Peak};
use crate::reference;

pub(super) static PEAK: Family = Family {
    name: "peak",
    list: peak,
    twin: |op, inputs, _| {
        let peak = op.downcast::<Peak>()?;
        let (numbers, steps) = (peak.numbers() as usize, peak.steps() as usize);
        Some(Twin::new(reference::peak(inputs[0], inputs[1], numbers, steps)))
    },
    of: |op, shapes| Some(OwnCase::new(peak_inputs(shapes[0]), peak_tolerance(op.downcast()?))),
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static COPY: Family = Family {
    name: "copy",
    list: copy,
    twin: |op, inputs, _| {
        op.downcast::<Copy>()?;
        Some(Twin::new(reference::copy(inputs[0])))
    },
    of: |op, shapes| {
        op.downcast::<Copy>()?;
        Some(OwnCase::new(all_signed(shapes), Tolerance::EXACT))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

fn peak_tolerance(peak: &Peak) -> Tolerance {
    Tolerance {
        atol: EPSILON,
        rtol: EPSILON * f64::from(peak.steps() + peak.numbers()),
        reason: "each of the steps, and of the additions after them, rounds by 2⁻²⁴ of a positive number, doubled \
                 because a step may round twice. Only the first number may begin below 0, by no more than 1",
    }
}

/// a and b of a probe's multiply-adds. Since a is below 1 and b moves every number by 3 %, one step too few or too
/// many shows.
const FACTORS: [f32; 2] = [0.97, 0.21];

fn peak_inputs(x: Shape) -> Vec<Input> {
    vec![signed(x), input(Shape::row(2), Fill::Given(FACTORS.to_vec()))]
}

fn peak() -> Vec<Case> {
    let cases = Peak::VERSIONS.into_iter().zip(SIZES).enumerate().map(|(index, ((chains, vector), x))| {
        let op = Peak { chains, vector, rounds: 1 + index as u32 % 3 };
        let what = format!("{x}, {} of {chains} chains", if vector { "vectors" } else { "numbers" });
        PEAK.case(what, op, peak_inputs(x), peak_tolerance(&op))
    });
    cases.collect()
}

fn copy() -> Vec<Case> {
    [Shape::new(1, 1, 4), Shape::new(5, 6, 10), Shape::new(17, 12, 31), Shape::new(3, 1202, 1206)]
        .map(|x| COPY.case(x.to_string(), Copy, vec![signed(x)], Tolerance::EXACT))
        .into()
}
