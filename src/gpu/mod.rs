//! Device, kernels, pipelines, recording and readback: the only room that talks to the driver.
//!
//! Low level: this module is public for experiments and tools. It is not designed for stability, and any release may
//! change it; programs that paint need [`Gpu::from_parts`] and [`Gpu::open_with`] alone, for
//! [`crate::transfer::Engine::builder`].

mod device;
mod kernel;
mod mailbox;
mod pipelines;
mod readback;
mod receipt;
mod recorder;
mod slot;
mod stopwatch;
mod timer;
mod upload;
mod wait;

pub(crate) use device::Submission;
pub use device::{AdapterSummary, DeviceRequest, Gpu, adapters};
pub(crate) use kernel::params;
pub use kernel::{Access, Binding, Edit, FOLD, Kernel, Params};
pub(crate) use mailbox::Mailbox;
pub use pipelines::{Pipeline, Pipelines};
pub use readback::{Readback, Ticket};
pub(crate) use receipt::Receipt;
pub use recorder::{BoundDispatch, Recorder, Slice};
pub(crate) use stopwatch::{Lap, Stopwatch};
pub use timer::Timer;
pub(crate) use upload::{Staging, StagingRetry};
pub use wait::is_caught_panic;
pub(crate) use wait::now;
