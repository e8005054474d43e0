//! How long a run takes: told from measurements on this adapter, and from nothing else.

use std::time::Instant;

use impasto::transfer::{Work, Workload};

use super::job::Job;
use super::progress::Pace;

/// Steps of a run before they tell how long the others will take: the first warms up, and of the next two one does more.
const TELLING_STEPS: u32 = 3;
/// Trials of methods that tell it: a few of small kernels say little of a step.
const TELLING_TRIALS: f64 = 10.0;

/// How long other work takes, in floating-point operations.
#[derive(Clone, Copy)]
struct Equivalents {
    /// Of a byte that is read or written.
    byte: f64,
    /// Of a dispatch.
    dispatch: f64,
}

/// On a processor. By them all steps of a run took as long for their work to within a factor of 1.5: those of 64 and of 256
/// pixels, those that make a map anew, and those that begin a size (Mesa's lavapipe 25, two cores).
const PROCESSOR: Equivalents = Equivalents { byte: 4.0, dispatch: 1e6 };
/// On a GPU: ten operations in the time of a byte, and some microseconds for a dispatch. From published figures.
const GPU: Equivalents = Equivalents { byte: 10.0, dispatch: 3e7 };

impl Equivalents {
    fn of(self, Work { flops, bytes, dispatches }: Work) -> f64 {
        flops + self.byte * bytes + self.dispatch * dispatches
    }
}

/// Times the steps.
pub(super) struct Clock {
    last: Instant,
    workload: Workload,
    equivalents: Equivalents,
    /// Seconds that a unit of work took in the trials of methods, where there were enough.
    trials: Option<f64>,
    /// Steps that are left, and those that this run has taken.
    remaining: u32,
    taken: u32,
    /// Seconds of the last step, and its work.
    lap: f64,
    own: f64,
    /// Seconds and work of all steps of this run but the first, which also warms up.
    others: [f64; 2],
}

impl Clock {
    /// For a run of which this many steps are left.
    pub(super) fn start(job: &Job, remaining: u32) -> Self {
        let is_software = job.engine.gpu().summary().is_software();
        let equivalents = if is_software { PROCESSOR } else { GPU };
        // A GPU is done with three steps before anyone has read a line.
        let trials = job.timed.filter(|_| is_software);
        let telling = trials.filter(|timed| timed.work.dispatches >= TELLING_TRIALS);
        let mut clock = Self {
            last: Instant::now(),
            workload: job.plan.workload(&job.options),
            equivalents,
            trials: telling.map(|timed| timed.seconds / equivalents.of(timed.work)),
            remaining,
            taken: 0,
            lap: 0.0,
            own: 0.0,
            others: [0.0; 2],
        };
        clock.own = clock.next();
        clock
    }

    /// Seconds of the last step.
    pub(super) fn lap(&self) -> f64 {
        self.lap
    }

    /// A step is done, and this many are left.
    pub(super) fn step(&mut self, remaining: u32) {
        let now = Instant::now();
        self.lap = (now - std::mem::replace(&mut self.last, now)).as_secs_f64();
        self.own = self.next();
        self.remaining = remaining;
        self.taken += 1;
        if self.taken > 1 {
            self.others[0] += self.lap;
            self.others[1] += self.own;
        }
    }

    /// The time since the last step was no step's; `remaining` steps of this work are left.
    pub(super) fn rest(&mut self, workload: Workload, remaining: u32) {
        self.last = Instant::now();
        (self.workload, self.remaining) = (workload, remaining);
    }

    /// Work of the last `steps` steps.
    fn left(&self, steps: u32) -> f64 {
        self.equivalents.of(self.workload.last(steps))
    }

    /// Work of the next step.
    fn next(&self) -> f64 {
        self.left(self.remaining) - self.left(self.remaining.saturating_sub(1))
    }

    /// What steps take, by the seconds that a unit of work took in those of this run, or before there are enough of them in the
    /// trials of methods. `None` where neither tells.
    pub(super) fn pace(&self) -> Option<Pace> {
        let [seconds, work] = self.others;
        let is_of_steps = self.taken >= TELLING_STEPS;
        let per_work = if is_of_steps { Some(seconds / work.max(f64::MIN_POSITIVE)) } else { self.trials };
        per_work.map(|per_work| Pace {
            each: per_work * self.own,
            left: per_work * self.left(self.remaining),
            is_of_steps,
        })
    }
}
