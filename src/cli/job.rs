//! A run whose files are read, whose device is open and whose work is planned.

use impasto::Error;
use impasto::transfer::{Checkpoint, Engine, Options, Plan, Sources, Timed, Transfer};

use super::args::RunArguments;
use super::output::Output;
use super::{Result, say};

/// Everything that a run needs.
pub(super) struct Job {
    pub(super) options: Options,
    pub(super) output: Option<Output>,
    /// The pictures at the size at which they are used.
    pub(super) sources: Sources,
    pub(super) engine: Engine,
    pub(super) plan: Plan,
    pub(super) method_source: MethodSource,
    /// What was learnt of the adapter's speed, where methods were measured.
    pub(super) timed: Option<Timed>,
    /// The state that the run goes on from.
    pub(super) checkpoint: Option<Checkpoint>,
}

impl Job {
    /// Steps that an earlier run has taken.
    pub(super) fn begun(&self) -> u32 {
        self.checkpoint.as_ref().map_or(0, Checkpoint::step)
    }

    /// Puts everything on the device; where that has too little memory, takes the smaller plan.
    pub(super) async fn prepare(&mut self, arguments: &RunArguments) -> Result<Transfer> {
        match self.transfer().await {
            Err(shortage @ Error::Memory { .. }) if !self.engine.options().low_memory => {
                self.engine.release_weights().await?;
                self.engine = self.engine.reconfigured(|options| options.low_memory = true);
                self.plan = Transfer::plan(&self.engine, self.sources.layouts()?, &self.options)?;
                self.method_source = MethodSource::LowMemory;
                warn_of_shortage(&shortage, &self.plan, arguments);
                Ok(self.transfer().await?)
            }
            transfer => Ok(transfer?),
        }
    }

    /// A transfer from the start, or from the checkpoint.
    async fn transfer(&self) -> impasto::Result<Transfer> {
        let Self { engine, sources, options, .. } = self;
        // Pictures share their pixels, so that a second attempt costs nothing.
        let sources = sources.clone();
        let mut transfer = match &self.checkpoint {
            Some(checkpoint) => Transfer::resume(engine, sources, options, checkpoint).await?,
            None => Transfer::prepare(engine, sources, options).await?,
        };
        if self.output.as_ref().is_some_and(Output::is_wide) {
            transfer.prepare_wide().await?;
        }
        Ok(transfer)
    }
}

/// Warns that memory is short, and that `plan`, which takes less, is used.
pub(super) fn warn_of_shortage(shortage: &Error, plan: &Plan, arguments: &RunArguments) {
    if let Error::Memory { what, needed, available, .. } = shortage
        && !arguments.quiet
    {
        let [needed, available, smaller] =
            [*needed, *available, plan.bytes.total].map(|bytes| bytes.div_ceil(1 << 20));
        say(format_args!(
            "warning: {what} needs {needed} MiB of memory, the device has {available}: going on as with \
             --low-memory, which is slower and takes {smaller} MiB"
        ));
    }
}

/// How the methods for the convolutions were chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MethodSource {
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

impl MethodSource {
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
            Self::Asked => "as --algorithm asks; the usual ones for layers that it cannot do".into(),
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
