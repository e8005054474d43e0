//! Bytes on their way to the device, through little memory and inside anybody's command encoder.

use super::Gpu;
use super::slot::{Slot, Whereabouts};
use crate::error::Result;

const WHAT: &str = "writing to the GPU";
/// Waits after which no other thread is going to give staging memory back; each takes a fraction of a millisecond.
const MOST_FRUITLESS: u32 = 3000;

/// A ring of buffers through which bytes reach the device.
///
/// Each goes out with the commands that copy from it and comes back when they have run, so what is written lies between
/// the commands before and those behind it: [`wgpu::Queue::write_buffer`] would come before everything that is not
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
            slots.push(Slot::new(buffer, Whereabouts::Here));
        }
        Ok(Self(slots))
    }

    /// Records the copy of the first of `bytes` to `buffer`, from `offset` on, and returns how many it took: 0 where all
    /// of the ring is under way. Offset and number of bytes are multiples of 4.
    fn copy(
        &self,
        gpu: &Gpu,
        encoder: &mut wgpu::CommandEncoder,
        buffer: &wgpu::Buffer,
        offset: u64,
        bytes: &[u8],
    ) -> Result<usize> {
        for discarded in self.0.iter().filter(|slot| slot.is(Whereabouts::Discarded)) {
            discarded.map_on_submit(encoder, wgpu::MapMode::Write);
        }
        let Some(slot) = self.0.iter().find(|slot| slot.is(Whereabouts::Here)) else {
            let refused = self.0.iter().all(|slot| slot.is(Whereabouts::Refused));
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
    /// Sees to it that [`Gpu::stage`] has its memory.
    ///
    /// # Errors
    /// [`crate::Error::Memory`] where it does not fit, [`crate::Error::Gpu`] where the device is lost.
    pub(crate) async fn open_staging(&self) -> Result<()> {
        if self.staging().is_none() {
            let staging = Staging::new(self).await?;
            // Where two threads come at once, one ring is dropped again.
            self.staging().get_or_insert(staging);
        }
        Ok(())
    }

    /// Records the copy of the first of `bytes` to a buffer with `COPY_DST`, from `offset` on, and returns how many it
    /// took: 0 where no staging memory is free before more of what was recorded has run. Offset and number of bytes are
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

    /// Writes `bytes` to a buffer with `COPY_DST`, from `offset` on; both are multiples of 4. Whatever is submitted
    /// later sees them. Submits, and waits where more than a few MiB are under way.
    ///
    /// # Errors
    /// [`crate::Error::Memory`] where the staging does not fit, [`crate::Error::Gpu`] where the device is lost.
    pub async fn write(&self, buffer: &wgpu::Buffer, offset: u64, bytes: &[u8]) -> Result<()> {
        self.open_staging().await?;
        let (mut written, mut patience) = (0, Patience::default());
        while written < bytes.len() {
            let mut encoder = self.encoder("impasto.upload");
            let taken = self.stage(&mut encoder, buffer, offset + written as u64, &bytes[written..])?;
            self.queue().submit([encoder.finish()]);
            written += taken;
            patience.submitted(self, taken > 0).await?;
        }
        Ok(())
    }

    /// A buffer that begins with `bytes`, whose number is a multiple of 4. Meant for small ones: they are on their way to
    /// the device until the host's next submission, and take their memory twice until then. Submits nothing.
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

/// How often in a row there was no staging memory to be had.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    fruitless: u32,
}

impl Patience {
    /// Something was submitted. Where it had got no staging memory, waits for everything submitted, which gives some back.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] where the device is lost, or where all of it is in encoders that nobody submits.
    pub(crate) async fn submitted(&mut self, gpu: &Gpu, had_memory: bool) -> Result<()> {
        if had_memory {
            self.fruitless = 0;
            return Ok(());
        }
        self.fruitless += 1;
        if self.fruitless > MOST_FRUITLESS {
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
