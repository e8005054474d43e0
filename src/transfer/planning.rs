//! The tapes of a transfer and their plans: pure functions of the options, the sizes and the device's limits.

use std::sync::Arc;

use super::history::History;
use super::options::{Init, Options};
use super::source::SourceLayout;
use crate::error::{Error, LowMemoryFit, Remedy, Result};
use crate::gpu::{Mailbox, Readback, Staging, Stopwatch};
use crate::graph::{
    Arenas, Bytes, Limits, Phase, Program, Role, Tape, TensorId, differentiate, fuse, plan, rematerialise,
};
use crate::nn::Network;
use crate::ops::Shape;
use crate::ops::adam::{Adam, AdamAdvance, HYPER, STATE};
use crate::ops::gram::Gram;
use crate::ops::mix::Mix;
use crate::ops::preprocess::{Postprocess, Preprocess};
use crate::ops::resample::Resample;
use crate::ops::squared_error::SquaredError;
use crate::ops::texels::{DecodeTexels, EncodeTexels, TexelFormat};
use crate::ops::weighted_sum::WeightedSum;
use crate::picture::Size;

/// Names of the externals that are not weights.
pub(super) mod name {
    pub(in super::super) const PIXELS: &str = "pixels";
    pub(in super::super) const M: &str = "adam.m";
    pub(in super::super) const V: &str = "adam.v";
    pub(in super::super) const HYPER: &str = "adam.hyper";
    pub(in super::super) const STATE: &str = "adam.state";
    pub(in super::super) const COST_WEIGHTS: &str = "cost.weights";
    pub(in super::super) const SEED: &str = "cost.seed";
    pub(in super::super) const PICTURE: &str = "picture";
    pub(in super::super) const TEXELS: &str = "texels";
    pub(in super::super) const CONTENT_TARGET: &str = "target.content";

    pub(in super::super) fn style_target(layer: &str) -> String {
        format!("target.style.{layer}")
    }
}

/// The plan of one step, with what the caller must know to read its results.
#[derive(Clone, Debug)]
pub struct StepPlan {
    /// The program of a step: forward, backward, Adam.
    pub program: Program,
    /// Width and height of the picture that is optimised.
    pub size: (u32, u32),
    /// The style layers in the network's order: the order of their weights and costs. The program keeps the
    /// total, the content and the style cost, then one cost a style layer.
    pub style_layers: Vec<String>,
}

/// The two pictures of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Part {
    /// What is painted.
    Content,
    /// How it is painted.
    Style,
}

/// A program of a transfer besides the step's and the picture's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Passage {
    /// A step.
    Step,
    /// From a host's texels to an 8-bit picture of the right size.
    Intake(Part),
    /// From an 8-bit picture to the targets of the costs.
    Target(Part),
    /// From the content's 8-bit picture, and the noise that the pixels hold, to the pixels of the start.
    Start,
}

/// Everything that a transfer runs and allocates.
#[derive(Clone, Debug)]
pub struct Plan {
    /// A step.
    pub step: StepPlan,
    /// The account of memory.
    pub bytes: Bytes,
    /// The pixels as an 8-bit picture.
    pub(super) picture: Program,
    /// What runs between two steps, and so in the step's memory.
    pub(super) passages: Vec<(Passage, Program)>,
}

impl Plan {
    /// Every program that the transfer runs: a step's, the picture's, the targets'.
    pub fn programs(&self) -> impl Iterator<Item = &Program> {
        let passages = self.passages.iter().map(|(_, program)| program);
        [&self.step.program, &self.picture].into_iter().chain(passages)
    }
}

/// Readings of the costs that may be waited for at once.
pub(super) const COST_SLOTS: usize = 2;
/// Readings of the costs that may be under way to a host that does not wait.
pub(super) const COST_MAILS: usize = 4;
/// Pictures that may be under way at once.
pub(super) const PICTURE_SLOTS: usize = 1;

/// Bytes of one reading of the costs.
pub(super) fn cost_bytes(step: &Program) -> u64 {
    4 * step.kept.len() as u64
}

/// Bytes of one 8-bit RGBA picture of `size` (width, height).
pub(super) fn picture_bytes((width, height): (u32, u32)) -> u64 {
    4 * u64::from(width) * u64::from(height)
}

/// Plans a transfer by `network` for pictures of these sides (width, height), or that lie on the device so, before they are fitted to
/// the options' size.
///
/// # Errors
/// [`Error::Option`] for options that do not make sense; [`Error::Memory`] where the device is too small, with
/// the largest size that it can hold.
pub fn plan_transfer(
    network: &Network,
    options: &Options,
    content: impl Into<SourceLayout>,
    style: impl Into<SourceLayout>,
    mean: [f32; 3],
    limits: &Limits,
) -> Result<Plan> {
    let (content, style) = (content.into(), style.into());
    let result = plan_at_size(network, options, content, style, mean, limits);
    let Err(Error::Memory { what, needed, available, .. }) = result else { return result };
    // Bisect for the largest longer side: planning is cheap.
    let largest = |limits: &Limits| {
        let sides = [content.size.0, content.size.1, style.size.0, style.size.1];
        let (mut fits, mut fails) = (0, sides.into_iter().max().unwrap_or(0));
        while fits + 1 < fails {
            let middle = fits.midpoint(fails);
            let smaller = Options { size: Size::LongerSide(middle), ..options.clone() };
            let planned = plan_at_size(network, &smaller, content, style, mean, limits);
            if planned.is_ok() { fits = middle } else { fails = middle }
        }
        fits
    };
    let mut low = limits.clone();
    low.capabilities.low_memory = true;
    let size = largest(limits);
    let low_memory = match plan_at_size(network, options, content, style, mean, &low) {
        Ok(_) => Some(LowMemoryFit::AsItIs),
        Err(_) => Some(largest(&low)).filter(|low| *low > size).map(LowMemoryFit::Size),
    };
    let remedy = Remedy::LessMemory { size: Some(size).filter(|size| *size > 0), low_memory };
    Err(Error::Memory { what, needed, available, remedy })
}

fn plan_at_size(
    network: &Network,
    options: &Options,
    content: SourceLayout,
    style: SourceLayout,
    mean: [f32; 3],
    limits: &Limits,
) -> Result<Plan> {
    let deepest = options.deepest(network)?;
    let size = options.size.fit(content.size.0, content.size.1);
    let (tape, style_layers) = step_tape(network, options, deepest, size)?;
    let program = plan(&rematerialise(&fuse(&tape)), limits)?;
    let picture = plan_picture(mean, size, limits)?;
    let mut passages = Vec::new();
    for (part, layout) in [(Part::Style, style), (Part::Content, content)] {
        passages.extend(plan_part(network, options, part, layout, mean, &program, limits)?);
    }
    // Where the content is in the processor's memory, the start is made there.
    if content.texels.is_some() && !matches!(options.init, Init::Picture(_)) {
        passages.push((Passage::Start, plan_start(options.noise_ratio(), mean, size, limits)?));
    }
    let own = passages.iter().map(|(_, program)| passage_bytes(program)).sum::<u64>();
    let shared = Arenas::planned_bytes(passages.iter().map(|(_, program)| program).chain([&program]));
    let beside = Readback::planned_bytes(cost_bytes(&program), COST_SLOTS)
        + Readback::planned_bytes(picture_bytes(size), PICTURE_SLOTS)
        + Mailbox::<()>::planned_bytes(cost_bytes(&program), COST_MAILS)
        + Stopwatch::<Passage>::planned_bytes(limits.timestamps)
        + Staging::BYTES
        + History::planned_bytes(size)
        + shared.iter().sum::<u64>()
        - program.arenas.iter().sum::<u64>();
    let bytes = program.bytes(beside + own + picture.own_bytes());
    if let Some(available) = limits.memory_bytes.filter(|available| *available < bytes.total) {
        let what = format!("painting {}x{}", size.0, size.1);
        return Err(Error::Memory {
            what,
            needed: bytes.total,
            available,
            remedy: Remedy::SmallerSize(None),
        });
    }
    Ok(Plan { step: StepPlan { program, size, style_layers }, bytes, picture, passages })
}

/// Bytes that a passage allocates beside the arenas, which it shares, the weights, which are the step's, and the pixels.
pub(super) fn passage_bytes(program: &Program) -> u64 {
    // A picture belongs to its target; what is put into it, or made from it, refers to it.
    let makes_targets = program.externals.iter().any(|external| external.role == Role::Weights);
    let own = |name: &str| name == name::TEXELS || (name == name::PICTURE && makes_targets);
    let externals = program.externals.iter().filter(|external| own(&external.name));
    program.own_bytes() - program.arenas.iter().sum::<u64>()
        + externals.map(|external| external.bytes).sum::<u64>()
}

/// The programs from a source to its targets, the targets' first: it has the picture that the other one makes.
pub(super) fn plan_part(
    network: &Network,
    options: &Options,
    part: Part,
    layout: SourceLayout,
    mean: [f32; 3],
    step: &Program,
    limits: &Limits,
) -> Result<Vec<(Passage, Program)>> {
    // The methods of the step's planes nearest in size: then the targets need no arrangement of the weights that the
    // step does not need, and the same step always has the same targets.
    let mut like_step = limits.clone();
    like_step.capabilities.methods = Arc::new(step.methods());
    let fitted = options.size.fit(layout.size.0, layout.size.1);
    let mut passages =
        vec![(Passage::Target(part), plan_target(network, options, part, mean, fitted, &like_step)?)];
    if let Some(texels) = layout.texels {
        passages.push((Passage::Intake(part), plan_intake(texels, layout.size, fitted, limits)?));
    }
    Ok(passages)
}

/// The tape of one step by `network` of a picture of `size` (width, height), before anything is merged: for those who look at
/// its ops one by one.
///
/// # Errors
/// [`Error::Option`] for options that do not make sense.
pub fn record_step(network: &Network, options: &Options, size: (u32, u32)) -> Result<Tape> {
    Ok(step_tape(network, options, options.deepest(network)?, size)?.0)
}

/// The tape of one step, with its style layers.
fn step_tape(
    network: &Network,
    options: &Options,
    deepest: usize,
    (width, height): (u32, u32),
) -> Result<(Tape, Vec<String>)> {
    let mut tape = Tape::new();
    let picture = Shape::new(3, height, width);
    let pixels = tape.external(name::PIXELS, picture, Role::Optimiser);
    let mut content_cost = None;
    let mut style_costs = Vec::new();
    let mut style_layers = Vec::new();
    network.record(&mut tape, pixels, deepest, true, |tape, layer, activations| {
        if layer == options.content_layer {
            let target = tape.external(name::CONTENT_TARGET, tape.shape(activations), Role::Workspace);
            content_cost = Some(tape.record(SquaredError::content_cost(), &[activations, target], layer)?);
        }
        if options.style_layers.iter().any(|style| style.name == layer) {
            let gram = tape.record(Gram, &[activations], layer)?;
            let target = tape.external(name::style_target(layer), tape.shape(gram), Role::Workspace);
            style_costs.push(tape.record(SquaredError::style_cost(), &[gram, target], layer)?);
            style_layers.push(layer.to_owned());
        }
        Ok(())
    })?;
    let count = style_costs.len() as u32;
    let weights = tape.external(name::COST_WEIGHTS, Shape::row(count + 2), Role::Workspace);
    let terms: Vec<TensorId> = [weights].into_iter().chain(style_costs.iter().copied()).collect();
    let style_cost = tape.record(WeightedSum { first: 0 }, &terms, "style_cost")?;
    let terms: Vec<TensorId> = [weights].into_iter().chain(content_cost).chain([style_cost]).collect();
    let total_cost = tape.record(WeightedSum { first: count }, &terms, "total_cost")?;
    tape.keep(total_cost);
    for cost in content_cost.into_iter().chain([style_cost]).chain(style_costs) {
        tape.keep(cost);
    }
    let seed = tape.external(name::SEED, Shape::SCALAR, Role::Workspace);
    let gradient = differentiate(&mut tape, total_cost, &[pixels], seed)?[0];
    let hyper = tape.external(name::HYPER, Shape::row(HYPER), Role::Workspace);
    let state = tape.external(name::STATE, Shape::row(STATE), Role::Workspace);
    let m = tape.external(name::M, picture, Role::Optimiser);
    let v = tape.external(name::V, picture, Role::Optimiser);
    let state = tape.record_update(AdamAdvance, &[hyper, state], "pixels")?;
    tape.record_update(Adam, &[hyper, state, gradient, pixels, m, v], "pixels")?;
    debug_assert!(tape.nodes().is_sorted_by_key(|node| node.phase), "{:?} comes last", Phase::Update);
    Ok((tape, style_layers))
}

/// The program that makes targets from a picture of `size`; it keeps them.
fn plan_target(
    network: &Network,
    options: &Options,
    part: Part,
    mean: [f32; 3],
    (width, height): (u32, u32),
    limits: &Limits,
) -> Result<Program> {
    let wanted = |layer: &str| match part {
        Part::Content => layer == options.content_layer,
        Part::Style => options.style_layers.iter().any(|style| style.name == layer),
    };
    let deepest = network.layers().iter().rposition(|layer| wanted(layer.name()));
    let mut tape = Tape::new();
    let picture = tape.external(name::PICTURE, Shape::new(1, height, width), Role::Workspace);
    let pixels = tape.record(Preprocess { mean }, &[picture], name::PICTURE)?;
    network.record(&mut tape, pixels, deepest.unwrap_or(0), false, |tape, layer, activations| {
        if wanted(layer) {
            let kept = match part {
                Part::Content => activations,
                Part::Style => tape.record(Gram, &[activations], layer)?,
            };
            tape.keep(kept);
        }
        Ok(())
    })?;
    plan(&fuse(&tape), limits)
}

/// The program that makes an 8-bit picture of the size `fitted` from a host's texels; it keeps it. Sizes are (width,
/// height).
fn plan_intake(
    (format, pitch): (TexelFormat, u32),
    (width, height): (u32, u32),
    fitted: (u32, u32),
    limits: &Limits,
) -> Result<Program> {
    let mut tape = Tape::new();
    let texels = tape.external(name::TEXELS, Shape::new(1, height, pitch), Role::Workspace);
    let mut picture = tape.record(DecodeTexels { format, width }, &[texels], name::PICTURE)?;
    if fitted != (width, height) {
        let (width, height) = fitted;
        picture = tape.record(Resample { height, width }, &[picture], name::PICTURE)?;
    }
    tape.keep(picture);
    plan(&tape, limits)
}

/// The program that makes the pixels of the start from the content's 8-bit picture and, where there is any, the noise
/// that the pixels hold; it keeps them.
fn plan_start(
    noise_ratio: f32,
    mean: [f32; 3],
    (width, height): (u32, u32),
    limits: &Limits,
) -> Result<Program> {
    let mut tape = Tape::new();
    let picture = tape.external(name::PICTURE, Shape::new(1, height, width), Role::Workspace);
    let mut start = tape.record(Preprocess { mean }, &[picture], name::PIXELS)?;
    if noise_ratio > 0.0 {
        let noise = tape.external(name::PIXELS, Shape::new(3, height, width), Role::Optimiser);
        start = tape.record(Mix { ratio: noise_ratio }, &[noise, start], name::PIXELS)?;
    }
    tape.keep(start);
    plan(&tape, limits)
}

/// The program that makes texels for a host's texture from the pixels; it keeps them.
pub(super) fn plan_outlet(
    format: TexelFormat,
    pitch: u32,
    mean: [f32; 3],
    (width, height): (u32, u32),
    limits: &Limits,
) -> Result<Program> {
    let mut tape = Tape::new();
    let pixels = tape.external(name::PIXELS, Shape::new(3, height, width), Role::Optimiser);
    let picture = tape.record(Postprocess { mean }, &[pixels], name::PICTURE)?;
    let texels = tape.record(EncodeTexels { format, pitch }, &[picture], name::TEXELS)?;
    tape.keep(texels);
    plan(&tape, limits)
}

/// The program that makes the activations of a layer from the pixels of a picture of this size (width, height); it
/// keeps them.
pub(super) fn plan_activations(
    network: &Network,
    layer: &str,
    (width, height): (u32, u32),
    limits: &Limits,
) -> Result<Program> {
    let mut tape = Tape::new();
    let pixels = tape.external(name::PIXELS, Shape::new(3, height, width), Role::Optimiser);
    let deepest = network.index_of(layer).unwrap_or(0);
    network.record(&mut tape, pixels, deepest, false, |tape, here, activations| {
        if here == layer {
            tape.keep(activations);
        }
        Ok(())
    })?;
    plan(&fuse(&tape), limits)
}

/// The program that turns the pixels into an 8-bit picture; it keeps it.
fn plan_picture(mean: [f32; 3], (width, height): (u32, u32), limits: &Limits) -> Result<Program> {
    let mut tape = Tape::new();
    let pixels = tape.external(name::PIXELS, Shape::new(3, height, width), Role::Optimiser);
    let picture = tape.record(Postprocess { mean }, &[pixels], name::PICTURE)?;
    tape.keep(picture);
    plan(&tape, limits)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    use crate::nn::{PoolKind, vgg19};
    use crate::ops::{Capabilities, DeviceClass, MethodRequest, Precision};
    use crate::transfer::Preset;

    #[test]
    fn targets_find_room_in_the_memory_of_a_step() {
        let capabilities = Capabilities {
            max_binding_bytes: 128 << 20,
            subgroups: Some((8, 8)),
            class: DeviceClass::Software,
            request: MethodRequest::Auto,
            methods: Arc::default(),
            low_memory: false,
            precision: Precision::F32,
        };
        let limits = Limits {
            capabilities,
            max_buffer_bytes: 2 << 30,
            memory_bytes: None,
            alignment: 256,
            uniform_alignment: 256,
            slice_work: 1 << 32,
            timestamps: false,
        };
        for size in [(400, 300), (1024, 768)] {
            let options = Options { size: Size::LongerSide(size.0), ..Options::preset(Preset::Course) };
            let network = vgg19(PoolKind::Mean);
            let planned = plan_transfer(&network, &options, size, size, [0.0; 3], &limits).unwrap();
            let own = planned.step.program.arenas.iter().sum::<u64>();
            let passages = planned.passages.iter().map(|(_, program)| program);
            let shared: u64 = Arenas::planned_bytes(passages.chain([&planned.step.program])).iter().sum();
            assert!(shared < own + own / 5, "{size:?}: {shared} bytes for all, {own} for a step");
        }
    }
}
