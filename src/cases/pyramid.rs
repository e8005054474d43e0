//! Cases of Adam on a pyramid: its schedule, one level, the descent of the pixels, and whole steps.

use std::sync::Arc;

use super::case::{Case, Step};
use super::common::{MANY, SIZES};
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase};
use super::input::{Fill, Input, input, signed};
use super::tolerance::{EPSILON, Tolerance};
use super::twin::Twin;
use crate::ops::adam::{AdamAdvance, HYPER, STATE, hyper};
use crate::ops::pool::Pool;
use crate::ops::preprocess::MEAN_SHAPE;
use crate::ops::pyramid::{AdamLevel, Descend, SCHEDULE, SCHEDULE_STATE, ScheduleAdvance, schedule};
use crate::ops::resize::AddUpsampled;
use crate::ops::smooth::Smooth;
use crate::ops::{Op, Shape, Wrap};
use crate::reference;

pub(super) static SCHEDULE_ADVANCE: Family = Family {
    name: "schedule_advance",
    list: advance,
    twin: |op, inputs, _| {
        op.downcast::<ScheduleAdvance>()?;
        Some(Twin::new(reference::schedule_advance(inputs[0], inputs[1])))
    },
    of: |op, _| {
        op.downcast::<ScheduleAdvance>()?;
        Some(OwnCase::new(vec![schedule_row(0.9), zeros(Shape::row(SCHEDULE_STATE))], advance_tolerance(1)))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static LEVEL: Family = Family {
    name: "adam_level",
    list: level,
    twin: |op, inputs, _| {
        op.downcast::<AdamLevel>()?;
        let (d, m, v) = reference::adam_level(inputs[0], inputs[1], inputs[2], inputs[3], inputs[4]);
        Some(Twin { updated: vec![(3, m), (4, v)], ..Twin::new(d) })
    },
    of: |op, shapes| {
        op.downcast::<AdamLevel>()?;
        Some(OwnCase::new(level_inputs(shapes[2]), level_tolerance()))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

pub(super) static DESCEND: Family = Family {
    name: "descend",
    list: descend,
    twin: |op, inputs, _| {
        op.downcast::<Descend>()?;
        let mean = [inputs[1][0], inputs[1][1], inputs[1][2]];
        let (x, average) = reference::descend(inputs[0], mean, inputs[2], inputs[3], inputs[4]);
        Some(Twin { updated: vec![(4, average)], ..Twin::new(x) })
    },
    of: |op, shapes| {
        op.downcast::<Descend>()?;
        Some(OwnCase::new(descend_inputs(shapes[2], STEP_7), descend_tolerance()))
    },
    elements: |_| Elements::Floats,
    dimensions: Dimensions::of_largest,
};

fn advance_tolerance(steps: u32) -> Tolerance {
    Tolerance {
        atol: 0.0,
        rtol: EPSILON * (12.0 + f64::from(2 * steps).sqrt()),
        reason: "1 − decayⁱ rounds twice a step by 2⁻²⁴, up or down, so that the root of that counts; the rate is a \
                 difference that is at least a third of what it is made of, by four operations of which a division may be \
                 off by 2.5 times 2⁻²³; doubled",
    }
}

fn level_tolerance() -> Tolerance {
    // m is a sum of two products within ±1, √v at least 0.09, and √(1 − β₂ᵗ)/(1 − β₁ᵗ) is a half.
    Tolerance::few(10, 6.0)
}

fn descend_tolerance() -> Tolerance {
    // Sums within ±160 that may cancel.
    Tolerance::few(3, 200.0)
}

/// β₁, β₂ and ε.
const ADAM: [f32; 3] = [0.9, 0.99, 1e-8];

/// The channel means that the network was trained with, RGB.
const MEAN: [f32; 3] = [123.68, 116.779, 103.939];

/// Pixels without their mean, some of them outside what a picture can show.
const PIXELS: Fill = Fill::Between(-150.0, 150.0);

/// State of a schedule after seven steps with a decay of 0.9.
const STEP_7: [f32; SCHEDULE_STATE as usize] = [7.0, 0.521_703_1, 2.76, 0.1917];
/// The same with a decay of 0: no average.
const ALONE: [f32; SCHEDULE_STATE as usize] = [7.0, 1.0, 2.76, 1.0];

fn given(shape: Shape, values: &[f32]) -> Input {
    input(shape, Fill::Given(values.to_vec()))
}

fn zeros(shape: Shape) -> Input {
    given(shape, &vec![0.0; shape.elements() as usize])
}

fn schedule_row(decay: f32) -> Input {
    given(Shape::row(SCHEDULE), &schedule(3.0, 0.8, 60, decay))
}

fn adam_row() -> Input {
    given(Shape::row(HYPER), &hyper(3.0, ADAM))
}

fn mean() -> Input {
    given(MEAN_SHAPE, &MEAN)
}

/// What [`AdamLevel`] reads at step 7.
fn level_inputs(shape: Shape) -> Vec<Input> {
    let state = [0.521_703_1, 0.067_934_65, 7.0];
    vec![
        adam_row(),
        given(Shape::row(STATE), &state),
        signed(shape),
        signed(shape),
        input(shape, Fill::Between(0.01, 1.0)),
    ]
}

fn descend_inputs(shape: Shape, state: [f32; SCHEDULE_STATE as usize]) -> Vec<Input> {
    vec![
        given(Shape::row(SCHEDULE_STATE), &state),
        mean(),
        input(shape, Fill::Between(-3.0, 3.0)),
        input(shape, PIXELS),
        input(shape, PIXELS),
    ]
}

fn advance() -> Vec<Case> {
    let cases = [(1, 0.9), (50, 0.9), (1, 0.0), (3, 0.0)].map(|(repeats, decay)| {
        let inputs = vec![schedule_row(decay), zeros(Shape::row(SCHEDULE_STATE))];
        let what = format!("{repeats} steps, decay {decay}");
        let tolerance = advance_tolerance(repeats);
        Case { repeats, ..SCHEDULE_ADVANCE.case(what, ScheduleAdvance, inputs, tolerance) }
    });
    cases.into()
}

fn level() -> Vec<Case> {
    let cases = SIZES.into_iter().chain([MANY]);
    cases.map(|x| LEVEL.case(format!("{x}, step 7"), AdamLevel, level_inputs(x), level_tolerance())).collect()
}

fn descend() -> Vec<Case> {
    let sizes = [(1, 1), (5, 7), (1, 9), (38, 41), (MANY.h, MANY.w)];
    let states = [STEP_7, STEP_7, ALONE, ALONE, STEP_7];
    let single = sizes.into_iter().zip(states).map(|((h, w), state)| {
        let x = Shape::new(3, h, w);
        let what = format!("{x}, weight {}", state[3]);
        DESCEND.case(what, Descend, descend_inputs(x, state), descend_tolerance())
    });
    single.chain([steps(1, 13, 11), steps(3, 13, 11), steps(3, 10, 9)]).collect()
}

/// Whole steps on two levels, from a gradient that stays the same.
fn steps(repeats: u32, h: u32, w: u32) -> Case {
    let (fine, coarse) = (Shape::new(3, h, w), Shape::new(3, h.div_ceil(2), w.div_ceil(2)));
    let inputs = vec![
        adam_row(),
        zeros(Shape::row(STATE)),
        schedule_row(0.9),
        zeros(Shape::row(SCHEDULE_STATE)),
        mean(),
        // Of one sign: where a gradient is nearly 0, a step turns on how its sum is rounded.
        input(fine, Fill::Between(0.1, 1.0)),
        input(fine, PIXELS),
        zeros(fine),
        zeros(fine),
        zeros(fine),
        zeros(coarse),
        zeros(coarse),
    ];
    let step = |op: Arc<dyn Op>, inputs: &[usize]| Step { op, inputs: inputs.to_vec() };
    let before = vec![
        step(Arc::new(AdamAdvance), &[0, 1]),
        step(Arc::new(ScheduleAdvance), &[2, 3]),
        step(Arc::new(Smooth { scale: (h * w) as f32, wrap: Wrap::NONE }), &[5]),
        step(Arc::new(Pool::MEAN), &[14]),
        step(Arc::new(AdamLevel), &[0, 12, 14, 8, 9]),
        step(Arc::new(AdamLevel), &[0, 12, 15, 10, 11]),
        step(Arc::new(AddUpsampled::default()), &[16, 17]),
    ];
    // The moments are of numbers up to h·w, and of their squares.
    let tolerance = Tolerance {
        atol: 40.0 * EPSILON * f64::from(repeats),
        rtol: EPSILON * (16.0 + 4.0 * f64::from(repeats)),
        reason: "all that is summed is of one sign, so a moment and a level's change are off by a few roundings of 2⁻²⁴ \
                 for each op and step; the change is at most 6 levels a step, and pixels within ±160, which may cancel, \
                 round once a step",
    };
    let mut case = DESCEND.case(format!("{fine} after {repeats} whole steps"), Descend, inputs, tolerance);
    case.steps[0].inputs = vec![13, 4, 18, 6, 7];
    case.steps.splice(0..0, before);
    Case { repeats, ..case }
}
