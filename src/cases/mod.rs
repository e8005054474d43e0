//! The one list of cases that tests, benches and `impasto doctor` all run: an op with the shapes and values of its
//! inputs, what its CPU twin makes of them in f64, and how far a kernel may be from that, with the reason. One file for
//! each op, and [`FAMILIES`] lists them. Beside it the one runner ([`run`]), the one comparison ([`compare`]), the
//! golden run ([`golden`]), and the examination of every kernel ([`examine`]).

mod elements;
mod input;
mod random;
mod tolerance;
mod twin;

pub mod compare;
pub mod examine;
pub mod golden;
pub mod run;

// One for each op.
mod adam;
mod add;
mod conv;
mod gram;
mod pool;
mod preprocess;
mod probe;
mod relu;
mod resample;
mod squared_error;
mod start;
mod texels;
mod total_variation;
mod weighted_sum;

use std::sync::Arc;

pub use elements::Elements;
pub use input::{Fill, Input};
pub use random::Random;
use tolerance::EPSILON;
pub use tolerance::Tolerance;
pub use twin::{Twin, twin};

use crate::error::Result;
use crate::graph::{Phase, Role, Tape, TensorId};
use crate::ops::conv::{ConvGeometry, TILED, TILED_TRANSPOSED};
use crate::ops::relu::{Relu, mask_shape};
use crate::ops::{Epilogue, Form, Op, Shape};
use crate::picture::Extent;

/// Every family, in the order in which cases are run.
pub static FAMILIES: &[&Family] = &[
    &conv::FORWARD,
    &conv::BACKWARD,
    &relu::FORWARD,
    &relu::BACKWARD,
    &add::ACCUMULATE,
    &add::ADD,
    &pool::FORWARD,
    &pool::BACKWARD,
    &pool::MAX_FORWARD,
    &pool::MAX_BACKWARD,
    &gram::FORWARD,
    &gram::BACKWARD,
    &squared_error::FORWARD,
    &squared_error::BACKWARD,
    &total_variation::FORWARD,
    &total_variation::BACKWARD,
    &weighted_sum::FORWARD,
    &weighted_sum::BACKWARD,
    &adam::ADVANCE,
    &adam::STEP,
    &start::FORWARD,
    &preprocess::PREPROCESS,
    &preprocess::POSTPROCESS,
    &texels::DECODE,
    &texels::ENCODE,
    &resample::FORWARD,
    &probe::PEAK,
    &probe::COPY,
];

/// Every case.
pub fn all() -> Vec<Case> {
    FAMILIES.iter().flat_map(|family| family.cases()).collect()
}

/// What an op makes of inputs, with their shapes; `None` for an op of another family.
type TwinOf = fn(&dyn Op, &[&[f64]], &[Shape]) -> Option<Twin>;

/// What tests, benchmarks and the doctor need to know of an op in one direction.
#[derive(Debug)]
pub struct Family {
    /// Name of the twin, with which the names of the cases begin: `conv_forward`.
    pub name: &'static str,
    /// Its cases.
    list: fn() -> Vec<Case>,
    /// What an op of this family makes of inputs of these shapes; `None` for an op of another family. Inputs that the
    /// op overwrites with its main output need not be named.
    twin: TwinOf,
    /// The case of an op of this family on inputs of these shapes; `None` for an op of another family.
    of: fn(&dyn Op, &[Shape]) -> Option<OwnCase>,
    /// What the words of the main output of an op of this family are.
    elements: fn(&dyn Op) -> Elements,
    /// How large an op of this family is, from the shapes of its inputs and its output.
    dimensions: fn(&[Shape], Shape) -> Dimensions,
}

/// The part of a case that only the op's family knows.
struct OwnCase {
    /// Without those of the epilogue.
    inputs: Vec<Input>,
    epilogue: Epilogue,
    /// Without what the epilogue adds.
    tolerance: Tolerance,
}

impl OwnCase {
    fn new(inputs: Vec<Input>, tolerance: Tolerance) -> Self {
        Self { inputs, epilogue: NONE, tolerance }
    }

    fn ending_in(self, epilogue: Epilogue) -> Self {
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
    fn new(input: Shape, output: Shape) -> Self {
        let larger = if input.plane() > output.plane() { input } else { output };
        Self { read: input.c, written: output.c, plane: Extent::new(larger.w, larger.rows()) }
    }

    /// Those of the largest input and the output.
    fn of_largest(inputs: &[Shape], output: Shape) -> Self {
        let largest = inputs.iter().copied().max_by_key(|shape| shape.elements());
        Self::new(largest.unwrap_or(output), output)
    }
}

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

/// What must be in the buffers afterwards.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The last step's main output, in the numbers that [`Case::elements`] says: before they are rounded to bytes or
    /// halves.
    pub output: Vec<f64>,
    /// Its side outputs: words, each as a number, that allow no error.
    pub sides: Vec<Vec<f64>>,
    /// For each input its new values, if it is updated.
    pub inputs: Vec<Option<Vec<f64>>>,
}

/// A case's inputs, and what the twins make of them: computed once, however often the case is run.
#[derive(Clone, Debug)]
pub struct CaseData {
    /// [`Case::values`].
    pub values: Vec<Vec<u32>>,
    /// [`Case::expected`].
    pub expected: Expected,
}

impl CaseData {
    /// The data of a case.
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

    fn family(&self) -> Option<&'static Family> {
        FAMILIES.iter().copied().find(|family| family.name == self.family)
    }

    /// What the main output's words are.
    pub fn elements(&self) -> Elements {
        let last = self.family().zip(self.steps.last());
        last.map_or(Elements::Floats, |(family, step)| (family.elements)(&*step.op))
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

impl Case {
    /// A case of `op` on inputs of `shapes`, with the values and the tolerance of its family: for checking a kernel on
    /// the shapes of a network. The name holds only what sets the values.
    ///
    /// # Panics
    /// Where the op is of no family.
    pub fn of(op: &Arc<dyn Op>, shapes: &[Shape]) -> Self {
        let own = FAMILIES.iter().find_map(|family| Some((family.name, (family.of)(&**op, shapes)?)));
        let (family, OwnCase { inputs, epilogue, tolerance }) =
            own.unwrap_or_else(|| panic!("{} has no family in src/cases", op.name()));
        let dx = op.output_shape(shapes).expect("shapes that fit");
        let (inputs, tolerance) = merged(inputs, epilogue, dx, tolerance);
        let steps = vec![Step { op: Arc::clone(op), inputs: (0..inputs.len()).collect() }];
        let sizes: Vec<String> = shapes.iter().map(Shape::to_string).collect();
        let name = format!("{family} {}", sizes.join(", "));
        Self { name, family, inputs, steps, repeats: 1, pieces: 1, tolerance }
    }

    /// How large its last op is, from the shapes of what that reads.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where a case is mistaken.
    pub fn dimensions(&self) -> Result<Dimensions> {
        let Recorded { tape, output, .. } = self.record()?;
        let inputs = tape.nodes().last().map_or(&[][..], |node| &node.inputs);
        let inputs: Vec<Shape> = inputs.iter().map(|input| tape.shape(*input)).collect();
        let dimensions = self.family().map_or(Dimensions::of_largest as _, |family| family.dimensions);
        Ok(dimensions(&inputs, tape.shape(output)))
    }
}

// ---- What the families' files are written with ----

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

fn all_signed(shapes: &[Shape]) -> Vec<Input> {
    shapes.iter().map(|shape| signed(*shape)).collect()
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

impl Family {
    /// Its cases.
    pub fn cases(&self) -> Vec<Case> {
        (self.list)()
    }

    /// A case of one op that reads all inputs in order.
    fn case(&self, what: String, op: impl Op, inputs: Vec<Input>, tolerance: Tolerance) -> Case {
        let family = self.name;
        let steps = vec![Step { op: Arc::new(op), inputs: (0..inputs.len()).collect() }];
        Case { name: format!("{family} {what}"), family, inputs, steps, repeats: 1, pieces: 3, tolerance }
    }

    /// A case of a backward op whose merged work is `epilogue`; `inputs` are the op's own. With both merges the
    /// gradient to add to is computed, so that it lies in an arena; otherwise it comes from outside.
    fn backward(
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    fn repository(path: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
    }

    /// The modules of a folder of `src`, each with its text; without the folder's own.
    fn modules(folder: &str) -> Vec<(String, String)> {
        let entries = fs::read_dir(repository(folder)).unwrap().map(|entry| entry.unwrap().path());
        let module = |path: PathBuf| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let file = if path.is_dir() { path.join("mod.rs") } else { path };
            (name, fs::read_to_string(file).unwrap())
        };
        entries.map(module).filter(|(name, _)| name != "mod").collect()
    }

    /// An op's kernels, its rules, its twin and its cases bear one name. Names each of these places that was forgotten.
    #[test]
    fn every_op_has_its_four_places() {
        let names = |folder: &str, mark: &str| -> BTreeSet<String> {
            let marked = modules(folder).into_iter().filter(|(_, text)| text.contains(mark));
            marked.map(|(name, _)| name).collect()
        };
        let places = [
            ("src/ops", "the op", names("src/ops", "impl Op for ")),
            ("src/reference", "the twin", names("src/reference", "pub fn ")),
            ("src/cases", "the cases", names("src/cases", ": Family = Family {")),
        ];
        let all: BTreeSet<&String> = places.iter().flat_map(|(_, _, found)| found).collect();
        let mut forgotten = Vec::new();
        for (folder, what, found) in &places {
            let declarations = fs::read_to_string(repository(folder).join("mod.rs")).unwrap();
            for op in &all {
                if !found.contains(*op) {
                    forgotten.push(format!("{what} in {folder}/{op}.rs"));
                } else if !declarations.contains(&format!("mod {op};\n")) {
                    forgotten.push(format!("the line `mod {op};` in {folder}/mod.rs"));
                }
            }
        }
        let folders = all.iter().map(|op| format!("wgsl/{op}")).filter(|folder| !repository(folder).is_dir());
        forgotten.extend(folders.map(|folder| format!("the kernels in {folder}")));
        let list = fs::read_to_string(repository("src/cases/mod.rs")).unwrap();
        for (op, text) in modules("src/cases") {
            for (before, _) in text.match_indices(": Family = Family {") {
                let name = text[..before].rsplit(' ').next().unwrap();
                if !list.contains(&format!("    &{op}::{name},\n")) {
                    forgotten.push(format!("the line `&{op}::{name},` in FAMILIES of src/cases/mod.rs"));
                }
            }
        }
        assert!(forgotten.is_empty(), "forgotten: {}", forgotten.join("; "));
    }

    #[test]
    fn every_op_is_of_one_family_and_every_case_of_its_own() {
        let mut names = BTreeSet::new();
        for family in FAMILIES {
            for case in family.cases() {
                let Case { name, steps, .. } = &case;
                assert_eq!(case.family, family.name, "{name}");
                assert!(names.insert(name.clone()), "{name} is there twice");
                let op = &*steps.last().unwrap().op;
                let Recorded { tape, .. } = case.record().unwrap();
                let inputs = &tape.nodes().last().unwrap().inputs;
                let shapes: Vec<Shape> = inputs.iter().map(|input| tape.shape(*input)).collect();
                let claimed = FAMILIES.iter().filter(|family| (family.of)(op, &shapes).is_some());
                let claimed: Vec<&str> = claimed.map(|family| family.name).collect();
                assert_eq!(claimed, [family.name], "{name}");
            }
        }
    }

    #[test]
    fn no_reason_of_a_tolerance_holds_a_gap() {
        for case in all() {
            for Tolerance { reason, .. } in [case.tolerance, case.tolerance_in_half()] {
                assert!(reason.len() > 20, "{}: {reason:?}", case.name);
                assert!(!reason.contains("  ") && !reason.contains('\n'), "{}: {reason:?}", case.name);
            }
        }
    }
}
