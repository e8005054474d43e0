//! How much a layer holds at each cell: the squared norm of the cell's features. Costs that weigh cells by it leave what is
//! flat in a picture, a sky or a wall, free to be painted.

use super::squared_error::{partials, reduce};
use super::{Capabilities, Dispatch, Epilogue, Io, Layout, Lowered, Op, Operand, Shape, expect_shapes};
use crate::error::Result;
use crate::gpu::params;

params! {
    /// Uniforms of the sums over channels: the piece begins at channel `first`, and each of `splits` planes adds up
    /// `split_channels` of it; `centred` is 1 where there is a centre.
    EnergyParams {
        cells: u32,
        channels: u32,
        first: u32,
        splits: u32,
        split_channels: u32,
        centred: u32,
        flags: u32,
    }
}
params! {
    /// Uniforms of the sum of a plane on a grid; `halved` is 1 where the plane has half the grid's rows and columns.
    ShareSumsParams { cells: u32, w: u32, halved: u32, threads: u32 }
}
params! {
    /// Uniforms of the division by that sum; where it is 0 the result is 1 in the number of cells, or 0 where `even` is.
    ShareParams { cells: u32, w: u32, halved: u32, even: u32 }
}

super::kernels! {
    folder: "energy";
    energy(EnergyParams) { workgroup: 64, bindings: [read x, read centre, write y] }
    share_sums(ShareSumsParams) { workgroup: 64, bindings: [read energy, write partials] }
    share(ShareParams) { workgroup: 64, bindings: [read energy, read total, write y] }
}

/// Channels that one thread adds up, unless that makes more threads than fill a device.
const SPLIT_CHANNELS: u32 = 32;
/// Threads that fill any device.
const ENOUGH_THREADS: u64 = 1 << 16;

/// Into how many sums the channels of a cell are split, the same for all pieces of `x`.
pub(super) fn splits(x: &Layout) -> u32 {
    let channels = x.pieces.iter().map(|piece| piece.end - piece.start).max().unwrap_or(1);
    let most = (ENOUGH_THREADS / x.shape.plane().max(1)).max(1);
    u64::from(channels.div_ceil(SPLIT_CHANNELS)).min(most) as u32
}

/// Workgroups of a kernel with one thread an element.
pub(super) fn groups(threads: u64, workgroup: u32) -> u32 {
    threads.div_ceil(u64::from(workgroup)) as u32
}

/// The squares of a tensor's elements, added up at every cell.
pub(super) struct Squares {
    /// The number of the tensor's input.
    pub(super) input: usize,
    /// The number of the input with a number for each channel that is subtracted first.
    pub(super) centre: Option<usize>,
    /// Planes of sums.
    pub(super) splits: u32,
    /// Whether they are added to what is there.
    pub(super) accumulate: bool,
}

impl Squares {
    /// The dispatches: one a piece of `x`.
    pub(super) fn lower(self, x: &Layout, to: Operand) -> Vec<Dispatch> {
        let Self { input, centre, splits, accumulate } = self;
        let cells = x.shape.plane();
        let dispatch = |(piece, range): (usize, &std::ops::Range<u32>)| {
            let channels = range.end - range.start;
            let params = EnergyParams {
                cells: cells as u32,
                channels,
                first: range.start,
                splits,
                split_channels: channels.div_ceil(splits),
                centred: centre.is_some().into(),
                flags: Epilogue { accumulate, gate: false }.flags(piece, x.pieces.len()),
            };
            let centre = centre.map_or(Operand::Unused, |centre| Operand::input(centre, 0));
            let groups = groups(cells * u64::from(splits), kernels::energy.workgroup);
            let operands = vec![Operand::input(input, piece), centre, to];
            Dispatch::new(&kernels::energy, params, operands, groups, 2 * cells * u64::from(channels))
        };
        x.pieces.iter().enumerate().map(dispatch).collect()
    }
}

/// The dispatch that divides a plane by the number `total`. Where that is 0 all cells have the same, which is 0 unless they
/// are to be `even`, and then adds up to 1.
pub(super) fn divide(plane: Operand, total: Operand, y: Shape, halved: bool, even: bool) -> Dispatch {
    let cells = y.plane();
    let params = ShareParams { cells: cells as u32, w: y.w, halved: halved.into(), even: even.into() };
    let groups = groups(cells, kernels::share.workgroup);
    Dispatch::new(&kernels::share, params, vec![plane, total, Operand::output(0)], groups, cells)
}

/// Σ x² over the channels of each cell. Input x (C, H, W), output (1, H, W).
#[derive(Clone, Copy, Debug)]
pub struct Energy;

impl Op for Energy {
    fn name(&self) -> &'static str {
        "energy"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 1 && inputs[0].d == 1;
        expect_shapes(self.name(), fits, "one tensor C×H×W of planes", inputs)?;
        Ok(Shape { c: 1, ..inputs[0] })
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        // One split, which is the output.
        let squares = Squares { input: 0, centre: None, splits: 1, accumulate: false };
        let dispatches = squares.lower(&io.inputs[0], Operand::output(0));
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}

/// What share of all energy is in each cell of a grid: the energy e there, divided by its sum over the grid; where that sum is 0
/// the same share everywhere, or none at all. Input e (1, h, w), output (1, height, width): the same grid, or one that a pool of 2×2
/// makes (h, w) of, whose cell (y, x) takes e at (y/2, x/2), rounded down.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// Rows of the grid.
    pub height: u32,
    /// Columns.
    pub width: u32,
    /// Whether all cells have a share where there is no energy.
    pub even: bool,
}

impl Share {
    /// Whether the grid is finer than that of `energy`.
    fn is_finer(self, energy: Shape) -> bool {
        (energy.h, energy.w) != (self.height, self.width)
    }
}

impl Op for Share {
    fn name(&self) -> &'static str {
        "share"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let &Self { height, width, .. } = self;
        let is_grid = |energy: &Shape| {
            let pooled = (height.div_ceil(2), width.div_ceil(2));
            [(height, width), pooled].contains(&(energy.h, energy.w))
        };
        let fits =
            inputs.len() == 1 && (inputs[0].c, inputs[0].d) == (1, 1) && is_grid(&inputs[0]) && height > 0;
        expect_shapes(
            self.name(),
            fits,
            "a plane 1×h×w of the grid, or of half its rows and columns",
            inputs,
        )?;
        Ok(Shape::new(1, height, width))
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let y = io.output().shape;
        let cells = y.plane() as u32;
        let halved = self.is_finer(io.inputs[0].shape);
        let threads = partials(cells);
        let params = ShareSumsParams { cells, w: y.w, halved: halved.into(), threads };
        let [sums, total] = [0, 1].map(|index| Operand::Scratch { index });
        let operands = vec![Operand::input(0, 0), sums];
        let groups = groups(threads.into(), kernels::share_sums.workgroup);
        let dispatches = vec![
            Dispatch::new(&kernels::share_sums, params, operands, groups, cells.into()),
            reduce(sums, threads, 1.0, total),
            divide(Operand::input(0, 0), total, y, halved, self.even),
        ];
        Ok(Lowered { scratch: vec![threads.into(), 1], dispatches, ..Lowered::default() })
    }
}
