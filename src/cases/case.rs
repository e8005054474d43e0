//! A case: ops, what they read, and how far a kernel may be from their twins.

use std::sync::Arc;

use super::input::{Fill, Input};
use super::random::Random;
use super::tolerance::Tolerance;
use crate::error::Result;
use crate::graph::{Phase, Role, Tape, TensorId};
use crate::ops::conv::{ConvGeometry, TILED, TILED_TRANSPOSED};
use crate::ops::{Form, Op, Shape};

/// An op, or a few that follow each other, on inputs that are the same on every machine.
#[derive(Clone, Debug)]
pub struct Case {
    /// The family with what sets the case apart.
    pub name: String,
    /// Name of the twin, with which the names of its kernels begin: `conv_forward`.
    pub family: &'static str,
    /// What comes from outside.
    pub inputs: Vec<Input>,
    /// What is done with it, in order. The last step's outputs are what is compared, together with every input
    /// that is updated in place.
    pub steps: Vec<Step>,
    /// How often the whole program runs: more than once where it updates its own inputs.
    pub repeats: u32,
    /// Into about how many pieces the largest tensor is cut where pieces are tested.
    pub pieces: u64,
    /// How far from the twin an element may be.
    pub tolerance: Tolerance,
}

/// An op with what it reads: first the case's inputs are counted, then the main outputs of the steps before.
#[derive(Clone, Debug)]
pub struct Step {
    /// The op.
    pub op: Arc<dyn Op>,
    /// What it reads.
    pub inputs: Vec<usize>,
}

/// A case on a tape, which keeps the last step's outputs.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The tape.
    pub tape: Tape,
    /// The inputs, called by [`Case::input_name`].
    pub inputs: Vec<TensorId>,
    /// The last step's main output.
    pub output: TensorId,
}

impl Case {
    /// What input `index` is called on the tape.
    pub fn input_name(index: usize) -> String {
        format!("input.{index}")
    }

    /// Records the case.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where a case is mistaken.
    pub fn record(&self) -> Result<Recorded> {
        let mut tape = Tape::new();
        let inputs: Vec<TensorId> = self
            .inputs
            .iter()
            .enumerate()
            .map(|(index, input)| tape.external(Self::input_name(index), input.shape, input.role))
            .collect();
        let mut wires = inputs.clone();
        for step in &self.steps {
            let reads: Vec<TensorId> = step.inputs.iter().map(|wire| wires[*wire]).collect();
            wires.push(tape.push(Arc::clone(&step.op), &reads, "case", Phase::Forward)?);
        }
        let output = wires[wires.len() - 1];
        let outputs = tape.nodes().last().map(|node| node.outputs.clone()).unwrap_or_default();
        outputs.into_iter().for_each(|output| tape.keep(output));
        Ok(Recorded { tape, inputs, output })
    }

    /// The bits of every input.
    pub fn values(&self) -> Vec<Vec<u32>> {
        // Seeded by the name (FNV-1a), so that a new case does not change the values of the others.
        let seed = self
            .name
            .bytes()
            .fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3));
        let mut random = Random::new(seed);
        self.inputs.iter().map(|input| input.values(&mut random)).collect()
    }

    /// A limit of bindings, in bytes, that cuts the largest tensor into about [`Self::pieces`] pieces, or into
    /// fewer where another tensor cannot be cut as small. `None` where nothing can be cut.
    pub fn binding_limit(&self) -> Option<u64> {
        let recorded = self.record().expect("a case's shapes fit");
        let shape = |tensor: &TensorId| recorded.tape.shape(*tensor);
        let nodes = || recorded.tape.nodes().iter();
        let is_mask = |input: &&Input| matches!(input.fill, Fill::Mask(_) | Fill::Winners(_));
        let outside = self.inputs.iter().filter(|input| input.role != Role::Weights && !is_mask(input));
        let cuttable: Vec<Shape> =
            outside.map(|input| input.shape).chain(nodes().map(|node| shape(&node.output()))).collect();
        // Masks are not cut.
        let masks = self.inputs.iter().filter(is_mask).map(|input| input.shape);
        let masks = masks.chain(nodes().flat_map(|node| node.outputs[1..].iter().map(shape)));
        let weights = self.inputs.iter().filter(|input| input.role == Role::Weights).map(|input| input.shape);
        let arranged = weights.flat_map(|shape| {
            let forms = [Form::PLAIN, TILED, TILED_TRANSPOSED];
            let forms = if shape.w == ConvGeometry::SAME_3X3.taps() { &forms[..] } else { &forms[..1] };
            forms.iter().map(move |form| 4 * (form.words)(shape)).collect::<Vec<_>>()
        });
        let least = cuttable
            .iter()
            .map(|shape| 4 * shape.plane())
            .chain(arranged)
            .chain(masks.map(Shape::bytes))
            .max()?;
        let largest = cuttable.iter().map(|shape| shape.bytes()).max()?;
        let limit = least.max(largest / self.pieces);
        (limit < largest).then_some(limit)
    }

    /// How far from the twin an element may be where a convolution's operands are stored in half precision.
    pub fn tolerance_in_half(&self) -> Tolerance {
        let depth = f64::from(self.inputs[0].shape.c);
        Tolerance {
            atol: self.tolerance.atol + depth.sqrt() / 64.0,
            rtol: self.tolerance.rtol,
            reason: "a number in f16 is off by 2⁻¹¹ of itself, or by 2⁻¹⁰ where a driver rounds towards zero. \
                     Winograd's transform makes numbers up to 26 times as large, and the output's adds 36 products \
                     for each channel with factors up to 8, most of them far smaller; with random signs the errors \
                     of the channels add up as the root of their number: the largest of a hundred thousand \
                     elements is off by 0.011 times that root, and 2⁻⁶ are allowed",
        }
    }
}
