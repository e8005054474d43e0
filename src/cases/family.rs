//! A family: an op in one direction, with its cases and its twin.

use std::sync::Arc;

use super::case::{Case, Step};
use super::common::{ACCUMULATE, BOTH, GATE, NONE, RELU};
use super::elements::Elements;
use super::input::{Input, mask, signed};
use super::tolerance::{EPSILON, Tolerance};
use super::twin::Twin;
use crate::ops::{Epilogue, Op, Shape};
use crate::picture::Extent;

/// What an op makes of inputs, with their shapes; `None` for an op of another family.
type TwinOf = fn(&dyn Op, &[&[f64]], &[Shape]) -> Option<Twin>;

/// What tests, benchmarks and the doctor need to know of an op in one direction.
#[derive(Debug)]
pub struct Family {
    /// Name of the twin, with which the names of the cases begin: `conv_forward`.
    pub name: &'static str,
    /// Its cases.
    pub(super) list: fn() -> Vec<Case>,
    /// What an op of this family makes of inputs of these shapes; `None` for an op of another family. Inputs that the
    /// op overwrites with its main output need not be named.
    pub(super) twin: TwinOf,
    /// The case of an op of this family on inputs of these shapes; `None` for an op of another family.
    pub(super) of: fn(&dyn Op, &[Shape]) -> Option<OwnCase>,
    /// What the words of the main output of an op of this family are.
    pub(super) elements: fn(&dyn Op) -> Elements,
    /// How large an op of this family is, from the shapes of its inputs and its output.
    pub(super) dimensions: fn(&[Shape], Shape) -> Dimensions,
}

impl Family {
    /// Its cases.
    pub fn cases(&self) -> Vec<Case> {
        (self.list)()
    }

    /// A case of one op that reads all inputs in order.
    pub(super) fn case(&self, what: String, op: impl Op, inputs: Vec<Input>, tolerance: Tolerance) -> Case {
        let family = self.name;
        let steps = vec![Step { op: Arc::new(op), inputs: (0..inputs.len()).collect() }];
        Case { name: format!("{family} {what}"), family, inputs, steps, repeats: 1, pieces: 3, tolerance }
    }

    /// A case of a backward op whose merged work is `epilogue`; `inputs` are the op's own. With both merges the
    /// gradient to add to is computed, so that it lies in an arena; otherwise it comes from outside.
    pub(super) fn backward(
        &self,
        what: String,
        op: impl Op,
        epilogue: Epilogue,
        inputs: Vec<Input>,
        dx: Shape,
        tolerance: Tolerance,
    ) -> Case {
        let own = inputs.len();
        let (inputs, tolerance) = merged(inputs, epilogue, dx, tolerance);
        let what = match epilogue {
            NONE => what,
            ACCUMULATE => format!("{what}, accumulate"),
            GATE => format!("{what}, gate"),
            BOTH => format!("{what}, accumulate, gate"),
        };
        let mut case = self.case(what, op, inputs, tolerance);
        if epilogue == BOTH {
            let computed = case.inputs.len();
            case.steps[0].inputs[own] = computed;
            case.steps.insert(0, Step { op: Arc::new(RELU), inputs: vec![own] });
        }
        case
    }
}

/// The part of a case that only the op's family knows.
pub(super) struct OwnCase {
    /// Without those of the epilogue.
    pub(super) inputs: Vec<Input>,
    pub(super) epilogue: Epilogue,
    /// Without what the epilogue adds.
    pub(super) tolerance: Tolerance,
}

impl OwnCase {
    pub(super) fn new(inputs: Vec<Input>, tolerance: Tolerance) -> Self {
        Self { inputs, epilogue: NONE, tolerance }
    }

    pub(super) fn ending_in(self, epilogue: Epilogue) -> Self {
        Self { epilogue, ..self }
    }
}

/// How large an op is: what benchmarks report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dimensions {
    /// Channels of what it reads.
    pub read: u32,
    /// Channels of what it writes.
    pub written: u32,
    /// The larger of both planes.
    pub plane: Extent,
}

impl Dimensions {
    pub(super) fn new(input: Shape, output: Shape) -> Self {
        let larger = if input.plane() > output.plane() { input } else { output };
        Self { read: input.c, written: output.c, plane: Extent::new(larger.w, larger.rows()) }
    }

    /// Those of the largest input and the output.
    pub(super) fn of_largest(inputs: &[Shape], output: Shape) -> Self {
        let largest = inputs.iter().copied().max_by_key(|shape| shape.elements());
        Self::new(largest.unwrap_or(output), output)
    }
}

/// The inputs and the tolerance of a backward op with `epilogue` merged into it, from those without.
pub(super) fn merged(
    mut inputs: Vec<Input>,
    epilogue: Epilogue,
    dx: Shape,
    mut tolerance: Tolerance,
) -> (Vec<Input>, Tolerance) {
    if epilogue.accumulate {
        inputs.push(signed(dx));
        tolerance.atol += EPSILON;
        tolerance.rtol += EPSILON;
    }
    if epilogue.gate {
        inputs.push(mask(dx));
    }
    (inputs, tolerance)
}
