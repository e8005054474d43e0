//! impasto
pub mod error;
pub mod gpu;
pub mod graph;
pub mod nn;
pub mod ops;
pub mod picture;
#[doc(hidden)]
pub mod cases;
#[doc(hidden)]
pub mod reference;
pub mod transfer;
pub use error::{Error, Result};
pub use wgpu;
