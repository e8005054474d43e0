//! What `docs/gpu-stats.json` holds, and what may not stand in it. `tests/gpu_stats.rs` reads it too.

use std::collections::BTreeMap;

use impasto::gpu::Kernel;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The file.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// AMD's driver, whose compiler the figures come from.
    pub(crate) driver: String,
    /// The drivers of other chips.
    pub(crate) others: Vec<String>,
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
    /// AMD's chips to figures; a kernel that the program would not choose on a chip has none there.
    pub(crate) chips: BTreeMap<String, Compiled>,
    /// Other chips, as `STAND-IN:CHIP`, to figures; a kernel that is not allowed on a chip has none there.
    pub(crate) others: BTreeMap<String, Demand>,
}

/// What another compiler than AMD's made of a kernel for one chip, in its own units.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Demand {
    /// Whether the program takes the kernel there where nothing was measured, by any option; or whether nothing that is
    /// allowed may spill there.
    pub(crate) usual: bool,
    /// Lanes of a subgroup.
    pub(crate) subgroup: u32,
    /// Registers a thread.
    pub(crate) registers: u32,
    /// What the chip can hold at once.
    pub(crate) occupancy: u32,
    /// Instructions of all kinds.
    pub(crate) instructions: u32,
    /// Registers that did not fit: written to memory or to registers of another kind.
    pub(crate) spills: u32,
    /// And read back.
    pub(crate) fills: u32,
    /// Bytes of memory a lane for arrays that are not in registers, and for spilled registers.
    pub(crate) scratch_bytes: u32,
    /// Fused multiply-adds an issued instruction, each loop counted eight times, where there is a listing.
    pub(crate) fma_share: Option<f64>,
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

/// Faults that are known: (kernel, chip, why it may stay). An entry that is no longer needed is a fault.
pub(crate) const KNOWN: &[(&str, &str, &str)] = &[(
    "winograd_output",
    "polaris10",
    "five scalar registers are kept in lanes of a vector register; nothing is written to memory",
)];

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
pub(crate) fn faults(kernels: &[KernelFigures], known: &[(&str, &str, &str)]) -> Vec<String> {
    let mut found = Vec::new();
    for KernelFigures { name, chips, others, .. } in kernels {
        for (chip, compiled) in chips {
            let Compiled { spilled_vgprs, spilled_sgprs, scratch_bytes, .. } = compiled;
            if spilled_vgprs + spilled_sgprs + scratch_bytes > 0 {
                let what = format!("{spilled_vgprs} vector and {spilled_sgprs} scalar registers spilled");
                found.push((name.as_str(), chip.as_str(), what, *scratch_bytes));
            }
        }
        for (chip, demand) in others.iter().filter(|(_, demand)| demand.usual) {
            let Demand { spills, fills, scratch_bytes, .. } = demand;
            if spills + fills + scratch_bytes > 0 {
                let what = format!("{spills} registers spilled and {fills} filled");
                found.push((name, chip, what, *scratch_bytes));
            }
        }
    }
    let is = |name: &str, chip: &str| known.iter().any(|(known, on, _)| (*known, *on) == (name, chip));
    let new = found.iter().filter(|(name, chip, ..)| !is(name, chip)).map(|(name, chip, what, scratch)| {
        format!(
            "{name} on {chip}: {what}, {scratch} bytes of scratch memory a lane; make its tile smaller, or index its \
             arrays by constants"
        )
    });
    let needless = known
        .iter()
        .filter(|(name, on, _)| !found.iter().any(|(found, chip, ..)| (found, chip) == (name, on)));
    let needless = needless.map(|(name, on, _)| {
        format!("{name} has no fault on {on} any more: take it out of KNOWN in examples/gpu_stats/figures.rs")
    });
    new.chain(needless).collect()
}
