//! Square matrices (1, n, n): what covariances and their roots are computed with. Nothing here has a gradient.

use std::sync::Arc;

use super::gram::moments_shape;
use super::squared_error::partial_sums;
use super::{
    Algorithm, Capabilities, Direction, Dispatch, Io, Lowered, Method, Op, Operand, Problem, Shape, Trial,
    Variants, elementwise, expect_shapes,
};
use crate::error::Result;
use crate::gpu::{Kernel, params};

params! {
    /// Uniforms of the products; `symmetric`: whether only blocks that reach the diagonal or lie above it are computed.
    ProductParams { size: u32, symmetric: u32, scale: f32, identity: f32 }
}
params! {
    /// Uniforms of [`MatrixAffine`].
    AffineParams { size: u32, scale: f32, identity: f32 }
}
params! {
    /// Uniforms of the trace.
    TraceParams { size: u32 }
}
params! {
    /// Uniforms of [`Symmetrise`]: scale = ridge/n.
    SymmetriseParams { size: u32, scale: f32 }
}
params! {
    /// Uniforms of the first pass of the norm: `threads` threads each leave one partial sum, from `first` on.
    NormParams { count: u32, threads: u32, first: u32 }
}
params! {
    /// Uniforms of its second pass.
    NormReduceParams { partials: u32 }
}
params! {
    /// Uniforms of [`ScaleByPower`]: whether of the root, and whether a quotient.
    ScaleParams { count: u32, root: u32, inverse: u32 }
}
params! {
    /// Uniforms of [`Covariance`].
    CovarianceParams { channels: u32 }
}

super::kernels! {
    folder: "matrix";
    matrix_product_naive(ProductParams) { workgroup: 64, bindings: [read a, read b, write y] }
    matrix_product_tile(ProductParams) {
        workgroup: 64,
        bindings: [read a, read b, write y],
        tile: [BLOCK = 32],
    }
    matrix_product_subgroup(ProductParams) {
        workgroup: 8,
        subgroup: (8, 8),
        bindings: [read a, read b, write y],
        tile: [ROWS = 16, COLUMNS = 8, LANES = 8],
    }
    matrix_affine(AffineParams) { workgroup: 64, bindings: [read a, write y] }
    matrix_symmetrise_trace(TraceParams) { workgroup: 64, bindings: [read a, write y] }
    matrix_symmetrise(SymmetriseParams) { workgroup: 64, bindings: [read a, read trace, write y] }
    matrix_norm(NormParams) { workgroup: 64, bindings: [read a, write partials] }
    matrix_norm_reduce(NormReduceParams) { workgroup: 64, bindings: [read partials, write y] }
    matrix_scale(ScaleParams) { workgroup: 64, bindings: [read a, read s, write y] }
    matrix_covariance(CovarianceParams) { workgroup: 64, bindings: [read moments, write y] }
}

const OP: &str = "matrix_product";

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

/// Products of matrices by several methods.
pub static VARIANTS: Variants = Variants {
    op: OP,
    methods: &METHODS,
    naive: NAIVE,
    usual: |_| &METHODS,
    fits: |method, _, capabilities| capabilities.allows(kernel(method)),
    trial: |problem| Trial {
        op: Arc::new(MatrixProduct { scale: 1.0, identity: 0.0, symmetric: false }),
        // As wide as it is, whatever a trial leaves of the rows: half a product would be another problem.
        inputs: vec![Shape::new(1, problem.w, problem.w); 2],
        weights: Vec::new(),
    },
};

/// The kernel of a method.
fn kernel(method: Method) -> &'static Kernel {
    match method {
        SUBGROUP => &kernels::matrix_product_subgroup,
        TILE => &kernels::matrix_product_tile,
        _ => &kernels::matrix_product_naive,
    }
}

/// Whether these are `count` square matrices of one size.
fn are_square(inputs: &[Shape], count: usize) -> bool {
    inputs.len() == count && inputs.iter().all(|a| *a == Shape::new(1, a.w, a.w) && *a == inputs[0])
}

/// Dispatches alone.
fn lowered(dispatches: Vec<Dispatch>) -> Lowered {
    Lowered { dispatches, ..Lowered::default() }
}

/// scale·A·B + identity·I. Inputs a and b (1, n, n), which may be one tensor, output (1, n, n).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MatrixProduct {
    /// Factor of the product.
    pub scale: f32,
    /// What is added on the diagonal.
    pub identity: f32,
    /// Whether the product is symmetric, as that of matrices that commute is. Then little more than half of it is computed:
    /// what is below the diagonal is what is above it, so that it is symmetric to the bit.
    pub symmetric: bool,
}

/// How many blocks of y a method computes, of `rows` × `columns` elements each.
fn product_blocks(size: u32, rows: u32, columns: u32, symmetric: bool) -> u32 {
    let lines = 0..size.div_ceil(rows);
    let across = size.div_ceil(columns);
    // A line of blocks begins with the one that the diagonal passes through.
    lines.map(|line| if symmetric { across - line * rows / columns } else { across }).sum()
}

impl Op for MatrixProduct {
    fn name(&self) -> &'static str {
        OP
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        expect_shapes(self.name(), are_square(inputs, 2), "two square matrices 1×n×n of one size", inputs)?;
        Ok(inputs[0])
    }

    fn lower(&self, io: &Io<'_>, capabilities: &Capabilities) -> Result<Lowered> {
        let Shape { w: size, .. } = io.output().shape;
        let problem = Problem {
            op: OP,
            direction: Direction::Forward,
            inputs: 1,
            outputs: 1,
            d: 1,
            h: size,
            w: size,
            geometry: None,
        };
        let method = VARIANTS.choose(&problem, capabilities);
        let kernel = kernel(method);
        let blocks = |rows, columns| product_blocks(size, rows, columns, self.symmetric);
        let groups = match method {
            SUBGROUP => blocks(kernel.tile("ROWS"), kernel.tile("COLUMNS") * kernel.tile("LANES")),
            TILE => blocks(kernel.tile("BLOCK"), kernel.tile("BLOCK")),
            _ => (size * size).div_ceil(kernel.workgroup),
        };
        let (scale, identity, symmetric) = (self.scale, self.identity, u32::from(self.symmetric));
        let params = ProductParams { size, symmetric, scale, identity };
        let operands = vec![Operand::input(0, 0), Operand::input(1, 0), Operand::output(0)];
        let size = u64::from(size);
        let elements = if self.symmetric { size * (size + 1) / 2 } else { size * size };
        let dispatch = Dispatch::new(kernel, params, operands, groups, 2 * elements * size);
        Ok(Lowered { choice: Some((problem, method)), ..lowered(vec![dispatch]) })
    }
}

/// scale·A + identity·I. Input a (1, n, n), output (1, n, n).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MatrixAffine {
    /// Factor of the matrix.
    pub scale: f32,
    /// What is added on the diagonal.
    pub identity: f32,
}

impl Op for MatrixAffine {
    fn name(&self) -> &'static str {
        "matrix_affine"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        expect_shapes(self.name(), are_square(inputs, 1), ONE_MATRIX, inputs)?;
        Ok(inputs[0])
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let y = io.output();
        let params = |_| AffineParams { size: y.shape.w, scale: self.scale, identity: self.identity };
        let operands = |_| vec![Operand::input(0, 0), Operand::output(0)];
        Ok(lowered(elementwise(&kernels::matrix_affine, y, 2, params, operands)))
    }
}

const ONE_MATRIX: &str = "a square matrix 1×n×n";

/// (A + Aᵀ)/2 + ridge·tr(A)/n·I, which is symmetric to the bit. Input a (1, n, n), output (1, n, n).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Symmetrise {
    /// What is added on the diagonal, as a share of the mean of the diagonal.
    pub ridge: f32,
}

impl Op for Symmetrise {
    fn name(&self) -> &'static str {
        "matrix_symmetrise"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        expect_shapes(self.name(), are_square(inputs, 1), ONE_MATRIX, inputs)?;
        Ok(inputs[0])
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let y = io.output();
        let size = y.shape.w;
        let trace = Operand::Scratch { index: 0 };
        let mut dispatches = vec![Dispatch::new(
            &kernels::matrix_symmetrise_trace,
            TraceParams { size },
            vec![Operand::input(0, 0), trace],
            1,
            size.into(),
        )];
        let scale = (f64::from(self.ridge) / f64::from(size)) as f32;
        let params = |_| SymmetriseParams { size, scale };
        let operands = |_| vec![Operand::input(0, 0), trace, Operand::output(0)];
        dispatches.extend(elementwise(&kernels::matrix_symmetrise, y, 2, params, operands));
        Ok(Lowered { scratch: vec![1], ..lowered(dispatches) })
    }
}

/// The Frobenius norm √Σ a². Input a (1, n, n), output a scalar.
#[derive(Clone, Copy, Debug)]
pub struct FrobeniusNorm;

impl Op for FrobeniusNorm {
    fn name(&self) -> &'static str {
        "matrix_norm"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        expect_shapes(self.name(), are_square(inputs, 1), ONE_MATRIX, inputs)?;
        Ok(Shape::SCALAR)
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let params = |count, threads, first| NormParams { count, threads, first };
        let inputs = |piece| vec![Operand::input(0, piece)];
        let (mut dispatches, partials) =
            partial_sums(&kernels::matrix_norm, &io.inputs[0], 2, params, inputs);
        dispatches.push(Dispatch::new(
            &kernels::matrix_norm_reduce,
            NormReduceParams { partials },
            vec![Operand::Scratch { index: 0 }, Operand::output(0)],
            1,
            partials.into(),
        ));
        Ok(Lowered { scratch: vec![partials.into()], ..lowered(dispatches) })
    }
}

/// Which power of a scalar a matrix is multiplied by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// Its root, s^½.
    Root,
    /// Its reciprocal, s⁻¹.
    Reciprocal,
    /// The reciprocal of its root, s^−½.
    ReciprocalRoot,
}

/// A·s^power, where a reciprocal of 0 counts as 0: a matrix of zeros divided by its norm stays one. Inputs a (1, n, n) and a
/// scalar s, not below 0; output (1, n, n).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScaleByPower {
    /// The power.
    pub power: Power,
}

impl Op for ScaleByPower {
    fn name(&self) -> &'static str {
        "matrix_scale"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 2 && are_square(&inputs[..1], 1) && inputs[1] == Shape::SCALAR;
        expect_shapes(self.name(), fits, "a square matrix 1×n×n and a scalar", inputs)?;
        Ok(inputs[0])
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let y = io.output();
        let params = |piece| ScaleParams {
            count: y.piece_elements(piece),
            root: u32::from(self.power != Power::Reciprocal),
            inverse: u32::from(self.power != Power::Root),
        };
        let operands = |_| vec![Operand::input(0, 0), Operand::input(1, 0), Operand::output(0)];
        Ok(lowered(elementwise(&kernels::matrix_scale, y, 2, params, operands)))
    }
}

/// The covariance of channels, E − μ·μᵀ. Input the moments (1, C + 1, C) that [`Moments`](super::gram::Moments) makes, output
/// (1, C, C).
#[derive(Clone, Copy, Debug)]
pub struct Covariance;

impl Op for Covariance {
    fn name(&self) -> &'static str {
        "matrix_covariance"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 1 && inputs[0] == moments_shape(inputs[0].w);
        expect_shapes(self.name(), fits, "moments 1×(C+1)×C", inputs)?;
        Ok(Shape::new(1, inputs[0].w, inputs[0].w))
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let y = io.output();
        let params = |_| CovarianceParams { channels: y.shape.w };
        let operands = |_| vec![Operand::input(0, 0), Operand::output(0)];
        Ok(lowered(elementwise(&kernels::matrix_covariance, y, 2, params, operands)))
    }
}
