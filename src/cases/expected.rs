//! What a case's kernels must leave in the buffers, by the twins in f64: the oracle of every case.

use super::case::Case;
use super::families::twin;
use crate::ops::Shape;

/// What must be in the buffers afterwards.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The last step's main output, in the numbers that [`elements_of`](super::elements_of) says: before they are
    /// rounded to bytes or halves.
    pub output: Vec<f64>,
    /// Its side outputs: words, each as a number, that allow no error.
    pub sides: Vec<Vec<f64>>,
    /// For each input its new values, if it is updated.
    pub inputs: Vec<Option<Vec<f64>>>,
}

impl Expected {
    /// What the twins make of [`Case::values`], computed in f64.
    pub fn of(case: &Case) -> Self {
        let shapes: Vec<Shape> = case.inputs.iter().map(|input| input.shape).collect();
        let bits = case.values();
        let mut wires: Vec<Vec<f64>> =
            case.inputs.iter().zip(&bits).map(|(input, bits)| input.widen(bits)).collect();
        let mut updated = vec![false; case.inputs.len()];
        let mut sides = Vec::new();
        let mut exact = None;
        for _ in 0..case.repeats {
            let mut shapes = shapes.clone();
            wires.truncate(shapes.len());
            for step in &case.steps {
                let reads: Vec<&[f64]> = step.inputs.iter().map(|wire| &wires[*wire][..]).collect();
                let read_shapes: Vec<Shape> = step.inputs.iter().map(|wire| shapes[*wire]).collect();
                let result = twin(&*step.op, &reads, &read_shapes);
                for (input, values) in result.updated {
                    let mut wire = step.inputs[input];
                    wires[wire] = values;
                    // What was updated through the output of a step in place is updated where that began.
                    while let Some(earlier) = wire.checked_sub(updated.len()).map(|step| &case.steps[step]) {
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
                    case.name
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
        Self { output, sides, inputs }
    }
}

/// A case's inputs, and what the twins make of them: computed once, however often the case is run.
#[derive(Clone, Debug)]
pub struct CaseData {
    /// [`Case::values`].
    pub values: Vec<Vec<u32>>,
    /// [`Expected::of`].
    pub expected: Expected,
}

impl CaseData {
    /// The data of a case.
    pub fn of(case: &Case) -> Self {
        Self { values: case.values(), expected: Expected::of(case) }
    }
}
