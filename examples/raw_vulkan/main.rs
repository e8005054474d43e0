//! Paints on a Vulkan device that belongs to somebody else: an engine that talks to Vulkan itself and knows no wgpu.
//!
//! ```sh
//! cargo run --release --example raw_vulkan [-- OUT.png]
//! ```
//!
//! impasto works on a wgpu device. `wgpu::hal` makes one of a Vulkan device that is there already, and wraps the engine's
//! images, so that nothing is copied through the host:
//!
//! 1. The engine makes its `VkInstance` with the extensions that `desired_extensions` names, and wgpu takes it:
//!    `Instance::from_raw`, `expose_adapter`.
//! 2. The exposed adapter tells what its device needs: `required_device_extensions`, `physical_device_features`. The
//!    engine makes its `VkDevice` with these and its own, and wgpu takes it: `device_from_raw`,
//!    `create_adapter_from_hal`, `create_device_from_hal`. What impasto wants of it,
//!    [`Engine::wanted_features`](impasto::transfer::Engine::wanted_features) and
//!    [`Engine::required_limits`](impasto::transfer::Engine::required_limits) say before.
//! 3. A `VkImage` becomes a texture: `texture_from_raw`, `create_texture_from_hal`, with the state that it is in.
//! 4. Frames are recorded into wgpu's encoders and submitted. wgpu submits to the engine's `VkQueue`, and Vulkan wants one
//!    submission at a time: an engine with threads holds its lock around `Queue::submit` as around its own
//!    `vkQueueSubmit`. What goes to one queue is in order, so barriers do, and no semaphore is needed.
//! 5. `transition_resources` leaves the painted image in the layout that the engine goes on from.
//! 6. Everything of wgpu goes first, then the images, the device, the instance. wgpu keeps what the GPU may be using, so
//!    "goes" means that the callback given with each handle has been called.
//!
//! `vulkan/engine.rs` is the engine, `vulkan/import.rs` is what an integration adds to it, `vulkan/mod.rs` paints.

// Handles of Vulkan are plain numbers, and what may be done with them only people can check: each block says why it may.
#![allow(unsafe_code)]

// Where wgpu has its Vulkan backend.
#[cfg(any(windows, target_os = "linux", target_os = "android", target_os = "freebsd"))]
mod vulkan;

#[cfg(any(windows, target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn main() -> std::process::ExitCode {
    match vulkan::run(std::env::args_os().nth(1).as_deref().map(std::path::Path::new)) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

#[cfg(not(any(windows, target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn main() {
    println!(
        "wgpu has no Vulkan backend on this system, so there is no Vulkan device to work on: nothing was done"
    );
}
