//! Everything that can be chosen, as the window holds it, and what becomes of it.

use std::sync::LazyLock;

use impasto::OptionName;
use impasto::nn::{Convolution, PoolKind, vgg19};
use impasto::ops::{MethodRequest, Precision};
use impasto::picture::{Picture, Size};
use impasto::transfer::{EngineOptions, Init, Options, Preset, StyleLayer};

use crate::labels::label;

/// The weight that a style layer has when it is switched on for the first time.
const USUAL_WEIGHT: f32 = 0.2;

/// What the pixels start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Content,
    Noise,
    Picture,
}

/// How the size is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeKind {
    LongerSide,
    Within,
}

/// A layer of VGG-19 as a style layer. It keeps its weight while it is off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StyleChoice {
    pub on: bool,
    pub weight: f32,
}

/// What is asked of the engine, which is made anew for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineSettings {
    pub kernels: MethodRequest,
    pub precision: Precision,
    pub low_memory: bool,
    /// Most memory of a painting in MiB; `None`: what the driver gives.
    pub memory_limit: Option<u32>,
    /// The smallest piece of work in MFLOP; `None`: what the library takes for the kind of adapter.
    pub slice_work: Option<u32>,
}

/// Everything that can be chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub size_kind: SizeKind,
    pub longer_side: u32,
    pub within: (u32, u32),
    pub steps: u32,
    pub alpha: f32,
    pub beta: f32,
    pub learning_rate: f32,
    /// Index in [`layers`].
    pub content_layer: usize,
    /// One for each of [`layers`].
    pub style_layers: Vec<StyleChoice>,
    pub start: Start,
    /// R; `None`: the usual one for the start.
    pub noise_ratio: Option<f32>,
    pub seed: u32,
    pub engine: EngineSettings,
    /// Milliseconds of painting in a frame of the window.
    pub frame_budget: f64,
}

/// The layers that a cost may be of: those of the network that is built in.
pub fn layers() -> &'static [Convolution] {
    static LAYERS: LazyLock<Vec<Convolution>> =
        LazyLock::new(|| vgg19(PoolKind::Mean).convolutions().cloned().collect());
    &LAYERS
}

/// The place in [`layers`] of the one that is called so.
fn index_of(name: &str) -> Option<usize> {
    layers().iter().position(|layer| layer.name == name)
}

/// A set of settings with a name, to begin with.
pub struct Recipe {
    pub name: &'static str,
    pub what: &'static str,
    options: fn() -> Options,
}

/// The recipes, the first one being what the program starts with.
pub const RECIPES: [Recipe; 3] = [
    Recipe {
        name: "Brush strokes",
        what: "Starts from the photograph: quick, and the subject stays clear.",
        options: brush_strokes,
    },
    Recipe {
        name: "Free",
        what: "Grows out of noise, with more strokes and less of the photograph. Takes more steps.",
        options: free,
    },
    Recipe {
        name: "Course",
        what: "As deeplearning.ai's course on neural style transfer has it.",
        options: || Options::preset(Preset::Course),
    },
];

/// What painted the picture in the project's README.
fn brush_strokes() -> Options {
    Options::preset(Preset::Course).with(|options| { options.steps = 80; options.init = Init::Content; options.learning_rate = 4.0; options.content_layer = "conv3_2".into(); options.style_layers = style_layers([("conv1_1", 0.5), ("conv2_1", 0.5), ("conv3_1", 1.0), ("conv4_1", 0.01)]); })
}

fn free() -> Options {
    brush_strokes().with(|options| { options.steps = 200; options.init = Init::Noise; })
}

fn style_layers<const N: usize>(layers: [(&str, f32); N]) -> Vec<StyleLayer> {
    layers.map(|(name, weight)| StyleLayer { name: name.into(), weight }).to_vec()
}

impl Default for Settings {
    fn default() -> Self {
        let mut settings = Self {
            size_kind: SizeKind::LongerSide,
            longer_side: 400,
            within: (640, 480),
            steps: 0,
            alpha: 0.0,
            beta: 0.0,
            learning_rate: 0.0,
            content_layer: 0,
            style_layers: vec![StyleChoice { on: false, weight: USUAL_WEIGHT }; layers().len()],
            start: Start::Content,
            noise_ratio: None,
            seed: 0,
            engine: EngineSettings::USUAL,
            frame_budget: 10.0,
        };
        settings.take(&RECIPES[0]);
        settings
    }
}

impl Settings {
    /// Takes over what makes a painting look as it does. The size, the engine and the frame budget stay.
    pub fn take(&mut self, recipe: &Recipe) {
        let options = (recipe.options)();
        self.steps = options.steps;
        self.alpha = options.alpha;
        self.beta = options.beta;
        self.learning_rate = options.learning_rate;
        self.content_layer = index_of(&options.content_layer).unwrap_or(0);
        for (layer, choice) in layers().iter().zip(&mut self.style_layers) {
            let weight = options.style_layers.iter().find(|style| style.name == layer.name);
            choice.on = weight.is_some();
            choice.weight = weight.map_or(USUAL_WEIGHT, |style| style.weight);
        }
        self.start = match options.init {
            Init::Noise => Start::Noise,
            Init::Content | Init::Picture(_) => Start::Content,
        };
        self.noise_ratio = options.noise_ratio;
        self.seed = options.seed;
    }

    /// The recipe that these are, unless something was changed.
    pub fn recipe(&self) -> Option<&'static Recipe> {
        RECIPES.iter().find(|recipe| {
            let mut same = self.clone();
            same.take(recipe);
            // A layer that is off may have any weight.
            for (same, own) in same.style_layers.iter_mut().zip(&self.style_layers) {
                if !same.on && !own.on {
                    *same = *own;
                }
            }
            same == *self
        })
    }

    /// The size that is asked for.
    pub fn size(&self) -> Size {
        match self.size_kind {
            SizeKind::LongerSide => Size::LongerSide(self.longer_side),
            SizeKind::Within => Size::Within { width: self.within.0, height: self.within.1 },
        }
    }

    /// R, as given or as the start says.
    pub fn noise_ratio(&self) -> f32 {
        self.noise_ratio.unwrap_or(if self.start == Start::Noise { 0.6 } else { 0.0 })
    }

    /// The library's options. Without a picture to start from, the start is the content.
    pub fn options(&self, start: Option<&Picture>) -> Options {
        let layers = layers().iter().zip(&self.style_layers).filter(|(_, choice)| choice.on);
        Options {
            alpha: self.alpha,
            beta: self.beta,
            learning_rate: self.learning_rate,
            content_layer: layers()[self.content_layer].name.clone(),
            style_layers: layers
                .map(|(layer, choice)| StyleLayer { name: layer.name.clone(), weight: choice.weight })
                .collect(),
            init: match (self.start, start) {
                (Start::Noise, _) => Init::Noise,
                (Start::Picture, Some(picture)) => Init::Picture(picture.clone()),
                (Start::Picture, None) | (Start::Content, _) => Init::Content,
            },
            noise_ratio: self.noise_ratio,
            seed: self.seed,
            size: self.size(),
            steps: self.steps,
        }
    }

    /// These settings' values of all that may change while a painting runs, in `running`'s options. A layer that was
    /// switched off has weight 0.
    pub fn apply_live(&self, running: &mut Options) {
        running.alpha = self.alpha;
        running.beta = self.beta;
        running.learning_rate = self.learning_rate;
        running.steps = self.steps;
        for layer in &mut running.style_layers {
            let choice = index_of(&layer.name).map(|index| self.style_layers[index]);
            layer.weight = choice.filter(|choice| choice.on).map_or(0.0, |choice| choice.weight);
        }
    }

    /// What is not as it was when the painting started and can only change with a new start, by its name in the
    /// window.
    pub fn waiting(&self, started: &Self) -> Vec<&'static str> {
        let new_layer =
            self.style_layers.iter().zip(&started.style_layers).any(|(now, then)| now.on && !then.on);
        let noise = self.noise_ratio() > 0.0 || started.noise_ratio() > 0.0;
        [
            (label(OptionName::Size), self.size() != started.size()),
            (label(OptionName::Init), self.start != started.start),
            (label(OptionName::NoiseRatio), self.noise_ratio() != started.noise_ratio()),
            (label(OptionName::Seed), noise && self.seed != started.seed),
            (label(OptionName::ContentLayer), self.content_layer != started.content_layer),
            ("a new style layer", new_layer),
            (label(OptionName::Methods), self.engine.kernels != started.engine.kernels),
            (label(OptionName::Precision), self.engine.precision != started.engine.precision),
            (label(OptionName::LowMemory), self.engine.low_memory != started.engine.low_memory),
            (label(OptionName::MemoryBytes), self.engine.memory_limit != started.engine.memory_limit),
            ("Smallest piece", self.engine.slice_work != started.engine.slice_work),
        ]
        .into_iter()
        .filter_map(|(name, waits)| waits.then_some(name))
        .collect()
    }
}

impl EngineSettings {
    /// What the library takes unless it is asked for something else.
    const USUAL: Self = Self {
        kernels: MethodRequest::Auto,
        precision: Precision::F32,
        low_memory: false,
        memory_limit: None,
        slice_work: None,
    };

    pub fn is_usual(&self) -> bool {
        *self == Self::USUAL
    }

    /// The library's options.
    pub fn options(&self) -> EngineOptions {
        EngineOptions::default().with(|options| { options.methods = self.kernels; options.precision = self.precision; options.low_memory = self.low_memory; options.memory_bytes = self.memory_limit.map(|mebibytes| u64::from(mebibytes) << 20); options.slice_work = self.slice_work.map(|mega| u64::from(mega) * 1_000_000); })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recipe_is_found_again_and_valid() {
        for recipe in &RECIPES {
            let mut settings = Settings::default();
            settings.take(recipe);
            assert_eq!(settings.recipe().map(|found| found.name), Some(recipe.name));
            assert_eq!(settings.options(None), (recipe.options)());
            assert!(settings.options(None).validate(&vgg19(PoolKind::Mean)).is_ok());
        }
    }

    #[test]
    fn only_what_needs_a_new_start_waits_for_one() {
        let started = Settings::default();
        let mut settings = started.clone();
        settings.alpha = 1.0;
        settings.beta = 2.0;
        settings.learning_rate = 3.0;
        settings.steps = 4;
        settings.frame_budget = 5.0;
        // On at the start: another weight and off are both live.
        settings.style_layers[0] = StyleChoice { on: false, weight: 6.0 };
        assert_eq!(settings.waiting(&started), [""; 0]);
        settings.style_layers[1].on = true;
        settings.longer_side += 1;
        assert_eq!(settings.waiting(&started), ["Size", "a new style layer"]);
    }

    #[test]
    fn a_layer_that_is_off_weighs_nothing_in_a_running_painting() {
        let mut settings = Settings::default();
        let mut running = settings.options(None);
        settings.style_layers[0].on = false;
        settings.alpha = 7.0;
        settings.apply_live(&mut running);
        assert_eq!(running.style_layers[0], StyleLayer { name: "conv1_1".into(), weight: 0.0 });
        assert_eq!(running.alpha, 7.0);
        assert_eq!(running.style_layers.len(), 4);
    }
}
