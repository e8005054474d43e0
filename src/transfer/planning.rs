//! The tapes of a transfer and their plans: pure functions of the options, the sizes and the device's limits.

use super::options::Options;
use crate::error::{Error, Result};
use crate::graph::{Limits, Phase, Program, Role, Tape, TensorId, differentiate, fuse, plan};
use crate::nn::record_vgg19;
use crate::ops::adam::{Adam, AdamAdvance, HYPER, STATE};
use crate::ops::gram::Gram;
use crate::ops::preprocess::{Postprocess, Preprocess};
use crate::ops::squared_error::SquaredError;
use crate::ops::weighted_sum::WeightedSum;
use crate::ops::Shape;
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

/// Which tensors a step keeps, in this order: total, content and style cost, then one cost a style layer.
pub type Layers = Vec<String>;

/// The plan of one step, with what the caller must know to read its results.
#[derive(Clone, Debug)]
pub struct StepPlan {
    /// The program of a step: forward, backward, Adam.
    pub program: Program,
    /// Width and height of the picture that is optimised.
    pub size: (u32, u32),
    /// The style layers in the network's order: the order of their weights and costs.
    pub style_layers: Layers,
}

/// Plans a step for a content of `size` (width, height), already fitted.
///
/// # Errors
/// [`Error::Option`] for options that do not make sense; [`Error::Memory`] where the device is too small, with
/// the largest size that it can hold.
pub fn plan_step(options: &Options, size: (u32, u32), limits: &Limits) -> Result<StepPlan> {
    let deepest = options.deepest()?;
    let planned = plan_size(options, deepest, size, limits);
    let Err(Error::Memory { what, needed, available, .. }) = planned else { return planned };
    // Bisect for the largest longer side that can be planned: planning is cheap.
    let (mut fits, mut fails) = (0, size.0.max(size.1));
    while fits + 1 < fails {
        let middle = fits.midpoint(fails);
        let smaller = Size::LongerSide(middle).fit(size.0, size.1);
        if plan_size(options, deepest, smaller, limits).is_ok() { fits = middle } else { fails = middle }
    }
    let remedy = format!("the largest that this device can hold is --size {fits}");
    Err(Error::Memory { what, needed, available, remedy })
}

fn plan_size(options: &Options, deepest: usize, size: (u32, u32), limits: &Limits) -> Result<StepPlan> {
    let (tape, style_layers) = step_tape(options, deepest, size)?;
    let program = plan(&fuse(&tape), limits)?;
    Ok(StepPlan { program, size, style_layers })
}

/// The tape of one step.
fn step_tape(options: &Options, deepest: usize, (width, height): (u32, u32)) -> Result<(Tape, Layers)> {
    let mut tape = Tape::new();
    let picture = Shape::new(3, height, width);
    let pixels = tape.external(name::PIXELS, picture, Role::Optimiser);
    let mut content_cost = None;
    let mut style_costs = Vec::new();
    let mut style_layers = Layers::new();
    record_vgg19(&mut tape, pixels, deepest, |tape, layer, activations| {
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
pub(super) enum Target {
    /// The content layer's activations.
    Content,
    /// The Gram matrices of the style layers, in the network's order.
    Style,
}

/// The program that makes targets from a picture of `size`; it keeps them.
pub(super) fn plan_target(
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
    record_vgg19(&mut tape, pixels, deepest.unwrap_or(0), |tape, layer, activations| {
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

/// The program that turns the pixels into an 8-bit picture; it keeps it.
pub(super) fn plan_picture(mean: [f32; 3], (width, height): (u32, u32), limits: &Limits) -> Result<Program> {
    let mut tape = Tape::new();
    let pixels = tape.external(name::PIXELS, Shape::new(3, height, width), Role::Optimiser);
    let picture = tape.record(Postprocess { mean }, &[pixels], name::PICTURE)?;
    tape.keep(picture);
    plan(&tape, limits)
}
