//! Recomputes in the backward pass what is cheap to compute, instead of keeping it from the forward pass.

use super::tape::{Node, Phase, Tape, TensorId};
use crate::ops::Shape;

/// The same tape with some nodes repeated: where a node of the forward pass is cheap to repeat
/// ([`crate::ops::Op::repeat`]) and its main output is read in the forward and in the backward pass, the backward
/// pass reads a second one, made just before. The first is then free as soon as the forward pass has read it.
///
/// The repeated op is the same kernel on the same inputs, so no value changes. What is kept, or whose inputs are
/// overwritten before the second time, is not repeated.
pub fn rematerialise(tape: &Tape) -> Tape {
    let mut tape = tape.clone();
    // The last first: what one repeats may be the only reader, in the backward pass, of what another makes.
    for node in tape.nodes.clone().into_iter().rev() {
        let shapes: Vec<Shape> = node.inputs.iter().map(|input| tape.shape(*input)).collect();
        let Some(op) = node.op.repeat(&shapes) else { continue };
        let output = node.output();
        let reads = |reader: &Node| reader.inputs.contains(&output);
        let position = |phase: Phase| tape.nodes.iter().position(|node| node.phase == phase && reads(node));
        let (Some(_), Some(first_reader)) = (position(Phase::Forward), position(Phase::Backward)) else {
            continue;
        };
        let kept = tape.kept.contains(&output);
        if node.phase != Phase::Forward || kept || overwritten(&tape.nodes[..first_reader], &node.inputs) {
            continue;
        }
        let shape = tape.shape(output);
        let again = tape.computed(shape);
        for reader in &mut tape.nodes[first_reader..] {
            reader.inputs.iter_mut().filter(|input| **input == output).for_each(|input| *input = again);
        }
        tape.nodes.insert(first_reader, Node { op, outputs: vec![again], phase: Phase::Backward, ..node });
    }
    tape
}

/// Whether one of `nodes` works in place of one of these tensors, or of what has taken its place.
fn overwritten(nodes: &[Node], tensors: &[TensorId]) -> bool {
    nodes.iter().any(|node| {
        let place = node.op.in_place().map(|input| node.inputs[input]);
        place.is_some_and(|place| tensors.contains(&place))
    })
}
