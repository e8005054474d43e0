//! Which method is the fastest: found out by trying them on the device.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::workload::{Timed, Work};
use crate::error::Result;
use crate::gpu::{Gpu, Pipelines};
use crate::graph::{Executable, Externals, Limits, Phase, Program, Role, Tape, plan};
use crate::ops::{
    Algorithm, DeviceClass, Method, MethodRequest, MethodTable, Problem, Trial, methods_for, variants_of,
};

/// Trials that every method gets, after one that only warms up, and those that the better ones get.
const QUALIFYING: usize = 2;
const REPEATS: usize = 3;
/// A method that is slower than the best one by this factor at first sight is not tried again.
const CUTOFF: f64 = 1.25;
/// Times that differ by less than this share are equal: then the usual order decides, and not chance.
const EQUAL: f64 = 0.03;
/// Rows that a trial's plane has at least.
const LEAST_ROWS: u32 = 8;

/// How much is tried on a kind of device.
struct Sample {
    /// Seconds that each dispatch of a trial is run for. Of a longer one only the first workgroups are run, which
    /// are like the others.
    seconds: f64,
    /// FLOP of a slice, the smallest part of a dispatch that is run.
    slice_work: u64,
    /// Most bytes of the op's larger tensor: planes are cut down in height to this. They need to fill the
    /// device, and no more, because fresh memory takes time too.
    tensor_bytes: u64,
}

impl Sample {
    fn of(class: DeviceClass) -> Self {
        match class {
            DeviceClass::Software => Self { seconds: 0.005, slice_work: 150_000_000, tensor_bytes: 3 << 20 },
            // As much as Winograd's kernels do in one go.
            DeviceClass::Portable => {
                Self { seconds: 0.002, slice_work: 2_000_000_000, tensor_bytes: 7 << 20 }
            }
            DeviceClass::ManyRegisters => {
                Self { seconds: 0.002, slice_work: 10_000_000_000, tensor_bytes: 7 << 20 }
            }
        }
    }

    /// The problem on a plane that is cut down in height.
    fn cut(&self, problem: &Problem) -> Problem {
        let row =
            4 * u64::from(problem.inputs.max(problem.outputs)) * u64::from(problem.d) * u64::from(problem.w);
        let rows = self.tensor_bytes / row.max(1);
        let rows = rows.clamp(LEAST_ROWS.into(), problem.h.max(LEAST_ROWS).into()) as u32;
        Problem { h: rows.min(problem.h), ..*problem }
    }
}

/// Whether a method can be the fastest on a class of devices. Plain loops never are. Workgroup memory is what the
/// software adapter is slowest at: tiles take it 5 to 20 times as long, and seconds to find that out.
fn worth_trying(method: Method, class: DeviceClass) -> bool {
    method.algorithm != Algorithm::Naive && !(method.shares_memory && class == DeviceClass::Software)
}

/// The methods worth trying, the usual one first.
fn candidates(problem: &Problem, limits: &Limits) -> Vec<Method> {
    let capabilities = &limits.capabilities;
    let methods = methods_for(problem, capabilities).into_iter();
    methods.filter(|method| worth_trying(*method, capabilities.class)).collect()
}

/// What `program` does that [`crate::ops::Capabilities::methods`] say nothing of, and that there is a choice for. None
/// where methods were asked for, or where memory is short and the usual ones are taken.
pub(super) fn unmeasured(program: &Program, limits: &Limits) -> BTreeSet<Problem> {
    let capabilities = &limits.capabilities;
    if capabilities.request != MethodRequest::Auto || capabilities.low_memory {
        return BTreeSet::new();
    }
    let problems = program.methods().0.into_keys();
    problems
        .filter(|problem| {
            !capabilities.methods.0.contains_key(problem) && candidates(problem, limits).len() > 1
        })
        .collect()
}

/// The methods that are known in `limits` together with the fastest ones for what is [`unmeasured`] of `program`, and the work of
/// the trials of these with the seconds that they took.
pub(super) async fn measure(
    gpu: &Gpu,
    pipelines: &Pipelines,
    limits: &Limits,
    program: &Program,
) -> Result<(MethodTable, Timed)> {
    let mut table = MethodTable::clone(&limits.capabilities.methods);
    let mut timed = Timed::default();
    let problems = unmeasured(program, limits);
    if problems.is_empty() {
        return Ok((table, timed));
    }
    let trials = Trials::new(gpu, pipelines, limits, &problems).await?;
    for problem in problems {
        if let Some((method, of_method)) = trials.fastest(&problem).await? {
            table.0.insert(problem, method);
            timed = timed.plus(of_method);
        }
    }
    Ok((table, timed))
}

/// The trials on a device.
struct Trials<'a> {
    gpu: &'a Gpu,
    pipelines: &'a Pipelines,
    limits: Limits,
    sample: Sample,
    /// Stands for pictures, weights and biases alike: values do not matter, and no kernel writes to them.
    zeros: Arc<wgpu::Buffer>,
}

impl<'a> Trials<'a> {
    async fn new(
        gpu: &'a Gpu,
        pipelines: &'a Pipelines,
        limits: &Limits,
        problems: &BTreeSet<Problem>,
    ) -> Result<Self> {
        let sample = Sample::of(limits.capabilities.class);
        // A trial is far smaller than the transfer that is bounded.
        let limits = Limits { slice_work: sample.slice_work, memory_bytes: None, ..limits.clone() };
        let mut most = 4;
        for problem in problems {
            for method in candidates(problem, &limits) {
                let program = program(&sample.cut(problem), method, &limits)?;
                most = program.externals.iter().map(|external| external.bytes).fold(most, u64::max);
            }
        }
        // Fresh memory is zero.
        let zeros = gpu.buffer("impasto.trial", most, wgpu::BufferUsages::STORAGE).await?;
        Ok(Self { gpu, pipelines, limits, sample, zeros: Arc::new(zeros) })
    }

    /// The fastest method for a problem; `None` where there is none to try.
    async fn fastest(&self, problem: &Problem) -> Result<Option<(Method, Timed)>> {
        let mut contest = Vec::new();
        for method in candidates(problem, &self.limits) {
            let mut contestant = Contestant::new(method, self.executable(problem, method).await?);
            for _ in 0..QUALIFYING {
                contestant.run(self).await?;
            }
            contest.push(contestant);
        }
        let best = contest.iter().map(Contestant::least).fold(f64::INFINITY, f64::min);
        contest.retain(|contestant| contestant.least() <= CUTOFF * best);
        // In turns, so that what else the machine does meets all alike.
        for _ in QUALIFYING..REPEATS {
            if contest.len() > 1 {
                for contestant in &mut contest {
                    contestant.run(self).await?;
                }
            }
        }
        let times: Vec<(Method, f64)> =
            contest.iter().map(|contestant| (contestant.method, contestant.median())).collect();
        Ok(first_of_the_fastest(&times).and_then(|method| {
            let contestant = contest.iter().find(|contestant| contestant.method == method)?;
            let work = Work::of(contestant.executable.program());
            Some((method, Timed { work, seconds: contestant.median() }))
        }))
    }

    /// A method on the device, warmed up.
    async fn executable(&self, problem: &Problem, method: Method) -> Result<Executable> {
        let program = program(&self.sample.cut(problem), method, &self.limits)?;
        let mut externals = Externals::default();
        for external in &program.externals {
            externals.insert(external, Arc::clone(&self.zeros));
        }
        let executable = Executable::new(self.gpu, self.pipelines, program, externals).await?;
        // One slice of each dispatch: drivers compile and clear memory at first use.
        executable.estimate(self.gpu, 0.0).await?;
        Ok(executable)
    }
}

/// A method with its times so far.
struct Contestant {
    method: Method,
    executable: Executable,
    seconds: Vec<f64>,
}

impl Contestant {
    fn new(method: Method, executable: Executable) -> Self {
        Self { method, executable, seconds: Vec::with_capacity(REPEATS) }
    }

    async fn run(&mut self, trials: &Trials<'_>) -> Result<()> {
        let seconds = self.executable.estimate(trials.gpu, trials.sample.seconds).await?;
        self.seconds.push(seconds.iter().sum());
        Ok(())
    }

    fn least(&self) -> f64 {
        self.seconds.iter().copied().fold(f64::INFINITY, f64::min)
    }

    fn median(&self) -> f64 {
        let mut seconds = self.seconds.clone();
        seconds.sort_by(f64::total_cmp);
        seconds.get(seconds.len() / 2).copied().unwrap_or(f64::INFINITY)
    }
}

/// What is timed: the trial of a problem by one method.
fn program(problem: &Problem, method: Method, limits: &Limits) -> Result<Program> {
    let mut tape = Tape::new();
    if let Some(variants) = variants_of(problem.op) {
        let Trial { op, inputs, weights } = (variants.trial)(problem);
        let inputs = inputs.into_iter().map(|shape| (shape, Role::Workspace));
        let weights = weights.into_iter().map(|shape| (shape, Role::Weights));
        let external = |(index, (shape, role))| tape.external(format!("input.{index}"), shape, role);
        let reads: Vec<_> = inputs.chain(weights).enumerate().map(external).collect();
        let output = tape.push(op, &reads, "trial", Phase::Forward)?;
        tape.keep(output);
    }
    let mut limits = limits.clone();
    limits.capabilities.request = MethodRequest::Method(method);
    plan(&tape, &limits)
}

/// The first of `measured`, which are in the usual order, that is as fast as the fastest.
fn first_of_the_fastest(measured: &[(Method, f64)]) -> Option<Method> {
    let best = measured.iter().map(|(_, seconds)| *seconds).fold(f64::INFINITY, f64::min);
    measured.iter().find(|(_, seconds)| *seconds <= best * (1.0 + EQUAL)).map(|(method, _)| *method)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::conv::methods::{DIRECT_SUBGROUP, GEMM_TILE, WINOGRAD_SUBGROUP};

    #[test]
    fn equal_times_go_to_the_usual_method() {
        let fastest = |times: [f64; 3]| {
            first_of_the_fastest(&[
                (WINOGRAD_SUBGROUP, times[0]),
                (DIRECT_SUBGROUP, times[1]),
                (GEMM_TILE, times[2]),
            ])
        };
        assert_eq!(fastest([1.02, 1.0, 3.0]), Some(WINOGRAD_SUBGROUP));
        assert_eq!(fastest([1.04, 1.0, 3.0]), Some(DIRECT_SUBGROUP));
        assert_eq!(fastest([1.04, 1.02, 1.0]), Some(DIRECT_SUBGROUP));
        assert_eq!(first_of_the_fastest(&[]), None);
    }
}
