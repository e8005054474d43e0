//! The programs of a case: planned without a GPU, in every way that takes other kernels, whole and cut up.

use std::sync::Arc;

use impasto::cases::Case;
use impasto::graph::{Limits, Place, Program, plan};
use impasto::ops::conv::Method;
use impasto::ops::{Capabilities, DeviceClass, KernelChoice, Precision};

/// What every WebGPU device can bind, and where: the limits that a device has without asking for more.
const BINDING_BYTES: u64 = 128 << 20;
const BUFFER_BYTES: u64 = 256 << 20;
pub(crate) const ALIGNMENT: u64 = 256;

/// Poisoned bytes that a kernel could reach behind each of its bindings.
pub(crate) const GUARD: u64 = 4096;

/// A case as one program.
#[derive(Debug)]
pub(crate) struct Planned {
    /// By which kernels, and how it is cut up, in words.
    pub(crate) name: String,
    /// The program; with guards its resources lie apart, and their bytes include the guard.
    pub(crate) program: Program,
    /// The bytes that belong to each resource, without a guard.
    pub(crate) owned: Vec<u64>,
    /// Bytes behind each input that its binding reaches.
    pub(crate) guard: u64,
    /// Largest binding: it decides on the pieces.
    pub(crate) limit: u64,
    /// How operands are stored: it decides on the tolerance.
    pub(crate) precision: Precision,
    /// The program before it that must make the same bits, counted from the case's first.
    pub(crate) same_as: Option<usize>,
}

/// Every program of a case for a device with these subgroups.
pub(crate) fn of(case: &Case, subgroups: Option<(u32, u32)>) -> Result<Vec<Planned>, String> {
    let mut all: Vec<Planned> = Vec::new();
    let (mut done, mut done_in_pieces) = (Vec::new(), Vec::new());
    for capabilities in ways(subgroups) {
        let limits = Limits {
            capabilities,
            max_buffer_bytes: BUFFER_BYTES,
            memory_bytes: None,
            alignment: ALIGNMENT,
            uniform_alignment: ALIGNMENT,
            slice_work: u64::MAX,
        };
        let whole = planned(case, &limits)?;
        let pieces = case.binding_limit().map(|limit| {
            let mut limits = limits.clone();
            limits.capabilities.max_binding_bytes = limit;
            Ok::<_, String>((planned(case, &limits)?, limits))
        });
        let pieces = pieces.transpose()?;
        let precision = limits.capabilities.precision;
        let mut add = |name: &str, program: Program, limits: &Limits, guard: u64, same_as: Option<usize>| {
            let name = format!("{} ({name})", kernels(&program).join(" + "));
            let owned = program.resources.iter().map(|resource| resource.bytes).collect();
            let limit = limits.capabilities.max_binding_bytes;
            let mut program = program;
            if guard > 0 {
                set_apart(&mut program);
            }
            all.push(Planned { name, program, owned, guard, limit, precision, same_as });
            all.len() - 1
        };
        // Slices change no bit. They run without guards, so that places in the arenas are those of the plan. Where a
        // choice changes nothing, its program is there already.
        if is_new(&mut done, &whole) {
            let sliced = planned(case, &in_slices(&whole, &limits))?;
            let first = add("whole", whole, &limits, GUARD, None);
            add("in slices", sliced, &limits, 0, Some(first));
        }
        if let Some((pieces, limits)) = pieces
            && is_new(&mut done_in_pieces, &pieces)
        {
            let sliced = planned(case, &in_slices(&pieces, &limits))?;
            let first = add("in pieces", pieces, &limits, GUARD, None);
            add("in sliced pieces", sliced, &limits, 0, Some(first));
        }
    }
    Ok(all)
}

/// Whether no program before took the same kernels; remembers that one has now.
fn is_new(done: &mut Vec<Vec<&'static str>>, program: &Program) -> bool {
    let kernels = kernels(program);
    let new = !done.contains(&kernels);
    done.push(kernels);
    new
}

/// What lowering may choose from: every method, with and without subgroups, in both precisions. A method that cannot do
/// a case leaves it to the usual one.
fn ways(subgroups: Option<(u32, u32)>) -> Vec<Capabilities> {
    let device = |subgroups, class| Capabilities {
        max_binding_bytes: BINDING_BYTES,
        subgroups,
        class,
        choice: KernelChoice::Auto,
        choices: Arc::default(),
        low_memory: false,
        precision: Precision::F32,
    };
    let mut devices = vec![device(None, DeviceClass::Portable)];
    if subgroups.is_some() {
        devices.push(device(subgroups, DeviceClass::Software));
    }
    let mut ways = Vec::new();
    for device in devices {
        for precision in [Precision::F32, Precision::F16] {
            let choices = Method::ALL.map(KernelChoice::Method);
            for choice in [KernelChoice::Auto].into_iter().chain(choices) {
                for low_memory in [false, true] {
                    ways.push(Capabilities { choice, precision, low_memory, ..device.clone() });
                }
            }
        }
    }
    ways
}

fn planned(case: &Case, limits: &Limits) -> Result<Program, String> {
    let fault = |error: impasto::Error| format!("{}: {error}", case.name);
    let tape = case.record().map_err(fault)?.tape;
    plan(&tape, limits).map_err(fault)
}

/// Names of the kernels that a program runs, in order, each once behind another.
pub(crate) fn kernels(program: &Program) -> Vec<&'static str> {
    let mut names: Vec<_> = program.dispatches.iter().map(|dispatch| dispatch.kernel.name).collect();
    names.dedup();
    names
}

/// Limits that cut the smallest dispatch of `whole` into three slices or more, but none into more than about 300.
fn in_slices(whole: &Program, limits: &Limits) -> Limits {
    let parallel = whole.slices.iter().filter(|slice| slice.end > 1).map(|slice| slice.work);
    let most = whole.slices.iter().map(|slice| slice.work).max().unwrap_or(1);
    let slice_work = (parallel.min().unwrap_or(1) / 3).max(most / 300);
    Limits { slice_work, ..limits.clone() }
}

/// Gives every resource a place of its own with a guard behind it that its bindings reach.
fn set_apart(program: &mut Program) {
    program.arenas.fill(0);
    for resource in &mut program.resources {
        match &mut resource.place {
            Place::Arena { arena, offset } => {
                *offset = program.arenas[*arena];
                resource.bytes += GUARD;
                program.arenas[*arena] = (*offset + resource.bytes).next_multiple_of(ALIGNMENT);
            }
            Place::External(_) => resource.bytes += GUARD,
            Place::Unused => {}
        }
    }
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
        let ways = ways(subgroups);
        let limits = ways.into_iter().map(|capabilities| Limits {
            capabilities,
            max_buffer_bytes: BUFFER_BYTES,
            memory_bytes: None,
            alignment: ALIGNMENT,
            uniform_alignment: ALIGNMENT,
            slice_work: u64::MAX,
        });
        let limits: Vec<Limits> = limits.collect();
        let programs =
            cases.iter().flat_map(|case| limits.iter().map(|limits| planned(case, limits).unwrap()));
        programs.flat_map(|program| kernels(&program)).collect()
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
        let case = cases::all()
            .into_iter()
            .find(|case| case.name == "conv_backward 13 to 17×31×37, accumulate, gate");
        let all = of(&case.unwrap(), Some((8, 8))).unwrap();
        let names: BTreeSet<&str> = all.iter().map(|planned| &*planned.name).collect();
        assert_eq!(names.len(), all.len());
        for planned in &all {
            let slices = planned.program.slices.len() > planned.program.dispatches.len();
            assert_eq!(slices, planned.same_as.is_some(), "{}", planned.name);
            if let Some(whole) = planned.same_as {
                assert_eq!(kernels(&all[whole].program), kernels(&planned.program), "{}", planned.name);
                assert_eq!(all[whole].limit, planned.limit, "{}", planned.name);
            }
        }
        assert!(all.iter().any(|planned| planned.limit < BINDING_BYTES && planned.same_as.is_none()));
    }

    #[test]
    fn guards_lie_behind_every_resource() {
        let case = cases::all().into_iter().find(|case| case.name.starts_with("conv_backward 17 to 5×19×23"));
        let whole = of(&case.unwrap(), None).unwrap().swap_remove(0);
        let mut places = Vec::new();
        for (resource, owned) in whole.program.resources.iter().zip(&whole.owned) {
            if resource.place != Place::Unused {
                assert_eq!(resource.bytes, owned + GUARD);
            }
            if let Place::Arena { arena, offset } = resource.place {
                assert!(offset.is_multiple_of(ALIGNMENT));
                assert!(offset + resource.bytes <= whole.program.arenas[arena]);
                places.push((arena, offset, offset + resource.bytes));
            }
        }
        places.sort_unstable();
        assert!(places.windows(2).all(|two| two[0].0 < two[1].0 || two[0].2 <= two[1].1), "{places:?}");
    }
}
