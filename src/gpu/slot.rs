//! A mappable buffer that goes through somebody's command encoder and comes back mapped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Where the contents of a [`Slot`] are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Whereabouts {
    /// Mapped: the processor may look.
    Here,
    /// Recorded into an encoder, and not back yet.
    UnderWay,
    /// Its encoder was dropped before it was submitted: nothing was copied, and the buffer is not mapped.
    Discarded,
    /// The device refused to map it, as a lost one does.
    Refused,
}

/// A mappable buffer of a ring.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) buffer: wgpu::Buffer,
    whereabouts: Arc<AtomicU8>,
}

impl Slot {
    pub(super) fn new(buffer: wgpu::Buffer, whereabouts: Whereabouts) -> Self {
        Self { buffer, whereabouts: Arc::new(AtomicU8::new(whereabouts as u8)) }
    }

    pub(super) fn whereabouts(&self) -> Whereabouts {
        const ALL: [Whereabouts; 4] =
            [Whereabouts::Here, Whereabouts::UnderWay, Whereabouts::Discarded, Whereabouts::Refused];
        let found = self.whereabouts.load(Ordering::Acquire);
        ALL.into_iter().find(|it| *it as u8 == found).unwrap_or(Whereabouts::Refused)
    }

    pub(super) fn is(&self, whereabouts: Whereabouts) -> bool {
        self.whereabouts() == whereabouts
    }

    /// Has the buffer mapped when the encoder's commands have run. Until then it is under way.
    pub(super) fn map_on_submit(&self, encoder: &wgpu::CommandEncoder, mode: wgpu::MapMode) {
        self.set(Whereabouts::UnderWay);
        let arrival = Arrival { whereabouts: Arc::clone(&self.whereabouts), end: Whereabouts::Discarded };
        encoder.map_buffer_on_submit(&self.buffer, mode, .., move |mapped| {
            arrival.at(if mapped.is_ok() { Whereabouts::Here } else { Whereabouts::Refused });
        });
    }

    /// The contents were looked at, and the buffer is not mapped any more.
    pub(super) fn set(&self, whereabouts: Whereabouts) {
        self.whereabouts.store(whereabouts as u8, Ordering::Release);
    }
}

/// Tells a slot what became of it, also where wgpu drops the callback without calling it.
struct Arrival {
    whereabouts: Arc<AtomicU8>,
    end: Whereabouts,
}

impl Arrival {
    fn at(mut self, end: Whereabouts) {
        self.end = end;
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.whereabouts.store(self.end as u8, Ordering::Release);
    }
}
