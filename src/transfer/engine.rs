//! A device with its compiled kernels and the network's weights, shared by any number of transfers.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::pace::{Pace, UnderWay};
use crate::error::Result;
use crate::gpu::{Gpu, Pipelines};
use crate::graph::{Executable, External, Externals, Limits, Program, Role};
use crate::nn::bias_name;
use crate::nn::weights::{ConvolutionWeights, Weights};
use crate::ops::conv::Choices;
use crate::ops::{Form, KernelChoice, Precision, conv};

/// Most work of a slice (see [`Limits::slice_work`]) where nothing else is asked for: what a slow adapter of the
/// kind does in a tenth of a second.
fn usual_slice_work(gpu: &Gpu) -> u64 {
    match gpu.summary().device_type {
        wgpu::DeviceType::DiscreteGpu => 10_000_000_000,
        wgpu::DeviceType::Cpu => 500_000_000,
        _ => 2_000_000_000,
    }
}

/// What a host may ask of an engine.
#[derive(Clone, Debug, Default)]
pub struct EngineOptions {
    /// Which methods may do a convolution.
    pub kernels: KernelChoice,
    /// In what numbers the large operands of convolutions are stored: [`Precision::F16`] halves the transformed
    /// weights and what the forward direction's products read.
    pub precision: Precision,
    /// The fastest methods, as an earlier [`Engine::measure`] found them on this adapter: with
    /// [`KernelChoice::Auto`] they are taken. Where there are none, a fixed table by the kind of adapter counts.
    pub choices: Arc<Choices>,
    /// Whether to take time rather than memory: weights on the device in one arrangement, small workspaces.
    /// `choices` do not count then.
    pub low_memory: bool,
    /// Most FLOP of a slice, the smallest piece of work that is recorded or submitted; `None`: about a tenth of
    /// a second on a slow adapter of the kind. A host with a frame budget gives less.
    pub slice_work: Option<u64>,
    /// Most bytes that a transfer may take on the device; `None`: what the driver gives. Larger ones are refused
    /// before anything is allocated.
    pub memory_bytes: Option<u64>,
}

/// A device, its pipelines and the weights on it. Cheap to clone: clones share everything.
#[derive(Clone, Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    options: EngineOptions,
}

#[derive(Debug)]
struct Shared {
    gpu: Gpu,
    pipelines: Pipelines,
    weights: Weights,
    arranged: Mutex<HashMap<(String, Form), Arc<wgpu::Buffer>>>,
}

impl Engine {
    /// Opens a device of its own: the preferred adapter, or the one that `device` names by index or by a part
    /// of its name.
    ///
    /// # Errors
    /// [`crate::Error::Adapter`] where none fits, [`crate::Error::Gpu`] where the driver refuses.
    pub async fn open(device: Option<&str>, weights: Weights) -> Result<Self> {
        Ok(Self::new(Gpu::open(device).await?, weights))
    }

    /// Works on a host's device and queue, within the limits and features that the host asked for.
    pub fn from_device(device: &wgpu::Device, queue: &wgpu::Queue, weights: Weights) -> Self {
        Self::new(Gpu::from_parts(device.clone(), queue.clone()), weights)
    }

    /// Works on an open device.
    pub fn new(gpu: Gpu, weights: Weights) -> Self {
        Self::with_options(gpu, weights, EngineOptions::default())
    }

    /// Works on an open device as `options` say.
    pub fn with_options(gpu: Gpu, weights: Weights, options: EngineOptions) -> Self {
        let shared = Shared { gpu, pipelines: Pipelines::default(), weights, arranged: Mutex::default() };
        Self { shared: Arc::new(shared), options }
    }

    /// This engine with other choices: device, kernels and weights are shared, and plans that are made with it
    /// take the methods in `choices`.
    pub fn with_choices(&self, choices: Choices) -> Self {
        let options = EngineOptions { choices: Arc::new(choices), ..self.options.clone() };
        Self { shared: Arc::clone(&self.shared), options }
    }

    /// This engine with other methods for convolutions; device, kernels and weights are shared.
    pub fn with_kernels(&self, kernels: KernelChoice) -> Self {
        let options = EngineOptions { kernels, ..self.options.clone() };
        Self { shared: Arc::clone(&self.shared), options }
    }

    /// This engine as [`EngineOptions::low_memory`] has it; device, kernels and weights are shared.
    pub fn with_low_memory(&self) -> Self {
        let options = EngineOptions { low_memory: true, ..self.options.clone() };
        Self { shared: Arc::clone(&self.shared), options }
    }

    /// Gives the device back what it holds of the weights; transfers keep what they use. The next one uploads its
    /// weights again.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] where the device is lost.
    pub async fn release_weights(&self) -> Result<()> {
        self.arranged().clear();
        // What was written to them may be under way still, and only then are they gone.
        self.gpu().submitted().wait(self.gpu(), "releasing the weights").await
    }

    /// What was asked for, the choices among it.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// The device.
    pub fn gpu(&self) -> &Gpu {
        &self.shared.gpu
    }

    /// The compiled kernels.
    pub fn pipelines(&self) -> &Pipelines {
        &self.shared.pipelines
    }

    /// The weights file.
    pub fn weights(&self) -> &Weights {
        &self.shared.weights
    }

    /// What bounds a plan on this device.
    pub fn limits(&self) -> Limits {
        let &EngineOptions { kernels, ref choices, low_memory, precision, slice_work, memory_bytes } =
            &self.options;
        let mut limits = Limits::of(self.gpu(), slice_work.unwrap_or_else(|| usual_slice_work(self.gpu())));
        limits.capabilities.choice = kernels;
        limits.capabilities.choices = Arc::clone(choices);
        limits.capabilities.low_memory = low_memory;
        limits.capabilities.precision = precision;
        Limits { memory_bytes, ..limits }
    }

    /// The buffers of all weights that a program wants, uploaded where they are not yet on the device.
    ///
    /// # Errors
    /// [`crate::Error::Weights`] from the file, [`crate::Error::Memory`] and [`crate::Error::Gpu`] from the device.
    pub async fn bind_weights(&self, program: &Program, externals: &mut Externals) -> Result<()> {
        // Layer by layer, so that one reading serves the bias and all arrangements.
        let mut wanted: Vec<_> = program.externals.iter().filter(|e| e.role == Role::Weights).collect();
        wanted.sort_by_key(|external| layer_of(&external.name));
        let mut read: Option<(String, ConvolutionWeights)> = None;
        for external in wanted {
            let key = (external.name.clone(), external.form);
            let found = self.arranged().get(&key).cloned();
            if let Some(buffer) = found {
                externals.insert(external, buffer);
                continue;
            }
            let layer = layer_of(&external.name);
            let weights = match read.take() {
                Some((name, weights)) if name == layer => weights,
                _ => self.weights().convolution(layer)?,
            };
            let buffer = Arc::new(self.upload(external, &weights).await?);
            read = Some((layer.to_owned(), weights));
            self.arranged().insert(key, Arc::clone(&buffer));
            externals.insert(external, buffer);
        }
        Ok(())
    }

    async fn upload(&self, external: &External, weights: &ConvolutionWeights) -> Result<wgpu::Buffer> {
        let ConvolutionWeights { kernel, bias, input_channels, output_channels } = weights;
        let arranged;
        let bytes: &[u8] = if external.name == bias_name(layer_of(&external.name)) {
            bytemuck::cast_slice(bias)
        } else {
            arranged = conv::arrange(external.form, kernel, *input_channels, *output_channels);
            bytemuck::cast_slice(&arranged)
        };
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let buffer = self.gpu().buffer(&format!("impasto.{}", external.name), external.bytes, usage).await?;
        self.gpu().write(&buffer, 0, bytes).await?;
        Ok(buffer)
    }

    fn arranged(&self) -> MutexGuard<'_, HashMap<(String, Form), Arc<wgpu::Buffer>>> {
        self.shared.arranged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A guess of how long this program's slices take, for [`Engine::run`] to mend.
    pub(super) fn pace(&self, program: &Program) -> Pace {
        Pace::new(program, usual_slice_work(self.gpu()))
    }

    /// Runs slices of an executable and waits for them, about a tenth of a second a submission, with two of them
    /// under way; `first` is recorded before the first slice and `last` behind the final one. Dropping the future stops between submissions, and
    /// never between the dispatches that change the pixels.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] where the device is lost.
    pub(super) async fn run(
        &self,
        executable: &Executable,
        pace: &mut Pace,
        slices: Range<usize>,
        first: impl FnOnce(&mut wgpu::CommandEncoder),
        last: impl FnOnce(&mut wgpu::CommandEncoder),
    ) -> Result<()> {
        let gpu = self.gpu();
        let (mut first, mut last) = (Some(first), Some(last));
        let mut under_way = UnderWay::new(pace, executable.program());
        let mut start = slices.start;
        while start < slices.end {
            let end = under_way.submission_end(start..slices.end);
            let descriptor = wgpu::CommandEncoderDescriptor { label: Some("impasto") };
            let mut encoder = gpu.device().create_command_encoder(&descriptor);
            if let Some(first) = first.take() {
                first(&mut encoder);
            }
            executable.record(&mut encoder, start..end);
            if end == slices.end
                && let Some(last) = last.take()
            {
                last(&mut encoder);
            }
            gpu.queue().submit([encoder.finish()]);
            under_way.push(gpu, start..end).await?;
            start = end;
        }
        under_way.wait(gpu, 0).await?;
        gpu.check("running the program")
    }
}

/// The layer that a weight or a bias belongs to.
fn layer_of(external: &str) -> &str {
    external.split_once('.').map_or(external, |(layer, _)| layer)
}
