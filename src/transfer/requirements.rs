//! What a device must have, known before there is one.

use super::options::{Options, Preset};
use super::planning::Plan;
use crate::error::{Error, Result};
use crate::gpu::{FOLD, Kernel};
use crate::graph::Limits;
use crate::nn::{PoolKind, vgg19};
use crate::ops::{Capabilities, DeviceClass, KERNELS};
use crate::picture::Size;

/// Bytes of workgroup memory that WebGPU promises everywhere, which is what kernels are written for.
const WORKGROUP_BYTES: u32 = 16 << 10;
/// The smallest binding that is asked for: the largest weights, those of a 512 × 512 layer as Winograd wants them, fit.
const LEAST_BINDING: u64 = 64 << 20;
/// No piece of a tensor is larger: see [`Capabilities::max_binding_bytes`].
const LARGEST_BINDING: u64 = 2 << 30;

/// What every kernel needs, whatever is painted.
fn kernels() -> wgpu::Limits {
    let bindings = KERNELS.iter().map(|kernel| kernel.bindings.len() as u32).max().unwrap_or(0);
    let threads = KERNELS.iter().map(|kernel| kernel.workgroup).max().unwrap_or(0);
    let uniforms = Kernel::FIRST_STORAGE_BINDING;
    wgpu::Limits {
        max_bindings_per_bind_group: bindings + uniforms,
        max_dynamic_uniform_buffers_per_pipeline_layout: 1,
        max_storage_buffers_per_shader_stage: bindings,
        max_uniform_buffers_per_shader_stage: uniforms,
        max_storage_buffer_binding_size: LEAST_BINDING,
        max_buffer_size: LEAST_BINDING,
        max_compute_workgroup_storage_size: WORKGROUP_BYTES,
        max_compute_invocations_per_workgroup: threads,
        max_compute_workgroup_size_x: threads,
        max_compute_workgroup_size_y: 1,
        max_compute_workgroup_size_z: 1,
        max_compute_workgroups_per_dimension: FOLD,
        ..wgpu::Limits::downlevel_webgl2_defaults()
    }
}

/// The least limits for a picture of `size` (width, height) with the options of the preset, whichever kernels are chosen.
pub(super) fn limits(size: (u32, u32)) -> wgpu::Limits {
    let least = kernels();
    let mut binding = LEAST_BINDING;
    while binding < LARGEST_BINDING && !fits(size, binding) {
        binding *= 2;
    }
    wgpu::Limits { max_storage_buffer_binding_size: binding, max_buffer_size: binding, ..least }
}

fn fits(size: (u32, u32), binding: u64) -> bool {
    let options =
        Options { size: Size::LongerSide(size.0.max(size.1).max(1)), ..Options::preset(Preset::Course) };
    [DeviceClass::ManyRegisters, DeviceClass::Portable, DeviceClass::Software].into_iter().all(|class| {
        let capabilities = Capabilities {
            max_binding_bytes: binding,
            subgroups: (class == DeviceClass::Software).then_some((8, 8)),
            class,
            ..Capabilities::webgpu()
        };
        let limits = Limits {
            capabilities,
            max_buffer_bytes: binding,
            slice_work: 1 << 40,
            timestamps: true,
            ..Limits::webgpu()
        };
        Plan::new(&vgg19(PoolKind::Mean), &options, (size, size), &limits).is_ok()
    })
}

/// Whether a device with these limits can run the kernels.
///
/// # Errors
/// [`Error::Limit`] for the first limit that is too small.
pub(super) fn check(device: &wgpu::Limits) -> Result<()> {
    let mut first = None;
    kernels().check_limits_with_fail_fn(device, false, |limit, needed, available| {
        // Only what is ours: a host may have fewer textures and vertices than any default.
        if limit.starts_with("max_compute") || limit.contains("buffer") || limit.contains("bind") {
            first.get_or_insert((limit, needed, available));
        }
    });
    let Some((limit, needed, available)) = first else { return Ok(()) };
    Err(Error::Limit {
        limit,
        needed,
        available,
        remedy: "open the device with Engine::required_limits among its limits".into(),
    })
}
