//! Cases of convolutions, alone and with the pool that follows them.

use super::twin::{finish, size};
use super::{
    ACCUMULATE, BOTH, Case, Dimensions, Elements, Family, GATE, MANY, NONE, OwnCase, Tolerance, Twin, mask,
    signed, twin, weights,
};
use crate::ops::conv::{Conv, ConvBackward, ConvPool, ConvPoolBackward, weights_shape};
use crate::ops::pool::{Pool, PoolBackward, PoolKind};
use crate::ops::{Op, Shape};
use crate::reference;

pub(super) static FORWARD: Family = Family {
    name: "conv_forward",
    list: forward,
    twin: |op, inputs, shapes| {
        if let Some(ConvPool { conv }) = op.downcast::<ConvPool>() {
            let y = twin(conv, inputs, shapes);
            let shape = conv.output_shape(shapes).expect("shapes that fit");
            return Some(Twin { sides: y.sides, ..twin(&Pool::MEAN, &[&y.output], &[shape]) });
        }
        let conv = op.downcast::<Conv>()?;
        let y =
            reference::conv_forward(inputs[0], inputs[1], inputs[2], size(shapes[0]), shapes[1].c as usize);
        let y = if conv.relu { reference::relu_forward(&y) } else { y };
        let shape = conv.output_shape(shapes).expect("shapes that fit");
        Some(Twin::new(y).with_mask(conv.mask, shape))
    },
    of: |op, shapes| {
        if op.downcast::<Conv>().is_none() && op.downcast::<ConvPool>().is_none() {
            return None;
        }
        let inputs = vec![signed(shapes[0]), weights(shapes[1]), weights(shapes[2])];
        Some(OwnCase::new(inputs, forward_tolerance(shapes[0])))
    },
    elements: |_| Elements::Floats,
    dimensions,
};

pub(super) static BACKWARD: Family = Family {
    name: "conv_backward",
    list: backward,
    twin: |op, inputs, shapes| {
        if let Some(ConvPoolBackward { pooled, epilogue }) = op.downcast::<ConvPoolBackward>() {
            let unpool = PoolBackward { kind: PoolKind::Mean, x: *pooled, epilogue: GATE };
            let unpool = twin(&unpool, &inputs[..2], &shapes[..2]);
            let inputs = [&[&unpool.output[..]], &inputs[2..]].concat();
            let shapes = [&[*pooled], &shapes[2..]].concat();
            let dx = twin(&ConvBackward { epilogue: *epilogue }, &inputs, &shapes);
            // What that updates is counted among its own inputs, which are fewer.
            return Some(Twin { updated: Vec::new(), ..dx });
        }
        let conv = op.downcast::<ConvBackward>()?;
        let (c_in, c_out) = (shapes[1].h, shapes[1].c);
        let shape = Shape { c: c_in, ..shapes[0] };
        let dx = reference::conv_backward(inputs[0], inputs[1], size(shape), c_out as usize);
        Some(finish(dx, conv.epilogue, &inputs[2..], shape))
    },
    of: |op, shapes| {
        let x = shapes[0];
        if let Some(conv) = op.downcast::<ConvPoolBackward>() {
            let inputs = vec![signed(x), mask(conv.pooled), weights(shapes[2])];
            return Some(OwnCase::new(inputs, backward_tolerance(conv.pooled)).ending_in(conv.epilogue));
        }
        let conv = op.downcast::<ConvBackward>()?;
        let inputs = vec![signed(x), weights(shapes[1])];
        Some(OwnCase::new(inputs, backward_tolerance(x)).ending_in(conv.epilogue))
    },
    elements: |_| Elements::Floats,
    dimensions,
};

fn forward_tolerance(x: Shape) -> Tolerance {
    Tolerance::sum(9 * u64::from(x.c) + 1, 1.0)
}

fn backward_tolerance(dy: Shape) -> Tolerance {
    Tolerance::sum(9 * u64::from(dy.c), 1.0)
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
        let inputs = vec![signed(x), weights(weights_shape(x.c, outputs)), weights(Shape::row(outputs))];
        let what = format!("{x} to {outputs}{}", if relu { ", relu" } else { "" });
        FORWARD.case(what, Conv { relu, mask: false }, inputs, forward_tolerance(x))
    })
    .chain(POOLED.map(|(x, outputs)| {
        let inputs = vec![signed(x), weights(weights_shape(x.c, outputs)), weights(Shape::row(outputs))];
        let op = ConvPool { conv: Conv { relu: true, mask: false } };
        FORWARD.case(format!("{x} to {outputs}, relu, pool"), op, inputs, forward_tolerance(x))
    }))
    .collect()
}

/// Inputs and output channels of convolutions that a pool follows: sizes that end anywhere in a tile.
const POOLED: [(Shape, u32); 6] = [
    (Shape::new(5, 1, 1), 4),
    (Shape::new(4, 23, 19), 17),
    (Shape::new(17, 30, 37), 13),
    (Shape::new(16, 33, 26), 70),
    (Shape::new(8, 101, 103), 8),
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
        let inputs = vec![signed(Shape { c: outputs, ..dx }), weights(weights_shape(dx.c, outputs))];
        let tolerance = backward_tolerance(inputs[0].shape);
        let op = ConvBackward { epilogue };
        BACKWARD.backward(format!("{outputs} to {dx}"), op, epilogue, inputs, dx, tolerance)
    })
    .chain(POOLED.into_iter().zip([NONE, GATE, ACCUMULATE, BOTH, GATE, NONE]).map(
        |((dx, outputs), epilogue)| {
            let pooled = Shape { c: outputs, ..dx };
            let dy = Shape::new(outputs, dx.h.div_ceil(2), dx.w.div_ceil(2));
            let inputs = vec![signed(dy), mask(pooled), weights(weights_shape(dx.c, outputs))];
            let tolerance = backward_tolerance(pooled);
            let op = ConvPoolBackward { pooled, epilogue };
            BACKWARD.backward(format!("{outputs} to {dx}, pool"), op, epilogue, inputs, dx, tolerance)
        },
    ))
    .collect()
}
