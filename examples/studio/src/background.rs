//! Work that would freeze the window, on threads of its own.

use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;

use eframe::egui;

/// Work under way on a thread. The window asks for the result frame by frame, and never waits for it.
pub struct Background<T> {
    result: Option<Receiver<T>>,
}

/// What has come of the work.
pub enum Progress<T> {
    UnderWay,
    Done(T),
    /// The thread is gone and has left no result: it could not start, or the work panicked.
    Lost,
}

impl<T: Send + 'static> Background<T> {
    /// Begins the work. The window is drawn again when it is done.
    pub fn start(context: &egui::Context, name: &str, work: impl FnOnce() -> T + Send + 'static) -> Self {
        let (sender, result) = channel();
        // Dropped at the end of the thread, however that ends, so that a lost thread is noticed too.
        let wake = Wake(context.clone());
        let thread = thread::Builder::new().name(format!("studio {name}")).spawn(move || {
            let wake = wake;
            // The window may have closed in between.
            let _ = sender.send(work());
            drop(sender);
            drop(wake);
        });
        Self { result: thread.is_ok().then_some(result) }
    }

    /// What has come of it so far. Asked again after `Done`, it says `Lost`.
    pub fn poll(&mut self) -> Progress<T> {
        match self.result.as_ref().map(Receiver::try_recv) {
            Some(Ok(result)) => {
                self.result = None;
                Progress::Done(result)
            }
            Some(Err(TryRecvError::Empty)) => Progress::UnderWay,
            Some(Err(TryRecvError::Disconnected)) | None => Progress::Lost,
        }
    }
}

struct Wake(egui::Context);

impl Drop for Wake {
    fn drop(&mut self) {
        self.0.request_repaint();
    }
}
