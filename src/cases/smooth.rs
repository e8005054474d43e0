//! Cases of smoothing.

use super::case::Case;
use super::common::{MANY, SIZES, WRAPS};
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase};
use super::input::signed;
use super::tolerance::{EPSILON, Tolerance};
use super::twin::{Twin, size};
use crate::ops::smooth::Smooth;
use crate::ops::{Shape, Wrap};
use crate::reference;

pub(super) static FORWARD: Family = Family {
    name: "smooth",
    list,
    twin: |op, inputs, shapes| {
        let Smooth { scale, wrap } = *op.downcast()?;
        Some(Twin::new(reference::smooth(inputs[0], size(shapes[0]), scale.into(), wrap)))
    },
    of: |op, shapes| Some(OwnCase::new(vec![signed(shapes[0])], tolerance(*op.downcast()?))),
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

/// On numbers within ±1.
fn tolerance(Smooth { scale, .. }: Smooth) -> Tolerance {
    Tolerance {
        atol: 3.0 * EPSILON * f64::from(scale),
        rtol: EPSILON,
        reason: "weights are powers of 2, so only the six additions round: each by 2⁻²⁴ of a partial sum, and a sum by \
                 the weights of which every partial sum is a part is within 1; the product rounds once more",
    }
}

fn list() -> Vec<Case> {
    let scales = [1.0, 0.25, 3.0, 96_000.0, 1.0, 7275.0, 1.0];
    let cases = SIZES.into_iter().chain([MANY]).zip(scales).map(|(x, scale)| {
        let op = Smooth { scale, wrap: Wrap::NONE };
        FORWARD.case(format!("{x} times {scale}"), op, vec![signed(x)], tolerance(op))
    });
    let wrapped = WRAPS.into_iter().map(|(c, h, w, wrap)| {
        let (x, op) = (Shape::new(c, h, w), Smooth { scale: 3.0, wrap });
        FORWARD.case(format!("{x}, {wrap:?}"), op, vec![signed(x)], tolerance(op))
    });
    cases.chain(wrapped).collect()
}
