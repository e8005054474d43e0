//! The tape: ops as plain data in the order in which they run.

use std::sync::Arc;

use crate::error::Result;
use crate::ops::{Op, Shape};

/// A tensor of a tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(pub(super) usize);

/// What a tensor from outside is used for, so that memory can be reported by use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Frozen weights and biases, shared by all programs of an engine.
    Weights,
    /// Pixels and Adam's moments.
    Optimiser,
    /// Everything else: targets, pictures, small parameters.
    Workspace,
}

/// What a computed tensor holds, so that memory can be reported by use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A result of the forward pass.
    Activation,
    /// A gradient.
    Gradient,
    /// An op's own workspace.
    Scratch,
}

/// Which part of a step a node belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// From pixels to costs.
    Forward,
    /// From costs to the gradient of the pixels.
    Backward,
    /// The optimiser.
    Update,
}

/// Where a tensor comes from.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    External { name: String, role: Role },
    Computed,
}

#[derive(Clone, Debug)]
pub(super) struct Tensor {
    pub(super) shape: Shape,
    pub(super) origin: Origin,
}

/// An op with its place in the graph.
#[derive(Clone, Debug)]
pub struct Node {
    /// The op.
    pub op: Arc<dyn Op>,
    /// What it reads.
    pub inputs: Vec<TensorId>,
    /// What it writes: the main output, then those of [`Op::side_outputs`].
    pub outputs: Vec<TensorId>,
    /// The network's layer that it belongs to, or what it serves.
    pub layer: String,
    /// Its part of the step.
    pub phase: Phase,
    /// What its outputs hold.
    pub kind: Kind,
}

impl Node {
    /// The main output.
    pub fn output(&self) -> TensorId {
        self.outputs[0]
    }
}

/// A recording of ops.
#[derive(Clone, Debug, Default)]
pub struct Tape {
    pub(super) tensors: Vec<Tensor>,
    pub(super) nodes: Vec<Node>,
    /// Tensors whose values must survive to the end of the program.
    pub(super) kept: Vec<TensorId>,
}

impl Tape {
    /// An empty tape.
    pub fn new() -> Self {
        Self::default()
    }

    /// A tensor whose buffer the caller binds when the program is made executable.
    pub fn external(&mut self, name: impl Into<String>, shape: Shape, role: Role) -> TensorId {
        self.tensor(shape, Origin::External { name: name.into(), role })
    }

    /// Records an op of the forward pass.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where the inputs do not fit.
    pub fn record(&mut self, op: impl Op, inputs: &[TensorId], layer: &str) -> Result<TensorId> {
        self.push(Arc::new(op), inputs, layer, Phase::Forward)
    }

    /// Records an op of the optimiser.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where the inputs do not fit.
    pub fn record_update(&mut self, op: impl Op, inputs: &[TensorId], layer: &str) -> Result<TensorId> {
        self.push(Arc::new(op), inputs, layer, Phase::Update)
    }

    /// Keeps a tensor's value to the end of the program, so that it can be read then.
    pub fn keep(&mut self, tensor: TensorId) {
        self.kept.push(tensor);
    }

    /// The shape of a tensor.
    pub fn shape(&self, tensor: TensorId) -> Shape {
        self.tensors[tensor.0].shape
    }

    /// The nodes in order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Records an op of any phase and returns its main output; the node has them all.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where the inputs do not fit.
    pub fn push(
        &mut self,
        op: Arc<dyn Op>,
        inputs: &[TensorId],
        layer: &str,
        phase: Phase,
    ) -> Result<TensorId> {
        let shapes: Vec<Shape> = inputs.iter().map(|input| self.shape(*input)).collect();
        let shape = op.output_shape(&shapes)?;
        let shapes = std::iter::once(shape).chain(op.side_outputs(&shapes));
        let outputs: Vec<TensorId> = shapes.map(|shape| self.computed(shape)).collect();
        let output = outputs[0];
        let kind = if phase == Phase::Forward { Kind::Activation } else { Kind::Gradient };
        self.nodes.push(Node { op, inputs: inputs.to_vec(), outputs, layer: layer.to_owned(), phase, kind });
        Ok(output)
    }

    /// A tensor that a node will make.
    pub(super) fn computed(&mut self, shape: Shape) -> TensorId {
        self.tensor(shape, Origin::Computed)
    }

    fn tensor(&mut self, shape: Shape, origin: Origin) -> TensorId {
        self.tensors.push(Tensor { shape, origin });
        TensorId(self.tensors.len() - 1)
    }
}
