//! Which cell of one picture's features is the nearest to each cell of another's, and the features there. With columns of
//! length 1 the largest product is the largest cosine: C. Li, M. Wand, "Combining Markov Random Fields and Convolutional
//! Neural Networks for Image Synthesis" (arXiv 1601.04589), with patches of one cell.

use std::sync::Arc;

use super::energy::groups;
use super::{
    Algorithm, Capabilities, Direction, Dispatch, Io, Layout, Lowered, Method, Op, Operand, Precision,
    Problem, Shape, Trial, Variants, elementwise, expect_shapes,
};
use crate::error::{Error, Remedy, Result};
use crate::gpu::{Edit, Kernel, params};

params! {
    /// Uniforms of the products: `row_groups` groups of the `cells` of q, and splits of `split_cells` of the `others`,
    /// which are the cells of s.
    NearestParams { channels: u32, cells: u32, others: u32, row_groups: u32, split_cells: u32 }
}
params! {
    /// Uniforms of the comparison of the splits.
    NearestReduceParams { cells: u32, splits: u32 }
}
params! {
    /// Uniforms of the rounding to f16: `count` words, each of two channels of a cell.
    ChannelsHalfParams { count: u32, cells: u32, channels: u32 }
}
params! {
    /// Uniforms of the copy: `count` elements of a piece of y from `y_first` on, of planes of a piece of x from `x_first`
    /// on.
    GatherParams { count: u32, cells: u32, others: u32, x_first: u32, y_first: u32 }
}

params! {
    /// Uniforms of the way from blocks to cells: the grids of the cells, h × w here and other_h × other_w there.
    ExpandBlocksParams { h: u32, w: u32, other_h: u32, other_w: u32, block: u32 }
}

super::kernels! {
    folder: "nearest";
    nearest_naive(NearestParams) { workgroup: 64, bindings: [read q, read s, write y] }
    nearest_tile(NearestParams) {
        workgroup: 64,
        bindings: [read q, read s, write partials],
        tile: [BLOCK = 32],
    }
    nearest_subgroup(NearestParams) {
        workgroup: 8,
        subgroup: (8, 8),
        bindings: [read q, read s, write partials],
        tile: [ROWS = 16, COLUMNS = 8, LANES = 8],
    }
    channels_half(ChannelsHalfParams) { workgroup: 64, bindings: [read x, write y] }
    nearest_reduce(NearestReduceParams) { workgroup: 64, bindings: [read partials, write y] }
    gather(GatherParams) { workgroup: 64, bindings: [read x, read index, write y] }
    expand_blocks(ExpandBlocksParams) { workgroup: 64, bindings: [read index, write y] }
    [variants]
    /// With q and s in f16.
    nearest_tile_half of nearest_tile {
        edits: &[
            Q_TYPE,
            S_TYPE,
            stored_in_half(
                "let inside = min(channels, vec4(params.channels - 1u));",
                "let inside = min(channels, vec4(params.channels - 1u)) / 2u;",
            ),
            stored_in_half(
                "vec4(q[at.x], q[at.y], q[at.z], q[at.w]);",
                "vec4(unpack2x16float(q[at.x]), unpack2x16float(q[at.z]));",
            ),
            stored_in_half(
                "vec4(s[other_at.x], s[other_at.y], s[other_at.z], s[other_at.w]);",
                "vec4(unpack2x16float(s[other_at.x]), unpack2x16float(s[other_at.z]));",
            ),
        ],
    }
    /// With q and s in f16.
    nearest_subgroup_half of nearest_subgroup {
        edits: &[
            Q_TYPE,
            S_TYPE,
            stored_in_half(
                "let both_s = vec2(s[k * params.others + j], s[next * params.others + j]);",
                "let both_s = unpack2x16float(s[k / 2u * params.others + j]);",
            ),
            stored_in_half(
                "let both_q = vec2(q[k * params.cells + cell], select(0.0, q[next * params.cells + cell], paired));",
                "let both_q = unpack2x16float(q[k / 2u * params.cells + cell]);",
            ),
        ],
    }
}

/// Two channels of a cell in a word, as [`kernels::channels_half`] leaves them.
const fn stored_in_half(from: &'static str, to: &'static str) -> Edit {
    Edit { from, to, why: "q and s are stored in f16" }
}
const Q_TYPE: Edit = stored_in_half("var<storage, read> q: array<f32>;", "var<storage, read> q: array<u32>;");
const S_TYPE: Edit = stored_in_half("var<storage, read> s: array<f32>;", "var<storage, read> s: array<u32>;");

/// Blocks of columns that a workgroup compares one after the other, unless the partial results would take more than
/// [`MAX_PARTIAL_BYTES`]: few enough that one workgroup is a small part of a step.
const SPLIT_BLOCKS: u32 = 8;
/// Workgroups that fill any device: small planes have fewer blocks a workgroup.
const ENOUGH_GROUPS: u64 = 1024;
/// Bound of the partial results, which are a product and a cell for each split.
const MAX_PARTIAL_BYTES: u64 = 32 << 20;
/// Every whole number up to this one is an f32.
const MAX_CELLS: u64 = 1 << 24;

const OP: &str = "nearest";

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

/// The look-up of the nearest cells by several methods.
pub static VARIANTS: Variants = Variants {
    op: OP,
    methods: &METHODS,
    naive: NAIVE,
    usual: |_| &METHODS,
    fits: |method, _, capabilities| capabilities.allows(kernel(method)),
    trial,
};

/// The kernel of a method that makes the products, of numbers in single precision.
fn kernel(method: Method) -> &'static Kernel {
    match method {
        SUBGROUP => &kernels::nearest_subgroup,
        TILE => &kernels::nearest_tile,
        _ => &kernels::nearest_naive,
    }
}

/// The same of numbers in half precision; none for one sum a thread, which is there to compare with.
fn half_kernel(method: Method) -> Option<&'static Kernel> {
    match method {
        SUBGROUP => Some(&kernels::nearest_subgroup_half),
        TILE => Some(&kernels::nearest_tile_half),
        _ => None,
    }
}

/// The dispatch that rounds the whole of `x` to f16.
fn channels_half(x: Shape, from: Operand, to: Operand) -> Dispatch {
    let kernel = &kernels::channels_half;
    let count = packed_words(x);
    let params = ChannelsHalfParams { count: count as u32, cells: x.plane() as u32, channels: x.c };
    Dispatch::new(kernel, params, vec![from, to], groups(count, kernel.workgroup), 2 * count)
}

/// Words of the pairs of channels of `x`.
fn packed_words(x: Shape) -> u64 {
    u64::from(x.c.div_ceil(2)) * x.plane()
}

/// What the choice of a method depends on. The other picture's cells do not count: they are about as many.
fn problem(q: Shape) -> Problem {
    let Shape { c, d, h, w } = q;
    Problem { op: OP, direction: Direction::Forward, inputs: c, outputs: 1, d, h, w, geometry: None }
}

/// What stands for a problem while its methods are timed.
fn trial(problem: &Problem) -> Trial {
    let q = Shape::volume(problem.inputs, problem.d, problem.h, problem.w);
    Trial { op: Arc::new(Nearest), inputs: vec![q, q], weights: Vec::new() }
}

/// An [`Error::Memory`] unless `features` are in one piece: the largest product is known when all channels are added up.
fn expect_whole(features: &Layout) -> Result<()> {
    if features.pieces.len() == 1 {
        return Ok(());
    }
    Err(Error::Memory {
        what: format!("features {} that are compared", features.shape),
        needed: features.shape.bytes(),
        available: features.piece_shape(0).bytes(),
        remedy: Remedy::SmallerSize(None),
    })
}

/// For every cell i of q the number j = y·w + x of the cell (y, x) of s with the largest product Σ q_i·s_j over the
/// channels, as an f32; of equals the lowest. Inputs q (K, H, W) and s (K, h, w), each in one piece and of at most 2²⁴
/// cells; output (1, H, W). No gradient flows through it. With [`Precision::F16`] q and s are rounded to f16 first: of cells
/// that are alike to three digits another one may be found.
#[derive(Clone, Copy, Debug)]
pub struct Nearest;

impl Op for Nearest {
    fn name(&self) -> &'static str {
        OP
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 2
            && inputs[0].c == inputs[1].c
            && inputs.iter().all(|shape| shape.d == 1 && (1..=MAX_CELLS).contains(&shape.plane()));
        let rule = "two tensors K×H×W of planes of at most 16777216 cells";
        expect_shapes(self.name(), fits, rule, inputs)?;
        Ok(Shape { c: 1, ..inputs[0] })
    }

    fn lower(&self, io: &Io<'_>, capabilities: &Capabilities) -> Result<Lowered> {
        let [q, s] = [0, 1].map(|input| &io.inputs[input]);
        expect_whole(q)?;
        expect_whole(s)?;
        let [cells, others] = [q, s].map(|features| features.shape.plane() as u32);
        let problem = problem(q.shape);
        let method = VARIANTS.choose(&problem, capabilities);
        let kernel = kernel(method);
        // The products that one workgroup makes at a time: rows and columns.
        let [rows, columns] = match method {
            SUBGROUP => [kernel.tile("ROWS"), kernel.tile("COLUMNS") * kernel.tile("LANES")],
            TILE => [kernel.tile("BLOCK"); 2],
            _ => [kernel.workgroup, others],
        };
        let row_groups = cells.div_ceil(rows);
        let blocks = others.div_ceil(columns);
        let split_bytes = 8 * u64::from(cells);
        let most = (MAX_PARTIAL_BYTES.min(capabilities.max_binding_bytes) / split_bytes).max(1);
        let filling = u64::from(row_groups) * u64::from(blocks) / ENOUGH_GROUPS;
        let split_blocks = filling.clamp(1, SPLIT_BLOCKS.into()).max(u64::from(blocks).div_ceil(most));
        let split_cells = columns * split_blocks as u32;
        let splits = others.div_ceil(split_cells);
        let params = NearestParams { channels: q.shape.c, cells, others, row_groups, split_cells };
        let flops = 2 * u64::from(q.shape.c) * u64::from(cells) * u64::from(others);
        let multiply = |kernel, [q, s]: [Operand; 2], to| {
            Dispatch::new(kernel, params, vec![q, s, to], row_groups * splits, flops)
        };
        let whole = [0, 1].map(|input| Operand::input(input, 0));
        let choice = Some((problem, method));
        if method == NAIVE {
            let dispatches = vec![multiply(kernel, whole, Operand::output(0))];
            return Ok(Lowered { dispatches, choice, ..Lowered::default() });
        }
        let partials = Operand::Scratch { index: 0 };
        let elements = u64::from(cells) * u64::from(splits);
        let reduce = Dispatch::new(
            &kernels::nearest_reduce,
            NearestReduceParams { cells, splits },
            vec![partials, Operand::output(0)],
            groups(cells.into(), kernels::nearest_reduce.workgroup),
            elements,
        );
        let half = half_kernel(method).filter(|_| capabilities.precision == Precision::F16);
        let Some(half) = half else {
            let dispatches = vec![multiply(kernel, whole, partials), reduce];
            return Ok(Lowered { scratch: vec![2 * elements], dispatches, choice });
        };
        let packed = [1, 2].map(|index| Operand::Scratch { index });
        let shapes = [q, s].map(|features| features.shape);
        let pack = |which: usize| channels_half(shapes[which], whole[which], packed[which]);
        Ok(Lowered {
            scratch: vec![2 * elements, packed_words(shapes[0]), packed_words(shapes[1])],
            dispatches: vec![pack(0), pack(1), multiply(half, packed, partials), reduce],
            choice,
        })
    }
}

/// y(k, i) = x(k, index(i)): the features of the cells that [`Nearest`] found. Inputs x (C, h, w) and the numbers of cells
/// (1, H, W), output (C, H, W). A number past the last cell is taken as the last one.
#[derive(Clone, Copy, Debug)]
pub struct Gather;

impl Op for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 2
            && inputs[0].d == 1
            && inputs[0].plane() > 0
            && (inputs[1].c, inputs[1].d) == (1, 1);
        expect_shapes(self.name(), fits, "a tensor C×h×w of planes and a plane 1×H×W", inputs)?;
        Ok(Shape { c: inputs[0].c, ..inputs[1] })
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let x = &io.inputs[0];
        let [others, cells] = [x.shape, io.output().shape].map(|shape| shape.plane() as u32);
        let dispatch = |common: super::Common| {
            let count = common.channels * cells;
            let x_first = common.first * others;
            let params = GatherParams { count, cells, others, x_first, y_first: common.other_first * cells };
            let operands =
                vec![Operand::input(0, common.piece), Operand::input(1, 0), Operand::output(common.other)];
            let groups = groups(count.into(), kernels::gather.workgroup);
            Dispatch::new(&kernels::gather, params, operands, groups, count.into())
        };
        let dispatches = x.common(io.output(), 0).map(dispatch).collect();
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}

/// From blocks to cells: where a block of block × block cells was found to be like a block of another grid, each of its cells
/// is like the cell at the same place there, or the last one where that block is cut off. Input the numbers of the blocks
/// (1, ⌈height/block⌉, ⌈width/block⌉), output those of the cells (1, height, width).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpandBlocks {
    /// Cells of a block in each direction.
    pub block: u32,
    /// Rows of cells.
    pub height: u32,
    /// Columns.
    pub width: u32,
    /// Rows and columns of the other grid's cells.
    pub other: (u32, u32),
}

impl Op for ExpandBlocks {
    fn name(&self) -> &'static str {
        "expand_blocks"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let Self { block, height, width, other } = *self;
        let sides = [block, height, width, other.0, other.1];
        let fits = sides.iter().all(|side| *side > 0)
            && u64::from(other.0) * u64::from(other.1) <= MAX_CELLS
            && inputs == [Shape::new(1, height.div_ceil(block), width.div_ceil(block))];
        let rule = format!("the blocks of {height}×{width} cells, each {block}×{block}");
        expect_shapes(self.name(), fits, &rule, inputs)?;
        Ok(Shape::new(1, height, width))
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let Self { block, height: h, width: w, other: (other_h, other_w) } = *self;
        let params = |_| ExpandBlocksParams { h, w, other_h, other_w, block };
        let operands = |_| vec![Operand::input(0, 0), Operand::output(0)];
        let dispatches = elementwise(&kernels::expand_blocks, io.output(), 8, params, operands);
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}
