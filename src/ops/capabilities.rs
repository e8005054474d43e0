//! What lowering must know of the device, and of what was asked for.

use std::sync::Arc;

use super::{MethodRequest, MethodTable};
use crate::gpu::{AdapterSummary, Kernel};

/// What is usually fast on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceClass {
    /// GPUs that can give a thread more than a hundred registers: AMD's, and NVIDIA's.
    ManyRegisters,
    /// Any other GPU.
    Portable,
    /// A processor.
    Software,
}

impl DeviceClass {
    const AMD: u32 = 0x1002;
    const NVIDIA: u32 = 0x10DE;

    fn of(adapter: &AdapterSummary) -> Self {
        match adapter.vendor {
            _ if adapter.is_software() => Self::Software,
            Self::AMD | Self::NVIDIA => Self::ManyRegisters,
            _ => Self::Portable,
        }
    }
}

/// In what numbers the large operands of convolutions and of the look-up of nearest cells are stored. Sums, and everything
/// else, are f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Half precision for what Winograd's products read: transformed weights, and transformed activations in the
    /// forward direction; and for the columns of length 1 that are compared to find the nearest cell. Gradients are of
    /// unknown size and stay f32, and so does every convolution that another method does. Needs no feature of the device.
    F16,
}

impl Precision {
    /// All precisions with their names.
    pub const ALL: [(&'static str, Self); 2] = [("f32", Self::F32), ("f16", Self::F16)];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, it)| *it == self).map_or("", |(name, _)| name)
    }
}

/// What lowering must know of the device, and of what was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Capabilities {
    /// Largest storage binding in bytes.
    pub max_binding_bytes: u64,
    /// Smallest and largest subgroup, where subgroups can be used.
    pub subgroups: Option<(u32, u32)>,
    /// What is usually fast.
    pub class: DeviceClass,
    /// Which methods may be taken.
    pub request: MethodRequest,
    /// The methods that were measured to be the fastest.
    pub methods: Arc<MethodTable>,
    /// Whether to take time rather than memory: transformed weights are made anew before each use, workspaces are
    /// small, and the method for an op is the usual one, whatever was measured.
    pub low_memory: bool,
    /// How the large operands of convolutions are stored.
    pub precision: Precision,
}

impl Capabilities {
    /// Largest binding in bytes for which every index, and every sum of two indices, fits into 32 bits.
    const COUNTABLE_BYTES: u64 = 2 << 30;

    /// A device with WebGPU's default limits and no optional feature: bindings of 128 MiB, no subgroups, any GPU, with
    /// the usual methods.
    pub fn webgpu() -> Self {
        Self {
            max_binding_bytes: 128 << 20,
            subgroups: None,
            class: DeviceClass::Portable,
            request: MethodRequest::Auto,
            methods: Arc::default(),
            low_memory: false,
            precision: Precision::F32,
        }
    }

    /// What an adapter can do.
    pub fn of(adapter: &AdapterSummary) -> Self {
        Self {
            // Kernels count elements in 32 bits; Metal would bind more than they can count.
            max_binding_bytes: adapter.max_binding_bytes.min(Self::COUNTABLE_BYTES),
            subgroups: adapter.subgroups,
            class: DeviceClass::of(adapter),
            ..Self::webgpu()
        }
    }

    /// Whether `kernel` is right on this device.
    pub fn allows(&self, kernel: &Kernel) -> bool {
        match (kernel.subgroup, self.subgroups) {
            (None, _) => true,
            (Some((smallest, largest)), Some((min, max))) => min >= smallest && max <= largest,
            (Some(_), None) => false,
        }
    }
}
