//! Cases of pooling.

use super::twin::{finish, size};
use super::{
    ACCUMULATE, BOTH, Case, Dimensions, Elements, Family, GATE, NONE, OwnCase, SIZES, Tolerance, Twin,
    all_signed, signed,
};
use crate::ops::Shape;
use crate::ops::pool::{Pool, PoolBackward};
use crate::reference;

pub(super) static FORWARD: Family = Family {
    name: "pool_forward",
    list: forward,
    twin: |op, inputs, shapes| {
        op.downcast::<Pool>()?;
        Some(Twin::new(reference::pool_forward(inputs[0], size(shapes[0]))))
    },
    of: |op, shapes| {
        op.downcast::<Pool>()?;
        Some(OwnCase::new(all_signed(shapes), forward_tolerance()))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static BACKWARD: Family = Family {
    name: "pool_backward",
    list: backward,
    twin: |op, inputs, _| {
        let PoolBackward { x, epilogue } = *op.downcast()?;
        Some(finish(reference::pool_backward(inputs[0], size(x)), epilogue, &inputs[1..], x))
    },
    of: |op, shapes| {
        let pool = op.downcast::<PoolBackward>()?;
        Some(OwnCase::new(vec![signed(shapes[0])], backward_tolerance()).ending_in(pool.epilogue))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

fn forward_tolerance() -> Tolerance {
    Tolerance::few(4, 1.0)
}

fn backward_tolerance() -> Tolerance {
    Tolerance::few(1, 0.0)
}

/// Planes of y are a quarter of x's, so this many pieces of x are needed to have several of y.
const PIECES: u64 = 7;

fn sizes() -> impl Iterator<Item = Shape> {
    SIZES.into_iter().chain([Shape::new(7, 75, 100)])
}

fn forward() -> Vec<Case> {
    let cases = sizes().map(|x| {
        let case = FORWARD.case(x.to_string(), Pool, vec![signed(x)], forward_tolerance());
        Case { pieces: PIECES, ..case }
    });
    cases.collect()
}

fn backward() -> Vec<Case> {
    let epilogues = [NONE, ACCUMULATE, GATE, BOTH];
    let cases = sizes().enumerate().map(|(index, x)| {
        let epilogue = epilogues[(index + 2) % 4];
        let inputs = vec![signed(Shape::new(x.c, x.h.div_ceil(2), x.w.div_ceil(2)))];
        let op = PoolBackward { x, epilogue };
        let case = BACKWARD.backward(x.to_string(), op, epilogue, inputs, x, backward_tolerance());
        Case { pieces: PIECES, ..case }
    });
    cases.collect()
}
