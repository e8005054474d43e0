//! Cases of Gram matrices.

use super::case::Case;
use super::common::{ACCUMULATE, BOTH, GATE, NONE};
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase};
use super::input::{all_signed, signed};
use super::tolerance::Tolerance;
use super::twin::{Twin, finish, size};
use crate::ops::Shape;
use crate::ops::gram::{ChannelMean, Gram, GramBackward, Means, Moments};
use crate::reference;

pub(super) static FORWARD: Family = Family {
    name: "gram_forward",
    list: forward,
    twin: |op, inputs, shapes| {
        let (x, size) = (inputs[0], size(shapes[0]));
        if op.downcast::<Moments>().is_some() {
            let moments = match inputs {
                [_] => reference::moments(x, size),
                [_, guidance, ..] => reference::moments_guided(x, guidance, size),
                [] => return None,
            };
            return Some(Twin::new(moments));
        }
        op.downcast::<Gram>()?;
        Some(Twin::new(reference::gram_forward(x, size)))
    },
    of: |op, shapes| {
        let is_own = op.downcast::<Gram>().is_some() || op.downcast::<Moments>().is_some();
        is_own.then(|| OwnCase::new(all_signed(shapes), forward_tolerance(shapes[0])))
    },
    elements: |_| Elements::Floats,
    dimensions: |inputs, _| Dimensions::new(inputs[0], inputs[0]),
};

pub(super) static BACKWARD: Family = Family {
    name: "gram_backward",
    list: backward,
    twin: |op, inputs, shapes| {
        let gram = op.downcast::<GramBackward>()?;
        let (dy, x, size) = (inputs[0], inputs[1], size(shapes[1]));
        let (dx, own) = match gram.means {
            Means::None => (reference::gram_backward(dy, x, size), 2),
            Means::Even => (reference::moments_backward(dy, x, size), 2),
            Means::Guided => (reference::moments_guided_backward(dy, x, inputs[2], size), 3),
        };
        Some(finish(dx, gram.epilogue, &inputs[own..], shapes[1]))
    },
    of: |op, shapes| {
        let gram = op.downcast::<GramBackward>()?;
        let own = if gram.means == Means::Guided { 3 } else { 2 };
        Some(OwnCase::new(all_signed(&shapes[..own]), backward_tolerance(shapes[1])).ending_in(gram.epilogue))
    },
    elements: |_| Elements::Floats,
    dimensions: |_, output| Dimensions::new(output, output),
};

pub(super) static MEAN: Family = Family {
    name: "channel_mean",
    list: mean,
    twin: |op, inputs, shapes| {
        op.downcast::<ChannelMean>()?;
        Some(Twin::new(reference::channel_mean(inputs[0], size(shapes[0]))))
    },
    of: |op, shapes| {
        op.downcast::<ChannelMean>()?;
        Some(OwnCase::new(all_signed(shapes), mean_tolerance(shapes[0])))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

fn mean_tolerance(x: Shape) -> Tolerance {
    Tolerance::sum(x.plane(), 1.0 / x.plane() as f64)
}

fn forward_tolerance(x: Shape) -> Tolerance {
    Tolerance::sum(x.plane().min(2048), 1.0 / x.plane().min(2048) as f64)
}

fn backward_tolerance(x: Shape) -> Tolerance {
    Tolerance::sum(2 * u64::from(x.c), 1.0 / x.plane() as f64)
}

fn forward() -> Vec<Case> {
    let grams = [
        Shape::new(1, 1, 1),
        Shape::new(3, 1, 1),
        Shape::new(5, 7, 9),
        Shape::new(64, 13, 37),
        Shape::new(70, 31, 29),
        // Three splits of the sum over pixels.
        Shape::new(5, 67, 89),
        Shape::new(17, 71, 67),
        Shape::new(70, 53, 83),
    ]
    .map(|x| FORWARD.case(x.to_string(), Gram, vec![signed(x)], forward_tolerance(x)));
    // Means in one pass, two and three.
    let moments = [Shape::new(3, 1, 1), Shape::new(17, 9, 31), Shape::new(70, 53, 83)]
        .map(|x| FORWARD.case(format!("{x}, moments"), Moments, vec![signed(x)], forward_tolerance(x)));
    let guided = [Shape::new(3, 1, 1), Shape::new(17, 9, 31), Shape::new(70, 53, 83)].map(|x| {
        let inputs = vec![signed(x), signed(Shape { c: 1, ..x })];
        FORWARD.case(format!("{x}, guided moments"), Moments, inputs, forward_tolerance(x))
    });
    grams.into_iter().chain(moments).chain(guided).collect()
}

fn mean() -> Vec<Case> {
    [
        Shape::new(1, 1, 1),
        Shape::new(5, 7, 9),
        Shape::new(3, 5, 13),
        Shape::new(70, 13, 11),
        Shape::new(17, 71, 67),
        // As many sums in a pass as there may be, and more than one pass for them.
        Shape::new(2, 613, 617),
    ]
    .map(|x| MEAN.case(x.to_string(), ChannelMean, vec![signed(x)], mean_tolerance(x)))
    .into()
}

fn backward() -> Vec<Case> {
    let grams = [
        (Shape::new(1, 1, 1), NONE),
        (Shape::new(3, 1, 1), GATE),
        (Shape::new(5, 7, 9), ACCUMULATE),
        (Shape::new(64, 13, 37), GATE),
        (Shape::new(17, 31, 37), BOTH),
        (Shape::new(70, 53, 83), BOTH),
        // More than 65535 workgroups of the naive kernel.
        (Shape::new(5, 917, 919), NONE),
    ]
    .map(|(x, epilogue)| {
        // Not symmetric, so that a kernel which reads one half only, or transposes, is found.
        let inputs = vec![signed(Shape::new(1, x.c, x.c)), signed(x)];
        let op = GramBackward { means: Means::None, epilogue };
        BACKWARD.backward(x.to_string(), op, epilogue, inputs, x, backward_tolerance(x))
    });
    let moments = [
        (Shape::new(1, 1, 1), GATE),
        (Shape::new(3, 5, 7), NONE),
        (Shape::new(33, 9, 31), ACCUMULATE),
        (Shape::new(70, 13, 11), BOTH),
    ]
    .map(|(x, epilogue)| {
        let inputs = vec![signed(Shape::new(1, x.c + 1, x.c)), signed(x)];
        let op = GramBackward { means: Means::Even, epilogue };
        let what = format!("{x}, moments");
        BACKWARD.backward(what, op, epilogue, inputs, x, backward_tolerance(x))
    });
    let guided = [
        (Shape::new(1, 1, 1), NONE),
        (Shape::new(3, 5, 7), GATE),
        (Shape::new(33, 9, 31), BOTH),
        (Shape::new(70, 13, 11), ACCUMULATE),
    ]
    .map(|(x, epilogue)| {
        let inputs = vec![signed(Shape::new(1, x.c + 1, x.c)), signed(x), signed(Shape { c: 1, ..x })];
        let op = GramBackward { means: Means::Guided, epilogue };
        let what = format!("{x}, guided moments");
        BACKWARD.backward(what, op, epilogue, inputs, x, backward_tolerance(x))
    });
    grams.into_iter().chain(moments).chain(guided).collect()
}
