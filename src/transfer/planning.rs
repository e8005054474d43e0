//! The tapes of a transfer and their plans: pure functions of the options, the sizes and the device's limits.

use std::sync::Arc;

use super::history::History;
use super::options::Options;
use crate::error::{Error, Result};
use crate::gpu::Readback;
use crate::graph::{
    Bytes, Limits, Phase, Program, Role, Tape, TensorId, differentiate, fuse, plan, rematerialise,
};
use crate::nn::record_vgg19;
use crate::ops::Shape;
use crate::ops::adam::{Adam, AdamAdvance, HYPER, STATE};
use crate::ops::gram::Gram;
use crate::ops::preprocess::{Postprocess, Preprocess};
use crate::ops::squared_error::SquaredError;
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

/// Everything that a transfer runs and allocates.
#[derive(Clone, Debug)]
pub struct Plan {
    /// A step.
    pub step: StepPlan,
    /// The account of memory.
    pub bytes: Bytes,
    /// The pixels as an 8-bit picture.
    pub(super) picture: Program,
    /// The style's and the content's targets.
    pub(super) targets: [Program; 2],
}

impl Plan {
    /// Every program that the transfer runs: a step's, the picture's, the targets'.
    pub fn programs(&self) -> impl Iterator<Item = &Program> {
        [&self.step.program, &self.picture].into_iter().chain(&self.targets)
    }
}

/// Readings of the costs that may be under way at once.
pub(super) const COST_SLOTS: usize = 2;
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

/// Plans a transfer for pictures of these sides (width, height), before they are fitted to the options' size.
///
/// # Errors
/// [`Error::Option`] for options that do not make sense; [`Error::Memory`] where the device is too small, with
/// the largest size that it can hold.
pub fn plan_transfer(
    options: &Options,
    content: (u32, u32),
    style: (u32, u32),
    mean: [f32; 3],
    limits: &Limits,
) -> Result<Plan> {
    let result = plan_at_size(options, content, style, mean, limits);
    let Err(Error::Memory { what, needed, available, .. }) = result else { return result };
    // Bisect for the largest longer side: planning is cheap.
    let largest = |limits: &Limits| {
        let (mut fits, mut fails) = (0, content.0.max(content.1).max(style.0).max(style.1));
        while fits + 1 < fails {
            let middle = fits.midpoint(fails);
            let smaller = Options { size: Size::LongerSide(middle), ..options.clone() };
            let planned = plan_at_size(&smaller, content, style, mean, limits);
            if planned.is_ok() { fits = middle } else { fails = middle }
        }
        fits
    };
    let mut low = limits.clone();
    low.capabilities.low_memory = true;
    let fits = largest(limits);
    let remedy = match (fits, plan_at_size(options, content, style, mean, &low).is_ok()) {
        (0, true) => "take --low-memory, with which it fits".to_owned(),
        (fits, true) => format!("take --low-memory, with which it fits, or at most --size {fits}"),
        (fits, false) => match (fits, largest(&low)) {
            (0, 0) => "no size fits; use an adapter with more memory (see `impasto devices`)".to_owned(),
            (0, low) => format!("take at most --size {low} with --low-memory"),
            (fits, low) if low > fits => {
                format!("take at most --size {low} with --low-memory, or --size {fits} without")
            }
            (fits, _) => format!("the largest that this device can hold is --size {fits}"),
        },
    };
    Err(Error::Memory { what, needed, available, remedy })
}

fn plan_at_size(
    options: &Options,
    content: (u32, u32),
    style: (u32, u32),
    mean: [f32; 3],
    limits: &Limits,
) -> Result<Plan> {
    let deepest = options.deepest()?;
    let fit = |(width, height)| options.size.fit(width, height);
    let size = fit(content);
    let (tape, style_layers) = step_tape(options, deepest, size)?;
    let program = plan(&rematerialise(&fuse(&tape)), limits)?;
    let picture = plan_picture(mean, size, limits)?;
    // The methods of the step's planes nearest in size: then the targets need no arrangement of the weights that the
    // step does not need, and the same step always has the same targets.
    let mut like_step = limits.clone();
    like_step.capabilities.choices = Arc::new(program.convolutions());
    let targets = [
        plan_target(options, Target::Style, mean, fit(style), &like_step)?,
        plan_target(options, Target::Content, mean, size, &like_step)?,
    ];
    let beside = Readback::planned_bytes(cost_bytes(&program), COST_SLOTS)
        + Readback::planned_bytes(picture_bytes(size), PICTURE_SLOTS)
        + History::planned_bytes(size);
    let bytes = program.bytes(beside + picture.own_bytes());
    // A target's own memory is free again before the step's is asked for; the weights, among which are all of the
    // targets', stay.
    let with_weights = |target: &Program| {
        let Bytes { weights, total, .. } = target.bytes(0);
        bytes.weights + total - weights
    };
    let most = targets.iter().map(with_weights).fold(bytes.total, u64::max);
    if let Some(available) = limits.memory_bytes.filter(|available| *available < most) {
        let what = format!("painting {}x{}", size.0, size.1);
        return Err(Error::Memory {
            what,
            needed: most,
            available,
            remedy: "choose a smaller --size".into(),
        });
    }
    Ok(Plan { step: StepPlan { program, size, style_layers }, bytes, picture, targets })
}

/// The tape of one step of a picture of `size` (width, height), before anything is merged: for those who look at
/// its ops one by one.
///
/// # Errors
/// [`Error::Option`] for options that do not make sense.
pub fn record_step(options: &Options, size: (u32, u32)) -> Result<Tape> {
    Ok(step_tape(options, options.deepest()?, size)?.0)
}

/// The tape of one step, with its style layers.
fn step_tape(options: &Options, deepest: usize, (width, height): (u32, u32)) -> Result<(Tape, Vec<String>)> {
    let mut tape = Tape::new();
    let picture = Shape::new(3, height, width);
    let pixels = tape.external(name::PIXELS, picture, Role::Optimiser);
    let mut content_cost = None;
    let mut style_costs = Vec::new();
    let mut style_layers = Vec::new();
    record_vgg19(&mut tape, pixels, deepest, true, |tape, layer, activations| {
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
    let gradient = differentiate(&mut tape, total_cost, pixels, seed)?;
    let hyper = tape.external(name::HYPER, Shape::row(HYPER), Role::Workspace);
    let state = tape.external(name::STATE, Shape::row(STATE), Role::Workspace);
    let m = tape.external(name::M, picture, Role::Optimiser);
    let v = tape.external(name::V, picture, Role::Optimiser);
    let state = tape.record_update(AdamAdvance, &[hyper, state], "pixels")?;
    tape.record_update(Adam, &[hyper, state, gradient, pixels, m, v], "pixels")?;
    debug_assert!(tape.nodes().is_sorted_by_key(|node| node.phase), "{:?} comes last", Phase::Update);
    Ok((tape, style_layers))
}

/// What is taken from a picture as a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// The content layer's activations.
    Content,
    /// The Gram matrices of the style layers, in the network's order.
    Style,
}

/// The program that makes targets from a picture of `size`; it keeps them.
fn plan_target(
    options: &Options,
    target: Target,
    mean: [f32; 3],
    (width, height): (u32, u32),
    limits: &Limits,
) -> Result<Program> {
    let wanted = |layer: &str| match target {
        Target::Content => layer == options.content_layer,
        Target::Style => options.style_layers.iter().any(|style| style.name == layer),
    };
    let names = crate::nn::VGG19.iter().map(|layer| layer.name);
    let deepest = names.enumerate().filter(|(_, layer)| wanted(layer)).map(|(index, _)| index).next_back();
    let mut tape = Tape::new();
    let picture = tape.external(name::PICTURE, Shape::new(1, height, width), Role::Workspace);
    let pixels = tape.record(Preprocess { mean }, &[picture], name::PICTURE)?;
    record_vgg19(&mut tape, pixels, deepest.unwrap_or(0), false, |tape, layer, activations| {
        if wanted(layer) {
            let kept = match target {
                Target::Content => activations,
                Target::Style => tape.record(Gram, &[activations], layer)?,
            };
            tape.keep(kept);
        }
        Ok(())
    })?;
    plan(&fuse(&tape), limits)
}

/// The program that makes the activations of a layer from the pixels of a picture of this size (width, height); it
/// keeps them.
pub(super) fn plan_activations(layer: &str, (width, height): (u32, u32), limits: &Limits) -> Result<Program> {
    let mut tape = Tape::new();
    let pixels = tape.external(name::PIXELS, Shape::new(3, height, width), Role::Optimiser);
    let deepest = crate::nn::index_of(layer).unwrap_or(0);
    record_vgg19(&mut tape, pixels, deepest, false, |tape, here, activations| {
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

    use crate::ops::{Capabilities, DeviceClass, KernelChoice, Precision};
    use crate::transfer::Preset;

    #[test]
    fn targets_take_less_than_a_step() {
        let capabilities = Capabilities {
            max_binding_bytes: 128 << 20,
            subgroups: Some((8, 8)),
            class: DeviceClass::Software,
            choice: KernelChoice::Auto,
            choices: Arc::default(),
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
        };
        for size in [(400, 300), (1024, 768)] {
            let options = Options { size: Size::LongerSide(size.0), ..Options::preset(Preset::Course) };
            let planned = plan_transfer(&options, size, size, [0.0; 3], &limits).unwrap();
            let own = |bytes: Bytes| bytes.total - bytes.weights;
            let step = own(planned.bytes);
            for target in &planned.targets {
                let target = own(target.bytes(0));
                assert!(target < step, "{size:?}: {target} bytes for a target, {step} for a step");
            }
        }
    }
}
