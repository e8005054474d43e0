//! The tapes of a transfer and their plans: pure functions of the options, the sizes and the device's limits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::history::History;
use super::objective::Objective;
use super::optimiser::Optimiser;
use super::options::{Init, Options};
use super::sources::{SourceId, SourceLayouts};
use crate::error::{Error, LowMemoryFit, Remedy, Result};
use crate::gpu::{Mailbox, Readback, Staging, Stopwatch};
use crate::graph::{
    Arenas, Bytes, Limits, Phase, Program, Role, Tape, TensorId, differentiate, fuse, plan, rematerialise,
};
use crate::nn::Network;
use crate::ops::Shape;
use crate::ops::preprocess::{MEAN_SHAPE, Postprocess, Preprocess};
use crate::ops::resample::Resample;
use crate::ops::start::{LEVELS_SHAPE, Start};
use crate::ops::texels::{DecodeTexels, EncodeTexels, TexelFormat};
use crate::picture::Size;

/// Name of the pixels (3, H, W) among the externals of every program that reads or makes them.
pub(super) const PIXELS: &str = "pixels";
/// Name of the scalar that the gradient is seeded with.
pub(super) const SEED: &str = "cost.seed";
/// Name of the colour that the network takes for zero, (1, 1, 3).
pub(super) const MEAN: &str = "mean";
/// Name of the levels that the start adds noise to: [`crate::ops::start::levels`].
pub(super) const START_LEVELS: &str = "start.levels";
/// What is recorded for the pixels belongs to this layer.
const PICTURE_LAYER: &str = "picture";

/// Name of a source's 8-bit picture (1, H, W).
pub(super) fn picture_name(source: SourceId) -> String {
    format!("picture.{source}")
}

/// Name of a source's texels, as a host's texture or buffer has them.
pub(super) fn texels_name(source: SourceId) -> String {
    format!("texels.{source}")
}

/// A program of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum ProgramId {
    /// A step.
    Step,
    /// From the pixels to an 8-bit picture.
    Picture,
    /// From the pixels to texels for a host's texture.
    Output(TexelFormat),
    /// From a host's texels to an 8-bit picture of the right size.
    Intake(SourceId),
    /// From an 8-bit picture to what the costs read of it: their targets, or a mask's guidance.
    Target(SourceId),
    /// From an 8-bit picture, and noise, to the pixels of the start.
    Start,
}

impl ProgramId {
    /// Whether it runs in the memory of a step. What a host may record in the middle of a step does not.
    pub(super) fn shares_arenas(self) -> bool {
        match self {
            Self::Step | Self::Intake(_) | Self::Target(_) | Self::Start => true,
            Self::Picture | Self::Output(_) => false,
        }
    }

    /// Whether it is there for this source.
    pub(super) fn serves(self, source: SourceId) -> bool {
        matches!(self, Self::Intake(served) | Self::Target(served) if served == source)
    }
}

/// A program with the places of its results.
#[derive(Clone, Debug, Default)]
pub(super) struct PlannedProgram {
    pub(super) program: Program,
    /// For each tensor that it keeps the external that it is copied to when the program has run.
    pub(super) results: Vec<String>,
}

/// The plan of one step.
#[derive(Clone, Debug)]
pub struct StepPlan {
    /// The program of a step: forward, backward, optimiser. It keeps the total cost, then for each group its cost and
    /// those of its terms.
    pub program: Program,
    /// Width and height of the picture that is optimised.
    pub size: (u32, u32),
}

/// Everything that a transfer runs and allocates.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Plan {
    /// A step.
    pub step: StepPlan,
    /// What is minimised.
    pub objective: Objective,
    /// The account of memory.
    pub bytes: Bytes,
    /// The other programs.
    pub(super) others: BTreeMap<ProgramId, PlannedProgram>,
}

impl Plan {
    /// Plans a transfer of pictures with these layouts within `limits`, by `network`. No
    /// device has to be there; with one, see [`super::Transfer::plan`].
    ///
    /// # Errors
    /// [`Error::Option`] for options that do not make sense; [`Error::Memory`] where the device is too small, with
    /// the largest size that it can hold.
    pub fn new(
        network: &Network,
        options: &Options,
        sources: impl Into<SourceLayouts>,
        limits: &Limits,
    ) -> Result<Self> {
        let sources = sources.into();
        let result = Planner::new(network, options, &sources, limits)?.plan();
        let Err(Error::Memory { what, needed, available, .. }) = result else { return result };
        let fits = |size: Size, limits: &Limits| {
            let smaller = Options { size, ..options.clone() };
            Planner::new(network, &smaller, &sources, limits).and_then(|planner| planner.plan()).is_ok()
        };
        // Bisect for the largest longer side: planning is cheap.
        let largest = |limits: &Limits| {
            let sides = sources.ids().filter_map(|id| sources.get(id)).map(|layout| layout.size);
            let (mut smallest, mut fails) = (0, sides.map(|size| size.0.max(size.1)).max().unwrap_or(0));
            while smallest + 1 < fails {
                let middle = smallest.midpoint(fails);
                if fits(Size::LongerSide(middle), limits) { smallest = middle } else { fails = middle }
            }
            smallest
        };
        let mut low = limits.clone();
        low.capabilities.low_memory = true;
        let size = largest(limits);
        let low_memory = if fits(options.size, &low) {
            Some(LowMemoryFit::AsItIs)
        } else {
            Some(largest(&low)).filter(|low| *low > size).map(LowMemoryFit::Size)
        };
        let remedy = Remedy::LessMemory { size: Some(size).filter(|size| *size > 0), low_memory };
        Err(Error::Memory { what, needed, available, remedy })
    }

    /// Every program that the transfer runs: a step's, the picture's, the targets'.
    pub fn programs(&self) -> impl Iterator<Item = &Program> {
        let others = self.others.values().map(|planned| &planned.program);
        std::iter::once(&self.step.program).chain(others)
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

/// The tape of one step by `network` of a picture of `size` (width, height), before anything is merged: for those who look at
/// its ops one by one.
///
/// # Errors
/// [`Error::Option`] for options that do not make sense.
pub fn step_tape(network: &Network, options: &Options, size: (u32, u32)) -> Result<Tape> {
    options.validate(network)?;
    let styles = SourceLayouts::from((size, size)).styles;
    record_step(network, &Objective::of(network, options, &styles), Optimiser::of(options), size)
}

fn record_step(
    network: &Network,
    objective: &Objective,
    optimiser: Optimiser,
    (width, height): (u32, u32),
) -> Result<Tape> {
    let mut tape = Tape::new();
    let pixels = tape.external(PIXELS, Shape::new(3, height, width), Role::Optimiser);
    let seen = objective.record_cover(&mut tape, pixels)?;
    let total = objective.record(network, &mut tape, seen)?;
    let seed = tape.external(SEED, Shape::SCALAR, Role::Workspace);
    let gradient = differentiate(&mut tape, total, &[pixels], seed)?[0];
    optimiser.record(&mut tape, pixels, gradient)?;
    debug_assert!(tape.nodes().is_sorted_by_key(|node| node.phase), "{:?} comes last", Phase::Update);
    Ok(tape)
}

/// What the programs of one transfer have in common.
pub(super) struct Planner<'a> {
    network: &'a Network,
    options: &'a Options,
    objective: Objective,
    sources: &'a SourceLayouts,
    limits: &'a Limits,
    /// Width and height of the painting.
    size: (u32, u32),
}

impl<'a> Planner<'a> {
    /// # Errors
    /// [`Error::Option`] for options that do not make sense.
    pub(super) fn new(
        network: &'a Network,
        options: &'a Options,
        sources: &'a SourceLayouts,
        limits: &'a Limits,
    ) -> Result<Self> {
        options.validate(network)?;
        sources.validate(options)?;
        let objective = Objective::of(network, options, &sources.styles);
        let size = sources.fitted(SourceId::Content, options.size);
        Ok(Self { network, options, objective, sources, limits, size })
    }

    fn plan(self) -> Result<Plan> {
        let tape = record_step(self.network, &self.objective, Optimiser::of(self.options), self.size)?;
        let program = plan(&rematerialise(&fuse(&tape)), self.limits)?;
        let mut others = BTreeMap::new();
        others.insert(ProgramId::Picture, self.picture()?);
        for source in self.sources.ids() {
            others.extend(self.source(source, &program)?);
        }
        others.insert(ProgramId::Start, self.start()?);
        let bytes = self.bytes(&program, &others);
        if let Some(available) = self.limits.memory_bytes.filter(|available| *available < bytes.total) {
            let (width, height) = self.size;
            return Err(Error::Memory {
                what: format!("painting {width}x{height}"),
                needed: bytes.total,
                available,
                remedy: Remedy::SmallerSize(None),
            });
        }
        let step = StepPlan { program, size: self.size };
        Ok(Plan { step, objective: self.objective, bytes, others })
    }

    /// The account of memory: a step's, and what the other programs and the way of values to and from the device add.
    fn bytes(&self, step: &Program, others: &BTreeMap<ProgramId, PlannedProgram>) -> Bytes {
        let arena_bytes = |program: &Program| program.arenas.iter().sum::<u64>();
        let sharing = others.iter().filter(|(id, _)| id.shares_arenas()).map(|(_, planned)| &planned.program);
        let shared = Arenas::planned_bytes(sharing.chain([step])).iter().sum::<u64>();
        let own = others.iter().map(|(id, planned)| {
            let shared = if id.shares_arenas() { arena_bytes(&planned.program) } else { 0 };
            planned.program.own_bytes() - shared
        });
        // Every tensor from outside is there once, by its name. Weights are the engine's.
        let in_step = step.externals.iter().map(|external| (&external.name, external.piece));
        let mut known: BTreeSet<_> = in_step.collect();
        let externals = others.values().flat_map(|planned| &planned.program.externals);
        let beside_step = externals.filter(|external| {
            external.role != Role::Weights && known.insert((&external.name, external.piece))
        });
        let other = own.sum::<u64>()
            + beside_step.map(|external| external.bytes).sum::<u64>()
            + (shared - arena_bytes(step))
            + Readback::planned_bytes(cost_bytes(step), COST_SLOTS)
            + Readback::planned_bytes(picture_bytes(self.size), PICTURE_SLOTS)
            + Mailbox::<()>::planned_bytes(cost_bytes(step), COST_MAILS)
            + Stopwatch::<ProgramId>::planned_bytes(self.limits.timestamps)
            + Staging::BYTES
            + History::planned_bytes(self.size);
        step.bytes(other)
    }

    /// The programs that a source needs: to its targets, where there are any, and before that from a host's texels to
    /// its picture.
    pub(super) fn source(
        &self,
        source: SourceId,
        step: &Program,
    ) -> Result<Vec<(ProgramId, PlannedProgram)>> {
        let Some(layout) = self.sources.get(source) else { return Ok(Vec::new()) };
        if source == SourceId::Initial && self.start_source() != source {
            return Ok(Vec::new());
        }
        let fitted = self.sources.fitted(source, self.options.size);
        let mut programs = Vec::new();
        if self.objective.reads(source) {
            programs.push((ProgramId::Target(source), self.target(source, fitted, step)?));
        }
        if let Some(texels) = layout.texels {
            programs.push((ProgramId::Intake(source), self.intake(source, layout.size, texels, fitted)?));
        }
        Ok(programs)
    }

    /// Makes what the costs read of a picture of `fitted` (width, height): their targets, or a mask's guidance.
    fn target(
        &self,
        source: SourceId,
        (width, height): (u32, u32),
        step: &Program,
    ) -> Result<PlannedProgram> {
        // The methods of the step's planes nearest in size: then the targets need no arrangement of the weights that the
        // step does not need, and the same step always has the same targets.
        let mut like_step = self.limits.clone();
        like_step.capabilities.methods = Arc::new(step.methods());
        let mut tape = Tape::new();
        let picture = tape.external(picture_name(source), Shape::new(1, height, width), Role::Workspace);
        let results = if let SourceId::StyleMask(_) = source {
            self.objective.record_guidance(self.network, &mut tape, picture, source)?
        } else {
            let mean = tape.external(MEAN, MEAN_SHAPE, Role::Workspace);
            let pixels = tape.record(Preprocess, &[picture, mean], PICTURE_LAYER)?;
            self.objective.record_targets(self.network, &mut tape, pixels, source)?
        };
        Ok(PlannedProgram { program: plan(&fuse(&tape), &like_step)?, results })
    }

    /// Makes an 8-bit picture of the size `fitted` from a host's texels, their format and the words between two rows.
    /// Sizes are (width, height).
    fn intake(
        &self,
        source: SourceId,
        (width, height): (u32, u32),
        (format, pitch): (TexelFormat, u32),
        fitted: (u32, u32),
    ) -> Result<PlannedProgram> {
        let mut tape = Tape::new();
        let texels = tape.external(texels_name(source), Shape::new(1, height, pitch), Role::Workspace);
        let mut picture = tape.record(DecodeTexels { format, width }, &[texels], PICTURE_LAYER)?;
        if fitted != (width, height) {
            let (width, height) = fitted;
            picture = tape.record(Resample { height, width }, &[picture], PICTURE_LAYER)?;
        }
        tape.keep(picture);
        Ok(PlannedProgram { program: plan(&tape, self.limits)?, results: vec![picture_name(source)] })
    }

    /// The picture that the pixels start from.
    fn start_source(&self) -> SourceId {
        match self.options.init {
            Init::Noise | Init::Content => SourceId::Content,
            Init::Picture => SourceId::Initial,
        }
    }

    /// Makes the pixels of the start: R·noise + (1 − R)·(picture − mean).
    fn start(&self) -> Result<PlannedProgram> {
        let (width, height) = self.size;
        let mut tape = Tape::new();
        let picture =
            tape.external(picture_name(self.start_source()), Shape::new(1, height, width), Role::Workspace);
        let ratio = self.options.noise_ratio();
        let start = if ratio > 0.0 {
            // The noise lies where the start will: nothing is allocated for it.
            let noise = tape.external(PIXELS, Shape::new(3, height, width), Role::Optimiser);
            let levels = tape.external(START_LEVELS, LEVELS_SHAPE, Role::Workspace);
            tape.record(Start { ratio }, &[noise, picture, levels], PIXELS)?
        } else {
            let mean = tape.external(MEAN, MEAN_SHAPE, Role::Workspace);
            tape.record(Preprocess, &[picture, mean], PIXELS)?
        };
        tape.keep(start);
        Ok(PlannedProgram { program: plan(&tape, self.limits)?, results: vec![PIXELS.to_owned()] })
    }

    /// Makes an 8-bit picture from the pixels.
    fn picture(&self) -> Result<PlannedProgram> {
        let (mut tape, picture) = self.postprocessed()?;
        tape.keep(picture);
        Ok(PlannedProgram { program: plan(&tape, self.limits)?, results: Vec::new() })
    }

    /// Makes texels for a host's texture from the pixels.
    pub(super) fn output(&self, format: TexelFormat, pitch: u32) -> Result<PlannedProgram> {
        let (mut tape, picture) = self.postprocessed()?;
        let texels = tape.record(EncodeTexels { format, pitch }, &[picture], PICTURE_LAYER)?;
        tape.keep(texels);
        Ok(PlannedProgram { program: plan(&tape, self.limits)?, results: Vec::new() })
    }

    fn postprocessed(&self) -> Result<(Tape, TensorId)> {
        let (width, height) = self.size;
        let mut tape = Tape::new();
        let pixels = tape.external(PIXELS, Shape::new(3, height, width), Role::Optimiser);
        let mean = tape.external(MEAN, MEAN_SHAPE, Role::Workspace);
        let seen = self.objective.record_cover(&mut tape, pixels)?;
        let picture = tape.record(Postprocess { rounded: false }, &[seen, mean], PICTURE_LAYER)?;
        Ok((tape, picture))
    }
}

/// The program that makes the activations of a layer from the pixels of a picture of this size (width, height), as a step
/// for `objective` sees them; it keeps them.
pub(super) fn plan_activations(
    network: &Network,
    objective: &Objective,
    layer: &str,
    (width, height): (u32, u32),
    limits: &Limits,
) -> Result<Program> {
    let mut tape = Tape::new();
    let pixels = tape.external(PIXELS, Shape::new(3, height, width), Role::Optimiser);
    let seen = objective.record_cover(&mut tape, pixels)?;
    let deepest = network.index_of(layer).unwrap_or(0);
    network.record(&mut tape, seen, deepest, false, |tape, here, activations| {
        if here == layer {
            tape.keep(activations);
        }
        Ok(())
    })?;
    plan(&fuse(&tape), limits)
}
