//! Reads pictures, weights and checkpoints, and builds engines that take no more memory than there is.

use std::path::Path;

use impasto::gpu::Gpu;
use impasto::nn::Weights;
use impasto::picture::{MEMORY_LIMIT, Picture, ReadOptions, Reading};
use impasto::transfer::{Checkpoint, Engine, EngineOptions};

#[cfg(not(feature = "embedded-weights"))]
use super::Failure;
use super::{Result, files, say};

/// Bytes; far more than VGG-19 takes in any form.
const WEIGHTS_LIMIT: u64 = 1 << 30;
/// Bytes; more than the state of any picture that a GPU can paint.
const CHECKPOINT_LIMIT: u64 = 8 << 30;

/// An engine that does not take more memory than there is.
pub(super) fn engine(gpu: Gpu, weights: Weights) -> Result<Engine> {
    engine_with(gpu, weights, EngineOptions::default())
}

/// The same with options.
pub(super) fn engine_with(gpu: Gpu, weights: Weights, options: EngineOptions) -> Result<Engine> {
    // A software adapter allocates from the system's memory, and the system kills a program that takes too much.
    let memory_bytes = gpu.summary().is_software().then(available_memory).flatten();
    let options = options.with(|options| options.memory_bytes = memory_bytes);
    Ok(Engine::builder(gpu).weights(weights).options(options).build()?)
}

/// Bytes of memory that are free for programs, where the system says.
fn available_memory() -> Option<u64> {
    let kind = sysinfo::MemoryRefreshKind::nothing().with_ram();
    let system = sysinfo::System::new_with_specifics(sysinfo::RefreshKind::nothing().with_memory(kind));
    Some(system.available_memory()).filter(|bytes| *bytes > 0)
}

/// The bytes of a picture's file, and what was read from them; `hint` says what to do where there is none. Says what its user
/// should know of the file, unless `quiet`.
pub(super) fn read_file(
    path: &Path,
    hint: &str,
    options: &ReadOptions,
    quiet: bool,
) -> Result<(Vec<u8>, Reading)> {
    // No picture's file is larger than the memory that its pixels may take.
    let bytes = files::read(path, MEMORY_LIMIT, hint)?;
    let reading = Picture::read_with(&bytes, &files::shown(path), options)?;
    for note in reading.notes.iter().filter(|_| !quiet) {
        say(format_args!("note: {}: {note}", files::shown(path)));
    }
    Ok((bytes, reading))
}

/// A picture in a file; `hint` says what to do where there is none. Says what its user should know of the file, unless `quiet`.
pub(super) fn read_picture(path: &Path, hint: &str, options: &ReadOptions, quiet: bool) -> Result<Picture> {
    Ok(read_file(path, hint, options, quiet)?.1.picture)
}

/// The checkpoint in a file.
pub(super) fn read_checkpoint(path: &Path) -> Result<Checkpoint> {
    let hint = "give --resume a file that --checkpoint or Ctrl-C wrote";
    let bytes = files::read(path, CHECKPOINT_LIMIT, hint)?;
    Ok(Checkpoint::from_bytes(&bytes, &files::shown(path))?)
}

/// The weights in a file, or those in the program.
pub(super) fn read_weights(path: Option<&Path>) -> Result<Weights> {
    let Some(path) = path else { return embedded_weights() };
    read_weights_file(path, "check the path given with --weights")
}

/// The weights in a file; `hint` says what to do where there is none.
pub(super) fn read_weights_file(path: &Path, hint: &str) -> Result<Weights> {
    let bytes = files::read(path, WEIGHTS_LIMIT, hint)?;
    Ok(Weights::from_bytes(bytes, &files::shown(path))?)
}

#[cfg(feature = "embedded-weights")]
fn embedded_weights() -> Result<Weights> {
    Ok(Weights::embedded()?)
}

#[cfg(not(feature = "embedded-weights"))]
fn embedded_weights() -> Result<Weights> {
    Err(Failure::Usage("--weights: this program was built without weights; name a file of VGG-19's".into()))
}
