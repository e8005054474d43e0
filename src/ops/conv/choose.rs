//! Which method does a convolution, and how the threads of its kernels cover the output.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ConvParams, gemm, kernels, winograd};
use crate::gpu::Kernel;
use crate::ops::{Capabilities, DeviceClass, Dispatch, Form, KernelChoice, Operand};

/// A family of methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Winograd's F(4×4, 3×3).
    Winograd,
    /// Implicit GEMM through workgroup memory.
    Gemm,
    /// Sums in registers, straight from the picture.
    Direct,
    /// The definition.
    Naive,
}

impl Algorithm {
    /// All algorithms with their names.
    pub const ALL: [(&'static str, Self); 4] = [
        ("winograd", Self::Winograd),
        ("gemm", Self::Gemm),
        ("direct", Self::Direct),
        ("naive", Self::Naive),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, it)| *it == self).map_or("", |(name, _)| name)
    }
}

/// One way of doing a convolution: an algorithm with its tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Winograd, the products 8×8 a thread.
    WinogradTile8,
    /// Winograd, the products 4×4 a thread.
    WinogradTile,
    /// Winograd, the products of one subgroup of 8 lanes.
    WinogradSubgroup,
    /// Implicit GEMM, 8×8 a thread.
    GemmTile8,
    /// Implicit GEMM, 4×4 a thread.
    GemmTile,
    /// Registers only, the weights shared within a subgroup.
    DirectSubgroup,
    /// Registers only, for at most 3 channels on one side.
    Direct,
    /// One output a thread.
    Naive,
}

impl Method {
    /// All methods.
    pub const ALL: [Self; 8] = [
        Self::WinogradTile8,
        Self::WinogradTile,
        Self::WinogradSubgroup,
        Self::GemmTile8,
        Self::GemmTile,
        Self::DirectSubgroup,
        Self::Direct,
        Self::Naive,
    ];

    /// Its name in tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::WinogradTile8 => "winograd-tile8",
            Self::WinogradTile => "winograd-tile",
            Self::WinogradSubgroup => "winograd-subgroup",
            Self::GemmTile8 => "gemm-tile8",
            Self::GemmTile => "gemm-tile",
            Self::DirectSubgroup => "direct-subgroup",
            Self::Direct => "direct",
            Self::Naive => "naive",
        }
    }

    /// The algorithm that it belongs to.
    pub fn algorithm(self) -> Algorithm {
        match self {
            Self::WinogradTile8 | Self::WinogradTile | Self::WinogradSubgroup => Algorithm::Winograd,
            Self::GemmTile8 | Self::GemmTile => Algorithm::Gemm,
            Self::DirectSubgroup | Self::Direct => Algorithm::Direct,
            Self::Naive => Algorithm::Naive,
        }
    }

    /// Its main kernel in a direction.
    pub fn kernel(self, direction: Direction) -> &'static Kernel {
        match (self, direction) {
            (Self::WinogradTile8, _) => &gemm::kernels::winograd_gemm_tile8,
            (Self::WinogradTile, _) => &gemm::kernels::winograd_gemm_tile,
            (Self::WinogradSubgroup, Direction::Forward) => &gemm::kernels::winograd_gemm_forward_subgroup,
            (Self::WinogradSubgroup, Direction::Backward) => &gemm::kernels::winograd_gemm_backward_subgroup,
            (Self::GemmTile8, _) => &kernels::conv_gemm_tile8,
            (Self::GemmTile, _) => &kernels::conv_gemm_tile,
            (Self::DirectSubgroup, _) => &kernels::conv_gemm_subgroup,
            (Self::Direct, Direction::Forward) => &kernels::conv_forward_direct,
            (Self::Direct, Direction::Backward) => &kernels::conv_backward_direct,
            (Self::Naive, Direction::Forward) => &kernels::conv_forward_naive,
            (Self::Naive, Direction::Backward) => &kernels::conv_backward_naive,
        }
    }

    /// Its main kernel where operands are stored in f16; only Winograd has others than in single precision.
    pub(super) fn half_kernel(self, direction: Direction) -> &'static Kernel {
        match (self, direction) {
            (Self::WinogradTile8, Direction::Forward) => &gemm::kernels::winograd_gemm_tile8_half,
            (Self::WinogradTile8, Direction::Backward) => &gemm::kernels::winograd_gemm_tile8_half_weights,
            (Self::WinogradTile, Direction::Forward) => &gemm::kernels::winograd_gemm_tile_half,
            (Self::WinogradTile, Direction::Backward) => &gemm::kernels::winograd_gemm_tile_half_weights,
            (Self::WinogradSubgroup, Direction::Forward) => {
                &gemm::kernels::winograd_gemm_forward_subgroup_half
            }
            (Self::WinogradSubgroup, Direction::Backward) => {
                &gemm::kernels::winograd_gemm_backward_subgroup_half_weights
            }
            _ => self.kernel(direction),
        }
    }

    /// Whether it can do a layer on a device.
    pub fn fits(self, layer: Layer, capabilities: &Capabilities) -> bool {
        let kernel = self.kernel(layer.direction);
        capabilities.allows(kernel)
            && match self.algorithm() {
                Algorithm::Winograd => !layer.is_thin() && winograd::fits(layer, capabilities),
                Algorithm::Direct if self == Self::Direct => layer.is_thin(),
                _ => true,
            }
    }
}

/// Forward, or the gradient with respect to the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// From the layer's input channels to its output channels.
    Forward,
    /// From the layer's output channels to its input channels.
    Backward,
}

/// What the choice of a method depends on: a convolution of (inputs, H, W) to (outputs, H, W). In the backward
/// direction `inputs` are the layer's output channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Layer {
    /// The direction.
    pub direction: Direction,
    /// Channels that are summed over.
    pub inputs: u32,
    /// Channels that are made.
    pub outputs: u32,
    /// Rows.
    pub h: u32,
    /// Columns.
    pub w: u32,
}

impl Layer {
    /// Whether the side next to the picture has so few channels that the direct kernels do it best.
    pub fn is_thin(self) -> bool {
        match self.direction {
            Direction::Forward => self.inputs <= kernels::conv_forward_direct.tile("CHANNELS"),
            Direction::Backward => self.outputs <= kernels::conv_backward_direct.tile("CHANNELS"),
        }
    }

    /// The methods that can do it on a device, the usual one first.
    pub fn methods(self, capabilities: &Capabilities) -> Vec<Method> {
        let order = usual(capabilities.class);
        order.iter().copied().filter(|method| method.fits(self, capabilities)).collect()
    }
}

/// Methods that were found to be the fastest, by layer; to serde a list of [`Choice`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Choice>", into = "Vec<Choice>")]
pub struct Choices(pub BTreeMap<Layer, Method>);

/// An entry of [`Choices`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The layer.
    #[serde(flatten)]
    pub layer: Layer,
    /// Its method.
    pub method: Method,
}

impl From<Vec<Choice>> for Choices {
    fn from(list: Vec<Choice>) -> Self {
        Self(list.into_iter().map(|choice| (choice.layer, choice.method)).collect())
    }
}

impl From<Choices> for Vec<Choice> {
    fn from(choices: Choices) -> Self {
        choices.0.into_iter().map(|(layer, method)| Choice { layer, method }).collect()
    }
}

impl Choices {
    /// The method for a layer, else the one for the same channels and direction on the plane nearest in size:
    /// what is fastest depends on the channels far more than on the plane.
    pub fn nearest(&self, layer: Layer) -> Option<Method> {
        let alike = |known: &Layer| {
            (known.direction, known.inputs, known.outputs) == (layer.direction, layer.inputs, layer.outputs)
        };
        let pixels = |layer: &Layer| f64::from(layer.h) * f64::from(layer.w);
        let distance = |known: &Layer| (pixels(known) / pixels(&layer)).ln().abs();
        let others = || {
            let alike = self.0.iter().filter(|(known, _)| alike(known));
            alike.min_by(|a, b| distance(a.0).total_cmp(&distance(b.0))).map(|(_, method)| method)
        };
        self.0.get(&layer).or_else(others).copied()
    }
}

/// Every method, in the order in which it is likely to be fast where nothing was measured.
///
/// Many registers a thread, as AMD's and NVIDIA's discrete chips have them, carry 8×8 results; the others spill
/// with them. The software adapter runs workgroup memory and barriers slowly and has no use for tiles.
fn usual(class: DeviceClass) -> [Method; 8] {
    use Method::{
        Direct, DirectSubgroup, GemmTile, GemmTile8, Naive, WinogradSubgroup, WinogradTile, WinogradTile8,
    };
    match class {
        DeviceClass::ManyRegisters => [
            Direct,
            WinogradTile8,
            WinogradTile,
            WinogradSubgroup,
            GemmTile8,
            GemmTile,
            DirectSubgroup,
            Naive,
        ],
        DeviceClass::Portable => [
            Direct,
            WinogradTile,
            WinogradSubgroup,
            WinogradTile8,
            GemmTile,
            GemmTile8,
            DirectSubgroup,
            Naive,
        ],
        DeviceClass::Software => [
            WinogradSubgroup,
            DirectSubgroup,
            Direct,
            WinogradTile8,
            WinogradTile,
            GemmTile8,
            GemmTile,
            Naive,
        ],
    }
}

/// The method for a layer: the one asked for, else the one measured for it or for the plane nearest in size, else
/// the usual one. Where that cannot do the layer, the first usual one that can does. Where memory is short nothing
/// measured counts: mixed methods read the weights in several arrangements, and the usual ones in one.
pub fn choose(layer: Layer, capabilities: &Capabilities) -> Method {
    let methods = layer.methods(capabilities);
    let asked = match capabilities.choice {
        KernelChoice::Auto if capabilities.low_memory => None,
        KernelChoice::Auto => capabilities.choices.nearest(layer).filter(|method| methods.contains(method)),
        KernelChoice::Algorithm(algorithm) => {
            methods.iter().copied().find(|method| method.algorithm() == algorithm)
        }
        KernelChoice::Method(method) => methods.iter().copied().find(|known| *known == method),
    };
    // The naive method can do everything.
    asked.or(methods.first().copied()).unwrap_or(Method::Naive)
}

/// A kernel that does a convolution in one dispatch, with the arrangement of weights that it reads.
pub(super) struct Tiling {
    pub(super) kernel: &'static Kernel,
    pub(super) form: Form,
    cover: Cover,
}

/// What one workgroup makes.
enum Cover {
    /// A pixel a thread, one output channel.
    Elements,
    /// A segment of a row a thread, all output channels.
    Segments,
    /// A segment of a row a thread, a tile of output channels.
    SegmentTiles,
    /// A block of pixels in a line × a block of output channels.
    Blocks,
}

impl Tiling {
    /// The kernel of a method; `None` where the method has several.
    pub(super) fn of(method: Method, direction: Direction) -> Option<Self> {
        let (cover, plain) = match method {
            Method::Naive => (Cover::Elements, true),
            Method::Direct => (Cover::Segments, true),
            Method::DirectSubgroup => (Cover::SegmentTiles, false),
            Method::GemmTile | Method::GemmTile8 => (Cover::Blocks, false),
            Method::WinogradTile8 | Method::WinogradTile | Method::WinogradSubgroup => return None,
        };
        let form = match direction {
            _ if plain => Form::Plain,
            Direction::Forward => Form::Forward,
            Direction::Backward => Form::Backward,
        };
        Some(Self { kernel: method.kernel(direction), form, cover })
    }

    /// The dispatch, with its number of workgroups.
    pub(super) fn dispatch(&self, params: ConvParams, operands: Vec<Operand>) -> Dispatch {
        let ConvParams { h, w, in_count, out_count, .. } = params;
        let kernel = self.kernel;
        let segments = || w.div_ceil(kernel.tile("PIXELS")) * h;
        let (pixel_groups, output_groups) = match self.cover {
            Cover::Elements => ((h * w).div_ceil(kernel.workgroup), out_count),
            Cover::Segments => (segments().div_ceil(kernel.workgroup), 1),
            Cover::SegmentTiles => {
                (segments().div_ceil(kernel.workgroup), out_count.div_ceil(kernel.tile("OUTPUTS")))
            }
            Cover::Blocks => {
                ((h * w).div_ceil(kernel.tile("BLOCK")), out_count.div_ceil(kernel.tile("BLOCK")))
            }
        };
        let flops = 18 * u64::from(in_count) * u64::from(out_count) * u64::from(h) * u64::from(w);
        let params = ConvParams { pixel_groups, ..params };
        Dispatch::new(kernel, params, operands, pixel_groups * output_groups, flops)
    }
}
