//! A small ring of staging buffers, through which bytes go to the device in any command encoder.

use super::slot::{Slot, SlotState};
use crate::error::{Error, Result};

/// What errors of uploads are about.
pub(super) const WHAT: &str = "writing to the GPU";
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
    pub(super) const SLOTS: usize = 4;
    /// Bytes of all buffers.
    pub(crate) const BYTES: u64 = Self::SLOT_BYTES * Self::SLOTS as u64;

    /// Uses of a buffer of the ring. Each has [`Staging::SLOT_BYTES`], and is mapped when it is created.
    pub(super) const USAGE: wgpu::BufferUsages =
        wgpu::BufferUsages::MAP_WRITE.union(wgpu::BufferUsages::COPY_SRC);

    /// A ring of buffers that are mapped.
    pub(super) fn new(buffers: Vec<wgpu::Buffer>) -> Self {
        Self(buffers.into_iter().map(|buffer| Slot::new(buffer, SlotState::Mapped)).collect())
    }

    /// Records the copy of the first of `bytes` to `buffer`, from `offset` on, and returns how many it took: 0 where
    /// all buffers of the ring are in use. Offset and number of bytes are multiples of 4.
    ///
    /// # Errors
    /// Why the memory cannot be written.
    pub(super) fn copy(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        buffer: &wgpu::Buffer,
        offset: u64,
        bytes: &[u8],
    ) -> Result<usize, String> {
        for discarded in self.0.iter().filter(|slot| slot.is(SlotState::Discarded)) {
            discarded.map_on_submit(encoder, wgpu::MapMode::Write);
        }
        let Some(slot) = self.0.iter().find(|slot| slot.is(SlotState::Mapped)) else {
            let refused = self.0.iter().all(|slot| slot.is(SlotState::Refused));
            return if refused { Err("its memory cannot be reached".into()) } else { Ok(0) };
        };
        let taken = bytes.len().min(Self::SLOT_BYTES as usize);
        match slot.buffer.get_mapped_range_mut(..taken as u64) {
            Ok(mut view) => view.copy_from_slice(&bytes[..taken]),
            Err(error) => return Err(error.to_string()),
        }
        slot.buffer.unmap();
        encoder.copy_buffer_to_buffer(&slot.buffer, 0, buffer, offset, taken as u64);
        slot.map_on_submit(encoder, wgpu::MapMode::Write);
        Ok(taken)
    }
}

/// Counts failed attempts to get staging memory.
#[derive(Debug, Default)]
pub(crate) struct StagingRetry {
    failed_attempts: u32,
}

impl StagingRetry {
    /// Whether all submitted work is to be waited for, which returns staging memory: when an encoder got none.
    ///
    /// # Errors
    /// [`Error::Gpu`] where encoders that are not submitted hold all of it.
    pub(super) fn needs_wait(&mut self, had_memory: bool) -> Result<bool> {
        if had_memory {
            self.failed_attempts = 0;
            return Ok(false);
        }
        self.failed_attempts += 1;
        if self.failed_attempts > MAX_FAILED_ATTEMPTS {
            return Err(Error::Gpu {
                what: WHAT.into(),
                reason: "all staging memory is in command encoders that are not submitted".into(),
                remedy: "submit or drop the encoders that were recorded into before you wait for the GPU"
                    .into(),
            });
        }
        Ok(true)
    }
}
