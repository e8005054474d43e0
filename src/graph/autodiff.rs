//! Reverse-mode differentiation: appends to a tape the nodes that make a gradient.

use super::tape::{Phase, Tape, TensorId};
use crate::error::{Error, Result};
use crate::ops::{Shape, Wire, accumulate};

/// Appends the nodes that compute d`cost`/d`wrt`, seeded with the scalar `seed` (1 for a plain gradient), and
/// returns the gradient. Gradients of a tensor that several nodes read are added up in the reverse order of
/// those nodes.
///
/// # Errors
/// [`Error::Shape`] where `cost` is no scalar, does not depend on `wrt`, or an op on the way has no backward rule.
pub fn differentiate(tape: &mut Tape, cost: TensorId, wrt: TensorId, seed: TensorId) -> Result<TensorId> {
    if tape.shape(cost) != Shape::SCALAR {
        return Err(failure("a scalar cost", tape.shape(cost).to_string()));
    }
    let forward = tape.nodes.clone();
    let mut depends = vec![false; tape.tensors.len()];
    depends[wrt.0] = true;
    for node in &forward {
        depends[node.output().0] = node.inputs.iter().any(|input| depends[input.0]);
    }
    let mut gradients: Vec<Option<TensorId>> = vec![None; tape.tensors.len()];
    gradients[cost.0] = Some(seed);
    for node in forward.iter().rev() {
        let Some(upstream) = gradients[node.output().0] else { continue };
        let shapes: Vec<Shape> = node.inputs.iter().map(|input| tape.shape(*input)).collect();
        for (index, input) in node.inputs.iter().enumerate() {
            if !depends[input.0] {
                continue;
            }
            let rule = node.op.backward(index, &shapes).ok_or_else(|| {
                failure("an op with a backward rule", format!("{} at {}", node.op.name(), node.layer))
            })?;
            let inputs: Vec<TensorId> = rule
                .inputs
                .iter()
                .map(|wire| match wire {
                    Wire::Upstream => upstream,
                    Wire::Input(input) => node.inputs[*input],
                    Wire::Output(output) => node.outputs[*output],
                })
                .collect();
            let part = tape.push(rule.op, &inputs, &node.layer, Phase::Backward)?;
            gradients[input.0] = Some(match gradients[input.0] {
                None => part,
                Some(sum) => tape.push(accumulate(), &[sum, part], &node.layer, Phase::Backward)?,
            });
        }
    }
    gradients[wrt.0].ok_or_else(|| failure("a cost that depends on the tensor", "one that does not".into()))
}

fn failure(expected: &str, found: String) -> Error {
    Error::Shape { op: "differentiate", expected: expected.to_owned(), found }
}
