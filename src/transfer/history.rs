//! The pixels that the last steps began with: what is left when a step's costs are not
//! finite.

use super::piece::Piece;
use crate::error::Result;
use crate::gpu::Gpu;

/// Copies of the pixels in front of the last two steps. What a step's costs are is known only when its pixels are
/// changed already, hence two: one whose costs are known, and the one before the step under way.
#[derive(Debug)]
pub(super) struct History {
    /// For each slot one buffer a piece of the pixels.
    slots: [Vec<wgpu::Buffer>; 2],
    /// The slot whose costs are known to be finite.
    good: Option<usize>,
    /// The slot that the last step began with.
    last: Option<usize>,
}

impl History {
    /// Room for the pieces of the pixels, those of the largest size.
    ///
    /// # Errors
    /// From [`Gpu::buffer`].
    pub(super) async fn new(gpu: &Gpu, pixels: &[Piece]) -> Result<Self> {
        let usage = wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let mut slots = [const { Vec::new() }; 2];
        for slot in &mut slots {
            for piece in pixels {
                slot.push(gpu.buffer("impasto.history", piece.buffer.size(), usage).await?);
            }
        }
        Ok(Self { slots, good: None, last: None })
    }

    /// Bytes for a picture of this size (width, height).
    pub(super) fn planned_bytes((width, height): (u32, u32)) -> u64 {
        2 * 3 * 4 * u64::from(width) * u64::from(height)
    }

    /// Bytes allocated.
    pub(super) fn bytes(&self) -> u64 {
        self.slots.iter().flatten().map(wgpu::Buffer::size).sum()
    }

    /// The slot for the step that begins: never the good one.
    pub(super) fn next(&self) -> usize {
        if self.good == Some(0) { 1 } else { 0 }
    }

    /// Records the copy of the pixels into a slot.
    pub(super) fn record(&self, encoder: &mut wgpu::CommandEncoder, slot: usize, pixels: &[Piece]) {
        for (from, to) in pixels.iter().zip(&self.slots[slot]) {
            encoder.copy_buffer_to_buffer(&from.buffer, 0, to, 0, from.bytes);
        }
    }

    /// Forgets what is in the slots: pixels of another size.
    pub(super) fn clear(&mut self) {
        (self.good, self.last) = (None, None);
    }

    /// The costs of the pixels in a slot are known.
    pub(super) fn record_outcome(&mut self, slot: usize, finite: bool) {
        self.last = Some(slot);
        if finite {
            self.good = Some(slot);
        }
    }

    /// The newest pixels whose costs were finite.
    pub(super) fn good(&self) -> Option<&[wgpu::Buffer]> {
        Some(&self.slots[self.good?])
    }

    /// The pixels that the last step began with, where their costs were not finite.
    pub(super) fn bad(&self) -> Option<&[wgpu::Buffer]> {
        let last = self.last.filter(|last| Some(*last) != self.good)?;
        Some(&self.slots[last])
    }
}
