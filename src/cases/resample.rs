//! Cases of resampling.

use super::tolerance::EPSILON;
use super::twin::{bytes, plane};
use super::{Case, Dimensions, Elements, Family, Fill, OwnCase, Tolerance, Twin, input};
use crate::ops::Shape;
use crate::ops::resample::Resample;
use crate::reference;

pub(super) static FORWARD: Family = Family {
    name: "resample_forward",
    list,
    twin: |op, inputs, shapes| {
        let Resample { height, width } = *op.downcast()?;
        let size = (height as usize, width as usize);
        Some(Twin::bytes(reference::resample_forward(&bytes(inputs[0]), plane(shapes[0]), size)))
    },
    of: |op, shapes| {
        let tolerance = tolerance(*op.downcast()?, shapes[0]);
        Some(OwnCase::new(vec![input(shapes[0], Fill::Rgba)], tolerance))
    },
    elements: |_| Elements::Bytes,
    dimensions: Dimensions::of_largest,
};

fn tolerance(op: Resample, x: Shape) -> Tolerance {
    // Places are in pixels before, and a weight changes by places in those of the coarser scale.
    let place = |before: u32, after: u32| f64::from(before).min(f64::from(after)) * EPSILON;
    Tolerance {
        atol: 0.5 + 1e-3 + 500.0 * (place(x.h, op.height) + place(x.w, op.width)),
        rtol: 0.0,
        reason: "half a level is the rounding to 8 bits. Weights are off by a few times 2⁻²³ and their sizes add up \
                 to less than 2 in each direction: a thousandth of a level. A place rounds by up to 2⁻²³ of the \
                 side, and where black and white alternate, what stands at a place changes by fewer than 500 levels \
                 a pixel",
    }
}

fn list() -> Vec<Case> {
    // Smaller, larger, one side each way, by little, as they are.
    [
        ((1, 1), (1, 1)),
        ((1, 1), (5, 3)),
        ((5, 7), (1, 1)),
        ((7, 5), (13, 11)),
        ((2, 3), (37, 41)),
        ((61, 67), (23, 19)),
        ((61, 67), (60, 68)),
        ((41, 37), (41, 37)),
        ((127, 31), (31, 127)),
        ((211, 199), (97, 211)),
        ((331, 337), (17, 13)),
        // More than 65535 workgroups between the two passes.
        ((2, 70_001), (61, 5)),
    ]
    .map(|((h, w), (height, width))| {
        let x = Shape::new(1, h, w);
        let op = Resample { height, width };
        let what = format!("{h}×{w} to {height}×{width}");
        FORWARD.case(what, op, vec![input(x, Fill::Rgba)], tolerance(op, x))
    })
    .into()
}
