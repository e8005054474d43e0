//! The engine for the settings: made when first asked for, on the thread that asks.

use std::sync::{Arc, Mutex, PoisonError};

use eframe::wgpu;
use impasto::Result;
use impasto::gpu::Gpu;
use impasto::transfer::Engine;

use crate::settings::EngineSettings;

/// Makes engines on the window's device, and keeps the last one: estimates and paintings share it.
#[derive(Clone)]
pub struct Engines {
    device: wgpu::Device,
    queue: wgpu::Queue,
    last: Arc<Mutex<Option<(EngineSettings, Engine)>>>,
}

impl Engines {
    pub fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Self {
        Self { device: device.clone(), queue: queue.clone(), last: Arc::default() }
    }

    /// The engine for `settings`.
    pub fn get(&self, settings: &EngineSettings) -> Result<Engine> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((same, engine)) if same == settings => Ok(engine.clone()),
            _ => {
                let gpu = Gpu::from_parts(self.device.clone(), self.queue.clone());
                // Slices fit into frames, unless the settings ask for others.
                let usual = Engine::builder(gpu).for_frames().build()?;
                let engine = usual.reconfigured(|options| settings.apply(options));
                *last = Some((*settings, engine.clone()));
                Ok(engine)
            }
        }
    }
}
