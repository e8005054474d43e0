//! What an op becomes: dispatches of kernels, before anything is placed in memory.

use super::{Form, Layout, Method, Problem, Shape};
use crate::gpu::{Kernel, Params};

/// Where a kernel's storage binding points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A piece of the op's input number `index`.
    Input {
        /// Which input.
        index: usize,
        /// Which piece of it.
        piece: usize,
        /// In which arrangement.
        form: Form,
    },
    /// A piece of the op's output number `index`; number 0 is the main one.
    Output {
        /// Which output.
        index: usize,
        /// Which piece of it.
        piece: usize,
    },
    /// The op's own workspace number `index`.
    Scratch {
        /// Which workspace.
        index: usize,
    },
    /// Nothing: the kernel does not use the binding.
    Unused,
}

impl Operand {
    /// An input's piece as it is.
    pub const fn input(index: usize, piece: usize) -> Self {
        Self::Input { index, piece, form: Form::PLAIN }
    }

    /// The main output's piece.
    pub const fn output(piece: usize) -> Self {
        Self::Output { index: 0, piece }
    }
}

/// One dispatch of a kernel, before anything is placed in memory.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// The kernel.
    pub kernel: &'static Kernel,
    /// Its uniform block.
    pub params: Vec<u8>,
    /// One operand a storage binding, in binding order.
    pub operands: Vec<Operand>,
    /// Workgroups, in one line.
    pub workgroups: u32,
    /// Arithmetic: multiply and add count as two.
    pub flops: u64,
}

impl Dispatch {
    /// A dispatch; `params` is the kernel's own block.
    pub fn new<P: Params>(
        kernel: &'static Kernel,
        params: P,
        operands: Vec<Operand>,
        workgroups: u32,
        flops: u64,
    ) -> Self {
        debug_assert_eq!(kernel.params, P::FIELDS, "{}", kernel.name);
        debug_assert_eq!(kernel.bindings.len(), operands.len(), "{}", kernel.name);
        Self { kernel, params: bytemuck::bytes_of(&params).to_vec(), operands, workgroups, flops }
    }
}

/// An op as dispatches, with the workspace that they share.
#[derive(Clone, Debug, Default)]
pub struct Lowered {
    /// Elements (f32) of each workspace.
    pub scratch: Vec<u64>,
    /// The dispatches in order.
    pub dispatches: Vec<Dispatch>,
    /// What was to be done and by which method it is, where there are several.
    pub choice: Option<(Problem, Method)>,
}

impl Lowered {
    /// This op and then `next`, whose input 0 is the main output of this one: the tensor `between`, which becomes
    /// workspace. This op has `inputs` inputs and `sides` side outputs; those of `next` follow them. Only one of the two
    /// may have several methods.
    pub(crate) fn then(self, next: Self, between: &Layout, inputs: usize, sides: usize) -> Self {
        let (own, kept) = (self.scratch.len(), self.scratch.len() + next.scratch.len());
        let pieces = (0..between.pieces.len()).map(|piece| u64::from(between.piece_elements(piece)));
        let scratch = self.scratch.into_iter().chain(next.scratch).chain(pieces).collect();
        let mut dispatches = self.dispatches;
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
                    Operand::Output { index: 0, .. } | Operand::Unused => {}
                    Operand::Output { index, .. } => *index += sides,
                }
            }
            dispatches.push(dispatch);
        }
        let choice = self.choice.or(next.choice);
        Self { scratch, dispatches, choice }
    }
}

/// Kernels whose threads each handle one element: one dispatch a piece of the output.
pub(crate) fn elementwise<P: Params>(
    kernel: &'static Kernel,
    layout: &Layout,
    flops_per_element: u64,
    params: impl Fn(usize) -> P,
    operands: impl Fn(usize) -> Vec<Operand>,
) -> Vec<Dispatch> {
    piecewise(kernel, layout, flops_per_element, Shape::elements, params, operands)
}

/// One dispatch a piece of `layout`, with as many threads as `threads` says for the piece's shape.
pub(crate) fn piecewise<P: Params>(
    kernel: &'static Kernel,
    layout: &Layout,
    flops_per_element: u64,
    threads: impl Fn(Shape) -> u64,
    params: impl Fn(usize) -> P,
    operands: impl Fn(usize) -> Vec<Operand>,
) -> Vec<Dispatch> {
    (0..layout.pieces.len())
        .map(|piece| {
            let shape = layout.piece_shape(piece);
            let groups = threads(shape).div_ceil(u64::from(kernel.workgroup)) as u32;
            Dispatch::new(
                kernel,
                params(piece),
                operands(piece),
                groups,
                flops_per_element * shape.elements(),
            )
        })
        .collect()
}
