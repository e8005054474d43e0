//! Cases of features by their direction.

use super::case::Case;
use super::common::{MANY, SIZES};
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase};
use super::input::{Fill, Input, input, signed};
use super::tolerance::Tolerance;
use super::twin::{Twin, plane, size};
use crate::ops::Shape;
use crate::ops::unit::{Stack, Unit};
use crate::reference;

pub(super) static UNIT: Family = Family {
    name: "unit",
    list: unit,
    twin: |op, inputs, shapes| {
        op.downcast::<Unit>()?;
        Some(Twin::new(reference::unit(inputs[0], inputs[1], size(shapes[0]))))
    },
    of: |op, shapes| {
        op.downcast::<Unit>()?;
        Some(OwnCase::new(vec![signed(shapes[0]), signed(shapes[1])], tolerance(shapes[0].c)))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static STACK: Family = Family {
    name: "stack",
    list: stack,
    twin: |op, inputs, shapes| {
        op.downcast::<Stack>()?;
        Some(Twin::new(reference::stack(inputs[0], inputs[1], plane(shapes[0]))))
    },
    of: |op, shapes| {
        op.downcast::<Stack>()?;
        Some(OwnCase::new(shapes.iter().map(|shape| signed(*shape)).collect(), tolerance(both(shapes).c)))
    },
    elements: |_| Elements::Floats,
    dimensions: |inputs, output| Dimensions::new(both(inputs), output),
};

/// What both inputs make together.
fn both(shapes: &[Shape]) -> Shape {
    Shape { c: shapes[0].c + shapes[1].c, ..shapes[0] }
}

fn tolerance(channels: u32) -> Tolerance {
    // A difference, its square, their sum, a root, the sum with epsilon, a division.
    Tolerance::positive_sum(u64::from(channels) + 16)
}

/// Sizes that are also split: few cells of many channels.
fn sizes() -> impl Iterator<Item = Shape> {
    SIZES.into_iter().chain([Shape::new(131, 5, 3), MANY])
}

fn unit() -> Vec<Case> {
    let case = |what: String, x: Input| {
        let centre = signed(Shape::row(x.shape.c));
        let channels = x.shape.c;
        UNIT.case(what, Unit, vec![x, centre], tolerance(channels))
    };
    sizes().map(|x| case(x.to_string(), signed(x))).collect()
}

fn stack() -> Vec<Case> {
    let case = |what: String, inputs: Vec<Input>| {
        let tolerance = tolerance(inputs[0].shape.c + inputs[1].shape.c);
        STACK.case(what, Stack, inputs, tolerance)
    };
    let above = |x: Shape| Shape { c: 2 * x.c + 1, ..x };
    let mut cases: Vec<Case> =
        sizes().map(|x| case(format!("{x} and {}", above(x)), vec![signed(x), signed(above(x))])).collect();
    // Nothing to divide by.
    let x = Shape::new(2, 3, 5);
    let zero = || input(x, Fill::Between(0.0, 0.0));
    cases.push(case(format!("{x}, zero"), vec![zero(), zero()]));
    cases
}
