//! The run: `impasto CONTENT STYLE -o OUT`.

use std::ops::Range;
use std::time::Instant;

use impasto::picture::Picture;
use impasto::transfer::{Costs, Transfer};

use super::args::{Paint, PaintArguments};
use super::checkpoints::Checkpoints;
use super::job::Job;
use super::output::Output;
use super::progress::{Progress, duration};
use super::request::{PaintRequest, Purpose};
use super::signals::Signals;
use super::trace::Trace;
use super::{Failure, Result, plan_file, say};

/// What a software adapter on a desktop does in a second, for a first guess at the time.
const SOFTWARE_FLOPS: f64 = 30e9;

/// Paints, and writes the painting.
pub(super) fn paint(arguments: &Paint) -> Result<()> {
    let begin = Instant::now();
    let request = PaintRequest::new(&arguments.arguments, arguments.output.as_deref())?;
    request.check_files(Purpose::Paint)?;
    let signals = Signals::catch()?;
    pollster::block_on(run(request, &arguments.arguments, &signals, begin))
}

async fn run(
    request: PaintRequest<'_>,
    arguments: &PaintArguments,
    signals: &Signals,
    begin: Instant,
) -> Result<()> {
    let mut job = request.open(Purpose::Paint).await?;
    let Some(output) = job.output.clone() else { return Ok(()) };
    if !arguments.quiet && arguments.device.is_none() {
        warn_of_software(&job);
    }
    let begun = job.begun();
    let progress = Progress::new(begun, job.options.steps, arguments.quiet);
    let transfer = job.prepare(arguments).await?;
    // The checkpoint is on the device now.
    job.checkpoint = None;
    if let Some(path) = &arguments.plan {
        plan_file::write(path, &job, arguments)?;
    }
    let open =
        |path| if arguments.resume.is_some() { Trace::resume(path, begun) } else { Trace::create(path) };
    let trace = arguments.trace.as_deref().map(open).transpose()?;
    signals.hold();
    progress.begin();
    let run = Run {
        steps: begun..job.options.steps,
        save_every: arguments.save_every,
        checkpoints: Checkpoints::new(arguments, &output, begun),
        output,
        signals,
        report: Report { progress, trace, clock: Clock::start(), trouble: None },
    };
    run.paint(transfer, begin).await
}

/// A run with everything prepared.
struct Run<'a> {
    /// From the steps that the picture has had to those that it will have.
    steps: Range<u32>,
    save_every: Option<u32>,
    checkpoints: Checkpoints,
    output: Output,
    signals: &'a Signals,
    report: Report,
}

/// How the steps ended.
enum Done {
    All,
    Interrupted {
        after: u32,
        code: u8,
    },
    /// The costs of the picture after this many steps are not finite.
    Diverged {
        after: u32,
        costs: Costs,
    },
}

impl Run<'_> {
    /// Takes the steps, and sees that whatever ends them leaves a picture.
    async fn paint(mut self, mut transfer: Transfer, begin: Instant) -> Result<()> {
        let done = match self.take_steps(&mut transfer).await {
            Ok(done) => done,
            Err(failure) => return Err(self.checkpoints.told(failure)),
        };
        let path = self.output.path().display().to_string();
        let took = || duration(begin.elapsed().as_secs_f64());
        let steps = counted(self.steps.end);
        match done {
            Done::All => {
                if let Err(failure) = self.checkpoints.write(&transfer).await {
                    self.report.note_trouble(failure);
                }
                let picture =
                    transfer.picture().await.map_err(|error| self.checkpoints.told(error.into()))?;
                self.output.write(&picture)?;
                let message = format!("{path}: {}, {steps}, {}", sides(&picture), took());
                self.report.end(&message)
            }
            Done::Interrupted { after, code } => {
                let picture =
                    transfer.picture().await.map_err(|error| self.checkpoints.told(error.into()))?;
                // Both are tried before either's failure ends the run, and neither's place is kept quiet about.
                let kept = self.checkpoints.write_interrupted(&transfer).await;
                let written = self.output.write(&picture);
                let (after, kept) = match (kept, written) {
                    (Ok((after, kept)), Ok(())) => {
                        (after, format!("; --resume {} goes on from there", kept.display()))
                    }
                    (Err(failure), Ok(())) => {
                        self.report.note_trouble(failure);
                        (after, String::new())
                    }
                    (Ok((after, kept)), Err(failure)) => {
                        let kept = kept.display();
                        return Err(failure.behind(&format!(
                            "interrupted after {after} of {steps}; --resume {kept} goes on from there"
                        )));
                    }
                    (Err(Failure::Failed(first)), Err(failure)) => return Err(failure.behind(&first)),
                    (Err(failure), Err(_)) => return Err(failure),
                };
                let message =
                    format!("interrupted: {path} is the picture after {after} of {steps}, {}{kept}", took());
                self.report.end(&message)?;
                Err(Failure::Interrupted(code))
            }
            Done::Diverged { after, costs } => {
                let diagnosis = transfer.diagnose(&costs).await?;
                let message = diverged(after, &costs, &diagnosis.place);
                // The start alone is not worth an old result.
                let Some(picture) = diagnosis.last_good.filter(|_| after > 1) else {
                    return Err(self.checkpoints.told(Failure::Failed(message)));
                };
                self.output.write(&picture).map_err(|failure| failure.behind(&message))?;
                let message = format!("{message}; {path} is the picture after step {}", after - 1);
                Err(self.checkpoints.told(Failure::Failed(message)))
            }
        }
    }

    /// Takes the steps. What a step returns are the costs of the picture before it, so the costs of the last picture
    /// take a forward pass of their own.
    async fn take_steps(&mut self, transfer: &mut Transfer) -> Result<Done> {
        let Range { start, end } = self.steps;
        for step in start + 1..=end {
            let costs = match self.signals.unless(transfer.step()).await {
                Ok(costs) => costs?,
                Err(code) => return Ok(Done::Interrupted { after: step - 1, code }),
            };
            self.report.costs(step - 1, &costs);
            if !costs.are_finite() {
                return Ok(Done::Diverged { after: step - 1, costs });
            }
            self.report.step(step);
            if self.save_every.is_some_and(|every| step < end && step.is_multiple_of(every)) {
                let picture = transfer.picture().await?;
                if let Err(failure) = self.output.write_snapshot(step, &picture) {
                    self.report.note_trouble(failure);
                }
            }
            if self.checkpoints.due(step, end) {
                // A state whose costs are not finite must not take the place of one that is good.
                match self.signals.unless(transfer.cost()).await {
                    Ok(costs) => {
                        let costs = costs?;
                        if !costs.are_finite() {
                            self.report.costs(step, &costs);
                            return Ok(Done::Diverged { after: step, costs });
                        }
                    }
                    Err(code) => return Ok(Done::Interrupted { after: step, code }),
                }
                if let Err(failure) = self.checkpoints.write(transfer).await {
                    self.report.note_trouble(failure);
                }
            }
        }
        match self.signals.unless(transfer.cost()).await {
            Ok(costs) => {
                let costs = costs?;
                self.report.costs(end, &costs);
                if !costs.are_finite() {
                    return Ok(Done::Diverged { after: end, costs });
                }
            }
            Err(code) => return Ok(Done::Interrupted { after: end, code }),
        }
        Ok(Done::All)
    }
}

/// Where costs and times go.
struct Report {
    progress: Progress,
    trace: Option<Trace>,
    clock: Clock,
    /// The first file beside the painting that could not be written: no reason to stop painting.
    trouble: Option<Failure>,
}

impl Report {
    /// The costs of the picture after `step` steps are known.
    fn costs(&mut self, step: u32, costs: &Costs) {
        if let Some(trace) = &mut self.trace
            && let Err(failure) = trace.write(step, costs, self.clock.lap)
        {
            // One with holes would say what is not so.
            self.trace = None;
            self.note_trouble(failure);
        }
        if costs.are_finite() {
            self.progress.costs(step, costs, self.clock.pace());
        }
    }

    /// `step` is done.
    fn step(&mut self, step: u32) {
        self.clock.step();
        self.progress.step(step, self.clock.pace());
    }

    /// A file beside the painting could not be written: said at once, and counted at the end.
    fn note_trouble(&mut self, failure: Failure) {
        if let Failure::Failed(message) = &failure {
            self.progress.note(&format!("warning: {message}"));
        }
        self.trouble.get_or_insert(failure);
    }

    /// The painting is written. Fails where another file was not.
    fn end(self, message: &str) -> Result<()> {
        self.progress.end(message);
        self.trouble.map_or(Ok(()), Err)
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

/// The message about a picture whose costs are not finite: later steps cannot make them finite again.
fn diverged(after: u32, costs: &Costs, place: &str) -> String {
    let Costs { total, content, style, .. } = costs;
    let remedy = if after > 0 {
        "give a smaller --learning-rate, or smaller --alpha and --beta"
    } else if place.contains("activations") {
        "give other --weights: the network itself makes numbers that are too large"
    } else {
        "give smaller --alpha, --beta or weights of --style-layers"
    };
    format!(
        "after step {after} the cost is not a finite number (total {total}, content {content}, style {style}), \
         which began in {place}; {remedy}"
    )
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
