//! A convolution merged with the average pool that follows, and the gradient through both: what lies between them is
//! the largest tensor of its block, and where Winograd does the convolution it never is in memory.

use std::sync::Arc;

use super::winograd::Winograd;
use super::{Conv, ConvBackward, VARIANTS, methods, problem};
use crate::error::Result;
use crate::ops::pool::{Pool, PoolBackward, PoolKind};
use crate::ops::relu::{expect_whole_mask, whole_mask};
use crate::ops::{Algorithm, Capabilities, Direction, Epilogue, Io, Layout, Lowered, Op, Operand, Shape};

/// y = pool(relu(w ∗ x + b)). Inputs as those of [`Conv`], whose output is (C_out, H, W); output (C_out, ⌈H/2⌉, ⌈W/2⌉),
/// and the ReLU's mask where asked for.
#[derive(Debug)]
pub struct ConvPool {
    /// The convolution, with its ReLU.
    pub conv: Conv,
}

impl Op for ConvPool {
    fn name(&self) -> &'static str {
        "conv_relu_pool"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        Pool::MEAN.output_shape(&[self.conv.output_shape(inputs)?])
    }

    fn side_outputs(&self, inputs: &[Shape]) -> Vec<Shape> {
        self.conv.side_outputs(inputs)
    }

    fn lower(&self, io: &Io<'_>, capabilities: &Capabilities) -> Result<Lowered> {
        let shapes: Vec<Shape> = io.inputs.iter().map(|input| input.shape).collect();
        let y = self.conv.output_shape(&shapes)?;
        let problem = problem(&self.conv.geometry, Direction::Forward, shapes[0], y.c);
        let method = VARIANTS.choose(&problem, capabilities);
        if method.algorithm == Algorithm::Winograd {
            let winograd = Winograd {
                products: methods::products_kernel(method, Direction::Forward, capabilities.precision),
                direction: Direction::Forward,
                x: &io.inputs[0],
                unpool: None,
                y: io.output(),
                weights: 1,
                weights_shape: shapes[1],
                plane: y,
                flags: Epilogue::BIAS | Epilogue::RELU | Epilogue::POOL,
                bias: Operand::input(2, 0),
                gate: Operand::Unused,
                mask: if self.conv.mask { whole_mask(io)? } else { Operand::Unused },
            };
            return Ok(Lowered { choice: Some((problem, method)), ..winograd.lower(capabilities) });
        }
        let between = [Layout::new(y, capabilities.max_binding_bytes)?];
        let outputs: Vec<Layout> = between.iter().chain(&io.outputs[1..]).cloned().collect();
        let conv = self.conv.lower(&Io { inputs: io.inputs, outputs: &outputs }, capabilities)?;
        let pool = Pool::MEAN.lower(&Io { inputs: &between, outputs: &io.outputs[..1] }, capabilities)?;
        Ok(sequence(conv, pool, &between[0], io.inputs.len()))
    }
}

/// dx of [`ConvPool`] without the ReLU's mask of x: the transpose of the convolution applied to gate(unpool(dy)).
/// Inputs dy (C_out, ⌈H/2⌉, ⌈W/2⌉), the mask of the pool's input, and the weights as [`ConvBackward`] reads them;
/// output that of [`ConvBackward`].
#[derive(Debug)]
pub struct ConvPoolBackward {
    /// Shape of what was pooled.
    pub pooled: Shape,
    /// The gradient of the convolution, with the merged work.
    pub conv: ConvBackward,
}

impl ConvPoolBackward {
    /// Inputs of its own.
    const OWN: usize = 3;

    fn unpool(&self) -> PoolBackward {
        let epilogue = Epilogue { gate: true, ..Epilogue::default() };
        PoolBackward { kind: PoolKind::Mean, x: self.pooled, epilogue }
    }
}

impl Op for ConvPoolBackward {
    fn name(&self) -> &'static str {
        "conv_pool_backward"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let dy = self.unpool().output_shape(&inputs[..2.min(inputs.len())])?;
        let rest = inputs.get(2..).unwrap_or_default();
        self.conv.output_shape(&[&[dy], rest].concat())
    }

    fn fuse(&self, next: &dyn Op, slot: usize) -> Option<Arc<dyn Op>> {
        let epilogue = self.conv.epilogue.absorb(next, slot)?;
        Some(Arc::new(Self { conv: ConvBackward { epilogue, ..self.conv }, ..*self }))
    }

    fn in_place(&self) -> Option<usize> {
        self.conv.epilogue.in_place(Self::OWN)
    }

    fn lower(&self, io: &Io<'_>, capabilities: &Capabilities) -> Result<Lowered> {
        let problem = problem(&self.conv.geometry, Direction::Backward, io.output().shape, self.pooled.c);
        let method = VARIANTS.choose(&problem, capabilities);
        if method.algorithm == Algorithm::Winograd {
            expect_whole_mask(&io.inputs[1])?;
            let winograd = Winograd {
                products: methods::products_kernel(method, Direction::Backward, capabilities.precision),
                direction: Direction::Backward,
                x: &io.inputs[0],
                unpool: Some(Operand::input(1, 0)),
                y: io.output(),
                weights: 2,
                weights_shape: io.inputs[2].shape,
                plane: io.output().shape,
                flags: self.conv.epilogue.flags(0, 1),
                bias: Operand::Unused,
                gate: self.conv.epilogue.gate_operand(Self::OWN, io)?,
                mask: Operand::Unused,
            };
            return Ok(Lowered { choice: Some((problem, method)), ..winograd.lower(capabilities) });
        }
        let between = Layout::new(self.pooled, capabilities.max_binding_bytes)?;
        let own = std::slice::from_ref(&between);
        let unpool = self.unpool().lower(&Io { inputs: &io.inputs[..2], outputs: own }, capabilities)?;
        let inputs: Vec<Layout> = own.iter().chain(&io.inputs[2..]).cloned().collect();
        let conv = self.conv.lower(&Io { inputs: &inputs, outputs: io.outputs }, capabilities)?;
        Ok(sequence(unpool, conv, &between, 2))
    }
}

/// `first` and then `next`, whose input 0 is the main output of `first`: the tensor `between`, which becomes
/// workspace. `inputs` is the number of inputs of `first`; those of `next` follow them.
fn sequence(first: Lowered, next: Lowered, between: &Layout, inputs: usize) -> Lowered {
    let (own, kept) = (first.scratch.len(), first.scratch.len() + next.scratch.len());
    let pieces = (0..between.pieces.len()).map(|piece| u64::from(between.piece_elements(piece)));
    let scratch = first.scratch.into_iter().chain(next.scratch).chain(pieces).collect();
    let mut dispatches = first.dispatches;
    for operand in dispatches.iter_mut().flat_map(|dispatch| &mut dispatch.operands) {
        if let Operand::Output { index: 0, piece } = *operand {
            *operand = Operand::Scratch { index: kept + piece };
        }
    }
    for mut dispatch in next.dispatches {
        for operand in &mut dispatch.operands {
            match operand {
                Operand::Input { index: 0, piece, .. } => {
                    *operand = Operand::Scratch { index: kept + *piece }
                }
                Operand::Input { index, .. } => *index += inputs - 1,
                Operand::Scratch { index } => *index += own,
                Operand::Output { .. } | Operand::Unused => {}
            }
        }
        dispatches.push(dispatch);
    }
    // Of the two, only the convolution has several methods.
    let choice = first.choice.or(next.choice);
    Lowered { scratch, dispatches, choice }
}
