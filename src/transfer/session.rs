//! A transfer under way: targets, pixels, and the steps that optimise them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::agenda::{Agenda, Arrival, Recording};
use super::checkpoint::{Checkpoint, Position, Recipe, SourceRecord, State};
use super::costs::{CostReader, Costs};
use super::diagnosis::{Diagnosis, first_not_finite};
use super::engine::Engine;
use super::history::History;
use super::noise::uniform_noise;
use super::objective::{COST_WEIGHTS, Objective};
use super::optimiser::{MEAN, Optimiser, PIXELS};
use super::option_table::OPTIONS;
use super::options::Options;
use super::pace::{Allowance, Budget};
use super::piece::Piece;
use super::planning::{
    COST_MAILS, COST_SLOTS, PICTURE_SLOTS, Plan, Planner, ProgramId, ProgramKind, SEED, START_LEVELS,
    cost_bytes, like_step, picture_bytes,
};
use super::profile::{ProgramProfile, Runs, profile};
use super::programs::Programs;
use super::requirements;
use super::scales::Scales;
use super::source::{Source, SourceLayout, checked, pitch, require};
use super::sources::{SourceId, SourceLayouts, Sources, check_source};
use super::trend::Trend;
use crate::error::{Error, OptionName, Remedy, Result};
use crate::gpu::{Lap, Mailbox, Readback, Receipt, Staging, StagingRetry, Stopwatch, now};
use crate::graph::{Bytes, Executable, Program};
use crate::ops::Shape;
use crate::ops::start::levels;
use crate::ops::texels::TexelFormat;
use crate::picture::Picture;

const IN_A_FRAME: &str = "painting in a host's frame";

/// One picture being painted in the style of others.
///
/// In a program of its own, [`Transfer::prepare`] and [`Transfer::step`] do everything and wait for it. A host that
/// renders frames uses [`Transfer::create`] and [`Transfer::record`] instead, which record into the host's encoders and
/// neither submit nor wait.
#[derive(Debug)]
pub struct Transfer {
    engine: Engine,
    options: Options,
    objective: Objective,
    layouts: SourceLayouts,
    recipe: Recipe,
    programs: Programs,
    scales: Scales,
    /// The number of the size that is painted.
    scale: usize,
    /// The pictures that each size begins with, as far as it has not begun.
    arrivals: Vec<BTreeMap<SourceId, Arrival>>,
    /// What has to be done before the next step.
    agenda: Agenda,
    /// Slices of the step under way that were recorded into a host's encoders.
    cursor: usize,
    /// The program of that step.
    under_way: ProgramId,
    /// Steps that the pixels have had, or will have had when what was recorded has run: in all, and at this size.
    steps: u32,
    scale_steps: u32,
    /// The last costs at this size, where they may end it.
    trend: Trend,
    /// Steps and last costs of the size before.
    ended: (u32, Trend),
    /// Whether the next step has to make anew what steps go on with, whatever its number.
    refresh_is_due: bool,
    /// Whether pictures came since the last step.
    sources_are_new: bool,
    cost_reader: CostReader,
    cost_readback: Readback,
    picture_readback: Readback,
    /// Where samples of 16 bits are wanted.
    wide_readback: Option<Readback>,
    /// Costs on their way to a host, by the steps before them.
    mailbox: Mailbox<u32>,
    stopwatch: Option<Stopwatch<ProgramId>>,
    history: History,
    /// The steps before the pixels in a slot of the history whose costs are still on their way to a host.
    awaited: Option<(u32, usize)>,
    /// Whether an encoder that something was recorded into was dropped: work of this transfer, weights that it uses.
    discarded: Arc<AtomicBool>,
    weights_discarded: Arc<AtomicBool>,
    size: (u32, u32),
    bytes: Bytes,
}

/// What a call of [`Transfer::record`] recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Recorded {
    /// Steps that the picture will have had in all when this has run.
    pub steps: u32,
    /// Steps that this call completed.
    pub completed: u32,
    /// Whether there is more to record: steps up to [`Options::steps`], or changes.
    pub work_remains: bool,
    /// What comes next.
    pub phase: TransferPhase,
    /// Dispatches and copies that were recorded. None, where all staging memory is under way: the next frame has some.
    pub dispatches: u32,
    /// Time of the GPU that they take, by what is known so far.
    pub time: std::time::Duration,
}

/// Where a transfer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransferPhase {
    /// Weights are on their way to the device.
    Weights,
    /// Targets, the start, or changes are being made.
    Targets,
    /// Steps are being taken.
    Steps,
    /// All steps are recorded.
    Done,
}

/// Costs that came back to a host.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StepCosts {
    /// Steps that the picture had had whose costs these are.
    pub steps: u32,
    /// Its costs.
    pub costs: Costs,
}

impl Transfer {
    /// Fits all pictures to the options' size, computes the targets, and puts the start on the device: when this is
    /// done, so is that. Submits and waits.
    ///
    /// # Errors
    /// [`crate::Error::Option`] for options that do not make sense, [`crate::Error::Weights`] where a layer is missing,
    /// [`crate::Error::Picture`] for textures that cannot be read, [`crate::Error::Memory`], [`crate::Error::Limit`] and
    /// [`crate::Error::Gpu`] from the device.
    pub async fn prepare(engine: &Engine, sources: impl Into<Sources>, options: &Options) -> Result<Self> {
        let mut transfer = Self::begin(engine, sources.into(), options, None).await?;
        transfer.settle().await?;
        Ok(transfer)
    }

    /// Goes on where `checkpoint` was taken. Pictures, options and weights must be the same, the number of steps
    /// excepted. On an engine with [`Checkpoint::methods`] as its choices, and on the device that the checkpoint was
    /// made on, the result is bit for bit that of a transfer that was not interrupted; [`Checkpoint::differences`] says
    /// what stands against that.
    ///
    /// # Errors
    /// [`crate::Error::Option`] that names what is not the same; otherwise as [`Transfer::prepare`].
    pub async fn resume(
        engine: &Engine,
        sources: impl Into<Sources>,
        options: &Options,
        checkpoint: &Checkpoint,
    ) -> Result<Self> {
        let sources = sources.into();
        checkpoint.check(&sources, options, engine.weights())?;
        let mut transfer = Self::begin(engine, sources, options, Some(checkpoint.state())).await?;
        transfer.settle().await?;
        Ok(transfer)
    }

    /// What [`Transfer::prepare`] does, put off: allocates all memory and compiles all kernels, and leaves the rest to
    /// [`Transfer::record`]: the way of the weights to the device, the targets, the start. Submits, polls and maps
    /// nothing, so it can run on a thread beside the host's frames. It takes a second or two, in which weights are
    /// arranged, and with them up to 200 MB of the processor's memory until they are recorded. Natively the future is
    /// ready when it is first polled.
    ///
    /// # Errors
    /// As [`Transfer::prepare`].
    pub async fn create(engine: &Engine, sources: impl Into<Sources>, options: &Options) -> Result<Self> {
        let transfer = Self::begin(engine, sources.into(), options, None).await?;
        engine.weights_store().arrange()?;
        Ok(transfer)
    }

    /// What [`Transfer::prepare`] would run and allocate for pictures of these sides (width, height), or that lie on the
    /// device so, without doing it: nothing is put on the device.
    ///
    /// # Errors
    /// [`crate::Error::Option`] for options that do not make sense, [`crate::Error::Weights`] where a layer is missing,
    /// [`crate::Error::Memory`] and [`crate::Error::Limit`] where the device is too small.
    pub fn plan(engine: &Engine, sources: impl Into<SourceLayouts>, options: &Options) -> Result<Plan> {
        requirements::check(engine.gpu().limits())?;
        let sources = sources.into();
        Objective::checked(engine.weights(), options, &sources)?;
        Plan::new(engine.weights().network(), options, sources, &engine.limits())
    }

    async fn begin(
        engine: &Engine,
        sources: Sources,
        options: &Options,
        state: Option<&State>,
    ) -> Result<Self> {
        let layouts = sources.layouts()?;
        let plan = Self::plan(engine, layouts.clone(), options)?;
        let (size, total) = (plan.step.size, plan.bytes.total);
        let mut transfer = Self::allocate(engine, layouts, options, plan)
            .await
            .map_err(|error| short_of_memory(error, size, total))?;
        transfer.agenda.write(MEAN, &engine.weights().mean());
        transfer.take_start(state)?;
        for (id, source) in sources.into_list().into_iter().rev() {
            transfer.take_source(id, source);
        }
        if state.is_some_and(|state| !state.position().renews) {
            // What was looked up is in the state, and so is what steps go on with.
            transfer.agenda.leave_out_look_ups();
            (transfer.refresh_is_due, transfer.sources_are_new) = (false, false);
        }
        transfer.take_settings();
        transfer.agenda.write(SEED, &[1.0]);
        Ok(transfer)
    }

    /// Everything on the device, with nothing in it.
    async fn allocate(
        engine: &Engine,
        layouts: SourceLayouts,
        options: &Options,
        plan: Plan,
    ) -> Result<Self> {
        let gpu = engine.gpu();
        let (size, bytes) = (plan.step.size, plan.bytes);
        let costs = cost_bytes(&plan.step.program);
        let (objective, scales, step) = (plan.objective.clone(), plan.scales.clone(), plan.step_id());
        let (programs, weights_discarded) = Programs::new(engine, plan).await?;
        Ok(Self {
            cost_reader: CostReader::new(&objective),
            cost_readback: Readback::new(gpu, costs, COST_SLOTS).await?,
            picture_readback: Readback::new(gpu, picture_bytes(size), PICTURE_SLOTS).await?,
            wide_readback: None,
            mailbox: Mailbox::new(gpu, costs, COST_MAILS).await?,
            stopwatch: Stopwatch::new(gpu).await?,
            history: History::new(gpu, &programs.tensor(step.scale, PIXELS)).await?,
            recipe: Recipe::new(options, engine.weights()).with_size(&layouts, size),
            engine: engine.clone(),
            options: options.with_names_of(engine.weights().network()),
            objective,
            layouts,
            programs,
            arrivals: scales.iter().map(|_| BTreeMap::new()).collect(),
            scales,
            scale: 0,
            agenda: Agenda::new(),
            cursor: 0,
            under_way: step,
            steps: 0,
            scale_steps: 0,
            trend: Trend::default(),
            ended: (0, Trend::default()),
            refresh_is_due: true,
            sources_are_new: true,
            awaited: None,
            discarded: Arc::default(),
            weights_discarded,
            size,
            bytes,
        })
    }

    /// Puts a picture on the agenda, what it is into the recipe, and aside what the sizes to come begin with.
    fn take_source(&mut self, id: SourceId, source: Source) {
        let fitted = |scale| self.layouts.fitted(id, &self.options, scale);
        let record = SourceRecord::new(&source, fitted(self.scales.last()), self.layouts.weight(id));
        let last = if id == SourceId::Initial { self.scale } else { self.scales.last() };
        for scale in self.scale..=last {
            let arrival = match &source {
                // Each size's copy is made from the picture itself.
                Source::Picture(_) => Arrival::New(source.clone().resized(fitted(scale))),
                on_device if scale == self.scale => Arrival::New(on_device.clone()),
                Source::Texture(_) | Source::Buffer { .. } => Arrival::Texels,
            };
            self.arrivals[scale].insert(id, arrival);
        }
        self.recipe.set_source(id, record);
        self.arrive(id);
    }

    /// Puts on the agenda what this size needs of a source: its way to the device, what is looked up in it or by it, its
    /// targets.
    fn arrive(&mut self, id: SourceId) {
        let Some(arrival) = self.arrivals[self.scale].remove(&id) else { return };
        self.agenda.take_source(id, arrival);
        // Every look-up reads the content, too, and the targets read what was looked up.
        let is_looked_up =
            |style: &SourceId| self.objective.looks_up(*style) && (id == *style || id == SourceId::Content);
        for style in self.layouts.ids().filter(is_looked_up) {
            self.agenda.run(ProgramKind::LookUp(style));
        }
        let adapts = id == SourceId::Content && self.options.color.adapts_styles();
        let is_adapted =
            |style: &SourceId| adapts && matches!(style, SourceId::Style(_)) && self.objective.reads(*style);
        let remade = |other: &SourceId| *other != id && (is_looked_up(other) || is_adapted(other));
        // What is matched weighs the content's cells by masks, and a content by a map of the strength.
        let weighed = self.objective.weighs_content(id).then_some(SourceId::Content);
        let others: Vec<SourceId> = self.layouts.ids().filter(remade).chain(weighed).collect();
        for source in std::iter::once(id).filter(|id| self.objective.reads(*id)).chain(others) {
            self.agenda.run(ProgramKind::Target(source));
        }
        if self.agenda.has(ProgramKind::Enlarge) {
            // From then on, this size is shown, over the content, under the masks and in the colours of this size.
            let first = self.shown_sources().into_iter().map(ProgramKind::Target);
            let first: Vec<ProgramKind> = first.chain([ProgramKind::Enlarge]).collect();
            self.agenda.run_first(&first);
        }
        (self.refresh_is_due, self.sources_are_new) = (true, true);
    }

    /// The sources that decide what is seen of the pixels, in the order in which something is made of them.
    fn shown_sources(&self) -> Vec<SourceId> {
        let covering = self.objective.covering_sources();
        if !covering.is_empty() || !self.options.color.recolours() {
            return covering;
        }
        // What else is made of the content may be weighed by masks, though they do not cover it.
        let masks =
            self.layouts.ids().filter(|id| matches!(id, SourceId::StyleMask(_) | SourceId::StrengthMap));
        masks.filter(|mask| self.objective.reads(*mask)).chain([SourceId::Content]).collect()
    }

    /// Goes on to the next size, where this one has had its steps.
    fn advance(&mut self) {
        while self.scale < self.scales.last()
            && (self.scale_steps >= self.steps_here().max(1) || self.has_settled())
        {
            self.ended = (self.scale_steps.min(self.steps_here().max(1)), std::mem::take(&mut self.trend));
            self.scale += 1;
            self.scale_steps = 0;
            self.history.clear();
            self.awaited = None;
            for (name, values) in Optimiser::of(&self.options).begin_scale() {
                self.agenda.write(name, &values);
            }
            self.take_optimiser_settings();
            self.agenda.run(ProgramKind::Enlarge);
            let sources: Vec<SourceId> = self.arrivals[self.scale].keys().copied().collect();
            for id in sources {
                self.arrive(id);
            }
        }
    }

    /// Steps of the size that is painted.
    fn steps_here(&self) -> u32 {
        self.options.steps_at(self.scale)
    }

    /// Whether the costs of this size have settled, so that it ends here.
    fn has_settled(&self) -> bool {
        self.trend.has_settled(self.options.tolerance)
    }

    /// The step whose methods the other programs follow.
    fn main_step(&self) -> ProgramId {
        ProgramKind::main_step(&self.objective).at(self.scales.last())
    }

    /// The program of the next step.
    fn next_step(&self) -> ProgramId {
        let every = Optimiser::of(&self.options).refreshes_every();
        let refreshes =
            self.objective.has_refreshes() && (self.refresh_is_due || self.scale_steps.is_multiple_of(every));
        ProgramKind::Step { refreshes }.at(self.scale)
    }

    /// A step begins: what it makes anew is not due any more.
    fn begin_step(&mut self) {
        self.under_way = self.next_step();
        if self.under_way.kind == (ProgramKind::Step { refreshes: true }) {
            self.refresh_is_due = false;
        }
    }

    /// A step was taken.
    fn end_step(&mut self) {
        self.cursor = 0;
        self.steps += 1;
        self.scale_steps += 1;
        self.sources_are_new = false;
    }

    /// Puts the start, or the state that is gone on from, on the agenda. What is not written is zero, which is what wgpu
    /// gives and what optimisers start from.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] for a state that is none of this transfer.
    fn take_start(&mut self, state: Option<&State>) -> Result<()> {
        if let Some(state) = state {
            state.check(&self.state_tensors(state.position().scale)?)?;
            let position = state.position();
            (self.scale, self.scale_steps) = (position.scale, position.steps);
            self.trend = Trend::from_bits(&position.totals);
            self.steps = state.steps(Optimiser::of(&self.options));
            for (name, values) in state.tensors() {
                self.agenda.write(name, values);
            }
            return Ok(());
        }
        let ((width, height), ratio) = (self.scales.get(0), self.options.noise_ratio());
        if ratio > 0.0 {
            self.agenda.write(START_LEVELS, &levels(ratio, self.engine.weights().mean()));
            self.agenda.write(PIXELS, &uniform_noise(self.options.seed, width, height));
        }
        self.agenda.run(ProgramKind::Start);
        Ok(())
    }

    /// Names and shapes of everything that steps at a size change.
    fn state_tensors(&self, scale: usize) -> Result<Vec<(String, Shape)>> {
        let of_size = |(width, height): (u32, u32)| Shape::new(3, height, width);
        let pixels = of_size(self.scales.get(scale));
        let style = |style| of_size(self.layouts.fitted(style, &self.options, scale));
        let network = self.options.network(self.engine.weights().network());
        let mut tensors = State::tensors_of(Optimiser::of(&self.options), pixels);
        tensors.extend(self.objective.state(&network, pixels, style)?);
        Ok(tensors)
    }

    /// Puts the cost weights and the optimiser's constants, as the options have them now, on the agenda.
    fn take_settings(&mut self) {
        self.take_optimiser_settings();
        self.agenda.write(COST_WEIGHTS, &self.objective.cost_weights());
    }

    /// Puts the optimiser's constants for this size on the agenda.
    fn take_optimiser_settings(&mut self) {
        for (name, values) in Optimiser::of(&self.options).settings(self.steps_here()) {
            self.agenda.write(name, &values);
        }
    }

    /// Puts on the agenda that the optimiser forgets what it knows of a cost that is no more.
    fn forget(&mut self) {
        for (name, values) in Optimiser::of(&self.options).forgotten() {
            self.agenda.write(name, &values);
        }
    }

    /// Does everything that is on the agenda, and waits for it.
    async fn settle(&mut self) -> Result<()> {
        const WHAT: &str = "preparing";
        self.check_submitted()?;
        if self.cursor > 0 {
            // A step of which a part was recorded begins again: its pixels are as they were.
            self.cursor = 0;
            self.refresh_is_due |= self.under_way.kind == ProgramKind::Step { refreshes: true };
        }
        let Self { engine, programs, agenda, scale, .. } = self;
        let gpu = engine.gpu();
        let (mut retry, mut under_way) = (StagingRetry::default(), VecDeque::new());
        while !agenda.is_empty() {
            let mut encoder = gpu.encoder("impasto");
            let mut allowance = Allowance::submission();
            let mut recording = Recording {
                engine,
                programs,
                scale: *scale,
                encoder: &mut encoder,
                allowance: &mut allowance,
                lap: &mut Lap::begin(None),
            };
            agenda.record(&mut recording)?;
            gpu.queue().submit([encoder.finish()]);
            under_way.push_back(gpu.submitted());
            gpu.await_staging(&mut retry, allowance.recorded > 0).await?;
            if under_way.len() > 1
                && let Some(first) = under_way.pop_front()
            {
                first.wait(gpu, WHAT).await?;
            }
        }
        for last in under_way {
            last.wait(gpu, WHAT).await?;
        }
        gpu.check(WHAT)
    }

    /// Takes one step and returns the costs of the picture before it. While the device works, the future sleeps for a
    /// fraction of a millisecond at a time on the thread that polls it.
    ///
    /// Dropping the future before it is done leaves the pixels as they were, or as they are after the step.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] where the device is lost.
    pub async fn step(&mut self) -> Result<Costs> {
        self.advance();
        self.settle().await?;
        let step = self.next_step();
        let slices = 0..self.programs.running(step).slices();
        let slot = self.history.next();
        let costs = self.run(step, slices, Some(slot)).await?;
        self.history.record_outcome(slot, costs.are_finite());
        self.awaited = None;
        self.trend.push(costs.total, self.options.tolerance);
        self.begin_step();
        self.end_step();
        Ok(costs)
    }

    /// The costs of the picture as it is.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] where the device is lost.
    pub async fn cost(&mut self) -> Result<Costs> {
        self.settle().await?;
        // What it makes anew is what the next step would make.
        let step = self.next_step();
        let slices = 0..self.programs.running(step).program().forward_slices();
        self.run(step, slices, None).await
    }

    /// Runs slices of a step; `slot` is where the history keeps the pixels in front of it.
    async fn run(
        &mut self,
        step: ProgramId,
        slices: std::ops::Range<usize>,
        slot: Option<usize>,
    ) -> Result<Costs> {
        let Self { engine, programs, cost_readback, history, .. } = self;
        let pixels = programs.tensor(step.scale, PIXELS);
        let keep_pixels = |encoder: &mut wgpu::CommandEncoder| {
            if let Some(slot) = slot {
                history.record(encoder, slot, &pixels);
            }
        };
        let gpu = engine.gpu();
        let program = programs.running_mut(gpu, step)?;
        let bytes = program.run_and_read(gpu, slices, keep_pixels, cost_readback).await?;
        let costs = self.cost_reader.read(&bytes);
        costs.ok_or_else(|| gpu.fault("reading the costs", "too few values came back".into()))
    }

    /// The picture as it is, in 8 bits, mean added and clamped: enlarged to its size where a smaller one is painted, and
    /// the moving average of the last steps where the optimiser keeps one. After [`Transfer::prepare_wide`] it has samples
    /// of 16 bits, too.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] where the device is lost.
    pub async fn picture(&mut self) -> Result<Picture> {
        let scale = self.shown_scale();
        let Self { engine, programs, picture_readback, wide_readback, size, .. } = self;
        let picture = programs.running_mut(engine.gpu(), ProgramKind::Picture.at(scale))?;
        let slices = 0..picture.slices();
        let rgba = picture.run_and_read(engine.gpu(), slices, |_| (), picture_readback).await?;
        let picture = Picture::from_rgba(size.0, size.1, &rgba)?;
        let Some(readback) = wide_readback else { return Ok(picture) };
        let wide = programs.running_mut(engine.gpu(), ProgramKind::Wide.at(scale))?;
        let slices = 0..wide.slices();
        let planes = wide.run_and_read(engine.gpu(), slices, |_| (), readback).await?;
        picture.with_wide(&bytemuck::pod_collect_to_vec(&planes), engine.weights().mean())
    }

    /// Has [`Transfer::picture`] give samples of 16 bits, too, made of the pixels' floats: [`Picture::rgb_16`]. Rounded to 8
    /// bits they are those of 8, but where an optimiser's picture is truncated to these, as the course's is. Takes memory on
    /// the device: 24 bytes for each pixel of the picture, and more where it is enlarged on the way.
    ///
    /// # Errors
    /// [`Error::Memory`] and [`Error::Gpu`] from the device.
    pub async fn prepare_wide(&mut self) -> Result<()> {
        if self.wide_readback.is_some() {
            return Ok(());
        }
        let limits = self.engine.limits();
        let network = self.engine.weights().network();
        let planner = Planner::new(network, &self.options, &self.layouts, &limits)?;
        self.programs.add_outputs(&self.engine, planner.wide()?).await?;
        let bytes = 3 * picture_bytes(self.size);
        self.wide_readback = Some(Readback::new(self.engine.gpu(), bytes, PICTURE_SLOTS).await?);
        Ok(())
    }

    /// The pixels as they are: (3, H, W) of the size that is painted ([`Transfer::scale_size`]), RGB in 0..255 minus
    /// [`crate::nn::Weights::mean`], not clamped. Under masks they are what is optimised, before it lies over the content.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] where the device is lost.
    pub async fn pixels(&self) -> Result<Vec<f32>> {
        Ok(self.read_externals(&[PIXELS]).await?.pop().unwrap_or_default())
    }

    /// The state as it is, to go on from later: see [`Transfer::resume`]. Takes memory on the device for the time of
    /// the call: that of the pixels and of all that the optimiser keeps for each of them.
    ///
    /// # Errors
    /// [`crate::Error::Checkpoint`] where a picture came from a texture or buffer, so that it cannot be compared later;
    /// [`crate::Error::Memory`] and [`crate::Error::Gpu`] from the device.
    pub async fn checkpoint(&self) -> Result<Checkpoint> {
        self.recipe.check_complete()?;
        let scale = self.shown_scale();
        let tensors = self.state_tensors(scale)?;
        let names: Vec<&str> = tensors.iter().map(|(name, _)| &**name).collect();
        let mut values = self.read_externals(&names).await?;
        // What the next step finds forgotten is not on the device yet.
        for (name, forgotten) in Optimiser::of(&self.options).forgotten() {
            if let Some(place) = names.iter().position(|known| *known == name)
                && self.agenda.writes(name)
            {
                values[place] = forgotten;
            }
        }
        // A size that is to be enlarged has had its steps.
        let (steps, mut trend) =
            if scale < self.scale { self.ended.clone() } else { (self.scale_steps, self.trend.clone()) };
        let position = Position { scale, steps, renews: self.sources_are_new, totals: Vec::new() };
        let mut state = State::new(position, tensors, values);
        // A step whose future was dropped may have been taken on the device, which still has its costs.
        let more = state.steps(Optimiser::of(&self.options)).saturating_sub(self.steps);
        if more > 0 {
            trend.push(self.last_total().await?, self.options.tolerance);
        }
        state.advance(more, trend.to_bits());
        let methods = self.programs.methods(self.scales.last());
        Ok(Checkpoint::new(self.recipe.clone(), &self.options, &self.engine, methods, state))
    }

    /// The total cost that the last step of the next step's program left on the device.
    async fn last_total(&self) -> Result<f32> {
        let gpu = self.engine.gpu();
        let kept = self.programs.running(self.next_step()).kept();
        let mut readback = Readback::new(gpu, kept.iter().map(|(_, _, bytes)| bytes).sum(), 1).await?;
        let mut encoder = gpu.encoder("impasto");
        let ticket = readback.copy(&mut encoder, &kept);
        gpu.queue().submit([encoder.finish()]);
        let costs = self.cost_reader.read(&readback.read(gpu, ticket).await?);
        Ok(costs.map_or(f32::NAN, |costs| costs.total))
    }

    /// Reads tensors from outside back, all of one moment.
    async fn read_externals(&self, names: &[&str]) -> Result<Vec<Vec<f32>>> {
        let gpu = self.engine.gpu();
        let scale = self.shown_scale();
        let tensors: Vec<_> = names.iter().map(|name| self.programs.tensor(scale, name)).collect();
        let ranges: Vec<_> = tensors.iter().flatten().map(|piece| (&*piece.buffer, 0, piece.bytes)).collect();
        let bytes = ranges.iter().map(|(_, _, bytes)| bytes).sum();
        let mut readback = Readback::new(gpu, bytes, 1).await?;
        let mut encoder = gpu.encoder("impasto");
        let ticket = readback.copy(&mut encoder, &ranges);
        gpu.queue().submit([encoder.finish()]);
        let values = readback.read(gpu, ticket).await?;
        let mut rest = &values[..];
        let own = |pieces: &Vec<Piece>| {
            let bytes = pieces.iter().map(|piece| piece.bytes).sum::<u64>();
            let (own, others) = rest.split_at(bytes as usize);
            rest = others;
            bytemuck::pod_collect_to_vec(own)
        };
        Ok(tensors.iter().map(own).collect())
    }

    /// Finds out, after costs that were not finite, where that began, and what the last good picture is. `costs` are
    /// those that were returned. Runs the network again layer by layer.
    ///
    /// # Errors
    /// [`crate::Error::Memory`] and [`crate::Error::Gpu`] from the device.
    pub async fn diagnose(mut self, costs: &Costs) -> Result<Diagnosis> {
        if let Some(bad) = self.history.bad() {
            self.put_back(bad);
        }
        let network = self.options.network(self.engine.weights().network());
        let network = self.options.painting_network(&network);
        let (pixels, externals) = (self.pixels().await?, self.programs.externals());
        let (engine, objective, size) = (&self.engine, &self.objective, self.scale_size());
        let place = first_not_finite(engine, &network, objective, &pixels, externals, size).await?;
        let place = match place {
            Some(place) => place,
            None => costs.first_not_finite(self.objective.names_in_order(&network)),
        };
        let last_good = match self.history.good() {
            Some(good) => {
                self.put_back(good);
                Some(self.picture().await?)
            }
            None => None,
        };
        Ok(Diagnosis { place, last_good })
    }

    fn put_back(&self, pixels: &[wgpu::Buffer]) {
        let gpu = self.engine.gpu();
        let mut encoder = gpu.encoder("impasto");
        for name in Optimiser::of(&self.options).pictures() {
            for (from, to) in pixels.iter().zip(self.programs.tensor(self.shown_scale(), name)) {
                encoder.copy_buffer_to_buffer(from, 0, &to.buffer, 0, to.bytes);
            }
        }
        gpu.queue().submit([encoder.finish()]);
    }

    /// Records as much of the work as `budget` allows, at least one dispatch, into a host's encoder, and goes on there at
    /// the next call. Submits, polls and waits for nothing, allocates nothing, and maps only through the encoder: values
    /// come back with the host's own submissions.
    ///
    /// Encoders must be submitted in the order in which they were recorded, those of other transfers of the same engine
    /// included. One that is dropped instead ends the transfer.
    ///
    /// # Errors
    /// [`Error::Gpu`] where the device is lost, or an encoder was dropped; [`Error::Option`] as
    /// [`Options::validate_for_frames`]. Nothing is recorded then, and the host's device has not been touched.
    pub fn record(&mut self, encoder: &mut wgpu::CommandEncoder, budget: Budget) -> Result<Recorded> {
        self.engine.gpu().check_alive(IN_A_FRAME)?;
        self.check_submitted()?;
        self.options.validate_for_frames()?;
        self.learn();
        let before = self.steps;
        let mut allowance = Allowance::new(budget);
        let mut stopwatch = self.stopwatch.take();
        let mut lap = Lap::begin(stopwatch.as_mut());
        let outcome = self.record_within(encoder, &mut allowance, &mut lap);
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
            work_remains: phase != TransferPhase::Done,
            phase,
            dispatches: allowance.recorded,
            time: std::time::Duration::from_secs_f64(allowance.spent),
        })
    }

    fn record_within(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        allowance: &mut Allowance,
        lap: &mut Lap<'_, ProgramId>,
    ) -> Result<()> {
        loop {
            // Changes take effect between steps.
            if self.cursor == 0 {
                self.advance();
                let (engine, programs, scale) = (&self.engine, &self.programs, self.scale);
                let mut recording = Recording { engine, programs, scale, encoder, allowance, lap };
                if !self.agenda.record(&mut recording)? || self.remaining_steps() == 0 {
                    return Ok(());
                }
                self.under_way = self.next_step();
            }
            let step = self.programs.running(self.under_way);
            let end = step.admit(self.cursor, allowance);
            if end == self.cursor {
                return Ok(());
            }
            if self.cursor == 0 && self.awaited.is_none() {
                let slot = self.history.next();
                self.history.record(encoder, slot, &self.programs.tensor(self.scale, PIXELS));
                self.awaited = Some((self.steps, slot));
            }
            step.record(self.under_way, encoder, self.cursor..end, lap);
            let (begins, ends) = (self.cursor == 0, end == step.slices());
            if ends {
                self.mailbox.post(encoder, &step.kept(), self.steps);
            }
            if begins {
                self.begin_step();
            }
            self.cursor = end;
            if !ends {
                return Ok(());
            }
            self.end_step();
            if allowance.ends_with_step() {
                return Ok(());
            }
        }
    }

    /// Fails where an encoder with work in it was dropped: what was recorded after it relies on work that never ran.
    fn check_submitted(&self) -> Result<()> {
        if [&self.discarded, &self.weights_discarded].into_iter().any(|it| it.load(Ordering::Relaxed)) {
            return Err(Error::Gpu {
                what: IN_A_FRAME.into(),
                reason: "a command encoder that was recorded into was dropped, and never submitted".into(),
                remedy: "submit every encoder, in the order of recording; create the transfer anew".into(),
            });
        }
        Ok(())
    }

    /// Takes what the GPU's clock has measured of earlier encoders.
    fn learn(&mut self) {
        let Self { stopwatch, programs, .. } = self;
        while let Some(times) = stopwatch.as_mut().and_then(Stopwatch::collect) {
            for (id, slices, seconds) in times {
                programs.learn(id, slices, seconds);
            }
        }
    }

    /// What comes next.
    pub fn phase(&self) -> TransferPhase {
        if self.agenda.begins_with_weights() {
            TransferPhase::Weights
        } else if !self.agenda.is_empty() {
            TransferPhase::Targets
        } else if self.remaining_steps() > 0 {
            TransferPhase::Steps
        } else {
            TransferPhase::Done
        }
    }

    /// Steps that the picture has had, or will have had when what was recorded has run: at all sizes.
    pub fn steps(&self) -> u32 {
        self.steps
    }

    /// Steps that are left: [`Options::steps_at`] each size, and fewer where [`Options::tolerance`] ends one. More may be taken at
    /// the last one.
    pub fn remaining_steps(&self) -> u32 {
        let later = (self.scales.last() - self.scale) as u32;
        let here = if self.has_settled() { 0 } else { self.steps_here().saturating_sub(self.scale_steps) };
        here.saturating_add(self.options.steps.saturating_mul(later))
    }

    /// Width and height of what is painted now: one of the sizes from the coarsest to [`Transfer::size`].
    pub fn scale_size(&self) -> (u32, u32) {
        self.scales.get(self.shown_scale())
    }

    /// The number of the size that pixels and state have on the device: until they are enlarged, the one before.
    fn shown_scale(&self) -> usize {
        self.scale - usize::from(self.agenda.has(ProgramKind::Enlarge))
    }

    /// The newest costs that have come back since the last call. They come with the host's submissions, some frames late;
    /// where a host takes steps faster than they come, some are left out. Costs that are not finite never become so
    /// again: take a smaller learning rate and begin anew.
    pub fn try_cost(&mut self) -> Option<StepCosts> {
        let mut newest = None;
        while let Some((steps, bytes)) = self.mailbox.collect() {
            let Some(costs) = self.cost_reader.read(&bytes) else { continue };
            if let Some((awaited, slot)) = self.awaited.filter(|(awaited, _)| *awaited <= steps) {
                // Where its own costs were left out, finite ones of a later step speak for it.
                if awaited == steps || costs.are_finite() {
                    self.history.record_outcome(slot, costs.are_finite());
                }
                self.awaited = None;
            }
            newest = Some(StepCosts { steps, costs });
        }
        newest
    }

    /// The options as they are.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Changes what can change while the transfer runs: the options that are live in [`OPTIONS`]. Takes effect with the
    /// next step that begins; nothing is allocated or compiled.
    ///
    /// # Errors
    /// [`Error::Option`] for options that do not make sense, or that need a transfer of their own.
    pub fn set_options(&mut self, options: &Options) -> Result<()> {
        let network = self.engine.weights().network();
        options.validate(network)?;
        let options = &options.with_names_of(network);
        let objective = Objective::of(network, options, &self.layouts);
        for entry in &OPTIONS {
            if entry.needs_new_transfer(&self.options, options, network, &self.layouts)? {
                return Err(Error::Option {
                    option: entry.name,
                    reason: "it cannot change while a transfer runs".into(),
                    remedy: Remedy::NewTransfer,
                });
            }
        }
        let is_other_cost = objective != self.objective;
        self.options = options.clone();
        self.objective = objective;
        self.recipe.set_options(options);
        self.take_settings();
        if is_other_cost {
            self.forget();
        }
        Ok(())
    }

    /// Changes the style; where there are several, the first: see [`Transfer::set_source`].
    ///
    /// # Errors
    /// As [`Transfer::set_source`].
    pub async fn set_style(&mut self, style: impl Into<Source>) -> Result<()> {
        self.set_source(SourceId::Style(0), style).await
    }

    /// Changes the content; the pixels stay as they are and change from there: see [`Transfer::set_source`].
    ///
    /// # Errors
    /// As [`Transfer::set_source`].
    pub async fn set_content(&mut self, content: impl Into<Source>) -> Result<()> {
        self.set_source(SourceId::Content, content).await
    }

    /// Changes the content, a style, or the mask of a style that has one. Takes effect with the next step that begins,
    /// after [`Transfer::record`] has recorded what is made of it. Where the new one has the size and the format of the one
    /// before, nothing is allocated. A content must fit to the same size as the one before.
    ///
    /// # Errors
    /// [`Error::Option`] for a content of another size, for a mask that is black everywhere, and for a source that the
    /// transfer does not have or that only its start used; [`Error::Picture`] for a texture that cannot be read,
    /// [`Error::Memory`] and [`Error::Gpu`] from the device where something has to be allocated.
    pub async fn set_source(&mut self, id: SourceId, source: impl Into<Source>) -> Result<()> {
        let source = source.into();
        check_source(id, &source)?;
        let layout = SourceLayout::try_from(&source)?;
        let mut layouts = self.layouts.clone();
        match layouts.get_mut(id) {
            Some(known) if id != SourceId::Initial => *known = layout,
            _ => {
                return Err(Error::Option {
                    option: id.option(),
                    reason: format!("the transfer reads no {id} while it runs"),
                    remedy: Remedy::NewTransfer,
                });
            }
        }
        let last = self.scales.last();
        let fitted = layouts.fitted(id, &self.options, last);
        if id == SourceId::Content && fitted != self.size {
            return Err(Error::Option {
                option: OptionName::Content,
                reason: format!(
                    "it would be painted at {}x{}, and the painting has {}x{}",
                    fitted.0, fitted.1, self.size.0, self.size.1
                ),
                remedy: "give one of the same size, or create a new transfer".into(),
            });
        }
        let fits =
            |scale| layouts.fitted(id, &self.options, scale) == self.layouts.fitted(id, &self.options, scale);
        let same_target = (self.scale..=last).all(fits);
        if layouts != self.layouts || !same_target {
            let (engine, limits) = (self.engine.clone(), self.engine.limits());
            let planner = Planner::new(engine.weights().network(), &self.options, &layouts, &limits)?;
            let limits = like_step(&limits, self.programs.running(self.main_step()).program());
            let mut programs = Vec::new();
            for scale in self.scale..=last {
                programs.extend(planner.source(id, scale, &limits)?);
            }
            if same_target {
                programs.retain(|(id, _)| matches!(id.kind, ProgramKind::Intake(_)));
            }
            self.programs.replace(&engine, programs).await?;
        }
        self.layouts = layouts;
        self.take_source(id, source);
        self.forget();
        Ok(())
    }

    /// Makes ready that [`Transfer::record_picture`] writes into textures of this format. Without it, the first such call
    /// allocates and compiles, which a browser cannot do at once.
    ///
    /// # Errors
    /// [`Error::Picture`] for a format that cannot be written, [`Error::Memory`] and [`Error::Gpu`] from the device.
    pub async fn prepare_output(&mut self, format: wgpu::TextureFormat) -> Result<()> {
        self.prepare_texels(super::source::texel_format(format)?).await
    }

    async fn prepare_texels(&mut self, format: TexelFormat) -> Result<()> {
        if self.programs.get(ProgramKind::Output(format).at(self.scale)).is_none() {
            let limits = self.engine.limits();
            let network = self.engine.weights().network();
            let planner = Planner::new(network, &self.options, &self.layouts, &limits)?;
            let planned = planner.outputs(format, pitch(format, self.size.0))?;
            self.programs.add_outputs(&self.engine, planned).await?;
        }
        Ok(())
    }

    /// Records the picture as it is into a texture of its size ([`Transfer::size`]) with the usage `COPY_DST`.
    ///
    /// | format | written |
    /// |---|---|
    /// | `Rgba8Unorm`, `Rgba8UnormSrgb` | the bytes that a file has: 8-bit levels in sRGB. Sampled as `Rgba8UnormSrgb`, they become linear light |
    /// | `Bgra8Unorm`, `Bgra8UnormSrgb` | the same with red and blue exchanged |
    /// | `Rgba16Float` | the same levels as linear light |
    ///
    /// Alpha is 1. May be recorded between any two calls of [`Transfer::record`]. The first call for a format that
    /// [`Transfer::prepare_output`] was not called for allocates and may compile a kernel.
    ///
    /// # Errors
    /// [`Error::Picture`] for a texture of another size, format or usage, [`Error::Memory`] and [`Error::Gpu`] from the
    /// device.
    pub fn record_picture(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        texture: &wgpu::Texture,
    ) -> Result<()> {
        self.engine.gpu().check_alive(IN_A_FRAME)?;
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
        now(self.prepare_texels(format)).ok_or_else(|| Error::Gpu {
            what: IN_A_FRAME.into(),
            reason: "this device compiles kernels later".into(),
            remedy: "call Transfer::prepare_output for the format before".into(),
        })??;
        let Some(output) = self.programs.get(ProgramKind::Output(format).at(self.shown_scale())) else {
            return Ok(());
        };
        let output = output.executable();
        output.record(encoder, 0..output.program().slices.len());
        for (buffer, offset, _) in output.kept(0) {
            encoder.copy_buffer_to_texture(
                wgpu::TexelCopyBufferInfo {
                    buffer,
                    layout: wgpu::TexelCopyBufferLayout {
                        offset,
                        bytes_per_row: Some(4 * pitch(format, width)),
                        rows_per_image: None,
                    },
                },
                texture.as_image_copy(),
                wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
            );
        }
        Ok(())
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
        self.engine.gpu().check_alive(IN_A_FRAME)?;
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
        let picture = self.programs.running(ProgramKind::Picture.at(self.shown_scale())).executable();
        picture.record(encoder, 0..picture.program().slices.len());
        for (from, offset, bytes) in picture.kept(0) {
            encoder.copy_buffer_to_buffer(from, offset, buffer, 0, bytes);
        }
        Ok(())
    }

    /// Width and height of the picture.
    pub fn size(&self) -> (u32, u32) {
        self.size
    }

    /// What is minimised.
    pub fn objective(&self) -> &Objective {
        &self.objective
    }

    /// Measures every dispatch of every program that a whole transfer with these pictures and options runs, each alone; it
    /// takes about as long as four steps of each size. The picture is lost, and with it the transfer.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] where the device is lost.
    pub async fn profile(self) -> Result<Vec<ProgramProfile>> {
        let every = Optimiser::of(&self.options).refreshes_every();
        let runs = Runs {
            scales: &self.scales,
            steps: &|scale| self.options.steps_at(scale),
            refreshes_every: self.objective.has_refreshes().then_some(every),
        };
        profile(&self.engine, &self.programs, &runs).await
    }

    /// The program of the next step.
    pub fn program(&self) -> &Program {
        self.executable().program()
    }

    /// The step's program on the device, for hosts that record its slices themselves and for those who time
    /// it dispatch by dispatch. A step is all slices in order; see [`Executable::record`].
    pub fn executable(&self) -> &Executable {
        self.programs.running(self.next_step()).executable()
    }

    /// The account of memory.
    pub fn bytes(&self) -> Bytes {
        self.bytes
    }

    /// Bytes of the buffers that were really created, weights and the engine's staging memory included: the total of
    /// [`Transfer::bytes`], counted again, with what textures, other sizes and [`Transfer::prepare_wide`] asked for later.
    pub fn allocated_bytes(&self) -> u64 {
        let stopwatch = self.stopwatch.as_ref().map_or(0, Stopwatch::bytes);
        let wide = self.wide_readback.as_ref().map_or(0, Readback::bytes);
        let readback =
            self.cost_readback.bytes() + self.picture_readback.bytes() + wide + self.mailbox.bytes();
        self.programs.allocated_bytes() + readback + stopwatch + self.history.bytes() + Staging::BYTES
    }
}

/// Where the device gave no memory for one of many buffers: what all of them need.
fn short_of_memory(error: Error, (width, height): (u32, u32), total: u64) -> Error {
    match error {
        Error::Memory { needed, available, remedy, .. } => Error::Memory {
            what: format!("painting {width}x{height}"),
            needed: needed.max(total),
            available,
            remedy,
        },
        other => other,
    }
}
