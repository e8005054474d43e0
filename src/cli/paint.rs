//! The run: `impasto CONTENT STYLE -o OUT`.

use std::time::Instant;

use impasto::picture::Picture;
use impasto::transfer::{Costs, Transfer};

use super::args::{Choices, Paint};
use super::job::{Job, Order};
use super::output::Output;
use super::progress::{Progress, duration};
use super::signals::Signals;
use super::trace::Trace;
use super::{Failure, Result, plan, say};

/// What a software adapter on a desktop does in a second, for a first guess at the time.
const SOFTWARE_FLOPS: f64 = 30e9;

/// Paints, and writes the painting.
pub(super) fn paint(arguments: &Paint) -> Result<()> {
    let begin = Instant::now();
    let order = Order::new(&arguments.choices, arguments.output.as_deref())?;
    order.check_files(true)?;
    let signals = Signals::catch()?;
    pollster::block_on(run(order, &arguments.choices, &signals, begin))
}

async fn run(order: Order<'_>, choices: &Choices, signals: &Signals, begin: Instant) -> Result<()> {
    let job = order.plan(true).await?;
    let Some(output) = &job.output else { return Ok(()) };
    if !choices.quiet && choices.device.is_none() {
        warn_of_software(&job);
    }
    let progress = Progress::new(job.options.steps, choices.quiet);
    let mut transfer = Transfer::prepare(&job.engine, &job.content, &job.style, &job.options).await?;
    if let Some(path) = &choices.plan {
        plan::write(path, &job, choices)?;
    }
    let trace = choices.trace.as_deref().map(Trace::create).transpose()?;
    signals.hold();
    progress.begin();
    let mut report = Report { progress, trace, clock: Clock::start() };
    let every = choices.save_every;
    let done = steps(&mut transfer, &job, output, every, signals, &mut report).await?;
    let steps = job.options.steps;
    let picture = transfer.picture().await?;
    output.write(&picture)?;
    let took = duration(begin.elapsed().as_secs_f64());
    let path = output.path().display();
    let Report { progress, .. } = report;
    match done {
        Done::All => {
            progress.end(&format!("{path}: {}, {}, {took}", sides(&picture), counted(steps)));
            Ok(())
        }
        Done::Interrupted { after, code } => {
            progress.end(&format!(
                "interrupted: {path} is the picture after {after} of {}, {took}",
                counted(steps)
            ));
            Err(Failure::Interrupted(code))
        }
    }
}

/// How the steps ended.
enum Done {
    All,
    Interrupted { after: u32, code: u8 },
}

/// Takes all steps, unless a signal comes. What a step returns are the costs of the picture before it, so the
/// costs of the last picture take a forward pass of their own.
async fn steps(
    transfer: &mut Transfer,
    job: &Job,
    output: &Output,
    every: Option<u32>,
    signals: &Signals,
    report: &mut Report,
) -> Result<Done> {
    let steps = job.options.steps;
    for step in 1..=steps {
        let costs = match signals.unless(transfer.step()).await {
            Ok(costs) => costs?,
            Err(code) => return Ok(Done::Interrupted { after: step - 1, code }),
        };
        report.costs(step - 1, &costs)?;
        report.step(step);
        if every.is_some_and(|every| step < steps && step.is_multiple_of(every)) {
            output.write_snapshot(step, &transfer.picture().await?)?;
        }
    }
    match signals.unless(transfer.cost()).await {
        Ok(costs) => report.costs(steps, &costs?)?,
        Err(code) => return Ok(Done::Interrupted { after: steps, code }),
    }
    Ok(Done::All)
}

/// Where costs and times go.
struct Report {
    progress: Progress,
    trace: Option<Trace>,
    clock: Clock,
}

impl Report {
    /// The costs of the picture after `step` steps are known.
    fn costs(&mut self, step: u32, costs: &Costs) -> Result<()> {
        if let Some(trace) = &mut self.trace {
            trace.write(step, costs, self.clock.lap)?;
        }
        refuse_infinite(step, costs)?;
        self.progress.costs(step, costs, self.clock.pace());
        Ok(())
    }

    /// `step` is done.
    fn step(&mut self, step: u32) {
        self.clock.step();
        self.progress.step(step, self.clock.pace());
    }
}

/// Measures the steps.
struct Clock {
    last: Instant,
    steps: u32,
    /// Seconds of the last step, of the first one, and of all.
    lap: f64,
    first: f64,
    sum: f64,
}

impl Clock {
    fn start() -> Self {
        Self { last: Instant::now(), steps: 0, lap: 0.0, first: 0.0, sum: 0.0 }
    }

    /// A step is done.
    fn step(&mut self) {
        let now = Instant::now();
        self.lap = (now - std::mem::replace(&mut self.last, now)).as_secs_f64();
        self.steps += 1;
        self.sum += self.lap;
        if self.steps == 1 {
            self.first = self.lap;
        }
    }

    /// Seconds that a step takes. The first one warms up, and counts only while there is no other.
    fn pace(&self) -> f64 {
        match self.steps {
            0 | 1 => self.first,
            steps => (self.sum - self.first) / f64::from(steps - 1),
        }
    }
}

/// A cost that is no finite number never becomes one again, and its picture is not worth the old result.
fn refuse_infinite(step: u32, costs: &Costs) -> Result<()> {
    let &Costs { total, content, style, .. } = costs;
    if [total, content, style].iter().all(|cost| cost.is_finite()) {
        return Ok(());
    }
    let remedy = if step == 0 {
        "give smaller --alpha, --beta or weights of --style-layers"
    } else {
        "give a smaller --learning-rate, or smaller --alpha and --beta"
    };
    let costs = format!("total {total}, content {content}, style {style}");
    Err(Failure::Failed(format!("after step {step} the cost is not a finite number ({costs}); {remedy}")))
}

fn warn_of_software(job: &Job) {
    let summary = job.engine.gpu().summary();
    if summary.is_software() {
        let seconds = duration(job.plan.step.program.flops() as f64 / SOFTWARE_FLOPS);
        let (width, height) = job.plan.step.size;
        say(format_args!(
            "warning: no GPU was found, so {} computes on the CPU: roughly {seconds} a step at {width}x{height}",
            summary.name
        ));
    }
}

fn sides(picture: &Picture) -> String {
    format!("{}x{}", picture.width(), picture.height())
}

fn counted(steps: u32) -> String {
    if steps == 1 { "1 step".to_owned() } else { format!("{steps} steps") }
}
