//! Progress on stderr: a bar on a terminal, plain lines on a pipe.

use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::time::Duration;

use impasto::transfer::{Costs, Group};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::say;

/// Steps between two plain lines.
const LINE_EVERY: u32 = 20;

/// Shows how far a run is.
pub(super) struct Progress {
    show: Show,
    steps: u32,
    /// Steps that an earlier run has taken.
    begun: u32,
    /// The last costs, as text.
    costs: String,
    /// Whether it was said how long the run will take by its own steps.
    has_told: bool,
    /// Lines that stay on the screen.
    said: Cell<usize>,
}

/// Seconds that a step of the size that is painted takes, and those of all that are left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) each: f64,
    pub(super) left: f64,
    /// Whether steps of this run say so, and not yet only trials before them.
    pub(super) is_of_steps: bool,
}

impl Pace {
    fn text(self) -> String {
        format!("{} per step, {} left", duration(self.each), duration(self.left))
    }
}

enum Show {
    Nothing,
    Lines,
    Bar(ProgressBar),
}

impl Progress {
    /// The progress of a run of which an earlier one has taken `begun` steps.
    pub(super) fn new(begun: u32, quiet: bool) -> Self {
        let show = match (quiet, io::stderr().is_terminal()) {
            (true, _) => Show::Nothing,
            (_, false) => Show::Lines,
            (_, true) => Show::Bar(bar()),
        };
        Self { show, steps: begun, begun, costs: String::new(), has_told: false, said: Cell::new(0) }
    }

    /// Writes a line that stays on the screen.
    pub(super) fn note(&self, message: &str) {
        if !matches!(self.show, Show::Nothing) {
            self.said.set(self.said.get() + 1);
            self.aside(|| say(message));
        }
    }

    /// How many notes were written.
    pub(super) fn said(&self) -> usize {
        self.said.get()
    }

    /// Writes something else to the screen, from which the bar is taken for that time.
    pub(super) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.show {
            Show::Nothing | Show::Lines => write(),
            Show::Bar(bar) => bar.suspend(write),
        }
    }

    /// The first step is about to begin, of `steps` in all.
    pub(super) fn begin(&mut self, steps: u32, pace: Option<Pace>) {
        self.steps = steps;
        if let Some(pace) = pace.filter(|_| steps > self.begun) {
            let count = steps - self.begun;
            let count = if count == 1 { "the step".to_owned() } else { format!("the {count} steps") };
            self.note(&format!("{count} will take about {}", duration(pace.left)));
        }
        if let Show::Bar(bar) = &self.show {
            bar.set_length(u64::from(self.steps));
            bar.set_position(u64::from(self.begun));
            if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len}  {wide_msg}\n{prefix}") {
                bar.set_style(style);
            }
            bar.set_message("the first step");
        }
    }

    /// Step `done` of `steps` in all is done, and took `lap` seconds.
    pub(super) fn step(&mut self, done: u32, steps: u32, lap: f64, pace: Option<Pace>) {
        self.steps = steps;
        let others = self.steps.saturating_sub(done);
        if done == self.begun + 1 && others > 0 {
            self.note(&format!("the first step took {}", duration(lap)));
        }
        if let Some(Pace { left, .. }) = pace.filter(|pace| pace.is_of_steps && !self.has_told && others > 0)
        {
            self.has_told = true;
            let count = if others == 1 { "last step".to_owned() } else { format!("other {others} steps") };
            self.note(&format!("the {count} will take about {}", duration(left)));
        }
        if let Show::Bar(bar) = &self.show {
            bar.set_length(u64::from(steps));
            bar.set_position(u64::from(done));
            bar.set_message(match pace {
                Some(pace) => pace.text(),
                None => format!("the last step took {}", duration(lap)),
            });
            bar.set_prefix(self.costs.clone());
        }
    }

    /// The costs of the picture after `step` steps are known.
    pub(super) fn costs(&mut self, step: u32, costs: &Costs, pace: Option<Pace>) {
        self.costs = format!("total {:.3e}", costs.total);
        for group in [Group::Content, Group::Style, Group::Match] {
            if let Some(cost) = costs.group(group) {
                self.costs.push_str(&format!(", {group} {cost:.3e}"));
            }
        }
        let steps = self.steps;
        if !matches!(self.show, Show::Lines)
            || step > self.begun && step < steps && !step.is_multiple_of(LINE_EVERY)
        {
            return;
        }
        let mut line = format!("step {step}/{steps}: {}", self.costs);
        if let Some(pace) = pace.filter(|_| step > self.begun && step < steps) {
            line.push_str(&format!(", {}", pace.text()));
        }
        say(line);
    }

    /// The run is over; `message` says how it ended.
    pub(super) fn end(self, message: &str) {
        if let Show::Bar(bar) = &self.show {
            let costs = if self.costs.is_empty() { String::new() } else { format!("{}\n", self.costs) };
            bar.finish_and_clear();
            say(format_args!("{costs}{message}"));
        } else {
            self.note(message);
        }
    }
}

fn bar() -> ProgressBar {
    const TICK: Duration = Duration::from_millis(120);
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{spinner} preparing: {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(TICK);
    bar
}

/// `0.35 s`, `12.3 s`, `4 min 5 s`, `2 h 10 min`.
pub(super) fn duration(seconds: f64) -> String {
    // Rounded first: 59.99 s are a minute.
    let whole = seconds.round() as u64;
    let minutes = (seconds / 60.0).round() as u64;
    match seconds {
        ..0.995 => format!("{:.2} s", seconds.max(0.0)),
        0.995..59.95 => format!("{seconds:.1} s"),
        59.95..3599.5 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", minutes / 60, minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units_at_most() {
        for (seconds, text) in [
            (-1.0, "0.00 s"),
            (0.349, "0.35 s"),
            (0.999, "1.0 s"),
            (12.34, "12.3 s"),
            (59.99, "1 min 0 s"),
            (245.2, "4 min 5 s"),
            (3599.9, "1 h 0 min"),
            (7_809.0, "2 h 10 min"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }
}
