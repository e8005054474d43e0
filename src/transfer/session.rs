//! A transfer under way: targets, pixels, and the steps that optimise them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::agenda::{Runner, Taken, Task};
use super::checkpoint::{Checkpoint, Recipe, State};
use super::engine::Engine;
use super::history::History;
use super::noise::uniform_noise;
use super::options::{Init, Options};
use super::pace::{Allowance, Pace};
use super::planning::{
    COST_MAILS, COST_SLOTS, PICTURE_SLOTS, Part, Passage, Plan, StepPlan, cost_bytes, name, picture_bytes,
    plan_transfer,
};
use super::source::{Source, SourceLayout};
use crate::error::{Error, Result};
use crate::gpu::{Lap, Mailbox, Patience, Readback, Staging, Stopwatch};
use crate::graph::{Arenas, Bytes, Executable, Externals, Program, Role};
use crate::ops::adam::hyper;
use crate::ops::texels::TexelFormat;
use crate::picture::Picture;

/// Adam's β₁, β₂ and ε.
const ADAM: [f32; 3] = [0.9, 0.999, 1e-8];

/// The costs of a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Costs {
    /// J = α·content + β·style.
    pub total: f32,
    /// The content cost.
    pub content: f32,
    /// The style cost: Σ λ·(cost of a layer).
    pub style: f32,
    /// The cost of each style layer without its λ, in the network's order.
    pub layers: Vec<f32>,
}

impl Costs {
    /// From what the program of a step keeps.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        match bytemuck::pod_collect_to_vec(bytes)[..] {
            [total, content, style, ref layers @ ..] => {
                Some(Self { total, content, style, layers: layers.to_vec() })
            }
            _ => None,
        }
    }

    /// Whether all of them are finite. Costs that are not never become so again: [`Transfer::diagnose`] says where it
    /// began.
    pub fn are_finite(&self) -> bool {
        let Self { total, content, style, layers } = self;
        [total, content, style].into_iter().chain(layers).all(|cost| cost.is_finite())
    }
}

/// One picture being painted in the style of another.
///
/// In a program of its own, [`Transfer::prepare`] and [`Transfer::step`] do everything and wait for it. A host that
/// renders frames uses [`Transfer::create`] and [`Transfer::record`] instead, which record into the host's encoders and
/// neither submit nor wait.
#[derive(Debug)]
pub struct Transfer {
    pub(super) engine: Engine,
    pub(super) options: Options,
    pub(super) step: Executable,
    pub(super) step_pace: Pace,
    pub(super) picture: Executable,
    picture_pace: Pace,
    /// What runs between steps, in the memory of a step.
    pub(super) runners: HashMap<Passage, Runner>,
    pub(super) arenas: Arenas,
    /// The ways out to textures of a host, by format.
    pub(super) outlets: HashMap<TexelFormat, Executable>,
    /// What has to be done before the next step.
    pub(super) agenda: VecDeque<Task>,
    /// Slices of the step under way that were recorded into a host's encoders.
    pub(super) cursor: usize,
    /// Steps that the pixels have had, or will have had when what was recorded has run.
    pub(super) steps: u32,
    costs: Readback,
    pixels: Readback,
    /// Costs on their way to a host, by the steps before them.
    pub(super) mailbox: Mailbox<u32>,
    pub(super) stopwatch: Option<Stopwatch<Passage>>,
    pub(super) history: History,
    /// The steps before the pixels in a slot of the history whose costs are still on their way to a host.
    pub(super) judging: Option<(u32, usize)>,
    pub(super) recipe: Recipe,
    pub(super) layouts: HashMap<Part, SourceLayout>,
    /// Whether an encoder that something was recorded into was dropped: work of this transfer, weights that it uses.
    pub(super) discarded: Arc<AtomicBool>,
    pub(super) weights_discarded: Arc<AtomicBool>,
    pub(super) deepest: usize,
    pub(super) style_layers: Vec<String>,
    pub(super) size: (u32, u32),
    bytes: Bytes,
}

impl Transfer {
    /// Fits both pictures to the options' size, computes the targets, and puts the start on the device: when this is
    /// done, so is that. Submits and waits.
    ///
    /// # Errors
    /// [`crate::Error::Option`] for options that do not make sense, [`crate::Error::Weights`] where a layer is missing,
    /// [`crate::Error::Picture`] for textures that cannot be read, [`crate::Error::Memory`], [`crate::Error::Limit`] and
    /// [`crate::Error::Gpu`] from the device.
    pub async fn prepare(
        engine: &Engine,
        content: impl Into<Source>,
        style: impl Into<Source>,
        options: &Options,
    ) -> Result<Self> {
        let mut transfer = Self::begin(engine, content.into(), style.into(), options, None).await?;
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
        content: &Picture,
        style: &Picture,
        options: &Options,
        checkpoint: &Checkpoint,
    ) -> Result<Self> {
        checkpoint.check(content, style, options, engine.weights())?;
        let mut transfer =
            Self::begin(engine, content.into(), style.into(), options, Some(&checkpoint.state)).await?;
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
    pub async fn create(
        engine: &Engine,
        content: impl Into<Source>,
        style: impl Into<Source>,
        options: &Options,
    ) -> Result<Self> {
        let transfer = Self::begin(engine, content.into(), style.into(), options, None).await?;
        engine.arrange_weights()?;
        Ok(transfer)
    }

    async fn begin(
        engine: &Engine,
        content: Source,
        style: Source,
        options: &Options,
        state: Option<&State>,
    ) -> Result<Self> {
        let layouts = [SourceLayout::try_from(&content)?, SourceLayout::try_from(&style)?];
        let plan = Self::plan(engine, layouts[0], layouts[1], options)?;
        let (size, total) = (plan.step.size, plan.bytes.total);
        Self::put_on_device(engine, content, style, options, state, plan, layouts)
            .await
            .map_err(|error| short_of_memory(error, size, total))
    }

    async fn put_on_device(
        engine: &Engine,
        content: Source,
        style: Source,
        options: &Options,
        state: Option<&State>,
        plan: Plan,
        layouts: [SourceLayout; 2],
    ) -> Result<Self> {
        let (gpu, pipelines) = (engine.gpu(), engine.pipelines());
        let arenas =
            Arenas::new(gpu, plan.passages.iter().map(|(_, program)| program).chain([&plan.step.program]))
                .await?;
        let Plan { step, bytes, picture: picture_program, passages } = plan;
        let StepPlan { program, size, style_layers } = step;
        let mut externals = Externals::default();
        let weights_discarded = engine.reserve_weights(&program, &mut externals).await?;
        allocate(engine, &program, &mut externals).await?;
        let picture_externals = externals.of(&picture_program);
        let picture = Executable::new(gpu, pipelines, picture_program, picture_externals).await?;
        let costs = Readback::new(gpu, cost_bytes(&program), COST_SLOTS).await?;
        let pixels = Readback::new(gpu, picture_bytes(size), PICTURE_SLOTS).await?;
        let mailbox = Mailbox::new(gpu, cost_bytes(&program), COST_MAILS).await?;
        let stopwatch = Stopwatch::new(gpu).await?;
        let history = History::new(gpu, &externals.pieces(name::PIXELS)).await?;
        let step = Executable::sharing(gpu, pipelines, program, externals, &arenas).await?;
        let (step_pace, picture_pace) = (engine.pace(step.program()), engine.pace(picture.program()));
        let mut transfer = Self {
            engine: engine.clone(),
            options: options.clone(),
            step,
            step_pace,
            picture,
            picture_pace,
            runners: HashMap::new(),
            arenas,
            outlets: HashMap::new(),
            agenda: VecDeque::new(),
            cursor: 0,
            steps: state.map_or(0, |state| state.adam[2] as u32),
            costs,
            pixels,
            mailbox,
            stopwatch,
            history,
            judging: None,
            recipe: Recipe::of(options, engine.weights()),
            layouts: HashMap::from([(Part::Content, layouts[0]), (Part::Style, layouts[1])]),
            discarded: Arc::default(),
            weights_discarded,
            deepest: options.deepest(engine.weights().network())?,
            style_layers,
            size,
            bytes,
        };
        for (passage, program) in passages {
            let runner = transfer.runner(passage, program).await?;
            transfer.runners.insert(passage, runner);
        }
        transfer.name_source(Part::Content, &content);
        transfer.name_source(Part::Style, &style);
        let (content, style) = (content.fitted(options), style.fitted(options));
        let start = transfer.start(&content, state);
        transfer.agenda.push_back(Task::Weights);
        transfer.agenda.push_back(Task::Source(Part::Style, Taken::of(style)));
        transfer.agenda.push_back(Task::Source(Part::Content, Taken::of(content)));
        transfer.agenda.extend(start);
        transfer.agenda.push_back(Task::Settings);
        transfer.agenda.push_back(Task::write(name::SEED, &[1.0]));
        Ok(transfer)
    }

    /// What puts the start, or the state that is gone on from, on the device. What is not written is zero, which is what
    /// wgpu gives and what Adam starts from.
    fn start(&self, content: &Source, state: Option<&State>) -> Vec<Task> {
        if let Some(State { pixels, m, v, adam }) = state {
            return vec![
                Task::write(name::PIXELS, pixels),
                Task::write(name::M, m),
                Task::write(name::V, v),
                Task::write(name::STATE, adam),
            ];
        }
        let (options, mean) = (&self.options, self.engine.weights().mean());
        let (width, height) = self.size;
        let from = |picture: &Picture| vec![Task::write(name::PIXELS, &start_pixels(picture, options, mean))];
        match (content, &options.init) {
            (Source::Picture(content), _) => from(content),
            (_, Init::Picture(init)) => from(&init.resized(width, height)),
            (_, Init::Noise | Init::Content) if options.noise_ratio() > 0.0 => {
                let noise = uniform_noise(options.seed, width, height);
                vec![Task::write(name::PIXELS, &noise), Task::run(Passage::Start)]
            }
            (_, Init::Noise | Init::Content) => vec![Task::run(Passage::Start)],
        }
    }

    /// The cost weights and the optimiser's constants as the options have them now.
    pub(super) fn settings(&self) -> [Task; 2] {
        let options = &self.options;
        let lambda = |layer: &String| {
            options.style_layers.iter().find(|style| style.name == *layer).map_or(0.0, |style| style.weight)
        };
        let cost_weights: Vec<f32> =
            self.style_layers.iter().map(lambda).chain([options.alpha, options.beta]).collect();
        let hyper = hyper(options.learning_rate, ADAM);
        [Task::write(name::HYPER, &hyper), Task::write(name::COST_WEIGHTS, &cost_weights)]
    }

    /// Does everything that is on the agenda, and waits for it.
    pub(super) async fn settle(&mut self) -> Result<()> {
        self.check_submitted()?;
        // A step of which a part was recorded begins again: its pixels are as they were.
        self.cursor = 0;
        let engine = self.engine.clone();
        let gpu = engine.gpu();
        let (mut patience, mut under_way) = (Patience::default(), VecDeque::new());
        while !self.agenda.is_empty() {
            let mut encoder = gpu.encoder("impasto");
            let mut allowance = Allowance::submission();
            self.record_agenda(&mut encoder, &mut allowance, &mut Lap::begin(None))?;
            gpu.queue().submit([encoder.finish()]);
            under_way.push_back(gpu.submitted());
            patience.submitted(gpu, allowance.recorded > 0).await?;
            if under_way.len() > 1
                && let Some(first) = under_way.pop_front()
            {
                first.wait(gpu, "preparing").await?;
            }
        }
        for last in under_way {
            last.wait(gpu, "preparing").await?;
        }
        gpu.check("preparing")
    }

    /// What [`Transfer::prepare`] would run and allocate for pictures of these sides (width, height), or that lie on the
    /// device so, without doing it: nothing is put on the device.
    ///
    /// # Errors
    /// [`crate::Error::Option`] for options that do not make sense, [`crate::Error::Weights`] where a layer is missing,
    /// [`crate::Error::Memory`] and [`crate::Error::Limit`] where the device is too small.
    pub fn plan(
        engine: &Engine,
        content: impl Into<SourceLayout>,
        style: impl Into<SourceLayout>,
        options: &Options,
    ) -> Result<Plan> {
        super::requirements::check(engine.gpu().limits())?;
        let network = engine.weights().network();
        engine.weights().check(options.deepest(network)?)?;
        plan_transfer(network, options, content, style, engine.weights().mean(), &engine.limits())
    }

    /// Takes one step and returns the costs of the picture before it.
    ///
    /// Dropping the future before it is done leaves the pixels as they were, or as they are after the step.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] where the device is lost.
    pub async fn step(&mut self) -> Result<Costs> {
        self.settle().await?;
        let slices = 0..self.step.program().slices.len();
        let slot = self.history.next();
        let costs = self.run(slices, Some(slot)).await?;
        self.history.judge(slot, costs.are_finite());
        self.judging = None;
        self.steps += 1;
        Ok(costs)
    }

    /// The costs of the picture as it is.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] where the device is lost.
    pub async fn cost(&mut self) -> Result<Costs> {
        self.settle().await?;
        let slices = 0..self.step.program().forward_slices();
        self.run(slices, None).await
    }

    /// The picture as it is, in 8 bits: mean added, clamped, truncated.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] where the device is lost.
    pub async fn picture(&mut self) -> Result<Picture> {
        let Self { engine, picture, picture_pace, pixels, size, .. } = self;
        let mut ticket = None;
        let slices = 0..picture.program().slices.len();
        engine
            .run(
                picture,
                picture_pace,
                slices,
                |_| (),
                |encoder| ticket = Some(pixels.copy(encoder, &picture.kept(0))),
            )
            .await?;
        let rgba = read(engine, pixels, ticket).await?;
        Picture::from_rgba(size.0, size.1, &rgba)
    }

    /// The pixels as they are: (3, H, W), RGB in 0..255 minus [`crate::nn::Weights::mean`], not clamped.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] where the device is lost.
    pub async fn pixels(&self) -> Result<Vec<f32>> {
        let [pixels] = self.read_externals([name::PIXELS]).await?;
        Ok(pixels)
    }

    /// The state as it is, to go on from later: see [`Transfer::resume`]. Takes memory on the device for the time of
    /// the call: that of the pixels three times.
    ///
    /// # Errors
    /// [`crate::Error::Checkpoint`] where a picture came from a texture or buffer, so that nobody could tell later whether
    /// it is the same; [`crate::Error::Memory`] and [`crate::Error::Gpu`] from the device.
    pub async fn checkpoint(&self) -> Result<Checkpoint> {
        self.recipe.check_complete()?;
        let [pixels, m, v, adam] = self.read_externals([name::PIXELS, name::M, name::V, name::STATE]).await?;
        let state = State { pixels, m, v, adam: [adam[0], adam[1], adam[2]] };
        Ok(Checkpoint::new(self.recipe.clone(), &self.engine, self.program().methods(), state))
    }

    /// Reads tensors from outside back, all of one moment.
    async fn read_externals<const N: usize>(&self, names: [&str; N]) -> Result<[Vec<f32>; N]> {
        let gpu = self.engine.gpu();
        let tensors = names.map(|name| self.step.externals().pieces(name));
        let bytes = tensors.each_ref().map(|pieces| pieces.iter().map(|piece| piece.size()).sum::<u64>());
        let ranges: Vec<_> = tensors.iter().flatten().map(|piece| (&**piece, 0, piece.size())).collect();
        let mut readback = Readback::new(gpu, bytes.iter().sum(), 1).await?;
        let mut encoder = gpu.encoder("impasto");
        let ticket = readback.copy(&mut encoder, &ranges);
        gpu.queue().submit([encoder.finish()]);
        let values = readback.read(gpu, ticket).await?;
        let mut rest = &values[..];
        Ok(bytes.map(|bytes| {
            let (own, behind) = rest.split_at(bytes as usize);
            rest = behind;
            bytemuck::pod_collect_to_vec(own)
        }))
    }

    /// Width and height of the picture.
    pub fn size(&self) -> (u32, u32) {
        self.size
    }

    /// The program of a step.
    pub fn program(&self) -> &Program {
        self.step.program()
    }

    /// The step's program on the device, for hosts that record its slices themselves and for those who time
    /// it dispatch by dispatch. A step is all slices in order; see [`Executable::record`].
    pub fn executable(&self) -> &Executable {
        &self.step
    }

    /// The account of memory.
    pub fn bytes(&self) -> Bytes {
        self.bytes
    }

    /// Bytes of the buffers that were really created, weights and the engine's staging memory included: the total of
    /// [`Transfer::bytes`], counted again, with what textures and other sizes asked for later.
    pub fn allocated_bytes(&self) -> u64 {
        let own = self.step.allocated_bytes() + self.picture.allocated_bytes() + self.arenas.bytes();
        let runners = self.runners.values().map(Runner::allocated_bytes).sum::<u64>();
        let outlets = self.outlets.values().map(Executable::allocated_bytes).sum::<u64>();
        let stopwatch = self.stopwatch.as_ref().map_or(0, Stopwatch::bytes);
        let readback = self.costs.bytes() + self.pixels.bytes() + self.mailbox.bytes();
        own + runners
            + outlets
            + self.step.externals().allocated_bytes()
            + readback
            + stopwatch
            + self.history.bytes()
            + Staging::BYTES
    }

    /// Runs slices of a step; `slot` is where the history keeps the pixels in front of it.
    async fn run(&mut self, slices: std::ops::Range<usize>, slot: Option<usize>) -> Result<Costs> {
        let Self { engine, step, step_pace, costs, history, .. } = self;
        let mut ticket = None;
        let kept: Vec<_> = (0..step.program().kept.len()).flat_map(|kept| step.kept(kept)).collect();
        let pixels = step.externals().pieces(name::PIXELS);
        let first = |encoder: &mut wgpu::CommandEncoder| {
            if let Some(slot) = slot {
                history.record(encoder, slot, &pixels);
            }
        };
        let last = |encoder: &mut wgpu::CommandEncoder| ticket = Some(costs.copy(encoder, &kept));
        engine.run(step, step_pace, slices, first, last).await?;
        let bytes = read(engine, costs, ticket).await?;
        Costs::of(&bytes)
            .ok_or_else(|| engine.gpu().fault("reading the costs", "too few values came back".into()))
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

pub(super) async fn read(
    engine: &Engine,
    readback: &Readback,
    ticket: Option<crate::gpu::Ticket>,
) -> Result<Vec<u8>> {
    match ticket {
        Some(ticket) => readback.read(engine.gpu(), ticket).await,
        None => Ok(Vec::new()),
    }
}

/// R·noise + (1 − R)·(picture − mean), (3, H, W).
fn start_pixels(content: &Picture, options: &Options, mean: [f32; 3]) -> Vec<f32> {
    let (width, height) = (content.width(), content.height());
    let stretched;
    let picture = match &options.init {
        Init::Noise | Init::Content => content,
        Init::Picture(picture) => {
            stretched = picture.resized(width, height);
            &stretched
        }
    };
    let ratio = f64::from(options.noise_ratio());
    let plane = width as usize * height as usize;
    let mut pixels: Vec<f32> = Vec::with_capacity(3 * plane);
    for (channel, mean) in mean.into_iter().enumerate() {
        let values = picture.rgb().iter().skip(channel).step_by(3);
        pixels.extend(values.map(|value| ((1.0 - ratio) * (f64::from(*value) - f64::from(mean))) as f32));
    }
    if ratio > 0.0 {
        for (pixel, noise) in pixels.iter_mut().zip(uniform_noise(options.seed, width, height)) {
            *pixel = (ratio * f64::from(noise) + f64::from(*pixel)) as f32;
        }
    }
    pixels
}

/// Allocates everything that `program` takes from outside and that is not there yet.
pub(super) async fn allocate(engine: &Engine, program: &Program, externals: &mut Externals) -> Result<()> {
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
    for external in &program.externals {
        if external.role != Role::Weights && externals.get(external).is_none() {
            let label = format!("impasto.{}", external.name);
            externals.insert(external, Arc::new(engine.gpu().buffer(&label, external.bytes, usage).await?));
        }
    }
    Ok(())
}
