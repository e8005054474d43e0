//! How long a step would take, from the plan of the step and the figures of its kernels. A prediction: nothing ran.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::chips::Chip;
use crate::figures::{Compiled, Share, Step};

/// Subgroups a SIMD that keep it busy: one computes while three wait for memory or at a barrier.
pub(crate) const BUSY: f64 = 4.0;

/// What `impasto explain --plan` writes, as far as it matters here.
#[derive(Debug, Deserialize)]
pub(crate) struct Plan {
    width: u32,
    height: u32,
    dispatches: Vec<Dispatch>,
}

#[derive(Debug, Deserialize)]
struct Dispatch {
    kernel: String,
    flops: u64,
    bytes: u64,
    workgroups: [u32; 3],
}

/// Seconds that each part of the machine needs for a dispatch; the longest decides.
fn bounds(chip: &Chip, compiled: &Compiled, threads: u32, dispatch: &Dispatch) -> [(&'static str, f64); 4] {
    let flops = dispatch.flops as f64;
    let groups: f64 = dispatch.workgroups.iter().map(|side| f64::from(*side)).product();
    let subgroups = groups * f64::from(threads.div_ceil(compiled.wave));
    let resident = f64::from(compiled.waves).min(subgroups / f64::from(chip.units * chip.simds));
    let busy = (resident / BUSY).min(1.0);
    let arithmetic = match compiled.flop_share {
        0.0 => 0.0,
        share => flops / (chip.flops() * share * busy),
    };
    [
        ("arithmetic", arithmetic),
        ("workgroup memory", flops * compiled.lds_bytes_per_flop / (chip.lds_bytes() * busy)),
        ("caches", flops * compiled.memory_bytes_per_flop / (chip.cache_bytes() * busy)),
        ("memory", dispatch.bytes as f64 / chip.memory_bytes()),
    ]
}

/// The predicted step. `figures` gives what is known of a kernel: its figures and the threads of its workgroup.
pub(crate) fn step<'a>(
    chip: &Chip,
    plan: &Plan,
    figures: impl Fn(&str) -> Option<(&'a Compiled, u32)>,
) -> Result<Step, String> {
    // By kernel: dispatches, seconds, seconds by bound.
    let mut kernels: BTreeMap<&str, (u32, f64, BTreeMap<&str, f64>)> = BTreeMap::new();
    for dispatch in &plan.dispatches {
        let (compiled, threads) = figures(&dispatch.kernel).ok_or_else(|| {
            format!("the plan for {} runs {}, which was not compiled", chip.name, dispatch.kernel)
        })?;
        let all = bounds(chip, compiled, threads, dispatch);
        let (bound, seconds) = all.into_iter().fold(("memory", 0.0), |a, b| if b.1 > a.1 { b } else { a });
        let entry = kernels.entry(&dispatch.kernel).or_default();
        entry.0 += 1;
        entry.1 += seconds;
        *entry.2.entry(bound).or_default() += seconds;
    }
    let mut shares: Vec<Share> = kernels
        .into_iter()
        .map(|(name, (dispatches, seconds, bounds))| Share {
            name: name.to_owned(),
            dispatches,
            milliseconds: thousandths(1e3 * seconds),
            bound: bounds
                .into_iter()
                .fold(("memory", 0.0), |a, b| if b.1 > a.1 { b } else { a })
                .0
                .to_owned(),
        })
        .collect();
    shares.sort_by(|a, b| b.milliseconds.total_cmp(&a.milliseconds).then_with(|| a.name.cmp(&b.name)));
    Ok(Step {
        chip: chip.name.to_owned(),
        width: plan.width,
        height: plan.height,
        milliseconds: thousandths(shares.iter().map(|share| share.milliseconds).sum()),
        gflop: thousandths(plan.dispatches.iter().map(|dispatch| dispatch.flops as f64).sum::<f64>() / 1e9),
        kernels: shares,
    })
}

fn thousandths(value: f64) -> f64 {
    (1e3 * value).round() / 1e3
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const CHIP: Chip =
        Chip { name: "chip", product: "none", units: 10, simds: 2, clock: 1000, bandwidth: 100 };

    fn plan(flops: u64, bytes: u64, groups: u32) -> Plan {
        let dispatch = Dispatch { kernel: "k".into(), flops, bytes, workgroups: [groups, 1, 1] };
        Plan { width: 4, height: 3, dispatches: vec![dispatch] }
    }

    fn predicted(compiled: &Compiled, plan: &Plan) -> Share {
        step(&CHIP, plan, |name| (name == "k").then_some((compiled, 64))).unwrap().kernels.remove(0)
    }

    #[test]
    fn the_longest_of_four_bounds_decides() {
        // The chip does 1.28 TFLOP/s, moves 1.28 TB/s to workgroup memory, 0.64 TB/s to caches, 0.1 TB/s to memory.
        let plenty = Compiled { wave: 64, waves: 8, flop_share: 0.5, ..Compiled::default() };
        let work = plan(1_280_000_000, 1000, 1000);
        let found = predicted(&plenty, &work);
        assert_eq!((found.milliseconds, found.bound.as_str()), (2.0, "arithmetic"));

        let shared = Compiled { lds_bytes_per_flop: 4.0, ..plenty.clone() };
        let found = predicted(&shared, &work);
        assert_eq!((found.milliseconds, found.bound.as_str()), (4.0, "workgroup memory"));

        let scattered = Compiled { memory_bytes_per_flop: 4.0, ..plenty.clone() };
        let found = predicted(&scattered, &work);
        assert_eq!((found.milliseconds, found.bound.as_str()), (8.0, "caches"));

        let found = predicted(&plenty, &plan(1000, 1_000_000_000, 1000));
        assert_eq!((found.milliseconds, found.bound.as_str()), (10.0, "memory"));
    }

    #[test]
    fn few_subgroups_make_it_slower() {
        let work = plan(1_280_000_000, 0, 1000);
        let one = Compiled { wave: 64, waves: 1, flop_share: 0.5, ..Compiled::default() };
        assert_eq!(predicted(&one, &work).milliseconds, 8.0);
        // 20 SIMDs with one subgroup each, although eight would fit.
        let plenty = Compiled { waves: 8, ..one };
        assert_eq!(predicted(&plenty, &plan(1_280_000_000, 0, 20)).milliseconds, 8.0);
    }

    #[test]
    fn a_kernel_without_figures_is_named() {
        let error = step(&CHIP, &plan(1, 1, 1), |_| None).unwrap_err();
        assert!(error.contains("runs k, which was not compiled"), "{error}");
    }
}
