//! Cases of a copy into another tensor.

use std::sync::Arc;

use super::case::{Case, Step};
use super::common::{MANY, RELU, SIZES};
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase};
use super::input::{all_signed, signed};
use super::tolerance::Tolerance;
use super::twin::Twin;
use crate::ops::store::Store;
use crate::reference;

pub(super) static FORWARD: Family = Family {
    name: "store",
    list,
    twin: |op, inputs, _| {
        op.downcast::<Store>()?;
        Some(Twin::new(reference::store(inputs[0])))
    },
    of: |op, shapes| {
        op.downcast::<Store>()?;
        Some(OwnCase::new(all_signed(shapes), Tolerance::EXACT))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

fn list() -> Vec<Case> {
    let cases = SIZES.into_iter().chain([MANY]).map(|x| {
        let mut case = FORWARD.case(x.to_string(), Store, vec![signed(x), signed(x)], Tolerance::EXACT);
        if x == SIZES[5] {
            // Of a computed tensor.
            case.name += ", computed";
            case.steps[0].inputs = vec![2, 1];
            case.steps.insert(0, Step { op: Arc::new(RELU), inputs: vec![0] });
        }
        case
    });
    cases.collect()
}
