//! Values that the GPU sends back to the CPU while no thread waits for them.

use std::collections::VecDeque;

use super::Gpu;
use super::slot::{Slot, SlotState};
use crate::error::Result;

/// Buffers of one size that a host's encoders copy values into, and that are read in the order of recording. `T`
/// describes the contents of one. It never submits, polls or waits: values arrive with the host's submissions.
#[derive(Debug)]
pub(crate) struct Mailbox<T> {
    free: Vec<Slot>,
    under_way: VecDeque<(Slot, T, u64)>,
    bytes: u64,
}

impl<T> Mailbox<T> {
    /// Room for `slots` values of `bytes` each that are not collected yet.
    ///
    /// # Errors
    /// From [`Gpu::buffer`].
    pub(crate) async fn new(gpu: &Gpu, bytes: u64, slots: usize) -> Result<Self> {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let bytes = bytes.next_multiple_of(4);
        let mut free = Vec::with_capacity(slots);
        for _ in 0..slots {
            // Free slots are not mapped, and their state is not read.
            free.push(Slot::new(gpu.buffer("impasto.mailbox", bytes, usage).await?, SlotState::Discarded));
        }
        Ok(Self { free, under_way: VecDeque::with_capacity(slots), bytes: bytes * slots as u64 })
    }

    /// Bytes that room for `slots` values of `bytes` each takes.
    pub(crate) const fn planned_bytes(bytes: u64, slots: usize) -> u64 {
        bytes.next_multiple_of(4) * slots as u64
    }

    /// Bytes allocated.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether [`Mailbox::post`] would take something.
    pub(crate) fn has_room(&self) -> bool {
        !self.free.is_empty()
    }

    /// Records the copies of several ranges (buffer, offset, bytes) into one slot, one after the other. If no slot is
    /// free, nothing is recorded: these values are not worth waiting for.
    pub(crate) fn post(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        sources: &[(&wgpu::Buffer, u64, u64)],
        what: T,
    ) {
        let Some(slot) = self.free.pop() else { return };
        let mut at = 0;
        for (buffer, offset, bytes) in sources {
            encoder.copy_buffer_to_buffer(buffer, *offset, &slot.buffer, at, *bytes);
            at += bytes;
        }
        slot.map_on_submit(encoder, wgpu::MapMode::Read);
        self.under_way.push_back((slot, what, at));
    }

    /// The oldest value that has arrived. Values whose encoder was dropped, or whose device was lost, never arrive.
    pub(crate) fn collect(&mut self) -> Option<(T, Vec<u8>)> {
        loop {
            let (slot, _, _) = self.under_way.front()?;
            let state = slot.state();
            if state == SlotState::Pending {
                return None;
            }
            let (slot, what, bytes) = self.under_way.pop_front()?;
            let mut value = None;
            if state == SlotState::Mapped {
                value = slot.buffer.get_mapped_range(..bytes).ok().map(|view| view.to_vec());
                slot.buffer.unmap();
            }
            self.free.push(slot);
            if let Some(value) = value {
                return Some((what, value));
            }
        }
    }
}
