//! `impasto doctor`: checks that this adapter and its driver compute what they should, as a report for an issue.

mod report;
mod variants;

use std::time::Instant;

use impasto::cases::examine::{KernelReport, Progress, examine, runnable};
use impasto::cases::golden::{Allowed, PATHS, Path};
use impasto::cases::{self, Case};
use impasto::gpu::{DeviceRequest, Gpu, Kernel, Pipelines};
use impasto::nn::Weights;
use impasto::ops::{Capabilities, KERNELS};
use impasto::picture::Extent;
use impasto::transfer::{Engine, Options, Preset, Transfer};

use super::busy::Busy;
use super::{Failure, Result, args, files, inputs, output, print, words};
use report::{GoldenCheck, GoldenRun, Report};

/// What `--filter` calls the golden run; the name of an algorithm may follow.
const GOLDEN: &str = "golden";

/// Examines the adapter, prints the report and writes it where `--json` says.
pub(super) fn doctor(arguments: &args::Doctor) -> Result<()> {
    let wanted = Wanted::of(arguments.filter.as_deref())?;
    let weights = arguments.weights();
    if let Some(path) = &arguments.json {
        let inputs: Vec<_> = weights.map(|weights| ("--weights", weights)).into_iter().collect();
        files::refuse_overlap(&inputs, &[("--json", path)])?;
        output::check(path)?;
    }
    let weights = (!wanted.golden.is_empty()).then(|| inputs::read_weights(weights)).transpose()?;
    let request = if arguments.portable { DeviceRequest::Portable } else { DeviceRequest::Full };
    let report = pollster::block_on(async {
        let gpu = Gpu::open_with(arguments.device.as_deref(), request).await?;
        report(gpu, request, &wanted, weights, &Busy::new(arguments.quiet)).await
    })?;
    print(&report.text())?;
    if let Some(path) = &arguments.json {
        output::write(path, &report.json()?)?;
    }
    match report.failures() {
        0 => Ok(()),
        1 => Err(Failure::Failed("1 check failed; paste the report above into an issue".into())),
        failures => {
            Err(Failure::Failed(format!("{failures} checks failed; paste the report above into an issue")))
        }
    }
}

/// What is to be examined.
struct Wanted {
    kernels: Vec<&'static Kernel>,
    golden: Vec<Path>,
}

impl Wanted {
    fn of(filter: Option<&str>) -> Result<Self> {
        let Some(filter) = filter else {
            return Ok(Self { kernels: KERNELS.to_vec(), golden: PATHS.to_vec() });
        };
        let (kernels, golden): (Vec<_>, Vec<_>) = match filter.strip_prefix(GOLDEN) {
            Some(algorithm) => {
                let named = |path: &Path| path.name.contains(algorithm.trim());
                (Vec::new(), PATHS.into_iter().filter(named).collect())
            }
            None => {
                let named = |kernel: &&'static Kernel| kernel.name.contains(filter);
                (KERNELS.iter().copied().filter(named).collect(), Vec::new())
            }
        };
        if kernels.is_empty() && golden.is_empty() {
            let kernels: Vec<&str> = KERNELS.iter().map(|kernel| kernel.name).collect();
            return Err(Failure::Usage(format!(
                "--filter: no kernel's name contains {filter:?}; give {GOLDEN} or, for one algorithm, \"{GOLDEN} {}\" \
                 to check the golden run, or a part of {}",
                PATHS[0].name,
                kernels.join(", ")
            )));
        }
        Ok(Self { kernels, golden })
    }
}

async fn report(
    gpu: Gpu,
    request: DeviceRequest,
    wanted: &Wanted,
    weights: Option<Weights>,
    busy: &Busy,
) -> Result<Report> {
    let (cases, capabilities) = (cases::all(), Capabilities::of(gpu.summary()));
    let runnable = runnable(&gpu, &cases);
    let usable: Vec<&'static Kernel> =
        wanted.kernels.iter().copied().filter(|kernel| runnable.contains(kernel.name)).collect();
    if usable.is_empty() && wanted.golden.is_empty() {
        let reasons: Vec<String> = wanted
            .kernels
            .iter()
            .map(|kernel| format!("{} is {}", kernel.name, variants::why_not(kernel, &capabilities)))
            .collect();
        return Err(Failure::Failed(format!(
            "--filter: none of these kernels can run on {}: {}; choose other kernels, or leave --filter out",
            gpu.summary().name,
            reasons.join("; ")
        )));
    }
    let report = Report::new(&gpu, request, &runnable);
    let begin = Instant::now();
    let (reports, golden) = match weights {
        // One engine for both, so that no kernel is compiled twice: some compilers take minutes.
        Some(weights) => {
            let engine = inputs::engine(gpu, weights)?;
            let reports = kernels(engine.gpu(), engine.pipelines(), &cases, &usable, busy).await;
            (reports, golden(&engine, &wanted.golden, busy).await)
        }
        None => (kernels(&gpu, &Pipelines::default(), &cases, &usable, busy).await, Vec::new()),
    };
    busy.end();
    Ok(report.finish(&reports, golden, begin.elapsed().as_secs_f64()))
}

async fn kernels(
    gpu: &Gpu,
    pipelines: &Pipelines,
    cases: &[Case],
    kernels: &[&'static Kernel],
    busy: &Busy,
) -> Vec<KernelReport> {
    let mut stage = None;
    let progress = |Progress { family, what, done, total }: Progress<'_>| {
        let now =
            family.map_or_else(|| "compiling the kernels".into(), |family| format!("cases of {family}"));
        if stage.as_ref() != Some(&now) {
            busy.stage(&now);
            stage = Some(now);
        }
        busy.detail(&format!("{} of {total}: {what}", done + 1));
    };
    examine(gpu, pipelines, cases, kernels, progress).await
}

/// The golden run by every algorithm; where one runs the same kernels as an earlier one, that is said instead.
async fn golden(engine: &Engine, paths: &[Path], busy: &Busy) -> Vec<GoldenRun> {
    let mut runs: Vec<(Vec<&str>, &Path, GoldenRun)> = Vec::new();
    for path in paths {
        busy.stage(&format!("golden run, {}", path.name));
        let engine = engine.reconfigured(|options| options.methods = path.kernels);
        let kernels = golden_kernels(&engine).unwrap_or_default();
        let same = runs.iter().find(|(known, further, _)| {
            !kernels.is_empty() && *known == kernels && further.steps >= path.steps
        });
        let run = match same {
            Some((_, same, _)) => GoldenRun { name: path.name, same_as: Some(same.name), checks: Vec::new() },
            None => follow(&engine, *path, busy).await,
        };
        runs.push((kernels, path, run));
        // Every algorithm has its own arrangements of the weights. If the device is lost, the next run reports it.
        let _ = engine.release_weights().await;
    }
    runs.into_iter().map(|(_, _, run)| run).collect()
}

/// The kernels of a step of the golden run.
fn golden_kernels(engine: &Engine) -> Result<Vec<&'static str>> {
    let [content, style] = cases::golden::SIZES.map(Extent::sides);
    let plan = Transfer::plan(engine, (content, style), &Options::preset(Preset::Course))?;
    Ok(plan.step.program.dispatches.iter().map(|dispatch| dispatch.kernel.name).collect())
}

async fn follow(engine: &Engine, path: Path, busy: &Busy) -> GoldenRun {
    let mut checks = Vec::new();
    let names = path.checks();
    let followed = path.follow(engine, &Allowed::SINGLE, |check| {
        checks.push(GoldenCheck::new(&check));
        busy.detail(&format!("golden run, {}: {} done", path.name, check.name));
    });
    if let Err(error) = followed.await {
        // The checks that were not reached fail for the same reason.
        let reason = engine.gpu().lost().map_or_else(|| words::message(&error), str::to_owned);
        let missing = names.iter().skip(checks.len());
        let missing: Vec<_> = missing.map(|name| GoldenCheck::not_done(name, &reason)).collect();
        checks.extend(missing);
    }
    GoldenRun { name: path.name, same_as: None, checks }
}
