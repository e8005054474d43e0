//! Cases of convolutions, alone and with the pool that follows them.

use super::case::Case;
use super::common::{ACCUMULATE, BOTH, GATE, MANY, NONE};
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase};
use super::input::{Input, mask, signed, weights, winners};
use super::tolerance::Tolerance;
use super::twin::{Twin, finish, size, words};
use crate::ops::conv::{Conv, ConvBackward, ConvGeometry, ConvPool, ConvPoolBackward, Padding, PaddingMode};
use crate::ops::pool::{Pool, PoolKind};
use crate::ops::{Op, Shape, Wrap};
use crate::reference;

pub(super) static FORWARD: Family = Family {
    name: "conv_forward",
    list: forward,
    twin: |op, inputs, shapes| {
        if let Some(ConvPool { conv, pool }) = op.downcast::<ConvPool>() {
            let y = forward_twin(conv, inputs, shapes);
            let shape = size(conv.output_shape(shapes).expect("shapes that fit"));
            let (pooled, winners) = match pool.kind {
                PoolKind::Mean => (reference::pool_forward(&y.output, shape), None),
                PoolKind::Max => {
                    let (pooled, winners) = reference::max_pool_forward(&y.output, shape);
                    (pooled, pool.winners.then(|| winners.into_iter().map(f64::from).collect()))
                }
            };
            return Some(Twin { sides: y.sides.into_iter().chain(winners).collect(), ..Twin::new(pooled) });
        }
        Some(forward_twin(op.downcast()?, inputs, shapes))
    },
    of: |op, shapes| {
        if op.downcast::<Conv>().is_none() && op.downcast::<ConvPool>().is_none() {
            return None;
        }
        let inputs = vec![signed(shapes[0]), weights(shapes[1]), weights(shapes[2])];
        Some(OwnCase::new(inputs, forward_tolerance(shapes[1])))
    },
    elements: |_| Elements::Floats,
    dimensions,
};

pub(super) static BACKWARD: Family = Family {
    name: "conv_backward",
    list: backward,
    twin: |op, inputs, shapes| {
        if let Some(ConvPoolBackward { pooled, kind, conv }) = op.downcast::<ConvPoolBackward>() {
            let (dy, gate) = match kind {
                PoolKind::Mean => (reference::pool_backward(inputs[0], size(*pooled)), 1),
                PoolKind::Max => {
                    (reference::max_pool_backward(inputs[0], &words(inputs[1]), size(*pooled)), 2)
                }
            };
            let dy = finish(dy, GATE, &inputs[gate..=gate], *pooled).output;
            let inputs = [&[&dy[..]], &inputs[gate + 1..]].concat();
            return Some(backward_twin(conv, &inputs, &shapes[gate + 1..]));
        }
        Some(backward_twin(op.downcast()?, inputs, &shapes[1..]))
    },
    of: |op, shapes| {
        let x = shapes[0];
        if let Some(ConvPoolBackward { pooled, kind, conv }) = op.downcast() {
            let inputs = pooled_gradient_inputs(conv, *kind, x, *pooled);
            return Some(OwnCase::new(inputs, backward_tolerance(conv, *pooled)).ending_in(conv.epilogue));
        }
        let conv = op.downcast::<ConvBackward>()?;
        let inputs = vec![signed(x), weights(shapes[1])];
        Some(OwnCase::new(inputs, backward_tolerance(conv, x)).ending_in(conv.epilogue))
    },
    elements: |_| Elements::Floats,
    dimensions,
};

fn forward_twin(conv: &Conv, inputs: &[&[f64]], shapes: &[Shape]) -> Twin {
    let (x, outputs) = (volume(shapes[0]), shapes[1].c as usize);
    let y = reference::conv_forward(inputs[0], inputs[1], inputs[2], &conv.geometry, x, outputs);
    let y = if conv.relu { reference::relu_forward(&y) } else { y };
    let shape = conv.output_shape(shapes).expect("shapes that fit");
    Twin::new(y).with_mask(conv.mask, shape)
}

/// `shapes` are those of the inputs after the first.
fn backward_twin(conv: &ConvBackward, inputs: &[&[f64]], shapes: &[Shape]) -> Twin {
    let (x, outputs) = (volume(conv.x), shapes[0].c as usize);
    let dx = reference::conv_backward(inputs[0], inputs[1], &conv.geometry, x, outputs);
    finish(dx, conv.epilogue, &inputs[2..], conv.x)
}

fn volume(shape: Shape) -> (usize, usize, usize, usize) {
    (shape.c as usize, shape.d as usize, shape.h as usize, shape.w as usize)
}

fn forward_tolerance(weights: Shape) -> Tolerance {
    Tolerance::sum(weights.plane() + 1, 1.0)
}

/// With padding that repeats elements, one is read up to as often as there are taps and outputs beyond the edges.
fn backward_tolerance(conv: &ConvBackward, dy: Shape) -> Tolerance {
    let ConvGeometry { padding, groups, .. } = conv.geometry;
    let beyond = |axis: usize| {
        let outside = padding.before[axis] + padding.after[axis];
        let repeats = padding.wrapped[axis] || padding.mode.of_gradient() != PaddingMode::Zero;
        u64::from(if repeats { 1 + outside } else { 1 })
    };
    let reads = u64::from(conv.geometry.taps()) * (0..3).map(beyond).product::<u64>();
    Tolerance::sum(reads * u64::from(dy.c / groups), 1.0)
}

/// Those of the input and the output, beside which weights may be larger.
fn dimensions(inputs: &[Shape], output: Shape) -> Dimensions {
    Dimensions::new(inputs[0], output)
}

fn forward() -> Vec<Case> {
    [
        (Shape::new(1, 1, 1), 1, false),
        (Shape::new(3, 1, 1), 5, true),
        (Shape::new(5, 1, 7), 17, false),
        (Shape::new(3, 17, 23), 64, false),
        (Shape::new(3, 31, 29), 17, true),
        (Shape::new(17, 13, 11), 5, false),
        (Shape::new(5, 23, 19), 17, true),
        (Shape::new(17, 31, 37), 13, true),
        (Shape::new(64, 13, 37), 70, true),
        (Shape::new(70, 7, 53), 64, false),
        // Large enough that tensors are cut before weights are too large.
        (Shape::new(64, 61, 59), 70, true),
        // More than 65535 workgroups of the naive kernel.
        (Shape::new(1, 251, 257), 70, true),
    ]
    .into_iter()
    .map(|(x, outputs, relu)| {
        let inputs = forward_inputs(&SAME, x, outputs);
        let tolerance = forward_tolerance(inputs[1].shape);
        let what = format!("{x} to {outputs}{}", if relu { ", relu" } else { "" });
        FORWARD.case(what, Conv { relu, ..Conv::default() }, inputs, tolerance)
    })
    .chain(REPLICATED.map(|(x, outputs, relu)| {
        let inputs = forward_inputs(&EDGE, x, outputs);
        let tolerance = forward_tolerance(inputs[1].shape);
        let what = format!("{x} to {outputs}, edge repeated{}", if relu { ", relu" } else { "" });
        FORWARD.case(what, Conv { geometry: EDGE, relu, mask: false }, inputs, tolerance)
    }))
    .chain(WRAPPED.into_iter().zip([false, true].into_iter().cycle()).map(
        |((geometry, x, outputs, wrap), relu)| {
            let geometry = geometry.with_wrap(wrap);
            let inputs = forward_inputs(&geometry, x, outputs);
            let tolerance = forward_tolerance(inputs[1].shape);
            let what = format!("{x} to {outputs}, {wrap:?}{}", if relu { ", relu" } else { "" });
            FORWARD.case(what, Conv { geometry, relu, mask: false }, inputs, tolerance)
        },
    ))
    .chain([PoolKind::Mean, PoolKind::Max].into_iter().flat_map(|kind| {
        WRAPPED_POOLED.map(|(x, outputs, wrap)| {
            let how = format!("{wrap:?}, relu, {} pool", kind.name());
            pooled(EDGE.with_wrap(wrap), kind, x, outputs, &how)
        })
    }))
    .chain(POOLED.map(|(x, outputs)| pooled(SAME, PoolKind::Mean, x, outputs, "relu, pool")))
    .chain(POOLED.map(|(x, outputs)| pooled(EDGE, PoolKind::Mean, x, outputs, "edge repeated, relu, pool")))
    .chain(
        MAX_POOLED
            .map(|(x, outputs)| pooled(EDGE, PoolKind::Max, x, outputs, "edge repeated, relu, max pool")),
    )
    .chain(GEOMETRIES.into_iter().zip([false, true].into_iter().cycle()).map(
        |((name, geometry, x, outputs), relu)| {
            let inputs = forward_inputs(&geometry, x, outputs);
            let tolerance = forward_tolerance(inputs[1].shape);
            let what = format!("{x} to {outputs}, {name}{}", if relu { ", relu" } else { "" });
            FORWARD.case(what, Conv { geometry, relu, mask: false }, inputs, tolerance)
        },
    ))
    .chain([
        pooled(STRIDED, PoolKind::Mean, STRIDED_X, 6, "stride 2, relu, pool"),
        pooled(STRIDED, PoolKind::Max, STRIDED_X, 6, "stride 2, relu, max pool"),
    ])
    .collect()
}

/// Without masks and winners: these depend on roundings where sums are nearly 0 or nearly alike.
fn pooled(geometry: ConvGeometry, kind: PoolKind, x: Shape, outputs: u32, how: &str) -> Case {
    let conv = Conv { geometry, relu: true, mask: false };
    let op = ConvPool { conv, pool: Pool { kind, winners: false } };
    let inputs = forward_inputs(&geometry, x, outputs);
    let tolerance = forward_tolerance(inputs[1].shape);
    FORWARD.case(format!("{x} to {outputs}, {how}"), op, inputs, tolerance)
}

/// x, weights and bias.
fn forward_inputs(geometry: &ConvGeometry, x: Shape, outputs: u32) -> Vec<Input> {
    vec![signed(x), weights(geometry.weights_shape(x.c, outputs)), weights(Shape::row(outputs))]
}

const SAME: ConvGeometry = ConvGeometry::SAME_3X3;
const EDGE: ConvGeometry = ConvGeometry::REPLICATED_3X3;
const STRIDED: ConvGeometry = ConvGeometry { stride: [1, 2, 2], ..SAME };
/// What is convolved so before a pool.
const STRIDED_X: Shape = Shape::new(5, 21, 14);

/// Inputs and output channels of convolutions that repeat the edge, and whether a ReLU follows: planes of one cell, one
/// row and one column, and sizes that end anywhere in a tile.
const REPLICATED: [(Shape, u32, bool); 10] = [
    (Shape::new(1, 1, 1), 1, false),
    (Shape::new(3, 1, 1), 5, true),
    (Shape::new(5, 1, 7), 17, false),
    (Shape::new(17, 9, 1), 5, true),
    (Shape::new(4, 2, 2), 3, false),
    (Shape::new(3, 17, 23), 64, false),
    (Shape::new(3, 8, 16), 17, true),
    (Shape::new(17, 13, 11), 5, false),
    (Shape::new(64, 13, 37), 70, true),
    (Shape::new(70, 8, 52), 64, false),
];

/// Convolutions other than 3×3 with zeros around, each with its inputs and output channels.
const GEOMETRIES: [(&str, ConvGeometry, Shape, u32); 23] = [
    ("pointwise", ConvGeometry::POINTWISE, Shape::new(17, 13, 11), 23),
    ("5×5", square(5, Padding::even(PaddingMode::Zero, [0, 2, 2])), Shape::new(3, 19, 17), 5),
    ("2×2 after", square(2, after(PaddingMode::Zero)), Shape::new(5, 8, 9), 4),
    ("no padding", square(3, Padding::NONE), Shape::new(4, 9, 12), 7),
    ("stride 2", STRIDED, Shape::new(5, 23, 19), 7),
    ("stride 2, even", STRIDED, Shape::new(4, 16, 22), 18),
    (
        "stride beyond the kernel",
        ConvGeometry { kernel: [1, 2, 3], stride: [1, 3, 5], ..ConvGeometry::POINTWISE },
        Shape::new(6, 17, 20),
        4,
    ),
    ("dilation 2", ConvGeometry { dilation: [1, 2, 2], ..SAME }, Shape::new(4, 17, 19), 6),
    ("depthwise", ConvGeometry { groups: 18, ..SAME }, Shape::new(18, 13, 12), 18),
    ("twofold depthwise", ConvGeometry { groups: 5, stride: [1, 2, 2], ..SAME }, Shape::new(5, 9, 7), 10),
    ("4 groups", ConvGeometry { groups: 4, ..SAME }, Shape::new(20, 9, 14), 28),
    (
        "along a line",
        ConvGeometry {
            kernel: [1, 1, 5],
            padding: Padding::even(PaddingMode::Zero, [0, 0, 2]),
            ..ConvGeometry::POINTWISE
        },
        Shape::new(7, 1, 61),
        9,
    ),
    (
        "3×3×3",
        ConvGeometry {
            kernel: [3; 3],
            padding: Padding::even(PaddingMode::Zero, [1; 3]),
            ..ConvGeometry::POINTWISE
        },
        Shape::volume(3, 7, 6, 9),
        5,
    ),
    (
        "all at once",
        ConvGeometry {
            kernel: [2, 3, 4],
            stride: [2, 1, 3],
            padding: Padding { before: [1, 0, 3], after: [0, 2, 1], ..REPLICATE },
            dilation: [1, 2, 2],
            groups: 2,
        },
        Shape::volume(6, 5, 8, 13),
        10,
    ),
    ("3×3 in each plane", SAME, Shape::volume(5, 3, 6, 7), 17),
    ("replicate", SAME.with_padding(PaddingMode::Replicate), Shape::new(5, 7, 9), 6),
    ("replicate forward", EDGE, Shape::new(6, 9, 7), 5),
    (
        "replicate forward, stride 2",
        STRIDED.with_padding(PaddingMode::ReplicateForward),
        Shape::new(5, 9, 8),
        4,
    ),
    ("replicate 3", square(5, Padding::even(PaddingMode::Replicate, [0, 3, 3])), Shape::new(3, 9, 1), 4),
    ("circular", square(3, Padding::circular([0, 1, 1])), Shape::new(6, 11, 13), 5),
    (
        "circular along depth and rows, the edge repeated along columns",
        ConvGeometry {
            kernel: [3; 3],
            padding: Padding { wrapped: [true, false, true], before: [1; 3], after: [1; 3], ..REPLICATE },
            ..ConvGeometry::POINTWISE
        },
        Shape::volume(3, 3, 5, 6),
        4,
    ),
    ("circular, stride 2", STRIDED.with_wrap(Wrap::BOTH), Shape::new(5, 8, 10), 6),
    (
        "circular, several periods",
        ConvGeometry {
            kernel: [1, 3, 5],
            stride: [1, 2, 1],
            padding: Padding { before: [0, 7, 2], after: [0, 4, 9], ..Padding::circular([0; 3]) },
            ..ConvGeometry::POINTWISE
        },
        Shape::new(4, 3, 5),
        6,
    ),
];

const fn square(side: u32, padding: Padding) -> ConvGeometry {
    ConvGeometry { kernel: [1, side, side], padding, ..ConvGeometry::POINTWISE }
}

/// One element after the last row and column.
const fn after(mode: PaddingMode) -> Padding {
    Padding { after: [0, 1, 1], ..Padding::even(mode, [0; 3]) }
}

const REPLICATE: Padding = Padding::even(PaddingMode::Replicate, [0; 3]);

/// Inputs and output channels of convolutions that wrap along both sides, and along one with zeros or the edge repeated
/// along the other: planes of one row, and sizes that end anywhere in a tile.
const WRAPPED: [(ConvGeometry, Shape, u32, Wrap); 9] = [
    (SAME, Shape::new(1, 1, 1), 1, Wrap::BOTH),
    (EDGE, Shape::new(5, 1, 7), 17, Wrap::BOTH),
    (EDGE, Shape::new(3, 17, 23), 64, Wrap::BOTH),
    (EDGE, Shape::new(17, 6, 10), 5, Wrap::BOTH),
    (SAME, Shape::new(64, 13, 37), 70, Wrap::BOTH),
    (EDGE, Shape::new(4, 2, 2), 3, Wrap { y: true, x: false }),
    (SAME, Shape::new(17, 14, 9), 20, Wrap { y: true, x: false }),
    (EDGE, Shape::new(64, 7, 13), 3, Wrap { y: false, x: true }),
    (SAME, Shape::new(3, 9, 18), 17, Wrap { y: false, x: true }),
];

/// The same of convolutions that a pool follows: no window lies across a border.
const WRAPPED_POOLED: [(Shape, u32, Wrap); 3] = [
    (Shape::new(17, 6, 10), 18, Wrap::BOTH),
    (Shape::new(4, 24, 14), 17, Wrap { y: true, x: false }),
    (Shape::new(16, 32, 26), 5, Wrap { y: false, x: true }),
];

/// Inputs and output channels of convolutions that a pool follows: sizes that end anywhere in a tile.
const POOLED: [(Shape, u32); 6] = [
    (Shape::new(5, 1, 1), 4),
    (Shape::new(4, 23, 19), 17),
    (Shape::new(17, 30, 37), 13),
    (Shape::new(16, 33, 26), 70),
    (Shape::new(8, 101, 103), 8),
    (Shape::new(3, 9, 12), 5),
];

/// The same for max pools, whose error is the largest of four sums': not as many elements of as few channels.
const MAX_POOLED: [(Shape, u32); 6] = [
    (Shape::new(5, 1, 1), 4),
    (Shape::new(4, 23, 19), 17),
    (Shape::new(17, 30, 37), 13),
    (Shape::new(16, 33, 26), 70),
    (Shape::new(24, 61, 43), 8),
    (Shape::new(3, 9, 12), 5),
];

fn backward() -> Vec<Case> {
    [
        (Shape::new(1, 1, 1), 1, NONE),
        (Shape::new(3, 17, 23), 64, NONE),
        (Shape::new(3, 31, 29), 17, BOTH),
        (Shape::new(1, 5, 7), 3, GATE),
        (Shape::new(2, 37, 41), 70, ACCUMULATE),
        (Shape::new(5, 19, 23), 17, ACCUMULATE),
        (Shape::new(17, 1, 7), 5, GATE),
        (Shape::new(17, 31, 37), 13, BOTH),
        (Shape::new(64, 13, 37), 70, GATE),
        (Shape::new(70, 7, 53), 64, NONE),
        (Shape::new(70, 61, 59), 64, BOTH),
        // More than 65535 workgroups of the naive kernel.
        (MANY, 1, GATE),
    ]
    .into_iter()
    .map(|(dx, outputs, epilogue)| {
        let op = ConvBackward { geometry: SAME, x: dx, epilogue };
        gradient(op, outputs, format!("{outputs} to {dx}"))
    })
    .chain(WRAPPED.into_iter().zip([NONE, BOTH, GATE, ACCUMULATE].into_iter().cycle()).map(
        |((geometry, dx, outputs, wrap), epilogue)| {
            let op = ConvBackward { geometry: geometry.with_wrap(wrap), x: dx, epilogue };
            gradient(op, outputs, format!("{outputs} to {dx}, {wrap:?}"))
        },
    ))
    .chain([PoolKind::Mean, PoolKind::Max].into_iter().flat_map(|kind| {
        WRAPPED_POOLED.map(|(dx, outputs, wrap)| {
            let conv = ConvBackward { geometry: EDGE.with_wrap(wrap), x: dx, epilogue: GATE };
            pooled_gradient(conv, kind, outputs, format!("{outputs} to {dx}, {wrap:?}"))
        })
    }))
    .chain([PoolKind::Mean, PoolKind::Max].into_iter().flat_map(|kind| {
        let epilogues = [NONE, GATE, ACCUMULATE, BOTH, GATE, NONE];
        POOLED.into_iter().zip(epilogues).map(move |((dx, outputs), epilogue)| {
            let conv = ConvBackward { geometry: SAME, x: dx, epilogue };
            pooled_gradient(conv, kind, outputs, format!("{outputs} to {dx}"))
        })
    }))
    .chain(GEOMETRIES.into_iter().zip([GATE, NONE, BOTH, ACCUMULATE].into_iter().cycle()).map(
        |((name, geometry, x, outputs), epilogue)| {
            let op = ConvBackward { geometry, x, epilogue };
            gradient(op, outputs, format!("{outputs} to {x}, {name}"))
        },
    ))
    .chain([PoolKind::Mean, PoolKind::Max].map(|kind| {
        let conv = ConvBackward { geometry: STRIDED, x: STRIDED_X, epilogue: GATE };
        pooled_gradient(conv, kind, 6, format!("6 to {STRIDED_X}, stride 2"))
    }))
    .collect()
}

fn gradient(op: ConvBackward, outputs: u32, what: String) -> Case {
    let ConvBackward { geometry, x, epilogue } = op;
    let dy = geometry.output_shape(op.name(), x, outputs).expect("a case's shapes fit");
    let inputs = vec![signed(dy), weights(geometry.weights_shape(x.c, outputs))];
    let tolerance = backward_tolerance(&op, dy);
    BACKWARD.backward(what, op, epilogue, inputs, x, tolerance)
}

fn pooled_gradient(conv: ConvBackward, kind: PoolKind, outputs: u32, what: String) -> Case {
    let ConvBackward { geometry, x, epilogue } = conv;
    let pooled = geometry.output_shape(conv.name(), x, outputs).expect("a case's shapes fit");
    let dy = Shape::new(outputs, pooled.h.div_ceil(2), pooled.w.div_ceil(2));
    let inputs = pooled_gradient_inputs(&conv, kind, dy, pooled);
    let tolerance = backward_tolerance(&conv, pooled);
    let what = match kind {
        PoolKind::Mean => format!("{what}, pool"),
        PoolKind::Max => format!("{what}, max pool"),
    };
    BACKWARD.backward(what, ConvPoolBackward { pooled, kind, conv }, epilogue, inputs, x, tolerance)
}

/// dy, which cells of a max pool won, the mask before the pool, and the weights.
fn pooled_gradient_inputs(conv: &ConvBackward, kind: PoolKind, dy: Shape, pooled: Shape) -> Vec<Input> {
    let won = (kind == PoolKind::Max).then(|| winners(pooled));
    let weights = weights(conv.geometry.weights_shape(conv.x.c, pooled.c));
    [signed(dy)].into_iter().chain(won).chain([mask(pooled), weights]).collect()
}
