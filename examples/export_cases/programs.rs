//! The programs of a case: planned without a GPU, in every way that takes other kernels, whole and cut up.

use impasto::cases::Case;
use impasto::cases::run::{KernelSelection, Planned, RunOptions};
use impasto::graph::Limits;
use impasto::ops::{Capabilities, DeviceClass};

/// Where every WebGPU device can bind.
pub(crate) const ALIGNMENT: u64 = 256;

/// A case as one program.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// By which kernels, and how it is cut up, in words.
    pub(crate) name: String,
    pub(crate) planned: Planned,
    pub(crate) kernels: KernelSelection,
    /// The program before it that must make the same bits, counted from the case's first.
    pub(crate) same_as: Option<usize>,
}

/// Every program of a case for a device with these subgroups.
pub(crate) fn of(case: &Case, subgroups: Option<(u32, u32)>) -> Result<Vec<Prepared>, String> {
    let mut all = Vec::new();
    let piece = case.binding_limit();
    // Where a choice changes nothing, its program is there already.
    let (mut whole_done, mut pieces_done) = (Vec::new(), Vec::new());
    for kernels in all_selections() {
        cut(case, subgroups, RunOptions { kernels, ..RunOptions::default() }, &mut whole_done, &mut all)?;
        if piece.is_some() {
            let options = RunOptions { kernels, max_binding_bytes: piece, ..RunOptions::default() };
            cut(case, subgroups, options, &mut pieces_done, &mut all)?;
        }
    }
    Ok(all)
}

/// Adds a program to `all`, whole and in slices, unless one of the same kernels is `done`.
fn cut(
    case: &Case,
    subgroups: Option<(u32, u32)>,
    options: RunOptions,
    done: &mut Vec<Vec<&'static str>>,
    all: &mut Vec<Prepared>,
) -> Result<(), String> {
    let whole = planned(case, subgroups, &RunOptions { guards: true, ..options })?;
    let kernels = whole.kernels();
    if done.contains(&kernels) {
        return Ok(());
    }
    // Without guards, so that places in the arenas are those of the plan.
    let sliced = planned(case, subgroups, &RunOptions { slices: true, ..options })?;
    let pieces = if options.max_binding_bytes.is_some() { ", in pieces" } else { "" };
    let name = format!("{}{pieces}", kernels.join(" + "));
    let first = all.len();
    all.push(Prepared { name: name.clone(), planned: whole, kernels: options.kernels, same_as: None });
    let name = format!("{name}, in slices");
    all.push(Prepared { name, planned: sliced, kernels: options.kernels, same_as: Some(first) });
    done.push(kernels);
    Ok(())
}

/// Every selection, and every selection without subgroups.
fn all_selections() -> impl Iterator<Item = KernelSelection> {
    KernelSelection::all()
        .into_iter()
        .flat_map(|kernels| [kernels, KernelSelection { portable: true, ..kernels }])
}

/// Plans a case for a device that has WebGPU's default limits, and these subgroups.
fn planned(case: &Case, subgroups: Option<(u32, u32)>, options: &RunOptions) -> Result<Planned, String> {
    let software = subgroups.is_some() && !options.kernels.portable;
    let class = if software { DeviceClass::Software } else { DeviceClass::Portable };
    let limits = Limits {
        capabilities: Capabilities { subgroups, class, ..Capabilities::webgpu() },
        alignment: ALIGNMENT,
        uniform_alignment: ALIGNMENT,
        ..Limits::webgpu()
    };
    Planned::within(limits, case, options).map_err(|error| format!("{}: {error}", case.name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use impasto::cases;
    use impasto::ops::KERNELS;

    use super::*;

    fn run_by(subgroups: Option<(u32, u32)>) -> BTreeSet<&'static str> {
        let cases = cases::all();
        let programs = cases.iter().flat_map(|case| of(case, subgroups).unwrap());
        programs.flat_map(|program| program.planned.kernels()).collect()
    }

    #[test]
    fn every_kernel_that_a_device_allows_is_run() {
        let all: BTreeSet<&str> = KERNELS.iter().map(|kernel| kernel.name).collect();
        assert_eq!(run_by(Some((8, 8))), all);
        // This one works for one that uses subgroups.
        let helps = |name: &str| name == "gram_backward_weights";
        let portable = KERNELS.iter().filter(|kernel| kernel.subgroup.is_none() && !helps(kernel.name));
        let portable: BTreeSet<&str> = portable.map(|kernel| kernel.name).collect();
        assert_eq!(run_by(None), portable);
        // No kernel is right for a range that begins below 8.
        assert_eq!(run_by(Some((4, 128))), portable);
    }

    #[test]
    fn programs_differ_in_kernels_or_cuts() {
        let case =
            cases::all().into_iter().find(|case| case.name.starts_with("conv_backward 13 to 17×31×37"));
        let all = of(&case.unwrap(), Some((8, 8))).unwrap();
        let names: BTreeSet<&str> = all.iter().map(|program| &*program.name).collect();
        assert_eq!(names.len(), all.len());
        let limit = |program: &Prepared| program.planned.limits.capabilities.max_binding_bytes;
        for program in &all {
            let Planned { program: planned, passes, guards, .. } = &program.planned;
            let sliced = planned.slices.len() > planned.dispatches.len();
            assert_eq!([sliced, *passes, !guards], [program.same_as.is_some(); 3], "{}", program.name);
            if let Some(whole) = program.same_as {
                assert_eq!(all[whole].planned.kernels(), program.planned.kernels(), "{}", program.name);
                assert_eq!(limit(&all[whole]), limit(program), "{}", program.name);
            }
        }
        assert!(all.iter().any(|program| limit(program) < 128 << 20));
    }
}
