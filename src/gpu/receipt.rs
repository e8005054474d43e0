//! Whether a command encoder was submitted, or dropped instead.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Sets a flag if its encoder is dropped instead of submitted: wgpu then drops the callback without calling it.
pub(crate) struct Receipt {
    discarded: Arc<AtomicBool>,
    submitted: bool,
}

impl Receipt {
    /// Sets `discarded` if `encoder` is dropped.
    pub(crate) fn attach(encoder: &wgpu::CommandEncoder, discarded: &Arc<AtomicBool>) {
        let receipt = Self { discarded: Arc::clone(discarded), submitted: false };
        encoder.on_submitted_work_done(move || receipt.sign());
    }

    fn sign(mut self) {
        self.submitted = true;
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if !self.submitted {
            self.discarded.store(true, Ordering::Relaxed);
        }
    }
}
