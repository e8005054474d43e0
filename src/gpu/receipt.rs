//! Whether a command encoder was submitted, or dropped instead.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Goes with an encoder, and sets a flag where that is dropped instead of submitted: wgpu drops the callback then without
/// calling it.
pub(crate) struct Receipt {
    discarded: Arc<AtomicBool>,
    submitted: bool,
}

impl Receipt {
    /// Has `discarded` set where `encoder` is dropped.
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
