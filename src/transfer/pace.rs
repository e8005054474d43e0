//! How long slices take on this device, learnt while they run, so that a submission or a host's frame stays short.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use web_time::Instant;

use crate::error::Result;
use crate::gpu::{Gpu, Submission};
use crate::graph::Program;

/// Seconds of work in one submission of ours. A Windows driver resets after 2 s; people notice 0.2 s.
pub(super) const SUBMISSION_SECONDS: f64 = 0.1;
/// Submissions that may be under way: one runs while the next one waits.
const SUBMISSIONS_UNDER_WAY: usize = 2;
/// How far one measurement may move an estimate: the first run of a kernel may include its compilation.
const LARGEST_CORRECTION: f64 = 4.0;

/// Most work of a slice (see [`crate::graph::Limits::slice_work`]) where nothing else is asked for: what a slow adapter
/// of the kind does in a tenth of a second.
pub(super) fn usual_slice_work(gpu: &Gpu) -> u64 {
    match gpu.summary().device_type {
        wgpu::DeviceType::DiscreteGpu => 10_000_000_000,
        wgpu::DeviceType::Cpu => 500_000_000,
        _ => 2_000_000_000,
    }
}

/// Most work of a slice in a host's frames, which have milliseconds where submissions of ours have a tenth of a second. A
/// processor's kernels differ most, so it gets the smallest slices.
pub(super) fn slice_work_for_frames(gpu: &Gpu) -> u64 {
    let pieces = if gpu.summary().is_software() { 30 } else { 10 };
    usual_slice_work(gpu) / pieces
}

/// How much one call of [`super::Transfer::record`] may record. At least one slice always is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Budget {
    /// Work for this much of the GPU's time, by what was measured while earlier work ran (where the device has
    /// timestamps; else by [`super::Transfer::step`], or a guess by the kind of adapter).
    Time(Duration),
    /// This many dispatches and copies.
    Dispatches(u32),
    /// Whatever is left of the step, and what has to come before it.
    Step,
}

/// What may still be recorded, and what was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    seconds: f64,
    dispatches: u32,
    /// Whether the end of a step ends it.
    one_step: bool,
    /// Seconds that what was recorded takes, as far as is known.
    pub(super) spent: f64,
    /// Dispatches and copies that were recorded.
    pub(super) recorded: u32,
}

impl Allowance {
    pub(super) fn new(budget: Budget) -> Self {
        let (seconds, dispatches) = match budget {
            Budget::Time(time) => (time.as_secs_f64(), u32::MAX),
            Budget::Dispatches(dispatches) => (f64::INFINITY, dispatches),
            Budget::Step => (f64::INFINITY, u32::MAX),
        };
        Self { seconds, dispatches, one_step: budget == Budget::Step, spent: 0.0, recorded: 0 }
    }

    /// One submission of ours.
    pub(super) fn submission() -> Self {
        Self::new(Budget::Time(Duration::from_secs_f64(SUBMISSION_SECONDS)))
    }

    /// Whether the end of a step uses it up.
    pub(super) fn ends_with_step(&self) -> bool {
        self.one_step
    }

    /// Whether work of `seconds` may be recorded. The first always may, or nothing would ever be done.
    pub(super) fn allows(&self, seconds: f64) -> bool {
        self.recorded == 0 || (self.spent + seconds <= self.seconds && self.recorded < self.dispatches)
    }

    /// Work of `seconds` is recorded.
    pub(super) fn spend(&mut self, seconds: f64) {
        self.spent += seconds;
        self.recorded += 1;
    }
}

/// Seconds that a unit of work takes, for each dispatch of one program: kernels differ tenfold.
#[derive(Debug)]
pub(super) struct Pace {
    seconds_per_work: Vec<f64>,
}

impl Pace {
    /// A first guess: a slice of the usual work takes as long as a submission should.
    pub(super) fn new(gpu: &Gpu, program: &Program) -> Self {
        let seconds = SUBMISSION_SECONDS / usual_slice_work(gpu) as f64;
        Self { seconds_per_work: vec![seconds; program.dispatches.len()] }
    }

    /// One past the last of `slices` that the allowance covers, which is charged for them.
    pub(super) fn admit(&self, program: &Program, slices: Range<usize>, allowance: &mut Allowance) -> usize {
        let update = program.update_slices();
        for index in slices.clone() {
            let seconds = self.seconds(program, index);
            // The optimiser's slices stay together: the pixels change wholly or not at all.
            if !(allowance.allows(seconds) || index > update) {
                return index;
            }
            allowance.spend(seconds);
        }
        slices.end
    }

    fn seconds(&self, program: &Program, slice: usize) -> f64 {
        let slice = &program.slices[slice];
        slice.work as f64 * self.seconds_per_work[slice.dispatch as usize]
    }

    /// `slices` took `seconds`.
    pub(super) fn learn(&mut self, program: &Program, slices: Range<usize>, seconds: f64) {
        let guess: f64 = slices.clone().map(|slice| self.seconds(program, slice)).sum();
        let correction = (seconds / guess.max(1e-9)).clamp(1.0 / LARGEST_CORRECTION, LARGEST_CORRECTION);
        let dispatches = &program.slices[slices];
        let first = dispatches.first().map_or(0, |slice| slice.dispatch as usize);
        let last = dispatches.last().map_or(0, |slice| slice.dispatch as usize + 1);
        for seconds_per_work in &mut self.seconds_per_work[first..last] {
            *seconds_per_work *= correction;
        }
    }
}

/// Submissions under way, oldest first.
pub(super) struct UnderWay<'a> {
    pace: &'a mut Pace,
    program: &'a Program,
    submissions: VecDeque<(Submission, Range<usize>, Instant)>,
    last_end: Instant,
}

impl<'a> UnderWay<'a> {
    pub(super) fn new(pace: &'a mut Pace, program: &'a Program) -> Self {
        Self { pace, program, submissions: VecDeque::new(), last_end: Instant::now() }
    }

    /// One past the last slice of the submission that begins with the first of `slices`.
    pub(super) fn submission_end(&self, slices: Range<usize>) -> usize {
        self.pace.admit(self.program, slices, &mut Allowance::submission())
    }

    /// The slices were just submitted: waits until there is room for more.
    pub(super) async fn push(&mut self, gpu: &Gpu, slices: Range<usize>) -> Result<()> {
        self.submissions.push_back((gpu.submitted(), slices, Instant::now()));
        self.wait(gpu, SUBMISSIONS_UNDER_WAY - 1).await
    }

    /// Waits until no more than `most` are under way.
    pub(super) async fn wait(&mut self, gpu: &Gpu, most: usize) -> Result<()> {
        while self.submissions.len() > most
            && let Some((submission, slices, begin)) = self.submissions.pop_front()
        {
            submission.wait(gpu, "running the program").await?;
            // It began when it was submitted, or when the one before it ended.
            let begin = begin.max(std::mem::replace(&mut self.last_end, Instant::now()));
            self.pace.learn(self.program, slices, (self.last_end - begin).as_secs_f64());
        }
        Ok(())
    }
}
