//! Neural style transfer: options, targets and the optimisation of the pixels.

mod checkpoint;
mod diagnosis;
mod engine;
mod history;
mod noise;
mod options;
mod pace;
mod planning;
mod session;
mod tuning;

pub use checkpoint::Checkpoint;
pub use diagnosis::Diagnosis;
pub use engine::{Engine, EngineOptions};
pub use noise::uniform_noise;
pub use options::{Init, Options, Preset, StyleLayer};
pub use planning::{Plan, StepPlan, plan_transfer, record_step};
pub use session::{Costs, Transfer};
