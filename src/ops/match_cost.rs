//! The match cost: how far the features of every cell point away from those of a target, which are the nearest ones that a
//! style has. With fixed targets it is the cosine form of the cost of N. Kolkin et al., "Neural Neighbor Style Transfer"
//! (arXiv 2203.13215), each cell with its share.

use std::sync::Arc;

use super::energy::{groups, splits};
use super::squared_error::reduce;
use super::{
    Capabilities, Dispatch, Epilogue, Io, Layout, Lowered, Op, Operand, Rule, Shape, Wire, elementwise,
    expect_shapes,
};
use crate::error::Result;
use crate::gpu::params;

params! {
    /// Uniforms of the sums over channels: the piece begins at channel `first`, and each of `splits` planes adds up
    /// `split_channels` of it.
    MatchSumsParams { cells: u32, channels: u32, first: u32, splits: u32, split_channels: u32, flags: u32 }
}
params! {
    /// Uniforms of the sum over cells: `threads` threads each leave one partial sum.
    MatchForwardParams { cells: u32, splits: u32, threads: u32 }
}
params! {
    /// Uniforms of the factors of a gradient.
    MatchFactorsParams { cells: u32, splits: u32 }
}
params! {
    /// Uniforms of the backward kernel: the piece begins at channel `out_first`.
    MatchBackwardParams { count: u32, h: u32, w: u32, out_first: u32, flags: u32 }
}

super::kernels! {
    folder: "match_cost";
    match_cost_sums(MatchSumsParams) {
        workgroup: 64,
        bindings: [read x, read centre, read target_, write sums],
    }
    match_cost_forward(MatchForwardParams) {
        workgroup: 64,
        bindings: [read sums, read share, write partials],
    }
    match_cost_backward_factors(MatchFactorsParams) {
        workgroup: 64,
        bindings: [read sums, read share, write y],
    }
    match_cost_backward(MatchBackwardParams) {
        workgroup: 64,
        bindings: [read dy, read x, read centre, read target_, read factors, read gate, write d_x],
    }
}

/// Most partial sums: one a cell where these are few, because each has many numbers to read.
const MAX_PARTIALS: u64 = 4096;

/// Squares and products of a cell, in workspace 0: two numbers for each split.
const SUMS: Operand = Operand::Scratch { index: 0 };
/// What is made of them, in workspace 1.
const MADE: Operand = Operand::Scratch { index: 1 };

const RULE: &str = "a tensor C×H×W of planes, a centre 1×1×C, a target C×H×W and a share 1×H×W";

/// Whether these are features, centre, target and share.
fn fit(inputs: &[Shape]) -> bool {
    let &[x, centre, target, share, ..] = inputs else { return false };
    x.d == 1 && centre == Shape::row(x.c) && target == x && share == (Shape { c: 1, ..x })
}

/// The dispatches that sum squares and products over channels, where the features are input number `input`, centre and
/// target those after it.
fn sums(x: &Layout, input: usize, splits: u32) -> Vec<Dispatch> {
    let cells = x.shape.plane();
    let dispatch = |(piece, range): (usize, &std::ops::Range<u32>)| {
        let channels = range.end - range.start;
        let params = MatchSumsParams {
            cells: cells as u32,
            channels,
            first: range.start,
            splits,
            split_channels: channels.div_ceil(splits),
            flags: Epilogue::default().flags(piece, x.pieces.len()),
        };
        let operands = vec![
            Operand::input(input, piece),
            Operand::input(input + 1, 0),
            Operand::input(input + 2, piece),
            SUMS,
        ];
        let groups = groups(cells * u64::from(splits), kernels::match_cost_sums.workgroup);
        let flops = 5 * cells * u64::from(channels);
        Dispatch::new(&kernels::match_cost_sums, params, operands, groups, flops)
    };
    x.pieces.iter().enumerate().map(dispatch).collect()
}

/// 1 − Σ_i p_i·<u_i, t_i> over the cells i, with u_i = (x_i − c)/(|x_i − c| + 10⁻⁶). Inputs the features x (C, H, W), the
/// centre c (1, 1, C), the target t (C, H, W), whose columns have the length 1, and the shares p (1, H, W), which add up to
/// 1; a gradient reaches x alone. Output a scalar: 0 where all cells point to their targets, 1 where they point anywhere.
#[derive(Clone, Copy, Debug)]
pub struct MatchCost;

impl Op for MatchCost {
    fn name(&self) -> &'static str {
        "match_cost"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        expect_shapes(self.name(), inputs.len() == 4 && fit(inputs), RULE, inputs)?;
        Ok(Shape::SCALAR)
    }

    fn backward(&self, input: usize, _shapes: &[Shape]) -> Option<Rule> {
        let op = MatchBackward { epilogue: Epilogue::default() };
        let inputs = [Wire::Upstream, Wire::Input(0), Wire::Input(1), Wire::Input(2), Wire::Input(3)];
        (input == 0).then(|| Rule::new(op, inputs))
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let x = &io.inputs[0];
        let (cells, splits) = (x.shape.plane(), splits(x));
        let threads = cells.min(MAX_PARTIALS) as u32;
        let params = MatchForwardParams { cells: cells as u32, splits, threads };
        let operands = vec![SUMS, Operand::input(3, 0), MADE];
        let groups = groups(threads.into(), kernels::match_cost_forward.workgroup);
        let flops = cells * u64::from(2 * splits + 4);
        let mut dispatches = sums(x, 0, splits);
        dispatches.push(Dispatch::new(&kernels::match_cost_forward, params, operands, groups, flops));
        dispatches.push(reduce(MADE, threads, -1.0, Operand::output(0)));
        let scratch = vec![2 * cells * u64::from(splits), threads.into()];
        Ok(Lowered { scratch, dispatches, ..Lowered::default() })
    }
}

/// dx_i = −dy·p_i·(t_i/l − <a, t_i>·a/(|a|·l²)) with a = x_i − c and l = |a| + 10⁻⁶; 0 where |a| is 0. Inputs dy (scalar), and
/// those of [`MatchCost`]; output (C, H, W).
#[derive(Clone, Copy, Debug)]
pub struct MatchBackward {
    /// Merged work.
    pub epilogue: Epilogue,
}

impl Op for MatchBackward {
    fn name(&self) -> &'static str {
        "match_cost_backward"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() >= 5 && inputs[0] == Shape::SCALAR && fit(&inputs[1..]);
        expect_shapes(self.name(), fits, &format!("a scalar, {RULE}"), inputs)?;
        Ok(inputs[1])
    }

    fn fuse(&self, next: &dyn Op, slot: usize) -> Option<Arc<dyn Op>> {
        Some(Arc::new(Self { epilogue: self.epilogue.absorb(next, slot)? }))
    }

    fn in_place(&self) -> Option<usize> {
        self.epilogue.in_place(5)
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let (x, dx) = (&io.inputs[1], io.output());
        let (cells, splits) = (x.shape.plane(), splits(x));
        let mut dispatches = sums(x, 1, splits);
        dispatches.push(Dispatch::new(
            &kernels::match_cost_backward_factors,
            MatchFactorsParams { cells: cells as u32, splits },
            vec![SUMS, Operand::input(4, 0), MADE],
            groups(cells, kernels::match_cost_backward_factors.workgroup),
            cells * u64::from(2 * splits + 7),
        ));
        let gate = self.epilogue.gate_operand(5, io)?;
        let params = |piece: usize| MatchBackwardParams {
            count: dx.piece_elements(piece),
            h: dx.shape.h,
            w: dx.shape.w,
            out_first: dx.pieces[piece].start,
            flags: self.epilogue.flags(0, 1),
        };
        let operands = |piece| {
            vec![
                Operand::input(0, 0),
                Operand::input(1, piece),
                Operand::input(2, 0),
                Operand::input(3, piece),
                MADE,
                gate,
                Operand::output(piece),
            ]
        };
        dispatches.extend(elementwise(&kernels::match_cost_backward, dx, 6, params, operands));
        let scratch = vec![2 * cells * u64::from(splits), 2 * cells];
        Ok(Lowered { scratch, dispatches, ..Lowered::default() })
    }
}
