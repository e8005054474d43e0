//! The painting itself: all that touches the library's host interface.
//!
//! A transfer is in one of two hands. Here, it is recorded into the window's queue, a frame's budget at a time. On an
//! errand, it is on a thread that does what takes longer than a frame: creating it, giving it another picture, or reading
//! the picture back to save it. Nothing here waits.

mod canvas_texture;
mod curve;
mod engines;
mod errand;
mod estimate;
mod faults;
mod ingredients;
mod pace;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use eframe::egui_wgpu::RenderState;
use eframe::{egui, wgpu};
use impasto::picture::PictureFormat;
use impasto::transfer::{Budget, Options, StepCosts, Transfer, TransferPhase};

pub use curve::Curve;
pub use estimate::{Estimate, Question};
pub use ingredients::{Ingredients, StyleIngredient};

use crate::background::{Background, Progress};
use crate::labels::label;
use crate::notice::Notice;
use crate::settings::{EngineSettings, Settings, carry_over};
use canvas_texture::CanvasTexture;
use engines::Engines;
use errand::{Errand, Outcome, Returned};
use faults::Faults;
use pace::{FrameTimes, Queue};

/// How long after the last step its costs are waited for.
const COSTS_DUE: Duration = Duration::from_secs(2);

/// Where a painting stands, for the window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    Nothing,
    /// A thread allocates, plans and compiles.
    Preparing,
    /// The network's weights and what is taken from the two pictures.
    Measuring,
    Painting,
    Paused,
    Done,
    /// Another picture is being taken in.
    Changing,
    Saving,
}

/// Something that the window must know of.
pub enum Event {
    Notice(Notice),
    Saved(PathBuf),
}

/// A painting that was started.
struct Run {
    engine: EngineSettings,
    /// The pictures that it has, or is to have when it is back.
    ingredients: Ingredients,
    /// What the transfer has, or is to have when it is back.
    options: Options,
    /// The painting's size before its sides are rounded where it wraps.
    size: (u32, u32),
    /// Steps that are done, and those that are left at all sizes.
    steps: u32,
    remaining: u32,
    phase: TransferPhase,
    work_remains: bool,
    paused: bool,
    saved_at: Option<u32>,
    /// Whether the canvas has been painted on.
    shown: bool,
    /// Time spent on steps, and how much was done in it.
    clock: Clock,
    /// Since when nothing is painted.
    resting: Option<Instant>,
}

/// How long steps take, without pauses.
#[derive(Default)]
struct Clock {
    spent: Duration,
    steps: u32,
    /// Pixels of all these steps.
    pixels: f64,
    since: Option<Instant>,
}

enum Hand {
    Empty,
    Away(Errand, Background<Returned>),
    Here(Box<Transfer>),
}

/// The painting, and the device that it is painted on.
pub struct Painting {
    context: egui::Context,
    render: RenderState,
    engines: Engines,
    faults: Faults,
    hand: Hand,
    run: Option<Run>,
    canvas: Option<CanvasTexture>,
    pub curve: Curve,
    pub estimate: Estimate,
    pub frame_times: FrameTimes,
    queue: Queue,
    waiting: Vec<Errand>,
}

impl Painting {
    pub fn new(context: &egui::Context, render: &RenderState) -> Self {
        let engines = Engines::new(&render.device, &render.queue);
        Self {
            context: context.clone(),
            render: render.clone(),
            faults: Faults::watch(&render.device, context),
            hand: Hand::Empty,
            run: None,
            canvas: None,
            curve: Curve::default(),
            estimate: Estimate::new(context, engines.clone()),
            frame_times: FrameTimes::default(),
            queue: Queue::default(),
            waiting: Vec::new(),
            engines,
        }
    }

    /// The adapter, for people.
    pub fn adapter(&self) -> String {
        let info = self.render.adapter.get_info();
        format!("{} ({})", info.name, info.backend)
    }

    /// A frame budget in milliseconds that suits the adapter. On a processor a frame of the window takes long anyway, and
    /// with a short budget most of the time would go into drawing the window.
    pub fn usual_budget(&self) -> f64 {
        let software = self.render.adapter.get_info().device_type == wgpu::DeviceType::Cpu;
        if software { 20.0 } else { 10.0 }
    }

    /// Begins a painting; one that is there already is given up.
    pub fn start(&mut self, ingredients: Ingredients, settings: &Settings) {
        // Its memory is free before the next one's is asked for.
        self.hand = Hand::Empty;
        self.waiting.clear();
        self.curve.clear();
        let options = settings.options.clone();
        let content = &ingredients.content;
        self.run = Some(Run {
            engine: settings.engine,
            size: options.fit_content((content.width(), content.height())),
            ingredients: ingredients.clone(),
            options: options.clone(),
            steps: 0,
            remaining: 0,
            phase: TransferPhase::Weights,
            work_remains: true,
            paused: false,
            saved_at: None,
            shown: false,
            clock: Clock::default(),
            resting: None,
        });
        let (engines, engine) = (self.engines.clone(), settings.engine);
        let errand = Errand::Create { ingredients, options: Box::new(options) };
        let work = errand.clone();
        let work = move || errand::create(&engines, &engine, work);
        self.hand = Hand::Away(errand, Background::start(&self.context, "start", work));
    }

    pub fn pause(&mut self, paused: bool) {
        if let Some(run) = &mut self.run {
            run.paused = paused;
            run.clock.stop();
        }
    }

    /// Gives a running painting other pictures, as far as it can take them, when it is here.
    fn take_in(&mut self, wanted: Option<&Ingredients>) {
        let (Hand::Here(_), Some(run), Some(wanted)) = (&self.hand, &mut self.run, wanted) else { return };
        let carried = run.ingredients.carry_over(wanted, &run.options);
        if !carried.changed.is_empty() {
            // Pictures that are refused would be refused in every frame: they count as taken.
            run.ingredients = carried.ingredients.clone();
            self.waiting.push(Errand::Change(carried.changed, carried.ingredients));
        }
    }

    /// Writes the picture as it is to a file.
    pub fn save(&mut self, path: PathBuf, format: PictureFormat) {
        self.waiting.push(Errand::Save(path, format));
    }

    /// What the running painting has.
    pub fn options(&self) -> Option<&Options> {
        self.run.as_ref().map(|run| &run.options)
    }

    /// The labels of what only a new start can bring into the running painting.
    pub fn waiting(&self, settings: &Settings, wanted: Option<&Ingredients>) -> Vec<String> {
        let Some(run) = &self.run else { return Vec::new() };
        let carried = wanted.map(|wanted| run.ingredients.carry_over(wanted, &run.options));
        let pictures = carried.into_iter().flat_map(|carried| carried.waiting).map(label);
        let options = settings.waiting(&run.options, &run.engine, &run.ingredients.layouts());
        pictures.chain(options).collect()
    }

    /// Whether there is a picture, to be shown or saved.
    pub fn has_picture(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.shown)
    }

    /// The live picture and its size in pixels.
    pub fn picture(&self) -> Option<(egui::TextureId, egui::Vec2)> {
        self.canvas.as_ref().map(CanvasTexture::shown)
    }

    /// Whether steps were taken that no file has.
    pub fn is_unsaved(&self) -> bool {
        self.run.as_ref().is_some_and(|run| run.steps > 0 && run.saved_at != Some(run.steps))
    }

    /// Steps that are done, and those of the whole run.
    pub fn steps(&self) -> (u32, u32) {
        self.run.as_ref().map_or((0, 0), |run| (run.steps, run.steps + run.remaining))
    }

    /// How long the remaining steps take, once a few are done.
    pub fn time_left(&self) -> Option<Duration> {
        let run = self.run.as_ref().filter(|run| run.clock.steps >= 2)?;
        Some(run.clock.spent.mul_f64(run.remaining_pixels() / run.clock.pixels))
    }

    pub fn status(&self) -> Status {
        let Some(run) = &self.run else { return Status::Nothing };
        match &self.hand {
            Hand::Empty => Status::Nothing,
            Hand::Away(Errand::Create { .. }, _) => Status::Preparing,
            Hand::Away(Errand::Change(..), _) => Status::Changing,
            Hand::Away(Errand::Save(..), _) => Status::Saving,
            Hand::Here(_) if run.paused => Status::Paused,
            Hand::Here(_) if !run.work_remains => Status::Done,
            Hand::Here(_) if run.phase == TransferPhase::Steps => Status::Painting,
            Hand::Here(_) => Status::Measuring,
        }
    }

    /// What a frame of the window has time for.
    pub fn frame(&mut self, settings: &Settings, wanted: Option<&Ingredients>) -> Vec<Event> {
        let mut events = Vec::new();
        if let Some(notice) = self.faults.take() {
            self.pause(true);
            events.push(Event::Notice(notice));
        }
        // A window that is not shown presents nothing, and nobody else would poll then.
        if let Err(error) = self.render.device.poll(wgpu::PollType::Poll) {
            let remedy = "start the program again; if that happens again, update the graphics driver";
            events.push(Event::Notice(Notice::failed("The GPU does not answer", error.to_string(), remedy)));
        }
        events.extend(self.welcome());
        self.take_in(wanted);
        self.send();
        events.extend(self.apply(settings).map(Event::Notice));
        events.extend(self.record(settings.frame_budget).map(Event::Notice));
        events.extend(self.read_costs().map(Event::Notice));
        let at_work = matches!(self.status(), Status::Measuring | Status::Painting);
        self.frame_times.frame(at_work);
        if let Some(run) = &mut self.run {
            run.resting = if at_work { None } else { run.resting.or(Some(Instant::now())) };
        }
        if at_work {
            self.context.request_repaint();
        } else if self.costs_are_due() {
            self.context.request_repaint_after(COSTS_DUE / 20);
        }
        events
    }

    /// Takes back what was on an errand.
    fn welcome(&mut self) -> Option<Event> {
        let Hand::Away(_, work) = &mut self.hand else { return None };
        let returned = match work.poll() {
            Progress::UnderWay => return None,
            Progress::Done(returned) => returned,
            Progress::Lost => Returned { transfer: None, outcome: Err(Notice::lost("The painting is gone")) },
        };
        match returned.transfer {
            Some(transfer) => self.hand = Hand::Here(transfer),
            None => {
                self.hand = Hand::Empty;
                self.run = None;
            }
        }
        match returned.outcome {
            Ok(Outcome::Created) => {
                self.prime();
                if let (Some(run), Hand::Here(transfer)) = (&mut self.run, &self.hand) {
                    run.remaining = transfer.remaining_steps();
                }
                None
            }
            Ok(Outcome::Changed) => {
                // The costs are measured against something else from here on.
                if let Some(run) = &mut self.run {
                    self.curve.mark(run.steps);
                    run.work_remains = true;
                }
                None
            }
            Ok(Outcome::Saved(path)) => {
                if let Some(run) = &mut self.run {
                    run.saved_at = Some(run.steps);
                }
                Some(Event::Saved(path))
            }
            Err(notice) => Some(Event::Notice(notice)),
        }
    }

    /// Sends the transfer on the next errand.
    fn send(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        match std::mem::replace(&mut self.hand, Hand::Empty) {
            Hand::Here(transfer) => {
                let errand = self.waiting.remove(0);
                if let Some(run) = &mut self.run {
                    run.clock.stop();
                }
                let job = errand.clone();
                let work = Background::start(&self.context, "errand", move || errand::run(transfer, job));
                self.hand = Hand::Away(errand, work);
            }
            other => self.hand = other,
        }
    }

    /// A texture of the painting's size, to be painted on.
    fn prime(&mut self) {
        let Hand::Here(transfer) = &self.hand else { return };
        let size = transfer.size();
        if self.canvas.as_ref().is_none_or(|canvas| canvas.size() != size) {
            self.canvas = Some(CanvasTexture::new(&self.render, size));
        }
    }

    /// Carries live changes over to the transfer.
    fn apply(&mut self, settings: &Settings) -> Option<Notice> {
        let (Hand::Here(transfer), Some(run)) = (&mut self.hand, &mut self.run) else { return None };
        let options = carry_over(&run.options, &settings.options, &run.ingredients.layouts());
        if options == run.options {
            return None;
        }
        let applied = transfer.set_options(&options);
        // Refused options would be refused in every frame.
        run.remaining = transfer.remaining_steps();
        run.work_remains |= run.remaining > 0;
        run.options = options;
        applied.err().map(|error| Notice::of("The change is not taken", &error))
    }

    /// Records and submits as much painting as the budget allows.
    fn record(&mut self, milliseconds: f64) -> Option<Notice> {
        let (Hand::Here(transfer), Some(run)) = (&mut self.hand, &mut self.run) else { return None };
        if run.paused || !run.work_remains || self.queue.is_full() {
            return None;
        }
        let mut encoder = self
            .render
            .device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("studio painting") });
        let budget = Budget::Time(Duration::from_secs_f64(1e-3 * milliseconds));
        let recorded = transfer.record(&mut encoder, budget);
        let shown = match (&recorded, &self.canvas) {
            // The start is put on the device last of all that comes before the steps.
            (Ok(recorded), Some(canvas))
                if recorded.completed > 0
                    || (!run.shown
                        && matches!(recorded.phase, TransferPhase::Steps | TransferPhase::Done)) =>
            {
                run.shown = true;
                transfer.record_picture(&mut encoder, canvas.texture())
            }
            _ => Ok(()),
        };
        // Submitted whatever came of it: an encoder that is dropped ends the transfer.
        self.queue.submit(&self.render.queue, encoder);
        match recorded.and_then(|recorded| shown.map(|()| recorded)) {
            Ok(recorded) => {
                run.clock.count(recorded.completed, pixels(transfer.scale_size()));
                run.steps = recorded.steps;
                run.remaining = transfer.remaining_steps();
                run.phase = recorded.phase;
                run.work_remains = recorded.work_remains;
                None
            }
            Err(error) => {
                run.paused = true;
                Some(Notice::of("The painting stopped", &error))
            }
        }
    }

    fn read_costs(&mut self) -> Option<Notice> {
        let (Hand::Here(transfer), Some(run)) = (&mut self.hand, &mut self.run) else { return None };
        let mut notice = None;
        while let Some(StepCosts { steps, costs, .. }) = transfer.try_cost() {
            if costs.are_finite() {
                self.curve.push(steps, &costs);
            } else if !run.paused {
                run.paused = true;
                notice = Some(Notice::failed(
                    "The painting is spoilt",
                    format!("after step {steps} its costs are no longer numbers"),
                    "lower the learning rate or the weights, and start again",
                ));
            }
        }
        notice
    }

    /// Costs come back a little after their step. For those of the last one, frames must go on for a while.
    fn costs_are_due(&self) -> bool {
        let Some(run) = self.run.as_ref().filter(|_| matches!(self.status(), Status::Done | Status::Paused))
        else {
            return false;
        };
        run.resting.is_some_and(|since| since.elapsed() < COSTS_DUE) || self.queue.is_busy()
    }
}

/// What a step of this size takes, in proportion.
fn pixels((width, height): (u32, u32)) -> f64 {
    f64::from(width) * f64::from(height)
}

impl Run {
    /// Pixels of all steps that are left: those of the largest size come last.
    fn remaining_pixels(&self) -> f64 {
        let mut remaining = self.remaining;
        let sizes = self.options.scales(self.size);
        let of_size = sizes.iter().rev().map(|(_, size)| {
            let steps = remaining.min(self.options.steps);
            remaining -= steps;
            f64::from(steps) * pixels(size)
        });
        of_size.sum()
    }
}

impl Clock {
    /// Steps of so many pixels were completed since the last call.
    fn count(&mut self, steps: u32, pixels: f64) {
        let now = Instant::now();
        let Some(since) = self.since else {
            // The first step is measured from the end of the one before it.
            self.since = (steps > 0).then_some(now);
            return;
        };
        if steps > 0 {
            self.spent += now - since;
            self.steps += steps;
            self.pixels += f64::from(steps) * pixels;
            self.since = Some(now);
        }
    }

    fn stop(&mut self) {
        self.since = None;
    }
}
