//! CPU twins of the kernels: the same names and argument order, written as plain loops.
//!
//! They are the oracle that the kernels in `wgsl/` are compared with, so they aim to be read and believed,
//! not to be fast. Each is generic over [`Real`]: in `f64` a twin is the reference for a kernel's `f32` and
//! can be differentiated by finite differences; in `f32` it shows how much error the rounding alone explains.
//!
//! Tensors are planar (C, H, W) slices, and sizes are given as tuples in that order. The functions allocate
//! what they return. They check the length of every slice and panic when one does not fit its size: a caller
//! that gets that wrong is a test with a mistake.

mod adam;
mod add;
mod centre;
mod colour;
mod conv;
mod covariance_cost;
mod energy;
mod gram;
mod guide;
mod histogram;
mod l_bfgs;
mod match_cost;
mod matrix;
mod mean_variance_cost;
mod nearest;
mod normalise_gradient;
mod pool;
mod preprocess;
mod probe;
mod pyramid;
mod relu;
mod resample;
mod resize;
mod smooth;
mod squared_error;
mod start;
mod store;
mod texels;
mod total_variation;
mod unit;
mod wasserstein;
mod weighted_error;
mod weighted_sum;

pub use adam::{adam, adam_advance};
pub use add::{accumulate, add, mix};
pub use centre::centre;
pub use colour::{colour_grey, colour_replace, colour_transform, colour_transport};
pub use conv::{conv_backward, conv_forward};
pub use covariance_cost::{covariance_cost_backward, covariance_cost_forward};
pub use energy::{energy, share};
pub use gram::{
    channel_mean, gram_backward, gram_forward, moments, moments_backward, moments_guided,
    moments_guided_backward,
};
pub use guide::{
    guide_backward, guide_blend, guide_brightness, guide_forward, guide_scale, guide_strength, guide_union,
};
pub use histogram::{histogram_apply, histogram_match};
pub use l_bfgs::{LBfgsDirection, l_bfgs_direction, l_bfgs_products, l_bfgs_step};
pub use match_cost::{match_cost_backward, match_cost_forward};
pub use matrix::{
    matrix_affine, matrix_covariance, matrix_mirrored, matrix_norm, matrix_product, matrix_scale,
    matrix_symmetrise,
};
pub use mean_variance_cost::{mean_variance_cost_backward, mean_variance_cost_forward};
pub use nearest::{expand_blocks, gather, nearest};
pub use normalise_gradient::normalise_gradient;
pub use pool::{max_pool_backward, max_pool_forward, pool_backward, pool_forward};
pub use preprocess::{clamp_pixels, postprocess, preprocess};
pub use probe::{copy, peak};
pub use pyramid::{adam_level, descend, schedule_advance};
pub use relu::{relu_backward, relu_forward, relu_mask};
pub use resample::resample;
pub use resize::resize;
pub use smooth::smooth;
pub use squared_error::{squared_error_backward, squared_error_forward};
pub use start::start;
pub use store::store;
pub use texels::{decode_texels, encode_texels};
pub use total_variation::{total_variation_backward, total_variation_forward};
pub use unit::{stack, unit};
pub use wasserstein::{wasserstein_backward, wasserstein_forward, wasserstein_rest};
pub use weighted_error::{cell_weights, weighted_error_backward, weighted_error_forward};
pub use weighted_sum::{weighted_sum_backward, weighted_sum_forward};

/// The numbers that the twins compute with: `f32` and `f64`.
pub trait Real:
    num_traits::Float + std::ops::AddAssign + std::ops::SubAssign + std::iter::Sum + std::fmt::Debug
{
}

impl Real for f32 {}
impl Real for f64 {}

/// A count of elements as a number to divide by.
fn count<T: Real>(n: usize) -> T {
    T::from(n).expect("every usize converts to a float")
}

/// Refuses a slice that is not as long as its shape says.
#[track_caller]
fn expect_len<T>(name: &str, slice: &[T], len: usize) {
    assert_eq!(slice.len(), len, "length of {name}");
}
