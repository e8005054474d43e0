//! Cases of Adam: the advance of its state, and its step.

use std::sync::Arc;

use super::case::{Case, Step};
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase};
use super::input::{Fill, Input, input, signed};
use super::tolerance::{EPSILON, Tolerance};
use super::twin::Twin;
use crate::ops::Shape;
use crate::ops::adam::{Adam, AdamAdvance, HYPER, STATE};
use crate::reference;

pub(super) static ADVANCE: Family = Family {
    name: "adam_advance",
    list: advance,
    twin: |op, inputs, _| {
        op.downcast::<AdamAdvance>()?;
        Some(Twin::new(reference::adam_advance(inputs[0], inputs[1])))
    },
    of: |op, _| {
        op.downcast::<AdamAdvance>()?;
        let inputs = step_inputs(Shape::SCALAR).into_iter().take(2).collect();
        Some(OwnCase::new(inputs, advance_tolerance(1)))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static STEP: Family = Family {
    name: "adam",
    list: step,
    twin: |op, inputs, _| {
        op.downcast::<Adam>()?;
        let (x, m, v) = reference::adam(inputs[0], inputs[1], inputs[2], inputs[3], inputs[4], inputs[5]);
        Some(Twin { updated: vec![(4, m), (5, v)], ..Twin::new(x) })
    },
    of: |op, shapes| {
        op.downcast::<Adam>()?;
        Some(OwnCase::new(step_inputs(shapes[2]), step_tolerance(1)))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

fn advance_tolerance(steps: u32) -> Tolerance {
    // Each step rounds twice, and β hands nearly all of that on.
    Tolerance::positive_sum(2 * u64::from(steps))
}

fn step_tolerance(steps: u32) -> Tolerance {
    // x is within 150 and changes by less than 4 a step. Where it ends near 0, it was up to 4 larger for each step
    // before, and was rounded as what it was then: 2⁻²⁴·4·(1 + … + (steps − 1)). m and v are sums of two products.
    Tolerance {
        atol: EPSILON * f64::from(steps * steps),
        rtol: EPSILON * (2.0 + f64::from(steps)),
        reason: "every step rounds x once by 2⁻²⁴ of what it is then, which is less than 4 more for each step to come, \
                 and its change, which is less than 4, by a few times 2⁻²⁴; doubled because a division and a root may \
                 be off by more",
    }
}

/// Adam's learning rate, β₁, β₂, ε, 1 − β₁, 1 − β₂: the course's.
const ADAM: [f32; HYPER as usize] = [2.0, 0.9, 0.999, 1e-8, 1.0 - 0.9, 1.0 - 0.999];

/// Pixels without their mean.
const PIXELS: Fill = Fill::Between(-150.0, 150.0);

fn hyper() -> Input {
    input(Shape::row(HYPER), Fill::Given(ADAM.to_vec()))
}

fn start() -> Input {
    input(Shape::row(STATE), Fill::Given(vec![0.0; STATE as usize]))
}

/// What [`Adam`] reads before step 7.
fn step_inputs(shape: Shape) -> Vec<Input> {
    let state = [0.521_703_1, 0.006_979, 7.0];
    vec![
        hyper(),
        input(Shape::row(STATE), Fill::Given(state.to_vec())),
        signed(shape),
        input(shape, PIXELS),
        signed(shape),
        input(shape, Fill::Between(0.01, 1.0)),
    ]
}

fn advance() -> Vec<Case> {
    [1, 50]
        .map(|repeats| {
            let inputs = vec![hyper(), start()];
            let what = format!("{repeats} steps");
            Case { repeats, ..ADVANCE.case(what, AdamAdvance, inputs, advance_tolerance(repeats)) }
        })
        .into()
}

fn step() -> Vec<Case> {
    let first_steps = [(Shape::new(1, 1, 1), 1), (Shape::new(3, 5, 7), 5)].map(|(shape, repeats)| {
        let zeros = || input(shape, Fill::Given(vec![0.0; shape.elements() as usize]));
        let inputs = vec![hyper(), start(), signed(shape), input(shape, PIXELS), zeros(), zeros()];
        let what = format!("{shape}, the first {repeats}");
        let mut case = STEP.case(what, Adam, inputs, step_tolerance(repeats));
        case.steps[0].inputs[1] = case.inputs.len();
        case.steps.insert(0, Step { op: Arc::new(AdamAdvance), inputs: vec![0, 1] });
        Case { repeats, ..case }
    });
    let later = [Shape::new(5, 17, 23), Shape::new(3, 97, 75)]
        .map(|shape| STEP.case(format!("{shape}, step 7"), Adam, step_inputs(shape), step_tolerance(1)));
    first_steps.into_iter().chain(later).collect()
}
