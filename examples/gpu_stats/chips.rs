//! The chips that kernels are compiled for. Predictions are made for those of AMD, from what AMD publishes.

use crate::mix::{Mix, ir3, nak};

/// Whose chips one of Mesa's drivers is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    Amd,
    Nvidia,
    Apple,
    Adreno,
    Mali,
    PowerVr,
}

/// What reads a listing.
pub(crate) type Reader = fn(&str) -> Mix;

/// What a driver calls its figures. Where there are several names, they are added up.
#[derive(Debug)]
pub(crate) struct Statistics {
    pub(crate) registers: &'static str,
    pub(crate) occupancy: &'static [&'static str],
    pub(crate) instructions: &'static str,
    pub(crate) spills: &'static [&'static str],
    pub(crate) fills: &'static [&'static str],
    pub(crate) scratch: &'static [&'static str],
    /// The listing that multiply-adds are counted in, where the driver gives one, and how it is read.
    pub(crate) listing: Option<(&'static str, Reader)>,
}

impl Family {
    /// All of them, in the order of the page.
    pub(crate) const ALL: [Self; 6] =
        [Self::Amd, Self::Nvidia, Self::Apple, Self::Adreno, Self::Mali, Self::PowerVr];

    /// The stand-in for the kernel driver: what stands before the colon of a chip's name.
    pub(crate) fn stand_in(self) -> &'static str {
        match self {
            Self::Amd => "amdgpu",
            Self::Nvidia => "nouveau",
            Self::Apple => "asahi",
            Self::Adreno => "freedreno",
            Self::Mali => "panfrost",
            Self::PowerVr => "powervr",
        }
    }

    /// The family of a chip's name.
    pub(crate) fn of(chip: &str) -> Option<Self> {
        let stand_in = chip.split(':').next().unwrap_or(chip);
        Self::ALL.into_iter().find(|family| family.stand_in() == stand_in)
    }

    /// Its heading on the page.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Amd => "AMD",
            Self::Nvidia => "NVIDIA",
            Self::Apple => "Apple",
            Self::Adreno => "Adreno",
            Self::Mali => "Mali",
            Self::PowerVr => "PowerVR",
        }
    }

    /// Whose compiler it is, and what registers and occupancy are counted in.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Amd => "AMD's compiler in Mesa (ACO). Vector registers a lane, subgroups a SIMD.",
            Self::Nvidia => {
                "Mesa's compiler (NAK), not NVIDIA's: it shows what a kernel demands of the registers, of which a thread \
                 has 255, not what NVIDIA's own makes of it. Registers of 32 bits a thread, warps that one SM holds: 32 at \
                 most on Turing, 48 on Ampere. Ada's figures are Ampere's."
            }
            Self::Apple => {
                "Mesa's compiler (Honeykrisp), not Apple's. Registers of 16 bits a thread, 255 at most; threads that a core \
                 holds, of 1024 at most. It gives no listing, so there is no share of multiply-adds."
            }
            Self::Adreno => {
                "Mesa's compiler (IR3), not Qualcomm's. Registers of four numbers a thread, subgroups that a core holds: 16 at \
                 most."
            }
            Self::Mali => {
                "Mesa's compiler (Bifrost and Valhall), not Arm's. Registers a thread, of 64; 2 where a thread takes half of \
                 them at most, so that twice as many threads are held, else 1."
            }
            Self::PowerVr => {
                "Mesa's compiler, not Imagination's. Temporaries a thread; it tells no occupancy (0), and of instructions their groups."
            }
        }
    }

    /// Whether nothing that is allowed may spill, chosen or not: 8×8 results a thread are meant for these chips.
    pub(crate) fn has_many_registers(self) -> bool {
        matches!(self, Self::Amd | Self::Nvidia)
    }

    /// The names of the driver's figures.
    pub(crate) fn statistics(self) -> &'static Statistics {
        match self {
            Self::Amd => &Statistics {
                registers: "VGPRs",
                occupancy: &["Subgroups per SIMD"],
                instructions: "Instructions",
                spills: &["Spilled VGPRs", "Spilled SGPRs"],
                fills: &[],
                scratch: &["Scratch size"],
                listing: None,
            },
            Self::Nvidia => &Statistics {
                registers: "Number of GPRs",
                occupancy: &["Max warps/SM"],
                instructions: "Instruction count",
                // Beside these it moves uniform registers to those of threads, which costs an instruction each.
                spills: &["Spills to memory"],
                fills: &["Fills from memory"],
                scratch: &["SLM size"],
                listing: Some(("NAK assembly", nak)),
            },
            Self::Apple => &Statistics {
                registers: "GPRs",
                occupancy: &["Threads"],
                instructions: "Instructions",
                spills: &["Spills"],
                fills: &["Fills"],
                scratch: &["Scratch"],
                listing: None,
            },
            Self::Adreno => &Statistics {
                registers: "Registers used",
                occupancy: &["Max Waves Per Core"],
                instructions: "Instruction Count",
                spills: &["STP Count"],
                fills: &["LDP Count"],
                scratch: &[],
                listing: Some(("IR3 Assembly", ir3)),
            },
            Self::Mali => &Statistics {
                registers: "Registers used",
                occupancy: &["Threads"],
                instructions: "Instructions",
                spills: &["Spills"],
                fills: &["Fills"],
                scratch: &[],
                listing: None,
            },
            Self::PowerVr => &Statistics {
                registers: "Temp count",
                occupancy: &[],
                instructions: "Inst group count",
                spills: &["Spill count"],
                fills: &[],
                scratch: &["Scratch size"],
                listing: None,
            },
        }
    }
}

/// The chips of other makers, by their families: named as the stand-in and the variable that it reads, and a product.
pub(crate) const OTHERS: &[(&str, &str)] = &[
    ("nouveau:0x166", "GeForce RTX 2070 (Turing)"),
    ("nouveau:0x172", "GeForce RTX 3080 (Ampere)"),
    ("asahi", "M1"),
    ("freedreno:660", "Snapdragon 888"),
    ("freedreno:730", "Snapdragon 8 Gen 1"),
    ("freedreno:830", "Snapdragon 8 Elite"),
];

/// A GPU.
#[derive(Debug)]
pub(crate) struct Chip {
    /// As Mesa names it: what stands behind `amdgpu:`.
    pub(crate) name: &'static str,
    /// A product with it.
    pub(crate) product: &'static str,
    /// Compute units: each does 64 fused multiply-adds a clock.
    pub(crate) units: u32,
    /// SIMDs of a compute unit.
    pub(crate) simds: u32,
    /// Boost clock in MHz.
    pub(crate) clock: u32,
    /// Memory bandwidth in GB/s.
    pub(crate) bandwidth: u32,
}

impl Chip {
    /// Fused multiply-adds a second and lane of a compute unit, all units.
    fn lanes(&self, each: f64) -> f64 {
        f64::from(self.units) * f64::from(self.clock) * 1e6 * each
    }

    /// FLOP a second. RDNA 3 and 4 can do twice as many where two instructions fit into one: that shows in a kernel's share.
    pub(crate) fn flops(&self) -> f64 {
        self.lanes(64.0 * 2.0)
    }

    /// Bytes a second of all workgroup memories: 128 a clock and unit (AMD's architecture guides of GCN 3 to RDNA 4).
    pub(crate) fn lds_bytes(&self) -> f64 {
        self.lanes(128.0)
    }

    /// Bytes a second of all innermost caches: 64 a clock and unit, the figure of GCN. RDNA has more.
    pub(crate) fn cache_bytes(&self) -> f64 {
        self.lanes(64.0)
    }

    /// Bytes a second of the memory.
    pub(crate) fn memory_bytes(&self) -> f64 {
        f64::from(self.bandwidth) * 1e9
    }
}

/// Compute units, boost clock and bandwidth from AMD's product pages.
#[rustfmt::skip]
pub(crate) const CHIPS: &[Chip] = &[
    Chip { name: "polaris10", product: "Radeon RX 580", units: 36, simds: 4, clock: 1340, bandwidth: 256 },
    Chip { name: "vega10", product: "Radeon RX Vega 64", units: 64, simds: 4, clock: 1546, bandwidth: 484 },
    Chip { name: "navi10", product: "Radeon RX 5700 XT", units: 40, simds: 2, clock: 1905, bandwidth: 448 },
    Chip { name: "navi21", product: "Radeon RX 6800", units: 60, simds: 2, clock: 2105, bandwidth: 512 },
    Chip { name: "navi31", product: "Radeon RX 7900 XTX", units: 96, simds: 2, clock: 2500, bandwidth: 960 },
    Chip { name: "gfx1201", product: "Radeon RX 9070 XT", units: 64, simds: 2, clock: 2970, bandwidth: 640 },
    Chip { name: "vangogh", product: "Steam Deck", units: 8, simds: 2, clock: 1600, bandwidth: 88 },
];

/// The chip of a name.
pub(crate) fn find(name: &str) -> Option<&'static Chip> {
    CHIPS.iter().find(|chip| chip.name == name)
}

/// All that the figures are made of where no chip is named, as the stand-ins have it.
pub(crate) fn all() -> Vec<String> {
    let amd = CHIPS.iter().map(|chip| format!("{}:{}", Family::Amd.stand_in(), chip.name));
    amd.chain(OTHERS.iter().map(|(name, _)| (*name).to_owned())).collect()
}
