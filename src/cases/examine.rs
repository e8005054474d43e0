//! Every kernel of a device against its twin: what `impasto doctor` reports of them.
//!
//! Each case is run with every selection of kernels that makes a difference, between guards: once whole, and once in
//! pieces where it can be cut. The tests do more with every case: they run it twice, and in slices, and compare to the
//! bit. That proves something of the library, which is the same everywhere; what a driver makes of a kernel shows in
//! its values.

use std::collections::{BTreeMap, BTreeSet};

use web_time::Instant;

use super::case::Case;
use super::compare::{Comparison, compare_run};
use super::expected::CaseData;
use super::run::{KernelSelection, Planned, RunOptions, run};
use crate::error::Result;
use crate::gpu::{Gpu, Kernel, Pipelines};

/// What was found of one kernel.
#[derive(Clone, Debug)]
pub struct KernelReport {
    /// The family that the kernel belongs to, such as `conv_forward`.
    pub family: String,
    /// The kernel.
    pub kernel: &'static Kernel,
    /// The worst of all comparisons, where anything was compared.
    pub worst: Option<Comparison>,
    /// Why it could not be compiled, or why not all of its cases could be run.
    pub error: Option<String>,
    /// Seconds on the wall for compiling it and for its runs, together with the kernels that run beside it.
    pub seconds: f64,
}

impl KernelReport {
    /// Whether all of its cases were run, and every element is within its tolerance.
    pub fn passes(&self) -> bool {
        self.error.is_none() && self.worst.as_ref().is_some_and(Comparison::passes)
    }

    fn compared(&mut self, comparison: &Comparison) {
        let worst = self.worst.take();
        self.worst =
            Some(worst.map_or_else(|| comparison.clone(), |worst| worst.or_worse(comparison.clone())));
    }

    /// The first error counts: later ones are often its consequences.
    fn failed(&mut self, error: impl Into<String>) {
        self.error.get_or_insert_with(|| error.into());
    }
}

/// How far an examination has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The family whose cases are run; `None` while kernels are compiled.
    pub family: Option<&'a str>,
    /// The kernel that is compiled, or the case that is run.
    pub what: &'a str,
    /// How much is done already.
    pub done: usize,
    /// How much there is to do.
    pub total: usize,
}

/// A run of a case.
struct Job<'a> {
    case: &'a Case,
    options: RunOptions,
    kernels: Vec<&'static Kernel>,
    /// The reports that it counts for.
    counts_for: Vec<usize>,
}

/// Compiles `kernels` and runs all `cases` that one of them does or helps to do. A kernel answers for the cases of its
/// op in both directions, because many do both, and for those of no other op: what runs before it there is theirs.
/// Whatever goes wrong, there is a report for each kernel, in order, and the other kernels go on; where the device is
/// lost, what was still to be done fails with the reason.
pub async fn examine(
    gpu: &Gpu,
    pipelines: &Pipelines,
    cases: &[Case],
    kernels: &[&'static Kernel],
    mut progress: impl FnMut(Progress<'_>),
) -> Vec<KernelReport> {
    let mut reports: Vec<KernelReport> = kernels.iter().map(|kernel| report(kernel, cases)).collect();
    let jobs = jobs(gpu, cases, &mut reports);
    // In the order of the list, and then what only helps.
    let mut compiled = kernels.to_vec();
    for kernel in jobs.iter().flat_map(|job| &job.kernels) {
        if compiled.iter().all(|other| other.name != kernel.name) {
            compiled.push(kernel);
        }
    }
    let total = compiled.len() + jobs.len();
    let mut broken = BTreeMap::new();
    for (done, kernel) in compiled.iter().enumerate() {
        progress(Progress { family: None, what: kernel.name, done, total });
        let begin = Instant::now();
        let built = pipelines.get(gpu, kernel).await;
        let report = reports.iter_mut().find(|report| report.kernel.name == kernel.name);
        if let Err(error) = &built {
            broken.insert(kernel.name, error.to_string());
        }
        if let Some(report) = report {
            report.seconds += begin.elapsed().as_secs_f64();
            built.err().into_iter().for_each(|error| report.failed(error.to_string()));
        }
    }
    let mut data: Option<(&str, CaseData)> = None;
    for (index, job) in jobs.iter().enumerate() {
        let Job { case, counts_for, .. } = job;
        progress(Progress {
            family: Some(case.family),
            what: &case.name,
            done: compiled.len() + index,
            total,
        });
        let mut fail = |reason: &str| counts_for.iter().for_each(|index| reports[*index].failed(reason));
        if let Some(reason) = gpu.lost() {
            fail(&format!("not all of its cases were run: {reason}"));
            continue;
        }
        if let Some((name, reason)) = job.kernels.iter().find_map(|kernel| broken.get_key_value(kernel.name))
        {
            fail(&format!("not all of its cases were run, because {name} could not be compiled: {reason}"));
            continue;
        }
        if data.as_ref().is_none_or(|(name, _)| *name != case.name) {
            data = Some((&case.name, CaseData::of(case)));
        }
        let Some((_, data)) = &data else { continue };
        let begin = Instant::now();
        let compared = run_job(gpu, pipelines, job, data).await;
        let seconds = begin.elapsed().as_secs_f64();
        for index in counts_for {
            reports[*index].seconds += seconds;
            match &compared {
                Ok(comparison) => reports[*index].compared(comparison),
                Err(error) => reports[*index].failed(error.to_string()),
            }
        }
    }
    for report in reports.iter_mut().filter(|report| report.worst.is_none()) {
        report.failed("none of the cases runs it on this device");
    }
    reports
}

/// Names of the kernels that are run on a device by any of the cases: neither those that it does not allow, nor those
/// that only serve them.
pub fn runnable(gpu: &Gpu, cases: &[Case]) -> BTreeSet<&'static str> {
    let selections =
        || KernelSelection::all().into_iter().map(|kernels| RunOptions { kernels, ..RunOptions::default() });
    let planned = cases.iter().flat_map(|case| selections().map(|options| Planned::new(gpu, case, &options)));
    planned.flatten().flat_map(|planned| planned.kernels()).collect()
}

/// Whether a kernel is of a family: its name begins with the family's, or it is of the family's op and does not say that
/// it is for the other direction.
pub fn is_of(kernel: &Kernel, family: &str) -> bool {
    let direction = |name: &str| ["_forward", "_backward"].into_iter().find(|way| name.contains(way));
    let said = direction(kernel.name);
    kernel.name.starts_with(family)
        || (kernel.op() == op(family) && (said.is_none() || said == direction(family)))
}

fn report(kernel: &'static Kernel, cases: &[Case]) -> KernelReport {
    let families = cases.iter().map(|case| case.family).filter(|family| kernel.name.starts_with(family));
    let family = families.max_by_key(|family| family.len()).unwrap_or(kernel.op()).to_owned();
    KernelReport { family, kernel, worst: None, error: None, seconds: 0.0 }
}

/// The op of a family, whatever the direction.
fn op(family: &str) -> &str {
    family.strip_suffix("_forward").or_else(|| family.strip_suffix("_backward")).unwrap_or(family)
}

/// Every run that counts for one of the reports, case by case. What cannot be planned fails at once.
fn jobs<'a>(gpu: &Gpu, cases: &'a [Case], reports: &mut [KernelReport]) -> Vec<Job<'a>> {
    let mut jobs = Vec::new();
    for case in cases {
        let is_own = |index: &usize| op(&reports[*index].family) == op(case.family);
        let own: Vec<usize> = (0..reports.len()).filter(is_own).collect();
        if own.is_empty() {
            continue;
        }
        let mut planned_before = BTreeSet::new();
        for kernels in KernelSelection::all() {
            let whole = RunOptions { kernels, guards: true, ..RunOptions::default() };
            let pieces =
                case.binding_limit().map(|limit| RunOptions { max_binding_bytes: Some(limit), ..whole });
            for options in [Some(whole), pieces].into_iter().flatten() {
                let planned = match Planned::new(gpu, case, &options) {
                    Ok(planned) => planned,
                    Err(error) => {
                        own.iter().for_each(|index| reports[*index].failed(error.to_string()));
                        continue;
                    }
                };
                let names = planned.kernels();
                let runs = |index: &usize| names.contains(&reports[*index].kernel.name);
                let counts_for: Vec<usize> = own.iter().copied().filter(runs).collect();
                // Where a choice changes nothing, its program is there already.
                if planned_before.insert((names, options.max_binding_bytes)) && !counts_for.is_empty() {
                    let kernels = planned.program.dispatches.iter().map(|dispatch| dispatch.kernel).collect();
                    jobs.push(Job { case, options, kernels, counts_for });
                }
            }
        }
    }
    jobs
}

async fn run_job(gpu: &Gpu, pipelines: &Pipelines, job: &Job<'_>, data: &CaseData) -> Result<Comparison> {
    let Job { case, options, .. } = job;
    let planned = Planned::new(gpu, case, options)?;
    let pieces = if options.max_binding_bytes.is_some() { ", in pieces" } else { "" };
    let name = format!("{} by {}{pieces}", case.name, planned.kernels().join(" + "));
    let run = run(gpu, pipelines, case, &data.values, planned).await?;
    Ok(compare_run(&name, case, options.kernels.tolerance(case), data, &run))
}
