//! Asks a Vulkan driver what its compiler makes of kernels: `VK_KHR_pipeline_executable_properties`, which Mesa's drivers
//! for AMD, NVIDIA, Apple, Adreno, Mali and PowerVR all have. Nothing is submitted, so a stand-in for the kernel
//! driver is enough.
//!
//! Instance, features, layouts and SPIR-V are as wgpu-hal makes them (`vulkan/adapter.rs`, `vulkan/device.rs`), so the
//! code is that of the real program.

// Handles of Vulkan are plain numbers, and what may be done with them only people can check: each block says why it may.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::CStr;

use ash::{khr, vk};
use impasto::gpu::Kernel;

use crate::backends::{Checks, Translation, VULKAN, Vulkan};
use crate::capture::Executable;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The newest Vulkan that wgpu's back end was written for.
const NEWEST: u32 = vk::API_VERSION_1_3;

/// A device that only compiles.
pub(crate) struct Compiler {
    // Keeps the loader's library open.
    _entry: ash::Entry,
    instance: ash::Instance,
    device: ash::Device,
    executables: khr::pipeline_executable_properties::Device,
    vulkan: Vulkan,
    /// Whether the driver may choose the size of subgroups: wgpu lets it where it has subgroups.
    stage_flags: vk::PipelineShaderStageCreateFlags,
}

impl Compiler {
    /// Opens the first device. `robust`: with the driver's checks of indices where it has them, as wgpu always asks.
    ///
    /// # Errors
    /// Where there is no device, or where its driver does not tell what it compiles.
    pub(crate) fn open(robust: bool) -> Result<Self> {
        // SAFETY: the loader of this system is taken to be a sound library.
        let entry = unsafe { ash::Entry::load()? };
        let application = vk::ApplicationInfo::default().engine_name(c"gpu_stats").api_version(NEWEST);
        let info = vk::InstanceCreateInfo::default().application_info(&application);
        // SAFETY: all that `info` points to lives until the call returns.
        let instance = unsafe { entry.create_instance(&info, None)? };
        match Self::on_first_device(&instance, robust) {
            Ok((device, vulkan, stage_flags)) => {
                let executables = khr::pipeline_executable_properties::Device::new(&instance, &device);
                Ok(Self { _entry: entry, instance, device, executables, vulkan, stage_flags })
            }
            Err(error) => {
                // SAFETY: nothing made from the instance is left.
                unsafe { instance.destroy_instance(None) };
                Err(error)
            }
        }
    }

    fn on_first_device(
        instance: &ash::Instance,
        robust: bool,
    ) -> Result<(ash::Device, Vulkan, vk::PipelineShaderStageCreateFlags)> {
        // SAFETY: the instance is alive.
        let physical = unsafe { instance.enumerate_physical_devices()? }.into_iter().next();
        let physical = physical.ok_or("there is no Vulkan device")?;
        // SAFETY: the instance is alive, and the device is one of its.
        let (properties, extensions) = unsafe {
            (
                instance.get_physical_device_properties(physical),
                instance.enumerate_device_extension_properties(physical)?,
            )
        };
        let has =
            |name: &CStr| extensions.iter().any(|extension| extension.extension_name_as_c_str() == Ok(name));
        if !has(khr::pipeline_executable_properties::NAME) {
            let name = properties.device_name_as_c_str().unwrap_or_default().to_string_lossy().into_owned();
            return Err(format!("the driver of {name} does not tell what it compiles").into());
        }
        let has_robustness2 = robust && has(ash::ext::robustness2::NAME);
        let has_subgroups = properties.api_version >= vk::API_VERSION_1_3;

        let mut found_robustness2 = vk::PhysicalDeviceRobustness2FeaturesEXT::default();
        let mut found = vk::PhysicalDeviceFeatures2::default();
        if has_robustness2 {
            found = found.push_next(&mut found_robustness2);
        }
        // SAFETY: the instance is alive, the device is one of its, and the structures of the chain are known to it.
        unsafe { instance.get_physical_device_features2(physical, &mut found) };
        // wgpu has the driver check indices of buffers wherever it can, whatever a module asks for.
        let features = vk::PhysicalDeviceFeatures::default()
            .robust_buffer_access(robust && found.features.robust_buffer_access != 0);
        let mut robustness2 = vk::PhysicalDeviceRobustness2FeaturesEXT::default()
            .robust_buffer_access2(found_robustness2.robust_buffer_access2 != 0);
        let mut statistics = vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default()
            .pipeline_executable_info(true);
        let mut subgroups = vk::PhysicalDeviceVulkan13Features::default().subgroup_size_control(true);
        let mut names = vec![khr::pipeline_executable_properties::NAME.as_ptr()];
        let queues = [vk::DeviceQueueCreateInfo::default().queue_family_index(0).queue_priorities(&[1.0])];
        let mut info = vk::DeviceCreateInfo::default()
            .queue_create_infos(&queues)
            .enabled_features(&features)
            .push_next(&mut statistics);
        if has_robustness2 {
            names.push(ash::ext::robustness2::NAME.as_ptr());
            info = info.push_next(&mut robustness2);
        }
        if has_subgroups {
            info = info.push_next(&mut subgroups);
        }
        let info = info.enabled_extension_names(&names);
        // SAFETY: all that `info` points to lives until the call returns, and the device has what is asked for.
        let device = unsafe { instance.create_device(physical, &info, None)? };
        let stage_flags = match has_subgroups {
            true => vk::PipelineShaderStageCreateFlags::ALLOW_VARYING_SUBGROUP_SIZE,
            false => vk::PipelineShaderStageCreateFlags::empty(),
        };
        let minor = vk::api_version_minor(properties.api_version.min(NEWEST)) as usize;
        Ok((device, VULKAN[minor.min(VULKAN.len() - 1)], stage_flags))
    }

    /// Compiles a kernel, and says what came of it: an executable for each variant that the driver made.
    ///
    /// # Errors
    /// The driver's, or the translation's.
    pub(crate) fn compile(&self, kernel: &'static Kernel) -> Result<Vec<Executable>> {
        let spirv = Translation::new(kernel, &kernel.text(), Checks::Without)?.spirv(self.vulkan)?;
        let kinds = [vk::DescriptorType::UNIFORM_BUFFER_DYNAMIC, vk::DescriptorType::UNIFORM_BUFFER];
        let kinds =
            kinds.into_iter().chain(kernel.bindings.iter().map(|_| vk::DescriptorType::STORAGE_BUFFER));
        let bindings: Vec<_> = (0..)
            .zip(kinds)
            .map(|(binding, kind)| {
                vk::DescriptorSetLayoutBinding::default()
                    .binding(binding)
                    .descriptor_type(kind)
                    .descriptor_count(1)
                    .stage_flags(vk::ShaderStageFlags::COMPUTE)
            })
            .collect();
        let mut made = Made::new(&self.device);
        let device = &self.device;
        // SAFETY: the device is alive; all that the structures point to lives until each call returns; what is made is
        // destroyed by `made`, once, after its last use.
        unsafe {
            let info = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
            made.set = device.create_descriptor_set_layout(&info, None)?;
            let sets = [made.set];
            let info = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets);
            made.layout = device.create_pipeline_layout(&info, None)?;
            let info = vk::ShaderModuleCreateInfo::default().code(&spirv);
            made.module = device.create_shader_module(&info, None)?;
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .flags(self.stage_flags)
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(made.module)
                .name(c"main");
            let flags = vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR
                | vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR;
            let info = vk::ComputePipelineCreateInfo::default().flags(flags).layout(made.layout).stage(stage);
            let pipelines = device.create_compute_pipelines(vk::PipelineCache::null(), &[info], None);
            made.pipeline = pipelines.map_err(|(_, error)| error)?[0];
        }
        self.describe(made.pipeline)
    }

    fn describe(&self, pipeline: vk::Pipeline) -> Result<Vec<Executable>> {
        let info = vk::PipelineInfoKHR::default().pipeline(pipeline);
        // SAFETY: the pipeline is alive, and was made to keep its statistics.
        let found = unsafe { self.executables.get_pipeline_executable_properties(&info)? };
        let mut executables = Vec::new();
        for (index, properties) in (0..).zip(&found) {
            let info = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline).executable_index(index);
            // SAFETY: as above, and the index is one of those that were counted.
            let statistics = unsafe { self.executables.get_pipeline_executable_statistics(&info)? };
            let statistics = statistics.iter().map(|statistic| {
                let name = statistic.name_as_c_str().unwrap_or_default().to_string_lossy().into_owned();
                // SAFETY: the format says which member of the union was written.
                let value = unsafe {
                    match statistic.format {
                        vk::PipelineExecutableStatisticFormatKHR::BOOL32 => f64::from(statistic.value.b32),
                        vk::PipelineExecutableStatisticFormatKHR::INT64 => statistic.value.i64 as f64,
                        vk::PipelineExecutableStatisticFormatKHR::UINT64 => statistic.value.u64 as f64,
                        _ => statistic.value.f64,
                    }
                };
                (name, value)
            });
            executables.push(Executable {
                name: properties.name_as_c_str().unwrap_or_default().to_string_lossy().into_owned(),
                subgroup: properties.subgroup_size,
                statistics: statistics.collect(),
                listings: self.listings(&info)?,
            });
        }
        Ok(executables)
    }

    /// The texts that the driver has of an executable, by name.
    fn listings(&self, info: &vk::PipelineExecutableInfoKHR<'_>) -> Result<BTreeMap<String, String>> {
        // SAFETY: the executable is one of a pipeline that is alive and was made to keep its texts.
        let mut texts = unsafe { self.executables.get_pipeline_executable_internal_representations(info)? };
        let mut bytes: Vec<Vec<u8>> = texts.iter().map(|text| vec![0; text.data_size]).collect();
        for (text, bytes) in texts.iter_mut().zip(&mut bytes) {
            text.p_data = bytes.as_mut_ptr().cast();
        }
        let mut count = u32::try_from(texts.len())?;
        let ask = self.executables.fp().get_pipeline_executable_internal_representations_khr;
        // SAFETY: as above; each text has as many bytes behind its pointer as it said that it needs.
        unsafe { ask(self.device.handle(), info, &mut count, texts.as_mut_ptr()) }.result()?;
        let texts = texts.iter().zip(bytes).filter(|(text, _)| text.is_text != 0).map(|(text, bytes)| {
            let name = text.name_as_c_str().unwrap_or_default().to_string_lossy().into_owned();
            let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
            (name, String::from_utf8_lossy(&bytes[..end]).into_owned())
        });
        Ok(texts.collect())
    }
}

impl Drop for Compiler {
    fn drop(&mut self) {
        // SAFETY: each compilation has destroyed what it made, and nothing was submitted.
        unsafe {
            self.device.destroy_device(None);
            self.instance.destroy_instance(None);
        }
    }
}

/// What one compilation makes; destroyed whatever ends it.
struct Made<'a> {
    device: &'a ash::Device,
    set: vk::DescriptorSetLayout,
    layout: vk::PipelineLayout,
    module: vk::ShaderModule,
    pipeline: vk::Pipeline,
}

impl<'a> Made<'a> {
    fn new(device: &'a ash::Device) -> Self {
        Self {
            device,
            set: Default::default(),
            layout: Default::default(),
            module: Default::default(),
            pipeline: Default::default(),
        }
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        // SAFETY: nothing uses them any more; a handle that is null is passed over.
        unsafe {
            self.device.destroy_pipeline(self.pipeline, None);
            self.device.destroy_shader_module(self.module, None);
            self.device.destroy_pipeline_layout(self.layout, None);
            self.device.destroy_descriptor_set_layout(self.set, None);
        }
    }
}
