//! A ring of buffers through which values come back from the GPU.

use super::{Gpu, wait::Signal};
use crate::error::Result;

/// Mappable buffers of one size, used in turn.
#[derive(Debug)]
pub struct Readback {
    slots: Vec<wgpu::Buffer>,
    next: usize,
}

/// One copy under way: which slot it went to.
#[derive(Debug)]
#[must_use = "a copy that is not read is lost when its slot is used again"]
pub struct Ticket {
    slot: usize,
    bytes: u64,
}

impl Readback {
    /// A ring of `slots` buffers of `bytes` each.
    ///
    /// # Errors
    /// From [`Gpu::buffer`].
    pub async fn new(gpu: &Gpu, bytes: u64, slots: usize) -> Result<Self> {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let mut buffers = Vec::with_capacity(slots);
        for _ in 0..slots {
            buffers.push(gpu.buffer("impasto.readback", bytes.next_multiple_of(4), usage).await?);
        }
        Ok(Self { slots: buffers, next: 0 })
    }

    /// Bytes that a ring of `slots` buffers of `bytes` each allocates.
    pub const fn planned_bytes(bytes: u64, slots: usize) -> u64 {
        bytes.next_multiple_of(4) * slots as u64
    }

    /// Bytes allocated.
    pub fn bytes(&self) -> u64 {
        self.slots.iter().map(wgpu::Buffer::size).sum()
    }

    /// Records the copies of several ranges (buffer, offset, bytes) into the next slot, one after the other.
    pub fn copy(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        sources: &[(&wgpu::Buffer, u64, u64)],
    ) -> Ticket {
        let slot = self.next;
        self.next = (self.next + 1) % self.slots.len();
        let mut at = 0;
        for (buffer, offset, bytes) in sources {
            encoder.copy_buffer_to_buffer(buffer, *offset, &self.slots[slot], at, *bytes);
            at += bytes;
        }
        Ticket { slot, bytes: at }
    }

    /// Waits for a submitted copy and returns its bytes. Dropping the future frees the slot.
    ///
    /// The future polls the device, and outside a browser it sleeps up to 300 µs in each `poll` that finds the GPU not ready.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] where the device is lost.
    pub async fn read(&self, gpu: &Gpu, ticket: Ticket) -> Result<Vec<u8>> {
        const WHAT: &str = "reading back from the GPU";
        let buffer = &self.slots[ticket.slot];
        let signal = Signal::new();
        // The signal gets the error, too. Without this scope it would abort a host that has no error handler.
        let scope = gpu.device().push_error_scope(wgpu::ErrorFilter::Validation);
        buffer.slice(..ticket.bytes).map_async(wgpu::MapMode::Read, signal.sender());
        drop(scope);
        let _unmap = UnmapOnDrop { gpu, buffer };
        let mapped = gpu.wait(signal).await.and_then(|result| result.map_err(|error| error.to_string()));
        mapped.map_err(|reason| gpu.fault(WHAT, reason))?;
        match buffer.slice(..ticket.bytes).get_mapped_range() {
            Ok(view) => Ok(view.to_vec()),
            Err(error) => Err(gpu.fault(WHAT, error.to_string())),
        }
    }
}

/// Unmaps a buffer, or cancels its mapping, however the reading ends: a submission that copies into a mapped slot is
/// invalid.
struct UnmapOnDrop<'a> {
    gpu: &'a Gpu,
    buffer: &'a wgpu::Buffer,
}

impl Drop for UnmapOnDrop<'_> {
    fn drop(&mut self) {
        // A host may have destroyed the device, and the buffer with it.
        let _scope = self.gpu.device().push_error_scope(wgpu::ErrorFilter::Validation);
        self.buffer.unmap();
    }
}
