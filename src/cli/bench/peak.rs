//! The peak of the adapter: multiply-adds in registers, and a copy.

use std::sync::Arc;

use impasto::cases::{self, Case};
use impasto::ops::probe::{Copy, Peak as Probe};
use impasto::ops::{Op, Shape};
use impasto::transfer::Engine;

use super::report::Peak;
use super::run::{self, Checker};
use super::subjects::{Label, Subject, Trial, program};
use crate::cli::Result;

/// Threads of the arithmetic probes: several for each lane of the largest GPUs.
const THREADS: u32 = 1 << 18;

/// Seconds that a probe should take: much longer than its start, much shorter than what a driver allows.
const PROBE_SECONDS: f64 = 0.03;

/// Rounds of a probe's first run.
const FIRST_ROUNDS: u32 = 4;

/// Maximum of rounds. An adapter that does them in less time gets a peak that is a little low.
const MAX_ROUNDS: u32 = 1 << 16;

/// The copied tensor: 128 MiB, so that with its copy it is larger than any cache.
const COPIED: Shape = Shape::new(32, 1024, 1024);

/// A small tensor on which the probes are checked.
const CHECKED: Shape = Shape::new(3, 4, 7);

/// Checks the probes and runs them.
pub(super) async fn peak(engine: &Engine, checker: &mut Checker) -> Result<Peak> {
    let mut fma_gflops: f64 = 0.0;
    for (chains, vector) in Probe::VERSIONS {
        let probe = |rounds| Probe { chains, vector, rounds };
        let factors = Shape::row(2);
        let checked = cases::case_of(&op(probe(3)), &[CHECKED, factors]);
        let timed = |rounds| cases::case_of(&op(probe(rounds)), &[Shape::row(THREADS), factors]);
        let first = best(engine, checker, timed(FIRST_ROUNDS), checked.clone()).await?;
        let rounds = (f64::from(FIRST_ROUNDS) * PROBE_SECONDS / first.seconds) as u32;
        let second = best(engine, checker, timed(rounds.clamp(FIRST_ROUNDS, MAX_ROUNDS)), checked).await?;
        for best in [first, second] {
            fma_gflops = fma_gflops.max(best.flops as f64 / best.seconds / 1e9);
        }
    }
    let copy = |shape| cases::case_of(&op(Copy), &[shape]);
    let best = best(engine, checker, copy(COPIED), copy(CHECKED)).await?;
    Ok(Peak { fma_gflops, copy_gbps: 2.0 * COPIED.bytes() as f64 / best.seconds / 1e9 })
}

fn op(op: impl Op) -> Arc<dyn Op> {
    Arc::new(op)
}

struct Best {
    seconds: f64,
    flops: u64,
}

/// The shortest of some runs of `case`, whose kernel is right on `checked`.
async fn best(engine: &Engine, checker: &mut Checker, case: Case, checked: Case) -> Result<Best> {
    let (gpu, pipelines) = (engine.gpu(), engine.pipelines());
    let mut limits = engine.limits();
    // Short enough by its number of rounds, and faster where nothing is cut.
    limits.slice_work = u64::MAX;
    let label = Label { op: case.family, layer: None, shape: [0; 4] };
    let program = program(&case, &limits)?;
    let flops = program.flops();
    let trial = Trial { subject: Subject { case, checked, label }, limits, program };
    checker.check(gpu, pipelines, &trial).await?;
    let Trial { subject: Subject { case, .. }, program, .. } = trial;
    let executable = run::timed(gpu, pipelines, &case, program).await?;
    let measured = run::time(gpu, &executable).await?;
    let repeats = measured.first().map_or(0, Vec::len);
    let whole = (0..repeats).map(|repeat| measured.iter().map(|dispatch| dispatch[repeat]).sum::<f64>());
    Ok(Best { seconds: whole.fold(f64::INFINITY, f64::min).max(1e-9), flops })
}
