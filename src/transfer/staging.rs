//! Uploads recorded into any encoder, as far as an allowance goes.

use super::pace::Allowance;
use crate::error::Result;
use crate::gpu::{Gpu, Staging};

/// Bytes that are copied to the device in a second: what a slow one does, copied by the processor and again by the GPU.
const STAGED_BYTES_PER_SECOND: f64 = 2e9;

/// Records copies of `bytes` from `done` on, as far as the allowance and the staging memory have room, and returns
/// whether all is recorded.
///
/// # Errors
/// [`crate::Error::Gpu`] where the device is lost.
pub(super) fn write(
    gpu: &Gpu,
    encoder: &mut wgpu::CommandEncoder,
    buffer: &wgpu::Buffer,
    bytes: &[u8],
    done: &mut usize,
    allowance: &mut Allowance,
) -> Result<bool> {
    while *done < bytes.len() {
        let left = (bytes.len() - *done) as u64;
        let seconds = Staging::SLOT_BYTES.min(left) as f64 / STAGED_BYTES_PER_SECOND;
        if !allowance.allows(seconds) {
            return Ok(false);
        }
        let taken = gpu.stage(encoder, buffer, *done as u64, &bytes[*done..])?;
        if taken == 0 {
            return Ok(false);
        }
        allowance.spend(seconds);
        *done += taken;
    }
    Ok(true)
}
