//! A device with its compiled kernels and the network's weights, shared by any number of transfers.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::device_weights::DeviceWeights;
use super::pace::{slice_work_for_frames, usual_slice_work};
use super::planning::Plan;
use super::workload::Timed;
use super::{requirements, tuning};
use crate::error::Result;
use crate::gpu::{Gpu, Pipelines};
use crate::graph::{Externals, Limits, Program};
use crate::nn::weights::Weights;
use crate::ops::{MethodRequest, MethodTable, Precision, Problem};

/// What may be asked of an engine.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct EngineOptions {
    /// Which methods may do what there are several methods for, such as convolutions.
    pub methods: MethodRequest,
    /// In what numbers the large operands of convolutions and look-ups are stored: [`Precision::F16`] halves the
    /// transformed weights and what the forward direction's products and the look-up of nearest cells read.
    pub precision: Precision,
    /// The fastest methods, as an earlier [`Engine::measure`] found them on this adapter: with
    /// [`MethodRequest::Auto`] they are taken. Where there are none, a fixed table by the kind of adapter counts.
    pub method_table: Arc<MethodTable>,
    /// Whether to take time rather than memory: weights on the device in one arrangement, small workspaces.
    /// `method_table` does not count then.
    pub low_memory: bool,
    /// Most FLOP of a slice, the smallest piece of work that is recorded or submitted; `None`: about a tenth of
    /// a second on a slow adapter of the kind. [`EngineBuilder::for_frames`] sets less.
    pub slice_work: Option<u64>,
    /// Most bytes that a transfer may take on the device; `None`: what the driver gives. Larger ones are refused
    /// before anything is allocated.
    pub memory_bytes: Option<u64>,
}

impl EngineOptions {
    /// These options after `change`.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

/// Makes an [`Engine`]: on any device, with any weights and options. Every method may be left out.
///
/// ```no_run
/// # use impasto::{gpu::Gpu, nn::Weights, ops::Precision, transfer::{Engine, EngineOptions}, wgpu};
/// # fn build(device: wgpu::Device, queue: wgpu::Queue, file: Vec<u8>) -> impasto::Result<Engine> {
/// Engine::builder(Gpu::from_parts(device, queue))
///     .weights(Weights::from_bytes(file, "my weights")?)
///     .options(EngineOptions::default().with(|options| options.precision = Precision::F16))
///     .for_frames()
///     .build()
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a builder makes nothing until `build` is called"]
pub struct EngineBuilder {
    gpu: Gpu,
    weights: Option<Weights>,
    options: EngineOptions,
}

impl EngineBuilder {
    /// These weights instead of those that are built in.
    pub fn weights(mut self, weights: Weights) -> Self {
        self.weights = Some(weights);
        self
    }

    /// These options instead of the defaults.
    pub fn options(mut self, options: EngineOptions) -> Self {
        self.options = options;
        self
    }

    /// Work in slices that are small enough for the budget of a host's frame; after the options.
    pub fn for_frames(mut self) -> Self {
        self.options.slice_work = Some(slice_work_for_frames(&self.gpu));
        self
    }

    /// The engine. Nothing is allocated on the device yet.
    ///
    /// # Errors
    /// [`crate::Error::Limit`] where the device cannot run our kernels at all, [`crate::Error::Weights`] where the weights
    /// that are built in are damaged, [`crate::Error::Option`] where none are given and none are built in.
    pub fn build(self) -> Result<Engine> {
        let Self { gpu, weights, options } = self;
        requirements::check(gpu.limits())?;
        let weights = match weights {
            Some(weights) => weights,
            None => embedded_weights()?,
        };
        let weights = DeviceWeights::new(weights);
        let shared = Shared { gpu, pipelines: Pipelines::default(), weights };
        Ok(Engine { shared: Arc::new(shared), options })
    }
}

#[cfg(feature = "embedded-weights")]
fn embedded_weights() -> Result<Weights> {
    Weights::embedded()
}

#[cfg(not(feature = "embedded-weights"))]
fn embedded_weights() -> Result<Weights> {
    Err(crate::Error::Option {
        option: crate::error::OptionName::Weights,
        reason: "none are given, and this build has none in it".into(),
        remedy: "give weights, or build with the feature embedded-weights".into(),
    })
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
    weights: DeviceWeights,
}

impl Engine {
    /// An engine on an open device, to be given weights and options.
    pub fn builder(gpu: Gpu) -> EngineBuilder {
        EngineBuilder { gpu, weights: None, options: EngineOptions::default() }
    }

    /// Opens a device of its own: the preferred adapter, or the one that `device` names by index or by a part
    /// of its name.
    ///
    /// # Errors
    /// [`crate::Error::Adapter`] where none fits, [`crate::Error::Gpu`] where the driver refuses, and as
    /// [`EngineBuilder::build`].
    pub async fn open(device: Option<&str>, weights: Weights) -> Result<Self> {
        Self::builder(Gpu::open(device).await?).weights(weights).build()
    }

    /// Works on a host's device and queue, within the limits and features that the host asked for, with the weights that
    /// are built in, and in slices that are small enough for the budget of a frame. For other weights or options see
    /// [`Engine::builder`] with [`Gpu::from_parts`].
    ///
    /// # Errors
    /// As [`EngineBuilder::build`].
    pub fn from_device(device: &wgpu::Device, queue: &wgpu::Queue) -> Result<Self> {
        Self::builder(Gpu::from_parts(device.clone(), queue.clone())).for_frames().build()
    }

    /// The least limits of a device on which a picture of `size` (width, height) can be painted, to be asked for before a
    /// device exists: `host_limits.or_better_values_from(&Engine::required_limits(size))`.
    pub fn required_limits(size: (u32, u32)) -> wgpu::Limits {
        requirements::limits(size)
    }

    /// Those of an adapter's features that make painting faster, or its pace known: subgroups and timestamps. None is
    /// needed.
    pub fn wanted_features(adapter: wgpu::Features) -> wgpu::Features {
        crate::gpu::wanted_features(adapter)
    }

    /// This engine with other options; device, kernels and weights are shared.
    #[must_use]
    pub fn reconfigured(&self, change: impl FnOnce(&mut EngineOptions)) -> Self {
        let mut engine = self.clone();
        change(&mut engine.options);
        engine
    }

    /// Gives the device back what it holds of the weights; transfers keep what they use. The next one uploads its
    /// weights again.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] where the device is lost.
    pub async fn release_weights(&self) -> Result<()> {
        self.shared.weights.release();
        // What was written to them may be under way still, and only then are they gone.
        self.gpu().submitted().wait(self.gpu(), "releasing the weights").await
    }

    /// What was asked for, the table of methods among it.
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
        self.shared.weights.file()
    }

    /// The weights on the device.
    pub(super) fn weights_store(&self) -> &DeviceWeights {
        &self.shared.weights
    }

    /// The buffers of all weights that a program wants, uploaded where they are not yet on the device.
    ///
    /// # Errors
    /// [`crate::Error::Weights`] from the file, [`crate::Error::Memory`] and [`crate::Error::Gpu`] from the device.
    pub async fn bind_weights(&self, program: &Program, externals: &mut Externals) -> Result<()> {
        self.shared.weights.bind(self.gpu(), program, externals).await
    }

    /// What bounds a plan on this device.
    pub fn limits(&self) -> Limits {
        let &EngineOptions { methods, ref method_table, low_memory, precision, slice_work, memory_bytes } =
            &self.options;
        let mut limits = Limits::of(self.gpu(), slice_work.unwrap_or_else(|| usual_slice_work(self.gpu())));
        limits.capabilities.request = methods;
        limits.capabilities.methods = Arc::clone(method_table);
        limits.capabilities.low_memory = low_memory;
        limits.capabilities.precision = precision;
        Limits { memory_bytes, ..limits }
    }

    /// What a plan's step does that [`EngineOptions::method_table`] says nothing of, and that there is a choice of methods
    /// for. None where methods were asked for, or where memory is short and the usual ones are taken.
    pub fn unmeasured(&self, plan: &Plan) -> BTreeSet<Problem> {
        tuning::unmeasured(&plan.step.program, &self.limits())
    }

    /// The engine's table together with the fastest methods for what was not measured yet of `plan`'s step: each method
    /// that can be the fastest runs for some milliseconds. Takes a second or two on a software adapter, less on a GPU;
    /// kernels that are compiled for it stay compiled. Give the result to [`Engine::reconfigured`], plan again, and keep
    /// it for the next time: it fits this adapter and driver only.
    ///
    /// The targets, whose pictures may have another size, are always made by the methods of the step.
    ///
    /// # Errors
    /// [`crate::Error::Memory`] and [`crate::Error::Gpu`] from the device.
    pub async fn measure(&self, plan: &Plan) -> Result<MethodTable> {
        Ok(self.measure_and_time(plan).await?.0)
    }

    /// The same, with the work of the methods' trials and the seconds that they took: what the device can do, before the first
    /// step. No work where nothing was measured.
    ///
    /// # Errors
    /// As [`Engine::measure`].
    pub async fn measure_and_time(&self, plan: &Plan) -> Result<(MethodTable, Timed)> {
        tuning::measure(self.gpu(), self.pipelines(), &self.limits(), &plan.step.program).await
    }
}
