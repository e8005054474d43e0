//! A squared error in which every cell has its weight: the content cost where what is flat in a photograph counts little.

use std::sync::Arc;

use super::energy::{Squares, divide, groups};
use super::squared_error::{partials, reduce, sum};
use super::{
    Capabilities, Dispatch, Epilogue, Io, Lowered, Op, Operand, Rule, Shape, Wire, elementwise, expect_shapes,
};
use crate::error::Result;
use crate::gpu::params;

params! {
    /// Uniforms of the first pass: `threads` threads each leave one partial sum, from `first` on.
    WeightedErrorParams { count: u32, cells: u32, threads: u32, first: u32 }
}
params! {
    /// Uniforms of the backward kernel: the piece begins at channel `out_first`.
    WeightedErrorBackwardParams { count: u32, h: u32, w: u32, out_first: u32, flags: u32 }
}
params! {
    /// Uniforms of the sum that weights are divided by: `threads` threads each leave one partial sum.
    CellWeightsParams { cells: u32, threads: u32 }
}

super::kernels! {
    folder: "weighted_error";
    weighted_error_forward(WeightedErrorParams) {
        workgroup: 64,
        bindings: [read x, read target_, read weights, write partials],
    }
    weighted_error_backward(WeightedErrorBackwardParams) {
        workgroup: 64,
        bindings: [read dy, read x, read target_, read weights, read gate, write d_x],
    }
    cell_weights(CellWeightsParams) {
        workgroup: 64,
        bindings: [read energy, read spread, write partials],
    }
}

const RULE: &str = "a tensor C×H×W of planes, a target of its shape and weights 1×H×W";

/// Whether these are a tensor, a target and weights.
fn fit(inputs: &[Shape]) -> bool {
    let &[x, target, weights, ..] = inputs else { return false };
    x.d == 1 && target == x && weights == (Shape { c: 1, ..x })
}

/// Σ_i w_i·|x_i − target_i|² over the cells i. Inputs x and target (C, H, W) and the weights w (1, H, W); a gradient reaches x
/// alone. Output a scalar.
#[derive(Clone, Copy, Debug)]
pub struct WeightedError;

impl Op for WeightedError {
    fn name(&self) -> &'static str {
        "weighted_error"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        expect_shapes(self.name(), inputs.len() == 3 && fit(inputs), RULE, inputs)?;
        Ok(Shape::SCALAR)
    }

    fn backward(&self, input: usize, _shapes: &[Shape]) -> Option<Rule> {
        let op = WeightedErrorBackward { epilogue: Epilogue::default() };
        let inputs = [Wire::Upstream, Wire::Input(0), Wire::Input(1), Wire::Input(2)];
        (input == 0).then(|| Rule::new(op, inputs))
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let x = &io.inputs[0];
        let cells = x.shape.plane() as u32;
        let params = |count, threads, first| WeightedErrorParams { count, cells, threads, first };
        let inputs = |piece| vec![Operand::input(0, piece), Operand::input(1, piece), Operand::input(2, 0)];
        Ok(sum(&kernels::weighted_error_forward, x, 1.0, 4, params, inputs))
    }
}

/// dx_i = 2·dy·w_i·(x_i − target_i). Inputs dy (scalar), and those of [`WeightedError`]; output (C, H, W).
#[derive(Clone, Copy, Debug)]
pub struct WeightedErrorBackward {
    /// Merged work.
    pub epilogue: Epilogue,
}

impl Op for WeightedErrorBackward {
    fn name(&self) -> &'static str {
        "weighted_error_backward"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() >= 4 && inputs[0] == Shape::SCALAR && fit(&inputs[1..]);
        expect_shapes(self.name(), fits, &format!("a scalar, {RULE}"), inputs)?;
        Ok(inputs[1])
    }

    fn fuse(&self, next: &dyn Op, slot: usize) -> Option<Arc<dyn Op>> {
        Some(Arc::new(Self { epilogue: self.epilogue.absorb(next, slot)? }))
    }

    fn in_place(&self) -> Option<usize> {
        self.epilogue.in_place(4)
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let dx = io.output();
        let gate = self.epilogue.gate_operand(4, io)?;
        let params = |piece: usize| WeightedErrorBackwardParams {
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
                Operand::input(2, piece),
                Operand::input(3, 0),
                gate,
                Operand::output(piece),
            ]
        };
        let dispatches = elementwise(&kernels::weighted_error_backward, dx, 4, params, operands);
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}

/// e_i/Σ_j e_j·|P_j − c|² with the energy e_i = |P_i|²: weights with which [`WeightedError`] is 0 where x is P, and 1 where it
/// is c everywhere; 0 where the divisor is. Inputs P (C, H, W) and its mean c (1, 1, C), output (1, H, W).
#[derive(Clone, Copy, Debug)]
pub struct CellWeights;

impl Op for CellWeights {
    fn name(&self) -> &'static str {
        "cell_weights"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 2 && inputs[0].d == 1 && inputs[1] == Shape::row(inputs[0].c);
        expect_shapes(self.name(), fits, "a tensor C×H×W of planes and its mean 1×1×C", inputs)?;
        Ok(Shape { c: 1, ..inputs[0] })
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let (x, y) = (&io.inputs[0], io.output().shape);
        let (cells, threads) = (y.plane() as u32, partials(y.plane() as u32));
        let [energy, spread, sums, total] = [0, 1, 2, 3].map(|index| Operand::Scratch { index });
        let squares = |centre| Squares { input: 0, centre, splits: 1, accumulate: false };
        let mut dispatches = squares(None).lower(x, energy);
        dispatches.extend(squares(Some(1)).lower(x, spread));
        dispatches.push(Dispatch::new(
            &kernels::cell_weights,
            CellWeightsParams { cells, threads },
            vec![energy, spread, sums],
            groups(threads.into(), kernels::cell_weights.workgroup),
            2 * u64::from(cells),
        ));
        dispatches.push(reduce(sums, threads, 1.0, total));
        dispatches.push(divide(energy, total, y, false, false));
        let scratch = vec![cells.into(), cells.into(), threads.into(), 1];
        Ok(Lowered { scratch, dispatches, ..Lowered::default() })
    }
}
