//! A mappable buffer whose copy is recorded into a caller's command encoder, and which wgpu maps when it has run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// What can be done with a [`Slot`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum SlotState {
    /// Mapped: the CPU may read or write it.
    Mapped,
    /// Recorded into an encoder; wgpu has not mapped it yet.
    Pending,
    /// Not mapped and not recorded: its encoder was dropped before it was submitted, so nothing was copied.
    Discarded,
    /// The device refused to map it, as a lost device does.
    Refused,
}

/// A mappable buffer of a ring.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) buffer: wgpu::Buffer,
    state: Arc<AtomicU8>,
}

impl Slot {
    pub(super) fn new(buffer: wgpu::Buffer, state: SlotState) -> Self {
        Self { buffer, state: Arc::new(AtomicU8::new(state as u8)) }
    }

    pub(super) fn state(&self) -> SlotState {
        const ALL: [SlotState; 4] =
            [SlotState::Mapped, SlotState::Pending, SlotState::Discarded, SlotState::Refused];
        let found = self.state.load(Ordering::Acquire);
        ALL.into_iter().find(|it| *it as u8 == found).unwrap_or(SlotState::Refused)
    }

    pub(super) fn is(&self, state: SlotState) -> bool {
        self.state() == state
    }

    /// Asks wgpu to map the buffer when the encoder's commands have run. Until then the slot is pending.
    pub(super) fn map_on_submit(&self, encoder: &wgpu::CommandEncoder, mode: wgpu::MapMode) {
        self.set(SlotState::Pending);
        let arrival = Arrival { state: Arc::clone(&self.state), end: SlotState::Discarded };
        encoder.map_buffer_on_submit(&self.buffer, mode, .., move |mapped| {
            arrival.at(if mapped.is_ok() { SlotState::Mapped } else { SlotState::Refused });
        });
    }

    /// Stores a state that the caller has brought about, such as unmapping the buffer.
    pub(super) fn set(&self, state: SlotState) {
        self.state.store(state as u8, Ordering::Release);
    }
}

/// Stores a slot's state at the end of its mapping, even if wgpu drops the callback without calling it.
struct Arrival {
    state: Arc<AtomicU8>,
    end: SlotState,
}

impl Arrival {
    fn at(mut self, end: SlotState) {
        self.end = end;
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.state.store(self.end as u8, Ordering::Release);
    }
}
