//! An open device: buffers, uploads, and errors that name their cause.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::adapter::{AdapterSummary, DeviceRequest, enumerate, select};
use super::faults::Faults;
use super::staging::{Staging, StagingRetry, WHAT};
use super::wait::{self, Signal};
use crate::error::{Error, Remedy, Result};

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

impl Gpu {
    /// Opens an adapter: by its index in [`super::adapters`], as the first of a backend (vulkan, metal, dx12 or webgpu) or of a
    /// kind (gpu, discrete, integrated, virtual, or cpu for software), by a part of its name (letter case does not matter), or
    /// the preferred one. Asks for what the adapter has of limits
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
    fn staging(&self) -> MutexGuard<'_, Option<Staging>> {
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

    async fn create_buffer(&self, wanted: &wgpu::BufferDescriptor<'_>) -> Result<wgpu::Buffer> {
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

    /// Allocates the memory of [`Gpu::stage`] at the first call.
    ///
    /// # Errors
    /// [`Error::Memory`] where it does not fit, [`Error::Gpu`] where the device is lost.
    pub(crate) async fn open_staging(&self) -> Result<()> {
        if self.staging().is_none() {
            let mut buffers = Vec::with_capacity(Staging::SLOTS);
            for _ in 0..Staging::SLOTS {
                let wanted = wgpu::BufferDescriptor {
                    label: Some("impasto.staging"),
                    size: Staging::SLOT_BYTES,
                    usage: Staging::USAGE,
                    mapped_at_creation: true,
                };
                buffers.push(self.create_buffer(&wanted).await?);
            }
            let staging = Staging::new(buffers);
            // Two threads may get here at the same time: the second one's ring is dropped.
            self.staging().get_or_insert(staging);
        }
        Ok(())
    }

    /// Records the copy of the first of `bytes` to a buffer with `COPY_DST`, from `offset` on, and returns how many it
    /// took: 0 where all staging memory is in use until the GPU has run earlier copies. Offset and number of bytes are
    /// multiples of 4. Submits nothing, and waits for nothing.
    ///
    /// # Errors
    /// [`Error::Gpu`] where the device is lost.
    pub(crate) fn stage(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        buffer: &wgpu::Buffer,
        offset: u64,
        bytes: &[u8],
    ) -> Result<usize> {
        let taken = match &*self.staging() {
            Some(staging) => staging.copy(encoder, buffer, offset, bytes),
            None => Err("it has no staging memory".into()),
        };
        taken.map_err(|reason| self.fault(WHAT, reason))
    }

    /// Writes `bytes` to a buffer with `COPY_DST`, from `offset` on; both are multiples of 4. All later submissions see
    /// them. Submits, and waits while 4 MiB of staging memory are in use.
    ///
    /// The future polls the device, and outside a browser it sleeps up to 300 µs in each `poll` that finds the GPU not ready:
    /// a thread of an async executor is blocked for that long.
    ///
    /// # Errors
    /// [`Error::Memory`] where the staging does not fit, [`Error::Gpu`] where the device is lost.
    pub async fn write(&self, buffer: &wgpu::Buffer, offset: u64, bytes: &[u8]) -> Result<()> {
        self.open_staging().await?;
        let (mut written, mut retry) = (0, StagingRetry::default());
        while written < bytes.len() {
            let mut encoder = self.encoder("impasto.upload");
            let taken = self.stage(&mut encoder, buffer, offset + written as u64, &bytes[written..])?;
            self.queue().submit([encoder.finish()]);
            written += taken;
            self.await_staging(&mut retry, taken > 0).await?;
        }
        Ok(())
    }

    /// To be called after each submission. If its encoder got no staging memory, waits for all submitted work, which
    /// returns some.
    ///
    /// # Errors
    /// [`Error::Gpu`] where the device is lost, or where encoders that are not submitted hold all of it.
    pub(crate) async fn await_staging(&self, retry: &mut StagingRetry, had_memory: bool) -> Result<()> {
        if retry.needs_wait(had_memory)? { self.submitted().wait(self, WHAT).await } else { Ok(()) }
    }

    /// A buffer that begins with `bytes`, whose number is a multiple of 4. Meant for small buffers: wgpu copies the
    /// bytes with the next submission, and they take their memory twice until then. Submits nothing.
    ///
    /// # Errors
    /// [`Error::Memory`] where it does not fit, [`Error::Gpu`] where the device is lost.
    pub(crate) async fn buffer_with(
        &self,
        label: &str,
        bytes: &[u8],
        usage: wgpu::BufferUsages,
    ) -> Result<wgpu::Buffer> {
        let buffer = self
            .create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size: (bytes.len() as u64).max(16),
                usage,
                mapped_at_creation: true,
            })
            .await?;
        match buffer.get_mapped_range_mut(..bytes.len() as u64) {
            Ok(mut view) => view.copy_from_slice(bytes),
            Err(error) => return Err(self.fault(WHAT, error.to_string())),
        }
        buffer.unmap();
        Ok(buffer)
    }

    /// Bytes of everything allocated on this device, by the driver's account; 0 where it keeps none.
    fn allocated_bytes(&self) -> u64 {
        self.device.generate_allocator_report().map_or(0, |report| report.total_allocated_bytes)
    }

    /// Waits for the value that a callback of wgpu delivers, or for the reason why none will come.
    pub(super) async fn wait<T: Send + 'static>(&self, signal: Signal<T>) -> Result<T, String> {
        signal.wait(&self.device, &self.faults).await
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
        self.faults.lost()
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
                Some(None) => self.faults.lose(""),
                Some(Some(_)) | None => return Ok(()),
            }
        }
        Err(self.fault(what, String::new()))
    }

    /// An error for `what`; where the device has reported a deeper cause, that is the reason.
    pub(crate) fn fault(&self, what: &str, reason: String) -> Error {
        // A driver reports the loss of a device while it is polled; what fails before that gives a poorer reason.
        if cfg!(not(target_family = "wasm")) && !self.is_lost() {
            let _ = wait::poll(&self.device, &self.faults);
        }
        let remedy = Remedy::Any(vec![Remedy::UpdateDriver, Remedy::SmallerSize(None), Remedy::OtherAdapter]);
        let (reason, remedy) = match self.lost() {
            Some(lost) => (lost.to_owned(), Remedy::StartAgain { otherwise: Box::new(remedy) }),
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

/// Work that was submitted.
#[derive(Debug)]
pub(crate) struct Submission(Signal<()>);

impl Submission {
    /// Waits until it is done.
    pub(crate) async fn wait(self, gpu: &Gpu, what: &str) -> Result<()> {
        gpu.wait(self.0).await.map_err(|reason| gpu.fault(what, reason))
    }
}
