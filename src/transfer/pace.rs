//! How long slices take on this device, learnt while they run, so that a submission stays short.

use std::collections::VecDeque;
use std::ops::Range;

use web_time::Instant;

use crate::error::Result;
use crate::gpu::{Gpu, Submission};
use crate::graph::Program;

/// Seconds of work in one submission. A Windows driver resets after 2 s; people notice 0.2 s.
const SUBMISSION_SECONDS: f64 = 0.1;
/// Submissions that may be under way: one runs while the next one waits.
const SUBMISSIONS_UNDER_WAY: usize = 2;
/// How far one measurement may move an estimate: the first run of a kernel may include its compilation.
const LARGEST_CORRECTION: f64 = 4.0;

/// Seconds that a unit of work takes, for each dispatch of one program: kernels differ tenfold.
#[derive(Debug)]
pub(super) struct Pace {
    seconds_a_work: Vec<f64>,
}

impl Pace {
    /// A first guess: `work` takes as long as a submission should.
    pub(super) fn new(program: &Program, work: u64) -> Self {
        Self { seconds_a_work: vec![SUBMISSION_SECONDS / work as f64; program.dispatches.len()] }
    }

    /// One past the last slice of the submission that begins with the first of `slices`.
    pub(super) fn submission_end(&self, program: &Program, slices: Range<usize>) -> usize {
        let update = program.update_slices();
        let mut seconds = 0.0;
        slices
            .clone()
            .find(|index| {
                seconds += self.seconds(program, *index);
                // The optimiser's slices stay together: the pixels change wholly or not at all.
                *index > slices.start && *index <= update && seconds > SUBMISSION_SECONDS
            })
            .unwrap_or(slices.end)
    }

    fn seconds(&self, program: &Program, slice: usize) -> f64 {
        let slice = &program.slices[slice];
        slice.work as f64 * self.seconds_a_work[slice.dispatch as usize]
    }

    /// The submission of `slices` took `seconds`.
    fn learn(&mut self, program: &Program, slices: Range<usize>, seconds: f64) {
        let guess: f64 = slices.clone().map(|slice| self.seconds(program, slice)).sum();
        let correction = (seconds / guess.max(1e-9)).clamp(1.0 / LARGEST_CORRECTION, LARGEST_CORRECTION);
        let dispatches = &program.slices[slices];
        let first = dispatches.first().map_or(0, |slice| slice.dispatch as usize);
        let last = dispatches.last().map_or(0, |slice| slice.dispatch as usize + 1);
        for seconds_a_work in &mut self.seconds_a_work[first..last] {
            *seconds_a_work *= correction;
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

    pub(super) fn submission_end(&self, slices: Range<usize>) -> usize {
        self.pace.submission_end(self.program, slices)
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
