//! Cases of the look-up of nearest cells.

use super::case::Case;
use super::common::MANY;
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase};
use super::input::{Fill, Input, input, signed};
use super::tolerance::Tolerance;
use super::twin::{Twin, size};
use crate::graph::Role;
use crate::ops::Shape;
use crate::ops::nearest::{ExpandBlocks, Gather, Nearest};
use crate::reference;

pub(super) static NEAREST: Family = Family {
    name: "nearest",
    list: nearest,
    twin: |op, inputs, shapes| {
        op.downcast::<Nearest>()?;
        Some(Twin::new(reference::nearest(inputs[0], inputs[1], shapes[0].c as usize)))
    },
    of: |op, shapes| {
        op.downcast::<Nearest>()?;
        Some(OwnCase::new(shapes.iter().map(|shape| features(*shape)).collect(), exact()))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static GATHER: Family = Family {
    name: "gather",
    list: gather,
    twin: |op, inputs, shapes| {
        op.downcast::<Gather>()?;
        Some(Twin::new(reference::gather(inputs[0], inputs[1], size(shapes[0]))))
    },
    of: |op, shapes| {
        op.downcast::<Gather>()?;
        Some(OwnCase::new(vec![signed(shapes[0]), cells_of(shapes[0], shapes[1])], Tolerance::EXACT))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static EXPAND_BLOCKS: Family = Family {
    name: "expand_blocks",
    list: expand_blocks,
    twin: |op, inputs, _| {
        let ExpandBlocks { block, height, width, other } = *op.downcast::<ExpandBlocks>()?;
        let [block, height, width, rows, columns] =
            [block, height, width, other.0, other.1].map(|side| side as usize);
        Some(Twin::new(reference::expand_blocks(inputs[0], block, (height, width), (rows, columns))))
    },
    of: |op, shapes| {
        let op = op.downcast::<ExpandBlocks>()?;
        Some(OwnCase::new(vec![blocks_of(op, shapes[0])], Tolerance::EXACT))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

/// Numbers of blocks of the other grid.
fn blocks_of(op: &ExpandBlocks, shape: Shape) -> Input {
    let (rows, columns) = op.other;
    input(shape, Fill::Below(rows.div_ceil(op.block) * columns.div_ceil(op.block)))
}

/// Features of which no sum of products rounds, so that the largest and all ties are the same in every order. They are in one
/// piece, as weights are.
fn features(shape: Shape) -> Input {
    Input { role: Role::Weights, ..input(shape, Fill::Sixteenths) }
}

/// Numbers of cells of `x`.
fn cells_of(x: Shape, shape: Shape) -> Input {
    input(shape, Fill::Below(x.plane() as u32))
}

fn exact() -> Tolerance {
    Tolerance { reason: "a whole number, and products of numbers of 5 bits do not round", ..Tolerance::EXACT }
}

fn nearest() -> Vec<Case> {
    [
        (1, (1, 1), (1, 1)),
        (3, (5, 7), (3, 4)),
        (1, (11, 13), (17, 8)),
        (2, (1, 1), (37, 41)),
        (70, (13, 11), (1, 1)),
        (17, (7, 19), (23, 5)),
        (131, (23, 31), (29, 17)),
        (768, (12, 13), (11, 17)),
        // Several blocks a split.
        (5, (67, 71), (61, 73)),
    ]
    .map(|(channels, q, s)| {
        let [q, s] = [q, s].map(|(h, w)| Shape::new(channels, h, w));
        NEAREST.case(format!("{q} in {s}"), Nearest, vec![features(q), features(s)], exact())
    })
    .into()
}

fn gather() -> Vec<Case> {
    let grid = |h, w| Shape::new(1, h, w);
    [
        (Shape::new(1, 1, 1), grid(1, 1)),
        (Shape::new(3, 5, 7), grid(4, 2)),
        (Shape::new(17, 8, 1), grid(3, 11)),
        (Shape::new(70, 13, 11), grid(7, 9)),
        (Shape::new(70, 7, 9), grid(13, 11)),
        (Shape::new(3, 2, 3), grid(MANY.h, MANY.w)),
    ]
    .map(|(x, index)| {
        let inputs = vec![signed(x), cells_of(x, index)];
        GATHER.case(format!("{x} at {index}"), Gather, inputs, Tolerance::EXACT)
    })
    .into()
}

fn expand_blocks() -> Vec<Case> {
    [
        (1, (1, 1), (1, 1)),
        (2, (1, 1), (5, 3)),
        (2, (7, 9), (4, 6)),
        (2, (8, 6), (1, 1)),
        (4, (13, 11), (9, 17)),
        (1, (5, 3), (2, 7)),
        (3, (MANY.h, MANY.w), (23, 29)),
    ]
    .map(|(block, (height, width), other)| {
        let op = ExpandBlocks { block, height, width, other };
        let index = Shape::new(1, height.div_ceil(block), width.div_ceil(block));
        let name = format!("{height}×{width} in {}×{}, blocks of {block}", other.0, other.1);
        EXPAND_BLOCKS.case(name, op, vec![blocks_of(&op, index)], Tolerance::EXACT)
    })
    .into()
}
