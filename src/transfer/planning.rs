//! The tapes of a transfer and their plans: pure functions of the options, the sizes and the device's limits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::colours::{PICTURE_LAYER, colours_name};
use super::history::History;
use super::look_up::record_look_up;
use super::objective::Objective;
use super::optimiser::{Optimiser, PIXELS, record_mean};
use super::options::{Init, Options};
use super::scales::Scales;
use super::sources::{SourceId, SourceLayouts};
use crate::error::{Error, LowMemoryFit, Remedy, Result};
use crate::gpu::{Mailbox, Readback, Staging, Stopwatch};
use crate::graph::{
    Arenas, Bytes, Limits, Phase, Program, Role, Tape, TensorId, differentiate, fuse, plan, rematerialise,
};
use crate::nn::Network;
use crate::ops::Shape;
use crate::ops::add::Mix;
use crate::ops::preprocess::{ClampPixels, Postprocess, ResizePostprocess};
use crate::ops::resample::Resample;
use crate::ops::resize::{Filter, Resize};
use crate::ops::start::{LEVELS_SHAPE, Start};
use crate::ops::texels::{DecodeTexels, EncodeTexels, TexelFormat};
use crate::picture::Size;

/// Name of the scalar that the gradient is seeded with.
pub(super) const SEED: &str = "cost.seed";
/// Name of the levels that the start adds noise to: [`crate::ops::start::levels`].
pub(super) const START_LEVELS: &str = "start.levels";
/// Share of the pixels in what is looked up in a style; the rest is the content.
const QUERY_SHARE: f32 = 0.5;

/// Name of a source's 8-bit picture (1, H, W).
pub(super) fn picture_name(source: SourceId) -> String {
    format!("picture.{source}")
}

/// Name of a source's texels, as a host's texture or buffer has them.
pub(super) fn texels_name(source: SourceId) -> String {
    format!("texels.{source}")
}

/// A program of a transfer: what it does, and at which of the sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ProgramId {
    /// The number of the size, from the coarsest.
    pub(super) scale: usize,
    /// What it does.
    pub(super) kind: ProgramKind,
}

/// What a program does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum ProgramKind {
    /// A step; `refreshes`: one that also makes anew what other steps go on with.
    Step { refreshes: bool },
    /// From the pixels to an 8-bit picture.
    Picture,
    /// From the pixels to what that picture shows, before it is brought to 8 bits.
    Wide,
    /// From the pixels to texels for a host's texture.
    Output(TexelFormat),
    /// From a host's texels to an 8-bit picture of the right size.
    Intake(SourceId),
    /// From the pixels and the content to the places of a style that they are like.
    LookUp(SourceId),
    /// From an 8-bit picture to what the costs read of it: their targets, or a mask's guidance.
    Target(SourceId),
    /// From an 8-bit picture, and noise, to the pixels of the start.
    Start,
    /// From the pixels and the optimiser's state of the size before to those of this one.
    Enlarge,
}

impl ProgramKind {
    /// Whether it runs in the memory of a step. What a host may record in the middle of a step does not.
    pub(super) fn shares_arenas(self) -> bool {
        match self {
            Self::Step { .. }
            | Self::Intake(_)
            | Self::LookUp(_)
            | Self::Target(_)
            | Self::Start
            | Self::Enlarge => true,
            Self::Picture | Self::Wide | Self::Output(_) => false,
        }
    }

    /// What it is called in a profile.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Step { refreshes: false } => "step",
            Self::Step { refreshes: true } => "step that refreshes",
            Self::Picture | Self::Wide | Self::Output(_) => "picture",
            Self::Intake(_) => "intake",
            Self::LookUp(_) => "look-up",
            Self::Target(_) => "targets",
            Self::Start => "start",
            Self::Enlarge => "enlarge",
        }
    }

    /// A step for `objective` that does all.
    pub(super) fn main_step(objective: &Objective) -> Self {
        Self::Step { refreshes: objective.has_refreshes() }
    }

    /// This, at a size.
    pub(super) fn at(self, scale: usize) -> ProgramId {
        ProgramId { scale, kind: self }
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
    /// those of its terms. Where some steps do more than others, it is one that does all.
    pub program: Program,
    /// Width and height of the picture that is optimised.
    pub size: (u32, u32),
}

/// Everything that a transfer runs and allocates.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Plan {
    /// A step at the last of the sizes.
    pub step: StepPlan,
    /// What is minimised.
    pub objective: Objective,
    /// The sizes at which it paints.
    pub scales: Scales,
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
            let layouts = sources.ids().filter_map(|id| sources.get(id)).map(|layout| layout.size);
            let sides = layouts.chain(sources.content.is_none().then(|| options.size.sides()));
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

    /// Every program that the transfer runs: a step's, the picture's, the targets', at every size.
    pub fn programs(&self) -> impl Iterator<Item = &Program> {
        let others = self.others.values().map(|planned| &planned.program);
        std::iter::once(&self.step.program).chain(others)
    }

    /// The program of a step at each size, the coarsest first: the one that does all.
    pub fn steps(&self) -> impl Iterator<Item = &Program> {
        let kind = ProgramKind::main_step(&self.objective);
        let others = self.others.iter().filter(move |(id, _)| id.kind == kind);
        others.map(|(_, planned)| &planned.program).chain([&self.step.program])
    }

    /// What [`Plan::step`] is.
    pub(super) fn step_id(&self) -> ProgramId {
        ProgramKind::main_step(&self.objective).at(self.scales.last())
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
/// its ops one by one. Where some steps do more than others, it is one that does all.
///
/// # Errors
/// [`Error::Option`] for options that do not make sense.
pub fn step_tape(network: &Network, options: &Options, size: (u32, u32)) -> Result<Tape> {
    options.validate(network)?;
    let objective = Objective::of(network, options, &SourceLayouts::from((size, size)));
    let refreshes = objective.has_refreshes();
    let network = options.painting_network(&options.network(network));
    record_step(&network, &objective, Optimiser::of(options), size, refreshes)
}

/// The tape that finds the places of a style that a picture is like, both of `size` (width, height), before anything is merged:
/// it runs once a size where a match is asked for.
///
/// # Errors
/// [`Error::Option`] for options that do not make sense.
pub fn look_up_tape(network: &Network, options: &Options, (width, height): (u32, u32)) -> Result<Tape> {
    options.validate(network)?;
    let mut tape = Tape::new();
    let pixels = Shape::new(3, height, width);
    let [query, style] = ["query", "style"].map(|name| tape.external(name, pixels, Role::Workspace));
    record_look_up(&mut tape, &options.network(network), query, style)?;
    Ok(tape)
}

fn record_step(
    network: &Network,
    objective: &Objective,
    optimiser: Optimiser,
    (width, height): (u32, u32),
    refreshes: bool,
) -> Result<Tape> {
    let mut tape = Tape::new();
    let pixels = tape.external(PIXELS, Shape::new(3, height, width), Role::Optimiser);
    let seen = objective.record_cover(&mut tape, pixels)?;
    let total = objective.record(network, &mut tape, seen, refreshes)?;
    let seed = tape.external(SEED, Shape::SCALAR, Role::Workspace);
    let gradient = differentiate(&mut tape, total, &[pixels], seed)?[0];
    optimiser.record(&mut tape, pixels, gradient)?;
    debug_assert!(tape.nodes().is_sorted_by_key(|node| node.phase), "{:?} comes last", Phase::Update);
    Ok(tape)
}

/// What the programs of one transfer have in common.
pub(super) struct Planner<'a> {
    network: Network,
    options: &'a Options,
    objective: Objective,
    sources: &'a SourceLayouts,
    limits: &'a Limits,
    scales: Scales,
}

impl<'a> Planner<'a> {
    /// # Errors
    /// [`Error::Option`] for options that do not make sense.
    pub(super) fn new(
        network: &Network,
        options: &'a Options,
        sources: &'a SourceLayouts,
        limits: &'a Limits,
    ) -> Result<Self> {
        options.validate(network)?;
        sources.validate(options)?;
        let objective = Objective::of(network, options, sources);
        let scales = sources.scales(options);
        Ok(Self { network: options.network(network), options, objective, sources, limits, scales })
    }

    fn plan(self) -> Result<Plan> {
        let last = self.scales.last();
        let has_refreshes = self.objective.has_refreshes();
        let program = self.step(last, has_refreshes, self.limits)?;
        let limits = like_step(self.limits, &program);
        let main = ProgramKind::main_step(&self.objective).at(last);
        let mut others = BTreeMap::new();
        for (scale, _) in self.scales.iter() {
            for refreshes in [true, false].into_iter().filter(|refreshes| has_refreshes || !refreshes) {
                let id = ProgramKind::Step { refreshes }.at(scale);
                if id != main {
                    let program = self.step(scale, refreshes, &limits)?;
                    others.insert(id, PlannedProgram { program, results: Vec::new() });
                }
            }
            others.insert(ProgramKind::Picture.at(scale), self.picture(scale)?);
            for source in self.sources.ids() {
                others.extend(self.source(source, scale, &limits)?);
            }
            match scale {
                0 => others.insert(ProgramKind::Start.at(scale), self.start(&limits)?),
                _ => others.insert(ProgramKind::Enlarge.at(scale), self.enlarge(scale, &limits)?),
            };
        }
        let bytes = self.bytes(&program, &others);
        let size = self.scales.get(last);
        if let Some(available) = self.limits.memory_bytes.filter(|available| *available < bytes.total) {
            let (width, height) = size;
            return Err(Error::Memory {
                what: format!("painting {width}x{height}"),
                needed: bytes.total,
                available,
                remedy: Remedy::SmallerSize(None),
            });
        }
        let step = StepPlan { program, size };
        Ok(Plan { step, objective: self.objective, scales: self.scales, bytes, others })
    }

    /// Shape (3, H, W) of the pixels at a size.
    fn pixels_shape(&self, scale: usize) -> Shape {
        let (width, height) = self.scales.get(scale);
        Shape::new(3, height, width)
    }

    /// A step at a size.
    fn step(&self, scale: usize, refreshes: bool, limits: &Limits) -> Result<Program> {
        let (objective, optimiser) = (&self.objective, Optimiser::of(self.options));
        // The pictures that it is compared with do not wrap.
        let network = self.options.painting_network(&self.network);
        let tape = record_step(&network, objective, optimiser, self.scales.get(scale), refreshes)?;
        plan(&rematerialise(&fuse(&tape)), limits)
    }

    /// The account of memory: a step's, and what the other programs and the way of values to and from the device add.
    fn bytes(&self, step: &Program, others: &BTreeMap<ProgramId, PlannedProgram>) -> Bytes {
        let arena_bytes = |program: &Program| program.arenas.iter().sum::<u64>();
        let step_arenas = arena_bytes(step);
        let programs = || others.iter().map(|(id, planned)| (id.kind, &planned.program));
        let sharing = programs().filter(|(kind, _)| kind.shares_arenas()).map(|(_, program)| program);
        let shared = Arenas::planned_bytes(sharing.chain([step])).iter().sum::<u64>();
        // The pictures of all sizes share memory of their own.
        let pictures = programs().filter(|(kind, _)| !kind.shares_arenas()).map(|(_, program)| program);
        let pictures = Arenas::planned_bytes(pictures).iter().sum::<u64>();
        let own = programs().map(|(_, program)| program.own_bytes() - arena_bytes(program));
        // Every tensor from outside is there once, by its name, as large as the largest program wants it. Weights are the
        // engine's.
        let mut externals: BTreeMap<_, u64> = BTreeMap::new();
        for program in others.values().map(|planned| &planned.program).chain([step]) {
            for external in program.externals.iter().filter(|external| external.role != Role::Weights) {
                let bytes = externals.entry((&external.name, external.piece)).or_default();
                *bytes = external.bytes.max(*bytes);
            }
        }
        let of_step = step.externals.iter().filter(|external| external.role != Role::Weights);
        let beside_step =
            externals.values().sum::<u64>() - of_step.map(|external| external.bytes).sum::<u64>();
        let size = self.scales.get(self.scales.last());
        let other = own.sum::<u64>()
            + pictures
            + beside_step
            + (shared - step_arenas)
            + Readback::planned_bytes(cost_bytes(step), COST_SLOTS)
            + Readback::planned_bytes(picture_bytes(size), PICTURE_SLOTS)
            + Mailbox::<()>::planned_bytes(cost_bytes(step), COST_MAILS)
            + Stopwatch::<ProgramId>::planned_bytes(self.limits.timestamps)
            + Staging::BYTES
            + History::planned_bytes(size);
        step.bytes(other)
    }

    /// The programs that a source needs at a size: to its targets, where there are any, before that to the places that are
    /// looked up in it, and before that from a host's texels to its picture.
    pub(super) fn source(
        &self,
        source: SourceId,
        scale: usize,
        limits: &Limits,
    ) -> Result<Vec<(ProgramId, PlannedProgram)>> {
        let Some(layout) = self.sources.get(source) else { return Ok(Vec::new()) };
        if source == SourceId::Initial && (self.start_source() != Some(source) || scale > 0) {
            return Ok(Vec::new());
        }
        let fitted = self.sources.fitted(source, self.options, scale);
        let mut programs = Vec::new();
        if self.objective.reads(source) {
            programs.push((ProgramKind::Target(source), self.target(source, scale, fitted, limits)?));
        }
        if self.objective.looks_up(source) {
            programs.push((ProgramKind::LookUp(source), self.look_up(source, scale, fitted, limits)?));
        }
        if let Some(texels) = layout.texels {
            programs.push((
                ProgramKind::Intake(source),
                self.intake(source, layout.size, texels, fitted, limits)?,
            ));
        }
        Ok(programs.into_iter().map(|(kind, planned)| (kind.at(scale), planned)).collect())
    }

    /// Records where a source's 8-bit picture of this size (width, height) lies.
    fn record_picture(&self, tape: &mut Tape, source: SourceId, (width, height): (u32, u32)) -> TensorId {
        tape.external(picture_name(source), Shape::new(1, height, width), Role::Workspace)
    }

    /// Records the picture of a style of `fitted` (width, height) as pixels (3, H, W) minus the network's `mean`, with the
    /// colours that it has beside the content's picture.
    fn record_style(
        &self,
        tape: &mut Tape,
        style: SourceId,
        fitted: (u32, u32),
        content: TensorId,
        mean: TensorId,
    ) -> Result<TensorId> {
        let style = self.record_picture(tape, style, fitted);
        self.options.color.record_style(tape, style, content, mean)
    }

    /// Makes what the costs read of a picture of `fitted` (width, height): their targets, or a mask's guidance.
    fn target(
        &self,
        source: SourceId,
        scale: usize,
        fitted: (u32, u32),
        limits: &Limits,
    ) -> Result<PlannedProgram> {
        let mut tape = Tape::new();
        let painting = self.pixels_shape(scale);
        let results = match source {
            SourceId::StyleMask(_) | SourceId::StrengthMap => {
                let picture = self.record_picture(&mut tape, source, fitted);
                self.objective.record_guidance(&self.network, &mut tape, picture, source)?
            }
            SourceId::Style(_) => {
                let content = self.record_picture(&mut tape, SourceId::Content, self.scales.get(scale));
                let mean = record_mean(&mut tape);
                let pixels = self.record_style(&mut tape, source, fitted, content, mean)?;
                self.objective.record_targets(&self.network, &mut tape, pixels, source, painting)?
            }
            SourceId::Content | SourceId::Initial => {
                let picture = self.record_picture(&mut tape, source, fitted);
                let mean = record_mean(&mut tape);
                let pixels = self.options.color.record_pixels(&mut tape, picture, mean)?;
                let mut results =
                    self.objective.record_targets(&self.network, &mut tape, pixels, source, painting)?;
                if source == SourceId::Content && self.options.color.recolours() {
                    tape.keep(picture);
                    results.push(colours_name(painting));
                }
                results
            }
        };
        Ok(PlannedProgram { program: plan(&fuse(&tape), limits)?, results })
    }

    /// Finds for each cell of what is painted the cell of a style, of `fitted` (width, height), that is the most like it.
    /// What is painted is the content at the coarsest size, and half of it mixed with half of the pixels later.
    fn look_up(
        &self,
        style: SourceId,
        scale: usize,
        fitted: (u32, u32),
        limits: &Limits,
    ) -> Result<PlannedProgram> {
        let mut tape = Tape::new();
        let content = self.record_picture(&mut tape, SourceId::Content, self.scales.get(scale));
        let mean = record_mean(&mut tape);
        let mut query = self.options.color.record_pixels(&mut tape, content, mean)?;
        if scale > 0 {
            let pixels = tape.external(PIXELS, self.pixels_shape(scale), Role::Optimiser);
            query = tape.record(Mix { share: QUERY_SHARE }, &[pixels, query], PICTURE_LAYER)?;
        }
        let pixels = self.record_style(&mut tape, style, fitted, content, mean)?;
        let results = self.objective.record_look_up(&self.network, &mut tape, query, pixels, style)?;
        Ok(PlannedProgram { program: plan(&fuse(&tape), limits)?, results })
    }

    /// Makes an 8-bit picture of the size `fitted` from a host's texels, their format and the words between two rows.
    /// Sizes are (width, height).
    fn intake(
        &self,
        source: SourceId,
        (width, height): (u32, u32),
        (format, pitch): (TexelFormat, u32),
        fitted: (u32, u32),
        limits: &Limits,
    ) -> Result<PlannedProgram> {
        let mut tape = Tape::new();
        let texels = tape.external(texels_name(source), Shape::new(1, height, pitch), Role::Workspace);
        let mut picture = tape.record(DecodeTexels { format, width }, &[texels], PICTURE_LAYER)?;
        if fitted != (width, height) {
            let (width, height) = fitted;
            picture = tape.record(Resample { height, width }, &[picture], PICTURE_LAYER)?;
        }
        tape.keep(picture);
        Ok(PlannedProgram { program: plan(&tape, limits)?, results: vec![picture_name(source)] })
    }

    /// The picture that the pixels start from, where there is one.
    fn start_source(&self) -> Option<SourceId> {
        match self.options.init {
            Init::Noise | Init::Content => self.sources.content.map(|_| SourceId::Content),
            Init::Picture => Some(SourceId::Initial),
        }
    }

    /// Makes the pixels of the start: R·noise + (1 − R)·(picture − mean), or the noise where there is no picture.
    fn start(&self, limits: &Limits) -> Result<PlannedProgram> {
        let shape = self.pixels_shape(0);
        let mut tape = Tape::new();
        let (ratio, color) = (self.options.noise_ratio(), self.options.color);
        // The noise lies where the start will: nothing is allocated for it.
        let noise = |tape: &mut Tape| tape.external(PIXELS, shape, Role::Optimiser);
        let start = match self.start_source() {
            Some(source) if ratio > 0.0 => {
                let picture = self.record_picture(&mut tape, source, self.scales.get(0));
                let picture = color.record_seen(&mut tape, picture)?;
                let noise = noise(&mut tape);
                let levels = tape.external(START_LEVELS, LEVELS_SHAPE, Role::Workspace);
                tape.record(Start { ratio }, &[noise, picture, levels], PIXELS)?
            }
            Some(source) => {
                let picture = self.record_picture(&mut tape, source, self.scales.get(0));
                let mean = record_mean(&mut tape);
                color.record_pixels(&mut tape, picture, mean)?
            }
            None => {
                let noise = noise(&mut tape);
                let mean = record_mean(&mut tape);
                tape.record(ClampPixels, &[noise, mean], PIXELS)?
            }
        };
        let results = Optimiser::of(self.options).pictures();
        results.iter().for_each(|_| tape.keep(start));
        let results = results.iter().map(|name| (*name).to_owned()).collect();
        Ok(PlannedProgram { program: plan(&tape, limits)?, results })
    }

    /// Brings pixels and the optimiser's state of the size before to this one.
    fn enlarge(&self, scale: usize, limits: &Limits) -> Result<PlannedProgram> {
        let mut tape = Tape::new();
        let [from, to] = [scale - 1, scale].map(|scale| self.pixels_shape(scale));
        let results = Optimiser::of(self.options).record_enlarged(&mut tape, from, to)?;
        Ok(PlannedProgram { program: plan(&tape, limits)?, results })
    }

    /// Makes an 8-bit picture of the painting's size from the pixels of any.
    fn picture(&self, scale: usize) -> Result<PlannedProgram> {
        let (mut tape, picture) = self.postprocessed(scale)?;
        tape.keep(picture);
        Ok(PlannedProgram { program: plan(&tape, self.limits)?, results: Vec::new() })
    }

    /// Makes texels for a host's texture from the pixels, at every size.
    pub(super) fn outputs(
        &self,
        format: TexelFormat,
        pitch: u32,
    ) -> Result<Vec<(ProgramId, PlannedProgram)>> {
        let output = |(scale, _)| {
            let (mut tape, picture) = self.postprocessed(scale)?;
            let texels = tape.record(EncodeTexels { format, pitch }, &[picture], PICTURE_LAYER)?;
            tape.keep(texels);
            let planned = PlannedProgram { program: plan(&tape, self.limits)?, results: Vec::new() };
            Ok((ProgramKind::Output(format).at(scale), planned))
        };
        self.scales.iter().map(output).collect()
    }

    /// Makes floats of the painting's size, minus the mean and within what a picture can show, from the pixels of any.
    pub(super) fn wide(&self) -> Result<Vec<(ProgramId, PlannedProgram)>> {
        let wide = |(scale, _)| {
            let (mut tape, seen, mean) = self.seen(scale)?;
            let sized = match self.enlarged(scale) {
                Some(resize) => tape.record(resize, &[seen], PICTURE_LAYER)?,
                None => seen,
            };
            let levels = tape.record(ClampPixels, &[sized, mean], PICTURE_LAYER)?;
            tape.keep(levels);
            let planned = PlannedProgram { program: plan(&tape, self.limits)?, results: Vec::new() };
            Ok((ProgramKind::Wide.at(scale), planned))
        };
        self.scales.iter().map(wide).collect()
    }

    fn postprocessed(&self, scale: usize) -> Result<(Tape, TensorId)> {
        let (mut tape, seen, mean) = self.seen(scale)?;
        let postprocess = Postprocess { rounded: Optimiser::of(self.options).rounds() };
        let picture = match self.enlarged(scale) {
            Some(resize) => {
                tape.record(ResizePostprocess { resize, postprocess }, &[seen, mean], PICTURE_LAYER)?
            }
            None => tape.record(postprocess, &[seen, mean], PICTURE_LAYER)?,
        };
        Ok((tape, picture))
    }

    /// What is seen of the pixels of a size, and the mean.
    fn seen(&self, scale: usize) -> Result<(Tape, TensorId, TensorId)> {
        let mut tape = Tape::new();
        let optimiser = Optimiser::of(self.options);
        let shown = tape.external(optimiser.shown(), self.pixels_shape(scale), Role::Optimiser);
        let mean = record_mean(&mut tape);
        let seen = self.objective.record_cover(&mut tape, shown)?;
        let seen = self.options.color.record_shown(&mut tape, seen, mean)?;
        Ok((tape, seen, mean))
    }

    /// How pixels of a size get that of the painting, where they do not have it.
    fn enlarged(&self, scale: usize) -> Option<Resize> {
        let Shape { h: height, w: width, .. } = self.pixels_shape(self.scales.last());
        let wrap = self.options.seamless.wrap();
        (scale < self.scales.last()).then_some(Resize { height, width, filter: Filter::Bicubic, wrap })
    }
}

/// `limits` with the methods of a step, for programs that run beside it: of the step's planes those nearest in size count,
/// so that the others need no arrangement of the weights that the step does not need, and the same step always has the
/// same targets. They lie in its arenas as far as they can.
pub(super) fn like_step(limits: &Limits, step: &Program) -> Limits {
    let mut methods = step.methods();
    let of_step: BTreeSet<&str> = methods.0.keys().map(|problem| problem.op).collect();
    let known = limits.capabilities.methods.0.iter();
    let others: Vec<_> = known.filter(|(problem, _)| !of_step.contains(problem.op)).collect();
    methods.0.extend(others.into_iter().map(|(problem, method)| (*problem, *method)));
    let mut limits = limits.clone();
    limits.capabilities.methods = Arc::new(methods);
    limits.arenas = Arenas::planned_bytes([step]);
    limits
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
