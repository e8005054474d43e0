//! What measures a device instead of painting: multiply-adds in registers, and a copy. `impasto bench` draws the
//! roofs from them.

use super::{Capabilities, Dispatch, Io, Lowered, Op, Operand, Shape, elementwise, expect_shapes};
use crate::error::Result;
use crate::gpu::{Edit, Kernel, params};

params! {
    /// Uniforms of the peak kernels.
    PeakParams { count: u32, rounds: u32 }
}
params! {
    /// Uniforms of the copy.
    CopyParams { vectors: u32 }
}

// Each of CHAINS chains takes STEPS multiply-adds a round. Rounds are unrolled: long enough that counting them costs
// next to nothing, short enough that compilers do unroll them.
super::kernels! {
    folder: "probe";
    peak_scalar(PeakParams) {
        workgroup: 64,
        bindings: [read x, read factors, write y],
        tile: [CHAINS = 4, STEPS = 32],
    }
    peak_vector(PeakParams) {
        workgroup: 64,
        bindings: [read x, read factors, write y],
        tile: [CHAINS = 4, STEPS = 16],
    }
    copy(CopyParams) { workgroup: 64, bindings: [read x, write y] }
    [variants]
    peak_scalar_8 of peak_scalar { edits: &[CHAINS_8], tile: [CHAINS = 8, STEPS = 32] }
    peak_scalar_16 of peak_scalar {
        edits: &[CHAINS_16, steps("const STEPS: u32 = 32u;", "const STEPS: u32 = 16u;")],
        tile: [CHAINS = 16, STEPS = 16],
    }
    peak_vector_8 of peak_vector {
        edits: &[CHAINS_8, steps("const STEPS: u32 = 16u;", "const STEPS: u32 = 8u;")],
        tile: [CHAINS = 8, STEPS = 8],
    }
    peak_vector_16 of peak_vector {
        edits: &[CHAINS_16, steps("const STEPS: u32 = 16u;", "const STEPS: u32 = 4u;")],
        tile: [CHAINS = 16, STEPS = 4],
    }
}

const CHAINS_8: Edit = chains("const CHAINS: u32 = 8u;");
const CHAINS_16: Edit = chains("const CHAINS: u32 = 16u;");

const fn chains(to: &'static str) -> Edit {
    let why =
        "devices differ in how many chains hide the wait for an addition, and the number sizes an array";
    Edit { from: "const CHAINS: u32 = 4u;", to, why }
}

const fn steps(from: &'static str, to: &'static str) -> Edit {
    Edit { from, to, why: "with more chains a round has fewer steps, so that compilers still unroll it" }
}

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
            (false, ..=4) => &kernels::peak_scalar,
            (false, 5..=8) => &kernels::peak_scalar_8,
            (false, _) => &kernels::peak_scalar_16,
            (true, ..=4) => &kernels::peak_vector,
            (true, 5..=8) => &kernels::peak_vector_8,
            (true, _) => &kernels::peak_vector_16,
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
            let groups = vectors.div_ceil(kernels::copy.workgroup);
            Dispatch::new(&kernels::copy, CopyParams { vectors }, operands, groups, 0)
        };
        Ok(Lowered {
            dispatches: (0..io.output().pieces.len()).map(dispatch).collect(),
            ..Lowered::default()
        })
    }
}
