//! Progress of work whose length is not known, on stderr: one line that changes on a terminal, a plain line for each
//! stage on a pipe.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget};

use super::say;

/// Shows the stage that is under way.
pub(super) enum Busy {
    Nothing,
    Lines,
    Bar(ProgressBar),
}

impl Busy {
    pub(super) fn new(quiet: bool) -> Self {
        match (quiet, io::stderr().is_terminal()) {
            (true, _) => Self::Nothing,
            (_, false) => Self::Lines,
            (_, true) => {
                let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
                bar.enable_steady_tick(Duration::from_millis(200));
                Self::Bar(bar)
            }
        }
    }

    /// A stage begins.
    pub(super) fn stage(&self, line: &str) {
        match self {
            Self::Nothing => {}
            Self::Lines => say(line),
            Self::Bar(bar) => bar.set_message(line.to_owned()),
        }
    }

    /// A part of a stage begins: shown on a terminal only.
    pub(super) fn detail(&self, message: &str) {
        if let Self::Bar(bar) = self {
            bar.set_message(message.to_owned());
        }
    }

    /// The work is done: clears the line.
    pub(super) fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.end();
    }
}
