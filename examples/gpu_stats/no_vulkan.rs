//! Where wgpu has no Vulkan back end: nothing can be compiled, but what was compiled elsewhere can be read.

use impasto::gpu::Kernel;

use crate::capture::Executable;

const REASON: &str = "this system has no Vulkan; compile on Linux";

/// None can be had.
pub(crate) struct Compiler;

impl Compiler {
    /// # Errors
    /// Always.
    pub(crate) fn open(_robust: bool) -> Result<Self, String> {
        Err(REASON.into())
    }

    /// # Errors
    /// Always.
    pub(crate) fn compile(&self, _kernel: &'static Kernel) -> Result<Vec<Executable>, String> {
        Err(REASON.into())
    }
}
