//! Device, kernels, pipelines, recording and readback: the only room that talks to the driver.
//!
//! Low level: this module is public for experiments and tools. It is not designed for stability, and any release may
//! change it; programs that paint need [`Gpu::from_parts`] and [`Gpu::open_with`] alone, for
//! [`crate::transfer::Engine::builder`].

mod adapter;
mod device;
mod faults;
mod kernel;
mod mailbox;
mod pipelines;
mod readback;
mod receipt;
mod recorder;
mod slot;
mod staging;
mod stopwatch;
mod timer;
mod wait;

pub(crate) use adapter::wanted_features;
pub use adapter::{AdapterSummary, DeviceRequest, adapters};
pub use device::Gpu;
pub(crate) use device::Submission;
pub(crate) use kernel::params;
pub use kernel::{Access, Binding, Edit, FOLD, Kernel, Params};
pub(crate) use mailbox::Mailbox;
pub use pipelines::{Pipeline, Pipelines};
pub use readback::{Readback, Ticket};
pub(crate) use receipt::Receipt;
pub use recorder::{BoundDispatch, Recorder, Slice};
pub(crate) use staging::{Staging, StagingRetry};
pub(crate) use stopwatch::{Lap, Stopwatch};
pub use timer::Timer;
pub use wait::is_caught_panic;
pub(crate) use wait::now;
