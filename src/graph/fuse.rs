//! Merges neighbours: convolution + bias + ReLU, and gradients with their sums and gates.

use super::tape::{Node, Origin, Role, Tape, TensorId};

/// The same tape with fewer nodes. A node is merged into the one that reads it when that is its only reader,
/// its value is not kept, and its op knows how ([`crate::ops::Op::fuse`]).
pub fn fuse(tape: &Tape) -> Tape {
    let mut readers = vec![0_usize; tape.tensors.len()];
    for input in tape.nodes.iter().flat_map(|node| &node.inputs) {
        readers[input.0] += 1;
    }
    for kept in &tape.kept {
        readers[kept.0] += 1;
    }
    let mut nodes: Vec<Node> = Vec::with_capacity(tape.nodes.len());
    for node in &tape.nodes {
        match merged(tape, &nodes, node, &readers) {
            Some((position, merged)) => {
                nodes.remove(position);
                nodes.push(merged);
            }
            None => nodes.push(node.clone()),
        }
    }
    Tape { nodes, ..tape.clone() }
}

/// `node` with the producer of one of its inputs merged into it, and that producer's position.
fn merged(tape: &Tape, nodes: &[Node], node: &Node, readers: &[usize]) -> Option<(usize, Node)> {
    node.inputs.iter().enumerate().find_map(|(slot, input)| {
        let position = producer(nodes, *input)?;
        let before = &nodes[position];
        // The producer moves to its reader's place. Nothing in between may overwrite what it reads.
        let moves_freely = nodes[position + 1..].iter().all(|between| {
            between
                .op
                .in_place()
                .is_none_or(|overwritten| !before.inputs.contains(&between.inputs[overwritten]))
        });
        if readers[input.0] != 1 || before.phase != node.phase || !moves_freely {
            return None;
        }
        let op = before.op.fuse(&*node.op, slot).or_else(|| node.op.fuse_after(&*before.op, slot))?;
        let others =
            node.inputs.iter().enumerate().filter(|(other, _)| *other != slot).map(|(_, input)| *input);
        let inputs = before.inputs.iter().copied().chain(others).collect();
        let sides = before.outputs[1..].iter().chain(&node.outputs[1..]);
        let outputs = [node.output()].iter().chain(sides).copied().collect();
        // The node that reads weights gives the layer; otherwise the first.
        let layer = if reads_weights(tape, node) { &node.layer } else { &before.layer };
        Some((position, Node { op, inputs, outputs, layer: layer.clone(), ..node.clone() }))
    })
}

fn reads_weights(tape: &Tape, node: &Node) -> bool {
    node.inputs
        .iter()
        .any(|input| matches!(tape.tensors[input.0].origin, Origin::External { role: Role::Weights, .. }))
}

fn producer(nodes: &[Node], tensor: TensorId) -> Option<usize> {
    nodes.iter().rposition(|node| node.output() == tensor)
}
