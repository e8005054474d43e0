//! The cost Σ (x − target)² / (4·n) over n elements: the content cost (n = C·H·W) and, on Gram matrices
//! (n = C²), the style cost of a layer. Gatys et al., arXiv 1508.06576, equations 1 and 4, in the course's
//! scaling.

use std::sync::Arc;

use super::relu::{MASK_COLUMNS, mask_lines};
use super::{
    Capabilities, Dispatch, Epilogue, Io, Layout, Lowered, Op, Operand, Rule, Shape, Wire, expect_shapes,
    piecewise,
};
use crate::error::Result;
use crate::gpu::{Kernel, Params, params};

params! {
    /// Uniforms of the first pass: `threads` threads each leave one partial sum, from `first` on.
    SquaredErrorParams { count: u32, threads: u32, first: u32 }
}
params! {
    /// Uniforms of the second pass.
    ReduceParams { partials: u32, scale: f32 }
}
params! {
    /// Uniforms of the backward kernel: the piece holds `channels` channels (h, w), from channel `first` on;
    /// scale = 1/(2n).
    BackwardParams { channels: u32, h: u32, w: u32, first: u32, scale: f32, flags: u32 }
}

super::kernels! {
    folder: "squared_error";
    squared_error_forward(SquaredErrorParams) {
        workgroup: 64,
        bindings: [read x, read target_, write partials],
    }
    squared_error_reduce(ReduceParams) { workgroup: 64, bindings: [read partials, write y] }
    squared_error_backward(BackwardParams) {
        workgroup: 64,
        bindings: [read dy, read x, read target_, read gate, write d_x],
        tile: [COLUMNS = MASK_COLUMNS],
    }
}

/// Elements that one thread of the first pass adds up, unless that makes too few threads or too many.
const ELEMENTS_PER_THREAD: u32 = 32;
/// Maximum number of partial sums of one piece, 64 KiB: one workgroup adds them in negligible time.
const MAX_PARTIALS: u32 = 16384;

/// How many partial sums the first pass leaves of `count` elements.
pub(super) fn partials(count: u32) -> u32 {
    count.div_ceil(ELEMENTS_PER_THREAD).min(MAX_PARTIALS)
}

/// The second pass alone: scale·Σ of this many partial sums.
pub(super) fn reduce(from: Operand, partials: u32, scale: f32, to: Operand) -> Dispatch {
    let params = ReduceParams { partials, scale };
    Dispatch::new(&kernels::squared_error_reduce, params, vec![from, to], 1, partials.into())
}

/// The first pass of a sum of what `kernel` makes of the elements of x: it leaves partial sums in workspace 0. `params` takes a
/// piece's elements, its threads and the place of its first partial sum; `inputs` are what it reads of a piece; `flops` are
/// those of one element. Returns the dispatches, and the number of partial sums.
pub(super) fn partial_sums<P: Params>(
    kernel: &'static Kernel,
    x: &Layout,
    flops: u64,
    params: impl Fn(u32, u32, u32) -> P,
    inputs: impl Fn(usize) -> Vec<Operand>,
) -> (Vec<Dispatch>, u32) {
    let (mut dispatches, mut sums) = (Vec::new(), 0);
    for piece in 0..x.pieces.len() {
        let count = x.piece_elements(piece);
        let threads = partials(count);
        let mut operands = inputs(piece);
        operands.push(Operand::Scratch { index: 0 });
        let params = params(count, threads, sums);
        let groups = threads.div_ceil(kernel.workgroup);
        dispatches.push(Dispatch::new(kernel, params, operands, groups, flops * u64::from(count)));
        sums += threads;
    }
    (dispatches, sums)
}

/// Two passes for scale·Σ of what `kernel` makes of the elements of x: [`partial_sums`], and what adds these up.
pub(super) fn sum<P: Params>(
    kernel: &'static Kernel,
    x: &Layout,
    scale: f32,
    flops: u64,
    params: impl Fn(u32, u32, u32) -> P,
    inputs: impl Fn(usize) -> Vec<Operand>,
) -> Lowered {
    let (mut dispatches, partials) = partial_sums(kernel, x, flops, params, inputs);
    dispatches.push(reduce(Operand::Scratch { index: 0 }, partials, scale, Operand::output(0)));
    Lowered { scratch: vec![u64::from(partials)], dispatches, ..Lowered::default() }
}

/// Inputs x and target (C, H, W), output a scalar.
#[derive(Debug)]
pub struct SquaredError {
    /// `content_cost` or `style_cost`.
    pub name: &'static str,
    /// The backward op's name.
    pub backward_name: &'static str,
}

impl SquaredError {
    /// The content cost; inputs are activations (C, H, W).
    pub const fn content_cost() -> Self {
        Self { name: "content_cost", backward_name: "content_cost_backward" }
    }

    /// The style cost of one layer; inputs are Gram matrices (1, C, C).
    pub const fn style_cost() -> Self {
        Self { name: "style_cost", backward_name: "style_cost_backward" }
    }
}

/// What the content cost multiplies the square of each difference by, for activations of a shape (C, H, W).
pub(crate) fn content_cost_weight(shape: Shape) -> f32 {
    (0.25 / shape.elements() as f64) as f32
}

impl Op for SquaredError {
    fn name(&self) -> &'static str {
        self.name
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 2 && inputs[0] == inputs[1];
        expect_shapes(self.name, fits, "a tensor and a target of one shape", inputs)?;
        Ok(Shape::SCALAR)
    }

    fn backward(&self, input: usize, _shapes: &[Shape]) -> Option<Rule> {
        let op = SquaredErrorBackward { name: self.backward_name, epilogue: Epilogue::default() };
        // The cost is symmetric: seen from the target, x is the target.
        Some(Rule::new(op, [Wire::Upstream, Wire::Input(input), Wire::Input(1 - input)]))
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let x = &io.inputs[0];
        let scale = content_cost_weight(x.shape);
        let params = |count, threads, first| SquaredErrorParams { count, threads, first };
        let inputs = |piece| vec![Operand::input(0, piece), Operand::input(1, piece)];
        Ok(sum(&kernels::squared_error_forward, x, scale, 3, params, inputs))
    }
}

/// dx = dy·(x − target)/(2n); inputs dy (scalar), x and target (C, H, W).
#[derive(Debug)]
pub struct SquaredErrorBackward {
    /// `content_cost_backward` or `style_cost_backward`.
    pub name: &'static str,
    /// Merged work.
    pub epilogue: Epilogue,
}

impl Op for SquaredErrorBackward {
    fn name(&self) -> &'static str {
        self.name
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() >= 3 && inputs[0] == Shape::SCALAR && inputs[1] == inputs[2];
        expect_shapes(self.name, fits, "a scalar, a tensor and a target of one shape", inputs)?;
        Ok(inputs[1])
    }

    fn fuse(&self, next: &dyn Op, slot: usize) -> Option<Arc<dyn Op>> {
        Some(Arc::new(Self { epilogue: self.epilogue.absorb(next, slot)?, ..*self }))
    }

    fn in_place(&self) -> Option<usize> {
        self.epilogue.in_place(3)
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let dx = io.output();
        let scale = (0.5 / dx.shape.elements() as f64) as f32;
        let flags = self.epilogue.flags(0, 1);
        let gate = self.epilogue.gate_operand(3, io)?;
        let params = |piece| {
            let shape = dx.piece_shape(piece);
            let first = dx.pieces[piece].start;
            BackwardParams { channels: shape.c, h: shape.rows(), w: shape.w, first, scale, flags }
        };
        let operands = |piece| {
            vec![
                Operand::input(0, 0),
                Operand::input(1, piece),
                Operand::input(2, piece),
                gate,
                Operand::output(piece),
            ]
        };
        let dispatches = piecewise(&kernels::squared_error_backward, dx, 3, mask_lines, params, operands);
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}
