//! Everything that can be chosen, as the window holds it, and what becomes of it.

use std::sync::LazyLock;

use impasto::OptionName;
use impasto::nn::{Convolution, PoolKind, vgg19};
use impasto::ops::{MethodRequest, Precision};
use impasto::picture::Size;
use impasto::transfer::{EngineOptions, Init, OPTIONS, OptionEntry, Options, Preset, WeightedLayer};

use crate::labels::{is_shown, label};

/// What the window calls the smallest slice of work, which is no option of a message.
pub const SMALLEST_PIECE: &str = "Smallest piece";
/// What the window calls a set of options to begin with.
pub const RECIPE: &str = "Recipe";
const NEW_STYLE_LAYER: &str = "a new style layer";

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineSettings {
    pub methods: MethodRequest,
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
    pub strength: f32,
    /// `None`: the style follows the size on its own sides.
    pub stroke: Option<f32>,
    /// Index in [`layers`]: the window has one, of weight 1.
    pub content_layer: usize,
    /// One for each of [`layers`].
    pub style_layers: Vec<StyleChoice>,
    pub start: Start,
    /// R; `None`: the usual one for the start.
    pub noise_ratio: Option<f32>,
    pub seed: u32,
    /// What the recipe decides, and no widget shows.
    rest: Options,
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
pub const RECIPES: [Recipe; 5] = [
    Recipe {
        name: "Fine",
        what: "Painted coarse to fine from the photograph, with real strokes. The steps are those at each size.",
        options: || Options::preset(Preset::Fine),
    },
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
        name: "Johnson",
        what: "As Justin Johnson's neural-style has it: a thousand steps of L-BFGS from noise, with much memory.",
        options: || Options::preset(Preset::Johnson),
    },
    Recipe {
        name: "Course",
        what: "As deeplearning.ai's course on neural style transfer has it.",
        options: || Options::preset(Preset::Course),
    },
];

/// The course's costs, from the photograph and with more of the strokes.
fn brush_strokes() -> Options {
    Options::preset(Preset::Course).with(|options| {
        options.steps = 80;
        options.init = Init::Content;
        options.learning_rate = 4.0;
        options.content_layers[0].name = "conv3_2".into();
        options.style_layers = [("conv1_1", 0.5), ("conv2_1", 0.5), ("conv3_1", 1.0), ("conv4_1", 0.01)]
            .map(|(name, weight)| WeightedLayer { name: name.into(), weight })
            .to_vec();
    })
}

fn free() -> Options {
    brush_strokes().with(|options| {
        options.steps = 200;
        options.init = Init::Noise;
    })
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
            strength: 0.0,
            stroke: None,
            content_layer: 0,
            style_layers: vec![StyleChoice { on: false, weight: USUAL_WEIGHT }; layers().len()],
            start: Start::Content,
            noise_ratio: None,
            seed: 0,
            rest: Options::default(),
            engine: EngineSettings::default(),
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
        self.strength = options.strength;
        self.stroke = options.stroke;
        let content = options.content_layers.first().and_then(|layer| index_of(&layer.name));
        self.content_layer = content.unwrap_or(0);
        for (layer, choice) in layers().iter().zip(&mut self.style_layers) {
            let weight = options.style_layers.iter().find(|style| style.name == layer.name);
            choice.on = weight.is_some();
            choice.weight = weight.map_or(USUAL_WEIGHT, |style| style.weight);
        }
        self.start = match options.init {
            Init::Noise => Start::Noise,
            // No recipe has a picture of its own.
            _ => Start::Content,
        };
        self.noise_ratio = options.noise_ratio;
        self.seed = options.seed;
        self.rest = options;
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

    /// The library's options.
    pub fn options(&self) -> Options {
        let style_layers = layers().iter().zip(&self.style_layers).filter(|(_, choice)| choice.on);
        self.rest.clone().with(|options| {
            options.alpha = self.alpha;
            options.beta = self.beta;
            options.learning_rate = self.learning_rate;
            options.strength = self.strength;
            options.stroke = self.stroke;
            let name = layers()[self.content_layer].name.clone();
            options.content_layers = vec![WeightedLayer { name, weight: 1.0 }];
            options.style_layers = style_layers
                .map(|(layer, choice)| WeightedLayer { name: layer.name.clone(), weight: choice.weight })
                .collect();
            options.init = match self.start {
                Start::Noise => Init::Noise,
                Start::Picture => Init::Picture,
                Start::Content => Init::Content,
            };
            options.noise_ratio = self.noise_ratio;
            options.seed = self.seed;
            options.size = self.size();
            options.steps = self.steps;
        })
    }

    /// These settings' values of all that may change while a painting runs, in `running`'s options. A layer that was
    /// switched off has weight 0. What only a recipe decides waits for a new start.
    pub fn apply_live(&self, running: &mut Options) {
        let wanted = self.options();
        let is_set = |entry: &&OptionEntry| is_live(entry) && entry.name != OptionName::StyleLayers;
        for entry in OPTIONS.iter().filter(is_set) {
            // It has the right kind. What is no finite number is not set, and the option stays as it is.
            let _ = entry.set(running, entry.get(&wanted));
        }
        for layer in &mut running.style_layers {
            let choice = index_of(&layer.name).map(|index| self.style_layers[index]);
            layer.weight = choice.filter(|choice| choice.on).map_or(0.0, |choice| choice.weight);
        }
    }

    /// What is not as it was when the painting started and can only change with a new start, by its label in the window.
    pub fn waiting(&self, started: &Self) -> Vec<&'static str> {
        let new_layer =
            self.style_layers.iter().zip(&started.style_layers).any(|(now, then)| now.on && !then.on);
        let (now, then) = (self.options(), started.options());
        let noise = now.noise_ratio() > 0.0 || then.noise_ratio() > 0.0;
        let options = OPTIONS.iter().map(|entry| {
            let counts = !is_live(entry) && (noise || entry.name != OptionName::Seed);
            let label = if is_shown(entry.name) { label(entry.name) } else { RECIPE };
            (label, counts && entry.get(&now) != entry.get(&then))
        });
        let (now, then) = (self.engine, started.engine);
        let others = [
            (NEW_STYLE_LAYER, new_layer),
            (label(OptionName::Methods), now.methods != then.methods),
            (label(OptionName::Precision), now.precision != then.precision),
            (label(OptionName::LowMemory), now.low_memory != then.low_memory),
            (label(OptionName::MemoryBytes), now.memory_limit != then.memory_limit),
            (SMALLEST_PIECE, now.slice_work != then.slice_work),
        ];
        let mut waiting: Vec<_> =
            options.chain(others).filter_map(|(label, waits)| waits.then_some(label)).collect();
        // A recipe decides several.
        let mut is_first = true;
        waiting.retain(|label| *label != RECIPE || std::mem::take(&mut is_first));
        waiting
    }
}

/// Whether an option may change while a painting runs, by its own widget. Of the content's layers weights could, and the
/// window has one layer without a weight.
fn is_live(entry: &OptionEntry) -> bool {
    entry.live && is_shown(entry.name) && entry.name != OptionName::ContentLayers
}

impl EngineSettings {
    /// Sets them in the options of an engine whose slices fit into frames.
    pub fn apply(&self, options: &mut EngineOptions) {
        options.methods = self.methods;
        options.precision = self.precision;
        options.low_memory = self.low_memory;
        options.memory_bytes = self.memory_limit.map(|mebibytes| u64::from(mebibytes) << 20);
        if let Some(mega) = self.slice_work {
            options.slice_work = Some(u64::from(mega) * 1_000_000);
        }
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
            // The size is the window's.
            let expected = (recipe.options)().with(|options| options.size = settings.size());
            assert_eq!(settings.options(), expected);
            assert!(settings.options().validate(&vgg19(PoolKind::Mean)).is_ok());
        }
    }

    #[test]
    fn only_what_needs_a_new_start_waits_for_one() {
        let started = Settings::default();
        let mut settings = started.clone();
        settings.alpha = 1.0;
        settings.beta = 2.0;
        settings.learning_rate = 3.0;
        settings.strength = 0.3;
        settings.steps = 4;
        settings.frame_budget = 5.0;
        // On at the start: another weight and off are both live.
        settings.style_layers[0] = StyleChoice { on: false, weight: 6.0 };
        assert_eq!(settings.waiting(&started), [""; 0]);
        settings.style_layers[1].on = true;
        settings.longer_side += 1;
        assert_eq!(settings.waiting(&started), ["Size", "a new style layer"]);
        settings = started.clone();
        settings.stroke = Some(0.5);
        assert_eq!(settings.waiting(&started), ["Stroke"]);
    }

    /// Another recipe is another painting: only what has a widget goes over to the one that runs.
    #[test]
    fn what_only_a_recipe_decides_waits_for_a_new_start() {
        let started = Settings::default();
        let mut settings = started.clone();
        settings.take(RECIPES.last().unwrap_or(&RECIPES[0]));
        let waiting = settings.waiting(&started);
        assert_eq!(waiting.iter().filter(|label| **label == RECIPE).count(), 1, "{waiting:?}");
        let mut running = started.options();
        settings.apply_live(&mut running);
        let expected = started.options().with(|options| {
            (options.alpha, options.beta, options.learning_rate) = (10.0, 40.0, 2.0);
            options.steps = 200;
        });
        assert_eq!(running, expected);
    }

    /// Half precision must not make the pieces of a frame longer.
    #[test]
    fn pieces_stay_as_small_as_frames_need_unless_others_are_asked_for() {
        let mut options = EngineOptions::default().with(|options| options.slice_work = Some(7));
        EngineSettings { precision: Precision::F16, ..EngineSettings::default() }.apply(&mut options);
        assert_eq!((options.precision, options.slice_work), (Precision::F16, Some(7)));
        EngineSettings { slice_work: Some(2), ..EngineSettings::default() }.apply(&mut options);
        assert_eq!((options.precision, options.slice_work), (Precision::F32, Some(2_000_000)));
    }

    #[test]
    fn a_layer_that_is_off_weighs_nothing_in_a_running_painting() {
        let mut settings = Settings::default();
        let mut running = settings.options();
        settings.style_layers[0].on = false;
        settings.alpha = 7.0;
        settings.apply_live(&mut running);
        assert_eq!(running.style_layers[0], WeightedLayer { name: "conv1_1".into(), weight: 0.0 });
        assert_eq!(running.alpha, 7.0);
        assert_eq!(running.style_layers.len(), 5);
    }
}
