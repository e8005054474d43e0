//! Cases of planes at another size, and of a pyramid's levels that are added up.

use super::case::Case;
use super::common::{MANY, WRAPS};
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase};
use super::input::{all_signed, signed};
use super::tolerance::{EPSILON, Tolerance};
use super::twin::{Twin, plane, size};
use crate::ops::resize::{AddUpsampled, Filter, Resize};
use crate::ops::{Shape, Wrap};
use crate::reference;

pub(super) static FORWARD: Family = Family {
    name: "resize",
    list,
    twin: |op, inputs, shapes| {
        if let Some(&Resize { height, width, filter, wrap }) = op.downcast() {
            let to = (height as usize, width as usize);
            return Some(Twin::new(reference::resize(inputs[0], size(shapes[0]), to, filter, wrap)));
        }
        let AddUpsampled { wrap } = *op.downcast()?;
        let to = plane(shapes[0]);
        let upsampled = reference::resize(inputs[1], size(shapes[1]), to, Filter::Bilinear, wrap);
        Some(Twin::new(reference::accumulate(&upsampled, inputs[0])))
    },
    of: |op, shapes| {
        if let Some(&Resize { filter, .. }) = op.downcast() {
            return Some(OwnCase::new(vec![signed(shapes[0])], tolerance(filter)));
        }
        op.downcast::<AddUpsampled>()?;
        Some(OwnCase::new(all_signed(shapes), sum_tolerance()))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

/// On numbers within ±1.
fn tolerance(filter: Filter) -> Tolerance {
    match filter {
        Filter::Bilinear => Tolerance {
            atol: 6.0 * EPSILON,
            rtol: 0.0,
            reason: "a distance is one division, off by up to 2.5 times 2⁻²³ of less than 1, and what lies there changes \
                     by at most 2 a cell in each direction: 10 times 2⁻²³, of which random numbers need a half at \
                     most; each of nine operations on numbers within ±2 rounds by 2⁻²⁴",
        },
        Filter::Bicubic => Tolerance {
            atol: 16.0 * EPSILON,
            rtol: 0.0,
            reason: "a distance is one division, off by up to 2.5 times 2⁻²³ of less than 1, and what lies there changes \
                     by at most 4 a cell in each direction: 20 times 2⁻²³, of which random numbers need a half at \
                     most; a weight of less than 1 is made by six operations, and the sizes of all weights add up \
                     to less than 2",
        },
    }
}

fn sum_tolerance() -> Tolerance {
    let upsampled = tolerance(Filter::Bilinear);
    Tolerance { atol: upsampled.atol + EPSILON, ..upsampled }
}

fn list() -> Vec<Case> {
    use Filter::{Bicubic, Bilinear};
    // One cell, to one cell, twice and half the size, by little, by much, one side each way, as they are.
    let resized = [
        (Shape::new(1, 1, 1), (1, 1), Bilinear),
        (Shape::new(3, 5, 7), (11, 13), Bilinear),
        (Shape::new(3, 5, 7), (11, 13), Bicubic),
        (Shape::new(1, 1, 1), (3, 5), Bicubic),
        (Shape::new(17, 9, 8), (1, 1), Bilinear),
        (Shape::new(2, 6, 5), (1, 1), Bicubic),
        (Shape::new(5, 1, 9), (1, 18), Bilinear),
        (Shape::new(5, 9, 1), (18, 1), Bicubic),
        (Shape::new(17, 37, 41), (19, 21), Bilinear),
        (Shape::new(3, 53, 69), (75, 97), Bicubic),
        (Shape::new(3, 53, 69), (75, 97), Bilinear),
        (Shape::new(70, 13, 11), (3, 29), Bilinear),
        (Shape::new(19, 13, 11), (29, 3), Bicubic),
        (Shape::new(3, 37, 41), (37, 41), Bilinear),
        (Shape::new(3, 37, 41), (37, 41), Bicubic),
        (Shape::new(3, 600, 602), (MANY.h, MANY.w), Bilinear),
    ];
    let resized = resized.into_iter().map(|(x, (height, width), filter)| {
        let what = format!("{x} to {height}×{width}, {}", filter.name());
        let op = Resize { height, width, filter, wrap: Wrap::NONE };
        FORWARD.case(what, op, vec![signed(x)], tolerance(filter))
    });
    let wrapped = WRAPS.into_iter().flat_map(|(c, h, w, wrap)| {
        [(Bilinear, 7, 3), (Bicubic, 3, 7)].map(|(filter, height, width)| {
            // Larger than every other one of these planes, and not much larger.
            let (x, height, width) = (Shape::new(c, h, w), h + height, w + width);
            let op = Resize { height, width, filter, wrap };
            let what = format!("{x} to {height}×{width}, {}, {wrap:?}", filter.name());
            FORWARD.case(what, op, vec![signed(x)], tolerance(filter))
        })
    });
    let added_wrapped = WRAPS.into_iter().map(|(c, h, w, wrap)| {
        let (y, x) = (Shape::new(c, h, w), Shape::new(c, h.div_ceil(2), w.div_ceil(2)));
        let what = format!("{x} added to {y}, {wrap:?}");
        FORWARD.case(what, AddUpsampled { wrap }, vec![signed(y), signed(x)], sum_tolerance())
    });
    let fine = [(3, 1, 1), (3, 5, 7), (17, 1, 9), (5, 8, 1), (3, 38, 41), (70, 13, 12)];
    let added = fine.into_iter().map(|(c, h, w)| {
        let (y, x) = (Shape::new(c, h, w), Shape::new(c, h.div_ceil(2), w.div_ceil(2)));
        FORWARD.case(
            format!("{x} added to {y}"),
            AddUpsampled::default(),
            vec![signed(y), signed(x)],
            sum_tolerance(),
        )
    });
    resized.chain(added).chain(wrapped).chain(added_wrapped).collect()
}
