//! `docs/gpu-stats.json` against the kernels: it must be of the kernels as they are, and hold nothing that may not be.
//! Needs no GPU and none of the drivers that the figures come from.

#![allow(clippy::unwrap_used)]

#[path = "../examples/gpu_stats/figures.rs"]
mod figures;

use std::collections::BTreeMap;

use figures::{Compiled, Demand, Figures, KNOWN, KernelFigures, faults, identity};
use impasto::ops::KERNELS;

/// Chips that every kernel without subgroups must have figures of.
const CHIPS: [&str; 7] = ["polaris10", "vega10", "navi10", "navi21", "navi31", "gfx1201", "vangogh"];
/// And those of other makers.
const OTHERS: [&str; 6] =
    ["nouveau:0x166", "nouveau:0x172", "asahi", "freedreno:660", "freedreno:730", "freedreno:830"];

fn docs(file: &str) -> String {
    std::fs::read_to_string(format!("{}/docs/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn committed() -> Figures {
    serde_json::from_str(&docs("gpu-stats.json")).unwrap()
}

#[test]
fn every_kernel_was_compiled_as_it_is() {
    let figures = committed();
    let mut stale = Vec::new();
    for kernel in KERNELS {
        let found = figures.kernels.iter().find(|figures| figures.name == kernel.name);
        match found {
            None => stale.push(format!("{} is missing", kernel.name)),
            Some(found) if found.sha256 != identity(kernel) => {
                stale.push(format!("{} has changed", kernel.name))
            }
            Some(_) => {}
        }
    }
    for found in &figures.kernels {
        if !KERNELS.iter().any(|kernel| kernel.name == found.name) {
            stale.push(format!("{} is no kernel any more", found.name));
        }
    }
    assert!(stale.is_empty(), "docs/gpu-stats.json: {}; run scripts/gpu-stats.sh", stale.join(", "));
}

#[test]
fn every_kernel_without_subgroups_was_compiled_for_every_chip() {
    let figures = committed();
    for kernel in KERNELS.iter().filter(|kernel| kernel.subgroup.is_none()) {
        let found = figures.kernels.iter().find(|figures| figures.name == kernel.name).unwrap();
        for chip in CHIPS {
            let compiled = found.chips.get(chip).unwrap_or_else(|| panic!("{} on {chip}", kernel.name));
            assert!(compiled.instructions > 0 && compiled.vgprs > 0, "{} on {chip}", kernel.name);
        }
        for chip in OTHERS {
            let demand = found.others.get(chip).unwrap_or_else(|| panic!("{} on {chip}", kernel.name));
            assert!(demand.instructions > 0 && demand.registers > 0, "{} on {chip}", kernel.name);
        }
    }
}

#[test]
fn no_kernel_spills_or_keeps_arrays_in_memory() {
    let faults = faults(&committed().kernels, KNOWN);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn spills_and_needless_exceptions_are_named() {
    let kernel = |compiled| KernelFigures {
        name: "k".into(),
        sha256: String::new(),
        chips: BTreeMap::from([("navi21".to_owned(), compiled)]),
        others: BTreeMap::new(),
    };
    let right = [kernel(Compiled::default())];
    assert_eq!(faults(&right, &[]), Vec::<String>::new());
    for wrong in [
        Compiled { spilled_vgprs: 1, ..Compiled::default() },
        Compiled { spilled_sgprs: 1, ..Compiled::default() },
        Compiled { scratch_bytes: 4, ..Compiled::default() },
    ] {
        let wrong = [kernel(wrong)];
        assert!(faults(&wrong, &[])[0].starts_with("k on navi21: "));
        assert_eq!(faults(&wrong, &[("k", "navi21", "because")]), Vec::<String>::new());
        assert_eq!(faults(&wrong, &[("k", "navi31", "because")]).len(), 2);
    }
    assert!(faults(&right, &[("k", "navi21", "because")])[0].contains("no fault on navi21 any more"));
    let elsewhere = |demand| KernelFigures {
        chips: BTreeMap::new(),
        others: BTreeMap::from([("asahi".to_owned(), demand)]),
        ..kernel(Compiled::default())
    };
    for wrong in [
        Demand { spills: 1, ..Demand::default() },
        Demand { fills: 1, ..Demand::default() },
        Demand { scratch_bytes: 4, ..Demand::default() },
    ] {
        let chosen = [elsewhere(Demand { usual: true, ..wrong.clone() })];
        assert!(faults(&chosen, &[])[0].starts_with("k on asahi: "));
        assert_eq!(faults(&chosen, &[("k", "asahi", "because")]), Vec::<String>::new());
        // What nothing takes there may spill.
        assert_eq!(faults(&[elsewhere(wrong)], &[]), Vec::<String>::new());
    }
}

/// `docs/gpu-stats.md` is generated and has every kernel. `docs/kernels.md` is written by hand and has those of which
/// there is more to say than their headers do.
#[test]
fn kernels_of_the_pages_are_there() {
    let (page, tables) = (docs("kernels.md"), docs("gpu-stats.md"));
    for kernel in KERNELS {
        let title = format!("\n### {}\n", kernel.name);
        assert!(tables.contains(&title), "{}: run scripts/gpu-stats.sh", kernel.name);
    }
    let linked: Vec<&str> =
        page.split("](gpu-stats.md#").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(linked.len() > KERNELS.len() / 2, "docs/kernels.md links to {} kernels", linked.len());
    for name in linked {
        let known = KERNELS.iter().any(|kernel| kernel.name == name);
        assert!(known, "docs/kernels.md has {name}, which is no kernel any more");
    }
}
