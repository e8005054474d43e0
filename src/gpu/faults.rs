//! What a device has reported: errors, and its loss.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// What a device has reported.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// The first error that [`super::Gpu::fault`] has not returned yet: it names the cause, later ones are its consequences.
    error: Mutex<Option<String>>,
    /// Why the device is lost. A lost device stays lost.
    lost: OnceLock<String>,
}

impl Faults {
    /// The first error that was not taken yet.
    pub(super) fn error(&self) -> MutexGuard<'_, Option<String>> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the device is lost, where it is.
    pub(super) fn lost(&self) -> Option<&str> {
        self.lost.get().map(String::as_str)
    }

    /// Marks the device as lost.
    pub(super) fn lose(&self, message: &str) {
        // Often this is all that wgpu reports.
        let known = message.is_empty() || message.to_lowercase().contains("device is lost");
        self.lost.get_or_init(|| {
            if known { "the device was lost".into() } else { format!("the device was lost: {message}") }
        });
    }
}
