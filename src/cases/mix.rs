//! Cases of the mixture of a picture with noise.

use super::{Case, Dimensions, Elements, Family, MANY, OwnCase, SIZES, Tolerance, Twin, all_signed, signed};
use crate::ops::mix::Mix;
use crate::reference;

pub(super) static FORWARD: Family = Family {
    name: "mix",
    list,
    twin: |op, inputs, _| {
        let Mix { ratio } = op.downcast::<Mix>()?;
        Some(Twin::new(reference::mix(inputs[0], inputs[1], f64::from(*ratio))))
    },
    of: |op, shapes| {
        op.downcast::<Mix>()?;
        Some(OwnCase::new(all_signed(shapes), tolerance()))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

fn tolerance() -> Tolerance {
    // Two products within ±1, and their sum.
    Tolerance::few(1, 2.0)
}

fn list() -> Vec<Case> {
    let ratios = [0.6, 0.0, 1.0, 0.25, 0.6, 0.125, 0.9];
    let cases = SIZES.into_iter().chain([MANY]).zip(ratios).map(|(x, ratio)| {
        let inputs = vec![signed(x), signed(x)];
        FORWARD.case(format!("{x}, {ratio} of noise"), Mix { ratio }, inputs, tolerance())
    });
    cases.collect()
}
