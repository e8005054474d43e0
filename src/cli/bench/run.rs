//! A case on the device: its values by the runner that the tests use, and its time.

use std::collections::HashMap;
use std::sync::Arc;

use impasto::cases::compare::compare_run;
use impasto::cases::run::{self, Planned};
use impasto::cases::{Case, CaseData, Fill, Random};
use impasto::gpu::{Gpu, Pipelines};
use impasto::graph::{Executable, Externals, Program};
use impasto::wgpu;

use super::subjects::{Trial, program};
use crate::cli::{Failure, Result};

/// The line at the beginning of all measurements.
pub(super) const MEASURING: &str = "measuring; the results come at the end";
/// Seconds that the repeats of one row may take together. A dispatch that takes longer alone is estimated from a part of
/// its workgroups.
const ROW_SECONDS: f64 = 0.3;
/// Maximum of repeats of one row.
const MAX_REPEATS: usize = 200;

/// Checks kernels against the twins, each pair of op and shapes once.
#[derive(Default)]
pub(super) struct Checker {
    data: HashMap<String, CaseData>,
    shares: HashMap<String, f64>,
}

impl Checker {
    /// The largest share of its allowed error that an element uses.
    ///
    /// # Errors
    /// An element is outside, or the GPU failed.
    pub(super) async fn check(&mut self, gpu: &Gpu, pipelines: &Pipelines, trial: &Trial) -> Result<f64> {
        let case = &trial.subject.checked;
        let names: Vec<&str> = trial.kernels().iter().map(|kernel| kernel.name).collect();
        let key = format!("{:?} {}", case.steps, case.name);
        let share_key = format!("{} {key}", names.join(" "));
        if let Some(share) = self.shares.get(&share_key) {
            return Ok(*share);
        }
        let data = self.data.entry(key).or_insert_with(|| CaseData::of(case));
        let limits = trial.limits.clone();
        let planned = Planned { program: program(case, &limits)?, limits, passes: false, guards: true };
        let run = run::run(gpu, pipelines, case, &data.values, planned).await?;
        let worst = compare_run(&case.name, case, case.tolerance, data, &run);
        if !worst.passes() {
            let names = names.join(" and ");
            return Err(Failure::Failed(format!("{names} computes wrongly and is not timed: {worst}")));
        }
        self.shares.insert(share_key, worst.worst_share);
        Ok(worst.worst_share)
    }
}

impl Checker {
    /// The largest share of all that were checked.
    pub(super) fn largest_share(&self) -> f64 {
        self.shares.values().copied().fold(0.0, f64::max)
    }
}

/// Seconds of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Seconds {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Seconds {
    /// Of one measurement or more.
    pub(super) fn of(mut measured: Vec<f64>) -> Self {
        measured.sort_by(f64::total_cmp);
        let median = f64::midpoint(measured[(measured.len() - 1) / 2], measured[measured.len() / 2]);
        // A clock with coarse ticks may give 0.
        let at_least = |seconds: f64| seconds.max(1e-9);
        Self {
            median: at_least(median),
            min: at_least(measured[0]),
            max: at_least(measured[measured.len() - 1]),
        }
    }
}

/// Times an executable: the seconds of each dispatch in each repeat. A first run warms up. Where it takes longer than all
/// repeats should, it is cut short and its estimate is the result: the kernels were compiled when they were checked, so
/// it needs no warming up.
pub(super) async fn time(gpu: &Gpu, executable: &Executable) -> Result<Vec<Vec<f64>>> {
    let first = executable.estimate(gpu, ROW_SECONDS).await?;
    let took: f64 = first.iter().sum();
    if took > ROW_SECONDS {
        return Ok(first.into_iter().map(|seconds| vec![seconds]).collect());
    }
    let repeats = (ROW_SECONDS / took.max(1e-9)) as usize;
    Ok(executable.time(gpu, repeats.clamp(1, MAX_REPEATS)).await?)
}

/// A case's program with inputs for timing: the case's values where they matter, and any numbers elsewhere.
pub(super) async fn timed(
    gpu: &Gpu,
    pipelines: &Pipelines,
    case: &Case,
    program: Program,
) -> Result<Executable> {
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
    let pattern = Random::new(1).vec_f32(1 << 18);
    let mut externals = Externals::default();
    for external in &program.externals {
        let buffer = gpu.buffer(&external.name, external.bytes, usage).await?;
        match &case.inputs[input(case, &external.name)?].fill {
            Fill::Given(values) => gpu.write(&buffer, 0, bytemuck::cast_slice(values)).await?,
            _ => {
                let pattern: &[u8] = bytemuck::cast_slice(&pattern);
                for offset in (0..external.bytes).step_by(pattern.len()) {
                    let bytes = pattern.len().min((external.bytes - offset) as usize);
                    gpu.write(&buffer, offset, &pattern[..bytes]).await?;
                }
            }
        }
        externals.insert(external, Arc::new(buffer));
    }
    Ok(Executable::new(gpu, pipelines, program, externals).await?)
}

/// The case's input that is called `name`.
fn input(case: &Case, name: &str) -> Result<usize> {
    let found = (0..case.inputs.len()).find(|index| Case::input_name(*index) == name);
    found.ok_or_else(|| Failure::Failed(format!("{} has no input {name}", case.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_between_the_middle_ones() {
        let of = |measured: &[f64]| Seconds::of(measured.to_vec());
        assert_eq!(of(&[3.0, 1.0, 2.0]), Seconds { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(of(&[4.0, 1.0, 2.0, 3.0]), Seconds { median: 2.5, min: 1.0, max: 4.0 });
        assert_eq!(of(&[0.0]), Seconds { median: 1e-9, min: 1e-9, max: 1e-9 });
    }
}
