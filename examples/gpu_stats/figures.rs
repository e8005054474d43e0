//! What `docs/gpu-stats.json` holds, and what may not stand in it. `tests/gpu_stats.rs` reads it too.

use std::collections::BTreeMap;

use impasto::gpu::Kernel;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The file.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// The driver whose compiler the figures come from.
    pub(crate) driver: String,
    /// Every kernel, in the order of `impasto::ops::KERNELS`.
    pub(crate) kernels: Vec<KernelFigures>,
    /// Predictions: see `predict.rs`.
    pub(crate) steps: Vec<Step>,
}

/// One kernel.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct KernelFigures {
    /// Its name.
    pub(crate) name: String,
    /// Of what was compiled: [`identity`].
    pub(crate) sha256: String,
    /// Chip to figures; a kernel that the program would not choose on a chip has none there.
    pub(crate) chips: BTreeMap<String, Compiled>,
}

/// What the compiler made of a kernel for one chip.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Compiled {
    /// Lanes of a subgroup.
    pub(crate) wave: u32,
    /// Vector registers a lane.
    pub(crate) vgprs: u32,
    /// Scalar registers a subgroup.
    pub(crate) sgprs: u32,
    /// Vector registers that did not fit.
    pub(crate) spilled_vgprs: u32,
    /// Scalar registers that did not fit.
    pub(crate) spilled_sgprs: u32,
    /// Bytes of memory a lane for arrays that are not in registers, and for spilled registers.
    pub(crate) scratch_bytes: u32,
    /// Bytes of workgroup memory.
    pub(crate) lds_bytes: u32,
    /// Subgroups that one SIMD can hold at once.
    pub(crate) waves: u32,
    /// Instructions of all kinds.
    pub(crate) instructions: u32,
    /// Of these, vector arithmetic.
    pub(crate) valu: u32,
    /// Of these, loads and stores of memory.
    pub(crate) vmem: u32,
    /// Bytes of code.
    pub(crate) code_bytes: u32,
    /// Fused multiply-adds an issued instruction, each loop counted eight times. Above 1 where one instruction holds
    /// two.
    pub(crate) fma_share: f64,
    /// The same, an instruction of vector arithmetic.
    pub(crate) fma_share_of_valu: f64,
    /// Floating-point operations an issued instruction and lane, divided by the two of a fused multiply-add.
    pub(crate) flop_share: f64,
    /// Bytes that a lane moves to and from workgroup memory for one floating-point operation; 0 without any.
    pub(crate) lds_bytes_per_flop: f64,
    /// Bytes that a lane moves to and from memory, caches included, for one floating-point operation; 0 without any.
    pub(crate) memory_bytes_per_flop: f64,
}

/// The predicted time of a step.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Step {
    /// The chip.
    pub(crate) chip: String,
    /// Of the picture.
    pub(crate) width: u32,
    /// Of the picture.
    pub(crate) height: u32,
    /// Milliseconds of the whole step.
    pub(crate) milliseconds: f64,
    /// Work of the whole step.
    pub(crate) gflop: f64,
    /// The kernels of the step, the longest first.
    pub(crate) kernels: Vec<Share>,
}

/// A kernel's part of a step.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Share {
    /// Its name.
    pub(crate) name: String,
    /// How many dispatches.
    pub(crate) dispatches: u32,
    /// Milliseconds of all of them.
    pub(crate) milliseconds: f64,
    /// What bounds most of that time: `arithmetic`, `workgroup memory`, `caches` or `memory`.
    pub(crate) bound: String,
}

/// Kernels with a fault that is known: (kernel, why it may stay). An entry that is no longer needed is a fault.
pub(crate) const KNOWN: &[(&str, &str)] = &[];

/// SHA-256 of all that decides what is compiled: the source and the values of its overrides.
pub(crate) fn identity(kernel: &Kernel) -> String {
    let mut hash = Sha256::new(); // Some checkouts have other line ends.
    hash.update(kernel.text().replace("\r\n", "\n"));
    for (name, value) in kernel.constants() {
        hash.update(format!("\n{name}={value}"));
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is wrong: registers that spilled, arrays that were put into memory, and entries of `known` without a cause.
pub(crate) fn faults(kernels: &[KernelFigures], known: &[(&str, &str)]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut excused = Vec::new();
    for kernel in kernels {
        for (chip, compiled) in &kernel.chips {
            let Compiled { spilled_vgprs, spilled_sgprs, scratch_bytes, .. } = compiled;
            if spilled_vgprs + spilled_sgprs + scratch_bytes == 0 {
                continue;
            }
            if known.iter().any(|(name, _)| *name == kernel.name) {
                excused.push(kernel.name.as_str());
                continue;
            }
            faults.push(format!(
                "{} on {chip}: {spilled_vgprs} vector and {spilled_sgprs} scalar registers spilled, {scratch_bytes} \
                 bytes of scratch memory a lane; make its tile smaller, or index its arrays by constants",
                kernel.name
            ));
        }
    }
    for (name, _) in known {
        if !excused.contains(name) {
            faults.push(format!(
                "{name} has no fault any more: take it out of KNOWN in examples/gpu_stats/figures.rs"
            ));
        }
    }
    faults
}
