//! How much work the steps of a transfer are: known before the first of them, so that the time that they take can be told from
//! the time of a few.

use super::optimiser::Optimiser;
use super::options::Options;
use super::planning::{Plan, ProgramKind};
use crate::graph::Program;

/// Work of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Floating-point operations.
    pub flops: f64,
    /// Bytes that are read and written.
    pub bytes: f64,
    /// Dispatches.
    pub dispatches: f64,
}

impl Work {
    pub(super) fn of(program: &Program) -> Self {
        let dispatches = &program.dispatches;
        Self {
            flops: program.flops() as f64,
            bytes: dispatches.iter().map(|dispatch| dispatch.bytes as f64).sum(),
            dispatches: dispatches.len() as f64,
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            flops: self.flops + other.flops,
            bytes: self.bytes + other.bytes,
            dispatches: self.dispatches + other.dispatches,
        }
    }

    fn times(self, count: u32) -> Self {
        let count = f64::from(count);
        Self { flops: count * self.flops, bytes: count * self.bytes, dispatches: count * self.dispatches }
    }
}

/// Work with the time that it took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timed {
    /// The work.
    pub work: Work,
    /// Seconds.
    pub seconds: f64,
}

impl Timed {
    pub(super) fn plus(self, other: Self) -> Self {
        Self { work: self.work.plus(other.work), seconds: self.seconds + other.seconds }
    }
}

/// The work of all steps of a transfer.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// The coarsest size first.
    scales: Vec<ScaleWork>,
    /// Every step of this many makes anew what those after it go on with.
    refreshes_every: u32,
}

/// The work of the steps at one size.
#[derive(Clone, Debug, PartialEq)]
struct ScaleWork {
    /// What comes before its first step: pixels from the size before, targets, and what is looked up.
    begin: Work,
    /// A step that does all.
    whole: Work,
    /// A step that goes on with what another one made.
    usual: Work,
    steps: u32,
}

impl ScaleWork {
    /// Work of the last `count` of its steps, and of what comes before the first of them where that is among them.
    fn last(&self, count: u32, refreshes_every: u32) -> Work {
        let whole = |steps: u32| steps.div_ceil(refreshes_every);
        let whole = whole(self.steps) - whole(self.steps - count);
        let steps = self.whole.times(whole).plus(self.usual.times(count - whole));
        if count == self.steps { steps.plus(self.begin) } else { steps }
    }
}

impl Plan {
    /// The work of the steps that `options` ask for, which are those that it was planned for but for their number.
    pub fn workload(&self, options: &Options) -> Workload {
        let main = self.step_id();
        let program = |scale: usize, refreshes: bool| {
            let id = ProgramKind::Step { refreshes }.at(scale);
            let other = || self.others.get(&id).map(|planned| &planned.program);
            if id == main { Some(&self.step.program) } else { other() }
        };
        let of_scale = |(scale, _)| {
            let usual = program(scale, false).map(Work::of).unwrap_or_default();
            let is_before = |kind: ProgramKind| {
                matches!(kind, ProgramKind::Target(_) | ProgramKind::LookUp(_) | ProgramKind::Enlarge)
            };
            // What comes before the first step of all is done when the transfer is prepared.
            let before =
                self.others.iter().filter(|(id, _)| id.scale == scale && scale > 0 && is_before(id.kind));
            ScaleWork {
                begin: before.fold(Work::default(), |sum, (_, planned)| sum.plus(Work::of(&planned.program))),
                whole: program(scale, true).map_or(usual, Work::of),
                usual,
                steps: options.steps_at(scale),
            }
        };
        let scales = self.scales.iter().map(of_scale).collect();
        Workload { scales, refreshes_every: Optimiser::of(options).refreshes_every() }
    }
}

impl Workload {
    /// Work of the last `steps` steps of a transfer that takes all of them, and of what comes before each size of which the first
    /// step is among them.
    pub fn last(&self, steps: u32) -> Work {
        let mut left = steps;
        self.scales.iter().rev().fold(Work::default(), |sum, scale| {
            let here = left.min(scale.steps);
            left -= here;
            if here == 0 { sum } else { sum.plus(scale.last(here, self.refreshes_every)) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(flops: f64) -> Work {
        Work { flops, bytes: 2.0 * flops, dispatches: 1.0 }
    }

    #[test]
    fn the_last_steps_are_those_of_the_finest_sizes() {
        let scale = |begin, whole, usual, steps| ScaleWork {
            begin: work(begin),
            whole: work(whole),
            usual: work(usual),
            steps,
        };
        let workload = Workload {
            scales: vec![scale(0.0, 3.0, 1.0, 3), scale(100.0, 30.0, 10.0, 4)],
            refreshes_every: 2,
        };
        let flops: Vec<f64> = (0..=8).map(|steps| workload.last(steps).flops).collect();
        // Every second step of a size does all, the first one included.
        assert_eq!(flops, [0.0, 10.0, 40.0, 50.0, 180.0, 183.0, 184.0, 187.0, 187.0]);
        assert_eq!(workload.last(4).bytes, 360.0);
        assert_eq!(workload.last(4).dispatches, 5.0);
        let even = Workload { refreshes_every: 1, ..workload };
        assert_eq!(even.last(2).flops, 60.0);
    }
}
