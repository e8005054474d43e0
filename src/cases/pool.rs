//! Cases of pooling.

use std::sync::Arc;

use super::case::{Case, Step};
use super::common::{ACCUMULATE, BOTH, GATE, NONE, RELU, SIZES};
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase};
use super::input::{Input, all_signed, signed, winners};
use super::tolerance::Tolerance;
use super::twin::{Twin, finish, size, words};
use crate::ops::pool::{Pool, PoolBackward, PoolKind};
use crate::ops::{Epilogue, Op, Shape};
use crate::reference;

pub(super) static FORWARD: Family = Family {
    name: "pool_forward",
    list: forward,
    twin: |op, inputs, shapes| {
        pool(op, PoolKind::Mean)?;
        Some(Twin::new(reference::pool_forward(inputs[0], size(shapes[0]))))
    },
    of: |op, shapes| {
        pool(op, PoolKind::Mean)?;
        Some(OwnCase::new(all_signed(shapes), forward_tolerance()))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static BACKWARD: Family = Family {
    name: "pool_backward",
    list: backward,
    twin: |op, inputs, _| {
        let PoolBackward { x, epilogue, .. } = *gradient(op, PoolKind::Mean)?;
        Some(finish(reference::pool_backward(inputs[0], size(x)), epilogue, &inputs[1..], x))
    },
    of: |op, shapes| {
        let pool = gradient(op, PoolKind::Mean)?;
        Some(OwnCase::new(vec![signed(shapes[0])], backward_tolerance()).ending_in(pool.epilogue))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static MAX_FORWARD: Family = Family {
    name: "max_pool_forward",
    list: max_forward,
    twin: |op, inputs, shapes| {
        let pool = pool(op, PoolKind::Max)?;
        let (y, winners) = reference::max_pool_forward(inputs[0], size(shapes[0]));
        let sides = pool.winners.then(|| winners.into_iter().map(f64::from).collect());
        Some(Twin { sides: sides.into_iter().collect(), ..Twin::new(y) })
    },
    of: |op, shapes| {
        pool(op, PoolKind::Max)?;
        Some(OwnCase::new(all_signed(shapes), Tolerance::EXACT))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static MAX_BACKWARD: Family = Family {
    name: "max_pool_backward",
    list: max_backward,
    twin: |op, inputs, _| {
        let PoolBackward { x, epilogue, .. } = *gradient(op, PoolKind::Max)?;
        let dx = reference::max_pool_backward(inputs[0], &words(inputs[1]), size(x));
        Some(finish(dx, epilogue, &inputs[2..], x))
    },
    of: |op, shapes| {
        let pool = gradient(op, PoolKind::Max)?;
        let inputs = vec![signed(shapes[0]), winners(pool.x)];
        Some(OwnCase::new(inputs, Tolerance::EXACT).ending_in(pool.epilogue))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

fn pool(op: &dyn Op, kind: PoolKind) -> Option<&Pool> {
    op.downcast::<Pool>().filter(|pool| pool.kind == kind)
}

fn gradient(op: &dyn Op, kind: PoolKind) -> Option<&PoolBackward> {
    op.downcast::<PoolBackward>().filter(|pool| pool.kind == kind)
}

fn forward_tolerance() -> Tolerance {
    Tolerance::few(4, 1.0)
}

fn backward_tolerance() -> Tolerance {
    Tolerance::few(1, 0.0)
}

/// Planes of y are a quarter of x's, so this many pieces of x are needed to have several of y.
const PIECES: u64 = 7;

const EPILOGUES: [Epilogue; 4] = [NONE, ACCUMULATE, GATE, BOTH];

/// The gradient with respect to what a pool makes of `x`.
fn dy(x: Shape) -> Input {
    signed(Shape::new(x.c, x.h.div_ceil(2), x.w.div_ceil(2)))
}

fn sizes() -> impl Iterator<Item = Shape> {
    SIZES.into_iter().chain([Shape::new(7, 75, 100)])
}

fn forward() -> Vec<Case> {
    let cases = sizes().map(|x| {
        let case = FORWARD.case(x.to_string(), Pool::MEAN, vec![signed(x)], forward_tolerance());
        Case { pieces: PIECES, ..case }
    });
    cases.collect()
}

fn backward() -> Vec<Case> {
    let cases = sizes().enumerate().map(|(index, x)| {
        let epilogue = EPILOGUES[(index + 2) % 4];
        let inputs = vec![dy(x)];
        let op = PoolBackward { kind: PoolKind::Mean, x, epilogue };
        let case = BACKWARD.backward(x.to_string(), op, epilogue, inputs, x, backward_tolerance());
        Case { pieces: PIECES, ..case }
    });
    cases.collect()
}

fn max_forward() -> Vec<Case> {
    let case = |x: Shape, winners: bool| {
        let what = format!("{x}{}", if winners { ", winners" } else { "" });
        let op = Pool { kind: PoolKind::Max, winners };
        let case = MAX_FORWARD.case(what, op, vec![signed(x)], Tolerance::EXACT);
        Case { pieces: PIECES, ..case }
    };
    let mut cases: Vec<Case> = sizes().flat_map(|x| [false, true].map(|winners| case(x, winners))).collect();
    // What a ReLU leaves: half of the cells are 0, and in some windows all. The first of these wins.
    let mut ties = case(SIZES[5], true);
    ties.name += ", of a ReLU's output";
    ties.steps[0].inputs = vec![1];
    ties.steps.insert(0, Step { op: Arc::new(RELU), inputs: vec![0] });
    cases.push(ties);
    cases
}

fn max_backward() -> Vec<Case> {
    let cases = sizes().enumerate().map(|(index, x)| {
        let epilogue = EPILOGUES[(index + 2) % 4];
        let inputs = vec![dy(x), winners(x)];
        let op = PoolBackward { kind: PoolKind::Max, x, epilogue };
        let case = MAX_BACKWARD.backward(x.to_string(), op, epilogue, inputs, x, Tolerance::EXACT);
        Case { pieces: PIECES, ..case }
    });
    cases.collect()
}
