//! Cases of features minus their mean.

use super::case::Case;
use super::common::MANY;
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase};
use super::input::{all_signed, signed};
use super::tolerance::Tolerance;
use super::twin::Twin;
use crate::ops::Shape;
use crate::ops::centre::Centre;
use crate::reference;

pub(super) static FORWARD: Family = Family {
    name: "centre",
    list: centre,
    twin: |op, inputs, shapes| {
        op.downcast::<Centre>()?;
        Some(Twin::new(reference::centre(inputs[0], inputs[1], shapes[0].plane() as usize)))
    },
    of: |op, shapes| {
        op.downcast::<Centre>()?;
        Some(OwnCase::new(all_signed(shapes), tolerance()))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

fn tolerance() -> Tolerance {
    Tolerance::few(1, 2.0)
}

fn centre() -> Vec<Case> {
    [Shape::new(1, 1, 1), Shape::new(3, 5, 7), Shape::new(37, 1, 9), Shape::new(33, 13, 11), MANY]
        .map(|x| FORWARD.case(x.to_string(), Centre, vec![signed(x), signed(Shape::row(x.c))], tolerance()))
        .into()
}
