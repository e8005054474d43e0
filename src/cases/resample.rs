//! Cases of resampling.

use super::case::Case;
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase};
use super::input::{Fill, input};
use super::tolerance::{EPSILON, Tolerance};
use super::twin::{Twin, bytes, plane};
use crate::ops::Shape;
use crate::ops::resample::Resample;
use crate::picture::Extent;
use crate::reference;

pub(super) static FORWARD: Family = Family {
    name: "resample",
    list,
    twin: |op, inputs, shapes| {
        let Resample { height, width } = *op.downcast()?;
        let size = (height as usize, width as usize);
        Some(Twin::bytes(reference::resample(&bytes(inputs[0]), plane(shapes[0]), size)))
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
    let places = place(x.h, op.height) + place(x.w, op.width);
    // Three pixels of the coarser scale on either side.
    let taps = |before: u32, after: u32| 6.0 * (f64::from(before) / f64::from(after)).max(1.0);
    let sums = EPSILON * (taps(x.h, op.height).sqrt() + taps(x.w, op.width).sqrt());
    Tolerance {
        atol: 0.5 + 1e-3 + 500.0 * places + 255.0 * sums,
        rtol: 0.0,
        reason: "half a level is the rounding to 8 bits. Weights are off by a few times 2⁻²³ and their sizes add up \
                 to less than 2 in each direction: a thousandth of a level. A place rounds by up to 2⁻²³ of the \
                 side, and where black and white alternate, what stands at a place changes by fewer than 500 levels \
                 a pixel. Each addition rounds by 2⁻²⁴ of the sum so far, up or down: the root of their number \
                 counts, doubled",
    }
}

fn list() -> Vec<Case> {
    // Smaller, larger, one side each way, by little, as they are.
    [
        (Extent::new(1, 1), Extent::new(1, 1)),
        (Extent::new(1, 1), Extent::new(3, 5)),
        (Extent::new(7, 5), Extent::new(1, 1)),
        (Extent::new(5, 7), Extent::new(11, 13)),
        (Extent::new(3, 2), Extent::new(41, 37)),
        (Extent::new(67, 61), Extent::new(19, 23)),
        (Extent::new(67, 61), Extent::new(68, 60)),
        (Extent::new(37, 41), Extent::new(37, 41)),
        (Extent::new(31, 127), Extent::new(127, 31)),
        (Extent::new(199, 211), Extent::new(211, 97)),
        (Extent::new(337, 331), Extent::new(13, 17)),
        // More than 65535 workgroups between the two passes.
        (Extent::new(70_001, 2), Extent::new(5, 61)),
    ]
    .map(|(before, after)| {
        let x = Shape::new(1, before.height, before.width);
        let Extent { width, height } = after;
        let op = Resample { height, width };
        let what = format!("{}×{} to {height}×{width}", before.height, before.width);
        FORWARD.case(what, op, vec![input(x, Fill::Rgba)], tolerance(op, x))
    })
    .into()
}
