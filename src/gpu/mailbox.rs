//! Values that come back from the GPU when they come: nobody waits for them.

use std::collections::VecDeque;

use super::Gpu;
use super::slot::{Slot, Whereabouts};
use crate::error::Result;

/// Buffers of one size that go out with a host's commands and come back with values, in the order in which they were
/// recorded. `T` says what is in one. It never submits, polls or waits: the host's submissions bring the values.
#[derive(Debug)]
pub(crate) struct Mailbox<T> {
    free: Vec<Slot>,
    under_way: VecDeque<(Slot, T, u64)>,
    bytes: u64,
}

impl<T> Mailbox<T> {
    /// Room for `slots` values of `bytes` each to be under way.
    ///
    /// # Errors
    /// From [`Gpu::buffer`].
    pub(crate) async fn new(gpu: &Gpu, bytes: u64, slots: usize) -> Result<Self> {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let bytes = bytes.next_multiple_of(4);
        let mut free = Vec::with_capacity(slots);
        for _ in 0..slots {
            // Free slots are not mapped, and nothing asks where they are.
            free.push(Slot::new(gpu.buffer("impasto.mailbox", bytes, usage).await?, Whereabouts::Discarded));
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

    /// Records the copy of several ranges (buffer, offset, bytes), one behind the other. Where all slots are under way
    /// nothing is recorded: what is not collected in time is not worth waiting for.
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

    /// The oldest value that has come back. Those whose encoder was dropped, or that a lost device kept, never come.
    pub(crate) fn collect(&mut self) -> Option<(T, Vec<u8>)> {
        loop {
            let (slot, _, _) = self.under_way.front()?;
            let whereabouts = slot.whereabouts();
            if whereabouts == Whereabouts::UnderWay {
                return None;
            }
            let (slot, what, bytes) = self.under_way.pop_front()?;
            let mut value = None;
            if whereabouts == Whereabouts::Here {
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
