//! Neural style transfer: options, targets and the optimisation of the pixels.

mod engine;
mod noise;
mod options;
mod planning;
mod session;

pub use engine::Engine;
pub use noise::uniform_noise;
pub use options::{Init, Options, Preset, StyleLayer};
pub use planning::{Layers, StepPlan, plan_step};
pub use session::{Costs, Plan, Transfer};
