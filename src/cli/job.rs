//! What a run and `explain` have in common: the choices checked, the files read, the device open, the work
//! planned.

use std::path::Path;
use std::sync::Arc;

use impasto::gpu::Gpu;
use impasto::nn::Weights;
use impasto::ops::KernelChoice;
use impasto::picture::{MEMORY_LIMIT, Picture};
use impasto::transfer::{Engine, EngineOptions, Init, Options, Plan, Transfer};

use super::args::Choices;
use super::files::{self, Named};
use super::output::{self, Output};
use super::remembered::Remembered;
use super::{Failure, Result, say};

/// Far more than VGG-19 takes in any form.
const WEIGHTS_LIMIT: u64 = 4 << 30;

/// What was asked for, before any file is opened.
pub(super) struct Order<'a> {
    choices: &'a Choices,
    content: &'a Path,
    style: &'a Path,
    options: Options,
    output: Option<Output>,
}

impl<'a> Order<'a> {
    /// Checks the arguments themselves.
    pub(super) fn new(choices: &'a Choices, output: Option<&Path>) -> Result<Self> {
        let (Some(content), Some(style)) = (&choices.content, &choices.style) else {
            return Err(Failure::Usage("a content and a style picture are needed".into()));
        };
        let options = choices.options()?;
        let output = output.map(Output::new).transpose()?;
        if choices.weights.is_none() && cfg!(not(feature = "embedded-weights")) {
            let message =
                "--weights: this program was built without weights; name a safetensors file of VGG-19";
            return Err(Failure::Usage(message.into()));
        }
        Ok(Self { choices, content, style, options, output })
    }

    /// Refuses what would overwrite an input, and places that cannot be written to. `run` tells whether more
    /// than the plan will be written.
    pub(super) fn check_files(&self, run: bool) -> Result<()> {
        let Choices { trace, plan, weights, save_every, .. } = self.choices;
        fn named<'a>(name: &'static str, path: Option<&'a Path>) -> Option<Named<'a>> {
            path.map(|path| (name, path))
        }
        let init = self.choices.init_file().map(|path| path.as_path());
        let inputs: Vec<Named<'_>> = [("CONTENT", self.content), ("STYLE", self.style)]
            .into_iter()
            .chain(named("--init", init))
            .chain(named("--weights", weights.as_deref()))
            .collect();
        let plan = named("--plan", plan.as_deref());
        let output = named("--output", self.output.as_ref().map(Output::path));
        let trace = named("--trace", trace.as_deref());
        let outputs: Vec<Named<'_>> = output.into_iter().chain(trace).chain(plan).collect();
        files::refuse_overlap(&inputs, &outputs)?;
        if let (Some(output), Some(every)) = (&self.output, save_every) {
            let others: Vec<Named<'_>> = inputs.iter().copied().chain(trace).chain(plan).collect();
            output.refuse_snapshot_overlap(*every, self.options.steps, &others)?;
        }
        let written = if run { outputs } else { plan.into_iter().collect() };
        written.iter().try_for_each(|(_, path)| output::check(path))
    }

    /// Reads the pictures and the weights, opens the device and plans; for a `run` also measures which methods are
    /// the fastest, where that is not remembered.
    pub(super) async fn plan(self, run: bool) -> Result<Job> {
        let Self { choices, mut options, output, .. } = self;
        let content = read_picture(self.content, "check the path of CONTENT")?;
        let style = read_picture(self.style, "check the path of STYLE")?;
        if let Some(init) = choices.init_file() {
            options.init =
                Init::Picture(read_picture(init, "--init takes noise, content or a picture's path")?);
        }
        let weights = read_weights(choices.weights.as_deref())?;
        // Before the device is opened, which takes longer.
        weights.check(options.deepest()?)?;
        let gpu = Gpu::open(choices.device.as_deref()).await?;
        let remembered = Remembered::of(gpu.summary());
        let engine_options = EngineOptions {
            kernels: choices.kernels(),
            choices: Arc::new(remembered.choices()),
            low_memory: choices.low_memory,
            precision: choices.precision(),
            ..EngineOptions::default()
        };
        let mut engine = engine_with(gpu, weights, engine_options);
        let sides = |picture: &Picture| (picture.width(), picture.height());
        let planned = |engine: &Engine| Transfer::plan(engine, sides(&content), sides(&style), &options);
        let mut plan = planned(&engine)?;
        let missing = engine.unmeasured(&plan).len();
        let decided = match choices.kernels() {
            _ if choices.low_memory => Decided::LowMemory,
            KernelChoice::Algorithm(_) | KernelChoice::Method(_) => Decided::Asked,
            KernelChoice::Auto if missing == 0 => Decided::Remembered,
            KernelChoice::Auto if !remembered.can_be_kept() => Decided::FixedTable,
            KernelChoice::Auto if !run => Decided::NotYet { missing },
            KernelChoice::Auto => {
                if !choices.quiet {
                    say("measuring which kernels are the fastest here, once");
                }
                let measured = engine.measure(&plan).await?;
                remembered.keep(&measured);
                engine = engine.with_choices(measured);
                plan = planned(&engine)?;
                Decided::Measured
            }
        };
        Ok(Job { options, output, content, style, engine, plan, decided })
    }
}

/// All that a run needs.
pub(super) struct Job {
    pub(super) options: Options,
    pub(super) output: Option<Output>,
    pub(super) content: Picture,
    pub(super) style: Picture,
    pub(super) engine: Engine,
    pub(super) plan: Plan,
    pub(super) decided: Decided,
}

/// How the methods for the convolutions were chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decided {
    /// By `--algorithm`.
    Asked,
    /// By `--low-memory`: the usual ones, which read the weights in one arrangement.
    LowMemory,
    /// Measured in this run.
    Measured,
    /// Measured in an earlier run.
    Remembered,
    /// By the kind of device, because measurements could not be kept.
    FixedTable,
    /// By the kind of device and what is remembered of other sizes: nothing runs, and `missing` convolutions
    /// were never measured.
    NotYet { missing: usize },
}

impl Decided {
    /// For machines.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::LowMemory => "low memory",
            Self::Measured => "measured",
            Self::Remembered => "remembered",
            Self::FixedTable => "fixed table",
            Self::NotYet { .. } => "not measured yet",
        }
    }

    /// For people.
    pub(super) fn text(self) -> String {
        match self {
            Self::Asked => "as --algorithm asks; the usual ones where that cannot be".into(),
            Self::LowMemory => "the usual ones, which read the weights in one arrangement".into(),
            Self::Measured => "measured in this run".into(),
            Self::Remembered => "measured in an earlier run on this adapter".into(),
            Self::FixedTable => {
                "a fixed table by the kind of adapter, because measurements cannot be kept here".into()
            }
            Self::NotYet { missing: 1 } => {
                "1 convolution was not measured yet and is a guess: the first run measures it".into()
            }
            Self::NotYet { missing } => {
                format!(
                    "{missing} convolutions were not measured yet and are a guess: the first run measures them"
                )
            }
        }
    }
}

/// An engine that does not take more memory than there is.
pub(super) fn engine(gpu: Gpu, weights: Weights) -> Engine {
    engine_with(gpu, weights, EngineOptions::default())
}

/// The same with options.
fn engine_with(gpu: Gpu, weights: Weights, options: EngineOptions) -> Engine {
    // A software adapter takes what the system has, and the system ends who takes more.
    let memory_bytes = gpu.summary().is_software().then(available_memory).flatten();
    Engine::with_options(gpu, weights, EngineOptions { memory_bytes, ..options })
}

/// Bytes of memory that are free for programs, where the system says.
fn available_memory() -> Option<u64> {
    let kind = sysinfo::MemoryRefreshKind::nothing().with_ram();
    let system = sysinfo::System::new_with_specifics(sysinfo::RefreshKind::nothing().with_memory(kind));
    Some(system.available_memory()).filter(|bytes| *bytes > 0)
}

fn read_picture(path: &Path, hint: &str) -> Result<Picture> {
    // A file of more bytes than its picture may take in memory is none of the kind.
    let bytes = files::read(path, MEMORY_LIMIT, hint)?;
    Ok(Picture::decode(&bytes, &path.display().to_string())?)
}

/// The weights in a file, or those in the program.
pub(super) fn read_weights(path: Option<&Path>) -> Result<Weights> {
    let Some(path) = path else { return embedded_weights() };
    let bytes = files::read(path, WEIGHTS_LIMIT, "check the path given with --weights")?;
    Ok(Weights::from_bytes(bytes, &path.display().to_string())?)
}

#[cfg(feature = "embedded-weights")]
fn embedded_weights() -> Result<Weights> {
    Ok(Weights::embedded()?)
}

#[cfg(not(feature = "embedded-weights"))]
fn embedded_weights() -> Result<Weights> {
    Err(Failure::Usage("--weights: this program was built without weights; name a file".into()))
}
