//! What a run and `explain` have in common: the choices checked, the files read, the device open, the work
//! planned.

use std::path::Path;

use impasto::gpu::Gpu;
use impasto::nn::Weights;
use impasto::ops::Precision;
use impasto::picture::{MEMORY_LIMIT, Picture};
use impasto::transfer::{Engine, EngineOptions, Init, Options, Plan, Transfer};

use super::args::Choices;
use super::files::{self, Named};
use super::output::{self, Output};
use super::{Failure, Result};

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

    /// Reads the pictures and the weights, opens the device and plans.
    pub(super) async fn plan(self) -> Result<Job> {
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
        let engine = engine(gpu, weights, choices.precision());
        let sides = |picture: &Picture| (picture.width(), picture.height());
        let plan = Transfer::plan(&engine, sides(&content), sides(&style), &options)?;
        Ok(Job { options, output, content, style, engine, plan })
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
}

/// An engine that does not take more memory than there is.
pub(super) fn engine(gpu: Gpu, weights: Weights, precision: Precision) -> Engine {
    // A software adapter takes what the system has, and the system ends who takes more.
    let memory_bytes = gpu.summary().is_software().then(available_memory).flatten();
    Engine::with_options(gpu, weights, EngineOptions { precision, memory_bytes, ..EngineOptions::default() })
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
