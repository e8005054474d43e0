//! Convolution with bias, in one to three dimensions and any geometry; forward and backward with respect to the data
//! (the weights are frozen). The methods for the usual geometry, 3×3 with stride 1 and zero padding 1, are in
//! [`methods`].
//!
//! Backward-data of such a convolution is itself a forward convolution with the flipped and transposed kernel, so the
//! GEMM kernels serve both directions and differ only in the [`super::Form`] of the weights and in the epilogue flags.

pub(super) mod arrange;
mod convolution;
pub mod gemm;
mod geometry;
pub mod methods;
pub(crate) mod tiling;
pub(crate) mod winograd;

pub use arrange::{TILED, TILED_TRANSPOSED};
pub use convolution::{Conv, ConvBackward, ConvPool, ConvPoolBackward, VARIANTS};
pub use geometry::{ConvGeometry, Padding, PaddingMode};
pub use winograd::{WINOGRAD, WINOGRAD_HALF};
