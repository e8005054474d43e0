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

crate::ops::kernels! {
    folder: "conv";
    /// The kernel for every adapter, with 4×4 results a thread.
    winograd_gemm_tile(WinogradGemmParams) {
        workgroup: 64,
        bindings: [read u, read v, write m],
        tile: [COMPONENTS = COMPONENTS, OUTPUTS = 32, TILES = 32],
    }
    /// The kernel for adapters with many registers, with 8×8 results a thread.
    winograd_gemm_tile8(WinogradGemmParams) {
        workgroup: 64,
        bindings: [read u, read v, write m],
        tile: [COMPONENTS = COMPONENTS, OUTPUTS = 64, TILES = 64],
    }
    /// The forward kernel for the software adapter, whose subgroups have 8 lanes.
    winograd_gemm_forward_subgroup(WinogradGemmParams) {
        workgroup: 8,
        subgroup: (8, 8),
        bindings: [read u, read v, write m],
        tile: [COMPONENTS = COMPONENTS, OUTPUTS = 64, TILES = 32],
    }
    /// The same for the gradient.
    winograd_gemm_backward_subgroup(WinogradGemmParams) {
        workgroup: 8,
        subgroup: (8, 8),
        bindings: [read u, read v, write m],
        tile: [COMPONENTS = COMPONENTS, OUTPUTS = 64, TILES = 32],
    }
    [variants]
    /// With u and v in f16.
    winograd_gemm_tile_half of winograd_gemm_tile {
        edits: &[
            WEIGHTS_TYPE,
            WEIGHTS_LOAD,
            VALUES_TYPE,
            VALUES_LOAD,
            unscaled("stride4] = sum;", "stride4] = 64.0 * sum;"),
        ],
    }
    /// With u in f16, for the gradient.
    winograd_gemm_tile_half_weights of winograd_gemm_tile { edits: &[WEIGHTS_TYPE, WEIGHTS_LOAD] }
    /// With u and v in f16.
    winograd_gemm_tile8_half of winograd_gemm_tile8 {
        edits: &[
            WEIGHTS_TYPE,
            WEIGHTS_LOAD,
            VALUES_TYPE,
            VALUES_LOAD,
            unscaled("] = left;", "] = 64.0 * left;"),
            unscaled("] = right;", "] = 64.0 * right;"),
        ],
    }
    /// With u in f16, for the gradient.
    winograd_gemm_tile8_half_weights of winograd_gemm_tile8 { edits: &[WEIGHTS_TYPE, WEIGHTS_LOAD] }
    /// With u and v in f16.
    winograd_gemm_forward_subgroup_half of winograd_gemm_forward_subgroup {
        edits: &[WEIGHTS_TYPE, WEIGHTS_LOAD, VALUES_TYPE, VALUES_LOAD, unscaled("= sum[o];", "= 64.0 * sum[o];")],
    }
    /// With u in f16.
    winograd_gemm_backward_subgroup_half_weights of winograd_gemm_backward_subgroup {
        edits: &[PAIRS_TYPE, PAIRS_LOAD],
    }
}

// With halves, an element of u or v is half as wide and holds as many numbers, so the indices are the same. A variant
// of the text leaves that of single precision unchanged; an `override` would split its 128-bit loads in two.
const HALF: &str = "operands are stored in f16";
const WEIGHTS_TYPE: Edit = Edit {
    from: "var<storage, read> u: array<vec4<f32>>;",
    to: "var<storage, read> u: array<vec2<u32>>;",
    why: HALF,
};
const WEIGHTS_LOAD: Edit = Edit {
    from: "return u[at];",
    to: "return vec4(unpack2x16float(u[at].x), unpack2x16float(u[at].y));",
    why: HALF,
};
const VALUES_TYPE: Edit = Edit {
    from: "var<storage, read> v: array<vec4<f32>>;",
    to: "var<storage, read> v: array<vec2<u32>>;",
    why: HALF,
};
const VALUES_LOAD: Edit = Edit {
    from: "return v[at];",
    to: "return vec4(unpack2x16float(v[at].x), unpack2x16float(v[at].y));",
    why: HALF,
};
const PAIRS_TYPE: Edit = Edit {
    from: "var<storage, read> u: array<vec2<f32>>;",
    to: "var<storage, read> u: array<u32>;",
    why: HALF,
};
const PAIRS_LOAD: Edit = Edit { from: "return u[at];", to: "return unpack2x16float(u[at]);", why: HALF };

/// A result that is stored 64 times as large.
const fn unscaled(from: &'static str, to: &'static str) -> Edit {
    Edit { from, to, why: "winograd_input_half has scaled v by 1/64" }
}

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
