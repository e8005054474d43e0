//! What measures a device instead of painting: multiply-adds in registers, and a copy. `impasto bench` draws the
//! roofs from them.

use super::{Capabilities, Dispatch, Io, Lowered, Op, Operand, Shape, elementwise, expect_shapes};
use crate::error::Result;
use crate::gpu::{Kernel, params};

params! {
    /// Uniforms of the peak kernels.
    PeakParams { count: u32, rounds: u32 }
}
params! {
    /// Uniforms of the copy.
    CopyParams { vectors: u32 }
}

/// A version of the peak kernel with so many chains, each of which takes so many multiply-adds a round. Rounds are
/// unrolled: long enough that counting them costs next to nothing, short enough that compilers do unroll them.
macro_rules! peak {
    ($name:literal, $chains:expr, $steps:expr) => {
        super::kernel!(
            $name,
            PeakParams,
            64,
            None,
            [read x, read factors, write y],
            { CHAINS: $chains, STEPS: $steps }
        )
    };
}

pub(crate) static PEAK_FORWARD_SCALAR_4: Kernel = peak!("peak_forward_scalar_4", 4, 32);
pub(crate) static PEAK_FORWARD_SCALAR_8: Kernel = peak!("peak_forward_scalar_8", 8, 32);
pub(crate) static PEAK_FORWARD_SCALAR_16: Kernel = peak!("peak_forward_scalar_16", 16, 16);
pub(crate) static PEAK_FORWARD_VECTOR_4: Kernel = peak!("peak_forward_vector_4", 4, 16);
pub(crate) static PEAK_FORWARD_VECTOR_8: Kernel = peak!("peak_forward_vector_8", 8, 8);
pub(crate) static PEAK_FORWARD_VECTOR_16: Kernel = peak!("peak_forward_vector_16", 16, 4);
pub(crate) static COPY_FORWARD: Kernel =
    super::kernel!("copy_forward", CopyParams, 64, None, [read x, write y]);

/// y = Σₖ zₖ, where zₖ begins at x + k and becomes a·zₖ + b again and again. Inputs x (C, H, W) and the factors
/// (1, 1, 2), a and b; output (C, H, W).
#[derive(Clone, Copy, Debug)]
pub struct Peak {
    /// Chains that are computed side by side: 4, 8 or 16.
    pub chains: u32,
    /// Whether each chain is a vector of 4 numbers.
    pub vector: bool,
    /// How often each chain takes the multiply-adds of a round: 4 to 32, by version.
    pub rounds: u32,
}

impl Peak {
    /// Every version: chains, and whether of vectors.
    pub const VERSIONS: [(u32, bool); 6] =
        [(4, false), (8, false), (16, false), (4, true), (8, true), (16, true)];

    /// How many numbers an element of the output sums.
    pub fn numbers(&self) -> u32 {
        if self.vector { 4 * self.chains } else { self.chains }
    }

    /// Multiply-adds that each number goes through.
    pub fn steps(&self) -> u32 {
        self.kernel().tile("STEPS") * self.rounds
    }

    fn kernel(&self) -> &'static Kernel {
        match (self.vector, self.chains) {
            (false, ..=4) => &PEAK_FORWARD_SCALAR_4,
            (false, 5..=8) => &PEAK_FORWARD_SCALAR_8,
            (false, _) => &PEAK_FORWARD_SCALAR_16,
            (true, ..=4) => &PEAK_FORWARD_VECTOR_4,
            (true, 5..=8) => &PEAK_FORWARD_VECTOR_8,
            (true, _) => &PEAK_FORWARD_VECTOR_16,
        }
    }
}

impl Op for Peak {
    fn name(&self) -> &'static str {
        "peak"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let known = Self::VERSIONS.contains(&(self.chains, self.vector));
        let fits = known && inputs.len() == 2 && inputs[1] == Shape::row(2);
        expect_shapes(self.name(), fits, "4, 8 or 16 chains, x C×H×W and factors 1×1×2", inputs)?;
        Ok(inputs[0])
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let params = |piece| PeakParams { count: io.output().piece_elements(piece), rounds: self.rounds };
        let operands = |piece| vec![Operand::input(0, piece), Operand::input(1, 0), Operand::output(piece)];
        let flops = 2 * u64::from(self.numbers()) * u64::from(self.steps());
        let dispatches = elementwise(self.kernel(), io.output(), flops, params, operands);
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}

/// y = x. Input and output (C, H, W), where H·W is a multiple of 4.
#[derive(Clone, Copy, Debug)]
pub struct Copy;

impl Op for Copy {
    fn name(&self) -> &'static str {
        "copy"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 1 && inputs[0].plane().is_multiple_of(4);
        expect_shapes(self.name(), fits, "a tensor whose planes are multiples of 4", inputs)?;
        Ok(inputs[0])
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let dispatch = |piece| {
            let vectors = io.output().piece_elements(piece) / 4;
            let operands = vec![Operand::input(0, piece), Operand::output(piece)];
            let groups = vectors.div_ceil(COPY_FORWARD.workgroup);
            Dispatch::new(&COPY_FORWARD, CopyParams { vectors }, operands, groups, 0)
        };
        Ok(Lowered {
            dispatches: (0..io.output().pieces.len()).map(dispatch).collect(),
            ..Lowered::default()
        })
    }
}
