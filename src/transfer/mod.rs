//! Neural style transfer: options, targets and the optimisation of the pixels.

mod agenda;
mod checkpoint;
mod diagnosis;
mod engine;
mod history;
mod host;
mod noise;
mod options;
mod pace;
mod planning;
mod requirements;
mod session;
mod source;
mod tuning;

pub use checkpoint::{Checkpoint, Difference};
pub use diagnosis::Diagnosis;
pub use engine::{Engine, EngineOptions};
pub use host::{Phase, Recorded};
pub use noise::uniform_noise;
pub use options::{Init, Options, Preset, StyleLayer};
pub use pace::Budget;
pub use planning::{Plan, StepPlan, plan_transfer, record_step};
pub use session::{Costs, Transfer};
pub use source::{Source, SourceLayout};
