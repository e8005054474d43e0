//! The Gram matrix of a layer, G = F·Fᵀ/(H·W) with F = x unrolled to C × HW. Gatys et al., arXiv 1508.06576,
//! equation 3, divided by the pixels so that pictures of any size can be compared. And the first two moments: that matrix
//! with the means of the channels.

use std::sync::Arc;

use super::guide::fit;
use super::{
    Algorithm, Capabilities, Direction, Dispatch, Epilogue, Io, Layout, Lowered, Method, Op, Operand,
    Problem, Rule, Shape, Trial, Variants, Wire, expect_shapes,
};
use crate::error::Result;
use crate::gpu::{Kernel, params};

params! {
    /// Uniforms of the forward kernels: rows of G come from the piece of x that begins at channel `row_first`,
    /// columns from the one at `column_first`; each split sums `split_pixels` pixels into a matrix of its own.
    GramParams {
        plane: u32,
        channels: u32,
        row_first: u32,
        row_count: u32,
        column_first: u32,
        column_count: u32,
        splits: u32,
        split_pixels: u32,
    }
}
params! {
    /// Uniforms of the reduction: scale = 1/(H·W).
    GramReduceParams { channels: u32, splits: u32, scale: f32 }
}
params! {
    /// Uniforms of the backward kernels: the input piece holds `in_count` channels of x from `in_first` on, the
    /// output piece `out_count` of dx from `out_first` on; scale = 1/(H·W).
    GramBackwardParams {
        h: u32,
        w: u32,
        channels: u32,
        in_first: u32,
        in_count: u32,
        out_first: u32,
        out_count: u32,
        pixel_groups: u32,
        scale: f32,
        flags: u32,
    }
}

params! {
    /// Uniforms of the kernel that adds dY and its transpose, for `count` channels from `first` on.
    GramWeightsParams { channels: u32, first: u32, count: u32 }
}
params! {
    /// Uniforms of a pass of the means: of `count` elements of each channel `threads` sums are left, from `first` on; `guided`
    /// is 1 where the elements are weighed by a guidance.
    ChannelMeanParams { channels: u32, count: u32, threads: u32, first: u32, guided: u32, scale: f32 }
}

super::kernels! {
    folder: "gram";
    gram_forward_naive(GramParams) {
        workgroup: 64,
        bindings: [read xa, read xb, write partials],
        tile: [BLOCK = 8],
    }
    gram_forward_tile(GramParams) {
        workgroup: 64,
        bindings: [read xa, read xb, write partials],
        tile: [BLOCK = 32],
    }
    gram_forward_subgroup(GramParams) {
        workgroup: 8,
        subgroup: (8, 8),
        bindings: [read xa, read xb, write partials],
        tile: [ROWS = 16, COLUMNS = 8, LANES = 8],
    }
    gram_reduce(GramReduceParams) { workgroup: 64, bindings: [read partials, write y] }
    gram_backward_naive(GramBackwardParams) {
        workgroup: 64,
        bindings: [read dy, read x, read guidance, read gate, write d_x],
    }
    gram_backward_tile(GramBackwardParams) {
        workgroup: 64,
        bindings: [read dy, read x, read guidance, read gate, write d_x],
        tile: [BLOCK = 32],
    }
    gram_backward_subgroup(GramBackwardParams) {
        workgroup: 32,
        subgroup: (8, 8),
        bindings: [read s, read dy, read x, read guidance, read gate, write d_x],
        tile: [PIXELS = 4, OUTPUTS = 32],
    }
    gram_backward_weights(GramWeightsParams) {
        workgroup: 64,
        bindings: [read dy, write s],
        tile: [BLOCK = 32],
    }
    channel_mean(ChannelMeanParams) { workgroup: 64, bindings: [read x, read guidance, write y] }
}

/// Pixels that one split sums, unless the partial matrices would take more than [`MAX_PARTIAL_BYTES`].
const SPLIT_PIXELS: u32 = 2048;
/// Bound of the partial matrices.
const MAX_PARTIAL_BYTES: u64 = 32 << 20;
/// Elements that one thread adds up in a pass of the means, unless the pass would leave more than [`MAX_MEAN_SUMS`] sums.
const MEAN_ELEMENTS: u32 = 64;
/// Most sums that a pass of the means leaves of one channel: the next two passes add these up.
const MAX_MEAN_SUMS: u32 = MEAN_ELEMENTS * MEAN_ELEMENTS;
/// Flag bit of the backward kernels: the last row of dY is the gradient of the means. Beside those of [`Epilogue`].
pub const MEAN: u32 = 64;
/// Flag bit of the backward kernels: that gradient is weighed by the guidance.
pub const GUIDED: u32 = 128;

const OP: &str = "gram";

const fn method(name: &'static str, algorithm: Algorithm, shares_memory: bool) -> Method {
    Method { op: OP, name, algorithm, shares_memory }
}

/// Products of one subgroup of 8 lanes.
pub const SUBGROUP: Method = method("subgroup", Algorithm::Gemm, false);
/// Products of tiles in workgroup memory.
pub const TILE: Method = method("tile", Algorithm::Gemm, true);
/// One sum a thread.
pub const NAIVE: Method = method("naive", Algorithm::Naive, false);

/// All of them, in the order in which they are usually fast.
pub const METHODS: [Method; 3] = [SUBGROUP, TILE, NAIVE];

/// Gram matrices and their gradients by several methods.
pub static VARIANTS: Variants = Variants {
    op: OP,
    methods: &METHODS,
    naive: NAIVE,
    usual: |_| &METHODS,
    fits: |method, problem, capabilities| capabilities.allows(kernel(method, problem.direction)),
    trial,
};

/// The kernel of a method that makes the products.
fn kernel(method: Method, direction: Direction) -> &'static Kernel {
    match (method, direction) {
        (SUBGROUP, Direction::Forward) => &kernels::gram_forward_subgroup,
        (SUBGROUP, Direction::Backward) => &kernels::gram_backward_subgroup,
        (TILE, Direction::Forward) => &kernels::gram_forward_tile,
        (TILE, Direction::Backward) => &kernels::gram_backward_tile,
        (_, Direction::Forward) => &kernels::gram_forward_naive,
        (_, Direction::Backward) => &kernels::gram_backward_naive,
    }
}

/// What the choice of a method depends on.
fn problem(direction: Direction, x: Shape) -> Problem {
    let Shape { c, d, h, w } = x;
    Problem { op: OP, direction, inputs: c, outputs: c, d, h, w, geometry: None }
}

/// What stands for a problem while its methods are timed.
fn trial(problem: &Problem) -> Trial {
    let x = Shape::volume(problem.inputs, problem.d, problem.h, problem.w);
    let (op, inputs): (Arc<dyn Op>, _) = match problem.direction {
        Direction::Forward => (Arc::new(Gram), vec![x]),
        Direction::Backward => {
            let op = GramBackward { means: Means::None, epilogue: Epilogue::default() };
            (Arc::new(op), vec![Shape::new(1, x.c, x.c), x])
        }
    };
    Trial { op, inputs, weights: Vec::new() }
}

/// Input x (C, H, W), output (1, C, C).
#[derive(Debug)]
pub struct Gram;

impl Op for Gram {
    fn name(&self) -> &'static str {
        "gram"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        expect_shapes(self.name(), inputs.len() == 1, "one tensor", inputs)?;
        Ok(Shape::new(1, inputs[0].c, inputs[0].c))
    }

    fn backward(&self, _input: usize, _shapes: &[Shape]) -> Option<Rule> {
        let op = GramBackward { means: Means::None, epilogue: Epilogue::default() };
        Some(Rule::new(op, [Wire::Upstream, Wire::Input(0)]))
    }

    fn lower(&self, io: &Io<'_>, capabilities: &Capabilities) -> Result<Lowered> {
        Ok(lower_gram(&io.inputs[0], capabilities))
    }
}

/// The Gram matrix of x, written to the beginning of the output. Workspace 0 holds the splits.
fn lower_gram(x: &Layout, capabilities: &Capabilities) -> Lowered {
    let (plane, channels) = (x.shape.plane() as u32, x.shape.c);
    let problem = problem(Direction::Forward, x.shape);
    let method = VARIANTS.choose(&problem, capabilities);
    let kernel = kernel(method, Direction::Forward);
    // The block of G that one workgroup makes: rows and columns.
    let [block_rows, block_columns] = match method {
        SUBGROUP => [kernel.tile("ROWS"), kernel.tile("COLUMNS") * kernel.tile("LANES")],
        _ => [kernel.tile("BLOCK"); 2],
    };
    let elements = u64::from(channels) * u64::from(channels);
    let most = (MAX_PARTIAL_BYTES.min(capabilities.max_binding_bytes) / (4 * elements)).max(1);
    let splits = u64::from(plane.div_ceil(SPLIT_PIXELS)).min(most) as u32;
    let split_pixels = plane.div_ceil(splits);
    let splits = plane.div_ceil(split_pixels);
    let mut dispatches = Vec::new();
    for (a, rows) in x.pieces.iter().enumerate() {
        // G is symmetric: the piece pairs below the diagonal are mirrored by the reduction.
        for (b, columns) in x.pieces.iter().enumerate().skip(a) {
            let params = GramParams {
                plane,
                channels,
                row_first: rows.start,
                row_count: rows.end - rows.start,
                column_first: columns.start,
                column_count: columns.end - columns.start,
                splits,
                split_pixels,
            };
            let blocks = params.row_count.div_ceil(block_rows) * params.column_count.div_ceil(block_columns);
            let flops = 2 * u64::from(params.row_count) * u64::from(params.column_count) * u64::from(plane);
            let operands = vec![Operand::input(0, a), Operand::input(0, b), Operand::Scratch { index: 0 }];
            dispatches.push(Dispatch::new(kernel, params, operands, blocks * splits, flops));
        }
    }
    dispatches.push(Dispatch::new(
        &kernels::gram_reduce,
        GramReduceParams { channels, splits, scale: (1.0 / f64::from(plane)) as f32 },
        vec![Operand::Scratch { index: 0 }, Operand::output(0)],
        (elements as u32).div_ceil(kernels::gram_reduce.workgroup),
        elements * u64::from(splits),
    ));
    Lowered { scratch: vec![u64::from(splits) * elements], dispatches, choice: Some((problem, method)) }
}

/// The first two moments of the channels: rows 0 to C are the Gram matrix, to the bit that of [`Gram`], row C is the mean of
/// each channel. Input x (C, H, W), output (1, C + 1, C).
///
/// With a guidance t (1, H, W) as a second input, which no gradient reaches, the means are those of t·x. Where x is t·f, of
/// features f ([`super::guide::Guide`]), and the squares of t have the mean 1, the moments are those of f with the weights
/// t²/(H·W), which add up to 1.
#[derive(Clone, Copy, Debug)]
pub struct Moments;

/// The shape of the moments of this many channels.
pub(super) const fn moments_shape(channels: u32) -> Shape {
    Shape::new(1, channels + 1, channels)
}

impl Op for Moments {
    fn name(&self) -> &'static str {
        "moments"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = match inputs {
            [_] => true,
            [x, guidance] => fit(*x, *guidance),
            _ => false,
        };
        expect_shapes(self.name(), fits, "a tensor C×H×W, and a guidance 1×H×W where wanted", inputs)?;
        Ok(moments_shape(inputs[0].c))
    }

    fn backward(&self, input: usize, shapes: &[Shape]) -> Option<Rule> {
        let means = if shapes.len() > 1 { Means::Guided } else { Means::Even };
        let op = GramBackward { means, epilogue: Epilogue::default() };
        let inputs = (0..shapes.len()).map(Wire::Input);
        let wires: Vec<Wire> = std::iter::once(Wire::Upstream).chain(inputs).collect();
        (input == 0).then(|| Rule::new(op, wires))
    }

    fn lower(&self, io: &Io<'_>, capabilities: &Capabilities) -> Result<Lowered> {
        let x = &io.inputs[0];
        let mut lowered = lower_gram(x, capabilities);
        let (scratch, dispatches) =
            lower_means(x, io.inputs.len() > 1, x.shape.c * x.shape.c, lowered.scratch.len());
        lowered.scratch.extend(scratch);
        lowered.dispatches.extend(dispatches);
        Ok(lowered)
    }
}

/// The mean of each channel. Input x (C, H, W), output (1, 1, C). It has no gradient: [`Moments`] has one.
#[derive(Clone, Copy, Debug)]
pub struct ChannelMean;

impl Op for ChannelMean {
    fn name(&self) -> &'static str {
        "channel_mean"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        expect_shapes(self.name(), inputs.len() == 1, "one tensor", inputs)?;
        Ok(Shape::row(inputs[0].c))
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let (scratch, dispatches) = lower_means(&io.inputs[0], false, 0, 0);
        Ok(Lowered { scratch, dispatches, ..Lowered::default() })
    }
}

/// The means of the channels of x, times the second input where that is a guidance, written to the output from element `first`
/// on, by passes that each leave fewer sums. Returns the elements of the two workspaces, the first of which is number
/// `workspace`, and the dispatches.
fn lower_means(x: &Layout, is_guided: bool, first: u32, workspace: usize) -> (Vec<u64>, Vec<Dispatch>) {
    let plane = x.shape.plane() as u32;
    let mut scratch = vec![0; 2];
    let mut dispatches = Vec::new();
    for (piece, range) in x.pieces.iter().enumerate() {
        let channels = range.end - range.start;
        let (mut count, mut from) = (plane, Operand::input(0, piece));
        let mut passes = 0;
        loop {
            let threads = count.div_ceil(MEAN_ELEMENTS).min(MAX_MEAN_SUMS);
            let is_last = threads == 1;
            // A pass may not read what it writes.
            let index = passes % 2;
            let to = if is_last { Operand::output(0) } else { Operand::Scratch { index: workspace + index } };
            // The first pass weighs the elements, the others add up.
            let weighs = is_guided && passes == 0;
            let guidance = if weighs { Operand::input(1, 0) } else { Operand::Unused };
            let params = ChannelMeanParams {
                channels,
                count,
                threads,
                first: if is_last { first + range.start } else { 0 },
                guided: weighs.into(),
                scale: if is_last { (1.0 / f64::from(plane)) as f32 } else { 1.0 },
            };
            let sums = u64::from(channels) * u64::from(threads);
            let groups = sums.div_ceil(kernels::channel_mean.workgroup.into()) as u32;
            let flops = u64::from(channels) * u64::from(count) * if weighs { 2 } else { 1 };
            let operands = vec![from, guidance, to];
            dispatches.push(Dispatch::new(&kernels::channel_mean, params, operands, groups, flops));
            if is_last {
                break;
            }
            scratch[index] = sums.max(scratch[index]);
            (count, from) = (threads, to);
            passes += 1;
        }
    }
    (scratch, dispatches)
}

/// What means there are beside a Gram matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// None: it is [`Gram`].
    None,
    /// Those of [`Moments`] of one input.
    Even,
    /// Those of [`Moments`] under a guidance.
    Guided,
}

/// dx = (dY + dYᵀ)·F/(H·W), with means + m/(H·W) in every channel, or under a guidance t + m·t/(H·W). Inputs dy (1, C, C), or
/// with means (1, C + 1, C): the rows of dY and then m; x (C, H, W); and t (1, H, W) where there is a guidance. Output
/// (C, H, W).
#[derive(Debug)]
pub struct GramBackward {
    /// Whether it is the gradient of [`Moments`], and of which, or that of [`Gram`].
    pub means: Means,
    /// Merged work.
    pub epilogue: Epilogue,
}

impl GramBackward {
    /// How many inputs it has of its own.
    fn inputs(&self) -> usize {
        if self.means == Means::Guided { 3 } else { 2 }
    }
}

impl Op for GramBackward {
    fn name(&self) -> &'static str {
        "gram_backward"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let (rule, fits): (_, fn(&[Shape]) -> bool) = match self.means {
            Means::None => {
                ("dy 1×C×C and x C×H×W", |inputs| inputs[0] == Shape::new(1, inputs[1].c, inputs[1].c))
            }
            Means::Even => ("dy 1×(C+1)×C and x C×H×W", |inputs| inputs[0] == moments_shape(inputs[1].c)),
            Means::Guided => ("dy 1×(C+1)×C, x C×H×W and a guidance 1×H×W", |inputs| {
                inputs[0] == moments_shape(inputs[1].c) && fit(inputs[1], inputs[2])
            }),
        };
        let fits = inputs.len() >= self.inputs() && fits(inputs);
        expect_shapes(self.name(), fits, rule, inputs)?;
        Ok(inputs[1])
    }

    fn fuse(&self, next: &dyn Op, slot: usize) -> Option<Arc<dyn Op>> {
        Some(Arc::new(Self { epilogue: self.epilogue.absorb(next, slot)?, ..*self }))
    }

    fn in_place(&self) -> Option<usize> {
        self.epilogue.in_place(self.inputs())
    }

    fn lower(&self, io: &Io<'_>, capabilities: &Capabilities) -> Result<Lowered> {
        let x = &io.inputs[1];
        let plane = x.shape.plane() as u32;
        let problem = problem(Direction::Backward, x.shape);
        let method = VARIANTS.choose(&problem, capabilities);
        let kernel = kernel(method, Direction::Backward);
        // Pixels and outputs of a workgroup.
        let [pixels, outputs] = match method {
            SUBGROUP => [kernel.tile("PIXELS") * kernel.workgroup, kernel.tile("OUTPUTS")],
            TILE => [kernel.tile("BLOCK"); 2],
            _ => [kernel.workgroup, 1],
        };
        let pixel_groups = plane.div_ceil(pixels);
        let gate = self.epilogue.gate_operand(self.inputs(), io)?;
        // The subgroup kernel reads dY + dYᵀ in blocks, made for each piece of the output.
        let is_prepared = method == SUBGROUP;
        let prepared_elements = |count: u32| {
            u64::from(count.next_multiple_of(kernels::gram_backward_weights.tile("BLOCK")))
                * u64::from(x.shape.c)
        };
        // The means take part once.
        let mean_flags = match self.means {
            Means::None => 0,
            Means::Even => MEAN,
            Means::Guided => MEAN | GUIDED,
        };
        let guidance = if self.means == Means::Guided { Operand::input(2, 0) } else { Operand::Unused };
        let mut scratch = 0;
        let mut dispatches = Vec::new();
        for (out_piece, out) in io.output().pieces.iter().enumerate() {
            let matrix = if is_prepared {
                let count = out.end - out.start;
                let elements = prepared_elements(count);
                scratch = elements.max(scratch);
                dispatches.push(Dispatch::new(
                    &kernels::gram_backward_weights,
                    GramWeightsParams { channels: x.shape.c, first: out.start, count },
                    vec![Operand::input(0, 0), Operand::Scratch { index: 0 }],
                    elements.div_ceil(kernels::gram_backward_weights.workgroup.into()) as u32,
                    elements,
                ));
                Operand::Scratch { index: 0 }
            } else {
                Operand::input(0, 0)
            };
            for (in_piece, input) in x.pieces.iter().enumerate() {
                let params = GramBackwardParams {
                    h: x.shape.rows(),
                    w: x.shape.w,
                    channels: x.shape.c,
                    in_first: input.start,
                    in_count: input.end - input.start,
                    out_first: out.start,
                    out_count: out.end - out.start,
                    pixel_groups,
                    scale: (1.0 / f64::from(plane)) as f32,
                    flags: self.epilogue.flags(in_piece, x.pieces.len())
                        | if in_piece == 0 { mean_flags } else { 0 },
                };
                let means = if self.means == Means::None { Operand::Unused } else { Operand::input(0, 0) };
                let others = [Operand::input(1, in_piece), guidance, gate, Operand::output(out_piece)];
                let operands =
                    std::iter::once(matrix).chain(is_prepared.then_some(means)).chain(others).collect();
                let flops = 2 * u64::from(params.in_count) * u64::from(params.out_count) * u64::from(plane);
                let groups = pixel_groups * params.out_count.div_ceil(outputs);
                dispatches.push(Dispatch::new(kernel, params, operands, groups, flops));
            }
        }
        Ok(Lowered {
            scratch: is_prepared.then_some(scratch).into_iter().collect(),
            dispatches,
            choice: Some((problem, method)),
        })
    }
}
