//! Neural style transfer: pictures and options go in, an optimiser changes the pixels step by step, a picture comes out.
//!
//! # Sources
//! [`Sources`] are the pictures of a transfer: the content, one style or several with a weight and, where wanted, a mask
//! each, and perhaps a picture to start from. A pair `(content, style)` is enough for most. Each [`Source`] is a picture
//! in memory, or a texture or buffer on the engine's device. [`SourceLayouts`] are their sizes and formats alone: all
//! that a plan needs.
//!
//! # Options and their table
//! [`Options`] are what can be chosen about a transfer. Begin with a preset and change what should differ:
//!
//! ```
//! use impasto::transfer::{Init, Options, Preset};
//!
//! let options = Options::preset(Preset::Course).with(|options| {
//!     options.init = Init::Content;
//!     options.steps = 300;
//! });
//! # assert_eq!(options.steps, 300);
//! ```
//!
//! [`OPTIONS`] is one table of all of them: how each is read, set and checked, whether it can change while a transfer runs,
//! whether it decides which picture comes out, what values it takes and what it does. A program with a form of its own can be
//! made of it, as `examples/studio` is. [`EngineOptions`] are what is chosen once for a device: methods, precision, memory.
//!
//! # Objective and terms
//! An [`Objective`] is what is minimised, as sources and options lead to it: a list of terms. A [`Term`] compares one layer
//! of the network with a source, perhaps under a mask, and belongs to a group that has a weight of its own: α for the
//! content, β for the style, γ for the match. Terms have names such as `content.conv4_2` and `style.conv1_1`; a second
//! style's begin with `style2`. [`Costs`] are the total, the cost of each group, and the cost of each term by its name.
//!
//! # Engine
//! An [`Engine`] is a device with compiled kernels and the network's weights. Any number of transfers share it.
//! [`Engine::open`] opens a device, [`Engine::from_device`] takes a host's, and [`Engine::builder`] takes any combination of
//! device, weights, options and slices for frames. [`Engine::reconfigured`] is the same engine with other options.
//! [`Engine::measure`] finds the fastest methods on the adapter.
//!
//! # Transfer
//! A [`Transfer`] is one picture being painted. [`Transfer::plan`] says what it would run and allocate without touching the
//! device. There are two ways to drive it:
//!
//! - *A program of its own* awaits [`Transfer::prepare`], then [`Transfer::step`] while there are
//!   [`Transfer::remaining_steps`], then [`Transfer::picture`]. These submit and wait.
//! - *A host that renders frames* makes it by [`Transfer::create`], then calls [`Transfer::record`] in every frame with a
//!   [`Budget`], and [`Transfer::record_picture`] where it shows the picture. These record into the host's encoder and
//!   neither submit nor wait; costs come later, from [`Transfer::try_cost`]. [`Transfer::prepare_output`] makes ready for
//!   a texture format ahead.
//!
//! In both, [`Transfer::set_options`] changes live options and [`Transfer::set_source`] a picture, from the next step on.
//! Where costs are no longer finite, [`Transfer::diagnose`] finds the layer where that began.
//!
//! # Checkpoints
//! A [`Checkpoint`] is the state between two steps, with what it was made of: [`Transfer::checkpoint`] takes it,
//! [`Checkpoint::to_bytes`] and [`Checkpoint::from_bytes`] write and read it, and [`Transfer::resume`] goes on, bit for bit
//! as if the transfer had not been interrupted. Other pictures, options or weights are refused by name.

mod agenda;
mod bound_program;
mod checkpoint;
mod colours;
mod costs;
mod device_weights;
mod diagnosis;
mod engine;
mod history;
mod look_up;
mod noise;
mod objective;
mod optimiser;
mod option_kind;
mod option_table;
mod options;
mod pace;
mod piece;
mod planning;
mod profile;
mod programs;
mod requirements;
mod roots;
mod scales;
mod session;
mod source;
mod sources;
mod staging;
mod term;
mod trend;
mod tuning;
mod workload;

pub use checkpoint::{Checkpoint, Difference};
pub use costs::{Costs, TermCost};
pub use diagnosis::Diagnosis;
pub use engine::{Engine, EngineBuilder, EngineOptions};
pub use noise::uniform_noise;
pub use objective::Objective;
pub use option_kind::OptionKind;
pub use option_table::{OPTIONS, OptionEntry};
pub use options::{
    Borders, ColorMode, ContentCost, Init, OptimiserKind, Options, Preset, Seamless, StyleStatistic,
    WeightedLayer,
};
pub use pace::Budget;
pub use planning::{Plan, StepPlan, look_up_tape, step_tape};
pub use profile::{DispatchProfile, ProgramProfile};
pub use scales::Scales;
pub use session::{Recorded, StepCosts, Transfer, TransferPhase};
pub use source::{Source, SourceLayout};
pub use sources::{SourceId, SourceLayouts, Sources, StyleLayout, StyleSource};
pub use term::{Group, Term, TermKind};
pub use workload::{Timed, Work, Workload};
