//! What each kernel of a program takes.

use std::collections::BTreeSet;

use impasto::graph::{Place, PlannedDispatch, Program};

use super::run::Seconds;

/// Time and work of one kernel of a program.
pub(super) struct KernelTime {
    pub(super) name: &'static str,
    pub(super) seconds: Seconds,
    pub(super) flops: u64,
    pub(super) bytes: u64,
}

/// The dispatches of each kernel together, in the order in which kernels first appear.
pub(super) fn per_kernel(program: &Program, measured: &[Vec<f64>]) -> Vec<KernelTime> {
    let mut names: Vec<&'static str> = Vec::new();
    for dispatch in &program.dispatches {
        if !names.contains(&dispatch.kernel.name) {
            names.push(dispatch.kernel.name);
        }
    }
    let of_kernel = |name: &'static str| {
        let own =
            || program.dispatches.iter().zip(measured).filter(|(dispatch, _)| dispatch.kernel.name == name);
        let repeats = own().map(|(_, seconds)| seconds.len()).min().unwrap_or(0);
        let whole = (0..repeats).map(|repeat| own().map(|(_, seconds)| seconds[repeat]).sum()).collect();
        KernelTime {
            name,
            seconds: Seconds::of(whole),
            flops: own().map(|(dispatch, _)| dispatch.flops).sum(),
            bytes: own().map(|(dispatch, _)| bytes(program, dispatch)).sum(),
        }
    };
    names.into_iter().map(of_kernel).collect()
}

/// Bytes that a dispatch binds. What is bound twice counts once, and what no kernel touches does not count.
fn bytes(program: &Program, dispatch: &PlannedDispatch) -> u64 {
    let bound: BTreeSet<usize> = dispatch.bindings.iter().copied().collect();
    let resources = bound.into_iter().map(|resource| &program.resources[resource]);
    resources.filter(|resource| resource.place != Place::Unused).map(|resource| resource.bytes).sum()
}
