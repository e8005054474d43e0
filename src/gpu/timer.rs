//! How long slices take: by GPU timestamps where the device has them, by wall-clock time otherwise.

use web_time::Instant;

use super::{Gpu, Readback, Recorder};
use crate::error::Result;

const WHAT: &str = "timing the program";

/// Times slices of a [`Recorder`], a bounded number in each call.
#[derive(Debug)]
pub struct Timer(Option<Timestamps>);

/// Two queries for each pass, and a readback of their values.
#[derive(Debug)]
struct Timestamps {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    readback: Readback,
}

impl Timer {
    /// Maximum number of slices in one [`Timer::time`]: two queries each, far below the 4096 of a query set.
    pub const MAX_SLICES: usize = 256;

    /// A timer for this device.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] where the driver refuses its few small buffers.
    pub async fn new(gpu: &Gpu) -> Result<Self> {
        if !gpu.has_timestamps() {
            return Ok(Self(None));
        }
        let bytes = Self::MAX_SLICES as u64 * Timestamps::PASS_BYTES;
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let queries = gpu.device().create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("impasto.timer"),
            ty: wgpu::QueryType::Timestamp,
            count: 2 * Self::MAX_SLICES as u32,
        });
        let resolved = gpu.buffer("impasto.timer", bytes, usage).await?;
        let readback = Readback::new(gpu, bytes, 1).await?;
        Ok(Self(Some(Timestamps { queries, resolved, readback })))
    }

    /// Runs `slices` (indices into [`Recorder::slices`], at most [`Timer::MAX_SLICES`]) in order, and returns
    /// the seconds of each. With timestamps they are one submission with one compute pass for each slice. Without
    /// timestamps, adjacent slices of the same dispatch are one submission. Its wall-clock time, which includes about
    /// half a millisecond of waiting, is divided among the slices in proportion to their work.
    ///
    /// The future polls the device, and outside a browser it sleeps up to 300 µs in each `poll` that finds the GPU not ready.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] where the device is lost or refuses the dispatch.
    pub async fn time(&mut self, gpu: &Gpu, recorder: &Recorder, slices: &[usize]) -> Result<Vec<f64>> {
        debug_assert!(slices.len() <= Self::MAX_SLICES, "{} slices", slices.len());
        let seconds = match &mut self.0 {
            Some(timestamps) => timestamps.time(gpu, recorder, slices).await?,
            None => time_by_clock(gpu, recorder, slices).await?,
        };
        gpu.check(WHAT)?;
        Ok(seconds)
    }
}

impl Timestamps {
    /// Begin and end of a pass, 64 bits each.
    const PASS_BYTES: u64 = 16;

    async fn time(&mut self, gpu: &Gpu, recorder: &Recorder, slices: &[usize]) -> Result<Vec<f64>> {
        let mut encoder = gpu.encoder("impasto.timer");
        for (index, slice) in (0_u32..).zip(slices) {
            let writes = wgpu::ComputePassTimestampWrites {
                query_set: &self.queries,
                beginning_of_pass_write_index: Some(2 * index),
                end_of_pass_write_index: Some(2 * index + 1),
            };
            recorder.record_pass(&mut encoder, [*slice], Some(writes));
        }
        encoder.resolve_query_set(&self.queries, 0..2 * slices.len() as u32, &self.resolved, 0);
        let bytes = slices.len() as u64 * Self::PASS_BYTES;
        let ticket = self.readback.copy(&mut encoder, &[(&self.resolved, 0, bytes)]);
        gpu.queue().submit([encoder.finish()]);
        Ok(pass_seconds(&self.readback.read(gpu, ticket).await?, seconds_per_tick(gpu)))
    }
}

/// Seconds of each pass, from the ticks at its beginning and its end.
pub(super) fn pass_seconds(ticks: &[u8], seconds_per_tick: f64) -> Vec<f64> {
    let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(ticks);
    // If the clock was reset between two readings, the difference must not wrap to 10¹⁹ ticks.
    ticks.chunks_exact(2).map(|pass| pass[1].saturating_sub(pass[0]) as f64 * seconds_per_tick).collect()
}

pub(super) fn seconds_per_tick(gpu: &Gpu) -> f64 {
    f64::from(gpu.queue().get_timestamp_period()) * 1e-9
}

async fn time_by_clock(gpu: &Gpu, recorder: &Recorder, slices: &[usize]) -> Result<Vec<f64>> {
    let slice = |index: &usize| &recorder.slices()[*index];
    let mut seconds = Vec::with_capacity(slices.len());
    for run in slices.chunk_by(|a, b| slice(a).dispatch == slice(b).dispatch) {
        let mut encoder = gpu.encoder("impasto.timer");
        recorder.record_pass(&mut encoder, run.iter().copied(), None);
        let commands = encoder.finish();
        let begin = Instant::now();
        gpu.queue().submit([commands]);
        gpu.submitted().wait(gpu, WHAT).await?;
        let took = begin.elapsed().as_secs_f64();
        let work: u64 = run.iter().map(|index| slice(index).work).sum();
        seconds.extend(run.iter().map(|index| match work {
            0 => took / run.len() as f64,
            work => took * slice(index).work as f64 / work as f64,
        }));
    }
    Ok(seconds)
}
