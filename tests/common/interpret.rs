//! Tapes run by the CPU twins.

use std::collections::HashMap;

use impasto::cases::twin;
use impasto::graph::{Tape, TensorId};
use impasto::ops::Shape;

/// Values of tensors.
pub(crate) type Values = HashMap<TensorId, Vec<f64>>;

/// Runs a tape by the twins, but not the nodes whose outputs are given. What an op overwrites is gone for whoever reads it
/// later.
pub(crate) fn interpret(tape: &Tape, given: &Values) -> Values {
    let mut values = given.clone();
    for node in tape.nodes().iter().filter(|node| !given.contains_key(&node.output())) {
        let shapes: Vec<Shape> = node.inputs.iter().map(|input| tape.shape(*input)).collect();
        let inputs: Vec<&[f64]> = node
            .inputs
            .iter()
            .map(|input| {
                let values =
                    values.get(input).unwrap_or_else(|| panic!("{} reads what is gone", node.op.name()));
                &values[..]
            })
            .collect();
        let result = twin(&*node.op, &inputs, &shapes);
        for (input, _) in result.updated {
            values.remove(&node.inputs[input]);
        }
        let results: Vec<Vec<f64>> = std::iter::once(result.output).chain(result.sides).collect();
        assert_eq!(results.len(), node.outputs.len(), "{}: outputs", node.op.name());
        for (output, result) in node.outputs.iter().zip(results) {
            assert_eq!(result.len() as u64, tape.shape(*output).elements(), "{}", node.op.name());
            values.insert(*output, result);
        }
    }
    values
}
