//! A transfer under way: targets, pixels, and the steps that optimise them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::checkpoint::{Checkpoint, Recipe, State};
use super::engine::Engine;
use super::history::History;
use super::noise::uniform_noise;
use super::options::{Init, Options};
use super::pace::Pace;
use super::planning::{
    COST_SLOTS, PICTURE_SLOTS, Plan, StepPlan, cost_bytes, name, picture_bytes, plan_transfer,
};
use crate::error::{Error, Result};
use crate::gpu::Readback;
use crate::graph::{Bytes, Executable, Externals, Program, Role};
use crate::ops::adam::hyper;
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
    /// Whether all of them are finite. Costs that are not never become so again: [`Transfer::diagnose`] says where it
    /// began.
    pub fn are_finite(&self) -> bool {
        let Self { total, content, style, layers } = self;
        [total, content, style].into_iter().chain(layers).all(|cost| cost.is_finite())
    }
}

/// One picture being painted in the style of another.
#[derive(Debug)]
pub struct Transfer {
    pub(super) engine: Engine,
    pub(super) step: Executable,
    step_pace: Pace,
    picture: Executable,
    picture_pace: Pace,
    costs: Readback,
    pixels: Readback,
    pub(super) history: History,
    recipe: Recipe,
    pub(super) deepest: usize,
    pub(super) style_layers: Vec<String>,
    pub(super) size: (u32, u32),
    bytes: Bytes,
}

impl Transfer {
    /// Fits both pictures to the options' size, computes the targets, and puts the start on the device.
    ///
    /// # Errors
    /// [`crate::Error::Option`] for options that do not make sense, [`crate::Error::Weights`] where a layer is missing,
    /// [`crate::Error::Memory`] and [`crate::Error::Gpu`] from the device.
    pub async fn prepare(
        engine: &Engine,
        content: &Picture,
        style: &Picture,
        options: &Options,
    ) -> Result<Self> {
        Self::begin(engine, content, style, options, None).await
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
        Self::begin(engine, content, style, options, Some(&checkpoint.state)).await
    }

    async fn begin(
        engine: &Engine,
        content: &Picture,
        style: &Picture,
        options: &Options,
        state: Option<&State>,
    ) -> Result<Self> {
        let sides = |picture: &Picture| (picture.width(), picture.height());
        let plan = Self::plan(engine, sides(content), sides(style), options)?;
        let (size, total) = (plan.step.size, plan.bytes.total);
        Self::put_on_device(engine, content, style, options, state, plan)
            .await
            .map_err(|error| short_of_memory(error, size, total))
    }

    async fn put_on_device(
        engine: &Engine,
        content: &Picture,
        style: &Picture,
        options: &Options,
        state: Option<&State>,
        plan: Plan,
    ) -> Result<Self> {
        let recipe = Recipe::of(content, style, options, engine.weights());
        let Plan { step, bytes, picture: picture_program, targets: [style_target, content_target] } = plan;
        let StepPlan { program, size, style_layers } = step;
        let content = fitted(content, options);
        let style = fitted(style, options);
        let mean = engine.weights().mean();
        let mut externals = Externals::default();
        engine.bind_weights(&program, &mut externals).await?;
        // The targets' own programs are gone before the step's memory is asked for.
        let names: Vec<String> = style_layers.iter().map(|layer| name::style_target(layer)).collect();
        make_targets(engine, style_target, &style, &names, &program, &mut externals).await?;
        let names = [name::CONTENT_TARGET.to_owned()];
        make_targets(engine, content_target, &content, &names, &program, &mut externals).await?;
        let start = state.map_or_else(|| start_pixels(&content, options, mean), |state| state.pixels.clone());
        let lambda = |layer: &String| {
            options.style_layers.iter().find(|style| style.name == *layer).map_or(0.0, |style| style.weight)
        };
        let cost_weights: Vec<f32> =
            style_layers.iter().map(lambda).chain([options.alpha, options.beta]).collect();
        let hyper = hyper(options.learning_rate, ADAM);
        let mut values: Vec<(&str, &[f32])> = vec![
            (name::PIXELS, &start),
            (name::HYPER, &hyper),
            (name::COST_WEIGHTS, &cost_weights),
            (name::SEED, &[1.0]),
        ];
        if let Some(State { pixels: _, m, v, adam }) = state {
            values.extend([(name::M, &m[..]), (name::V, v), (name::STATE, adam)]);
        }
        upload(engine, &program, &mut externals, &values).await?;

        let picture_externals = externals.of(&picture_program);
        let costs = Readback::new(engine.gpu(), cost_bytes(&program), COST_SLOTS).await?;
        let pixels = Readback::new(engine.gpu(), picture_bytes(size), PICTURE_SLOTS).await?;
        let picture =
            Executable::new(engine.gpu(), engine.pipelines(), picture_program, picture_externals).await?;
        let history = History::new(engine.gpu(), &externals.pieces(name::PIXELS)).await?;
        let step = Executable::new(engine.gpu(), engine.pipelines(), program, externals).await?;
        let (step_pace, picture_pace) = (engine.pace(step.program()), engine.pace(picture.program()));
        Ok(Self {
            engine: engine.clone(),
            step,
            step_pace,
            picture,
            picture_pace,
            costs,
            pixels,
            history,
            recipe,
            deepest: options.deepest()?,
            style_layers,
            size,
            bytes,
        })
    }

    /// What [`Transfer::prepare`] would run and allocate for pictures of these sides (width, height), without
    /// doing it: nothing is put on the device.
    ///
    /// # Errors
    /// [`crate::Error::Option`] for options that do not make sense, [`crate::Error::Weights`] where a layer is missing,
    /// [`crate::Error::Memory`] where the device is too small.
    pub fn plan(engine: &Engine, content: (u32, u32), style: (u32, u32), options: &Options) -> Result<Plan> {
        engine.weights().check(options.deepest()?)?;
        plan_transfer(options, content, style, engine.weights().mean(), &engine.limits())
    }

    /// Takes one step and returns the costs of the picture before it.
    ///
    /// Dropping the future before it is done leaves the pixels as they were, or as they are after the step.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] where the device is lost.
    pub async fn step(&mut self) -> Result<Costs> {
        let slices = 0..self.step.program().slices.len();
        let slot = self.history.next();
        let costs = self.run(slices, Some(slot)).await?;
        self.history.judge(slot, costs.are_finite());
        Ok(costs)
    }

    /// The costs of the picture as it is.
    ///
    /// # Errors
    /// [`crate::Error::Gpu`] where the device is lost.
    pub async fn cost(&mut self) -> Result<Costs> {
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
    /// [`crate::Error::Memory`] and [`crate::Error::Gpu`] from the device.
    pub async fn checkpoint(&self) -> Result<Checkpoint> {
        let [pixels, m, v, adam] = self.read_externals([name::PIXELS, name::M, name::V, name::STATE]).await?;
        let state = State { pixels, m, v, adam: [adam[0], adam[1], adam[2]] };
        Ok(Checkpoint::new(self.recipe.clone(), &self.engine, self.program().convolutions(), state))
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

    /// Bytes of the buffers that were really created, weights included: the total of [`Transfer::bytes`],
    /// counted again.
    pub fn allocated_bytes(&self) -> u64 {
        let own = self.step.allocated_bytes() + self.picture.allocated_bytes();
        let readback = self.costs.bytes() + self.pixels.bytes() + self.history.bytes();
        own + self.step.externals().allocated_bytes() + readback
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
        let values: Vec<f32> = bytemuck::pod_collect_to_vec(&bytes);
        match values[..] {
            [total, content, style, ref layers @ ..] => {
                Ok(Costs { total, content, style, layers: layers.to_vec() })
            }
            _ => Err(engine.gpu().fault("reading the costs", "too few values came back".into())),
        }
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

fn fitted(picture: &Picture, options: &Options) -> Picture {
    let (width, height) = options.size.fit(picture.width(), picture.height());
    picture.resized(width, height)
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

/// Runs a target's program on `picture` and copies what it keeps into buffers called `names`, which the step's
/// `program` will read.
async fn make_targets(
    engine: &Engine,
    target_program: Program,
    picture: &Picture,
    names: &[String],
    program: &Program,
    externals: &mut Externals,
) -> Result<()> {
    let mut target_externals = Externals::default();
    engine.bind_weights(&target_program, &mut target_externals).await?;
    let rgba = picture.to_rgba();
    upload_bytes(engine, &target_program, &mut target_externals, name::PICTURE, &rgba).await?;
    let executable =
        Executable::new(engine.gpu(), engine.pipelines(), target_program, target_externals).await?;
    for target in names {
        allocate(engine, program, externals, target).await?;
    }
    let slices = 0..executable.program().slices.len();
    let mut pace = engine.pace(executable.program());
    engine
        .run(
            &executable,
            &mut pace,
            slices,
            |_| (),
            |encoder| {
                for (kept, target) in names.iter().enumerate() {
                    for ((from, offset, bytes), to) in
                        executable.kept(kept).into_iter().zip(externals.pieces(target))
                    {
                        encoder.copy_buffer_to_buffer(from, offset, &to, 0, bytes);
                    }
                }
            },
        )
        .await
}

/// Buffers for all pieces of the external called `name`.
async fn allocate(engine: &Engine, program: &Program, externals: &mut Externals, name: &str) -> Result<()> {
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
    for external in program.externals.iter().filter(|external| external.name == name) {
        let buffer = engine.gpu().buffer(&format!("impasto.{name}"), external.bytes, usage).await?;
        externals.insert(external, Arc::new(buffer));
    }
    Ok(())
}

/// Allocates everything of a step's program that is not there yet, and writes `values`; the rest is zero, which
/// is what wgpu gives and what Adam starts from.
async fn upload(
    engine: &Engine,
    program: &Program,
    externals: &mut Externals,
    values: &[(&str, &[f32])],
) -> Result<()> {
    let missing: BTreeSet<String> = program
        .externals
        .iter()
        .filter(|external| external.role != Role::Weights && externals.get(external).is_none())
        .map(|external| external.name.clone())
        .collect();
    for name in missing {
        match values.iter().find(|(known, _)| *known == name) {
            Some((_, values)) => {
                upload_bytes(engine, program, externals, &name, bytemuck::cast_slice(values)).await?;
            }
            None => allocate(engine, program, externals, &name).await?,
        }
    }
    Ok(())
}

/// Allocates the pieces of the external called `name` and writes `bytes` to them, one behind the other.
async fn upload_bytes(
    engine: &Engine,
    program: &Program,
    externals: &mut Externals,
    name: &str,
    bytes: &[u8],
) -> Result<()> {
    allocate(engine, program, externals, name).await?;
    let mut rest = bytes;
    for piece in externals.pieces(name) {
        let (part, behind) = rest.split_at(rest.len().min(piece.size() as usize));
        engine.gpu().write(&piece, 0, part).await?;
        rest = behind;
    }
    Ok(())
}
