//! Paints a photograph in the style of a picture: neural style transfer by optimising pixels, on any GPU, without CUDA.
//!
//! # Paint a picture
//! On a device that the library opens itself, with the weights that are built in:
//!
//! ```no_run
//! use impasto::nn::Weights;
//! use impasto::picture::{Picture, PictureFormat};
//! use impasto::transfer::{Engine, Options, Transfer};
//!
//! # #[cfg(feature = "embedded-weights")]
//! async fn paint(content: &[u8], style: &[u8]) -> impasto::Result<Vec<u8>> {
//!     let engine = Engine::open(None, Weights::embedded()?).await?;
//!     let pictures = (Picture::decode(content, "content")?, Picture::decode(style, "style")?);
//!     let options = Options::default().with(|options| options.strength = 0.6);
//!     let mut transfer = Transfer::prepare(&engine, pictures, &options).await?;
//!     while transfer.remaining_steps() > 0 {
//!         transfer.step().await?;
//!     }
//!     transfer.picture().await?.encode(PictureFormat::Png)
//! }
//! ```
//!
//! Futures need no particular executor.
//!
//! # Paint inside a renderer
//! On a wgpu device that is there already, from textures into a texture, some milliseconds a frame. Nothing here submits,
//! polls or waits:
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use impasto::transfer::{Budget, Engine, Options, Transfer};
//! use impasto::wgpu;
//!
//! # #[cfg(feature = "embedded-weights")]
//! /// On a thread, or while the renderer loads.
//! async fn begin(
//!     device: &wgpu::Device,
//!     queue: &wgpu::Queue,
//!     photograph: &wgpu::Texture,
//!     painting: &wgpu::Texture,
//!     canvas: &wgpu::Texture,
//! ) -> impasto::Result<Transfer> {
//!     let engine = Engine::from_device(device, queue)?;
//!     let mut transfer = Transfer::create(&engine, (photograph, painting), &Options::default()).await?;
//!     transfer.prepare_output(canvas.format()).await?;
//!     Ok(transfer)
//! }
//!
//! /// In every frame; the renderer submits its encoder as always.
//! fn frame(
//!     transfer: &mut Transfer,
//!     encoder: &mut wgpu::CommandEncoder,
//!     canvas: &wgpu::Texture,
//! ) -> impasto::Result<()> {
//!     transfer.record(encoder, Budget::Time(Duration::from_millis(4)))?;
//!     transfer.record_picture(encoder, canvas)
//! }
//! ```
//!
//! `docs/embedding.md` in the repository says more, and `examples/offscreen.rs` is a whole host.
//!
//! # Rooms
//! Most programs need [`transfer`], whose page explains the parts above, and [`picture`] (files to pixels and back).
//! [`nn`] has the networks and their weights, [`error`] what can go wrong.
//!
//! Under them lie [`graph`] (tape, differentiation, plan, program), [`ops`] (the operations and their kernels) and
//! [`gpu`] (device, pipelines, recording, readback). They are public for experiments and tools, and low level: they are
//! not designed for stability, and any release may change them. `docs/architecture.md` says how all fit together.
//!
//! # Features
//! `embedded-weights` (default) puts the weights of VGG-19, 20 MB, into the program. `cli` (default) is the command
//! `impasto` with the crates that only it needs; a library leaves it out. `webgpu` adds the browser's WebGPU on wasm32.

pub mod error;
pub mod gpu;
pub mod graph;
pub mod nn;
pub mod ops;
pub mod picture;
pub mod transfer;

mod tensors;

#[doc(hidden)]
pub mod cases;
#[doc(hidden)]
pub mod reference;

pub use error::{Error, OptionName, Remedy, Result};
pub use wgpu;

/// Compiles the programs in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
