//! The one list of cases that tests, benches and `impasto doctor` all run: an op with the shapes and values of its
//! inputs, what its CPU twin makes of them in f64, and how far a kernel may be from that, with the reason. Beside it
//! the one runner ([`run`]), the one comparison ([`compare`]), the golden run ([`golden`]), and the examination of every
//! kernel ([`examine`]).

pub mod compare;
pub mod examine;
pub mod golden;
pub mod run;

use std::sync::Arc;

use half::f16;

use crate::error::Result;
use crate::graph::{Phase, Role, Tape, TensorId};
use crate::ops::adam::{Adam, AdamAdvance, HYPER, STATE};
use crate::ops::add::Add;
use crate::ops::conv::{Conv, ConvBackward, ConvPool, ConvPoolBackward, arranged_elements, weights_shape};
use crate::ops::gram::{Gram, GramBackward};
use crate::ops::mix::Mix;
use crate::ops::pool::{Pool, PoolBackward};
use crate::ops::preprocess::{Postprocess, Preprocess};
use crate::ops::probe::{Copy, Peak};
use crate::ops::relu::{Relu, ReluBackward, mask_shape};
use crate::ops::resample::Resample;
use crate::ops::squared_error::{SquaredError, SquaredErrorBackward};
use crate::ops::texels::{DecodeTexels, EncodeTexels, TexelFormat};
use crate::ops::weighted_sum::{WeightedSum, WeightedSumBackward};
use crate::ops::{Epilogue, Form, Op, Shape};
use crate::reference;

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

/// A tensor from outside.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its shape.
    pub shape: Shape,
    /// Whose it is; weights are never cut into pieces.
    pub role: Role,
    /// Its values.
    pub fill: Fill,
}

/// Which values an input has.
#[derive(Clone, Debug)]
pub enum Fill {
    /// Random in low..high.
    Between(f32, f32),
    /// Random words: the mask of a ReLU whose output has this shape.
    Mask(Shape),
    /// Random RGBA pixels, one word each.
    Rgba,
    /// Random halves, two a word: most in 0..1 as a linear light is, the others any, negative, infinite and NaN among
    /// them.
    Halves,
    /// Random such that, after the mean (R, G, B) is added, none is so near a whole number that rounding could
    /// change its integer part; some lie below 0 and some above 255.
    Pixels([f32; 3]),
    /// These, in order.
    Given(Vec<f32>),
}

/// An op with what it reads: first the case's inputs are counted, then the main outputs of the steps before.
#[derive(Clone, Debug)]
pub struct Step {
    /// The op.
    pub op: Arc<dyn Op>,
    /// What it reads.
    pub inputs: Vec<usize>,
}

/// The error allowed of an element is `atol + rtol·|expected|`.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    /// The absolute part.
    pub atol: f64,
    /// The part relative to the expected value.
    pub rtol: f64,
    /// Why that much.
    pub reason: &'static str,
}

/// Twice the most that one f32 operation rounds by, relative to its result.
const EPSILON: f64 = 1.0 / (1_u64 << 23) as f64;

impl Tolerance {
    /// For results that no rounding can change.
    const EXACT: Self = Self { atol: 0.0, rtol: 0.0, reason: "copies, comparisons and zeros do not round" };

    /// For sums of `terms` random terms within ±`scale`.
    fn sum(terms: u64, scale: f64) -> Self {
        let terms = terms as f64;
        Self {
            atol: EPSILON * scale * terms,
            rtol: EPSILON * (1.0 + terms.sqrt()),
            reason: "each addition rounds by at most 2⁻²⁴ of a partial sum. With random signs a partial sum stays \
                     within a few roots of the number of terms, and so does the sum of the roundings: together the \
                     number of terms times 2⁻²⁴ at most, doubled. With equal signs the roundings are of the \
                     result, and their number counts by its root",
        }
    }

    /// For sums of positive terms, `depth` additions deep.
    fn positive_sum(depth: u64) -> Self {
        Self {
            atol: 0.0,
            rtol: EPSILON * (1.0 + (depth as f64).sqrt()),
            reason: "terms of one sign: each of the additions that a term passes through rounds by 2⁻²⁴ of the \
                     result, up or down, so that their root counts, doubled",
        }
    }

    /// For a few operations that each round once, on numbers within ±`scale`.
    fn few(operations: u32, scale: f64) -> Self {
        Self {
            atol: EPSILON * scale,
            rtol: EPSILON * f64::from(operations),
            reason: "a few operations that round by 2⁻²⁴ each, doubled because a division may be off by more; \
                     where something is added that may cancel, relative to what is added",
        }
    }
}

impl Case {
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

/// Which numbers the words of an output hold: these are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elements {
    /// An f32 each.
    Floats,
    /// Bits, in which nothing may differ.
    Words,
    /// Four bytes each, the lowest first.
    Bytes,
    /// Two halves each, the lower one first.
    Halves,
}

impl Elements {
    /// All kinds with their names.
    pub const ALL: [(&'static str, Self); 4] =
        [("floats", Self::Floats), ("words", Self::Words), ("bytes", Self::Bytes), ("halves", Self::Halves)];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, it)| *it == self).map_or("", |(name, _)| name)
    }

    /// How many numbers a word holds.
    pub fn of_a_word(self) -> usize {
        match self {
            Self::Floats | Self::Words => 1,
            Self::Bytes => 4,
            Self::Halves => 2,
        }
    }

    /// The numbers in `words`.
    pub fn numbers(self, words: &[u32]) -> Vec<f64> {
        let half = |bits: u32| f16::from_bits(bits as u16).to_f64();
        match self {
            Self::Floats => words.iter().map(|bits| f64::from(f32::from_bits(*bits))).collect(),
            Self::Words => words.iter().map(|word| f64::from(*word)).collect(),
            Self::Bytes => words.iter().flat_map(|word| word.to_le_bytes().map(f64::from)).collect(),
            Self::Halves => words.iter().flat_map(|word| [*word, word >> 16].map(half)).collect(),
        }
    }
}

/// What must be in the buffers afterwards.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The last step's main output, in the numbers that [`Case::makes`] says: before they are rounded to bytes or
    /// halves.
    pub output: Vec<f64>,
    /// Its side outputs: words, each as a number, that allow no error.
    pub sides: Vec<Vec<f64>>,
    /// For each input its new values, if it is updated.
    pub inputs: Vec<Option<Vec<f64>>>,
}

/// A case's inputs, and what the twins make of them: computed once, however often the case is run.
#[derive(Clone, Debug)]
pub struct Known {
    /// [`Case::values`].
    pub values: Vec<Vec<u32>>,
    /// [`Case::expected`].
    pub expected: Expected,
}

impl Known {
    /// What is known of a case.
    pub fn of(case: &Case) -> Self {
        Self { values: case.values(), expected: case.expected() }
    }
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

    /// What the twins make of [`Self::values`], computed in f64.
    pub fn expected(&self) -> Expected {
        let shapes: Vec<Shape> = self.inputs.iter().map(|input| input.shape).collect();
        let bits = self.values();
        let mut wires: Vec<Vec<f64>> =
            self.inputs.iter().zip(&bits).map(|(input, bits)| input.widen(bits)).collect();
        let mut updated = vec![false; self.inputs.len()];
        let mut sides = Vec::new();
        let mut exact = None;
        for _ in 0..self.repeats {
            let mut shapes = shapes.clone();
            wires.truncate(shapes.len());
            for step in &self.steps {
                let reads: Vec<&[f64]> = step.inputs.iter().map(|wire| &wires[*wire][..]).collect();
                let read_shapes: Vec<Shape> = step.inputs.iter().map(|wire| shapes[*wire]).collect();
                let result = twin(&*step.op, &reads, &read_shapes);
                for (input, values) in result.updated {
                    let mut wire = step.inputs[input];
                    wires[wire] = values;
                    // What was updated through the output of a step in place is updated where that began.
                    while let Some(earlier) = wire.checked_sub(updated.len()).map(|step| &self.steps[step]) {
                        let Some(overwritten) = earlier.op.in_place() else { break };
                        let home = earlier.inputs[overwritten];
                        wires[home] = wires[wire].clone();
                        wire = home;
                    }
                    if let Some(updated) = updated.get_mut(wire) {
                        *updated = true;
                    }
                }
                let shape = step.op.output_shape(&read_shapes).expect("a case's shapes fit");
                assert_eq!(
                    result.output.len() as u64,
                    shape.elements(),
                    "{}: length of the twin's output",
                    self.name
                );
                shapes.push(shape);
                sides = result.sides;
                exact = result.exact;
                wires.push(result.output);
            }
        }
        let output = exact.unwrap_or_else(|| wires[wires.len() - 1].clone());
        let inputs =
            wires.into_iter().zip(updated).map(|(values, updated)| updated.then_some(values)).collect();
        Expected { output, sides, inputs }
    }

    /// What the main output's words are.
    pub fn makes(&self) -> Elements {
        let Some(Step { op, .. }) = self.steps.last() else { return Elements::Floats };
        if op.downcast::<Postprocess>().is_some() {
            Elements::Words
        } else if let Some(DecodeTexels { format, .. }) = op.downcast() {
            if *format == TexelFormat::Rgba8 { Elements::Words } else { Elements::Bytes }
        } else if let Some(EncodeTexels { format, .. }) = op.downcast() {
            if *format == TexelFormat::Rgba8 { Elements::Words } else { Elements::Halves }
        } else if op.downcast::<Resample>().is_some() {
            Elements::Bytes
        } else {
            Elements::Floats
        }
    }

    /// A limit of bindings, in bytes, that cuts the largest tensor into about [`Self::pieces`] pieces, or into
    /// fewer where another tensor cannot be cut as small. `None` where nothing can be cut.
    pub fn binding_limit(&self) -> Option<u64> {
        let recorded = self.record().expect("a case's shapes fit");
        let shape = |tensor: &TensorId| recorded.tape.shape(*tensor);
        let nodes = || recorded.tape.nodes().iter();
        let is_mask = |input: &&Input| matches!(input.fill, Fill::Mask(_));
        let outside = self.inputs.iter().filter(|input| input.role != Role::Weights && !is_mask(input));
        let cuttable: Vec<Shape> =
            outside.map(|input| input.shape).chain(nodes().map(|node| shape(&node.output()))).collect();
        // Masks are not cut.
        let masks = self.inputs.iter().filter(is_mask).map(|input| input.shape);
        let masks = masks.chain(nodes().flat_map(|node| node.outputs[1..].iter().map(shape)));
        let weights = self.inputs.iter().filter(|input| input.role == Role::Weights).map(|input| input.shape);
        let arranged = weights.filter(|shape| shape.w == 9).flat_map(|shape| {
            [Form::Plain, Form::Forward, Form::Backward]
                .map(|form| 4 * arranged_elements(form, shape.h, shape.c))
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
}

impl Input {
    fn values(&self, random: &mut Random) -> Vec<u32> {
        let len = self.shape.elements() as usize;
        let floats = |mut next: Box<dyn FnMut(usize) -> f64 + '_>| {
            (0..len).map(|i| (next(i) as f32).to_bits()).collect()
        };
        match &self.fill {
            Fill::Between(low, high) => {
                let (low, high) = (f64::from(*low), f64::from(*high));
                floats(Box::new(|_| random.uniform(low, high)))
            }
            Fill::Mask(y) => {
                let (c, h, w) = (y.c as usize, y.h as usize, y.w as usize);
                reference::relu_mask(&random.vec_f64(c * h * w), (c, h, w))
            }
            Fill::Rgba => (0..len).map(|_| (random.bits() >> 32) as u32).collect(),
            Fill::Halves => {
                // From 2⁻⁸ on, which is 17 of 255 when encoded, and the same number between any two powers of 2.
                let unit = |random: &mut Random| 0x1c00 + random.bits() as u32 % (0x3c01 - 0x1c00);
                let any = |random: &mut Random| random.bits() as u32 & 0xffff;
                let half =
                    |random: &mut Random| if random.index(8) == 0 { any(random) } else { unit(random) };
                (0..len).map(|_| half(random) | half(random) << 16).collect()
            }
            Fill::Pixels(mean) => {
                let plane = self.shape.plane() as usize;
                floats(Box::new(|i| {
                    let whole = (random.bits() % 300) as f64 - 20.0;
                    whole + random.uniform(0.1, 0.9) - f64::from(mean[i / plane])
                }))
            }
            Fill::Given(values) => {
                assert_eq!(values.len(), len, "given values");
                values.iter().map(|value| value.to_bits()).collect()
            }
        }
    }

    /// Bits as the numbers that they mean.
    fn widen(&self, bits: &[u32]) -> Vec<f64> {
        match self.fill {
            Fill::Rgba | Fill::Halves | Fill::Mask(_) => bits.iter().map(|word| f64::from(*word)).collect(),
            _ => bits.iter().map(|bits| f64::from(f32::from_bits(*bits))).collect(),
        }
    }
}

/// What an op makes of its inputs.
#[derive(Clone, Debug)]
pub struct Twin {
    /// The main output.
    pub output: Vec<f64>,
    /// Where its words hold several numbers each, these before they were rounded.
    pub exact: Option<Vec<f64>>,
    /// The side outputs.
    pub sides: Vec<Vec<f64>>,
    /// New values of the inputs that it overwrites.
    pub updated: Vec<(usize, Vec<f64>)>,
}

/// Runs an op, fused or not, by its CPU twin in f64. Pictures and masks are words, each as a number.
///
/// # Panics
/// Where the op has no twin here, or the inputs do not fit it.
pub fn twin(op: &dyn Op, inputs: &[&[f64]], shapes: &[Shape]) -> Twin {
    if let Some(ConvPool { conv }) = op.downcast::<ConvPool>() {
        let y = twin(conv, inputs, shapes);
        let shape = conv.output_shape(shapes).expect("shapes that fit");
        return Twin { sides: y.sides, ..twin(&Pool, &[&y.output], &[shape]) };
    }
    if let Some(ConvPoolBackward { pooled, epilogue }) = op.downcast::<ConvPoolBackward>() {
        let unpool = twin(&PoolBackward { x: *pooled, epilogue: GATE }, &inputs[..2], &shapes[..2]);
        let inputs = [&[&unpool.output[..]], &inputs[2..]].concat();
        let shapes = [&[*pooled], &shapes[2..]].concat();
        let dx = twin(&ConvBackward { epilogue: *epilogue }, &inputs, &shapes);
        // Its own inputs are one more than the convolution's.
        let updated = dx.updated.into_iter().map(|(input, values)| (input + 1, values)).collect();
        return Twin { updated, ..dx };
    }
    let mut others = Vec::new();
    let mut mask = false;
    let mut exact = None;
    let output = if let Some(conv) = op.downcast::<Conv>() {
        let y =
            reference::conv_forward(inputs[0], inputs[1], inputs[2], size(shapes[0]), shapes[1].c as usize);
        mask = conv.mask;
        if conv.relu { reference::relu_forward(&y) } else { y }
    } else if let Some(conv) = op.downcast::<ConvBackward>() {
        let (c_in, c_out) = (shapes[1].h, shapes[1].c);
        let dx = reference::conv_backward(
            inputs[0],
            inputs[1],
            size(Shape { c: c_in, ..shapes[0] }),
            c_out as usize,
        );
        finish(dx, conv.epilogue, &inputs[2..], Shape { c: c_in, ..shapes[0] })
    } else if let Some(relu) = op.downcast::<Relu>() {
        mask = relu.mask;
        reference::relu_forward(inputs[0])
    } else if op.downcast::<ReluBackward>().is_some() {
        reference::relu_backward(inputs[0], &words(inputs[1]), size(shapes[0]))
    } else if op.downcast::<Add>().is_some() {
        reference::add_forward(inputs[1], inputs[0])
    } else if op.downcast::<Pool>().is_some() {
        reference::pool_forward(inputs[0], size(shapes[0]))
    } else if let Some(pool) = op.downcast::<PoolBackward>() {
        finish(reference::pool_backward(inputs[0], size(pool.x)), pool.epilogue, &inputs[1..], pool.x)
    } else if op.downcast::<Gram>().is_some() {
        reference::gram_forward(inputs[0], size(shapes[0]))
    } else if let Some(gram) = op.downcast::<GramBackward>() {
        let dx = reference::gram_backward(inputs[0], inputs[1], size(shapes[1]));
        finish(dx, gram.epilogue, &inputs[2..], shapes[1])
    } else if op.downcast::<SquaredError>().is_some() {
        reference::squared_error_forward(inputs[0], inputs[1])
    } else if let Some(cost) = op.downcast::<SquaredErrorBackward>() {
        let dx = reference::squared_error_backward(inputs[0], inputs[1], inputs[2]);
        finish(dx, cost.epilogue, &inputs[3..], shapes[1])
    } else if let Some(sum) = op.downcast::<WeightedSum>() {
        let xs: Vec<f64> = inputs[1..].iter().map(|x| x[0]).collect();
        reference::weighted_sum_forward(&xs, &inputs[0][sum.first as usize..][..xs.len()])
    } else if let Some(sum) = op.downcast::<WeightedSumBackward>() {
        vec![reference::weighted_sum_backward(inputs[0], inputs[1])[sum.index as usize]]
    } else if op.downcast::<AdamAdvance>().is_some() {
        reference::adam_advance_forward(inputs[0], inputs[1])
    } else if op.downcast::<Adam>().is_some() {
        let (x, m, v) =
            reference::adam_forward(inputs[0], inputs[1], inputs[2], inputs[3], inputs[4], inputs[5]);
        others = vec![(4, m), (5, v)];
        x
    } else if let Some(picture) = op.downcast::<Preprocess>() {
        reference::preprocess_forward(&bytes(inputs[0]), plane(shapes[0]), picture.mean.map(f64::from))
    } else if let Some(picture) = op.downcast::<Postprocess>() {
        let rgba = reference::postprocess_forward(inputs[0], plane(shapes[0]), picture.mean.map(f64::from));
        as_words(&rgba)
    } else if let Some(DecodeTexels { format, width }) = op.downcast() {
        let Shape { h, w: pitch, .. } = shapes[0];
        let size = (h as usize, *width as usize);
        let y: Vec<f64> = reference::decode_texels_forward(
            &words(inputs[0]),
            size,
            pitch as usize,
            format.words() as usize,
        );
        let rounded = as_words(&rounded(&y));
        exact = (*format == TexelFormat::Rgba16Float).then_some(y);
        rounded
    } else if let Some(EncodeTexels { format, pitch }) = op.downcast() {
        let (pitch, words) = (*pitch as usize, format.words() as usize);
        let y: Vec<f64> = reference::encode_texels_forward(&bytes(inputs[0]), plane(shapes[0]), pitch, words);
        match format {
            TexelFormat::Rgba8 => as_words(&rounded(&y)),
            TexelFormat::Rgba16Float => {
                let bits = y.iter().flat_map(|value| f16::from_f64(*value).to_le_bytes());
                let words = as_words(&bits.collect::<Vec<u8>>());
                exact = Some(y);
                words
            }
        }
    } else if let Some(Resample { height, width }) = op.downcast() {
        let size = (*height as usize, *width as usize);
        let y: Vec<f64> = reference::resample_forward(&bytes(inputs[0]), plane(shapes[0]), size);
        let rounded = as_words(&rounded(&y));
        exact = Some(y);
        rounded
    } else if let Some(Mix { ratio }) = op.downcast() {
        reference::mix_forward(inputs[0], inputs[1], f64::from(*ratio))
    } else if let Some(peak) = op.downcast::<Peak>() {
        reference::peak_forward(inputs[0], inputs[1], peak.numbers() as usize, peak.steps() as usize)
    } else if op.downcast::<Copy>().is_some() {
        reference::copy_forward(inputs[0])
    } else {
        panic!("{} has no twin here", op.name());
    };
    let updated = op.in_place().map(|input| (input, output.clone())).into_iter().chain(others).collect();
    let sides = if mask {
        let shape = op.output_shape(shapes).expect("the inputs fit");
        vec![reference::relu_mask(&output, size(shape)).into_iter().map(f64::from).collect()]
    } else {
        Vec::new()
    };
    Twin { output, exact, sides, updated }
}

fn size(shape: Shape) -> (usize, usize, usize) {
    (shape.c as usize, shape.h as usize, shape.w as usize)
}

/// Numbers as the words that they are.
fn words(numbers: &[f64]) -> Vec<u32> {
    numbers.iter().map(|word| *word as u32).collect()
}

/// The bytes of words, each as a number, the lowest first.
fn bytes(numbers: &[f64]) -> Vec<u8> {
    words(numbers).into_iter().flat_map(u32::to_le_bytes).collect()
}

/// The other way.
fn as_words(bytes: &[u8]) -> Vec<f64> {
    bytes.as_chunks().0.iter().map(|word| f64::from(u32::from_le_bytes(*word))).collect()
}

/// Numbers in 0..255 to the nearest bytes.
fn rounded(numbers: &[f64]) -> Vec<u8> {
    numbers.iter().map(|number| number.round() as u8).collect()
}

fn plane(shape: Shape) -> (usize, usize) {
    (shape.h as usize, shape.w as usize)
}

/// The merged end of a backward op that makes dx of `shape`; `others` are the inputs after its own.
fn finish(mut dx: Vec<f64>, epilogue: Epilogue, others: &[&[f64]], shape: Shape) -> Vec<f64> {
    let mut others = others.iter();
    if epilogue.accumulate {
        dx = reference::add_forward(&dx, others.next().expect("the gradient to add to"));
    }
    if epilogue.gate {
        let mask = words(others.next().expect("the mask of the ReLU"));
        dx = reference::relu_backward(&dx, &mask, size(shape));
    }
    dx
}

/// Reproducible random numbers, the same on every machine: SplitMix64 (Steele, Lea and Flood, 2014), seeded by
/// any number.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// A generator that always gives the same numbers for the same `seed`.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `low..high`, never `high` itself.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * ((self.bits() >> 11) as f64 / (1_u64 << 53) as f64)
    }

    /// An index below `len`, which must not be zero.
    pub fn index(&mut self, len: usize) -> usize {
        (self.bits() % len as u64) as usize
    }

    /// `len` numbers in [−1, 1).
    pub fn vec_f64(&mut self, len: usize) -> Vec<f64> {
        (0..len).map(|_| self.uniform(-1.0, 1.0)).collect()
    }

    /// `len` numbers in [−1, 1).
    pub fn vec_f32(&mut self, len: usize) -> Vec<f32> {
        // Rounding to f32 could reach 1.0 itself from just below; 24 bits cannot.
        (0..len).map(|_| (self.bits() >> 40) as f32 / (1_u32 << 23) as f32 - 1.0).collect()
    }

    /// `len` random bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| (self.bits() >> 56) as u8).collect()
    }
}

// ---- The list ----

/// The channel means that the network was trained with, RGB.
const MEAN: [f32; 3] = [123.68, 116.779, 103.939];

/// Adam's learning rate, β₁, β₂, ε, 1 − β₁, 1 − β₂: the course's.
const ADAM: [f32; HYPER as usize] = [2.0, 0.9, 0.999, 1e-8, 1.0 - 0.9, 1.0 - 0.999];

/// A shape of more than 65535 workgroups for kernels whose threads own one element.
const MANY: Shape = Shape::new(3, 1201, 1203);

/// Sizes for kernels that do not look beyond one element or one window: one cell, one row, one column, odd,
/// prime, width ≠ height.
const SIZES: [Shape; 6] = [
    Shape::new(1, 1, 1),
    Shape::new(3, 5, 7),
    Shape::new(5, 1, 9),
    Shape::new(17, 8, 1),
    Shape::new(70, 13, 11),
    Shape::new(17, 37, 41),
];

const RELU: Relu = Relu { mask: false };
const NONE: Epilogue = Epilogue { accumulate: false, gate: false };
const ACCUMULATE: Epilogue = Epilogue { accumulate: true, gate: false };
const GATE: Epilogue = Epilogue { accumulate: false, gate: true };
const BOTH: Epilogue = Epilogue { accumulate: true, gate: true };

/// Every case.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(conv_forward());
    cases.extend(conv_backward());
    cases.extend(elementwise());
    cases.extend(pool());
    cases.extend(gram());
    cases.extend(costs());
    cases.extend(adam());
    cases.extend(mixtures());
    cases.extend(pictures());
    cases.extend(textures());
    cases.extend(probes());
    cases
}

/// The families in [`all`], each once.
pub fn families() -> Vec<&'static str> {
    let mut families: Vec<_> = all().iter().map(|case| case.family).collect();
    families.dedup();
    families
}

fn input(shape: Shape, fill: Fill) -> Input {
    Input { shape, role: Role::Workspace, fill }
}

fn signed(shape: Shape) -> Input {
    input(shape, Fill::Between(-1.0, 1.0))
}

/// The mask of a ReLU whose output has shape `y`.
fn mask(y: Shape) -> Input {
    input(mask_shape(y), Fill::Mask(y))
}

fn weights(shape: Shape) -> Input {
    Input { role: Role::Weights, ..signed(shape) }
}

/// A case of one op that reads all inputs in order.
fn case(family: &'static str, what: String, op: impl Op, inputs: Vec<Input>, tolerance: Tolerance) -> Case {
    let steps = vec![Step { op: Arc::new(op), inputs: (0..inputs.len()).collect() }];
    Case { name: format!("{family} {what}"), family, inputs, steps, repeats: 1, pieces: 3, tolerance }
}

/// The inputs and the tolerance of a backward op with `epilogue` merged into it, from those without.
fn merged(
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

/// A case of a backward op whose merged work is `epilogue`; `inputs` are the op's own. With both merges the
/// gradient to add to is computed, so that it lies in an arena; otherwise it comes from outside.
fn backward(
    family: &'static str,
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
    let mut case = case(family, what, op, inputs, tolerance);
    if epilogue == BOTH {
        let computed = case.inputs.len();
        case.steps[0].inputs[own] = computed;
        case.steps.insert(0, Step { op: Arc::new(RELU), inputs: vec![own] });
    }
    case
}

fn conv_forward() -> impl Iterator<Item = Case> {
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
        case("conv_forward", what, Conv { relu, mask: false }, inputs, conv_forward_tolerance(x))
    })
    .chain(POOLED.map(|(x, outputs)| {
        let inputs = vec![signed(x), weights(weights_shape(x.c, outputs)), weights(Shape::row(outputs))];
        let op = ConvPool { conv: Conv { relu: true, mask: false } };
        case("conv_forward", format!("{x} to {outputs}, relu, pool"), op, inputs, conv_forward_tolerance(x))
    }))
}

/// Inputs and output channels of convolutions with a pool behind them: sizes that end anywhere in a tile.
const POOLED: [(Shape, u32); 6] = [
    (Shape::new(5, 1, 1), 4),
    (Shape::new(4, 23, 19), 17),
    (Shape::new(17, 30, 37), 13),
    (Shape::new(16, 33, 26), 70),
    (Shape::new(8, 101, 103), 8),
    (Shape::new(3, 9, 12), 5),
];

fn conv_backward() -> impl Iterator<Item = Case> {
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
        let tolerance = conv_backward_tolerance(inputs[0].shape);
        let op = ConvBackward { epilogue };
        backward("conv_backward", format!("{outputs} to {dx}"), op, epilogue, inputs, dx, tolerance)
    })
    .chain(POOLED.into_iter().zip([NONE, GATE, ACCUMULATE, BOTH, GATE, NONE]).map(
        |((dx, outputs), epilogue)| {
            let pooled = Shape { c: outputs, ..dx };
            let dy = Shape::new(outputs, dx.h.div_ceil(2), dx.w.div_ceil(2));
            let inputs = vec![signed(dy), mask(pooled), weights(weights_shape(dx.c, outputs))];
            let tolerance = conv_backward_tolerance(pooled);
            let op = ConvPoolBackward { pooled, epilogue };
            backward("conv_backward", format!("{outputs} to {dx}, pool"), op, epilogue, inputs, dx, tolerance)
        },
    ))
}

fn elementwise() -> impl Iterator<Item = Case> {
    let sizes = || SIZES.into_iter().chain([MANY]);
    let relu_forward = sizes().flat_map(|x| {
        [Relu { mask: false }, Relu { mask: true }].map(|op| {
            let what = format!("{x}{}", if op.mask { ", mask" } else { "" });
            case("relu_forward", what, op, vec![signed(x)], Tolerance::EXACT)
        })
    });
    let relu_backward = SIZES.into_iter().map(|x| {
        let inputs = vec![signed(x), mask(x)];
        case("relu_backward", x.to_string(), ReluBackward, inputs, Tolerance::EXACT)
    });
    let add = sizes().map(|x| {
        // One rounding of a sum within ±2.
        let tolerance = Tolerance::few(1, 0.0);
        let mut case = case("add_forward", x.to_string(), Add, vec![signed(x), signed(x)], tolerance);
        if x == SIZES[5] {
            // In place of a computed tensor.
            case.name += ", computed";
            case.steps[0].inputs = vec![2, 1];
            case.steps.insert(0, Step { op: Arc::new(RELU), inputs: vec![0] });
        }
        case
    });
    relu_forward.chain(relu_backward).chain(add)
}

fn pool() -> impl Iterator<Item = Case> {
    // Planes of y are a quarter of x's, so this many pieces of x are needed to have several of y.
    let pieces = 7;
    let sizes = || SIZES.into_iter().chain([Shape::new(7, 75, 100)]);
    let forward = sizes().map(move |x| {
        let tolerance = Tolerance::few(4, 1.0);
        Case { pieces, ..case("pool_forward", x.to_string(), Pool, vec![signed(x)], tolerance) }
    });
    let epilogues = [NONE, ACCUMULATE, GATE, BOTH];
    let backward = sizes().enumerate().map(move |(index, x)| {
        let epilogue = epilogues[(index + 2) % 4];
        let inputs = vec![signed(Shape::new(x.c, x.h.div_ceil(2), x.w.div_ceil(2)))];
        let op = PoolBackward { x, epilogue };
        let tolerance = Tolerance::few(1, 0.0);
        Case { pieces, ..backward("pool_backward", x.to_string(), op, epilogue, inputs, x, tolerance) }
    });
    forward.chain(backward)
}

fn gram() -> impl Iterator<Item = Case> {
    let forward = [
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
    .into_iter()
    .map(|x| case("gram_forward", x.to_string(), Gram, vec![signed(x)], gram_forward_tolerance(x)));
    let backward = [
        (Shape::new(1, 1, 1), NONE),
        (Shape::new(3, 1, 1), GATE),
        (Shape::new(5, 7, 9), ACCUMULATE),
        (Shape::new(64, 13, 37), GATE),
        (Shape::new(17, 31, 37), BOTH),
        (Shape::new(70, 53, 83), BOTH),
        // More than 65535 workgroups of the naive kernel.
        (Shape::new(5, 917, 919), NONE),
    ]
    .into_iter()
    .map(|(x, epilogue)| {
        // Not symmetric, so that a kernel which reads one half only, or transposes, is found.
        let inputs = vec![signed(Shape::new(1, x.c, x.c)), signed(x)];
        let tolerance = gram_backward_tolerance(x);
        backward("gram_backward", x.to_string(), GramBackward { epilogue }, epilogue, inputs, x, tolerance)
    });
    forward.chain(backward)
}

fn costs() -> impl Iterator<Item = Case> {
    let sizes = [
        Shape::new(1, 1, 1),
        Shape::new(1, 5, 5),
        Shape::new(17, 23, 19),
        Shape::new(1, 70, 70),
        Shape::new(5, 331, 337),
    ];
    let forward = sizes.into_iter().map(|x| {
        let tolerance = squared_error_tolerance(x);
        case(
            "squared_error_forward",
            x.to_string(),
            SquaredError::content_cost(),
            vec![signed(x), signed(x)],
            tolerance,
        )
    });
    let epilogues = [NONE, ACCUMULATE, BOTH, GATE, BOTH];
    let backward = sizes.into_iter().zip(epilogues).map(|(x, epilogue)| {
        let op = SquaredErrorBackward { name: "style_cost_backward", epilogue };
        let inputs = vec![signed(Shape::SCALAR), signed(x), signed(x)];
        let tolerance = Tolerance::few(4, 0.0);
        backward("squared_error_backward", x.to_string(), op, epilogue, inputs, x, tolerance)
    });
    let sums = [(1, 0), (2, 0), (5, 2)].into_iter().map(|(terms, first)| {
        let mut inputs = vec![signed(Shape::row(terms + first + 1))];
        inputs.extend((0..terms).map(|_| signed(Shape::SCALAR)));
        let what = format!("{terms} from weight {first} on");
        let tolerance = Tolerance::sum(2 * u64::from(terms), 1.0);
        case("weighted_sum_forward", what, WeightedSum { first }, inputs, tolerance)
    });
    let sums_backward = [0, 4].into_iter().map(|index| {
        let inputs = vec![signed(Shape::SCALAR), signed(Shape::row(5))];
        let what = format!("weight {index}");
        case("weighted_sum_backward", what, WeightedSumBackward { index }, inputs, Tolerance::few(1, 0.0))
    });
    forward.chain(backward).chain(sums).chain(sums_backward)
}

fn adam() -> impl Iterator<Item = Case> {
    let hyper = || input(Shape::row(HYPER), Fill::Given(ADAM.to_vec()));
    let start = || input(Shape::row(STATE), Fill::Given(vec![0.0; STATE as usize]));
    let advance = [1, 50].into_iter().map(move |repeats| {
        let inputs = vec![hyper(), start()];
        // Each step rounds twice, and β hands nearly all of that on.
        let tolerance = Tolerance::positive_sum(2 * u64::from(repeats));
        let what = format!("{repeats} steps");
        Case { repeats, ..case("adam_advance_forward", what, AdamAdvance, inputs, tolerance) }
    });
    let pixels = |shape| input(shape, PIXELS);
    let first_steps =
        [(Shape::new(1, 1, 1), 1), (Shape::new(3, 5, 7), 5)].into_iter().map(move |(shape, repeats)| {
            let zeros = || input(shape, Fill::Given(vec![0.0; shape.elements() as usize]));
            let inputs = vec![hyper(), start(), signed(shape), pixels(shape), zeros(), zeros()];
            let mut case = case(
                "adam_forward",
                format!("{shape}, the first {repeats}"),
                Adam,
                inputs,
                adam_tolerance(repeats),
            );
            case.steps[0].inputs[1] = case.inputs.len();
            case.steps.insert(0, Step { op: Arc::new(AdamAdvance), inputs: vec![0, 1] });
            Case { repeats, ..case }
        });
    let later = [Shape::new(5, 17, 23), Shape::new(3, 97, 75)].into_iter().map(move |shape| {
        case("adam_forward", format!("{shape}, step 7"), Adam, adam_inputs(shape), adam_tolerance(1))
    });
    advance.chain(first_steps).chain(later)
}

/// Pixels without their mean.
const PIXELS: Fill = Fill::Between(-150.0, 150.0);

/// What [`Adam`] reads before step 7.
fn adam_inputs(shape: Shape) -> Vec<Input> {
    let state = [0.521_703_1, 0.006_979, 7.0];
    vec![
        input(Shape::row(HYPER), Fill::Given(ADAM.to_vec())),
        input(Shape::row(STATE), Fill::Given(state.to_vec())),
        signed(shape),
        input(shape, PIXELS),
        signed(shape),
        input(shape, Fill::Between(0.01, 1.0)),
    ]
}

fn pictures() -> impl Iterator<Item = Case> {
    let sizes = [(1, 1), (5, 7), (61, 67)];
    let preprocess = sizes.into_iter().chain([(MANY.h, MANY.w)]).map(|(h, w)| {
        let inputs = vec![input(Shape::new(1, h, w), Fill::Rgba)];
        let tolerance = Tolerance::few(1, 0.0);
        case("preprocess_forward", format!("{h}×{w}"), Preprocess { mean: MEAN }, inputs, tolerance)
    });
    let postprocess = sizes.into_iter().chain([(211, 199)]).map(|(h, w)| {
        let inputs = vec![input(Shape::new(3, h, w), Fill::Pixels(MEAN))];
        case("postprocess_forward", format!("{h}×{w}"), Postprocess { mean: MEAN }, inputs, Tolerance::EXACT)
    });
    preprocess.chain(postprocess)
}

fn mixtures() -> impl Iterator<Item = Case> {
    SIZES.into_iter().chain([MANY]).zip([0.6, 0.0, 1.0, 0.25, 0.6, 0.125, 0.9]).map(|(x, ratio)| {
        let inputs = vec![signed(x), signed(x)];
        case("mix_forward", format!("{x}, {ratio} of noise"), Mix { ratio }, inputs, mix_tolerance())
    })
}

/// A texture's rows with what is behind them, in words.
fn texels(format: TexelFormat, h: u32, pitch: u32) -> Input {
    let fill = match format {
        TexelFormat::Rgba8 => Fill::Rgba,
        TexelFormat::Rgba16Float => Fill::Halves,
    };
    input(Shape::new(1, h, pitch), fill)
}

fn textures() -> impl Iterator<Item = Case> {
    const RGBA8: TexelFormat = TexelFormat::Rgba8;
    const RGBA16: TexelFormat = TexelFormat::Rgba16Float;
    // Without padding, with a copy's (64 words), and with one that puts the texels of two words at odd places.
    let sizes = [
        (RGBA8, 1, 1, 1),
        (RGBA8, 5, 7, 64),
        (RGBA8, 67, 61, 64),
        (RGBA8, 29, 97, 98),
        (RGBA16, 1, 1, 2),
        (RGBA16, 7, 5, 64),
        (RGBA16, 1, 64, 128),
        (RGBA16, 61, 67, 192),
        (RGBA16, 37, 41, 83),
    ];
    // More than 65535 workgroups.
    let decode = sizes.into_iter().chain([(RGBA8, 2053, 2049, 2112)]).map(|(format, h, width, pitch)| {
        let what = format!("{h}×{width} {format:?} in rows of {pitch}");
        let op = DecodeTexels { format, width };
        let inputs = vec![texels(format, h, pitch)];
        case("decode_texels_forward", what, op, inputs, decode_texels_tolerance(format))
    });
    let encode = sizes.into_iter().chain([(RGBA8, 1201, 3001, 3520)]).map(|(format, h, width, pitch)| {
        let what = format!("{h}×{width} {format:?} in rows of {pitch}");
        let op = EncodeTexels { format, pitch };
        let inputs = vec![input(Shape::new(1, h, width), Fill::Rgba)];
        case("encode_texels_forward", what, op, inputs, encode_texels_tolerance(format))
    });
    // Smaller, larger, one side each way, by little, as they are.
    let resample = [
        ((1, 1), (1, 1)),
        ((1, 1), (5, 3)),
        ((5, 7), (1, 1)),
        ((7, 5), (13, 11)),
        ((2, 3), (37, 41)),
        ((61, 67), (23, 19)),
        ((61, 67), (60, 68)),
        ((41, 37), (41, 37)),
        ((127, 31), (31, 127)),
        ((211, 199), (97, 211)),
        ((331, 337), (17, 13)),
        // More than 65535 workgroups between the two passes.
        ((2, 70_001), (61, 5)),
    ]
    .into_iter()
    .map(|((h, w), (height, width))| {
        let x = Shape::new(1, h, w);
        let op = Resample { height, width };
        let what = format!("{h}×{w} to {height}×{width}");
        case("resample_forward", what, op, vec![input(x, Fill::Rgba)], resample_tolerance(op, x))
    });
    decode.chain(encode).chain(resample)
}

/// a and b of a probe's multiply-adds. Since a is below 1 and b moves every number by 3 %, one step too few or too
/// many shows.
const FACTORS: [f32; 2] = [0.97, 0.21];

fn peak_inputs(x: Shape) -> Vec<Input> {
    vec![signed(x), input(Shape::row(2), Fill::Given(FACTORS.to_vec()))]
}

fn probes() -> impl Iterator<Item = Case> {
    let peak = Peak::VERSIONS.into_iter().zip(SIZES).enumerate().map(|(index, ((chains, vector), x))| {
        let op = Peak { chains, vector, rounds: 1 + index as u32 % 3 };
        let what = format!("{x}, {} of {chains} chains", if vector { "vectors" } else { "numbers" });
        case("peak_forward", what, op, peak_inputs(x), peak_tolerance(&op))
    });
    let sizes =
        [Shape::new(1, 1, 4), Shape::new(5, 6, 10), Shape::new(17, 12, 31), Shape::new(3, 1202, 1206)];
    let copy = sizes
        .into_iter()
        .map(|x| case("copy_forward", x.to_string(), Copy, vec![signed(x)], Tolerance::EXACT));
    peak.chain(copy)
}

// ---- Tolerances that depend on shapes ----

fn conv_forward_tolerance(x: Shape) -> Tolerance {
    Tolerance::sum(9 * u64::from(x.c) + 1, 1.0)
}

fn conv_backward_tolerance(dy: Shape) -> Tolerance {
    Tolerance::sum(9 * u64::from(dy.c), 1.0)
}

fn gram_forward_tolerance(x: Shape) -> Tolerance {
    Tolerance::sum(x.plane().min(2048), 1.0 / x.plane().min(2048) as f64)
}

fn gram_backward_tolerance(x: Shape) -> Tolerance {
    Tolerance::sum(2 * u64::from(x.c), 1.0 / x.plane() as f64)
}

fn squared_error_tolerance(x: Shape) -> Tolerance {
    // At most 35 elements a thread, then 256 partials a lane, then a tree.
    Tolerance::positive_sum(50 + x.elements() / 2048)
}

fn adam_tolerance(steps: u32) -> Tolerance {
    // x is within 150 and changes by less than 4 a step; both its own rounding and that of the step are small
    // beside 2⁻²³·150. m and v are sums of two products.
    Tolerance {
        atol: EPSILON * f64::from(steps),
        rtol: EPSILON * (2.0 + f64::from(steps)),
        reason: "every step rounds x once by 2⁻²⁴ of it, and its change, which is less than 4, by a few times 2⁻²⁴; \
                 doubled because a division and a root may be off by more",
    }
}

fn mix_tolerance() -> Tolerance {
    // Two products within ±1, and their sum.
    Tolerance::few(1, 2.0)
}

fn decode_texels_tolerance(format: TexelFormat) -> Tolerance {
    match format {
        TexelFormat::Rgba8 => Tolerance::EXACT,
        TexelFormat::Rgba16Float => Tolerance {
            atol: 0.5 + 255.0 * 16.0 * EPSILON,
            rtol: 0.0,
            reason: "half a level is the rounding to 8 bits. A power is 2 to a product with a logarithm: of numbers                      from 0.003 on the logarithm is within ±9 and off by 3·2⁻²¹, divided by 2.4; the language allows                      the power a few times 2⁻²³ more. 2⁻¹⁹ of 255 levels are allowed",
        },
    }
}

fn encode_texels_tolerance(format: TexelFormat) -> Tolerance {
    match format {
        TexelFormat::Rgba8 => Tolerance::EXACT,
        TexelFormat::Rgba16Float => Tolerance {
            atol: 0.0,
            rtol: 1.0 / 2048.0 + 32.0 * EPSILON,
            reason: "a half is off by 2⁻¹¹ of itself. Before, a power is 2 to a product within ±9, of which the                      language allows each factor to be off by a few times 2⁻²²: 2⁻¹⁸ of it are allowed",
        },
    }
}

fn resample_tolerance(op: Resample, x: Shape) -> Tolerance {
    // Places are in pixels before, and a weight changes by places in those of the coarser scale.
    let place = |before: u32, after: u32| f64::from(before).min(f64::from(after)) * EPSILON;
    Tolerance {
        atol: 0.5 + 1e-3 + 500.0 * (place(x.h, op.height) + place(x.w, op.width)),
        rtol: 0.0,
        reason: "half a level is the rounding to 8 bits. Weights are off by a few times 2⁻²³ and their sizes add up to                  less than 2 in each direction: a thousandth of a level. A place rounds by up to 2⁻²³ of the side, and                  where black and white alternate, what stands at a place changes by fewer than 500 levels a pixel",
    }
}

fn peak_tolerance(peak: &Peak) -> Tolerance {
    Tolerance {
        atol: EPSILON,
        rtol: EPSILON * f64::from(peak.steps() + peak.numbers()),
        reason: "each of the steps, and of the additions behind them, rounds by 2⁻²⁴ of a positive number, doubled \
                 because a step may round twice. Only the first number may begin below 0, by no more than 1",
    }
}

// ---- One case for any op ----

impl Case {
    /// A case of `op` on inputs of `shapes`, with the values and the tolerance of its family in [`all`]: for who
    /// checks a kernel on the shapes of a network. The name tells only what sets the values.
    ///
    /// # Panics
    /// Where the op has no family here.
    pub fn of(op: &Arc<dyn Op>, shapes: &[Shape]) -> Self {
        let x = shapes[0];
        let all_signed = || shapes.iter().map(|shape| signed(*shape)).collect::<Vec<_>>();
        let none = Epilogue::default();
        let (family, own, epilogue, tolerance) =
            if op.downcast::<Conv>().is_some() || op.downcast::<ConvPool>().is_some() {
                let own = vec![signed(x), weights(shapes[1]), weights(shapes[2])];
                ("conv_forward", own, none, conv_forward_tolerance(x))
            } else if let Some(conv) = op.downcast::<ConvPoolBackward>() {
                let own = vec![signed(x), mask(conv.pooled), weights(shapes[2])];
                ("conv_backward", own, conv.epilogue, conv_backward_tolerance(conv.pooled))
            } else if let Some(conv) = op.downcast::<ConvBackward>() {
                let own = vec![signed(x), weights(shapes[1])];
                ("conv_backward", own, conv.epilogue, conv_backward_tolerance(x))
            } else if op.downcast::<Relu>().is_some() {
                ("relu_forward", all_signed(), none, Tolerance::EXACT)
            } else if op.downcast::<ReluBackward>().is_some() {
                let own = vec![signed(x), mask(x)];
                ("relu_backward", own, none, Tolerance::EXACT)
            } else if op.downcast::<Add>().is_some() {
                ("add_forward", all_signed(), none, Tolerance::few(1, 0.0))
            } else if op.downcast::<Pool>().is_some() {
                ("pool_forward", all_signed(), none, Tolerance::few(4, 1.0))
            } else if let Some(pool) = op.downcast::<PoolBackward>() {
                ("pool_backward", vec![signed(x)], pool.epilogue, Tolerance::few(1, 0.0))
            } else if op.downcast::<Gram>().is_some() {
                ("gram_forward", all_signed(), none, gram_forward_tolerance(x))
            } else if let Some(gram) = op.downcast::<GramBackward>() {
                let own = vec![signed(x), signed(shapes[1])];
                ("gram_backward", own, gram.epilogue, gram_backward_tolerance(shapes[1]))
            } else if op.downcast::<SquaredError>().is_some() {
                ("squared_error_forward", all_signed(), none, squared_error_tolerance(x))
            } else if let Some(cost) = op.downcast::<SquaredErrorBackward>() {
                let own = shapes[..3].iter().map(|shape| signed(*shape)).collect();
                ("squared_error_backward", own, cost.epilogue, Tolerance::few(4, 0.0))
            } else if op.downcast::<WeightedSum>().is_some() {
                let tolerance = Tolerance::sum(2 * (shapes.len() as u64 - 1), 1.0);
                ("weighted_sum_forward", all_signed(), none, tolerance)
            } else if op.downcast::<WeightedSumBackward>().is_some() {
                ("weighted_sum_backward", all_signed(), none, Tolerance::few(1, 0.0))
            } else if op.downcast::<AdamAdvance>().is_some() {
                let own = adam_inputs(Shape::SCALAR).into_iter().take(2).collect();
                ("adam_advance_forward", own, none, Tolerance::positive_sum(2))
            } else if op.downcast::<Adam>().is_some() {
                ("adam_forward", adam_inputs(shapes[2]), none, adam_tolerance(1))
            } else if op.downcast::<Preprocess>().is_some() {
                ("preprocess_forward", vec![input(x, Fill::Rgba)], none, Tolerance::few(1, 0.0))
            } else if let Some(picture) = op.downcast::<Postprocess>() {
                ("postprocess_forward", vec![input(x, Fill::Pixels(picture.mean))], none, Tolerance::EXACT)
            } else if let Some(decode) = op.downcast::<DecodeTexels>() {
                let own = vec![texels(decode.format, x.h, x.w)];
                ("decode_texels_forward", own, none, decode_texels_tolerance(decode.format))
            } else if let Some(encode) = op.downcast::<EncodeTexels>() {
                let tolerance = encode_texels_tolerance(encode.format);
                ("encode_texels_forward", vec![input(x, Fill::Rgba)], none, tolerance)
            } else if let Some(resample) = op.downcast::<Resample>() {
                let tolerance = resample_tolerance(*resample, x);
                ("resample_forward", vec![input(x, Fill::Rgba)], none, tolerance)
            } else if op.downcast::<Mix>().is_some() {
                ("mix_forward", all_signed(), none, mix_tolerance())
            } else if let Some(peak) = op.downcast::<Peak>() {
                ("peak_forward", peak_inputs(x), none, peak_tolerance(peak))
            } else if op.downcast::<Copy>().is_some() {
                ("copy_forward", all_signed(), none, Tolerance::EXACT)
            } else {
                panic!("{} has no family here", op.name());
            };
        let dx = op.output_shape(shapes).expect("shapes that fit");
        let (inputs, tolerance) = merged(own, epilogue, dx, tolerance);
        let steps = vec![Step { op: Arc::clone(op), inputs: (0..inputs.len()).collect() }];
        let told: Vec<String> = shapes.iter().map(Shape::to_string).collect();
        let name = format!("{family} {}", told.join(", "));
        Self { name, family, inputs, steps, repeats: 1, pieces: 1, tolerance }
    }
}
