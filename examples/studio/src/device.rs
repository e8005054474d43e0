//! What the window's graphics device is asked for: it is the one that the painting runs on.

use std::sync::Arc;

use eframe::egui_wgpu::{WgpuConfiguration, WgpuSetup, WgpuSetupCreateNew};
use eframe::{EventLoopBuilderHook, wgpu};
use impasto::transfer::Engine;

/// The size of painting for which limits are asked. Where the adapter has less, it is asked for what it has, and the
/// plan of a painting says what fits.
const LARGEST_PAINTING: (u32, u32) = (4096, 4096);

/// The largest window and the largest texture that is shown.
const LARGEST_TEXTURE: u32 = 8192;

pub fn configuration() -> WgpuConfiguration {
    let mut setup = WgpuSetupCreateNew::without_display_handle();
    let instance = &mut setup.instance_descriptor;
    // The painting needs compute shaders and large buffers: OpenGL's are not enough.
    let compute = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    instance.backends = wgpu::Backends::from_env().unwrap_or(compute) & compute;
    // Running out of memory is an error to tell, not a device to lose: refuse what would not fit.
    instance.memory_budget_thresholds.for_resource_creation = Some(90);
    setup.device_descriptor = Arc::new(descriptor);
    WgpuConfiguration { wgpu_setup: WgpuSetup::CreateNew(setup), ..WgpuConfiguration::default() }
}

fn descriptor(adapter: &wgpu::Adapter) -> wgpu::DeviceDescriptor<'static> {
    let window = wgpu::Limits { max_texture_dimension_2d: LARGEST_TEXTURE, ..wgpu::Limits::default() };
    let wanted = window.or_better_values_from(&Engine::required_limits(LARGEST_PAINTING));
    wgpu::DeviceDescriptor {
        label: Some("impasto studio"),
        required_features: Engine::wanted_features(adapter.features()),
        required_limits: wanted.or_worse_values_from(&adapter.limits()),
        ..wgpu::DeviceDescriptor::default()
    }
}

/// On Linux, X11 where there is an X server, XWayland's too: winit takes no dropped files on Wayland.
#[cfg(target_os = "linux")]
pub fn event_loop() -> Option<EventLoopBuilderHook> {
    use winit::platform::x11::EventLoopBuilderExtX11;
    let has_x = std::env::var_os("DISPLAY").is_some_and(|display| !display.is_empty());
    has_x.then(|| -> EventLoopBuilderHook {
        Box::new(|builder| {
            builder.with_x11();
        })
    })
}

#[cfg(not(target_os = "linux"))]
pub fn event_loop() -> Option<EventLoopBuilderHook> {
    None
}
