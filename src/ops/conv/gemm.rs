//! The matrix products in the middle of a Winograd convolution: 36 of them, one for each component of a
//! transformed tile.

use crate::gpu::{Edit, Kernel, params};
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

const TILE: Kernel = crate::ops::kernel!(
    "conv_forward_winograd_gemm_tile",
    WinogradGemmParams,
    64,
    None,
    [read u, read v, write m],
    { COMPONENTS: COMPONENTS, OUTPUTS: 32, TILES: 32 }
);

const TILE8: Kernel = crate::ops::kernel!(
    "conv_forward_winograd_gemm_tile8",
    WinogradGemmParams,
    64,
    None,
    [read u, read v, write m],
    { COMPONENTS: COMPONENTS, OUTPUTS: 64, TILES: 64 }
);

const FORWARD_SUBGROUP: Kernel = crate::ops::kernel!(
    "conv_forward_winograd_gemm_subgroup",
    WinogradGemmParams,
    8,
    Some((8, 8)),
    [read u, read v, write m],
    { COMPONENTS: COMPONENTS, OUTPUTS: 64, TILES: 32 }
);

const BACKWARD_SUBGROUP: Kernel = crate::ops::kernel!(
    "conv_backward_winograd_gemm_subgroup",
    WinogradGemmParams,
    8,
    Some((8, 8)),
    [read u, read v, write m],
    { COMPONENTS: COMPONENTS, OUTPUTS: 64, TILES: 32 }
);

/// The kernel for every adapter, with 4×4 results a thread.
pub(crate) static CONV_FORWARD_WINOGRAD_GEMM_TILE: Kernel = TILE;
/// The kernel for adapters with many registers, with 8×8 results a thread.
pub(crate) static CONV_FORWARD_WINOGRAD_GEMM_TILE8: Kernel = TILE8;
/// The forward kernel for the software adapter, whose subgroups have 8 lanes.
pub static CONV_FORWARD_WINOGRAD_GEMM_SUBGROUP: Kernel = FORWARD_SUBGROUP;
/// The same for the gradient.
pub static CONV_BACKWARD_WINOGRAD_GEMM_SUBGROUP: Kernel = BACKWARD_SUBGROUP;

// With halves, an element of u or v is half as wide and holds as many numbers, so the indices are the same. A variant
// of the text leaves that of single precision as it is; an `override` would tear its 128-bit loads in two.
// 64 undoes the scale of conv_forward_winograd_input_half.
const WEIGHTS_TYPE: Edit =
    ("var<storage, read> u: array<vec4<f32>>;", "var<storage, read> u: array<vec2<u32>>;");
const WEIGHTS_LOAD: Edit =
    ("return u[at];", "return vec4(unpack2x16float(u[at].x), unpack2x16float(u[at].y));");
const VALUES_TYPE: Edit =
    ("var<storage, read> v: array<vec4<f32>>;", "var<storage, read> v: array<vec2<u32>>;");
const VALUES_LOAD: Edit =
    ("return v[at];", "return vec4(unpack2x16float(v[at].x), unpack2x16float(v[at].y));");

/// [`CONV_FORWARD_WINOGRAD_GEMM_TILE`] with u and v in f16; v is scaled, which is undone here.
pub(crate) static CONV_FORWARD_WINOGRAD_GEMM_TILE_HALF: Kernel = Kernel {
    name: "conv_forward_winograd_gemm_tile_half",
    edits: &[
        WEIGHTS_TYPE,
        WEIGHTS_LOAD,
        VALUES_TYPE,
        VALUES_LOAD,
        ("stride4] = sum;", "stride4] = 64.0 * sum;"),
    ],
    ..TILE
};

/// [`CONV_FORWARD_WINOGRAD_GEMM_TILE`] with u in f16, for the gradient.
pub(crate) static CONV_BACKWARD_WINOGRAD_GEMM_TILE_HALF: Kernel =
    Kernel { name: "conv_backward_winograd_gemm_tile_half", edits: &[WEIGHTS_TYPE, WEIGHTS_LOAD], ..TILE };

/// [`CONV_FORWARD_WINOGRAD_GEMM_TILE8`] with u and v in f16; v is scaled, which is undone here.
pub(crate) static CONV_FORWARD_WINOGRAD_GEMM_TILE8_HALF: Kernel = Kernel {
    name: "conv_forward_winograd_gemm_tile8_half",
    edits: &[
        WEIGHTS_TYPE,
        WEIGHTS_LOAD,
        VALUES_TYPE,
        VALUES_LOAD,
        ("] = left;", "] = 64.0 * left;"),
        ("] = right;", "] = 64.0 * right;"),
    ],
    ..TILE8
};

/// [`CONV_FORWARD_WINOGRAD_GEMM_TILE8`] with u in f16, for the gradient.
pub(crate) static CONV_BACKWARD_WINOGRAD_GEMM_TILE8_HALF: Kernel =
    Kernel { name: "conv_backward_winograd_gemm_tile8_half", edits: &[WEIGHTS_TYPE, WEIGHTS_LOAD], ..TILE8 };

/// [`CONV_FORWARD_WINOGRAD_GEMM_SUBGROUP`] with u and v in f16; v is scaled, which is undone here.
pub(crate) static CONV_FORWARD_WINOGRAD_GEMM_SUBGROUP_HALF: Kernel = Kernel {
    name: "conv_forward_winograd_gemm_subgroup_half",
    edits: &[WEIGHTS_TYPE, WEIGHTS_LOAD, VALUES_TYPE, VALUES_LOAD, ("= sum[o];", "= 64.0 * sum[o];")],
    ..FORWARD_SUBGROUP
};

/// [`CONV_BACKWARD_WINOGRAD_GEMM_SUBGROUP`] with u in f16.
pub(crate) static CONV_BACKWARD_WINOGRAD_GEMM_SUBGROUP_HALF: Kernel = Kernel {
    name: "conv_backward_winograd_gemm_subgroup_half",
    edits: &[
        ("var<storage, read> u: array<vec2<f32>>;", "var<storage, read> u: array<u32>;"),
        ("return u[at];", "return unpack2x16float(u[at]);"),
    ],
    ..BACKWARD_SUBGROUP
};

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
