//! Cases of energies and their shares.

use super::case::Case;
use super::common::{MANY, SIZES};
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase};
use super::input::{Fill, Input, input, signed};
use super::tolerance::Tolerance;
use super::twin::{Twin, plane, size};
use crate::ops::Shape;
use crate::ops::energy::{Energy, Share};
use crate::reference;

pub(super) static ENERGY: Family = Family {
    name: "energy",
    list: energy,
    twin: |op, inputs, shapes| {
        op.downcast::<Energy>()?;
        Some(Twin::new(reference::energy(inputs[0], size(shapes[0]))))
    },
    of: |op, shapes| {
        op.downcast::<Energy>()?;
        Some(OwnCase::new(vec![signed(shapes[0])], energy_tolerance(shapes[0])))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static SHARE: Family = Family {
    name: "share",
    list: share,
    twin: |op, inputs, shapes| {
        let &Share { height, width, even } = op.downcast()?;
        let grid = (height as usize, width as usize);
        Some(Twin::new(reference::share(inputs[0], plane(shapes[0]), grid, even)))
    },
    of: |op, shapes| {
        let share = op.downcast::<Share>()?;
        Some(OwnCase::new(vec![positive(shapes[0])], share_tolerance(*share)))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

fn positive(shape: Shape) -> Input {
    input(shape, Fill::Between(0.0, 2.0))
}

fn energy_tolerance(x: Shape) -> Tolerance {
    // A square, and its sum over the channels.
    Tolerance::positive_sum(u64::from(x.c) + 1)
}

fn share_tolerance(Share { height, width, .. }: Share) -> Tolerance {
    // At most 89 cells a thread, then 256 partials a lane, then a tree and a division.
    Tolerance::positive_sum(50 + u64::from(height) * u64::from(width) / 2048)
}

fn energy() -> Vec<Case> {
    let sizes = SIZES.into_iter().chain([MANY]);
    sizes.map(|x| ENERGY.case(x.to_string(), Energy, vec![signed(x)], energy_tolerance(x))).collect()
}

fn share() -> Vec<Case> {
    let case = |what: String, energy: Input, share: Share| {
        SHARE.case(what, share, vec![energy], share_tolerance(share))
    };
    let of = |(h, w), (height, width)| {
        let energy = Shape::new(1, h, w);
        case(format!("{energy} on {height}×{width}"), positive(energy), Share { height, width, even: true })
    };
    let mut cases = vec![
        of((1, 1), (1, 1)),
        of((3, 4), (5, 7)),
        of((3, 4), (6, 8)),
        of((1, 5), (1, 9)),
        of((8, 1), (15, 1)),
        of((1, 1), (2, 1)),
        of((13, 11), (13, 11)),
        of((37, 41), (73, 82)),
        of((601, 602), (MANY.h, MANY.w)),
        of((MANY.h, MANY.w), (MANY.h, MANY.w)),
    ];
    // Nothing anywhere.
    for (what, even) in [("even", true), ("none", false)] {
        let zero = input(Shape::new(1, 3, 4), Fill::Between(0.0, 0.0));
        cases.push(case(format!("1×3×4 on 5×7, zero, {what}"), zero, Share { height: 5, width: 7, even }));
    }
    cases
}
