#![doc = include_str!("../README.md")]
//! # Rooms
//! [`transfer`] is what most programs need: [`transfer::Engine`], [`transfer::Transfer`], [`transfer::Options`].
//! Below it, each usable on its own: [`nn`] (VGG-19, VGG-16 and their weights), [`graph`] (tape, differentiation, plan,
//! program), [`ops`] (the operations and their kernels), [`gpu`] (device, pipelines, recording, readback), and
//! [`picture`] (files to pixels and back). `docs/architecture.md` says how they fit together.

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
