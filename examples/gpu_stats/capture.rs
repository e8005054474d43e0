//! What drivers say of compiled kernels, and the figures that follow: each driver has names of its own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::chips::{Family, Statistics};
use crate::figures::{Compiled, Demand};
use crate::mix::aco;

/// What a driver's compiler made of the kernels, as `gpu_stats compile` writes it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Captured {
    /// The driver with its version.
    pub(crate) driver: String,
    /// The kernels that the program runs there where nothing was measured, by any option.
    pub(crate) usual: Vec<String>,
    /// Every kernel that is allowed there, in order, with the variants that the driver made of it.
    pub(crate) kernels: Vec<(String, Vec<Executable>)>,
}

/// A variant of a kernel that a driver made.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Executable {
    /// Its name.
    pub(crate) name: String,
    /// Lanes of a subgroup.
    pub(crate) subgroup: u32,
    /// The driver's own figures, by its names.
    pub(crate) statistics: BTreeMap<String, f64>,
    /// Its texts, by its names.
    pub(crate) listings: BTreeMap<String, String>,
}

impl Executable {
    fn figure(&self, name: &str) -> Result<u32, String> {
        let figure = self.statistics.get(name);
        figure.map(|figure| *figure as u32).ok_or_else(|| format!("no figure {name:?}"))
    }

    fn sum(&self, names: &[&str]) -> Result<u32, String> {
        names.iter().map(|name| self.figure(name)).sum()
    }

    fn listing(&self, name: &str) -> Result<&str, String> {
        self.listings.get(name).map(String::as_str).ok_or_else(|| format!("no listing {name:?}"))
    }
}

/// The figures of AMD's compiler by kernel.
pub(crate) fn compiled(captured: &Captured) -> Result<Vec<(String, Compiled)>, String> {
    let each = captured.kernels.iter().map(|(name, executables)| match &executables[..] {
        [executable] => {
            let compiled = amd(executable).map_err(|reason| format!("{name}: {reason}"))?;
            Ok((name.clone(), compiled))
        }
        _ => Err(format!("{name}: {} variants instead of one", executables.len())),
    });
    each.collect()
}

fn amd(executable: &Executable) -> Result<Compiled, String> {
    let wave = executable.subgroup;
    let mix = aco(executable.listing("Assembly")?);
    let figure = |name| executable.figure(name);
    // RDNA gives every subgroup all of its scalar registers, and counts a subgroup of 64 lanes as two of 32. Older chips
    // give them by sixteens.
    let rdna = [108, 128].contains(&figure("SGPRs")?);
    Ok(Compiled {
        wave,
        vgprs: figure("VGPRs")?,
        sgprs: figure("SGPRs")?,
        spilled_vgprs: figure("Spilled VGPRs")?,
        spilled_sgprs: figure("Spilled SGPRs")?,
        scratch_bytes: figure("Scratch size")? / wave,
        lds_bytes: figure("LDS size")?,
        waves: figure("Subgroups per SIMD")? / if rdna { wave / 32 } else { 1 },
        instructions: figure("Instructions")?,
        valu: figure("VALU")?,
        vmem: figure("VMEM")?,
        code_bytes: figure("Code size")?,
        fma_share: ratio(mix.fma, mix.issued),
        fma_share_of_valu: ratio(mix.fma, mix.valu),
        flop_share: ratio(mix.flops / 2.0, mix.issued),
        lds_bytes_per_flop: ratio(mix.lds_bytes, mix.flops),
        memory_bytes_per_flop: ratio(mix.memory_bytes, mix.flops),
    })
}

/// The figures of another compiler by kernel. Of several variants the one that takes most registers counts.
pub(crate) fn demands(captured: &Captured, family: Family) -> Result<Vec<(String, Demand)>, String> {
    let statistics = family.statistics();
    let each = captured.kernels.iter().map(|(name, executables)| {
        let usual = captured.usual.contains(name);
        let all: Result<Vec<Demand>, String> =
            executables.iter().map(|executable| demand(executable, statistics, usual)).collect();
        let all = all.map_err(|reason| format!("{name}: {reason}"))?;
        let most = all.into_iter().max_by_key(|demand| (demand.spills, demand.registers));
        Ok((name.clone(), most.ok_or_else(|| format!("{name}: no variant of it"))?))
    });
    each.collect()
}

fn demand(executable: &Executable, names: &Statistics, usual: bool) -> Result<Demand, String> {
    let fma_share = match names.listing {
        Some((listing, read)) => {
            let mix = read(executable.listing(listing)?);
            Some(ratio(mix.fma, mix.issued))
        }
        None => None,
    };
    Ok(Demand {
        usual,
        subgroup: executable.subgroup,
        registers: executable.figure(names.registers)?,
        occupancy: executable.sum(names.occupancy)?,
        instructions: executable.figure(names.instructions)?,
        spills: executable.sum(names.spills)?,
        fills: executable.sum(names.fills)?,
        scratch_bytes: executable.sum(names.scratch)?,
        fma_share,
    })
}

/// To three digits behind the point; 0 where there is nothing to divide by.
fn ratio(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { (1000.0 * part / whole).round() / 1000.0 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn executable(statistics: &[(&str, f64)], listing: (&str, &str)) -> Executable {
        Executable {
            subgroup: 64,
            statistics: statistics.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
            listings: BTreeMap::from([(listing.0.to_owned(), listing.1.to_owned())]),
            ..Executable::default()
        }
    }

    fn captured(executables: Vec<Executable>) -> Captured {
        Captured { driver: "radv".into(), usual: vec!["k".into()], kernels: vec![("k".into(), executables)] }
    }

    const AMD: [(&str, f64); 11] = [
        ("SGPRs", 128.0),
        ("VGPRs", 48.0),
        ("Spilled SGPRs", 1.0),
        ("Spilled VGPRs", 2.0),
        ("Code size", 100.0),
        ("LDS size", 512.0),
        ("Scratch size", 640.0),
        ("Subgroups per SIMD", 20.0),
        ("Instructions", 9.0),
        ("VALU", 3.0),
        ("VMEM", 1.0),
    ];
    const LISTING: &str =
        "BB0:\n\tv_fmac_f32_e32 v0, v1, v2 ; 56\n\tds_read_b32 v5, v7 ; d8\n\ts_endpgm ; bf\n";

    #[test]
    fn figures_of_amd_are_read() {
        let found = compiled(&captured(vec![executable(&AMD, ("Assembly", LISTING))])).unwrap();
        let (name, found) = &found[0];
        assert_eq!(name, "k");
        assert_eq!((found.wave, found.waves, found.scratch_bytes), (64, 10, 10));
        assert_eq!((found.spilled_vgprs, found.spilled_sgprs, found.vgprs), (2, 1, 48));
        assert_eq!((found.fma_share, found.fma_share_of_valu, found.flop_share), (0.333, 1.0, 0.333));
        assert_eq!(found.lds_bytes_per_flop, 2.0);
    }

    #[test]
    fn figures_of_others_are_read() {
        let statistics = [
            ("Number of GPRs", 96.0),
            ("Max warps/SM", 20.0),
            ("Instruction count", 7.0),
            ("Spills to memory", 3.0),
            ("Spills to reg", 1.0),
            ("Fills from memory", 5.0),
            ("Fills from reg", 0.0),
            ("SLM size", 12.0),
        ];
        let listing = ("NAK assembly", "block 0 L1 [] -> {\n r0 = ffma r1 r2 r0\n exit\n} -> []\n");
        let found = demands(&captured(vec![executable(&statistics, listing)]), Family::Nvidia).unwrap();
        let want = Demand {
            usual: true,
            subgroup: 64,
            registers: 96,
            occupancy: 20,
            instructions: 7,
            spills: 3,
            fills: 5,
            scratch_bytes: 12,
            fma_share: Some(0.5),
        };
        assert_eq!(found, [("k".to_owned(), want)]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let none = captured(vec![executable(&AMD[1..], ("Assembly", LISTING))]);
        assert_eq!(compiled(&none).unwrap_err(), "k: no figure \"SGPRs\"");
        let none = captured(vec![executable(&AMD, ("ACO IR", LISTING))]);
        assert_eq!(compiled(&none).unwrap_err(), "k: no listing \"Assembly\"");
        let two = captured(vec![Executable::default(), Executable::default()]);
        assert_eq!(compiled(&two).unwrap_err(), "k: 2 variants instead of one");
        assert_eq!(demands(&captured(Vec::new()), Family::Apple).unwrap_err(), "k: no variant of it");
        assert!(demands(&none, Family::Apple).unwrap_err().contains("no figure"));
    }
}
