//! The matrix products in the middle of a Winograd convolution: 36 of them, one for each component of a
//! transformed tile.

use crate::gpu::{Kernel, params};
use crate::ops::{Dispatch, Operand};

params! {
    /// Uniforms of the Winograd GEMM kernels: sizes as in [`WinogradGemm`].
    WinogradGemmParams {
        depth: u32,
        outputs: u32,
        tiles4: u32,
        stride4: u32,
        weight_rows: u32,
        weight_blocks: u32,
        tile_groups: u32,
        flags: u32,
    }
}

/// Components of a transformed 6×6 tile.
pub const COMPONENTS: u32 = 36;

/// Flag bit: the weights are read flipped and transposed, for the gradient.
pub const TRANSPOSED: u32 = 1;

/// The kernel for every adapter, with 4×4 results a thread.
pub(crate) static CONV_FORWARD_WINOGRAD_GEMM_TILE: Kernel = crate::ops::kernel!(
    "conv_forward_winograd_gemm_tile",
    WinogradGemmParams,
    64,
    None,
    [read u, read v, write m],
    { COMPONENTS: COMPONENTS, OUTPUTS: 32, TILES: 32 }
);

/// The kernel for adapters with many registers, with 8×8 results a thread.
pub(crate) static CONV_FORWARD_WINOGRAD_GEMM_TILE8: Kernel = crate::ops::kernel!(
    "conv_forward_winograd_gemm_tile8",
    WinogradGemmParams,
    64,
    None,
    [read u, read v, write m],
    { COMPONENTS: COMPONENTS, OUTPUTS: 64, TILES: 64 }
);

/// The forward kernel for the software adapter, whose subgroups have 8 lanes.
pub static CONV_FORWARD_WINOGRAD_GEMM_SUBGROUP: Kernel = crate::ops::kernel!(
    "conv_forward_winograd_gemm_subgroup",
    WinogradGemmParams,
    8,
    Some((8, 8)),
    [read u, read v, write m],
    { COMPONENTS: COMPONENTS, OUTPUTS: 64, TILES: 32 }
);

/// The same for the gradient.
pub static CONV_BACKWARD_WINOGRAD_GEMM_SUBGROUP: Kernel = crate::ops::kernel!(
    "conv_backward_winograd_gemm_subgroup",
    WinogradGemmParams,
    8,
    Some((8, 8)),
    [read u, read v, write m],
    { COMPONENTS: COMPONENTS, OUTPUTS: 64, TILES: 32 }
);

/// Sizes of the products m(ξ, o, t) = Σ weight(ξ, d, o)·v(ξ, d, t) over d.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WinogradGemm {
    /// Channels that are summed over.
    pub depth: u32,
    /// Channels that are made.
    pub outputs: u32,
    /// Vec4s of tiles that a row of v and m holds.
    pub tiles4: u32,
    /// Vec4s between two rows of v and m.
    pub stride4: u32,
    /// Input channels of the layer.
    pub weight_rows: u32,
    /// Blocks of 32 output channels of the layer.
    pub weight_blocks: u32,
    /// Whether this is the gradient: from the layer's output channels to its input channels.
    pub transposed: bool,
}

impl WinogradGemm {
    /// The dispatch of one of the Winograd GEMM kernels; `operands` are u, v and m.
    pub fn dispatch(&self, kernel: &'static Kernel, operands: Vec<Operand>) -> Dispatch {
        let Self { depth, outputs, tiles4, stride4, weight_rows, weight_blocks, transposed } = *self;
        let tile_groups = (4 * tiles4).div_ceil(kernel.tile("TILES"));
        let flags = if transposed { TRANSPOSED } else { 0 };
        let params = WinogradGemmParams {
            depth,
            outputs,
            tiles4,
            stride4,
            weight_rows,
            weight_blocks,
            tile_groups,
            flags,
        };
        let groups = COMPONENTS * outputs.div_ceil(kernel.tile("OUTPUTS")) * tile_groups;
        let flops = 2 * 4 * u64::from(COMPONENTS) * u64::from(depth) * u64::from(outputs) * u64::from(tiles4);
        Dispatch::new(kernel, params, operands, groups, flops)
    }
}
