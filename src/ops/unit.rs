//! Features by their direction alone: what is compared where a cosine says how alike two cells of a picture are.

use super::energy::{Squares, groups, splits};
use super::{Capabilities, Dispatch, Io, Layout, Lowered, Op, Operand, Shape, expect_shapes};
use crate::error::Result;
use crate::gpu::params;

params! {
    /// Uniforms of the lengths; `centred` is 1 where there is a centre, and then 10⁻⁶ is added to them.
    UnitLengthsParams { cells: u32, splits: u32, centred: u32 }
}
params! {
    /// Uniforms of the division: `count` elements from `x_first` of a piece of x and from `y_first` of a piece of y on,
    /// which begin at channel `first`; `centred` is 1 where there is a centre.
    UnitParams { count: u32, cells: u32, first: u32, x_first: u32, y_first: u32, centred: u32 }
}

super::kernels! {
    folder: "unit";
    unit_lengths(UnitLengthsParams) { workgroup: 64, bindings: [read sums, write y] }
    unit(UnitParams) { workgroup: 64, bindings: [read x, read centre, read lengths, write y] }
}

/// Sums of squares, in workspace 0.
const SUMS: Operand = Operand::Scratch { index: 0 };
/// Lengths, in workspace 1.
const LENGTHS: Operand = Operand::Scratch { index: 1 };

/// The dispatch that makes lengths of sums, and the workspace of both.
fn lengths(x: Shape, splits: u32, centre: Option<usize>) -> (Dispatch, Vec<u64>) {
    let cells = x.plane();
    let params = UnitLengthsParams { cells: cells as u32, splits, centred: centre.is_some().into() };
    let groups = groups(cells, kernels::unit_lengths.workgroup);
    let flops = cells * u64::from(splits);
    let dispatch = Dispatch::new(&kernels::unit_lengths, params, vec![SUMS, LENGTHS], groups, flops);
    (dispatch, vec![flops, cells])
}

/// The dispatches that write input number `input`, divided by the lengths, to the output from channel `shift` on.
fn divide<'a>(
    io: &'a Io<'_>,
    input: usize,
    shift: u32,
    centre: Option<usize>,
) -> impl Iterator<Item = Dispatch> + 'a {
    let x: &Layout = &io.inputs[input];
    let cells = x.shape.plane() as u32;
    x.common(io.output(), shift).map(move |common| {
        let count = common.channels * cells;
        let params = UnitParams {
            count,
            cells,
            first: common.channel,
            x_first: common.first * cells,
            y_first: common.other_first * cells,
            centred: centre.is_some().into(),
        };
        let operands = vec![
            Operand::input(input, common.piece),
            centre.map_or(Operand::Unused, |centre| Operand::input(centre, 0)),
            LENGTHS,
            Operand::output(common.other),
        ];
        let groups = groups(count.into(), kernels::unit.workgroup);
        Dispatch::new(&kernels::unit, params, operands, groups, 2 * u64::from(count))
    })
}

/// u_i = (x_i − c)/(|x_i − c| + 10⁻⁶) for every cell i, whose features x_i are a column of all channels. Inputs x (C, H, W)
/// and the centre c (1, 1, C), output (C, H, W).
#[derive(Clone, Copy, Debug)]
pub struct Unit;

impl Op for Unit {
    fn name(&self) -> &'static str {
        "unit"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 2 && inputs[0].d == 1 && inputs[1] == Shape::row(inputs[0].c);
        expect_shapes(self.name(), fits, "a tensor C×H×W of planes and a centre 1×1×C", inputs)?;
        Ok(inputs[0])
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let x = &io.inputs[0];
        let splits = splits(x);
        let squares = Squares { input: 0, centre: Some(1), splits, accumulate: false };
        let mut dispatches = squares.lower(x, SUMS);
        let (lengths, scratch) = lengths(x.shape, splits, Some(1));
        dispatches.push(lengths);
        dispatches.extend(divide(io, 0, 0, Some(1)));
        Ok(Lowered { scratch, dispatches, ..Lowered::default() })
    }
}

/// Two tensors above each other, the column of every cell divided by its length over the channels of both; 0 where that is
/// 0. Inputs (C₁, H, W) and (C₂, H, W), output (C₁ + C₂, H, W).
#[derive(Clone, Copy, Debug)]
pub struct Stack;

impl Op for Stack {
    fn name(&self) -> &'static str {
        "stack"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let is_pair = |inputs: &[Shape]| {
            inputs.len() == 2 && inputs[0].d == 1 && inputs[0] == Shape { c: inputs[0].c, ..inputs[1] }
        };
        expect_shapes(self.name(), is_pair(inputs), "two tensors C×H×W of planes of one size", inputs)?;
        Ok(Shape { c: inputs[0].c + inputs[1].c, ..inputs[0] })
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let [a, b] = [0, 1].map(|input| &io.inputs[input]);
        let splits = splits(a).max(self::splits(b));
        let squares = |input| Squares { input, centre: None, splits, accumulate: input > 0 };
        let mut dispatches = squares(0).lower(a, SUMS);
        dispatches.extend(squares(1).lower(b, SUMS));
        let (lengths, scratch) = lengths(a.shape, splits, None);
        dispatches.push(lengths);
        dispatches.extend(divide(io, 0, 0, None));
        dispatches.extend(divide(io, 1, a.shape.c, None));
        Ok(Lowered { scratch, dispatches, ..Lowered::default() })
    }
}
