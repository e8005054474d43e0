//! The state of a transfer as a file, from which it goes on as if it had never stopped.
//!
//! A checkpoint is a safetensors file, so that other programs can look into it:
//!
//! | tensor | shape | what |
//! |---|---|---|
//! | `pixels` | (3, H, W) | RGB in 0..255 minus [`crate::nn::Weights::mean`], not clamped |
//! | `adam.m`, `adam.v` | (3, H, W) | Adam's first and second moment |
//! | `adam.state` | (3) | 1 − β₁ᵗ, 1 − β₂ᵗ, t |
//!
//! The metadata's only key, `impasto`, holds JSON: the version of this format, what the run was made of, and a SHA-256
//! over that and the tensors.

use std::collections::HashMap;

use safetensors::tensor::{Dtype, Metadata, TensorView};
use serde::{Deserialize, Serialize};

use super::engine::Engine;
use super::options::{Init, Options};
use super::planning::name;
use crate::error::{Error, OptionName, Remedy, Result, Words};
use crate::nn::Weights;
use crate::ops::adam::STATE;
use crate::ops::{MethodRequest, MethodTable, kernels_digest};
use crate::picture::Picture;
use crate::tensors::{digest, read_header, shortened};

/// Version of the format that is written, and the only one that is read.
const VERSION: u32 = 2;
/// The key of the metadata.
const KEY: &str = "impasto";
/// The tensors with their names, in the order in which they are hashed.
const TENSORS: [&str; 4] = [name::PIXELS, name::M, name::V, name::STATE];

/// The state of a transfer between two steps, with what it was made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    pub(super) about: About,
    pub(super) state: State,
}

/// What steps change.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct State {
    /// (3, H, W).
    pub(super) pixels: Vec<f32>,
    /// (3, H, W).
    pub(super) m: Vec<f32>,
    /// (3, H, W).
    pub(super) v: Vec<f32>,
    /// 1 − β₁ᵗ, 1 − β₂ᵗ, t.
    pub(super) adam: [f32; STATE as usize],
}

/// What a checkpoint says of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct About {
    /// Steps taken.
    step: u32,
    recipe: Recipe,
    made_by: MadeBy,
}

/// Inputs and options that decide which picture comes out; of large ones a SHA-256.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recipe {
    content: String,
    style: String,
    weights: String,
    /// Width and height of the content and of the style as they were fitted.
    sizes: [(u32, u32); 2],
    alpha: f32,
    beta: f32,
    learning_rate: f32,
    content_layer: String,
    style_layers: Vec<(String, f32)>,
    /// `noise`, `content`, or the digest of a picture.
    init: String,
    noise_ratio: f32,
    seed: u32,
}

/// What the picture's last bits depend on besides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MadeBy {
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
    /// Something that nobody chooses with an option.
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

pub(super) fn picture_digest(picture: &Picture) -> String {
    let sides = [picture.width().to_le_bytes(), picture.height().to_le_bytes()];
    digest([&sides[0][..], &sides[1][..], picture.rgb()])
}

impl Recipe {
    /// Without the pictures, which [`Recipe::set_content`] and [`Recipe::set_style`] tell.
    pub(super) fn of(options: &Options, weights: &Weights) -> Self {
        Self {
            content: String::new(),
            style: String::new(),
            weights: weights.digest().to_owned(),
            sizes: [(0, 0); 2],
            alpha: options.alpha,
            beta: options.beta,
            learning_rate: options.learning_rate,
            content_layer: options.content_layer.clone(),
            style_layers: options
                .style_layers
                .iter()
                .map(|layer| (layer.name.clone(), layer.weight))
                .collect(),
            init: match &options.init {
                Init::Noise => "noise".into(),
                Init::Content => "content".into(),
                Init::Picture(picture) => picture_digest(picture),
            },
            noise_ratio: options.noise_ratio(),
            seed: options.seed,
        }
    }

    /// Another content; none for one that nobody can tell from others later.
    pub(super) fn set_content(&mut self, content: Option<&Picture>, fitted: (u32, u32)) {
        (self.content, self.sizes[0]) = (content.map(picture_digest).unwrap_or_default(), fitted);
    }

    /// Another style; none for one that nobody can tell from others later.
    pub(super) fn set_style(&mut self, style: Option<&Picture>, fitted: (u32, u32)) {
        (self.style, self.sizes[1]) = (style.map(picture_digest).unwrap_or_default(), fitted);
    }

    /// Other options of the same transfer.
    pub(super) fn set_options(&mut self, options: &Options, weights: &Weights) {
        let Self { content, style, sizes, .. } = self;
        let (content, style, sizes) = (std::mem::take(content), std::mem::take(style), *sizes);
        *self = Self { content, style, sizes, ..Self::of(options, weights) };
    }

    /// Fails where a picture is not known.
    pub(super) fn check_complete(&self) -> Result<()> {
        if self.content.is_empty() || self.style.is_empty() {
            return Err(Error::Checkpoint {
                name: "the checkpoint".into(),
                reason: "a picture came from a texture or a buffer, and would not be known again".into(),
                remedy: "give pictures (impasto::picture::Picture) where checkpoints are wanted".into(),
            });
        }
        Ok(())
    }

    /// Fails at the first thing that `now` has otherwise.
    fn refuse_other(&self, now: &Self) -> Result<()> {
        let other = |option: OptionName, reason: String, first: String| {
            Err(Error::Option { option, reason, remedy: Remedy::WithoutCheckpoint { first } })
        };
        for (input, was, is) in [
            (OptionName::Content, &self.content, &now.content),
            (OptionName::Style, &self.style, &now.style),
            (OptionName::Weights, &self.weights, &now.weights),
            (OptionName::Init, &self.init, &now.init),
        ] {
            if was != is {
                return other(
                    input,
                    "not the same as when the checkpoint was made".into(),
                    "give the same".into(),
                );
            }
        }
        let layers = |recipe: &Self| {
            let spelled = recipe.style_layers.iter().map(|(name, weight)| format!("{name}={weight}"));
            spelled.collect::<Vec<_>>().join(",")
        };
        let sizes = |recipe: &Self| {
            let [content, style] = recipe.sizes;
            format!("{}x{} with a style of {}x{}", content.0, content.1, style.0, style.1)
        };
        for (option, was, is) in [
            (OptionName::Size, sizes(self), sizes(now)),
            (OptionName::Alpha, self.alpha.to_string(), now.alpha.to_string()),
            (OptionName::Beta, self.beta.to_string(), now.beta.to_string()),
            (OptionName::LearningRate, self.learning_rate.to_string(), now.learning_rate.to_string()),
            (OptionName::ContentLayer, self.content_layer.clone(), now.content_layer.clone()),
            (OptionName::StyleLayers, layers(self), layers(now)),
            (OptionName::NoiseRatio, self.noise_ratio.to_string(), now.noise_ratio.to_string()),
            (OptionName::Seed, self.seed.to_string(), now.seed.to_string()),
        ] {
            if was != is {
                let reason = format!("the checkpoint was made with {was}, and this is {is}");
                return other(option, reason, format!("give {was}"));
            }
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
            algorithm: match options.kernels {
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
    pub(super) fn new(recipe: Recipe, engine: &Engine, methods: MethodTable, state: State) -> Self {
        // Whole numbers in f32 are exact far beyond any run.
        let step = state.adam[2] as u32;
        Self { about: About { step, recipe, made_by: MadeBy::of(engine, methods) }, state }
    }

    /// Steps that the picture has had.
    pub fn step(&self) -> u32 {
        self.about.step
    }

    /// Width and height of the picture.
    pub fn size(&self) -> (u32, u32) {
        self.about.recipe.sizes[0]
    }

    /// How the convolutions were done. An engine that is to go on bit by bit as before takes the same ones: see
    /// [`super::EngineOptions::choices`].
    pub fn methods(&self) -> &MethodTable {
        &self.about.made_by.methods
    }

    /// Fails where inputs or options are not those of the checkpoint, the steps excepted.
    ///
    /// # Errors
    /// [`Error::Option`] that names the first difference.
    pub fn check(
        &self,
        content: &Picture,
        style: &Picture,
        options: &Options,
        weights: &Weights,
    ) -> Result<()> {
        let mut now = Recipe::of(options, weights);
        let fit = |picture: &Picture| options.size.fit(picture.width(), picture.height());
        now.set_content(Some(content), fit(content));
        now.set_style(Some(style), fit(style));
        self.about.recipe.refuse_other(&now)?;
        if options.steps < self.step() {
            return Err(Error::Option {
                option: OptionName::Steps,
                reason: format!(
                    "the checkpoint has had {} already, and {} are asked for",
                    self.step(),
                    options.steps
                ),
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
        const NAME: &str = "the checkpoint";
        self.refuse_not_finite(NAME)?;
        let fail = |reason: String| checkpoint_error(NAME, reason, "report this as a bug");
        let head = Head { checkpoint: VERSION, sha256: self.digest()?, about: self.about.clone() };
        let head = serde_json::to_string(&head).map_err(|error| fail(error.to_string()))?;
        let views = self.tensors().map(|(name, shape, values)| {
            TensorView::new(Dtype::F32, shape, bytemuck::cast_slice(values)).map(|view| (name, view))
        });
        let views = views.into_iter().collect::<Result<Vec<_>, _>>();
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
        if checkpoint != VERSION {
            let reason =
                format!("a checkpoint of version {checkpoint}, and this program reads version {VERSION}");
            return Err(checkpoint_error(name, reason, "go on with the impasto that wrote it"));
        }
        let Head { sha256, about, .. } = serde_json::from_str(head).map_err(fault)?;
        let (width, height) = about.recipe.sizes[0];
        let plane = u64::from(width) * u64::from(height);
        let elements = plane
            .checked_mul(3)
            .ok_or_else(|| damaged(format!("a picture of {width}x{height} cannot be")))?;
        let read =
            |tensor: &str, elements: u64| floats(bytes, start, &header, tensor, elements).map_err(damaged);
        let state = read(name::STATE, u64::from(STATE))?;
        let state = State {
            pixels: read(name::PIXELS, elements)?,
            m: read(name::M, elements)?,
            v: read(name::V, elements)?,
            adam: [state[0], state[1], state[2]],
        };
        let checkpoint = Self { about, state };
        if checkpoint.digest()? != sha256 {
            return Err(damaged("its checksum is not that of its contents".into()));
        }
        checkpoint.refuse_not_finite(name)?;
        if checkpoint.state.adam[2] != checkpoint.about.step as f32 {
            return Err(damaged("it contradicts itself in its number of steps".into()));
        }
        Ok(checkpoint)
    }

    fn tensors(&self) -> [(&'static str, Vec<usize>, &[f32]); 4] {
        let (width, height) = self.size();
        let picture = vec![3, height as usize, width as usize];
        let State { pixels, m, v, adam } = &self.state;
        let [name_pixels, name_m, name_v, name_state] = TENSORS;
        [
            (name_pixels, picture.clone(), pixels),
            (name_m, picture.clone(), m),
            (name_v, picture, v),
            (name_state, vec![adam.len()], adam),
        ]
    }

    /// Over the description and the tensors.
    fn digest(&self) -> Result<String> {
        let about = serde_json::to_vec(&self.about)
            .map_err(|error| checkpoint_error("the checkpoint", error.to_string(), "report this as a bug"))?;
        let tensors = self.tensors();
        let values = tensors.iter().map(|(_, _, values)| bytemuck::cast_slice(values));
        Ok(digest([&*about].into_iter().chain(values)))
    }

    fn refuse_not_finite(&self, file: &str) -> Result<()> {
        for (tensor, _, values) in self.tensors() {
            if let Some(place) = values.iter().position(|value| !value.is_finite()) {
                let reason = format!("{tensor} holds {} at place {place}", values[place]);
                return Err(checkpoint_error(file, reason, "go on from an older checkpoint"));
            }
        }
        Ok(())
    }
}

/// The numbers of a tensor that must be there as f32 with so many elements.
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
