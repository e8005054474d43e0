//! Device, kernels, pipelines, recording and readback: the only room that talks to the driver.

mod device;
mod kernel;
mod pipelines;
mod readback;
mod recorder;
mod timer;
mod upload;
mod wait;

pub(crate) use device::Submission;
pub use device::{AdapterSummary, DeviceRequest, Gpu, adapters};
pub(crate) use kernel::params;
pub use kernel::{Access, Binding, Edit, Kernel, Params};
pub use pipelines::{Pipeline, Pipelines};
pub use readback::{Readback, Ticket};
pub use recorder::{BoundDispatch, FOLD, Recorder, Slice};
pub use timer::Timer;
pub use wait::is_caught_panic;
