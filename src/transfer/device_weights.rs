//! The weights on the device, each arrangement once, and their way there.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::pace::Allowance;
use super::staging;
use crate::error::Result;
use crate::gpu::{Gpu, Receipt, StagingRetry};
use crate::graph::{External, Externals, Program, Role};
use crate::nn::bias_name;
use crate::nn::weights::{ConvolutionWeights, Weights};
use crate::ops::Form;

/// A weights file, with what of it is on a device.
#[derive(Debug)]
pub(super) struct DeviceWeights {
    file: Weights,
    arranged: Mutex<HashMap<(String, Form), Arc<wgpu::Buffer>>>,
    uploads: Mutex<Uploads>,
    /// Set where weights went into an encoder that was dropped. Every user of these weights keeps a clone; those that
    /// are uploaded anew have a flag of their own.
    discarded: Mutex<Arc<AtomicBool>>,
}

/// Weights that are not on the device yet, or not wholly.
#[derive(Debug, Default)]
struct Uploads {
    queue: VecDeque<Upload>,
    /// The layer that was read last: one reading serves the bias and all arrangements.
    read: Option<(String, ConvolutionWeights)>,
}

#[derive(Debug)]
struct Upload {
    external: External,
    buffer: Arc<wgpu::Buffer>,
    /// Arranged, where they are already.
    bytes: Option<Vec<u8>>,
    /// Bytes that were recorded.
    done: usize,
}

impl Uploads {
    fn arrange(&mut self, index: usize, weights: &Weights) -> Result<()> {
        let upload = &mut self.queue[index];
        if upload.bytes.is_some() {
            return Ok(());
        }
        let layer = layer_of(&upload.external.name);
        let read = match self.read.take() {
            Some((name, read)) if name == layer => read,
            _ => weights.convolution(layer)?,
        };
        let External { name, form, shape, .. } = &upload.external;
        let plain = if *name == bias_name(layer) { &read.bias } else { &read.kernel };
        let arranged = (form.arrange)(plain, *shape);
        upload.bytes = Some(bytemuck::cast_slice(&arranged).to_vec());
        self.read = Some((layer.to_owned(), read));
        Ok(())
    }

    fn record(
        &mut self,
        gpu: &Gpu,
        weights: &Weights,
        encoder: &mut wgpu::CommandEncoder,
        allowance: &mut Allowance,
    ) -> Result<bool> {
        while !self.queue.is_empty() {
            self.arrange(0, weights)?;
            let Upload { buffer, bytes, done, .. } = &mut self.queue[0];
            let bytes = bytes.as_deref().unwrap_or_default();
            if !staging::write(gpu, encoder, buffer, bytes, done, allowance)? {
                return Ok(false);
            }
            self.queue.pop_front();
        }
        self.read = None;
        Ok(true)
    }
}

impl DeviceWeights {
    /// None of them on the device.
    pub(super) fn new(file: Weights) -> Self {
        Self { file, arranged: Mutex::default(), uploads: Mutex::default(), discarded: Mutex::default() }
    }

    /// The file.
    pub(super) fn file(&self) -> &Weights {
        &self.file
    }

    /// Lets go of everything that no program uses, and of what nothing waits for.
    pub(super) fn release(&self) {
        self.arranged().clear();
        self.uploads().queue.retain(|upload| Arc::strong_count(&upload.buffer) > 1);
    }

    /// The buffers of all weights that a program wants, uploaded where they are not yet on the device. Submits and waits.
    ///
    /// # Errors
    /// [`crate::Error::Weights`] from the file, [`crate::Error::Memory`] and [`crate::Error::Gpu`] from the device.
    pub(super) async fn bind(&self, gpu: &Gpu, program: &Program, externals: &mut Externals) -> Result<()> {
        self.reserve(gpu, program, externals).await?;
        let mut retry = StagingRetry::default();
        loop {
            let (done, recorded) = {
                // Keep the lock until they are submitted: a thread that finds the queue empty relies on what was in it.
                let mut uploads = self.uploads();
                let mut encoder = gpu.encoder("impasto.upload");
                let mut allowance = Allowance::submission();
                let done = uploads.record(gpu, &self.file, &mut encoder, &mut allowance)?;
                gpu.queue().submit([encoder.finish()]);
                (done, allowance.recorded)
            };
            if done {
                return Ok(());
            }
            gpu.await_staging(&mut retry, recorded > 0).await?;
        }
    }

    /// The buffers of all weights that a program wants; where they are not on the device yet,
    /// [`DeviceWeights::record`] has to fill them first. Returns the flag that is set when they are lost on their way.
    /// Submits nothing.
    ///
    /// # Errors
    /// [`crate::Error::Memory`] and [`crate::Error::Gpu`] from the device.
    pub(super) async fn reserve(
        &self,
        gpu: &Gpu,
        program: &Program,
        externals: &mut Externals,
    ) -> Result<Arc<AtomicBool>> {
        gpu.open_staging().await?;
        let discarded = {
            let mut discarded = self.discarded();
            if discarded.load(Ordering::Relaxed) {
                self.arranged().clear();
                self.uploads().queue.clear();
                *discarded = Arc::default();
            }
            Arc::clone(&discarded)
        };
        let mut wanted: Vec<_> = program.externals.iter().filter(|e| e.role == Role::Weights).collect();
        wanted.sort_by_key(|external| layer_of(&external.name));
        for external in wanted {
            let key = (external.name.clone(), external.form);
            let found = self.arranged().get(&key).cloned();
            if let Some(buffer) = found {
                externals.insert(external, buffer);
                continue;
            }
            let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
            let label = format!("impasto.{}", external.name);
            let buffer = Arc::new(gpu.buffer(&label, external.bytes, usage).await?);
            // Where two threads came at once, the first one's is taken.
            let buffer = match self.arranged().entry(key) {
                Entry::Occupied(first) => Arc::clone(first.get()),
                Entry::Vacant(vacant) => {
                    let upload = Upload {
                        external: external.clone(),
                        buffer: Arc::clone(&buffer),
                        bytes: None,
                        done: 0,
                    };
                    self.uploads().queue.push_back(upload);
                    Arc::clone(vacant.insert(buffer))
                }
            };
            externals.insert(external, buffer);
        }
        Ok(discarded)
    }

    /// Arranges all weights that are on their way, so that recording them is no more than copying.
    ///
    /// # Errors
    /// [`crate::Error::Weights`] from the file.
    pub(super) fn arrange(&self) -> Result<()> {
        let mut uploads = self.uploads();
        (0..uploads.queue.len()).try_for_each(|index| uploads.arrange(index, &self.file))
    }

    /// Records as much of the weights' way to the device as the allowance and the staging memory have room for, and
    /// returns whether all are recorded.
    ///
    /// # Errors
    /// [`crate::Error::Weights`] from the file, [`crate::Error::Gpu`] where the device is lost.
    pub(super) fn record(
        &self,
        gpu: &Gpu,
        encoder: &mut wgpu::CommandEncoder,
        allowance: &mut Allowance,
    ) -> Result<bool> {
        let mut uploads = self.uploads();
        if !uploads.queue.is_empty() {
            Receipt::attach(encoder, &self.discarded());
        }
        uploads.record(gpu, &self.file, encoder, allowance)
    }

    fn discarded(&self) -> MutexGuard<'_, Arc<AtomicBool>> {
        self.discarded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn uploads(&self) -> MutexGuard<'_, Uploads> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn arranged(&self) -> MutexGuard<'_, HashMap<(String, Form), Arc<wgpu::Buffer>>> {
        self.arranged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The layer that a weight or a bias belongs to.
fn layer_of(external: &str) -> &str {
    external.split_once('.').map_or(external, |(layer, _)| layer)
}
