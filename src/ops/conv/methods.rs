//! The methods for convolutions: what each can do, and which is usually fast.

use super::arrange::{TILED, TILED_TRANSPOSED};
use super::gemm::kernels as products;
use super::geometry::{ConvGeometry, PaddingMode};
use super::tiling::{Cover, Tiling, kernels};
use super::winograd;
use crate::gpu::Kernel;
use crate::ops::{Algorithm, Capabilities, DeviceClass, Direction, Form, Method, Precision, Problem, Shape};

/// The op's name in problems and methods.
pub(super) const OP: &str = "conv";

const fn method(name: &'static str, algorithm: Algorithm, shares_memory: bool) -> Method {
    Method { op: OP, name, algorithm, shares_memory }
}

/// Winograd, the products 8×8 a thread.
pub const WINOGRAD_TILE8: Method = method("winograd-tile8", Algorithm::Winograd, true);
/// Winograd, the products 4×4 a thread.
pub const WINOGRAD_TILE: Method = method("winograd-tile", Algorithm::Winograd, true);
/// Winograd, the products of one subgroup of 8 lanes.
pub const WINOGRAD_SUBGROUP: Method = method("winograd-subgroup", Algorithm::Winograd, false);
/// Implicit GEMM, 8×8 a thread.
pub const GEMM_TILE8: Method = method("gemm-tile8", Algorithm::Gemm, true);
/// Implicit GEMM, 4×4 a thread.
pub const GEMM_TILE: Method = method("gemm-tile", Algorithm::Gemm, true);
/// Registers only, the weights shared within a subgroup.
pub const DIRECT_SUBGROUP: Method = method("direct-subgroup", Algorithm::Direct, false);
/// Registers only, for at most 3 channels on one side.
pub const DIRECT: Method = method("direct", Algorithm::Direct, false);
/// One output a thread. The only one for every geometry; the others are for [`ConvGeometry::SAME_3X3`], also with the
/// elements from the other end beyond its edges, and in the forward direction with the edge repeated.
pub const NAIVE: Method = method("naive", Algorithm::Naive, false);

/// All of them.
pub const METHODS: [Method; 8] =
    [WINOGRAD_TILE8, WINOGRAD_TILE, WINOGRAD_SUBGROUP, GEMM_TILE8, GEMM_TILE, DIRECT_SUBGROUP, DIRECT, NAIVE];

/// Every method, in the order in which it is likely to be fast where nothing was measured.
///
/// Many registers a thread, as AMD's and NVIDIA's discrete chips have them, carry 8×8 results; the others spill
/// with them. The software adapter runs workgroup memory and barriers slowly and has no use for tiles.
pub(super) fn usual(class: DeviceClass) -> &'static [Method] {
    match class {
        DeviceClass::ManyRegisters => &[
            DIRECT,
            WINOGRAD_TILE8,
            WINOGRAD_TILE,
            WINOGRAD_SUBGROUP,
            GEMM_TILE8,
            GEMM_TILE,
            DIRECT_SUBGROUP,
            NAIVE,
        ],
        DeviceClass::Portable => &[
            DIRECT,
            WINOGRAD_TILE,
            WINOGRAD_SUBGROUP,
            WINOGRAD_TILE8,
            GEMM_TILE,
            GEMM_TILE8,
            DIRECT_SUBGROUP,
            NAIVE,
        ],
        DeviceClass::Software => &[
            WINOGRAD_SUBGROUP,
            DIRECT_SUBGROUP,
            DIRECT,
            WINOGRAD_TILE8,
            WINOGRAD_TILE,
            GEMM_TILE8,
            GEMM_TILE,
            NAIVE,
        ],
    }
}

/// What the choice of a method depends on, for a convolution from `x` to `outputs` channels.
///
/// The 3×3 kernels read from the other end, and the forward ones repeat the edge, as fast as they put zeros around, so all
/// are one problem.
pub(super) fn problem(geometry: &ConvGeometry, direction: Direction, x: Shape, outputs: u32) -> Problem {
    let Shape { c, d, h, w } = x;
    let (inputs, outputs) = match direction {
        Direction::Forward => (c, outputs),
        Direction::Backward => (outputs, c),
    };
    let (geometry, has_kernels) = match direction {
        Direction::Forward => (*geometry, true),
        Direction::Backward => {
            let geometry = geometry.of_gradient();
            (geometry, geometry.padding.mode == PaddingMode::Zero)
        }
    };
    let geometry = if has_kernels && geometry.is_same_3x3() { ConvGeometry::SAME_3X3 } else { geometry };
    Problem { op: OP, direction, inputs, outputs, d, h, w, geometry: Some(geometry) }
}

/// Whether a method can do a problem on a device.
pub(super) fn fits(method: Method, problem: &Problem, capabilities: &Capabilities) -> bool {
    if method == NAIVE {
        return true;
    }
    is_same_3x3(problem)
        && capabilities.allows(main_kernel(method, problem.direction))
        && match method.algorithm {
            Algorithm::Winograd => !is_thin(problem) && winograd::fits(problem, capabilities),
            _ => method != DIRECT || is_thin(problem),
        }
}

/// Whether it is what all kernels but the general ones are written for.
fn is_same_3x3(problem: &Problem) -> bool {
    problem.d == 1 && problem.geometry == Some(ConvGeometry::SAME_3X3)
}

/// Whether the side next to the picture has so few channels that the direct kernels do it best.
fn is_thin(problem: &Problem) -> bool {
    match problem.direction {
        Direction::Forward => problem.inputs <= kernels::conv_forward_direct.tile("CHANNELS"),
        Direction::Backward => problem.outputs <= kernels::conv_backward_direct.tile("CHANNELS"),
    }
}

/// The main kernel of a method for 3×3 convolutions in a direction.
pub fn main_kernel(method: Method, direction: Direction) -> &'static Kernel {
    match (method, direction) {
        (WINOGRAD_TILE8, _) => &products::winograd_gemm_tile8,
        (WINOGRAD_TILE, _) => &products::winograd_gemm_tile,
        (WINOGRAD_SUBGROUP, Direction::Forward) => &products::winograd_gemm_forward_subgroup,
        (WINOGRAD_SUBGROUP, Direction::Backward) => &products::winograd_gemm_backward_subgroup,
        (GEMM_TILE8, _) => &kernels::conv_gemm_tile8,
        (GEMM_TILE, _) => &kernels::conv_gemm_tile,
        (DIRECT_SUBGROUP, _) => &kernels::conv_gemm_subgroup,
        (DIRECT, Direction::Forward) => &kernels::conv_forward_direct,
        (DIRECT, Direction::Backward) => &kernels::conv_backward_direct,
        (_, Direction::Forward) => &kernels::conv_forward_naive,
        (_, Direction::Backward) => &kernels::conv_backward_naive,
    }
}

/// The products' kernel of one of the Winograd methods where operands are stored in `precision`.
pub(super) fn products_kernel(method: Method, direction: Direction, precision: Precision) -> &'static Kernel {
    match (method, direction) {
        _ if precision == Precision::F32 => main_kernel(method, direction),
        (WINOGRAD_TILE8, Direction::Forward) => &products::winograd_gemm_tile8_half,
        (WINOGRAD_TILE8, Direction::Backward) => &products::winograd_gemm_tile8_half_weights,
        (WINOGRAD_TILE, Direction::Forward) => &products::winograd_gemm_tile_half,
        (WINOGRAD_TILE, Direction::Backward) => &products::winograd_gemm_tile_half_weights,
        (_, Direction::Forward) => &products::winograd_gemm_forward_subgroup_half,
        (_, Direction::Backward) => &products::winograd_gemm_backward_subgroup_half_weights,
    }
}

/// The one kernel of a method; `None` for Winograd, which has several.
pub(super) fn tiling(method: Method, problem: &Problem) -> Option<Tiling> {
    let direction = problem.direction;
    let tiled = match direction {
        Direction::Forward => TILED,
        Direction::Backward => TILED_TRANSPOSED,
    };
    let kernel = main_kernel(method, direction);
    let (kernel, form, cover) = match method {
        GEMM_TILE8 | GEMM_TILE => (kernel, tiled, Cover::Blocks),
        DIRECT_SUBGROUP => (kernel, tiled, Cover::SegmentTiles),
        DIRECT => (kernel, Form::PLAIN, Cover::Segments),
        _ if method.algorithm == Algorithm::Winograd => return None,
        _ if is_same_3x3(problem) => (kernel, Form::PLAIN, Cover::Elements),
        _ => {
            let general = match direction {
                Direction::Forward => &kernels::conv_forward_general,
                Direction::Backward => &kernels::conv_backward_general,
            };
            (general, Form::PLAIN, Cover::General)
        }
    };
    Some(Tiling { kernel, form, cover })
}
