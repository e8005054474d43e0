//! The state of a transfer as a file, from which it goes on as if it had never stopped.
//!
//! A checkpoint is a safetensors file, so that other programs can look into it:
//!
//! | tensor | shape | what |
//! |---|---|---|
//! | `pixels` | (3, H, W) | RGB in 0..255 minus [`crate::nn::Weights::mean`], not clamped; under masks before they lie over the content |
//! | `adam.m`, `adam.v` | (3, H, W) | Adam's first and second moment |
//! | `adam.m.1`, `adam.v.1` … | (3, H, W) | the same of the coarser levels, with a pyramid |
//! | `adam.state` | (1, 1, 3) | 1 − β₁ᵗ, 1 − β₂ᵗ, t |
//! | `schedule.state` | (1, 1, 4) | steps at this size, 1 − decayᵗ, the last learning rate and weight in the average |
//! | `average` | (3, H, W) | the moving average of the pixels at this size |
//! | `l-bfgs.s`, `l-bfgs.y` | (3, N + 1, H, W) | by how much each of the last N steps changed pixels and gradient; in one slot the last step and the gradient before it |
//! | `l-bfgs.state` | (1, 1, 3) | how many of the slots count, the one for the last step, whether there is one |
//! | `l-bfgs.products` | (1, 2·(N + 1), N + 1) | products of the slots with each other: s·y, then y·y |
//! | `l-bfgs.steps` | (1, 1, 1) | steps |
//! | `map.TERM`, `rest.TERM` | (1, C, C), (1, 1, 2) | what a Wasserstein distance is linearised with |
//! | `index.STYLE` | (1, H, W) | for each cell of what is painted the number of the style's cell that is like it |
//!
//! H and W are those of the size that was painted. All but the pixels are there only where the options ask for what they serve.
//!
//! The metadata's only key, `impasto`, holds JSON: the version of this format, what the run was made of, and a SHA-256
//! over that and the tensors. What the run was made of is a list of options by name and one of pictures by name, so that
//! a new option or another kind of picture needs no new version: an option that a file does not have was not there when
//! it was written, and had the value that it has in [`Preset::Course`].

use std::collections::{BTreeMap, BTreeSet, HashMap};

use safetensors::tensor::{Dtype, Metadata, TensorView};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::engine::Engine;
use super::optimiser::{Optimiser, PIXELS};
use super::option_table::OPTIONS;
use super::options::{Options, Preset, WeightedLayer};
use super::source::Source;
use super::sources::{SourceId, SourceLayouts, Sources};
use crate::error::{Error, OptionName, Remedy, Result, Words};
use crate::nn::Weights;
use crate::ops::{MethodRequest, MethodTable, Shape, kernels_digest};
use crate::tensors::{digest, read_header, shortened};

/// Version of the format that is written, and the only one that is read.
const VERSION: u32 = 2;
/// What was recorded in place of [`Options::content_layers`] while there was one: its name.
const CONTENT_LAYER: &str = "content_layer";
/// The key of the metadata.
const KEY: &str = "impasto";
/// What messages call a checkpoint that is no file yet.
const NAME: &str = "the checkpoint";

/// The state of a transfer between two steps, with what it was made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    about: About,
    state: State,
}

/// What steps change: tensors by their names among a step's externals.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct State {
    position: Position,
    tensors: Vec<StateTensor>,
}

/// How far a transfer has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Position {
    /// The number of the size that is painted, from the coarsest.
    pub(super) scale: usize,
    /// Steps at this size.
    pub(super) steps: u32,
    /// Whether the pictures are other ones than those of the last step, so that everything is looked up anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) renews: bool,
    /// The bits of the total costs of the last steps at this size, where they may end it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) totals: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq)]
struct StateTensor {
    name: String,
    shape: Shape,
    values: Vec<f32>,
}

impl State {
    /// Names and shapes of the tensors: the pixels, of shape (3, H, W), and what the optimiser keeps.
    pub(super) fn tensors_of(optimiser: Optimiser, pixels: Shape) -> Vec<(String, Shape)> {
        let own = optimiser.state(pixels).into_iter().map(|tensor| (tensor.name.to_owned(), tensor.shape));
        std::iter::once((PIXELS.to_owned(), pixels)).chain(own).collect()
    }

    /// A state from tensors with their values: those of [`State::tensors_of`] first, in that order, then those of
    /// [`super::objective::Objective::state`], by name. So a file's digest can be made again from the file.
    pub(super) fn new(position: Position, tensors: Vec<(String, Shape)>, values: Vec<Vec<f32>>) -> Self {
        let named = tensors.into_iter().zip(values);
        let tensors = named.map(|((name, shape), values)| StateTensor { name, shape, values }).collect();
        Self { position, tensors }
    }

    /// How far it has come.
    pub(super) fn position(&self) -> &Position {
        &self.position
    }

    /// More steps were taken at its size; these are the bits of the last total costs.
    pub(super) fn advance(&mut self, steps: u32, totals: Vec<u32>) {
        self.position.steps += steps;
        self.position.renews &= steps == 0;
        self.position.totals = totals;
    }

    fn tensor(&self, name: &str) -> Option<&StateTensor> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// Every tensor with its name.
    pub(super) fn tensors(&self) -> impl Iterator<Item = (&str, &[f32])> {
        self.tensors.iter().map(|tensor| (&*tensor.name, &tensor.values[..]))
    }

    /// Fails where it does not hold exactly what a transfer changes: tensors of these names, with as many numbers.
    pub(super) fn check(&self, expected: &[(String, Shape)]) -> Result<()> {
        let bad = expected.iter().find(|(name, shape)| {
            self.tensor(name).is_none_or(|tensor| tensor.values.len() as u64 != shape.elements())
        });
        let Some((name, shape)) = bad else { return Ok(()) };
        let first = "the file is damaged: take an older checkpoint".into();
        Err(checkpoint_error(NAME, format!("its {name} is not {shape}"), Remedy::WithoutCheckpoint { first }))
    }

    /// Steps that it has had.
    pub(super) fn steps(&self, optimiser: Optimiser) -> u32 {
        optimiser.steps(|name| Some(self.tensor(name)?.values.as_slice())).unwrap_or(0)
    }
}

/// What a checkpoint says of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    /// Steps taken.
    step: u32,
    /// How far it has come at which size; `None` in files that were written when there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    position: Option<Position>,
    recipe: Recipe,
    made_by: MadeBy,
}

/// Inputs and options that decide which picture comes out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recipe {
    /// Those that the table of options says are recorded, by name.
    options: BTreeMap<String, Value>,
    /// The pictures by the name of their source.
    sources: BTreeMap<String, SourceRecord>,
    /// Width and height of the painting, where it has no content whose size it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<(u32, u32)>,
    /// SHA-256 of the weights file.
    weights: String,
}

/// What is recorded of a source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SourceRecord {
    /// SHA-256 of the picture before it was fitted; `None` for what cannot be told from others later.
    pub(super) digest: Option<String>,
    /// Width and height at which it is used.
    pub(super) size: (u32, u32),
    /// The weight of a style.
    pub(super) weight: Option<f32>,
}

/// What the picture's last bits depend on besides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MadeBy {
    version: String,
    kernels: String,
    adapter: String,
    backend: String,
    driver: String,
    algorithm: String,
    precision: String,
    low_memory: bool,
    methods: MethodTable,
}

/// Something that is otherwise than when a checkpoint was made, and may change a picture's last bits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// Something that no option chooses.
    Surroundings {
        /// What it is, such as "the driver".
        what: &'static str,
        /// When the checkpoint was made.
        was: String,
        /// Now.
        is: String,
    },
    /// An option of the engine.
    Option {
        /// Which one.
        option: OptionName,
        /// When the checkpoint was made.
        was: String,
        /// Now.
        is: String,
    },
    /// The text of the kernels, in one version of this program.
    Kernels,
}

impl Difference {
    /// In plain words, with the words of a client for an option.
    pub fn spelled(&self, words: &dyn Words) -> String {
        match self {
            Self::Surroundings { what, was, is } => format!("{what} was {was} and is {is}"),
            Self::Option { option, was, is } => format!("{} was {was} and is {is}", words.option(*option)),
            Self::Kernels => "the kernels are not the same".into(),
        }
    }
}

/// The metadata.
#[derive(Serialize, Deserialize)]
struct Head {
    checkpoint: u32,
    sha256: String,
    about: About,
}

/// The part of it that every version has.
#[derive(Deserialize)]
struct AnyHead {
    checkpoint: u32,
}

impl SourceRecord {
    /// Of a source that is used at `size`.
    pub(super) fn new(source: &Source, size: (u32, u32), weight: Option<f32>) -> Self {
        let digest = match source {
            Source::Picture(picture) => Some(picture.digest()),
            Source::Texture(_) | Source::Buffer { .. } => None,
        };
        Self { digest, size, weight }
    }
}

impl Recipe {
    /// Without the sources, which [`Recipe::set_source`] adds.
    pub(super) fn new(options: &Options, weights: &Weights) -> Self {
        // A layer by another of its names is the same layer.
        let options = options.with_names_of(weights.network());
        let weights = weights.digest().to_owned();
        let mut recipe = Self { options: BTreeMap::new(), sources: BTreeMap::new(), size: None, weights };
        recipe.set_options(&options);
        recipe
    }

    /// With the size (width, height) of the painting, where no source has it.
    pub(super) fn with_size(self, layouts: &SourceLayouts, size: (u32, u32)) -> Self {
        Self { size: layouts.content.is_none().then_some(size), ..self }
    }

    /// With all sources.
    ///
    /// # Errors
    /// As [`Sources::layouts`].
    fn of(sources: &Sources, options: &Options, weights: &Weights) -> Result<Self> {
        let layouts = sources.layouts()?;
        let scales = layouts.scales(options);
        let size = scales.get(scales.last());
        let mut recipe = Self::new(options, weights).with_size(&layouts, size);
        for (id, source) in sources.list() {
            let size = layouts.fitted(id, options, scales.last());
            recipe.set_source(id, SourceRecord::new(source, size, layouts.weight(id)));
        }
        Ok(recipe)
    }

    /// Another picture.
    pub(super) fn set_source(&mut self, id: SourceId, record: SourceRecord) {
        self.sources.insert(id.to_string(), record);
    }

    /// Other options of the same transfer.
    pub(super) fn set_options(&mut self, options: &Options) {
        let recorded = OPTIONS.iter().filter(|entry| entry.recorded);
        self.options = recorded.map(|entry| (entry.name.to_string(), entry.get(options))).collect();
    }

    /// The recorded options, the others as in a preset.
    ///
    /// # Errors
    /// [`Error::Option`] for values of the wrong kind.
    fn options(&self) -> Result<Options> {
        let mut options = Options::preset(Preset::Course);
        if let Some(name) = self.options.get(CONTENT_LAYER).and_then(Value::as_str) {
            options.content_layers = vec![WeightedLayer { name: name.to_owned(), weight: 1.0 }];
        }
        for entry in OPTIONS.iter().filter(|entry| entry.recorded) {
            if let Some(value) = self.options.get(entry.name.name()) {
                entry.set(&mut options, value.clone())?;
            }
        }
        Ok(options)
    }

    /// Width and height of the painting.
    fn size(&self) -> (u32, u32) {
        let content = self.sources.get(&SourceId::Content.to_string()).map(|content| content.size);
        content.or(self.size).unwrap_or((0, 0))
    }

    /// Fails where a picture is not known.
    pub(super) fn check_complete(&self) -> Result<()> {
        if self.sources.values().any(|source| source.digest.is_none()) {
            return Err(Error::Checkpoint {
                name: NAME.into(),
                reason: "a picture came from a texture or a buffer, and would not be known again".into(),
                remedy: "give pictures (impasto::picture::Picture) where checkpoints are wanted".into(),
            });
        }
        Ok(())
    }

    /// Fails where this was made by a program with options, or kinds of pictures, that this one does not have.
    fn check_known(&self) -> Result<(), String> {
        let is_known = |name: &&String| {
            OPTIONS.iter().any(|entry| entry.name.name() == **name) || *name == CONTENT_LAYER
        };
        if let Some(name) = self.options.keys().find(|name| !is_known(name)) {
            return Err(format!(
                "made with the option {}, which this version does not have",
                shortened(name)
            ));
        }
        // There are at most as many styles as sources.
        let known: BTreeSet<String> = SourceId::all(self.sources.len()).map(|id| id.to_string()).collect();
        match self.sources.keys().find(|name| !known.contains(*name)) {
            Some(name) => {
                Err(format!("made with the picture {}, which this version does not have", shortened(name)))
            }
            None => Ok(()),
        }
    }

    /// Fails at the first thing that `now` has otherwise.
    fn refuse_other(&self, now: &Self) -> Result<()> {
        let other = |option: OptionName, reason: String, first: String| {
            Err(Error::Option { option, reason, remedy: Remedy::WithoutCheckpoint { first } })
        };
        let not_the_same = |option| {
            other(option, "not the same as when the checkpoint was made".into(), "give the same".into())
        };
        let styles = SourceId::of_styles(self.sources.len().max(now.sources.len()));
        for id in [SourceId::Content, SourceId::StrengthMap, SourceId::Initial].into_iter().chain(styles) {
            let [was, is] = [self, now].map(|recipe| recipe.sources.get(&id.to_string()));
            if was.map(|it| &it.digest) != is.map(|it| &it.digest) {
                return not_the_same(id.option());
            }
            if was.map(|it| it.weight) != is.map(|it| it.weight) {
                return not_the_same(OptionName::StyleWeights);
            }
        }
        if self.weights != now.weights {
            return not_the_same(OptionName::Weights);
        }
        let differ = |was: String, is: String, option| {
            let reason = format!("the checkpoint was made with {was}, and this is {is}");
            other(option, reason, format!("give {was}"))
        };
        let (was, is) = (self.options()?, now.options()?);
        for entry in OPTIONS.iter().filter(|entry| entry.recorded) {
            if entry.get(&was) != entry.get(&is) {
                return differ(entry.text(&was), entry.text(&is), entry.name);
            }
        }
        // What is left to change them is the size that was asked for.
        let sizes = |recipe: &Self| {
            let (width, height) = recipe.size();
            let of_style = |index| recipe.sources.get(&SourceId::Style(index).to_string());
            let styles = (0..).map_while(of_style);
            let styles = styles.map(|style| format!(" with a style of {}x{}", style.size.0, style.size.1));
            format!("{width}x{height}{}", styles.collect::<String>())
        };
        if sizes(self) != sizes(now) {
            return differ(sizes(self), sizes(now), OptionName::Size);
        }
        Ok(())
    }
}

impl MadeBy {
    fn of(engine: &Engine, methods: MethodTable) -> Self {
        let adapter = engine.gpu().summary();
        let options = engine.options();
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            kernels: kernels_digest(),
            adapter: adapter.name.clone(),
            backend: adapter.backend.clone(),
            driver: adapter.driver.clone(),
            algorithm: match options.methods {
                MethodRequest::Auto => "auto",
                MethodRequest::Algorithm(algorithm) => algorithm.name(),
                MethodRequest::Method(method) => method.name,
            }
            .into(),
            precision: options.precision.name().into(),
            low_memory: options.low_memory,
            methods,
        }
    }

    /// What makes the same sums: the methods count only between equals.
    fn same_arithmetic(&self, other: &Self) -> bool {
        let Self { version, kernels, adapter, backend, driver, precision, .. } = self;
        (version, kernels, adapter, backend, driver, precision)
            == (
                &other.version,
                &other.kernels,
                &other.adapter,
                &other.backend,
                &other.driver,
                &other.precision,
            )
    }
}

impl Checkpoint {
    pub(super) fn new(
        recipe: Recipe,
        options: &Options,
        engine: &Engine,
        methods: MethodTable,
        state: State,
    ) -> Self {
        let step = state.steps(Optimiser::of(options));
        let position = Some(state.position.clone());
        Self { about: About { step, position, recipe, made_by: MadeBy::of(engine, methods) }, state }
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// Steps that the picture has had.
    pub fn step(&self) -> u32 {
        self.about.step
    }

    /// Width and height of the picture.
    pub fn size(&self) -> (u32, u32) {
        self.about.recipe.size()
    }

    /// The options that it was made with, as far as they decide which picture comes out; the others as in
    /// [`Preset::Course`].
    ///
    /// # Errors
    /// [`Error::Option`] for values of the wrong kind, in a file that was made by hand.
    pub fn options(&self) -> Result<Options> {
        self.about.recipe.options()
    }

    /// How the convolutions were done. An engine that is to go on bit by bit as before takes the same ones: see
    /// [`super::EngineOptions::method_table`].
    pub fn methods(&self) -> &MethodTable {
        &self.about.made_by.methods
    }

    /// Fails where inputs or options are not those of the checkpoint, the steps excepted.
    ///
    /// # Errors
    /// [`Error::Option`] that names the first difference.
    pub fn check(&self, sources: &Sources, options: &Options, weights: &Weights) -> Result<()> {
        self.about.recipe.refuse_other(&Recipe::of(sources, options, weights)?)?;
        let Position { scale, steps: had, .. } = self.state.position;
        let asked = options.steps_at(scale);
        if asked < had {
            let is_first = scale == 0 && options.first_steps.is_some();
            return Err(Error::Option {
                option: if is_first { OptionName::FirstSteps } else { OptionName::Steps },
                reason: format!("the checkpoint has had {had} already, and {asked} are asked for"),
                remedy: "give more".into(),
            });
        }
        Ok(())
    }

    /// What is otherwise about the device or the kernels than when the checkpoint was made: the picture will then differ
    /// from that of an uninterrupted run, if only in its last bits.
    pub fn differences(&self, engine: &Engine) -> Vec<Difference> {
        let MadeBy {
            version,
            kernels,
            adapter,
            backend,
            driver,
            algorithm,
            precision,
            low_memory,
            methods: _,
        } = &self.about.made_by;
        let now = MadeBy::of(engine, MethodTable::default());
        let on = |low: bool| if low { "on" } else { "off" };
        let surroundings = [
            ("impasto", version, &now.version),
            ("the adapter", adapter, &now.adapter),
            ("the backend", backend, &now.backend),
            ("the driver", driver, &now.driver),
        ];
        let options = [
            (OptionName::Methods, algorithm.as_str(), now.algorithm.as_str()),
            (OptionName::Precision, precision, &now.precision),
            (OptionName::LowMemory, on(*low_memory), on(now.low_memory)),
        ];
        let surroundings = surroundings
            .into_iter()
            .filter(|(_, was, is)| was != is)
            .map(|(what, was, is)| Difference::Surroundings { what, was: was.clone(), is: is.clone() });
        let options = options
            .into_iter()
            .filter(|(_, was, is)| was != is)
            .map(|(option, was, is)| Difference::Option { option, was: was.to_owned(), is: is.to_owned() });
        let kernels = *version == now.version && *kernels != now.kernels;
        surroundings.chain(options).chain(kernels.then_some(Difference::Kernels)).collect()
    }

    /// Whether an engine on `engine`'s device that takes [`Checkpoint::methods`] goes on bit by bit.
    pub fn fits(&self, engine: &Engine) -> bool {
        self.about.made_by.same_arithmetic(&MadeBy::of(engine, MethodTable::default()))
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] where the state holds a number that is not finite: nothing good would come of it.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.refuse_not_finite(NAME)?;
        let fail = |reason: String| checkpoint_error(NAME, reason, "report this as a bug");
        let head = Head { checkpoint: VERSION, sha256: self.digest()?, about: self.about.clone() };
        let head = serde_json::to_string(&head).map_err(|error| fail(error.to_string()))?;
        let views = self.state.tensors.iter().map(|tensor| {
            let Shape { c, d, h, w } = tensor.shape;
            let sides = if d == 1 { vec![c, h, w] } else { vec![c, d, h, w] };
            let shape = sides.into_iter().map(|side| side as usize).collect();
            let view = TensorView::new(Dtype::F32, shape, bytemuck::cast_slice(&tensor.values));
            view.map(|view| (&*tensor.name, view))
        });
        let views = views.collect::<Result<Vec<_>, _>>();
        let metadata = HashMap::from([(KEY.to_owned(), head)]);
        views
            .and_then(|views| safetensors::serialize(views, Some(metadata)))
            .map_err(|error| fail(error.to_string()))
    }

    /// Reads the bytes of a file; `name` is what messages call it. Takes the file's size again in memory, and little
    /// more, whatever it holds.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] for what is no checkpoint, is cut short, was changed, or is of another version.
    pub fn from_bytes(bytes: &[u8], name: &str) -> Result<Self> {
        let damaged = |reason: String| {
            let first = "the file is damaged: take an older checkpoint".into();
            checkpoint_error(name, reason, Remedy::WithoutCheckpoint { first })
        };
        let (start, header) = read_header(bytes).map_err(|found| {
            checkpoint_error(name, format!("not a checkpoint: {found}"), Remedy::CheckpointFile)
        })?;
        let head = header.metadata().as_ref().and_then(|metadata| metadata.get(KEY)).ok_or_else(|| {
            checkpoint_error(name, "a safetensors file, but no checkpoint".into(), Remedy::CheckpointFile)
        })?;
        let fault = |error: serde_json::Error| {
            damaged(format!("its description has a fault: {}", shortened(&error.to_string())))
        };
        let AnyHead { checkpoint } = serde_json::from_str(head).map_err(fault)?;
        let other_version = || {
            let first = "go on with the version of impasto that wrote it".into();
            Remedy::WithoutCheckpoint { first }
        };
        if checkpoint != VERSION {
            let reason =
                format!("a checkpoint of version {checkpoint}, and this program reads version {VERSION}");
            return Err(checkpoint_error(name, reason, other_version()));
        }
        let Head { sha256, about, .. } = serde_json::from_str(head).map_err(fault)?;
        about.recipe.check_known().map_err(|reason| checkpoint_error(name, reason, other_version()))?;
        let options = about.recipe.options().map_err(|error| damaged(error.reason()))?;
        let (width, height) = about.recipe.size();
        let plane = u64::from(width) * u64::from(height);
        // Twelve bytes a pixel must not overflow.
        if plane == 0 || plane > bytes.len() as u64 {
            return Err(damaged(format!("it does not hold a picture of {width}x{height}")));
        }
        let optimiser = Optimiser::of(&options);
        let position = about.position.clone();
        let position = position.unwrap_or(Position { steps: about.step, ..Position::default() });
        let scales = options.scales((width, height));
        if position.scale > scales.last() {
            return Err(damaged(format!("it is of size {} of {}", position.scale + 1, scales.len())));
        }
        let (width, height) = scales.get(position.scale);
        let mut tensors = State::tensors_of(optimiser, Shape::new(3, height, width));
        // What the costs keep depends on the network, and is looked at when a transfer goes on.
        let mut others = Vec::new();
        for (name, info) in header.tensors() {
            let is_known = tensors.iter().any(|(known, _)| *known == name);
            let side = |axis: usize| info.shape.get(axis).and_then(|side| u32::try_from(*side).ok());
            if let (false, [Some(c), Some(h), Some(w), None]) = (is_known, [0, 1, 2, 3].map(side)) {
                others.push((name, Shape::new(c, h, w)));
            }
        }
        others.sort_by(|(a, _), (b, _)| a.cmp(b));
        tensors.extend(others);
        let values = tensors
            .iter()
            .map(|(tensor, shape)| floats(bytes, start, &header, tensor, shape.elements()).map_err(damaged));
        let values = values.collect::<Result<Vec<_>>>()?;
        let checkpoint = Self { about, state: State::new(position, tensors, values) };
        if checkpoint.digest()? != sha256 {
            return Err(damaged("its checksum is not that of its contents".into()));
        }
        checkpoint.refuse_not_finite(name)?;
        if checkpoint.state.steps(optimiser) != checkpoint.about.step {
            return Err(damaged("it contradicts itself in its number of steps".into()));
        }
        Ok(checkpoint)
    }

    /// Over the description and the tensors.
    fn digest(&self) -> Result<String> {
        let about = serde_json::to_vec(&self.about)
            .map_err(|error| checkpoint_error(NAME, error.to_string(), "report this as a bug"))?;
        let values = self.state.tensors().map(|(_, values)| bytemuck::cast_slice(values));
        Ok(digest([&*about].into_iter().chain(values)))
    }

    fn refuse_not_finite(&self, file: &str) -> Result<()> {
        for (tensor, values) in self.state.tensors() {
            if let Some(place) = values.iter().position(|value| !value.is_finite()) {
                let reason = format!("{tensor} holds {} at place {place}", values[place]);
                return Err(checkpoint_error(file, reason, "go on from an older checkpoint"));
            }
        }
        Ok(())
    }
}

/// The numbers of a tensor that must be there as f32 with this many elements.
fn floats(
    bytes: &[u8],
    start: usize,
    header: &Metadata,
    tensor: &str,
    elements: u64,
) -> Result<Vec<f32>, String> {
    let info = header.info(tensor).ok_or_else(|| format!("it holds no {tensor}"))?;
    // The header was checked to cover the file exactly.
    let (from, to) = info.data_offsets;
    let data = &bytes[start + from..start + to];
    if info.dtype != Dtype::F32 || !data.len().is_multiple_of(4) || (data.len() / 4) as u64 != elements {
        return Err(format!("{tensor} is not {elements} numbers"));
    }
    Ok(data.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect())
}

fn checkpoint_error(name: &str, reason: String, remedy: impl Into<Remedy>) -> Error {
    Error::Checkpoint { name: name.to_owned(), reason, remedy: remedy.into() }
}
