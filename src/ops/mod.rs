//! What the tape can hold: for every op its shape rule, its backward rule, its cost in FLOP, and how it becomes
//! dispatches of our kernels. One file an op; [`KERNELS`] lists every kernel, [`VARIANTS`] the ops with several methods.
//! The other files are what ops are made of: the trait [`Op`], tensors by their [`Shape`] and [`Layout`], a [`Dispatch`],
//! the [`Capabilities`] of a device, and the choice of a [`Method`].
//!
//! Low level: this module is public for experiments and tools. It is not designed for stability, and any release may
//! change it; programs that paint need [`MethodRequest`], [`MethodTable`] and [`Precision`] alone, for
//! [`crate::transfer::EngineOptions`].

pub mod adam;
pub mod add;
mod capabilities;
pub mod centre;
mod choose;
pub mod colour;
pub mod conv;
pub mod covariance_cost;
mod declare;
mod dispatch;
pub mod energy;
mod epilogue;
pub mod gram;
pub mod guide;
pub mod histogram;
mod kernel_list;
pub mod l_bfgs;
pub mod match_cost;
pub mod matrix;
pub mod mean_variance_cost;
mod method;
pub mod nearest;
pub mod normalise_gradient;
mod op;
pub mod pool;
pub mod preprocess;
pub mod probe;
pub mod pyramid;
pub mod relu;
pub mod resample;
pub mod resize;
pub mod smooth;
pub mod squared_error;
pub mod start;
pub mod store;
mod tensor;
pub mod texels;
pub mod total_variation;
pub mod unit;
mod variant_list;
pub mod wasserstein;
pub mod weighted_error;
pub mod weighted_sum;
mod wrap;

pub use capabilities::{Capabilities, DeviceClass, Precision};
pub use choose::{Trial, Variants};
pub(crate) use declare::kernels;
pub use dispatch::{Dispatch, Lowered, Operand};
pub(crate) use dispatch::{elementwise, piecewise};
pub use epilogue::Epilogue;
pub use kernel_list::{KERNELS, kernels_digest};
pub use method::{Algorithm, Choice, Direction, Method, MethodRequest, MethodTable, Problem};
pub use op::{Io, Op, Rule, Wire};
pub(crate) use op::{expect_shapes, unfit_shapes};
pub(crate) use tensor::Common;
pub use tensor::{Form, Layout, Shape};
pub use variant_list::{VARIANTS, methods_for, variants_of};
pub use wrap::Wrap;
