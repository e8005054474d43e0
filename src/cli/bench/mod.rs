//! `impasto bench`: what the adapter can do, every kernel on every layer, and a whole step.

mod changed;
mod compare;
mod kernel_time;
mod painting;
mod peak;
mod report;
mod roofline;
mod run;
mod subjects;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use impasto::gpu::Gpu;
use impasto::ops::{MethodTable, conv};
use impasto::picture::{Extent, Picture, Size};
use impasto::transfer::{Engine, Options, Preset, Transfer};

use super::busy::Busy;
use super::files::Named;
use super::{Failure, Result, args, files, inputs, output, print};
use changed::Changed;
use compare::Comparison;
use kernel_time::per_kernel;
use report::{Report, Row, Step};
use run::{Checker, MEASURING, Seconds};
use subjects::{Trial, is_wanted};

/// Seconds after which no further step begins.
const STEP_SECONDS: f64 = 15.0;
/// Maximum of steps that are measured.
const MAX_STEPS: usize = 20;

/// Measures, prints the results and writes them to the files that were asked for.
pub(super) fn bench(arguments: &args::Bench) -> Result<()> {
    let (size, threshold) = (arguments.extent()?, arguments.threshold()?);
    fn named<'a>(options: &[(&'static str, &'a Option<PathBuf>)]) -> Vec<Named<'a>> {
        options.iter().filter_map(|(name, path)| Some((*name, path.as_deref()?))).collect()
    }
    let args::Bench { json, svg, compare, kernel, weights, .. } = arguments;
    let inputs = named(&[("--compare", compare), ("--kernel", kernel), ("--weights", weights)]);
    let outputs = named(&[("--json", json), ("--svg", svg)]);
    files::refuse_overlap(&inputs, &outputs)?;
    outputs.iter().try_for_each(|(_, path)| output::check(path))?;
    let old = compare.as_deref().map(Report::read).transpose()?;
    let changed = kernel.as_deref().map(Changed::read).transpose()?;
    let weights = inputs::read_weights(weights.as_deref())?;
    let busy = Busy::new(arguments.quiet);
    let filter = arguments.filter.as_deref();
    let report = pollster::block_on(async {
        let engine = inputs::engine(Gpu::open(arguments.device.as_deref()).await?, weights)?;
        if let Some(preset) = arguments.painting() {
            print(&painting(&engine, size, preset, &busy).await?)?;
            return Ok(None);
        }
        let naive = filter.is_some_and(|filter| filter.contains("naive"));
        if let Some(changed) = &changed {
            let trials = subjects::trials(size, &engine.limits(), naive || changed.is_naive())?;
            return changed.run(&engine, trials, filter, &busy).await.map(|()| None);
        }
        let trials = subjects::trials(size, &engine.limits(), naive)?;
        let report = measure(&engine, size, trials, filter, &busy).await?;
        print(&report.text(engine.gpu().has_timestamps()))?;
        Ok::<_, Failure>(Some(report))
    })?;
    let Some(report) = report else { return Ok(()) };
    if let Some(path) = json {
        output::write(path, &report.json()?)?;
    }
    if let Some(path) = svg {
        output::write(path, roofline::svg(&report)?.as_bytes())?;
    }
    match &old {
        Some(old) => refuse_slower(old, &report, filter, threshold),
        None => Ok(()),
    }
}

/// Prints the comparison, and fails where a kernel has become slower.
fn refuse_slower(old: &Report, new: &Report, filter: Option<&str>, threshold: f64) -> Result<()> {
    let wanted = |row: &Row| {
        let naive = filter.is_some_and(|filter| filter.contains("naive"));
        is_wanted(filter, &row.kernel, row.layer.as_deref()) && (naive || !row.kernel.contains("naive"))
    };
    let comparison = Comparison::new(old, new, wanted);
    print(&format!("\n{}", comparison.text(threshold)))?;
    let slower = comparison.slower(threshold);
    let named: Vec<String> = slower.iter().map(|row| row.columns().join(" ")).collect();
    match &named[..] {
        [] => Ok(()),
        [one] => Err(Failure::Failed(format!("slower by more than {threshold} %: {one}"))),
        [first, rest @ ..] => Err(Failure::Failed(format!(
            "slower by more than {threshold} %: {first}, and {} more",
            rest.len()
        ))),
    }
}

async fn measure(
    engine: &Engine,
    size: Extent,
    trials: Vec<Trial>,
    filter: Option<&str>,
    busy: &Busy,
) -> Result<Report> {
    let (gpu, pipelines) = (engine.gpu(), engine.pipelines());
    let named = |trial: &Trial| {
        let layer = trial.subject.label.layer.as_deref();
        trial.kernels().iter().any(|kernel| is_wanted(filter, kernel.name, layer))
    };
    if let Some(filter) = filter
        && !trials.iter().any(named)
    {
        return Err(unknown_filter(filter, &trials));
    }
    let mut checker = Checker::default();
    busy.stage(MEASURING);
    busy.detail("measuring peak and copy");
    let peak = peak::peak(engine, &mut checker).await?;
    let mut rows = Vec::new();
    let mut known = BTreeSet::new();
    let count = trials.iter().filter(|trial| named(trial)).count();
    for (index, trial) in trials.into_iter().filter(named).enumerate() {
        let label = trial.subject.label.clone();
        let is_new =
            |name: &str| is_wanted(filter, name, label.layer.as_deref()) && !known.contains(&label.row(name));
        let kernels: Vec<&str> = trial.kernels().iter().map(|kernel| kernel.name).collect();
        let kernels: Vec<&str> = kernels.into_iter().filter(|name| is_new(name)).collect();
        if kernels.is_empty() {
            continue;
        }
        let layer = label.layer.as_deref().unwrap_or_default();
        busy.detail(&format!("{} of {count}: {} {layer}", index + 1, kernels.join(", ")));
        let share = checker.check(gpu, pipelines, &trial).await?;
        let executable = run::timed(gpu, pipelines, &trial.subject.case, trial.program).await?;
        let measured = run::time(gpu, &executable).await?;
        for kernel in per_kernel(executable.program(), &measured) {
            if kernels.contains(&kernel.name) {
                let work = (kernel.flops, kernel.bytes);
                rows.push(Row::new(kernel.name, &label, kernel.seconds, work, &peak, share));
                known.insert(label.row(kernel.name));
            }
        }
    }
    busy.detail("measuring steps");
    let step = step(engine, size).await?;
    busy.end();
    let summary = gpu.summary();
    Ok(Report { adapter: summary.name.clone(), driver: summary.driver.clone(), peak, kernels: rows, step })
}

fn unknown_filter(filter: &str, trials: &[Trial]) -> Failure {
    let list = |names: BTreeSet<&str>| names.into_iter().collect::<Vec<_>>().join(", ");
    let kernels = list(trials.iter().flat_map(Trial::kernels).map(|kernel| kernel.name).collect());
    let layers = list(trials.iter().filter_map(|trial| trial.subject.label.layer.as_deref()).collect());
    Failure::Usage(format!(
        "--filter: no kernel or layer that runs on this adapter contains {filter:?}; kernels are {kernels}, and the \
         naive ones; layers are {layers}"
    ))
}

/// Measures where the time of a whole painting goes, and returns it for people.
async fn painting(engine: &Engine, size: Extent, preset: Preset, busy: &Busy) -> Result<String> {
    busy.stage(MEASURING);
    busy.detail("measuring peak and copy");
    let peak = peak::peak(engine, &mut Checker::default()).await?;
    busy.detail("preparing");
    let transfer = transfer(engine, size, preset).await?;
    busy.detail("measuring every program at every size");
    let profiles = transfer.profile().await?;
    busy.end();
    Ok(painting::text(&profiles, size, peak.fma_gflops))
}

/// A transfer between generated pictures with the options of a preset.
async fn transfer(engine: &Engine, size: Extent, preset: Preset) -> Result<Transfer> {
    let Extent { width, height } = size;
    let options = Options::preset(preset).with(|options| options.size = Size::Within { width, height });
    let [content, style] = [picture(size, 1)?, picture(size, 2)?];
    // As a first run does: with the methods that are the fastest here.
    let plan = Transfer::plan(engine, (size.sides(), size.sides()), &options)?;
    let measured = Arc::new(engine.measure(&plan).await?);
    let engine = &engine.reconfigured(|options| options.method_table = measured);
    Ok(Transfer::prepare(engine, (&content, &style), &options).await?)
}

/// Times steps of a transfer with the options of the course.
async fn step(engine: &Engine, size: Extent) -> Result<Step> {
    let mut transfer = transfer(engine, size, Preset::Course).await?;
    let mut seconds = Vec::new();
    let begin = Instant::now();
    while seconds.len() <= MAX_STEPS && begin.elapsed().as_secs_f64() < STEP_SECONDS {
        let begin = Instant::now();
        transfer.step().await?;
        seconds.push(begin.elapsed().as_secs_f64());
    }
    // The first one warms up, and counts only where it is the only one.
    if seconds.len() > 1 {
        seconds.remove(0);
    }
    let step = Step::new(size, Seconds::of(seconds).median);
    Ok(Step { methods: methods(&transfer.program().methods()), ..step })
}

/// The methods of a step, each with how often it was the fastest; those of other ops than convolutions with the op.
fn methods(table: &MethodTable) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for method in table.0.values() {
        let is_of_a_convolution = method.op == conv::VARIANTS.op;
        let name = if is_of_a_convolution {
            method.name.to_owned()
        } else {
            format!("{} {}", method.op, method.name)
        };
        *counts.entry(name).or_default() += 1;
    }
    counts.iter().map(|(name, count)| format!("{name} of {count}")).collect::<Vec<_>>().join(", ")
}

/// A picture of waves.
fn picture(Extent { width, height }: Extent, seed: u64) -> Result<Picture> {
    let places = (0..u64::from(height)).flat_map(|y| (0..u64::from(width)).map(move |x| (x, y)));
    let rgb = places.flat_map(|(x, y)| [1, 2, 3].map(|c| ((x * 7 * seed + y * 5 + x * y * c) % 251) as u8));
    Ok(Picture::from_rgb(width, height, rgb.collect())?)
}
