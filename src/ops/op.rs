//! What every op can say of itself: shapes, backward rule, merging with its neighbours, dispatches.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::{Capabilities, Layout, Lowered, Shape};
use crate::error::{Error, Result};

/// Layouts around one op while it is lowered.
#[derive(Debug)]
pub struct Io<'a> {
    /// Of the inputs.
    pub inputs: &'a [Layout],
    /// Of the outputs: the main one, then those of [`Op::side_outputs`].
    pub outputs: &'a [Layout],
}

impl Io<'_> {
    /// The main output's layout.
    pub fn output(&self) -> &Layout {
        &self.outputs[0]
    }
}

/// Where the input of a backward op comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// The gradient with respect to the forward op's output.
    Upstream,
    /// The forward op's input of this number.
    Input(usize),
    /// The forward op's output of this number; number 0 is the main one.
    Output(usize),
}

/// A backward rule: what the gradient with respect to one input is.
#[derive(Debug)]
pub enum Rule {
    /// What an op makes.
    Op {
        /// The op.
        op: Arc<dyn Op>,
        /// Its inputs.
        inputs: Vec<Wire>,
    },
    /// The gradient with respect to the output, as it is.
    Upstream,
    /// None: the input counts as a constant, even where it depends on what is differentiated by.
    Constant,
}

impl Rule {
    /// What `op` makes of `inputs`.
    pub fn new(op: impl Op, inputs: impl Into<Vec<Wire>>) -> Self {
        Self::Op { op: Arc::new(op), inputs: inputs.into() }
    }
}

/// An operation on tensors.
pub trait Op: fmt::Debug + Any + Send + Sync {
    /// Its name in plans, such as `conv` or `gram_backward`.
    fn name(&self) -> &'static str;

    /// The main output's shape.
    ///
    /// # Errors
    /// [`Error::Shape`] where the inputs do not fit.
    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape>;

    /// Shapes of what it makes beside the main output, such as a ReLU's mask. No gradient flows through these.
    fn side_outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        let _ = inputs;
        Vec::new()
    }

    /// How to compute the gradient with respect to `input`; `None` where none flows there, or the op was not recorded
    /// for it.
    fn backward(&self, input: usize, shapes: &[Shape]) -> Option<Rule> {
        let _ = (input, shapes);
        None
    }

    /// The op that does this and then `next`, which reads this op's output as its input `slot`. The merged
    /// op reads this op's inputs, then the others of `next` in order. Its side outputs are this op's, then those of
    /// `next`. `None` where there is no such op.
    fn fuse(&self, next: &dyn Op, slot: usize) -> Option<Arc<dyn Op>> {
        let _ = (next, slot);
        None
    }

    /// The same from the other side: the op that does `previous` and then this one, which reads the output of
    /// `previous` as its input `slot`. For pairs of which only this op knows the other; asked where
    /// [`Op::fuse`] of `previous` answers `None`.
    fn fuse_after(&self, previous: &dyn Op, slot: usize) -> Option<Arc<dyn Op>> {
        let _ = (previous, slot);
        None
    }

    /// The op that makes the main output once more from the same inputs, to the same bits and without the side
    /// outputs, where that is cheaper than to keep it. `None` elsewhere.
    fn repeat(&self, inputs: &[Shape]) -> Option<Arc<dyn Op>> {
        let _ = inputs;
        None
    }

    /// The input that the main output is, where the op is for the backward pass alone: what it has to say is its backward
    /// rule, and differentiation takes it out of the tape.
    fn passes_through(&self) -> Option<usize> {
        None
    }

    /// The input whose memory the main output takes over.
    fn in_place(&self) -> Option<usize> {
        None
    }

    /// The dispatches.
    ///
    /// # Errors
    /// [`Error::Memory`] where a limit is too small.
    fn lower(&self, io: &Io<'_>, capabilities: &Capabilities) -> Result<Lowered>;
}

impl dyn Op {
    /// This op as a `T`, if it is one.
    pub fn downcast<T: Op>(&self) -> Option<&T> {
        let any: &dyn Any = self;
        any.downcast_ref()
    }
}

/// An [`Error::Shape`] for `op` unless `fits`.
pub(crate) fn expect_shapes(op: &'static str, fits: bool, rule: &str, inputs: &[Shape]) -> Result<()> {
    if fits { Ok(()) } else { Err(unfit_shapes(op, rule, inputs)) }
}

/// The [`Error::Shape`] of `op` for `inputs` that do not keep to its `rule`.
pub(crate) fn unfit_shapes(op: &'static str, rule: &str, inputs: &[Shape]) -> Error {
    let found = inputs.iter().map(Shape::to_string).collect::<Vec<_>>().join(", ");
    Error::Shape { op, expected: rule.to_owned(), found }
}
