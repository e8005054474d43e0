//! What a run and `explain` have in common: the choices checked, the files read, the device open, the work
//! planned.

use std::path::Path;
use std::sync::Arc;

use impasto::gpu::{DeviceRequest, Gpu};
use impasto::nn::Weights;
use impasto::ops::MethodRequest;
use impasto::picture::{MEMORY_LIMIT, Picture};
use impasto::transfer::{Checkpoint, Engine, EngineOptions, Init, Options, Plan, Transfer};
use impasto::{Error, OptionName};

use super::args::Choices;
use super::checkpoints::interrupted_path;
use super::files::{self, Named};
use super::output::{self, Output};
use super::remembered::Remembered;
use super::words::{CommandLine, argument};
use super::{Failure, Result, say};

/// Far more than VGG-19 takes in any form.
const WEIGHTS_LIMIT: u64 = 1 << 30;
/// More than the state of any picture takes that a GPU can paint.
const CHECKPOINT_LIMIT: u64 = 8 << 30;

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
        let Choices { trace, plan, weights, save_every, checkpoint, resume, .. } = self.choices;
        fn named<'a>(name: &'static str, path: Option<&'a Path>) -> Option<Named<'a>> {
            path.map(|path| (name, path))
        }
        let init = self.choices.init_file().map(|path| path.as_path());
        let inputs: Vec<Named<'_>> = [
            (OptionName::Content, Some(self.content)),
            (OptionName::Style, Some(self.style)),
            (OptionName::Init, init),
            (OptionName::Weights, weights.as_deref()),
        ]
        .into_iter()
        .filter_map(|(option, path)| named(argument(option), path))
        .collect();
        let plan = named("--plan", plan.as_deref());
        let output = named("--output", self.output.as_ref().map(Output::path));
        let trace = named("--trace", trace.as_deref());
        let mut outputs: Vec<Named<'_>> = output.into_iter().chain(trace).chain(plan).collect();
        // Only a checkpoint may be written over the one that is resumed.
        files::refuse_overlap(
            named(argument(OptionName::Checkpoint), resume.as_deref()).as_slice(),
            &outputs,
        )?;
        outputs.extend(named("--checkpoint", checkpoint.as_deref()));
        files::refuse_overlap(&inputs, &outputs)?;
        if let Some(output) = &self.output {
            files::refuse_overlap(&inputs, &[("the checkpoint of Ctrl-C", &interrupted_path(output))])?;
        }
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
        let weights = read_weights(choices.weights.as_deref())?;
        options.validate(weights.network())?;
        let content = read_picture(self.content, "check the path of CONTENT")?;
        let style = read_picture(self.style, "check the path of STYLE")?;
        if let Some(init) = choices.init_file() {
            options.init =
                Init::Picture(read_picture(init, "--init takes noise, content or a picture's path")?);
        }
        let checkpoint = choices.resume.as_deref().filter(|_| run).map(read_checkpoint).transpose()?;
        // Before the device is opened, which takes longer.
        weights.check(options.deepest(weights.network())?)?;
        if let Some(checkpoint) = &checkpoint {
            checkpoint.check(&content, &style, &options, &weights)?;
        }
        let request = if choices.portable { DeviceRequest::Portable } else { DeviceRequest::Full };
        let gpu = Gpu::open_with(choices.device.as_deref(), request).await?;
        // What is fastest with everything that the adapter has is not what is fastest with little of it.
        let remembered =
            if choices.portable { Remembered::nothing(gpu.summary()) } else { Remembered::of(gpu.summary()) };
        let engine_options = EngineOptions {
            kernels: choices.kernels(),
            choices: Arc::new(remembered.choices()),
            low_memory: choices.low_memory,
            precision: choices.precision(),
            ..EngineOptions::default()
        };
        let mut engine = engine_with(gpu, weights, engine_options);
        // Bit by bit as before, whatever was measured since.
        let as_before = checkpoint.as_ref().filter(|checkpoint| checkpoint.fits(&engine));
        if let Some(checkpoint) = as_before {
            engine = engine.with_choices(checkpoint.methods().clone());
        }
        let sides = |picture: &Picture| (picture.width(), picture.height());
        let planned = |engine: &Engine| Transfer::plan(engine, sides(&content), sides(&style), &options);
        let mut plan = match planned(&engine) {
            Err(shortage @ Error::Memory { .. }) if !engine.options().low_memory => {
                let smaller = engine.with_low_memory();
                // Where that does not fit either, the first error says what would.
                let Ok(plan) = planned(&smaller) else { return Err(shortage.into()) };
                say_smaller(&shortage, &plan, choices);
                engine = smaller;
                plan
            }
            planned => planned?,
        };
        let missing = engine.unmeasured(&plan).len();
        let decided = match choices.kernels() {
            _ if engine.options().low_memory => Decided::LowMemory,
            MethodRequest::Algorithm(_) | MethodRequest::Method(_) => Decided::Asked,
            MethodRequest::Auto if as_before.is_some() && missing == 0 => Decided::Resumed,
            MethodRequest::Auto if missing == 0 => Decided::Remembered,
            MethodRequest::Auto if !remembered.can_be_kept() => Decided::FixedTable,
            MethodRequest::Auto if !run => Decided::NotYet { missing },
            MethodRequest::Auto => {
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
        if let Some(checkpoint) = &checkpoint
            && !choices.quiet
        {
            for difference in checkpoint.differences(&engine) {
                let difference = difference.spelled(&CommandLine);
                say(format_args!(
                    "warning: since the checkpoint {difference}: the last bits of the picture may differ"
                ));
            }
        }
        Ok(Job { options, output, content, style, engine, plan, decided, checkpoint })
    }
}

/// Memory is short, and `plan` takes less.
fn say_smaller(shortage: &Error, plan: &Plan, choices: &Choices) {
    if let Error::Memory { what, needed, available, .. } = shortage
        && !choices.quiet
    {
        let [needed, available, smaller] =
            [*needed, *available, plan.bytes.total].map(|bytes| bytes.div_ceil(1 << 20));
        say(format_args!(
            "warning: {what} needs {needed} MiB of memory, the device has {available}: going on as with \
             --low-memory, slower, with {smaller} MiB"
        ));
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
    /// Where to go on.
    pub(super) checkpoint: Option<Checkpoint>,
}

impl Job {
    /// Steps that the picture has had already.
    pub(super) fn begun(&self) -> u32 {
        self.checkpoint.as_ref().map_or(0, Checkpoint::step)
    }

    /// Puts everything on the device; where that has too little memory, takes the smaller plan.
    pub(super) async fn prepare(&mut self, choices: &Choices) -> Result<Transfer> {
        match self.begin().await {
            Err(shortage @ Error::Memory { .. }) if !self.engine.options().low_memory => {
                self.engine.release_weights().await?;
                self.engine = self.engine.with_low_memory();
                let sides = |picture: &Picture| (picture.width(), picture.height());
                self.plan =
                    Transfer::plan(&self.engine, sides(&self.content), sides(&self.style), &self.options)?;
                self.decided = Decided::LowMemory;
                say_smaller(&shortage, &self.plan, choices);
                Ok(self.begin().await?)
            }
            begun => Ok(begun?),
        }
    }

    async fn begin(&self) -> impasto::Result<Transfer> {
        let Self { engine, content, style, options, .. } = self;
        match &self.checkpoint {
            Some(checkpoint) => Transfer::resume(engine, content, style, options, checkpoint).await,
            None => Transfer::prepare(engine, content, style, options).await,
        }
    }
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
    /// As before the checkpoint that is resumed.
    Resumed,
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
            Self::Resumed => "resumed",
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
            Self::Resumed => "those of the run that is resumed".into(),
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

fn read_checkpoint(path: &Path) -> Result<Checkpoint> {
    let hint = "give --resume a file that --checkpoint or Ctrl-C wrote";
    let bytes = files::read(path, CHECKPOINT_LIMIT, hint)?;
    Ok(Checkpoint::from_bytes(&bytes, &path.display().to_string())?)
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
