//! Painting inside a host's frames: everything is recorded into the host's encoders, as much at a time as it allows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::agenda::{Taken, Task};
use super::options::Options;
use super::pace::{Allowance, Budget};
use super::planning::{Part, Passage, name, picture_bytes, plan_outlet, plan_part};
use super::session::{Costs, Transfer};
use super::source::{Source, SourceLayout, checked, pitch, require};
use crate::error::{Error, OptionName, Remedy, Result};
use crate::gpu::{Lap, now};
use crate::graph::Executable;
use crate::ops::texels::TexelFormat;

const WHAT: &str = "painting in a host's frame";

/// What a call of [`Transfer::record`] recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recorded {
    /// Steps that the picture will have had in all when this has run.
    pub steps: u32,
    /// Steps that this call completed.
    pub completed: u32,
    /// Whether there is more to record: steps up to [`Options::steps`], or changes.
    pub work_remains: bool,
    /// What comes next.
    pub phase: Phase,
    /// Dispatches and copies that were recorded. None, where all staging memory is under way: the next frame has some.
    pub dispatches: u32,
    /// Milliseconds of the GPU's time that they take, by what is known so far.
    pub milliseconds: f64,
}

/// Where a transfer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Weights are on their way to the device.
    Weights,
    /// Targets, the start, or changes are being made.
    Targets,
    /// Steps are being taken.
    Steps,
    /// All steps are recorded.
    Done,
}

impl Transfer {
    /// Records as much of the work as `budget` allows, at least one dispatch, into a host's encoder, and goes on there at
    /// the next call. Submits, polls and waits for nothing, allocates nothing, and maps only through the encoder: values
    /// come back with the host's own submissions.
    ///
    /// Encoders must be submitted in the order in which they were recorded, those of other transfers of the same engine
    /// included. One that is dropped instead ends the transfer.
    ///
    /// # Errors
    /// [`Error::Gpu`] where the device is lost, or an encoder was dropped. Nothing is recorded then, and the host's device
    /// has not been touched.
    pub fn record(&mut self, encoder: &mut wgpu::CommandEncoder, budget: Budget) -> Result<Recorded> {
        self.engine.gpu().check_alive(WHAT)?;
        self.check_submitted()?;
        self.learn();
        let before = self.steps;
        let mut allowance = Allowance::new(budget);
        let mut stopwatch = self.stopwatch.take();
        let mut lap = Lap::begin(stopwatch.as_mut());
        let outcome = self.record_within(encoder, &mut allowance, &mut lap, budget == Budget::Step);
        lap.end(encoder);
        self.stopwatch = stopwatch;
        outcome?;
        if allowance.recorded > 0 {
            Receipt::attach(encoder, &self.discarded);
        }
        let phase = self.phase();
        Ok(Recorded {
            steps: self.steps,
            completed: self.steps - before,
            work_remains: phase != Phase::Done,
            phase,
            dispatches: allowance.recorded,
            milliseconds: 1e3 * allowance.spent,
        })
    }

    fn record_within(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        allowance: &mut Allowance,
        lap: &mut Lap<'_, Passage>,
        one_step: bool,
    ) -> Result<()> {
        loop {
            // Changes take effect between steps.
            if self.cursor == 0 && !self.record_agenda(encoder, allowance, lap)? {
                return Ok(());
            }
            if self.cursor == 0 && self.steps >= self.options.steps {
                return Ok(());
            }
            let slices = self.step.program().slices.len();
            let end = self.step_pace.end(self.step.program(), self.cursor..slices, allowance);
            if end == self.cursor {
                return Ok(());
            }
            if self.cursor == 0 && self.judging.is_none() {
                let slot = self.history.next();
                self.history.record(encoder, slot, &self.step.externals().pieces(name::PIXELS));
                self.judging = Some((self.steps, slot));
            }
            self.step.record_timed(encoder, self.cursor..end, lap, Passage::Step);
            self.cursor = end;
            if end < slices {
                return Ok(());
            }
            let kept = (0..self.step.program().kept.len()).flat_map(|kept| self.step.kept(kept));
            let kept: Vec<_> = kept.collect();
            self.mailbox.post(encoder, &kept, self.steps);
            self.cursor = 0;
            self.steps += 1;
            if one_step {
                return Ok(());
            }
        }
    }

    /// Fails where an encoder with work in it was dropped: what was recorded behind it relies on work that never ran.
    pub(super) fn check_submitted(&self) -> Result<()> {
        if [&self.discarded, &self.weights_discarded].into_iter().any(|it| it.load(Ordering::Relaxed)) {
            return Err(Error::Gpu {
                what: WHAT.into(),
                reason: "a command encoder that was recorded into was dropped, and never submitted".into(),
                remedy: "submit every encoder, in the order of recording; create the transfer anew".into(),
            });
        }
        Ok(())
    }

    /// What comes next.
    pub fn phase(&self) -> Phase {
        match self.agenda.front() {
            Some(Task::Weights) => Phase::Weights,
            Some(_) => Phase::Targets,
            None if self.cursor > 0 || self.steps < self.options.steps => Phase::Steps,
            None => Phase::Done,
        }
    }

    /// Steps that the picture has had, or will have had when what was recorded has run.
    pub fn steps(&self) -> u32 {
        self.steps
    }

    /// Takes what the GPU's clock has told of earlier encoders.
    fn learn(&mut self) {
        let Self { stopwatch, step, step_pace, runners, .. } = self;
        while let Some(times) = stopwatch.as_mut().and_then(|stopwatch| stopwatch.collect()) {
            for (passage, slices, seconds) in times {
                match (passage, runners.get_mut(&passage)) {
                    (Passage::Step, _) => step_pace.learn(step.program(), slices, seconds),
                    // Another picture may have brought another program meanwhile.
                    (_, Some(runner)) if slices.end <= runner.program().slices.len() => {
                        runner.learn(slices, seconds);
                    }
                    (_, _) => {}
                }
            }
        }
    }

    /// The newest costs that have come back since the last call, with the number of steps that their picture had had.
    /// They come with the host's submissions, some frames late; where a host takes steps faster than they come, some are
    /// left out. Costs that are not finite never become so again: take a smaller learning rate and begin anew.
    pub fn try_cost(&mut self) -> Option<(u32, Costs)> {
        let mut newest = None;
        while let Some((steps, bytes)) = self.mailbox.collect() {
            let Some(costs) = Costs::of(&bytes) else { continue };
            if let Some((judged, slot)) = self.judging.filter(|(judged, _)| *judged <= steps) {
                // Where its own costs were left out, finite ones of a later step speak for it.
                if judged == steps || costs.are_finite() {
                    self.history.judge(slot, costs.are_finite());
                }
                self.judging = None;
            }
            newest = Some((steps, costs));
        }
        newest
    }

    /// Changes what can change while the transfer runs: the weights of the costs and of the style layers, the learning
    /// rate, and the number of steps. Takes effect with the next step that begins; nothing is allocated or compiled.
    ///
    /// # Errors
    /// [`Error::Option`] for options that do not make sense, or that need a transfer of their own.
    pub fn set_options(&mut self, options: &Options) -> Result<()> {
        options.validate(self.engine.weights().network())?;
        let layers = |options: &Options| {
            let mut names: Vec<String> =
                options.style_layers.iter().map(|layer| layer.name.clone()).collect();
            names.sort();
            names
        };
        let now = &self.options;
        for (option, same) in [
            (OptionName::ContentLayer, now.content_layer == options.content_layer),
            (OptionName::StyleLayers, layers(now) == layers(options)),
            (OptionName::Init, now.init == options.init),
            (OptionName::NoiseRatio, now.noise_ratio() == options.noise_ratio()),
            (OptionName::Seed, now.seed == options.seed),
            (OptionName::Size, now.size == options.size),
        ] {
            if !same {
                return Err(Error::Option {
                    option,
                    reason: "it cannot change while a transfer runs".into(),
                    remedy: Remedy::NewTransfer,
                });
            }
        }
        self.options = options.clone();
        self.recipe.set_options(options, self.engine.weights());
        if !self.agenda.iter().any(|task| matches!(task, Task::Settings)) {
            self.agenda.push_back(Task::Settings);
        }
        Ok(())
    }

    /// Changes the style. Takes effect with the next step that begins, after [`Transfer::record`] has recorded its
    /// targets. Where the new one has the size and the format of the one before, nothing is allocated.
    ///
    /// # Errors
    /// [`Error::Picture`] for a texture that cannot be read, [`Error::Memory`] and [`Error::Gpu`] from the device where
    /// something has to be allocated.
    pub async fn set_style(&mut self, style: impl Into<Source>) -> Result<()> {
        self.set_source(Part::Style, style.into()).await
    }

    /// Changes the content; the pixels stay as they are and change from there. The new one must fit to the same size.
    /// Otherwise as [`Transfer::set_style`].
    ///
    /// # Errors
    /// [`Error::Option`] where it does not fit to the same size; otherwise as [`Transfer::set_style`].
    pub async fn set_content(&mut self, content: impl Into<Source>) -> Result<()> {
        self.set_source(Part::Content, content.into()).await
    }

    async fn set_source(&mut self, part: Part, source: Source) -> Result<()> {
        let layout = SourceLayout::try_from(&source)?;
        let fit = |layout: SourceLayout| self.options.size.fit(layout.size.0, layout.size.1);
        let fitted = fit(layout);
        if part == Part::Content && fitted != self.size {
            return Err(Error::Option {
                option: OptionName::Content,
                reason: format!(
                    "it would be painted at {}x{}, and the painting has {}x{}",
                    fitted.0, fitted.1, self.size.0, self.size.1
                ),
                remedy: Remedy::Any(vec!["give one of the same size".into(), Remedy::NewTransfer]),
            });
        }
        let same_target = fitted == fit(self.layouts[&part]);
        let same_intake = layout == self.layouts[&part];
        if !(same_target && same_intake) {
            let (engine, options) = (&self.engine, &self.options);
            let mean = engine.weights().mean();
            let (network, step) = (engine.weights().network(), self.step.program());
            let passages = plan_part(network, options, part, layout, mean, step, &engine.limits())?;
            let mut runners = Vec::new();
            for (passage, program) in passages {
                if !(same_target && passage == Passage::Target(part)) {
                    runners.push((passage, self.runner(passage, program).await?));
                }
            }
            // Where one fails, all is as it was. Nothing of the old picture may run in the new one's programs.
            self.cancel(part);
            self.runners.extend(runners);
        }
        self.layouts.insert(part, layout);
        self.name_source(part, &source);
        let taken = Taken::of(source.fitted(&self.options));
        self.retake(part, taken);
        Ok(())
    }

    /// Records the picture as it is into a texture of its size ([`Transfer::size`]) with the usage `COPY_DST`.
    ///
    /// | format | written |
    /// |---|---|
    /// | `Rgba8Unorm`, `Rgba8UnormSrgb` | the bytes that a file has: 8-bit levels in sRGB. Sampled as `Rgba8UnormSrgb`, they become linear light |
    /// | `Rgba16Float` | the same levels as linear light |
    ///
    /// Alpha is 1. May be recorded between any two calls of [`Transfer::record`]. The first call for a format allocates
    /// and may compile a kernel.
    ///
    /// # Errors
    /// [`Error::Picture`] for a texture of another size, format or usage, [`Error::Memory`] and [`Error::Gpu`] from the
    /// device.
    pub fn record_picture(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        texture: &wgpu::Texture,
    ) -> Result<()> {
        self.engine.gpu().check_alive(WHAT)?;
        let format = checked(texture, wgpu::TextureUsages::COPY_DST, "COPY_DST")?;
        let (width, height) = self.size;
        if (texture.width(), texture.height()) != self.size {
            return Err(Error::Picture {
                name: "the texture".into(),
                reason: format!(
                    "it has {}x{} texels, and the painting {width}x{height}",
                    texture.width(),
                    texture.height()
                ),
                remedy: "create it with the transfer's size".into(),
            });
        }
        let pitch = pitch(format, width);
        if !self.outlets.contains_key(&format) {
            let outlet = now(self.outlet(format, pitch)).ok_or_else(|| Error::Gpu {
                what: WHAT.into(),
                reason: "this device answers later".into(),
                remedy: "write the picture into a buffer, with Transfer::record_picture_words".into(),
            })??;
            self.outlets.insert(format, outlet);
        }
        let outlet = &self.outlets[&format];
        outlet.record(encoder, 0..outlet.program().slices.len());
        for (buffer, offset, _) in outlet.kept(0) {
            encoder.copy_buffer_to_texture(
                wgpu::TexelCopyBufferInfo {
                    buffer,
                    layout: wgpu::TexelCopyBufferLayout {
                        offset,
                        bytes_per_row: Some(4 * pitch),
                        rows_per_image: None,
                    },
                },
                texture.as_image_copy(),
                wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
            );
        }
        Ok(())
    }

    async fn outlet(&self, format: TexelFormat, pitch: u32) -> Result<Executable> {
        let engine = &self.engine;
        let program = plan_outlet(format, pitch, engine.weights().mean(), self.size, &engine.limits())?;
        let externals = self.step.externals().of(&program);
        Executable::new(engine.gpu(), engine.pipelines(), program, externals).await
    }

    /// Records the picture as it is into a buffer with the usage `COPY_DST`, from its beginning: width × height words of
    /// 8-bit RGBA in sRGB, red in the lowest byte, row by row without gaps. Allocates nothing.
    ///
    /// # Errors
    /// [`Error::Memory`] for a buffer that is too small, [`Error::Picture`] for one without the usage, [`Error::Gpu`] where
    /// the device is lost. Nothing is recorded then.
    pub fn record_picture_words(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        buffer: &wgpu::Buffer,
    ) -> Result<()> {
        self.engine.gpu().check_alive(WHAT)?;
        require(buffer.usage().contains(wgpu::BufferUsages::COPY_DST), "buffer", "COPY_DST")?;
        let needed = picture_bytes(self.size);
        if buffer.size() < needed {
            return Err(Error::Memory {
                what: "a picture in a buffer".into(),
                needed,
                available: buffer.size(),
                remedy: "give a buffer of 4 bytes a pixel".into(),
            });
        }
        self.picture.record(encoder, 0..self.picture.program().slices.len());
        for (from, offset, bytes) in self.picture.kept(0) {
            encoder.copy_buffer_to_buffer(from, offset, buffer, 0, bytes);
        }
        Ok(())
    }
}

/// Goes with an encoder and tells when that is dropped instead of submitted.
pub(super) struct Receipt {
    discarded: Arc<AtomicBool>,
    done: bool,
}

impl Receipt {
    pub(super) fn attach(encoder: &wgpu::CommandEncoder, discarded: &Arc<AtomicBool>) {
        let receipt = Self { discarded: Arc::clone(discarded), done: false };
        encoder.on_submitted_work_done(move || receipt.sign());
    }

    fn sign(mut self) {
        self.done = true;
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if !self.done {
            self.discarded.store(true, Ordering::Relaxed);
        }
    }
}
