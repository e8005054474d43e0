//! A program with its buffers and what is known of its speed: recorded slice by slice, or run and read.

use std::ops::Range;

use super::pace::{Allowance, Pace, UnderWay};
use super::planning::ProgramId;
use crate::error::Result;
use crate::gpu::{Gpu, Lap, Readback};
use crate::graph::{Executable, Program};

/// A program on the device.
#[derive(Debug)]
pub(super) struct BoundProgram {
    executable: Executable,
    pace: Pace,
    /// For each tensor that it keeps the external that it is copied to when the program has run.
    results: Vec<String>,
}

impl BoundProgram {
    pub(super) fn new(gpu: &Gpu, executable: Executable, results: Vec<String>) -> Self {
        let pace = Pace::new(gpu, executable.program());
        Self { executable, pace, results }
    }

    pub(super) fn executable(&self) -> &Executable {
        &self.executable
    }

    pub(super) fn program(&self) -> &Program {
        self.executable.program()
    }

    pub(super) fn results(&self) -> &[String] {
        &self.results
    }

    /// How many slices it has.
    pub(super) fn slices(&self) -> usize {
        self.program().slices.len()
    }

    /// Everything that it keeps: (buffer, offset, bytes), in order.
    pub(super) fn kept(&self) -> Vec<(&wgpu::Buffer, u64, u64)> {
        self.executable.all_kept()
    }

    /// One past the last slice that the allowance covers from `start` on; the allowance is charged for them.
    pub(super) fn admit(&self, start: usize, allowance: &mut Allowance) -> usize {
        self.pace.admit(self.program(), start..self.slices(), allowance)
    }

    /// Records slices, timed by `lap` as far as that has room.
    pub(super) fn record(
        &self,
        id: ProgramId,
        encoder: &mut wgpu::CommandEncoder,
        slices: Range<usize>,
        lap: &mut Lap<'_, ProgramId>,
    ) {
        self.executable.record_timed(encoder, slices, lap, id);
    }

    /// `slices` took `seconds`. What is not of this program, because it has taken another one's place, is passed over.
    pub(super) fn learn(&mut self, slices: Range<usize>, seconds: f64) {
        if slices.end <= self.slices() {
            self.pace.learn(self.executable.program(), slices, seconds);
        }
    }

    /// Runs slices, then reads back what the program keeps, and waits for it: about a tenth of a second a submission,
    /// with two of them under way. `before` is recorded before the first slice. Dropping the future stops between
    /// submissions, and never between the dispatches that change the pixels.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] where the device is lost.
    pub(super) async fn run_and_read(
        &mut self,
        gpu: &Gpu,
        slices: Range<usize>,
        before: impl FnOnce(&mut wgpu::CommandEncoder),
        readback: &mut Readback,
    ) -> Result<Vec<u8>> {
        let Self { executable, pace, .. } = self;
        let kept = executable.all_kept();
        let mut under_way = UnderWay::new(pace, executable.program());
        let mut before = Some(before);
        let mut start = slices.start;
        let ticket = loop {
            let end = under_way.submission_end(start..slices.end);
            let mut encoder = gpu.encoder("impasto");
            if let Some(before) = before.take() {
                before(&mut encoder);
            }
            executable.record(&mut encoder, start..end);
            let ticket = (end == slices.end).then(|| readback.copy(&mut encoder, &kept));
            gpu.queue().submit([encoder.finish()]);
            under_way.push(gpu, start..end).await?;
            start = end;
            if let Some(ticket) = ticket {
                break ticket;
            }
        };
        under_way.wait(gpu, 0).await?;
        gpu.check("running the program")?;
        readback.read(gpu, ticket).await
    }
}
