//! What an integration adds to an engine: its instance, its device and its images become wgpu's.

use std::error::Error;
use std::ffi::CStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ash::vk;
use impasto::transfer::Engine;
use impasto::wgpu;
use impasto::wgpu::hal;
use impasto::wgpu::hal::vulkan::TextureMemory;

use super::engine;

type Result<T> = std::result::Result<T, Box<dyn Error>>;
type Vulkan = hal::api::Vulkan;

/// Must be the same wherever the instance is spoken of.
const FLAGS: wgpu::InstanceFlags = wgpu::InstanceFlags::empty();
const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba8UnormSrgb;

/// Whether wgpu has let go of a handle. wgpu calls back then, and destroys nothing that it was given with a callback.
#[derive(Clone, Debug, Default)]
pub(crate) struct Released(Arc<AtomicBool>);

impl Released {
    fn callback(&self) -> hal::DropCallback {
        let released = Arc::clone(&self.0);
        Box::new(move || released.store(true, Ordering::Release))
    }

    /// Fails where a handle is still in use: it had better leak than be destroyed.
    pub(crate) fn check(&self, what: &str) -> Result<()> {
        let released = self.0.load(Ordering::Acquire);
        if released { Ok(()) } else { Err(format!("wgpu still holds {what}").into()) }
    }
}

/// The instance extensions that wgpu expects where the loader has them. An engine adds its own.
pub(crate) fn instance_extensions(entry: &ash::Entry, api_version: u32) -> Result<Vec<&'static CStr>> {
    Ok(hal::vulkan::Instance::desired_extensions(entry, api_version, FLAGS)?)
}

/// The engine's instance, as wgpu sees it, and one of its GPUs.
pub(crate) struct Exposed {
    instance: hal::vulkan::Instance,
    adapter: hal::ExposedAdapter<Vulkan>,
    features: wgpu::Features,
    limits: wgpu::Limits,
    pub(crate) extensions: Vec<&'static CStr>,
    pub(crate) instance_released: Released,
}

impl Exposed {
    /// Shows wgpu the instance, and asks what a device for paintings of this size needs.
    pub(crate) fn new(
        engine: &engine::Instance,
        physical: vk::PhysicalDevice,
        size: (u32, u32),
    ) -> Result<Self> {
        let instance_released = Released::default();
        // SAFETY: the instance was made from this entry, with the extensions that wgpu desires, for this version, and
        // lives until the callback was called.
        let instance = unsafe {
            hal::vulkan::Instance::from_raw(
                engine.entry.clone(),
                engine.raw.clone(),
                engine.api_version,
                0, // of Android's SDK
                None,
                engine.extensions.clone(),
                FLAGS,
                wgpu::MemoryBudgetThresholds::default(),
                false, // has no layer of NVIDIA's Optimus: counts for surfaces only
                Some(instance_released.callback()),
            )?
        };
        let adapter =
            instance.expose_adapter(physical).ok_or("wgpu cannot work on this GPU: its Vulkan is too old")?;
        let features = Engine::wanted_features(adapter.features);
        // An engine that uses wgpu for more than impasto starts from the limits that it needs itself.
        let limits = wgpu::Limits::default().or_better_values_from(&Engine::required_limits(size));
        if !limits.check_limits(&adapter.capabilities.limits) {
            return Err(format!("the GPU has less than {limits:?}").into());
        }
        let extensions = adapter.adapter.required_device_extensions(features);
        Ok(Self { instance, adapter, features, limits, extensions, instance_released })
    }

    /// What has to be enabled in the device, a chain of structures for its create info.
    pub(crate) fn device_features(&self) -> hal::vulkan::PhysicalDeviceFeatures {
        self.adapter.adapter.physical_device_features(&self.extensions, self.features)
    }

    /// The engine's device, made with [`Exposed::extensions`] and [`Exposed::device_features`], as a device of wgpu's.
    pub(crate) fn import(self, device: &engine::Device) -> Result<Imported> {
        let device_released = Released::default();
        let hints = wgpu::MemoryHints::MemoryUsage;
        // SAFETY: the device was made on this adapter, with a queue 0 of this family and with what the adapter asked
        // for, and lives until the callback was called.
        let open = unsafe {
            self.adapter.adapter.device_from_raw(
                device.raw.clone(),
                Some(device_released.callback()),
                &self.extensions,
                self.features,
                &self.limits,
                &hints,
                device.family,
                0,
            )?
        };
        // SAFETY: the instance is sound, and is the engine's until the callback was called.
        let instance = unsafe { wgpu::Instance::from_hal::<Vulkan>(self.instance) };
        // SAFETY: the adapter is the instance's.
        let adapter = unsafe { instance.create_adapter_from_hal(self.adapter) };
        let wanted = wgpu::DeviceDescriptor {
            label: Some("the engine's device"),
            required_features: self.features,
            required_limits: self.limits,
            experimental_features: wgpu::ExperimentalFeatures::disabled(),
            memory_hints: hints,
            trace: wgpu::Trace::Off,
        };
        // SAFETY: the device is this adapter's and was opened with these features and limits.
        let (device, queue) = unsafe { adapter.create_device_from_hal(open, &wanted)? };
        Ok(Imported { device, queue, device_released })
    }
}

/// The engine's device in wgpu's hands. It keeps what it needs of adapter and instance.
pub(crate) struct Imported {
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    pub(crate) device_released: Released,
}

impl Imported {
    /// An image of the engine's, RGBA in sRGB with the usages of copies both ways, as a texture in the state that it
    /// is in: `COPY_SRC` stands for the layout `TRANSFER_SRC_OPTIMAL`, `UNINITIALIZED` for `UNDEFINED`. Until
    /// the texture is released, its layout is wgpu's business.
    pub(crate) fn wrap(
        &self,
        label: &str,
        image: &engine::Image,
        state: wgpu::TextureUses,
    ) -> Result<(wgpu::Texture, Released)> {
        let released = Released::default();
        let size = wgpu::Extent3d { width: image.size.0, height: image.size.1, depth_or_array_layers: 1 };
        let inner = hal::TextureDescriptor {
            label: Some(label),
            size,
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: FORMAT,
            usage: wgpu::TextureUses::COPY_SRC | wgpu::TextureUses::COPY_DST,
            memory_flags: hal::MemoryFlags::empty(),
            view_formats: Vec::new(),
        };
        let outer = wgpu::TextureDescriptor {
            label: Some(label),
            size,
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: FORMAT,
            usage: wgpu::TextureUsages::COPY_SRC | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        };
        // SAFETY: the handle of the device is used for nothing but this call.
        let device = unsafe { self.device.as_hal::<Vulkan>() }.ok_or("the device is none of Vulkan")?;
        // SAFETY: the image was made as both descriptions say, is in the state that the caller names, and lives, with
        // its memory, until the callback was called.
        let texture = unsafe {
            let external = TextureMemory::External;
            let texture = device.texture_from_raw(image.raw, &inner, Some(released.callback()), external);
            self.device.create_texture_from_hal::<Vulkan>(texture, &outer, state)
        };
        Ok((texture, released))
    }
}
