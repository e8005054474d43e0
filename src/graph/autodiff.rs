//! Reverse-mode differentiation: appends to a tape the nodes that make gradients.

use std::sync::Arc;

use super::tape::{Origin, Phase, Tape, TensorId};
use crate::error::{Error, Result};
use crate::ops::add::{Accumulate, Add};
use crate::ops::{Rule, Shape, Wire};

/// The gradient with respect to a tensor, as far as it is known.
#[derive(Clone, Copy, Debug)]
struct Gradient {
    tensor: TensorId,
    /// Whether no node reads it, so that another gradient can be added in place. A gradient that an op passed on is
    /// also the gradient with respect to that op's output, and perhaps to its other inputs.
    alone: bool,
}

/// Appends the nodes that compute d`cost`/d`wrt` for each tensor of `wrt`, computed or from outside, seeded with the
/// scalar `seed` (1 for plain gradients), and returns the gradients in the order of `wrt`. Gradients of a tensor that
/// several nodes read are added up in the reverse order of those nodes. Two gradients may be one tensor: both inputs of
/// a sum have that of the sum.
///
/// # Errors
/// [`Error::Shape`] where `cost` is no scalar, does not depend on a tensor of `wrt`, or an op on the way has no
/// backward rule for an input.
pub fn differentiate(
    tape: &mut Tape,
    cost: TensorId,
    wrt: &[TensorId],
    seed: TensorId,
) -> Result<Vec<TensorId>> {
    if tape.shape(cost) != Shape::SCALAR {
        return Err(failure("a scalar cost", tape.shape(cost).to_string()));
    }
    let forward = tape.nodes.clone();
    let mut depends = vec![false; tape.tensors.len()];
    for tensor in wrt {
        depends[tensor.0] = true;
    }
    for node in &forward {
        depends[node.output().0] |= node.inputs.iter().any(|input| depends[input.0]);
    }
    let mut gradients: Vec<Option<Gradient>> = vec![None; tape.tensors.len()];
    gradients[cost.0] = Some(Gradient { tensor: seed, alone: false });
    for node in forward.iter().rev() {
        let Some(Gradient { tensor: upstream, .. }) = gradients[node.output().0] else { continue };
        let shapes: Vec<Shape> = node.inputs.iter().map(|input| tape.shape(*input)).collect();
        for (index, input) in node.inputs.iter().enumerate() {
            if !depends[input.0] {
                continue;
            }
            let rule = node.op.backward(index, &shapes).ok_or_else(|| {
                let input = tensor_name(tape, *input, index);
                let found = format!("{} at {}, which has none for {input}", node.op.name(), node.layer);
                failure("an op with a backward rule", found)
            })?;
            let part = match rule {
                Rule::Op { op, inputs } => {
                    let inputs: Vec<TensorId> = inputs
                        .iter()
                        .map(|wire| match wire {
                            Wire::Upstream => upstream,
                            Wire::Input(input) => node.inputs[*input],
                            Wire::Output(output) => node.outputs[*output],
                        })
                        .collect();
                    let tensor = tape.push(op, &inputs, &node.layer, Phase::Backward)?;
                    Gradient { tensor, alone: true }
                }
                Rule::Upstream => Gradient { tensor: upstream, alone: false },
                Rule::Constant => continue,
            };
            gradients[input.0] = Some(match gradients[input.0] {
                None => part,
                Some(sum) => add(tape, sum, part, &node.layer)?,
            });
        }
    }
    take_out(tape, forward.len());
    let gradient = |(index, tensor): (usize, &TensorId)| {
        gradients[tensor.0].map(|gradient| gradient.tensor).ok_or_else(|| {
            let found = format!("one that does not depend on {}", tensor_name(tape, *tensor, index));
            failure("a cost that depends on the tensor", found)
        })
    };
    wrt.iter().enumerate().map(gradient).collect()
}

/// Takes out of the first `forward` nodes those that are for the backward pass alone, which has been appended: who reads or keeps
/// what such a node makes has the input that it passes through.
fn take_out(tape: &mut Tape, forward: usize) {
    for index in (0..forward).rev() {
        let node = &tape.nodes[index];
        let Some(input) = node.op.passes_through() else { continue };
        let (output, input) = (node.output(), node.inputs[input]);
        tape.nodes.remove(index);
        let read = tape.nodes.iter_mut().flat_map(|node| &mut node.inputs);
        read.chain(&mut tape.kept).filter(|tensor| **tensor == output).for_each(|tensor| *tensor = input);
    }
}

/// The sum of two gradients with respect to one tensor: in place of one that no other node reads, if there is one.
fn add(tape: &mut Tape, sum: Gradient, part: Gradient, layer: &str) -> Result<Gradient> {
    let tensor = match (sum.alone, part.alone) {
        (true, _) => tape.push(Arc::new(Accumulate), &[sum.tensor, part.tensor], layer, Phase::Backward)?,
        (false, true) => {
            tape.push(Arc::new(Accumulate), &[part.tensor, sum.tensor], layer, Phase::Backward)?
        }
        (false, false) => tape.push(Arc::new(Add), &[sum.tensor, part.tensor], layer, Phase::Backward)?,
    };
    Ok(Gradient { tensor, alone: true })
}

/// A tensor's name where it comes from outside; else its number among those that it is named with.
fn tensor_name(tape: &Tape, tensor: TensorId, index: usize) -> String {
    match &tape.tensors[tensor.0].origin {
        Origin::External { name, .. } => name.clone(),
        Origin::Computed => format!("the computed tensor {}, number {index}", tape.shape(tensor)),
    }
}

fn failure(expected: &str, found: String) -> Error {
    Error::Shape { op: "differentiate", expected: expected.to_owned(), found }
}
