//! When and where the state of a run is written, and the last state that is on the disk.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use impasto::transfer::Transfer;

use super::args::RunArguments;
use super::output::{self, Output};
use super::{Failure, Result};

/// The checkpoints of a run.
pub(super) struct Checkpoints {
    /// `--checkpoint`.
    path: Option<PathBuf>,
    every: u32,
    /// Where a signal leaves one without `--checkpoint`; `None` beside a painting that goes to standard output.
    interrupted: Option<PathBuf>,
    /// The last one on the disk that this run began from or wrote.
    last: Option<(u32, PathBuf)>,
}

impl Checkpoints {
    /// For a run that goes on after `begun` steps, or begins.
    pub(super) fn new(arguments: &RunArguments, output: &Output, begun: u32) -> Self {
        Self {
            path: arguments.checkpoint.clone(),
            every: arguments.checkpoint_every(),
            interrupted: interrupted_path(output),
            last: arguments.resume.clone().map(|path| (begun, path)),
        }
    }

    /// Whether one is due after `step` of `steps`. After the last one it is written in any case.
    pub(super) fn due(&self, step: u32, steps: u32) -> bool {
        self.path.is_some() && step < steps && step.is_multiple_of(self.every)
    }

    /// Writes one, if they are asked for.
    pub(super) async fn write(&mut self, transfer: &Transfer) -> Result<()> {
        let Some(path) = self.path.clone() else { return Ok(()) };
        let checkpoint = transfer.checkpoint().await?;
        output::write(&path, &checkpoint.to_bytes()?)?;
        self.last = Some((checkpoint.step(), path));
        Ok(())
    }

    /// Writes the last one of a run that a signal ends, and returns the steps taken and its path; `None` where there is no place
    /// for one.
    pub(super) async fn write_interrupted(&self, transfer: &Transfer) -> Result<Option<(u32, &Path)>> {
        let Some(path) = self.path.as_ref().or(self.interrupted.as_ref()) else { return Ok(None) };
        let checkpoint = transfer.checkpoint().await?;
        output::write_or_rescue(path, &checkpoint.to_bytes()?, "the checkpoint")?;
        Ok(Some((checkpoint.step(), path)))
    }

    /// The failure of a run, with how to go on from its last checkpoint.
    pub(super) fn with_resume_hint(&self, failure: Failure) -> Failure {
        match (failure, &self.last) {
            (Failure::Failed(message), Some((step, path))) => Failure::Failed(format!(
                "{message}\nthe state after step {step} is in {path}: the same command with --resume {path} goes on \
                 from there",
                path = path.display()
            )),
            (failure, _) => failure,
        }
    }
}

/// Where a signal leaves a checkpoint that was not asked for: `out.png.impasto` for `out.png`. Nowhere beside standard output,
/// whose user asked for no file.
pub(super) fn interrupted_path(output: &Output) -> Option<PathBuf> {
    let mut name = OsString::from(output.path());
    name.push(".impasto");
    (!output.is_standard()).then(|| name.into())
}
