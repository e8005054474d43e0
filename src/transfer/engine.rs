//! A device with its compiled kernels and the network's weights, shared by any number of transfers.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::host::Receipt;
use super::pace::{Allowance, Pace, UnderWay};
use super::planning::Plan;
use super::{requirements, tuning};
use crate::error::Result;
use crate::gpu::{Gpu, Patience, Pipelines, Staging};
use crate::graph::{Executable, External, Externals, Limits, Program, Role};
use crate::nn::bias_name;
use crate::nn::weights::{ConvolutionWeights, Weights};
use crate::ops::{Form, MethodRequest, MethodTable, Precision, Problem};

/// Most work of a slice (see [`Limits::slice_work`]) where nothing else is asked for: what a slow adapter of the
/// kind does in a tenth of a second.
fn usual_slice_work(gpu: &Gpu) -> u64 {
    match gpu.summary().device_type {
        wgpu::DeviceType::DiscreteGpu => 10_000_000_000,
        wgpu::DeviceType::Cpu => 500_000_000,
        _ => 2_000_000_000,
    }
}

/// Most work of a slice in a host's frames, which have milliseconds where submissions of ours have a tenth of a second. A
/// processor's kernels differ most, so it gets the smallest slices.
#[cfg(feature = "embedded-weights")]
fn slice_work_for_frames(gpu: &Gpu) -> u64 {
    let pieces = if gpu.summary().is_software() { 30 } else { 10 };
    usual_slice_work(gpu) / pieces
}

/// Bytes that are copied to the device in a second: what a slow one does, copied by the processor and again by the GPU.
const STAGED_A_SECOND: f64 = 2e9;

/// What a host may ask of an engine.
#[derive(Clone, Debug, Default)]
pub struct EngineOptions {
    /// Which methods may do a convolution.
    pub kernels: MethodRequest,
    /// In what numbers the large operands of convolutions are stored: [`Precision::F16`] halves the transformed
    /// weights and what the forward direction's products read.
    pub precision: Precision,
    /// The fastest methods, as an earlier [`Engine::measure`] found them on this adapter: with
    /// [`MethodRequest::Auto`] they are taken. Where there are none, a fixed table by the kind of adapter counts.
    pub choices: Arc<MethodTable>,
    /// Whether to take time rather than memory: weights on the device in one arrangement, small workspaces.
    /// `choices` do not count then.
    pub low_memory: bool,
    /// Most FLOP of a slice, the smallest piece of work that is recorded or submitted; `None`: about a tenth of
    /// a second on a slow adapter of the kind. A host with a frame budget gives less, as [`Engine::from_device`] does.
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
    uploads: Mutex<Uploads>,
    /// Whether weights went into an encoder that was dropped. Whoever uses these weights keeps it; those that are uploaded
    /// anew have one of their own.
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

    /// Works on a host's device and queue, within the limits and features that the host asked for, with the weights that
    /// are built in, and in slices that are small enough for the budget of a frame. Nothing is allocated yet; for other
    /// weights or options see [`Engine::with_options`] with [`Gpu::from_parts`].
    ///
    /// # Errors
    /// [`crate::Error::Weights`] where the weights are damaged, [`crate::Error::Limit`] where the device cannot run our
    /// kernels at all.
    #[cfg(feature = "embedded-weights")]
    pub fn from_device(device: &wgpu::Device, queue: &wgpu::Queue) -> Result<Self> {
        let gpu = Gpu::from_parts(device.clone(), queue.clone());
        requirements::check(gpu.limits())?;
        let slice_work = Some(slice_work_for_frames(&gpu));
        let options = EngineOptions { slice_work, ..EngineOptions::default() };
        Ok(Self::with_options(gpu, Weights::embedded()?, options))
    }

    /// The least limits of a device on which a picture of `size` (width, height) can be painted, to be asked for before a
    /// device exists: `host_limits.or_better_values_from(&Engine::required_limits(size))`.
    pub fn required_limits(size: (u32, u32)) -> wgpu::Limits {
        requirements::limits(size)
    }

    /// Those of an adapter's features that make painting faster, or its pace known: subgroups and timestamps. None is
    /// needed.
    pub fn wanted_features(adapter: wgpu::Features) -> wgpu::Features {
        Gpu::wanted_features(adapter)
    }

    /// Works on an open device.
    pub fn new(gpu: Gpu, weights: Weights) -> Self {
        Self::with_options(gpu, weights, EngineOptions::default())
    }

    /// Works on an open device as `options` say.
    pub fn with_options(gpu: Gpu, weights: Weights, options: EngineOptions) -> Self {
        let shared = Shared {
            gpu,
            pipelines: Pipelines::default(),
            weights,
            arranged: Mutex::default(),
            uploads: Mutex::default(),
            discarded: Mutex::default(),
        };
        Self { shared: Arc::new(shared), options }
    }

    /// This engine with other choices: device, kernels and weights are shared, and plans that are made with it
    /// take the methods in `choices`.
    pub fn with_choices(&self, choices: MethodTable) -> Self {
        let options = EngineOptions { choices: Arc::new(choices), ..self.options.clone() };
        Self { shared: Arc::clone(&self.shared), options }
    }

    /// This engine with other methods for convolutions; device, kernels and weights are shared.
    pub fn with_kernels(&self, kernels: MethodRequest) -> Self {
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
        // What a transfer still waits for stays in the queue.
        self.uploads().queue.retain(|upload| Arc::strong_count(&upload.buffer) > 1);
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
        limits.capabilities.request = kernels;
        limits.capabilities.methods = Arc::clone(choices);
        limits.capabilities.low_memory = low_memory;
        limits.capabilities.precision = precision;
        Limits { memory_bytes, ..limits }
    }

    /// What a plan's step does that [`EngineOptions::choices`] say nothing of, and that there is a choice of methods
    /// for. None where methods were asked for, or where memory is short and the usual ones are taken.
    pub fn unmeasured(&self, plan: &Plan) -> BTreeSet<Problem> {
        tuning::unmeasured(&plan.step.program, &self.limits())
    }

    /// The engine's choices together with the fastest methods for what was not measured yet of `plan`'s step: each
    /// method that can be the fastest runs for some milliseconds. Takes a second or two on a software adapter, less on
    /// a GPU; kernels that are compiled for it stay compiled. Give the result to [`Engine::with_choices`], plan again,
    /// and keep it for the next time: it fits this adapter and driver only.
    ///
    /// The targets, whose pictures may have another size, are always made by the methods of the step.
    ///
    /// # Errors
    /// [`crate::Error::Memory`] and [`crate::Error::Gpu`] from the device.
    pub async fn measure(&self, plan: &Plan) -> Result<MethodTable> {
        tuning::measure(self.gpu(), self.pipelines(), &self.limits(), &plan.step.program).await
    }

    /// The buffers of all weights that a program wants, uploaded where they are not yet on the device.
    ///
    /// # Errors
    /// [`crate::Error::Weights`] from the file, [`crate::Error::Memory`] and [`crate::Error::Gpu`] from the device.
    pub async fn bind_weights(&self, program: &Program, externals: &mut Externals) -> Result<()> {
        self.reserve_weights(program, externals).await?;
        let mut patience = Patience::default();
        loop {
            let (done, recorded) = {
                // Held until they are submitted: who finds the queue empty relies on what was in it.
                let mut uploads = self.uploads();
                let mut encoder = self.gpu().encoder("impasto.upload");
                let mut allowance = Allowance::submission();
                let done = self.record_from(&mut uploads, &mut encoder, &mut allowance)?;
                self.gpu().queue().submit([encoder.finish()]);
                (done, allowance.recorded)
            };
            if done {
                return Ok(());
            }
            patience.submitted(self.gpu(), recorded > 0).await?;
        }
    }

    /// The buffers of all weights that a program wants; where they are not on the device yet,
    /// [`Engine::record_weights`] has to put something into them first. Returns what tells whether they are lost on their
    /// way. Submits nothing.
    pub(super) async fn reserve_weights(
        &self,
        program: &Program,
        externals: &mut Externals,
    ) -> Result<Arc<AtomicBool>> {
        self.gpu().open_staging().await?;
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
            let buffer = Arc::new(self.gpu().buffer(&label, external.bytes, usage).await?);
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
    pub(super) fn arrange_weights(&self) -> Result<()> {
        let mut uploads = self.uploads();
        (0..uploads.queue.len()).try_for_each(|index| uploads.arrange(index, self.weights()))
    }

    /// Records as much of the weights' way to the device as the allowance and the staging memory have room for, and
    /// returns whether all are recorded.
    pub(super) fn record_weights(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        allowance: &mut Allowance,
    ) -> Result<bool> {
        let mut uploads = self.uploads();
        if !uploads.queue.is_empty() {
            Receipt::attach(encoder, &self.discarded());
        }
        self.record_from(&mut uploads, encoder, allowance)
    }

    fn record_from(
        &self,
        uploads: &mut Uploads,
        encoder: &mut wgpu::CommandEncoder,
        allowance: &mut Allowance,
    ) -> Result<bool> {
        while !uploads.queue.is_empty() {
            uploads.arrange(0, self.weights())?;
            let Upload { buffer, bytes, done, .. } = &mut uploads.queue[0];
            let bytes = bytes.as_deref().unwrap_or_default();
            if !self.write(encoder, buffer, bytes, done, allowance)? {
                return Ok(false);
            }
            uploads.queue.pop_front();
        }
        uploads.read = None;
        Ok(true)
    }

    /// Records copies of `bytes` from `done` on, as far as the allowance and the staging memory have room, and returns
    /// whether all is recorded.
    pub(super) fn write(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        buffer: &wgpu::Buffer,
        bytes: &[u8],
        done: &mut usize,
        allowance: &mut Allowance,
    ) -> Result<bool> {
        while *done < bytes.len() {
            let seconds = Staging::SLOT_BYTES.min((bytes.len() - *done) as u64) as f64 / STAGED_A_SECOND;
            if !allowance.allows(seconds) {
                return Ok(false);
            }
            let taken = self.gpu().stage(encoder, buffer, *done as u64, &bytes[*done..])?;
            if taken == 0 {
                return Ok(false);
            }
            allowance.spend(seconds);
            *done += taken;
        }
        Ok(true)
    }

    fn discarded(&self) -> MutexGuard<'_, Arc<AtomicBool>> {
        self.shared.discarded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn uploads(&self) -> MutexGuard<'_, Uploads> {
        self.shared.uploads.lock().unwrap_or_else(PoisonError::into_inner)
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
            let mut encoder = gpu.encoder("impasto");
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
