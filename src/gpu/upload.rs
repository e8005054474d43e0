//! Uploads through a small ring of staging buffers, recorded into any command encoder.

use super::Gpu;
use super::slot::{Slot, SlotState};
use crate::error::Result;

const WHAT: &str = "writing to the GPU";
/// Failed attempts in a row after which no other thread can be expected to return staging memory. The wait between two
/// attempts takes a fraction of a millisecond.
const MAX_FAILED_ATTEMPTS: u32 = 3000;

/// A ring of staging buffers.
///
/// A buffer is in use from the recording of its copy until the GPU has run it. So a write takes place between the
/// commands before it and those after it. [`wgpu::Queue::write_buffer`] would run before everything that is not
/// submitted yet, and take as much memory again as it writes. Nothing here submits, polls or waits.
#[derive(Debug)]
pub(crate) struct Staging(Vec<Slot>);

impl Staging {
    /// Bytes of one buffer.
    pub(crate) const SLOT_BYTES: u64 = 1 << 20;
    const SLOTS: usize = 4;
    /// Bytes of all buffers.
    pub(crate) const BYTES: u64 = Self::SLOT_BYTES * Self::SLOTS as u64;

    async fn new(gpu: &Gpu) -> Result<Self> {
        let mut slots = Vec::with_capacity(Self::SLOTS);
        for _ in 0..Self::SLOTS {
            let buffer = gpu
                .create_buffer(&wgpu::BufferDescriptor {
                    label: Some("impasto.staging"),
                    size: Self::SLOT_BYTES,
                    usage: wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC,
                    mapped_at_creation: true,
                })
                .await?;
            slots.push(Slot::new(buffer, SlotState::Mapped));
        }
        Ok(Self(slots))
    }

    /// Records the copy of the first of `bytes` to `buffer`, from `offset` on, and returns how many it took: 0 where
    /// all buffers of the ring are in use. Offset and number of bytes are multiples of 4.
    fn copy(
        &self,
        gpu: &Gpu,
        encoder: &mut wgpu::CommandEncoder,
        buffer: &wgpu::Buffer,
        offset: u64,
        bytes: &[u8],
    ) -> Result<usize> {
        for discarded in self.0.iter().filter(|slot| slot.is(SlotState::Discarded)) {
            discarded.map_on_submit(encoder, wgpu::MapMode::Write);
        }
        let Some(slot) = self.0.iter().find(|slot| slot.is(SlotState::Mapped)) else {
            let refused = self.0.iter().all(|slot| slot.is(SlotState::Refused));
            return if refused { Err(gpu.fault(WHAT, "its memory cannot be reached".into())) } else { Ok(0) };
        };
        let taken = bytes.len().min(Self::SLOT_BYTES as usize);
        match slot.buffer.get_mapped_range_mut(..taken as u64) {
            Ok(mut view) => view.copy_from_slice(&bytes[..taken]),
            Err(error) => return Err(gpu.fault(WHAT, error.to_string())),
        }
        slot.buffer.unmap();
        encoder.copy_buffer_to_buffer(&slot.buffer, 0, buffer, offset, taken as u64);
        slot.map_on_submit(encoder, wgpu::MapMode::Write);
        Ok(taken)
    }
}

impl Gpu {
    /// Allocates the memory of [`Gpu::stage`] at the first call.
    ///
    /// # Errors
    /// [`crate::Error::Memory`] where it does not fit, [`crate::Error::Gpu`] where the device is lost.
    pub(crate) async fn open_staging(&self) -> Result<()> {
        if self.staging().is_none() {
            let staging = Staging::new(self).await?;
            // Two threads may get here at the same time: the second one's ring is dropped.
            self.staging().get_or_insert(staging);
        }
        Ok(())
    }

    /// Records the copy of the first of `bytes` to a buffer with `COPY_DST`, from `offset` on, and returns how many it
    /// took: 0 where all staging memory is in use until the GPU has run earlier copies. Offset and number of bytes are
    /// multiples of 4. Submits nothing, and waits for nothing.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] where the device is lost.
    pub(crate) fn stage(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        buffer: &wgpu::Buffer,
        offset: u64,
        bytes: &[u8],
    ) -> Result<usize> {
        match &*self.staging() {
            Some(staging) => staging.copy(self, encoder, buffer, offset, bytes),
            None => Err(self.fault(WHAT, "it has no staging memory".into())),
        }
    }

    /// Writes `bytes` to a buffer with `COPY_DST`, from `offset` on; both are multiples of 4. All later submissions see
    /// them. Submits, and waits while 4 MiB of staging memory are in use.
    ///
    /// The future polls the device, and outside a browser it sleeps 300 µs in each `poll` that finds the GPU not ready:
    /// a thread of an async executor is blocked for that long.
    ///
    /// # Errors
    /// [`crate::Error::Memory`] where the staging does not fit, [`crate::Error::Gpu`] where the device is lost.
    pub async fn write(&self, buffer: &wgpu::Buffer, offset: u64, bytes: &[u8]) -> Result<()> {
        self.open_staging().await?;
        let (mut written, mut retry) = (0, StagingRetry::default());
        while written < bytes.len() {
            let mut encoder = self.encoder("impasto.upload");
            let taken = self.stage(&mut encoder, buffer, offset + written as u64, &bytes[written..])?;
            self.queue().submit([encoder.finish()]);
            written += taken;
            retry.submitted(self, taken > 0).await?;
        }
        Ok(())
    }

    /// A buffer that begins with `bytes`, whose number is a multiple of 4. Meant for small buffers: wgpu copies the
    /// bytes with the next submission, and they take their memory twice until then. Submits nothing.
    ///
    /// # Errors
    /// [`crate::Error::Memory`] where it does not fit, [`crate::Error::Gpu`] where the device is lost.
    pub(crate) async fn buffer_with(
        &self,
        label: &str,
        bytes: &[u8],
        usage: wgpu::BufferUsages,
    ) -> Result<wgpu::Buffer> {
        let buffer = self
            .create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size: (bytes.len() as u64).max(16),
                usage,
                mapped_at_creation: true,
            })
            .await?;
        match buffer.get_mapped_range_mut(..bytes.len() as u64) {
            Ok(mut view) => view.copy_from_slice(bytes),
            Err(error) => return Err(self.fault(WHAT, error.to_string())),
        }
        buffer.unmap();
        Ok(buffer)
    }
}

/// Counts failed attempts to get staging memory, and waits between two of them.
#[derive(Debug, Default)]
pub(crate) struct StagingRetry {
    failed_attempts: u32,
}

impl StagingRetry {
    /// To be called after each submission. If its encoder got no staging memory, waits for all submitted work, which
    /// returns some.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] where the device is lost, or where encoders that are not submitted hold all of it.
    pub(crate) async fn submitted(&mut self, gpu: &Gpu, had_memory: bool) -> Result<()> {
        if had_memory {
            self.failed_attempts = 0;
            return Ok(());
        }
        self.failed_attempts += 1;
        if self.failed_attempts > MAX_FAILED_ATTEMPTS {
            return Err(crate::Error::Gpu {
                what: WHAT.into(),
                reason: "all staging memory is in command encoders that are not submitted".into(),
                remedy: "submit or drop the encoders that were recorded into before you wait for the GPU"
                    .into(),
            });
        }
        gpu.submitted().wait(gpu, WHAT).await
    }
}
