//! GPU timestamps of passes that a host submits. They arrive some submissions later; no thread waits for them.

use std::ops::Range;

use super::timer::{pass_seconds, seconds_per_tick};
use super::{Gpu, Mailbox};
use crate::error::Result;

/// Times passes that run slices of programs inside a host's encoders. `T` identifies the program.
#[derive(Debug)]
pub(crate) struct Stopwatch<T> {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    mailbox: Mailbox<Vec<(T, Range<usize>)>>,
    seconds_per_tick: f64,
}

impl<T> Stopwatch<T> {
    /// Maximum number of passes that are timed in one encoder.
    const PASSES: usize = 64;
    /// Begin and end of a pass, 64 bits each.
    const PASS_BYTES: u64 = 16;
    /// Maximum number of encoders whose times have not been read yet.
    const SLOTS: usize = 3;
    const RESOLVED_BYTES: u64 = Self::PASSES as u64 * Self::PASS_BYTES;

    /// One for this device; `None` where it has no timestamps.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] where the driver refuses its few small buffers.
    pub(crate) async fn new(gpu: &Gpu) -> Result<Option<Self>> {
        if !gpu.has_timestamps() {
            return Ok(None);
        }
        let scope = gpu.device().push_error_scope(wgpu::ErrorFilter::Validation);
        let queries = gpu.device().create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("impasto.stopwatch"),
            ty: wgpu::QueryType::Timestamp,
            count: 2 * Self::PASSES as u32,
        });
        if let Some(error) = scope.pop().await {
            return Err(gpu.fault("making a stopwatch", error.to_string()));
        }
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        Ok(Some(Self {
            queries,
            resolved: gpu.buffer("impasto.stopwatch", Self::RESOLVED_BYTES, usage).await?,
            mailbox: Mailbox::new(gpu, Self::RESOLVED_BYTES, Self::SLOTS).await?,
            seconds_per_tick: seconds_per_tick(gpu),
        }))
    }

    /// Bytes that one on this device allocates.
    pub(crate) fn planned_bytes(gpu_has_timestamps: bool) -> u64 {
        let mailbox = Mailbox::<T>::planned_bytes(Self::RESOLVED_BYTES, Self::SLOTS);
        if gpu_has_timestamps { Self::RESOLVED_BYTES + mailbox } else { 0 }
    }

    /// Bytes allocated.
    pub(crate) fn bytes(&self) -> u64 {
        self.resolved.size() + self.mailbox.bytes()
    }

    /// Program, slices and seconds of each pass of the oldest encoder whose times have arrived.
    pub(crate) fn collect(&mut self) -> Option<Vec<(T, Range<usize>, f64)>> {
        let (passes, bytes) = self.mailbox.collect()?;
        let seconds = pass_seconds(&bytes, self.seconds_per_tick);
        Some(
            passes
                .into_iter()
                .zip(seconds)
                .map(|((what, slices), seconds)| (what, slices, seconds))
                .collect(),
        )
    }
}

/// The passes of one encoder that are timed.
#[derive(Debug)]
pub(crate) struct Lap<'a, T> {
    stopwatch: Option<&'a mut Stopwatch<T>>,
    passes: Vec<(T, Range<usize>)>,
}

impl<'a, T> Lap<'a, T> {
    /// Starts timing an encoder. Without a stopwatch, or while all of its slots are in use, nothing is timed.
    pub(crate) fn begin(stopwatch: Option<&'a mut Stopwatch<T>>) -> Self {
        Self { stopwatch: stopwatch.filter(|stopwatch| stopwatch.mailbox.has_room()), passes: Vec::new() }
    }

    /// Whether another pass would be timed.
    pub(crate) fn times(&self) -> bool {
        self.stopwatch.is_some() && self.passes.len() < Stopwatch::<T>::PASSES
    }

    /// The timestamp writes of a pass over these slices; `None` where it is not timed.
    pub(crate) fn time(
        &mut self,
        what: T,
        slices: Range<usize>,
    ) -> Option<wgpu::ComputePassTimestampWrites<'_>> {
        let times = self.times();
        let stopwatch = self.stopwatch.as_ref().filter(|_| times)?;
        let index = 2 * self.passes.len() as u32;
        self.passes.push((what, slices));
        Some(wgpu::ComputePassTimestampWrites {
            query_set: &stopwatch.queries,
            beginning_of_pass_write_index: Some(index),
            end_of_pass_write_index: Some(index + 1),
        })
    }

    /// Records the copy of the times to the CPU.
    pub(crate) fn end(self, encoder: &mut wgpu::CommandEncoder) {
        let Some(stopwatch) = self.stopwatch.filter(|_| !self.passes.is_empty()) else { return };
        let passes = self.passes.len();
        encoder.resolve_query_set(&stopwatch.queries, 0..2 * passes as u32, &stopwatch.resolved, 0);
        let bytes = passes as u64 * Stopwatch::<T>::PASS_BYTES;
        stopwatch.mailbox.post(encoder, &[(&stopwatch.resolved, 0, bytes)], self.passes);
    }
}
