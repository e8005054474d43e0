//! Ctrl-C and SIGTERM: the first lets the run save its picture and end, the second ends it at once.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::{Failure, Result};

/// By convention a program that a signal ended exits with this plus the signal's number.
const EXIT_BASE: i32 = 128;

/// The signals that end a run.
pub(super) struct Signals {
    /// The number of the signal that came first; 0: none has come.
    received: Arc<AtomicUsize>,
    /// Whether a signal ends the program where it stands.
    at_once: Arc<AtomicBool>,
}

impl Signals {
    /// Catches the signals. Until [`Signals::hold`] the first of them ends the program at once.
    pub(super) fn catch() -> Result<Self> {
        let signals =
            Self { received: Arc::new(AtomicUsize::new(0)), at_once: Arc::new(AtomicBool::new(true)) };
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal that is held does not end the program, and the next one does.
            flag::register_conditional_shutdown(signal, EXIT_BASE + signal, Arc::clone(&signals.at_once))
                .and_then(|_| flag::register(signal, Arc::clone(&signals.at_once)))
                .and_then(|_| flag::register_usize(signal, Arc::clone(&signals.received), signal as usize))
                .map_err(|error| Failure::Failed(format!("signals cannot be caught: {error}")))?;
        }
        Ok(signals)
    }

    /// From here on there is a picture to save: the first signal is only noted.
    pub(super) fn hold(&self) {
        self.at_once.store(false, Ordering::SeqCst);
    }

    /// The exit code for the signal that has come.
    fn received(&self) -> Option<u8> {
        let signal = self.received.load(Ordering::SeqCst) as i32;
        (signal != 0).then(|| u8::try_from(EXIT_BASE + signal).unwrap_or(u8::MAX))
    }

    /// What `future` gives, or the exit code for a signal that came first. The library's futures return to
    /// their executor every few milliseconds, so that is how soon a signal is seen.
    pub(super) async fn unless<T>(&self, future: impl Future<Output = T>) -> Result<T, u8> {
        let mut future = pin!(future);
        std::future::poll_fn(|context| match self.received() {
            Some(code) => Poll::Ready(Err(code)),
            None => future.as_mut().poll(context).map(Ok),
        })
        .await
    }
}
