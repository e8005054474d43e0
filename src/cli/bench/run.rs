//! Running a case on the device: for its values, and for its time.

use std::collections::HashMap;
use std::sync::Arc;

use impasto::cases::{Case, Expected, Fill, Random, Tolerance};
use impasto::gpu::{Gpu, Pipelines, Readback};
use impasto::graph::{Executable, Externals, Program};
use impasto::ops::{Form, conv};
use impasto::wgpu;

use super::subjects::{Trial, program};
use crate::cli::{Failure, Result};

/// What outputs hold before a kernel runs: a NaN that no computation makes.
const POISON: u32 = 0x7FC0_5EED;

/// Seconds that the repeats of one row may take together; what takes longer alone is estimated from a part of it.
const ROW_SECONDS: f64 = 0.3;
/// Most repeats of one row.
const MOST_REPEATS: usize = 200;

/// A case's inputs, and what the twins make of them.
struct Known {
    values: Vec<Vec<u32>>,
    expected: Expected,
}

/// Checks kernels against the twins, each pair of op and shapes once.
#[derive(Default)]
pub(super) struct Checker {
    known: HashMap<String, Arc<Known>>,
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
        let known = || Arc::new(Known { values: case.values(), expected: case.expected() });
        let known = Arc::clone(self.known.entry(key).or_insert_with(known));
        let worst = run(gpu, pipelines, case, program(case, &trial.limits)?, &known).await?;
        if worst.share > 1.0 {
            return Err(Failure::Failed(format!(
                "{} computes {} wrongly: {}, {:.0} % of the allowed error; such a kernel is not timed",
                names.join(" and "),
                case.name,
                worst.detail,
                worst.share * 100.0
            )));
        }
        self.shares.insert(share_key, worst.share);
        Ok(worst.share)
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
    pub(super) least: f64,
    pub(super) most: f64,
}

impl Seconds {
    /// Of measurements that there is at least one of.
    pub(super) fn of(mut measured: Vec<f64>) -> Self {
        measured.sort_by(f64::total_cmp);
        let median = f64::midpoint(measured[(measured.len() - 1) / 2], measured[measured.len() / 2]);
        // A clock of coarse ticks may say 0.
        let at_least = |seconds: f64| seconds.max(1e-9);
        Self {
            median: at_least(median),
            least: at_least(measured[0]),
            most: at_least(measured[measured.len() - 1]),
        }
    }
}

/// Times an executable: the seconds of each dispatch in each repeat. A first run warms up; where that takes longer
/// than all repeats should, it is cut short, and the estimate from it is all there is: the kernels were compiled when
/// they were checked.
pub(super) async fn time(gpu: &Gpu, executable: &Executable) -> Result<Vec<Vec<f64>>> {
    let first = executable.estimate(gpu, ROW_SECONDS).await?;
    let took: f64 = first.iter().sum();
    if took > ROW_SECONDS {
        return Ok(first.into_iter().map(|seconds| vec![seconds]).collect());
    }
    let repeats = (ROW_SECONDS / took.max(1e-9)) as usize;
    Ok(executable.time(gpu, repeats.clamp(1, MOST_REPEATS)).await?)
}

/// A case's program with inputs that are fit to be timed: where a value matters it is the case's, otherwise any
/// number will do.
pub(super) async fn timed(
    gpu: &Gpu,
    pipelines: &Pipelines,
    case: &Case,
    program: Program,
) -> Result<Executable> {
    let pattern = Random::new(1).vec_f32(1 << 18);
    let mut externals = Externals::default();
    for external in &program.externals {
        let buffer = gpu.buffer(&external.name, external.bytes, usage()).await?;
        match &case.inputs[input(case, &external.name)?].fill {
            Fill::Given(values) => gpu.queue().write_buffer(&buffer, 0, bytemuck::cast_slice(values)),
            _ => {
                let pattern: &[u8] = bytemuck::cast_slice(&pattern);
                for offset in (0..external.bytes).step_by(pattern.len()) {
                    let bytes = pattern.len().min((external.bytes - offset) as usize);
                    gpu.queue().write_buffer(&buffer, offset, &pattern[..bytes]);
                }
            }
        }
        externals.insert(external, Arc::new(buffer));
    }
    Ok(Executable::new(gpu, pipelines, program, externals).await?)
}

fn usage() -> wgpu::BufferUsages {
    wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST
}

/// The case's input that is called `name`.
fn input(case: &Case, name: &str) -> Result<usize> {
    let found = (0..case.inputs.len()).find(|index| Case::input_name(*index) == name);
    found.ok_or_else(|| Failure::Failed(format!("{} has no input {name}", case.name)))
}

/// The element that uses most of its allowed error.
struct Worst {
    share: f64,
    detail: String,
}

impl Worst {
    /// Compares every element; the first of equals is told.
    fn compare(&mut self, what: &str, got: &[f64], want: &[f64], tolerance: Tolerance) {
        if got.len() != want.len() {
            self.share = f64::INFINITY;
            self.detail = format!("{what} has {} elements instead of {}", got.len(), want.len());
            return;
        }
        for (index, (got, want)) in got.iter().zip(want).enumerate() {
            let allowed = tolerance.atol + tolerance.rtol * want.abs();
            let share = if got == want {
                0.0
            } else if got.is_finite() {
                (got - want).abs() / allowed
            } else {
                f64::INFINITY
            };
            if share > self.share {
                self.share = share;
                self.detail =
                    format!("element {index} of {what} is {got:e} instead of {want:e} ± {allowed:.1e}");
            }
        }
    }
}

/// Runs a case once, on outputs that are poisoned, and compares what it leaves behind.
async fn run(
    gpu: &Gpu,
    pipelines: &Pipelines,
    case: &Case,
    program: Program,
    Known { values, expected }: &Known,
) -> Result<Worst> {
    let mut externals = Externals::default();
    let mut placed = Vec::new();
    for external in &program.externals {
        let index = input(case, &external.name)?;
        let buffer = Arc::new(gpu.buffer(&external.name, external.bytes, usage()).await?);
        let words = &values[index];
        if external.form == Form::Plain {
            gpu.queue().write_buffer(&buffer, 0, bytemuck::cast_slice(words));
            placed.push((index, Arc::clone(&buffer)));
        } else {
            let shape = external.shape;
            let arranged = conv::arrange(external.form, bytemuck::cast_slice(words), shape.h, shape.c);
            gpu.queue().write_buffer(&buffer, 0, bytemuck::cast_slice(&arranged));
        }
        externals.insert(external, buffer);
    }
    let executable = Executable::new(gpu, pipelines, program, externals).await?;
    for arena in executable.arenas() {
        let poison = vec![POISON; arena.size() as usize / 4];
        gpu.queue().write_buffer(arena, 0, bytemuck::cast_slice(&poison));
    }
    // What it takes is of no interest, but that the device refuses nothing is.
    executable.time(gpu, 1).await?;

    let widen = |words: &[u32], are_words: bool| -> Vec<f64> {
        let float = |word: &u32| f64::from(f32::from_bits(*word));
        if are_words {
            words.iter().copied().map(f64::from).collect()
        } else {
            words.iter().map(float).collect()
        }
    };
    let mut worst = Worst { share: 0.0, detail: "every element is right".into() };
    let words = read(gpu, &executable.kept(0)).await?;
    let output = widen(&words, case.makes_words());
    worst.compare("the output", &output, &expected.output, case.tolerance);
    for (index, buffer) in placed {
        let words = read(gpu, &[(&*buffer, 0, buffer.size())]).await?;
        match &expected.inputs[index] {
            Some(want) => {
                worst.compare(&format!("input {index}"), &widen(&words, false), want, case.tolerance);
            }
            None if words != values[index] => {
                worst = Worst { share: f64::INFINITY, detail: format!("input {index} was written to") };
            }
            None => {}
        }
    }
    Ok(worst)
}

async fn read(gpu: &Gpu, ranges: &[(&wgpu::Buffer, u64, u64)]) -> Result<Vec<u32>> {
    let bytes = ranges.iter().map(|(_, _, bytes)| bytes).sum();
    let mut readback = Readback::new(gpu, bytes, 1).await?;
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let ticket = readback.copy(&mut encoder, ranges);
    gpu.queue().submit([encoder.finish()]);
    Ok(bytemuck::pod_collect_to_vec(&readback.read(gpu, ticket).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_between_the_middle_ones() {
        let of = |measured: &[f64]| Seconds::of(measured.to_vec());
        assert_eq!(of(&[3.0, 1.0, 2.0]), Seconds { median: 2.0, least: 1.0, most: 3.0 });
        assert_eq!(of(&[4.0, 1.0, 2.0, 3.0]), Seconds { median: 2.5, least: 1.0, most: 4.0 });
        assert_eq!(of(&[0.0]), Seconds { median: 1e-9, least: 1e-9, most: 1e-9 });
    }

    #[test]
    fn one_wrong_element_is_found() {
        let tolerance = Tolerance { atol: 0.5, rtol: 0.0, reason: "" };
        let share = |got: &[f64]| {
            let mut worst = Worst { share: 0.0, detail: String::new() };
            worst.compare("y", got, &[1.0, 2.0, 3.0], tolerance);
            worst.share
        };
        assert_eq!(share(&[1.0, 2.0, 3.0]), 0.0);
        assert_eq!(share(&[1.0, 2.25, 3.0]), 0.5);
        assert_eq!(share(&[1.0, 2.0, 4.0]), 2.0);
        assert_eq!(share(&[1.0, f64::NAN, 3.0]), f64::INFINITY);
        assert_eq!(share(&[1.0, 2.0]), f64::INFINITY);
    }
}
