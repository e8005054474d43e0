//! The engine: its Vulkan, made with `ash` and without wgpu, and what it does with pictures of its own.

use std::error::Error;
use std::ffi::CStr;

use ash::vk;
use impasto::wgpu::hal::vulkan::PhysicalDeviceFeatures;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The newest Vulkan that wgpu's backend was written for; it expects the instance to ask for no newer one.
const NEWEST: u32 = vk::API_VERSION_1_3;

const FORMAT: vk::Format = vk::Format::R8G8B8A8_SRGB;
const BYTES_A_PIXEL: u64 = 4;

/// The loader and an instance.
pub(crate) struct Instance {
    pub(crate) entry: ash::Entry,
    pub(crate) raw: ash::Instance,
    pub(crate) api_version: u32,
    pub(crate) extensions: Vec<&'static CStr>,
}

impl Instance {
    /// Makes an instance with the extensions that `wanted` names, given the loader and the version.
    pub(crate) fn create(
        wanted: impl FnOnce(&ash::Entry, u32) -> Result<Vec<&'static CStr>>,
    ) -> Result<Self> {
        // SAFETY: the loader of this system is taken to be a sound library.
        let entry = unsafe { ash::Entry::load()? };
        // SAFETY: the entry is loaded.
        let installed = unsafe { entry.try_enumerate_instance_version()? };
        let api_version = installed.unwrap_or(vk::API_VERSION_1_0).min(NEWEST);
        let extensions = wanted(&entry, api_version)?;
        let names: Vec<_> = extensions.iter().map(|name| name.as_ptr()).collect();
        let application =
            vk::ApplicationInfo::default().engine_name(c"an engine of its own").api_version(api_version);
        let info =
            vk::InstanceCreateInfo::default().application_info(&application).enabled_extension_names(&names);
        // SAFETY: all that `info` points to lives until the call returns.
        let raw = unsafe { entry.create_instance(&info, None)? };
        Ok(Self { entry, raw, api_version, extensions })
    }

    /// The first GPU, hardware before software.
    pub(crate) fn physical_device(&self) -> Result<vk::PhysicalDevice> {
        // SAFETY: the instance is alive.
        let mut all = unsafe { self.raw.enumerate_physical_devices()? };
        all.sort_by_key(|device| {
            // SAFETY: the instance is alive, and the device is one of its.
            let properties = unsafe { self.raw.get_physical_device_properties(*device) };
            match properties.device_type {
                vk::PhysicalDeviceType::DISCRETE_GPU => 0,
                vk::PhysicalDeviceType::INTEGRATED_GPU => 1,
                vk::PhysicalDeviceType::CPU => 3,
                _ => 2,
            }
        });
        all.first().copied().ok_or_else(|| "this machine has no Vulkan device; install a driver".into())
    }

    /// # Safety
    /// Nothing made from the instance is left, and nobody uses it any more.
    pub(crate) unsafe fn destroy(self) {
        // SAFETY: as the caller says.
        unsafe { self.raw.destroy_instance(None) };
    }
}

/// A device with one queue, and what the engine needs to move pictures.
pub(crate) struct Device {
    pub(crate) raw: ash::Device,
    pub(crate) family: u32,
    queue: vk::Queue,
    commands: vk::CommandPool,
    memory: vk::PhysicalDeviceMemoryProperties,
}

impl Device {
    /// Opens a device with the extensions and features that wgpu asks for. An engine adds its own: names to the
    /// extensions, structures to the chain of the create info, where a structure must not come twice.
    pub(crate) fn create(
        instance: &Instance,
        physical: vk::PhysicalDevice,
        extensions: &[&'static CStr],
        features: &mut PhysicalDeviceFeatures,
    ) -> Result<Self> {
        // SAFETY: the instance is alive, and the device is one of its.
        let families = unsafe { instance.raw.get_physical_device_queue_family_properties(physical) };
        // wgpu puts rendering, computing and copies on one queue.
        let needed = vk::QueueFlags::GRAPHICS | vk::QueueFlags::COMPUTE;
        let family = families
            .iter()
            .position(|family| family.queue_flags.contains(needed))
            .ok_or("no queue family renders and computes")?;
        let family = u32::try_from(family)?;
        let queues =
            [vk::DeviceQueueCreateInfo::default().queue_family_index(family).queue_priorities(&[1.0])];
        let names: Vec<_> = extensions.iter().map(|name| name.as_ptr()).collect();
        let info =
            vk::DeviceCreateInfo::default().queue_create_infos(&queues).enabled_extension_names(&names);
        let info = features.add_to_device_create(info);
        // SAFETY: all that `info` points to lives until the call returns, and the adapter has what is asked for.
        let raw = unsafe { instance.raw.create_device(physical, &info, None)? };
        let pool = vk::CommandPoolCreateInfo::default().queue_family_index(family);
        // SAFETY: the device is alive, and was made with one queue of this family.
        let (queue, commands, memory) = unsafe {
            (
                raw.get_device_queue(family, 0),
                raw.create_command_pool(&pool, None)?,
                instance.raw.get_physical_device_memory_properties(physical),
            )
        };
        Ok(Self { raw, family, queue, commands, memory })
    }

    /// A picture of the engine's with these pixels, in the layout of a source of copies.
    pub(crate) fn picture(&self, size: (u32, u32), rgba: &[u8]) -> Result<Image> {
        let image = self.image(size)?;
        let staging = self.buffer(image.bytes(), vk::BufferUsageFlags::TRANSFER_SRC)?;
        // SAFETY: the memory is the staging buffer's own, visible to the host, mapped by nobody else, and as long as
        // the pixels are, which is asserted.
        unsafe {
            assert_eq!(u64::try_from(rgba.len())?, image.bytes());
            let mapped = self.raw.map_memory(staging.memory, 0, image.bytes(), Default::default())?;
            mapped.cast::<u8>().copy_from_nonoverlapping(rgba.as_ptr(), rgba.len());
            self.raw.unmap_memory(staging.memory);
        }
        let (empty, target, source) = (
            vk::ImageLayout::UNDEFINED,
            vk::ImageLayout::TRANSFER_DST_OPTIMAL,
            vk::ImageLayout::TRANSFER_SRC_OPTIMAL,
        );
        self.run(|commands| {
            // SAFETY: the handles are alive until `run` has waited for the commands, which are being recorded.
            unsafe {
                self.to_layout(commands, &image, empty, target);
                let copy = [image.whole()];
                self.raw.cmd_copy_buffer_to_image(commands, staging.raw, image.raw, target, &copy);
                self.to_layout(commands, &image, target, source);
            }
        })?;
        // SAFETY: `run` has waited for the only commands that use it.
        unsafe { staging.destroy(self) };
        Ok(image)
    }

    /// A picture of the engine's without content, in no layout.
    pub(crate) fn image(&self, size: (u32, u32)) -> Result<Image> {
        let info = vk::ImageCreateInfo::default()
            .image_type(vk::ImageType::TYPE_2D)
            .format(FORMAT)
            .extent(vk::Extent3D { width: size.0, height: size.1, depth: 1 })
            .mip_levels(1)
            .array_layers(1)
            .samples(vk::SampleCountFlags::TYPE_1)
            .usage(
                vk::ImageUsageFlags::TRANSFER_SRC
                    | vk::ImageUsageFlags::TRANSFER_DST
                    | vk::ImageUsageFlags::SAMPLED,
            );
        // SAFETY: the device is alive, and the memory is new and as large as the image asks for.
        unsafe {
            let raw = self.raw.create_image(&info, None)?;
            let needs = self.raw.get_image_memory_requirements(raw);
            let memory = self.allocate(needs, vk::MemoryPropertyFlags::DEVICE_LOCAL)?;
            self.raw.bind_image_memory(raw, memory, 0)?;
            Ok(Image { raw, memory, size })
        }
    }

    /// The pixels of a picture that is in the layout of a source of copies.
    pub(crate) fn read(&self, image: &Image) -> Result<Vec<u8>> {
        let staging = self.buffer(image.bytes(), vk::BufferUsageFlags::TRANSFER_DST)?;
        let source = vk::ImageLayout::TRANSFER_SRC_OPTIMAL;
        self.run(|commands| {
            // SAFETY: the handles are alive until `run` has waited for the commands, which are being recorded.
            unsafe {
                // The layout stays: the barrier has the copy wait for whoever painted.
                self.to_layout(commands, image, source, source);
                let copy = [image.whole()];
                self.raw.cmd_copy_image_to_buffer(commands, image.raw, source, staging.raw, &copy);
                let host = [vk::MemoryBarrier::default()
                    .src_access_mask(vk::AccessFlags::TRANSFER_WRITE)
                    .dst_access_mask(vk::AccessFlags::HOST_READ)];
                self.raw.cmd_pipeline_barrier(
                    commands,
                    vk::PipelineStageFlags::TRANSFER,
                    vk::PipelineStageFlags::HOST,
                    vk::DependencyFlags::empty(),
                    &host,
                    &[],
                    &[],
                );
            }
        })?;
        // SAFETY: the memory is the staging buffer's own, visible to the host and mapped by nobody else; the GPU has
        // finished with it.
        unsafe {
            let mapped = self.raw.map_memory(staging.memory, 0, image.bytes(), Default::default())?;
            let pixels =
                std::slice::from_raw_parts(mapped.cast::<u8>(), usize::try_from(image.bytes())?).to_vec();
            self.raw.unmap_memory(staging.memory);
            staging.destroy(self);
            Ok(pixels)
        }
    }

    fn buffer(&self, bytes: u64, usage: vk::BufferUsageFlags) -> Result<Buffer> {
        let info = vk::BufferCreateInfo::default().size(bytes).usage(usage);
        let host = vk::MemoryPropertyFlags::HOST_VISIBLE | vk::MemoryPropertyFlags::HOST_COHERENT;
        // SAFETY: the device is alive, and the memory is new and as large as the buffer asks for.
        unsafe {
            let raw = self.raw.create_buffer(&info, None)?;
            let memory = self.allocate(self.raw.get_buffer_memory_requirements(raw), host)?;
            self.raw.bind_buffer_memory(raw, memory, 0)?;
            Ok(Buffer { raw, memory })
        }
    }

    fn allocate(
        &self,
        needs: vk::MemoryRequirements,
        wanted: vk::MemoryPropertyFlags,
    ) -> Result<vk::DeviceMemory> {
        let kinds = self.memory.memory_types_as_slice();
        let kind = kinds
            .iter()
            .enumerate()
            .position(|(index, kind)| {
                needs.memory_type_bits & (1 << index) != 0 && kind.property_flags.contains(wanted)
            })
            .ok_or("the device has no memory of the kind that is needed")?;
        let info = vk::MemoryAllocateInfo::default()
            .allocation_size(needs.size)
            .memory_type_index(u32::try_from(kind)?);
        // SAFETY: the device is alive.
        Ok(unsafe { self.raw.allocate_memory(&info, None)? })
    }

    /// Records commands, submits them, and waits for them: this engine is simple.
    fn run(&self, record: impl FnOnce(vk::CommandBuffer)) -> Result<()> {
        let info = vk::CommandBufferAllocateInfo::default()
            .command_pool(self.commands)
            .level(vk::CommandBufferLevel::PRIMARY)
            .command_buffer_count(1);
        let begin = vk::CommandBufferBeginInfo::default().flags(vk::CommandBufferUsageFlags::ONE_TIME_SUBMIT);
        // SAFETY: device, pool and queue are alive. The queue is wgpu's too: nothing submits to it at the same time,
        // because all of this happens on one thread. An engine with more of them keeps a lock.
        unsafe {
            let commands = self.raw.allocate_command_buffers(&info)?;
            let [buffer] = commands[..] else { return Err("one command buffer was asked for".into()) };
            self.raw.begin_command_buffer(buffer, &begin)?;
            record(buffer);
            self.raw.end_command_buffer(buffer)?;
            let fence = self.raw.create_fence(&vk::FenceCreateInfo::default(), None)?;
            let submit = vk::SubmitInfo::default().command_buffers(&commands);
            self.raw.queue_submit(self.queue, &[submit], fence)?;
            self.raw.wait_for_fences(&[fence], true, u64::MAX)?;
            self.raw.destroy_fence(fence, None);
            self.raw.free_command_buffers(self.commands, &commands);
        }
        Ok(())
    }

    /// # Safety
    /// `commands` is being recorded, and the image is in the layout `from` when it runs.
    unsafe fn to_layout(
        &self,
        commands: vk::CommandBuffer,
        image: &Image,
        from: vk::ImageLayout,
        to: vk::ImageLayout,
    ) {
        let everything = vk::AccessFlags::MEMORY_READ | vk::AccessFlags::MEMORY_WRITE;
        let barrier = [vk::ImageMemoryBarrier::default()
            .image(image.raw)
            .subresource_range(vk::ImageSubresourceRange {
                aspect_mask: vk::ImageAspectFlags::COLOR,
                base_mip_level: 0,
                level_count: 1,
                base_array_layer: 0,
                layer_count: 1,
            })
            .old_layout(from)
            .new_layout(to)
            .src_access_mask(everything)
            .dst_access_mask(everything)];
        // SAFETY: as the caller says. The barrier counts for what others submitted to this queue, before and after.
        unsafe {
            self.raw.cmd_pipeline_barrier(
                commands,
                vk::PipelineStageFlags::ALL_COMMANDS,
                vk::PipelineStageFlags::ALL_COMMANDS,
                vk::DependencyFlags::empty(),
                &[],
                &[],
                &barrier,
            );
        }
    }

    /// # Safety
    /// Nothing made from the device is left, and nobody uses it any more.
    pub(crate) unsafe fn destroy(self) {
        // SAFETY: as the caller says.
        unsafe {
            self.raw.destroy_command_pool(self.commands, None);
            self.raw.destroy_device(None);
        }
    }
}

/// A picture in the engine's memory, RGBA in sRGB.
pub(crate) struct Image {
    pub(crate) raw: vk::Image,
    pub(crate) size: (u32, u32),
    memory: vk::DeviceMemory,
}

impl Image {
    fn bytes(&self) -> u64 {
        u64::from(self.size.0) * u64::from(self.size.1) * BYTES_A_PIXEL
    }

    fn whole(&self) -> vk::BufferImageCopy {
        vk::BufferImageCopy::default()
            .image_subresource(vk::ImageSubresourceLayers {
                aspect_mask: vk::ImageAspectFlags::COLOR,
                mip_level: 0,
                base_array_layer: 0,
                layer_count: 1,
            })
            .image_extent(vk::Extent3D { width: self.size.0, height: self.size.1, depth: 1 })
    }

    /// # Safety
    /// The image is the device's, and nobody uses it any more.
    pub(crate) unsafe fn destroy(self, device: &Device) {
        // SAFETY: as the caller says.
        unsafe {
            device.raw.destroy_image(self.raw, None);
            device.raw.free_memory(self.memory, None);
        }
    }
}

struct Buffer {
    raw: vk::Buffer,
    memory: vk::DeviceMemory,
}

impl Buffer {
    /// # Safety
    /// The buffer is the device's, and nobody uses it any more.
    unsafe fn destroy(self, device: &Device) {
        // SAFETY: as the caller says.
        unsafe {
            device.raw.destroy_buffer(self.raw, None);
            device.raw.free_memory(self.memory, None);
        }
    }
}
