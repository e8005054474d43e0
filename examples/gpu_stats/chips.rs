//! The chips that predictions are made for, as their makers publish them.

/// A GPU.
#[derive(Debug)]
pub(crate) struct Chip {
    /// As Mesa names it, and `AMDGPU_GPU_ID`.
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

    /// FLOP a second. RDNA 3 can do twice as many where two instructions fit into one: that shows in a kernel's share.
    pub(crate) fn flops(&self) -> f64 {
        self.lanes(64.0 * 2.0)
    }

    /// Bytes a second of all workgroup memories: 128 a clock and unit (AMD's architecture guides of GCN 3 to RDNA 3).
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
    Chip { name: "vangogh", product: "Steam Deck", units: 8, simds: 2, clock: 1600, bandwidth: 88 },
];

/// The chip of a name.
pub(crate) fn find(name: &str) -> Option<&'static Chip> {
    CHIPS.iter().find(|chip| chip.name == name)
}
