//! Build the graph once, differentiate it, plan it, then replay it: [`Tape`] → [`differentiate`] → [`fuse`] →
//! [`rematerialise`] → [`plan`] → [`Program`] → [`Executable`]. Every stage but the last is a pure function and needs
//! no GPU.
//!
//! Low level: this module is public for experiments and tools. It is not designed for stability, and any release may
//! change it; programs that paint need [`crate::transfer`] alone.

mod autodiff;
mod executable;
mod fuse;
mod plan;
mod program;
mod rematerialise;
mod tape;

pub use autodiff::differentiate;
pub use executable::{Arenas, Executable, Externals};
pub use fuse::fuse;
pub use plan::{Limits, plan};
pub use program::{Bytes, External, Place, PlannedDispatch, Program, Resource};
pub use rematerialise::rematerialise;
pub use tape::{Kind, Node, Phase, Role, Tape, TensorId};
