//! Finding adapters and opening devices.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::upload::Staging;
use super::wait::{self, Signal};
use crate::error::{Error, Remedy, Result};

/// Backends in the order in which equal adapters are preferred. A browser has only the last, a machine only the others.
const BACKENDS: [wgpu::Backend; 4] =
    [wgpu::Backend::Vulkan, wgpu::Backend::Metal, wgpu::Backend::Dx12, wgpu::Backend::BrowserWebGpu];

/// What this library needs to know of an adapter.
#[derive(Clone, Debug)]
pub struct AdapterSummary {
    /// The name that the driver gives.
    pub name: String,
    /// The driver with its version.
    pub driver: String,
    /// Vulkan, Metal, Dx12, or in a browser WebGPU, as wgpu spells them.
    pub backend: String,
    /// Discrete, integrated, virtual, software (`Cpu`) or other.
    pub device_type: wgpu::DeviceType,
    /// The PCI vendor.
    pub vendor: u32,
    /// Largest buffer in bytes.
    pub max_buffer_bytes: u64,
    /// Largest storage binding in bytes: larger tensors are cut into channel groups.
    pub max_binding_bytes: u64,
    /// Smallest and largest subgroup, where subgroups can be used.
    pub subgroups: Option<(u32, u32)>,
}

impl AdapterSummary {
    fn new(info: &wgpu::AdapterInfo, limits: &wgpu::Limits, features: wgpu::Features) -> Self {
        let subgroups = features.contains(wgpu::Features::SUBGROUP);
        Self {
            name: info.name.clone(),
            driver: [info.driver.trim(), info.driver_info.trim()].join(" ").trim().to_owned(),
            backend: info.backend.to_string(),
            device_type: info.device_type,
            vendor: info.vendor,
            max_buffer_bytes: limits.max_buffer_size,
            max_binding_bytes: limits.max_storage_buffer_binding_size,
            subgroups: subgroups.then_some((info.subgroup_min_size, info.subgroup_max_size)),
        }
    }

    /// Whether the adapter runs on the CPU.
    pub fn is_software(&self) -> bool {
        self.device_type == wgpu::DeviceType::Cpu
    }
}

/// All adapters of this machine, the preferred one first.
pub async fn adapters() -> Vec<AdapterSummary> {
    enumerate().await.iter().map(summary).collect()
}

fn summary(adapter: &wgpu::Adapter) -> AdapterSummary {
    AdapterSummary::new(&adapter.get_info(), &adapter.limits(), adapter.features())
}

async fn enumerate() -> Vec<wgpu::Adapter> {
    // An instance without any backend panics: on wasm32 without the feature `webgpu` there is none.
    if wgpu::Instance::enabled_backend_features().is_empty() {
        return Vec::new();
    }
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    // Running out of memory is an error to report, not a device to lose: refuse what would not fit.
    descriptor.memory_budget_thresholds =
        wgpu::MemoryBudgetThresholds { for_resource_creation: Some(90), for_device_loss: None };
    descriptor.backends = BACKENDS.into_iter().map(wgpu::Backends::from).collect();
    let instance = wgpu::Instance::new(descriptor);
    let mut adapters = instance.enumerate_adapters(wgpu::Backends::all()).await;
    adapters.retain(|adapter| BACKENDS.contains(&adapter.get_info().backend));
    adapters.sort_by_key(|adapter| {
        let info = adapter.get_info();
        (kind_rank(info.device_type), BACKENDS.iter().position(|backend| *backend == info.backend))
    });
    adapters
}

fn kind_rank(kind: wgpu::DeviceType) -> u32 {
    match kind {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

/// What a device is opened with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceRequest {
    /// All limits that the adapter has, and those of its optional features that we use: subgroups and timestamps.
    #[default]
    Full,
    /// No optional feature, and WebGPU's default limits (bindings of 128 MiB, buffers of 256 MiB): this shows on any
    /// adapter what works on one with low limits. Where the adapter has less than a default limit, what it has.
    Portable,
}

impl DeviceRequest {
    fn features(self, adapter: &wgpu::Adapter) -> wgpu::Features {
        match self {
            Self::Full => Gpu::wanted_features(adapter.features()),
            Self::Portable => wgpu::Features::empty(),
        }
    }

    fn limits(self, adapter: &wgpu::Adapter) -> wgpu::Limits {
        match self {
            Self::Full => adapter.limits(),
            Self::Portable => wgpu::Limits::default().or_worse_values_from(&adapter.limits()),
        }
    }
}

/// An open device with its queue.
#[derive(Debug)]
pub struct Gpu {
    device: wgpu::Device,
    queue: wgpu::Queue,
    summary: AdapterSummary,
    limits: wgpu::Limits,
    faults: Arc<Faults>,
    /// The staging buffers of [`Gpu::write`] and [`Gpu::stage`], from their first use on.
    staging: Mutex<Option<Staging>>,
}

/// What a device has reported.
#[derive(Debug, Default)]
struct Faults {
    /// The first error that [`Gpu::fault`] has not returned yet: it names the cause, later ones are its consequences.
    error: Mutex<Option<String>>,
    /// Why the device is lost. A lost device stays lost.
    lost: OnceLock<String>,
}

impl Gpu {
    /// Opens an adapter: by its index in [`adapters`], as the first of a backend (vulkan, metal, dx12 or webgpu), by a
    /// part of its name (letter case does not matter), or the preferred one. Asks for what the adapter has of limits
    /// and of the features that we use.
    ///
    /// # Errors
    /// [`Error::Adapter`] where none fits, [`Error::Gpu`] where the driver refuses.
    pub async fn open(selector: Option<&str>) -> Result<Self> {
        Self::open_with(selector, DeviceRequest::Full).await
    }

    /// Opens an adapter as [`Gpu::open`] does, and asks for no more than `request` says.
    ///
    /// # Errors
    /// [`Error::Adapter`] where none fits, [`Error::Gpu`] where the driver refuses.
    pub async fn open_with(selector: Option<&str>, request: DeviceRequest) -> Result<Self> {
        let adapter = select(enumerate().await, selector)?;
        let (device, queue) = adapter
            .request_device(&wgpu::DeviceDescriptor {
                label: Some("impasto"),
                required_features: request.features(&adapter),
                required_limits: request.limits(&adapter),
                experimental_features: wgpu::ExperimentalFeatures::disabled(),
                memory_hints: wgpu::MemoryHints::MemoryUsage,
                trace: wgpu::Trace::Off,
            })
            .await
            .map_err(|error| Error::Gpu {
                what: format!("opening {}", adapter.get_info().name),
                reason: error.to_string(),
                remedy: Remedy::Any(vec![
                    "close other programs that use it".into(),
                    Remedy::UpdateDriver,
                    Remedy::OtherAdapter,
                ]),
            })?;
        let gpu = Self::from_parts(device, queue);
        let faults = Arc::clone(&gpu.faults);
        gpu.device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            faults.error().get_or_insert(error.to_string());
        }));
        let faults = Arc::clone(&gpu.faults);
        gpu.device.set_device_lost_callback(move |_, message| faults.lose(&message));
        Ok(gpu)
    }

    /// The optional features of an adapter that this library uses.
    pub(crate) fn wanted_features(adapter: wgpu::Features) -> wgpu::Features {
        adapter & (wgpu::Features::SUBGROUP | wgpu::Features::TIMESTAMP_QUERY)
    }

    /// Uses a host's device and queue, with whatever limits and features the host asked for.
    pub fn from_parts(device: wgpu::Device, queue: wgpu::Queue) -> Self {
        let limits = device.limits();
        let summary = AdapterSummary::new(&device.adapter_info(), &limits, device.features());
        Self { device, queue, summary, limits, faults: Arc::default(), staging: Mutex::default() }
    }

    /// The wgpu device.
    pub fn device(&self) -> &wgpu::Device {
        &self.device
    }

    /// The wgpu queue.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.queue
    }

    /// An encoder for commands of our own.
    pub(crate) fn encoder(&self, label: &str) -> wgpu::CommandEncoder {
        self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some(label) })
    }

    /// The staging buffers, once they are allocated.
    pub(super) fn staging(&self) -> MutexGuard<'_, Option<Staging>> {
        self.staging.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the adapter is.
    pub fn summary(&self) -> &AdapterSummary {
        &self.summary
    }

    /// The device's limits.
    pub fn limits(&self) -> &wgpu::Limits {
        &self.limits
    }

    /// Whether passes can be timed by the GPU's own clock.
    pub fn has_timestamps(&self) -> bool {
        self.device.features().contains(wgpu::Features::TIMESTAMP_QUERY)
    }

    /// Creates a buffer. Exhausted memory, exceeded limits and a lost device become errors. The device still works
    /// after its memory was exhausted.
    ///
    /// # Errors
    /// [`Error::Memory`] where it does not fit, [`Error::Gpu`] where the driver refuses otherwise.
    pub async fn buffer(&self, label: &str, bytes: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        self.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size: bytes,
            usage,
            mapped_at_creation: false,
        })
        .await
    }

    pub(super) async fn create_buffer(&self, wanted: &wgpu::BufferDescriptor<'_>) -> Result<wgpu::Buffer> {
        let (label, bytes) = (wanted.label.unwrap_or_default(), wanted.size);
        let out_of_memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let buffer = self.device.create_buffer(wanted);
        let (invalid, exhausted) = (validation.pop(), out_of_memory.pop());
        let (invalid, exhausted) = (invalid.await, exhausted.await);
        let what = || format!("allocating {bytes} bytes for {label}");
        match (invalid, exhausted) {
            // Error scopes report nothing about a lost device.
            (None, None) if self.is_lost() => Err(self.fault(&what(), String::new())),
            (None, None) => Ok(buffer),
            (Some(_), _) if bytes > self.limits.max_buffer_size => Err(Error::Memory {
                what: format!("the buffer {label}"),
                needed: bytes,
                available: self.limits.max_buffer_size,
                remedy: Remedy::SmallerSize(None),
            }),
            (None, Some(_)) => {
                let available = self.allocated_bytes();
                Err(Error::Memory {
                    what: format!("the buffer {label} together with those that there are"),
                    needed: available + bytes,
                    available,
                    remedy: Remedy::Any(vec![
                        Remedy::SmallerSize(None),
                        "close other programs that use the GPU".into(),
                    ]),
                })
            }
            (Some(error), _) => Err(Error::Gpu {
                what: what(),
                reason: error.to_string(),
                remedy: "report this as a bug".into(),
            }),
        }
    }

    /// Bytes of everything allocated on this device, by the driver's account; 0 where it keeps none.
    fn allocated_bytes(&self) -> u64 {
        self.device.generate_allocator_report().map_or(0, |report| report.total_allocated_bytes)
    }

    /// Everything submitted so far, to be waited for.
    pub(crate) fn submitted(&self) -> Submission {
        let signal = Signal::new();
        let sender = signal.sender();
        self.queue.on_submitted_work_done(move || sender(()));
        Submission(signal)
    }

    /// Whether the device is lost, as after a reset by the driver: nothing works with it any more.
    pub fn is_lost(&self) -> bool {
        self.lost().is_some()
    }

    /// Why the device is lost, where it is.
    pub fn lost(&self) -> Option<&str> {
        self.faults.lost.get().map(String::as_str)
    }

    /// Fails where the device is lost, and asks wgpu itself, because a host's device reports to its host. Allocates,
    /// polls and submits nothing, and leaves the error scopes as they were.
    pub(crate) fn check_alive(&self, what: &str) -> Result<()> {
        if !self.is_lost() {
            // Error scopes report nothing about a lost device, and wgpu tests for a loss before anything else. So a
            // request that no device grants gives an error on a working device, and none on a lost one.
            let scope = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
            let nonsense = wgpu::BufferDescriptor {
                label: Some("impasto.check"),
                size: 4,
                usage: wgpu::BufferUsages::empty(),
                mapped_at_creation: false,
            };
            drop(self.device.create_buffer(&nonsense));
            match wait::now(scope.pop()) {
                Some(None) => self.lose(""),
                Some(Some(_)) | None => return Ok(()),
            }
        }
        Err(self.fault(what, String::new()))
    }

    /// Marks the device as lost.
    pub(super) fn lose(&self, message: &str) {
        self.faults.lose(message);
    }

    /// An error for `what`; where the device has reported a deeper cause, that is the reason.
    pub(crate) fn fault(&self, what: &str, reason: String) -> Error {
        // A driver reports the loss of a device while it is polled; what fails before that gives a poorer reason.
        if cfg!(not(target_family = "wasm")) && !self.is_lost() {
            let _ = wait::poll(self);
        }
        let remedy = Remedy::Any(vec![Remedy::UpdateDriver, Remedy::SmallerSize(None), Remedy::OtherAdapter]);
        let (reason, remedy) = match self.faults.lost.get() {
            Some(lost) => (lost.clone(), Remedy::StartAgain { otherwise: Box::new(remedy) }),
            None => (self.faults.error().take().unwrap_or(reason), remedy),
        };
        Error::Gpu { what: what.to_owned(), reason, remedy }
    }

    /// Fails if the device is lost, or has reported an error since the last call.
    pub(crate) fn check(&self, what: &str) -> Result<()> {
        let reported = self.is_lost() || self.faults.error().is_some();
        if reported { Err(self.fault(what, String::new())) } else { Ok(()) }
    }
}

impl Faults {
    fn error(&self) -> MutexGuard<'_, Option<String>> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lose(&self, message: &str) {
        // Often this is all that wgpu reports.
        let known = message.is_empty() || message.to_lowercase().contains("device is lost");
        self.lost.get_or_init(|| {
            if known { "the device was lost".into() } else { format!("the device was lost: {message}") }
        });
    }
}

/// Work that was submitted.
#[derive(Debug)]
pub(crate) struct Submission(Signal<()>);

impl Submission {
    /// Waits until it is done.
    pub(crate) async fn wait(self, gpu: &Gpu, what: &str) -> Result<()> {
        self.0.wait(gpu).await.map_err(|reason| gpu.fault(what, reason))
    }
}

fn select(mut adapters: Vec<wgpu::Adapter>, selector: Option<&str>) -> Result<wgpu::Adapter> {
    let names: Vec<String> =
        adapters.iter().enumerate().map(|(index, a)| format!("{index}: {}", a.get_info().name)).collect();
    let position = match selector {
        None => (!adapters.is_empty()).then_some(0),
        Some("") => None,
        Some(selector) => {
            let index = selector.parse().ok().filter(|index| *index < adapters.len());
            let wanted = selector.to_lowercase();
            let backend = || adapters.iter().position(|a| a.get_info().backend.to_str() == wanted);
            // A number that is no index may be a part of a name, such as 4090.
            let name = || adapters.iter().position(|a| a.get_info().name.to_lowercase().contains(&wanted));
            index.or_else(backend).or_else(name)
        }
    };
    match (position, selector) {
        (Some(position), _) => Ok(adapters.swap_remove(position)),
        (None, Some(selector)) if !names.is_empty() => Err(Error::Adapter {
            reason: format!("no adapter is called {selector:?}; there are {}", names.join(", ")),
            remedy: Remedy::ListedAdapter,
        }),
        _ if cfg!(target_family = "wasm") => Err(Error::Adapter {
            reason: "no WebGPU adapter was found".into(),
            remedy:
                "use a browser with WebGPU and a page from https or localhost; build with the feature webgpu"
                    .into(),
        }),
        _ => Err(Error::Adapter {
            reason: "no Vulkan, Metal or DirectX 12 adapter was found".into(),
            remedy:
                "install your GPU's driver, or on Linux Mesa's software driver (Debian: mesa-vulkan-drivers)"
                    .into(),
        }),
    }
}
