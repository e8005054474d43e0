//! The run: `impasto CONTENT STYLE -o OUT`, and those of the other commands that make a picture.

use std::ops::Range;
use std::time::Instant;

use clap::Args;
use impasto::picture::Picture;
use impasto::transfer::{Costs, Plan, Transfer};

use super::args::{self, Order, RunArguments};
use super::checkpoints::Checkpoints;
use super::clock::Clock;
use super::output::Output;
use super::preview::{Moment, Preview, Wish};
use super::progress::{Progress, duration};
use super::request::{PaintRequest, Purpose};
use super::signals::Signals;
use super::trace::Trace;
use super::{Failure, Result, plan_file, say};

/// The first version of Mesa whose software driver has subgroups, which the fastest kernels need.
const FAST_MESA: u32 = 25;

/// Paints, and writes the painting.
pub(super) fn paint<T: Order + Args>(args::Run { arguments, output }: &args::Run<T>) -> Result<()> {
    let begin = Instant::now();
    let request = PaintRequest::new(arguments, output.as_deref())?;
    request.check_files(Purpose::Paint)?;
    if let Some(place) = arguments.run().preview {
        Preview::check(place)?;
    }
    let signals = Signals::catch()?;
    pollster::block_on(run(request, arguments.run(), &signals, begin))
}

async fn run(
    request: PaintRequest<'_>,
    arguments: &RunArguments,
    signals: &Signals,
    begin: Instant,
) -> Result<()> {
    let mut job = request.open(Purpose::Paint).await?;
    let Some(output) = job.output.clone() else { return Ok(()) };
    if !arguments.quiet && arguments.device.is_none() {
        let summary = job.engine.gpu().summary();
        if summary.is_software() {
            software_warnings(&summary.name, &summary.driver).iter().for_each(say);
        }
    }
    let begun = job.begun();
    let mut progress = Progress::new(begun, arguments.quiet);
    let mut transfer = job.prepare(arguments).await?;
    // The checkpoint is on the device now.
    job.checkpoint = None;
    if let Some(path) = &arguments.plan {
        plan_file::write(path, &job, arguments)?;
    }
    let open =
        |path| if arguments.resume.is_some() { Trace::resume(path, begun) } else { Trace::create(path) };
    let trace = arguments.trace.as_deref().map(open).transpose()?;
    let mut preview = match arguments.preview {
        Some(place) => Some(Preview::open(place, &job, &output, &mut progress)?),
        None => None,
    };
    signals.hold();
    let steps = begun.saturating_add(transfer.remaining_steps());
    let clock = Clock::start(&job, transfer.remaining_steps());
    progress.begin(steps, clock.pace());
    if let Some(preview) = &mut preview {
        let now = Moment::of(begun, &transfer, &clock);
        preview.begin(&mut transfer, &now, &progress).await?;
    }
    let run = Run {
        steps: begun..steps,
        save_every: arguments.save_every,
        checkpoints: Checkpoints::new(arguments, &output, begun),
        output,
        signals,
        plan: &job.plan,
        reporter: Reporter { progress, trace, clock, preview, first_failure: None },
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
    plan: &'a Plan,
    reporter: Reporter,
}

/// How the steps ended.
enum Ending {
    Complete,
    /// The page of the run ended it after this many steps.
    Stopped {
        after: u32,
    },
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
    /// Takes the steps, and writes what their ending leaves.
    async fn paint(mut self, mut transfer: Transfer, begin: Instant) -> Result<()> {
        let page = self.reporter.preview.as_ref().and_then(Preview::last_words);
        let result = match self.take_steps(&mut transfer).await {
            Ok(Ending::Complete) => self.end_complete(transfer, begin).await,
            Ok(Ending::Stopped { after }) => self.end_early(transfer, begin, after, None).await,
            Ok(Ending::Interrupted { after, code }) => {
                self.end_early(transfer, begin, after, Some(code)).await
            }
            Ok(Ending::Diverged { after, costs }) => self.end_diverged(transfer, after, &costs).await,
            Err(failure) => Err(self.checkpoints.with_resume_hint(failure)),
        };
        // A page that is open says why there is no more to see.
        if let (Some(say), Err(Failure::Failed(message) | Failure::Usage(message))) = (page, &result) {
            say(message);
        }
        result
    }

    /// Writes the last checkpoint and the painting.
    async fn end_complete(mut self, mut transfer: Transfer, begin: Instant) -> Result<()> {
        if let Err(failure) = self.checkpoints.write(&transfer).await {
            self.reporter.warn(failure);
        }
        let picture = self.read_picture(&mut transfer).await?;
        self.output.write(&picture)?;
        let message = format!(
            "{}: {}x{}, {}, {}",
            self.output.shown(),
            picture.width(),
            picture.height(),
            counted(self.steps.end),
            elapsed(begin)
        );
        self.reporter.end(&message, &picture)
    }

    /// Ends a run that its page stopped, or a signal with this code. Writes the state and the picture so far. Both are tried
    /// before the failure of either ends the run, and the message says where each of them is.
    async fn end_early(
        mut self,
        mut transfer: Transfer,
        begin: Instant,
        after: u32,
        code: Option<u8>,
    ) -> Result<()> {
        let how = if code.is_some() { "interrupted" } else { "stopped" };
        let picture = self.read_picture(&mut transfer).await?;
        let kept = self.checkpoints.write_interrupted(&transfer).await;
        let steps = counted(self.steps.end);
        if let Err(failure) = self.output.write(&picture) {
            return Err(match kept {
                Ok(Some((after, path))) => failure.with_context(&format!(
                    "{how} after {after} of {steps}; --resume {} goes on from there",
                    path.display()
                )),
                Ok(None) => failure.with_context(&format!("{how} after {after} of {steps}")),
                Err(Failure::Failed(not_kept)) => failure.with_context(&not_kept),
                Err(not_kept) => not_kept,
            });
        }
        // The step that the signal interrupted may already be done on the device: then the state counts it.
        let (after, resume_hint) = match kept {
            Ok(Some((after, path))) => (after, format!("; --resume {} goes on from there", path.display())),
            Ok(None) => (after, String::new()),
            Err(failure) => {
                self.reporter.warn(failure);
                (after, String::new())
            }
        };
        let message = format!(
            "{how}: {} is the picture after {after} of {steps}, {}{resume_hint}",
            self.output.shown(),
            elapsed(begin)
        );
        self.reporter.end(&message, &picture)?;
        code.map_or(Ok(()), |code| Err(Failure::Interrupted(code)))
    }

    /// Writes the last good picture, where there is one, and says where the numbers stopped being finite.
    async fn end_diverged(self, transfer: Transfer, after: u32, costs: &Costs) -> Result<()> {
        let diagnosis = transfer.diagnose(costs).await?;
        let message = diverged(after, costs, &diagnosis.place);
        // The start alone is not worth an old result.
        let Some(picture) = diagnosis.last_good.filter(|_| after > 1) else {
            return Err(self.checkpoints.with_resume_hint(Failure::Failed(message)));
        };
        self.output.write(&picture).map_err(|failure| failure.with_context(&message))?;
        let path = self.output.shown();
        let message = format!("{message}; {path} is the picture after step {}", after - 1);
        Err(self.checkpoints.with_resume_hint(Failure::Failed(message)))
    }

    /// The picture as it is now.
    async fn read_picture(&self, transfer: &mut Transfer) -> Result<Picture> {
        transfer.picture().await.map_err(|error| self.checkpoints.with_resume_hint(error.into()))
    }

    /// Takes the steps. What a step returns are the costs of the picture before it, so the costs of the last picture
    /// take a forward pass of their own.
    async fn take_steps(&mut self, transfer: &mut Transfer) -> Result<Ending> {
        let mut step = self.steps.start;
        while transfer.remaining_steps() > 0 {
            step += 1;
            let costs = match self.signals.unless(transfer.step()).await {
                Ok(costs) => costs?,
                Err(code) => return Ok(Ending::Interrupted { after: step - 1, code }),
            };
            self.reporter.costs(step - 1, &costs);
            if !costs.are_finite() {
                return Ok(Ending::Diverged { after: step - 1, costs });
            }
            // A size may have ended before its steps were done.
            let remaining = transfer.remaining_steps();
            let end = step.saturating_add(remaining);
            self.steps.end = end;
            self.reporter.step(step, remaining);
            if let Some(ending) = self.show(transfer, step).await? {
                return Ok(ending);
            }
            let end = self.steps.end;
            if self.save_every.is_some_and(|every| step < end && step.is_multiple_of(every)) {
                let picture = transfer.picture().await?;
                if let Err(failure) = self.output.write_snapshot(step, &picture) {
                    self.reporter.warn(failure);
                }
            }
            if self.checkpoints.due(step, end)
                && let Some(ending) = self.write_checkpoint(transfer, step).await?
            {
                return Ok(ending);
            }
        }
        match self.signals.unless(transfer.cost()).await {
            Ok(costs) => {
                let costs = costs?;
                self.reporter.costs(step, &costs);
                if !costs.are_finite() {
                    return Ok(Ending::Diverged { after: step, costs });
                }
            }
            Err(code) => return Ok(Ending::Interrupted { after: step, code }),
        }
        Ok(Ending::Complete)
    }

    /// Shows the picture after `step`, where it is watched, and does what its page asks for.
    async fn show(&mut self, transfer: &mut Transfer, step: u32) -> Result<Option<Ending>> {
        let Reporter { preview, clock, progress, .. } = &mut self.reporter;
        let Some(preview) = preview else { return Ok(None) };
        let now = Moment::of(step, transfer, clock);
        let wish = preview.step(transfer, &now, self.signals, &self.output, progress).await?;
        // What that took is no part of a step, and the number of steps may be another.
        clock.rest(self.plan.workload(transfer.options()), transfer.remaining_steps());
        self.steps.end = step.saturating_add(transfer.remaining_steps());
        Ok(match wish {
            Wish::GoOn => None,
            Wish::Stop => Some(Ending::Stopped { after: step }),
            Wish::Interrupted(code) => Some(Ending::Interrupted { after: step, code }),
        })
    }

    /// Writes the checkpoint after `step`, unless the run ends here: a state whose costs are not finite must not take
    /// the place of a good one.
    async fn write_checkpoint(&mut self, transfer: &mut Transfer, step: u32) -> Result<Option<Ending>> {
        let costs = match self.signals.unless(transfer.cost()).await {
            Ok(costs) => costs?,
            Err(code) => return Ok(Some(Ending::Interrupted { after: step, code })),
        };
        if !costs.are_finite() {
            self.reporter.costs(step, &costs);
            return Ok(Some(Ending::Diverged { after: step, costs }));
        }
        if let Err(failure) = self.checkpoints.write(transfer).await {
            self.reporter.warn(failure);
        }
        Ok(None)
    }
}

/// Where costs and times go.
struct Reporter {
    progress: Progress,
    trace: Option<Trace>,
    clock: Clock,
    preview: Option<Preview>,
    /// Of the first file besides the painting that could not be written. The painting goes on, and the run ends with
    /// this failure.
    first_failure: Option<Failure>,
}

impl Reporter {
    /// The costs of the picture after `step` steps are known.
    fn costs(&mut self, step: u32, costs: &Costs) {
        if let Some(trace) = &mut self.trace
            && let Err(failure) = trace.write(step, costs, self.clock.lap())
        {
            // The trace ends here: a reader could not see that lines in its middle are missing.
            self.trace = None;
            self.warn(failure);
        }
        if costs.are_finite() {
            self.progress.costs(step, costs, self.clock.pace());
            if let Some(preview) = &self.preview {
                preview.costs(step, costs);
            }
        }
    }

    /// `step` is done, and this many are left.
    fn step(&mut self, step: u32, remaining: u32) {
        self.clock.step(remaining);
        self.progress.step(step, step.saturating_add(remaining), self.clock.lap(), self.clock.pace());
    }

    /// Warns at once that a file besides the painting could not be written, and keeps the first such failure for the end.
    fn warn(&mut self, failure: Failure) {
        if let Failure::Failed(message) = &failure {
            self.progress.note(&format!("warning: {message}"));
        }
        self.first_failure.get_or_insert(failure);
    }

    /// Says how the run ended, with this picture. Fails where a file besides the painting could not be written.
    fn end(mut self, message: &str, picture: &Picture) -> Result<()> {
        if let Some(preview) = &mut self.preview {
            preview.show_last(picture, &self.progress)?;
        }
        self.progress.end(message);
        if let Some(preview) = &self.preview {
            preview.end(picture, message);
        }
        self.first_failure.map_or(Ok(()), Err)
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

/// What to say of an adapter that runs on the CPU.
fn software_warnings(name: &str, driver: &str) -> Vec<String> {
    let mut warnings =
        vec![format!("warning: no GPU was found, so {name} computes on the CPU, which is slow")];
    if let Some(version) = mesa_version(driver).filter(|version| *version < FAST_MESA) {
        warnings.push(format!(
            "warning: this software driver, of Mesa {version}, takes several times as long for every step as that of Mesa \
             {FAST_MESA}; `scripts/ensure-vulkan.sh` of impasto's source installs a newer one"
        ));
    }
    warnings
}

/// The major version of Mesa in the description of a driver: `llvmpipe Mesa 22.3.6 (LLVM 15.0.6)`.
fn mesa_version(driver: &str) -> Option<u32> {
    let (_, version) = driver.split_once("Mesa ")?;
    version.split(|sign: char| !sign.is_ascii_digit()).next()?.parse().ok()
}

fn elapsed(begin: Instant) -> String {
    duration(begin.elapsed().as_secs_f64())
}

fn counted(steps: u32) -> String {
    if steps == 1 { "1 step".to_owned() } else { format!("{steps} steps") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_a_driver_is_read() {
        for (driver, version) in [
            ("llvmpipe Mesa 22.3.6 (LLVM 15.0.6)", Some(22)),
            ("llvmpipe Mesa 25.0.7-2~bpo12+1 (LLVM 15.0.6)", Some(25)),
            ("llvmpipe Mesa 26.1.0-devel (git-0123456789)", Some(26)),
            ("SwiftShader driver 5.0.0", None),
            ("Mesa ", None),
            ("Mesa git", None),
            ("", None),
        ] {
            assert_eq!(mesa_version(driver), version, "{driver}");
            let warnings = software_warnings("llvmpipe", driver);
            assert!(
                warnings[0].contains("no GPU was found, so llvmpipe computes on the CPU"),
                "{warnings:?}"
            );
            let is_old = version.is_some_and(|version| version < 25);
            assert_eq!(warnings.len(), 1 + usize::from(is_old), "{driver}");
            assert!(
                !is_old || warnings[1].contains("Mesa 22, takes") && warnings[1].contains("ensure-vulkan.sh")
            );
        }
    }
}
