//! Cases of L-BFGS: the products with its history, the weights that it makes of them, its step, and whole steps.

use std::sync::Arc;

use super::case::{Case, Step as CaseStep};
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase};
use super::input::{Fill, Input, input, signed};
use super::random::Random;
use super::tolerance::{EPSILON, Tolerance};
use super::twin::Twin;
use crate::ops::l_bfgs::{
    Direction, Products, STATE, Step, history_shape, products_shape, totals_shape, weights_shape,
};
use crate::ops::smooth::Smooth;
use crate::ops::{Op, Shape};
use crate::reference;

pub(super) static PRODUCTS: Family = Family {
    name: "l_bfgs_products",
    list: products,
    twin: |op, inputs, shapes| {
        op.downcast::<Products>()?;
        let totals = reference::l_bfgs_products(inputs[0], inputs[1], inputs[2], inputs[3], size(shapes[2]));
        Some(Twin::new(totals))
    },
    of: |op, shapes| {
        op.downcast::<Products>()?;
        Some(OwnCase::new(products_inputs(shapes[1], shapes[2].d, 1), products_tolerance(shapes[1])))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static DIRECTION: Family = Family {
    name: "l_bfgs_direction",
    list: direction,
    twin: |op, inputs, _| {
        let op = op.downcast::<Direction>()?;
        let (rate, steps, elements) = (inputs[0][0], inputs[4][0], op.elements as usize);
        let made = reference::l_bfgs_direction(rate, inputs[1], inputs[2], inputs[3], steps, elements);
        let updated = vec![(2, made.state), (3, made.products), (4, vec![made.steps])];
        Some(Twin { updated, ..Twin::new(made.weights) })
    },
    of: |op, shapes| {
        op.downcast::<Direction>()?;
        let slots = shapes[3].w;
        let before = Before { pairs: slots - 1, spare: 0, had_step: true };
        Some(OwnCase::new(direction_inputs(slots, before, 1.0, Sign::Kept), direction_tolerance(slots)))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static STEP: Family = Family {
    name: "l_bfgs_step",
    list: step,
    twin: |op, inputs, shapes| {
        op.downcast::<Step>()?;
        let size = size(shapes[3]);
        let (x, s, y) = reference::l_bfgs_step(inputs[0], inputs[1], inputs[2], inputs[3], inputs[4], size);
        Some(Twin { updated: vec![(3, s), (4, y)], ..Twin::new(x) })
    },
    of: |op, shapes| {
        op.downcast::<Step>()?;
        let slots = shapes[3].d;
        Some(OwnCase::new(step_inputs(shapes[1], slots, slots - 1, 0), step_tolerance(slots)))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

/// Slots, and elements of a plane, of one half of a history.
fn size(half: Shape) -> (usize, usize) {
    (half.d as usize, (half.h * half.w) as usize)
}

fn products_tolerance(g: Shape) -> Tolerance {
    // Elements are within ±1, but y = g − y_spare within ±2, and so its square within 4.
    Tolerance::sum(g.elements(), 4.0)
}

fn direction_tolerance(slots: u32) -> Tolerance {
    Tolerance {
        atol: 2.0 * EPSILON * f64::from(slots),
        rtol: 2.0 * EPSILON * f64::from(slots).sqrt(),
        reason: "in each of two rounds for a pair, products of at most a few units change by a product that rounds by 2⁻²⁴, \
                 and is off by what the weights before it were off by; the curvature differs fourfold between directions, \
                 which hands on a few times as much",
    }
}

fn step_tolerance(slots: u32) -> Tolerance {
    // x is within ±150 and the change a sum of two terms within ±1 a slot, and one for the gradient.
    Tolerance::few(4, 200.0 + 4.0 * f64::from(2 * slots + 1))
}

fn given(shape: Shape, values: &[f64]) -> Input {
    input(shape, Fill::Given(values.iter().map(|value| *value as f32).collect()))
}

fn zeros(shape: Shape) -> Input {
    given(shape, &vec![0.0; shape.elements() as usize])
}

/// What [`Products`] reads with a full history.
fn products_inputs(g: Shape, slots: u32, spare: u32) -> Vec<Input> {
    let half = history_shape(g, slots);
    let state = [f64::from(slots - 1), f64::from(spare), 1.0];
    vec![given(Shape::row(STATE), &state), signed(g), signed(half), signed(half)]
}

fn products() -> Vec<Case> {
    // One slot more than pairs; in the third and the last the pixels are cut too where pieces are tested.
    let sizes = [
        (Shape::new(1, 1, 1), 2, 1),
        (Shape::new(3, 5, 7), 4, 0),
        (Shape::new(3, 38, 41), 2, 0),
        (Shape::new(5, 17, 23), 3, 1),
        (Shape::new(3, 13, 11), 11, 10),
        (Shape::new(3, 7, 9), 101, 50),
        (Shape::new(3, 301, 297), 2, 1),
    ];
    let case = |(g, slots, spare)| {
        let what = format!("{g} with {slots} slots, spare {spare}");
        PRODUCTS.case(what, Products, products_inputs(g, slots, spare), products_tolerance(g))
    };
    sizes.map(case).into()
}

/// The state of a history before a step.
#[derive(Clone, Copy, Debug)]
struct Before {
    pairs: u32,
    spare: u32,
    had_step: bool,
}

/// Whether the product of the new s and y is positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Kept,
    Refused,
}

/// Elements of the vectors that the totals and products of a case are of.
const LENGTH: usize = 400;
/// What the direction is told that they are: another number, so that each is seen to be used.
const ELEMENTS: u64 = 1000;

/// What [`Direction`] reads where the pairs are of a cost that bends between a half and 2 in all directions, times `unit`.
fn direction_inputs(slots: u32, before: Before, unit: f64, sign: Sign) -> Vec<Input> {
    let mut random = Random::new(u64::from(slots));
    let count = slots as usize;
    let mut vector = || random.vec_f64(LENGTH);
    let bends: Vec<f64> = vector().iter().map(|it| 2.0_f64.powf(*it)).collect();
    let g: Vec<f64> = vector().iter().map(|g| unit * g).collect();
    let s: Vec<Vec<f64>> = (0..count).map(|_| vector()).collect();
    let bent = |s: &Vec<f64>| s.iter().zip(&bends).map(|(s, bend)| unit * s * bend).collect::<Vec<f64>>();
    let mut y: Vec<Vec<f64>> = s.iter().map(bent).collect();
    let spare = before.spare as usize;
    if sign == Sign::Refused {
        y[spare].iter_mut().for_each(|y| *y = -*y);
    }
    let dot = |a: &Vec<f64>, b: &Vec<f64>| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let of = |a: &Vec<Vec<f64>>, b: &Vec<Vec<f64>>| -> Vec<f64> {
        a.iter().flat_map(|a| b.iter().map(|b| dot(a, b)).collect::<Vec<f64>>()).collect()
    };
    let products = [of(&s, &y), of(&y, &y)].concat();
    // In the place of y, the spare slot holds the gradient before.
    let gradient_before: Vec<f64> = g.iter().zip(&y[spare]).map(|(g, y)| g - y).collect();
    y[spare] = gradient_before;
    let state = [before.pairs, before.spare, before.had_step.into()].map(f64::from);
    let totals = reference::l_bfgs_products(&state, &g, &s.concat(), &y.concat(), (count, LENGTH));
    vec![
        given(Shape::SCALAR, &[0.75]),
        given(totals_shape(slots), &totals),
        given(Shape::row(STATE), &state),
        given(products_shape(slots), &products),
        given(Shape::SCALAR, &[41.0]),
    ]
}

fn direction() -> Vec<Case> {
    let before = |pairs, spare, had_step| Before { pairs, spare, had_step };
    let (kept, refused) = (Sign::Kept, Sign::Refused);
    let cases = [
        ("the first step", 4, before(0, 0, false), 1.0, kept),
        ("the first pair", 4, before(0, 0, true), 1.0, kept),
        ("a first pair that does not count", 4, before(0, 0, true), 1.0, refused),
        ("a third pair", 7, before(2, 2, true), 1.0, kept),
        ("a third pair that does not count", 7, before(2, 2, true), 1.0, refused),
        ("a full history", 11, before(10, 4, true), 1.0, kept),
        ("the end of the ring", 11, before(10, 10, true), 1.0, kept),
        ("a full history and a pair that does not count", 11, before(10, 0, true), 1.0, refused),
        ("one pair at most", 2, before(1, 1, true), 1.0, kept),
        ("small gradients", 2, before(0, 0, true), 1e-7, kept),
        ("gradients whose squares are lost", 2, before(0, 0, true), 1e-22, kept),
        ("large gradients", 2, before(0, 0, true), 1e15, kept),
        ("no gradient", 2, before(0, 0, true), 0.0, kept),
        ("the longest history", 101, before(100, 70, true), 1.0, kept),
    ];
    let case = |(what, slots, before, unit, sign): (&str, u32, Before, f64, Sign)| {
        let op = Direction { elements: ELEMENTS };
        let inputs = direction_inputs(slots, before, unit, sign);
        DIRECTION.case(format!("{slots} slots, {what}"), op, inputs, direction_tolerance(slots))
    };
    cases.map(case).into()
}

/// What [`Step`] reads; every third slot has no weight.
fn step_inputs(g: Shape, slots: u32, was_spare: u32, spare: u32) -> Vec<Input> {
    let mut random = Random::new(u64::from(slots));
    let mut weights: Vec<f64> = random.vec_f64(2 * slots as usize + 1);
    for (index, weight) in weights.iter_mut().take(2 * slots as usize).enumerate() {
        if index as u32 % slots % 3 == 2 || index as u32 % slots == spare {
            *weight = 0.0;
        }
    }
    weights.extend([was_spare, spare].map(f64::from));
    let half = history_shape(g, slots);
    vec![
        given(weights_shape(slots), &weights),
        signed(g),
        input(g, Fill::Between(-150.0, 150.0)),
        signed(half),
        signed(half),
    ]
}

fn step() -> Vec<Case> {
    let sizes = [
        (Shape::new(1, 1, 1), 2, 0, 1),
        (Shape::new(3, 5, 7), 4, 3, 0),
        (Shape::new(3, 38, 41), 2, 1, 1),
        (Shape::new(5, 17, 23), 3, 1, 2),
        (Shape::new(3, 13, 11), 11, 10, 0),
        (Shape::new(3, 7, 9), 101, 50, 51),
    ];
    let single = sizes.into_iter().map(|(g, slots, was_spare, spare)| {
        let what = format!("{g} with {slots} slots, spare {was_spare} and then {spare}");
        STEP.case(what, Step, step_inputs(g, slots, was_spare, spare), step_tolerance(slots))
    });
    single.chain([(1, 4), (2, 4), (5, 3)].map(|(repeats, slots)| steps(repeats, slots))).collect()
}

/// Whole steps down a parabola, whose gradient is the pixels, smoothed.
fn steps(repeats: u32, slots: u32) -> Case {
    let x = Shape::new(3, 13, 11);
    let half = history_shape(x, slots);
    let inputs = vec![
        given(Shape::SCALAR, &[1.0]),
        zeros(Shape::row(STATE)),
        zeros(products_shape(slots)),
        zeros(Shape::SCALAR),
        signed(x),
        zeros(half),
        zeros(half),
    ];
    let step = |op: Arc<dyn Op>, inputs: &[usize]| CaseStep { op, inputs: inputs.to_vec() };
    let before = vec![
        step(Arc::new(Smooth { scale: 1.0, wrap: crate::ops::Wrap::NONE }), &[4]),
        step(Arc::new(Products), &[1, 7, 5, 6]),
        step(Arc::new(Direction { elements: x.elements() }), &[0, 8, 1, 2, 3]),
    ];
    let tolerance = Tolerance {
        atol: 64.0 * EPSILON * f64::from(repeats * repeats),
        rtol: 64.0 * EPSILON,
        reason: "gradients and products round by a few 2⁻²⁴ of numbers of about 1, and the curvature along a step, which the \
                 next step is divided by, is a tenth of that and less",
    };
    let mut case = STEP.case(format!("{repeats} whole steps with {slots} slots"), Step, inputs, tolerance);
    case.steps[0].inputs = vec![9, 7, 4, 5, 6];
    case.steps.splice(0..0, before);
    Case { repeats, ..case }
}
