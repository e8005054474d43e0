//! What the tape can hold: for every op its shape rule, its backward rule, its cost in FLOP, and how it
//! becomes dispatches of our kernels. One file an op; [`KERNELS`] lists every kernel. The other files are what ops are made
//! of: the trait [`Op`], tensors by their [`Shape`] and [`Layout`], a [`Dispatch`], the [`Capabilities`] of a device.
//!
//! Low level: this module is public for experiments and tools. It is not designed for stability, and any release may
//! change it; programs that paint need [`MethodRequest`], [`MethodTable`] and [`Precision`] alone, for
//! [`crate::transfer::EngineOptions`].

pub mod adam;
pub mod add;
mod capabilities;
pub mod choose;
pub mod conv;
mod declare;
mod dispatch;
mod epilogue;
pub mod gram;
pub mod guide;
mod kernel_list;
mod op;
pub mod pool;
pub mod preprocess;
pub mod probe;
pub mod relu;
pub mod resample;
pub mod squared_error;
pub mod start;
mod tensor;
pub mod texels;
pub mod total_variation;
pub mod weighted_sum;

pub use capabilities::{Capabilities, DeviceClass, Precision};
pub use choose::{Algorithm, Direction, Method, MethodRequest, MethodTable, Problem, Variants};
pub(crate) use declare::kernels;
pub use dispatch::{Dispatch, Lowered, Operand};
pub(crate) use dispatch::{elementwise, piecewise};
pub use epilogue::Epilogue;
pub use kernel_list::{KERNELS, kernels_digest};
pub use op::{Io, Op, Rule, Wire};
pub(crate) use op::{expect_shapes, unfit_shapes};
pub use tensor::{Form, Layout, Shape};

/// The ops that can be done by several methods. What a file says of methods is looked up here.
pub static VARIANTS: [&Variants; 2] = [&conv::VARIANTS, &gram::VARIANTS];
