//! What the window's device reports, caught: wgpu's own way is to end the program.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eframe::{egui, wgpu};

use crate::notice::Notice;

/// The first fault that nobody has asked for yet: it names the cause, later ones are its consequences.
pub struct Faults {
    first: Arc<Mutex<Option<Notice>>>,
}

impl Faults {
    pub fn watch(device: &wgpu::Device, context: &egui::Context) -> Self {
        let first = Arc::new(Mutex::new(None));
        let (seen, window) = (Arc::clone(&first), context.clone());
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let remedy = "choose a smaller size or update the graphics driver, and start again";
            let notice = Notice::failed("The graphics driver refused something", error.to_string(), remedy);
            lock(&seen).get_or_insert(notice);
            window.request_repaint();
        }));
        let (seen, window) = (Arc::clone(&first), context.clone());
        device.set_device_lost_callback(move |reason, message| {
            // The program's own end.
            if reason != wgpu::DeviceLostReason::Destroyed {
                let remedy = "close the program and open it again; if that happens again, choose a smaller size or \
                              update the graphics driver";
                *lock(&seen) = Some(Notice::failed("The GPU is lost", message, remedy));
                window.request_repaint();
            }
        });
        Self { first }
    }

    pub fn take(&self) -> Option<Notice> {
        lock(&self.first).take()
    }
}

fn lock(first: &Mutex<Option<Notice>>) -> MutexGuard<'_, Option<Notice>> {
    first.lock().unwrap_or_else(PoisonError::into_inner)
}
