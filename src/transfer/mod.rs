//! Neural style transfer: options, targets and the optimisation of the pixels.

mod agenda;
mod bound_program;
mod checkpoint;
mod costs;
mod device_weights;
mod diagnosis;
mod engine;
mod history;
mod noise;
mod objective;
mod optimiser;
mod option_table;
mod options;
mod pace;
mod planning;
mod programs;
mod requirements;
mod session;
mod source;
mod sources;
mod staging;
mod tuning;

pub use checkpoint::{Checkpoint, Difference};
pub use costs::{Costs, TermCost};
pub use diagnosis::Diagnosis;
pub use engine::{Engine, EngineBuilder, EngineOptions};
pub use noise::uniform_noise;
pub use objective::{Group, Objective, Term, TermKind};
pub use option_table::{OPTIONS, OptionEntry};
pub use options::{Init, Options, Preset, StyleLayer};
pub use pace::Budget;
pub use planning::{Plan, StepPlan, step_tape};
pub use session::{Recorded, StepCosts, Transfer, TransferPhase};
pub use source::{Source, SourceLayout};
pub use sources::{SourceId, SourceLayouts, Sources, StyleSource};
