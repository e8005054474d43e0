//! Bytes on their way to the device, through little memory.

use std::sync::atomic::Ordering;

use super::Gpu;
use crate::error::Result;

/// Bytes of one staging buffer.
const PIECE_BYTES: usize = 1 << 20;
/// Most bytes under way before the device is waited for.
const STAGED_BYTES: u64 = 8 << 20;

const WHAT: &str = "writing to the GPU";

impl Gpu {
    /// Writes `bytes` to a buffer with `COPY_DST`, from `offset` on; both are multiples of 4. Whatever is submitted
    /// later sees them.
    ///
    /// [`wgpu::Queue::write_buffer`] would take as much memory again as it writes until the next submission, and
    /// would lose the device where there is none. This takes 8 MiB at most, and exhausted memory is an error.
    ///
    /// # Errors
    /// [`crate::Error::Memory`] where the staging does not fit, [`crate::Error::Gpu`] where the device is lost.
    pub async fn write(&self, buffer: &wgpu::Buffer, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut at = offset;
        for piece in bytes.chunks(PIECE_BYTES) {
            let size = piece.len() as u64;
            if self.staged.fetch_add(size, Ordering::Relaxed) + size > STAGED_BYTES {
                self.submitted().wait(self, WHAT).await?;
                self.staged.store(size, Ordering::Relaxed);
            }
            let staging = self
                .create_buffer(&wgpu::BufferDescriptor {
                    label: Some("impasto.staging"),
                    size,
                    usage: wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC,
                    mapped_at_creation: true,
                })
                .await?;
            match staging.get_mapped_range_mut(..) {
                Ok(mut view) => view.copy_from_slice(piece),
                Err(error) => return Err(self.fault(WHAT, error.to_string())),
            }
            staging.unmap();
            let descriptor = wgpu::CommandEncoderDescriptor { label: Some("impasto.upload") };
            let mut encoder = self.device().create_command_encoder(&descriptor);
            encoder.copy_buffer_to_buffer(&staging, 0, buffer, at, size);
            self.queue().submit([encoder.finish()]);
            at += size;
        }
        Ok(())
    }
}
