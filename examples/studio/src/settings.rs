//! Everything that can be chosen, as the window holds it, and what of it goes into a painting that runs.

use std::sync::LazyLock;

use impasto::nn::{Network, PoolKind, vgg19};
use impasto::ops::{MethodRequest, Precision};
use impasto::picture::Size;
use impasto::transfer::{
    EngineOptions, Init, OPTIONS, OptionEntry, OptionKind, Options, Preset, SourceLayouts, WeightedLayer,
};
use impasto::{Error, OptionName};

use crate::labels::{capitalised, label};

/// What the window calls the smallest slice of work, which is no option of a message.
pub const SMALLEST_PIECE: &str = "Smallest piece";

/// The size of a painting unless another one is chosen: one that a small GPU paints within a minute.
const USUAL_SIDE: u32 = 400;

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
    pub options: Options,
    pub engine: EngineSettings,
    /// Milliseconds of painting in a frame of the window.
    pub frame_budget: f64,
}

/// The network that is built in.
pub fn network() -> &'static Network {
    static NETWORK: LazyLock<Network> = LazyLock::new(|| vgg19(PoolKind::Mean));
    &NETWORK
}

/// A set of options with a name, to begin with.
pub struct Recipe {
    pub name: String,
    pub what: &'static str,
    options: Options,
}

/// The recipes, the first one being what the program starts with: the library's presets for paintings, and two more.
pub fn recipes() -> &'static [Recipe] {
    static RECIPES: LazyLock<Vec<Recipe>> = LazyLock::new(|| {
        let presets = Preset::PAINTING.iter().map(|(name, preset)| Recipe {
            name: capitalised(name),
            what: preset.what(),
            options: Options::preset(*preset),
        });
        presets.chain(own_recipes()).collect()
    });
    &RECIPES
}

fn own_recipes() -> [Recipe; 2] {
    [
        Recipe {
            name: "Brush strokes".into(),
            what: "Starts from the photograph: quick, and the subject stays clear.",
            options: brush_strokes(),
        },
        Recipe {
            name: "Free".into(),
            what: "Grows out of noise, with more strokes and less of the photograph. Takes more steps.",
            options: brush_strokes().with(|options| {
                options.steps = 200;
                options.init = Init::Noise;
            }),
        },
    ]
}

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

impl Default for Settings {
    fn default() -> Self {
        let options = recipes()[0].options.clone();
        Self {
            options: options.with(|options| options.size = Size::LongerSide(USUAL_SIDE)),
            engine: EngineSettings::default(),
            frame_budget: 10.0,
        }
    }
}

impl Settings {
    /// Takes over what makes a painting look as it does. The size, the engine and the frame budget stay.
    pub fn take(&mut self, recipe: &Recipe) {
        self.options = self.with_size(&recipe.options);
    }

    /// The recipe that these are, unless something was changed.
    pub fn recipe(&self) -> Option<&'static Recipe> {
        recipes().iter().find(|recipe| self.with_size(&recipe.options) == self.options)
    }

    fn with_size(&self, options: &Options) -> Options {
        options.clone().with(|options| {
            options.size = self.options.size;
            options.enlarge = self.options.enlarge;
        })
    }

    /// What only a new start can bring into a painting that runs with `running` and `engine`, by its label in the window.
    pub fn waiting(
        &self,
        running: &Options,
        engine: &EngineSettings,
        sources: &SourceLayouts,
    ) -> Vec<String> {
        let carried = carry_over(running, &self.options, sources);
        let noise = running.noise_ratio() > 0.0 || self.options.noise_ratio() > 0.0;
        let options = OPTIONS.iter().map(|entry| {
            let counts = noise || entry.name != OptionName::Seed;
            (label(entry.name), counts && differs(entry, &carried, &self.options))
        });
        let engine = [
            (label(OptionName::Methods), self.engine.methods != engine.methods),
            (label(OptionName::Precision), self.engine.precision != engine.precision),
            (label(OptionName::LowMemory), self.engine.low_memory != engine.low_memory),
            (label(OptionName::MemoryBytes), self.engine.memory_limit != engine.memory_limit),
            (SMALLEST_PIECE.to_owned(), self.engine.slice_work != engine.slice_work),
        ];
        options.chain(engine).filter_map(|(label, waits)| waits.then_some(label)).collect()
    }
}

/// What the library says against the value that an option has, where it refuses it.
pub fn refusal(entry: &OptionEntry, options: &Options) -> Option<Error> {
    let of_frames = || options.validate_for_frames().err();
    let is_own = |error: &Error| matches!(error, Error::Option { option, .. } if *option == entry.name);
    entry.check(options, network()).err().or_else(|| of_frames().filter(is_own))
}

/// The options of a painting that runs with `running`, after as much of `wanted` as it can take while it runs. What the
/// library refuses, it does not get.
pub fn carry_over(running: &Options, wanted: &Options, sources: &SourceLayouts) -> Options {
    let mut carried = running.clone();
    for entry in OPTIONS.iter().filter(|entry| entry.get(running) != entry.get(wanted)) {
        let changed = changed(entry, &carried, wanted);
        let is_taken = matches!(entry.needs_new_transfer(&carried, &changed, network(), sources), Ok(false));
        if is_taken && refusal(entry, &changed).is_none() {
            carried = changed;
        }
    }
    carried
}

/// `running` with the value that one option has in `wanted`, as far as it can be set: a layer that was switched off stays,
/// with weight 0, and a new one does not come.
fn changed(entry: &OptionEntry, running: &Options, wanted: &Options) -> Options {
    let mut changed = running.clone();
    match layers(entry.name, wanted) {
        Some(wanted) => {
            for layer in layers_mut(entry.name, &mut changed).into_iter().flatten() {
                layer.weight = weight_of(wanted, &layer.name).unwrap_or(0.0);
            }
        }
        None => {
            // It has the right kind. What is no finite number is not set, and the option stays as it is.
            let _ = entry.set(&mut changed, entry.get(wanted));
        }
    }
    changed
}

/// Whether an option is not yet as it is wanted.
fn differs(entry: &OptionEntry, running: &Options, wanted: &Options) -> bool {
    match (layers(entry.name, running), layers(entry.name, wanted)) {
        (Some(running), Some(wanted)) => {
            wanted.iter().any(|layer| weight_of(running, &layer.name) != Some(layer.weight))
        }
        _ => entry.get(running) != entry.get(wanted),
    }
}

/// The layers that an option names, for one that names layers.
pub fn layers(name: OptionName, options: &Options) -> Option<&Vec<WeightedLayer>> {
    match name {
        OptionName::ContentLayers => Some(&options.content_layers),
        OptionName::StyleLayers => Some(&options.style_layers),
        _ => None,
    }
}

pub fn layers_mut(name: OptionName, options: &mut Options) -> Option<&mut Vec<WeightedLayer>> {
    match name {
        OptionName::ContentLayers => Some(&mut options.content_layers),
        OptionName::StyleLayers => Some(&mut options.style_layers),
        _ => None,
    }
}

/// The weight of a layer, where it is on.
pub fn weight_of(layers: &[WeightedLayer], name: &str) -> Option<f32> {
    layers.iter().find(|layer| layer.name == name).map(|layer| layer.weight)
}

/// Switches a layer on with this weight, or off. Layers stay in the order of the network.
pub fn set_layer(layers: &mut Vec<WeightedLayer>, name: &str, weight: Option<f32>) {
    layers.retain(|layer| layer.name != name);
    if let Some(weight) = weight {
        let place = |name: &str| network().index_of(name);
        let index = layers.partition_point(|layer| place(&layer.name) < place(name));
        layers.insert(index, WeightedLayer { name: name.into(), weight });
    }
}

/// A value for an option that had none: that of the first preset that gives one.
pub fn usual(entry: &OptionEntry, kind: &OptionKind) -> serde_json::Value {
    let of_presets = Preset::ALL.iter().map(|(_, preset)| entry.get(&Options::preset(*preset)));
    of_presets.into_iter().find(|value| !value.is_null()).unwrap_or_else(|| match kind {
        OptionKind::Word(words) => words.first().copied().into(),
        OptionKind::Switch => true.into(),
        _ => 1.into(),
    })
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

    fn pictures() -> SourceLayouts {
        ((60, 40), (50, 50)).into()
    }

    fn waiting(settings: &Settings, started: &Settings) -> Vec<String> {
        settings.waiting(&started.options, &started.engine, &pictures())
    }

    #[test]
    fn every_recipe_is_found_again_and_valid() {
        for recipe in recipes() {
            let mut settings = Settings::default();
            settings.options.size = Size::LongerSide(77);
            settings.take(recipe);
            assert_eq!(settings.recipe().map(|found| &found.name), Some(&recipe.name));
            assert_eq!(settings.options.size, Size::LongerSide(77));
            assert!(settings.options.validate(network()).is_ok());
            assert!(!recipe.what.is_empty());
        }
        for (name, _) in Preset::PAINTING {
            assert!(recipes().iter().any(|recipe| recipe.name == capitalised(name)), "{name}");
        }
    }

    #[test]
    fn what_is_live_goes_over_and_the_rest_waits() {
        let started = Settings::default();
        let mut settings = started.clone();
        settings.frame_budget = 5.0;
        settings.options.alpha = 1.0;
        settings.options.learning_rate = 2.5;
        settings.options.fade = 0.1;
        settings.options.gamma = 0.3;
        settings.options.steps = 4;
        let carried = carry_over(&started.options, &settings.options, &pictures());
        assert_eq!(carried, settings.options);
        assert_eq!(waiting(&settings, &started), [""; 0]);
        settings.options.size = Size::LongerSide(401);
        settings.options.stroke = Some(0.5);
        settings.engine.low_memory = true;
        assert_eq!(waiting(&settings, &started), ["Size", "Stroke", "Low memory"]);
        assert_eq!(carry_over(&started.options, &settings.options, &pictures()), carried);
    }

    #[test]
    fn a_seed_without_noise_waits_for_nothing() {
        let started = Settings::default();
        let mut settings = started.clone();
        settings.options.seed += 1;
        assert_eq!(waiting(&settings, &started), [""; 0]);
        settings.options.noise_ratio = Some(0.5);
        assert_eq!(waiting(&settings, &started), ["Noise ratio", "Seed"]);
    }

    /// There is no program for a cost that was left out.
    #[test]
    fn a_cost_that_was_left_out_waits_for_a_new_start() {
        let mut started = Settings::default();
        started.options.gamma = 0.0;
        let mut settings = started.clone();
        settings.options.gamma = 0.5;
        settings.options.total_variation = 10.0;
        assert_eq!(waiting(&settings, &started), ["Match weight", "Total variation"]);
        assert_eq!(carry_over(&started.options, &settings.options, &pictures()), started.options);
    }

    /// Whatever is in the table, its live options go over to a painting that runs and the others do not.
    #[test]
    fn every_option_goes_over_or_waits() {
        let started = Settings::default();
        for recipe in recipes() {
            let mut settings = started.clone();
            settings.take(recipe);
            let carried = carry_over(&started.options, &settings.options, &pictures());
            let waiting = waiting(&settings, &started);
            for entry in &OPTIONS {
                let is_there = !differs(entry, &carried, &settings.options);
                assert_ne!(waiting.contains(&label(entry.name)), is_there, "{}: {}", recipe.name, entry.name);
                assert!(entry.live || entry.get(&carried) == entry.get(&started.options), "{}", entry.name);
            }
        }
    }

    #[test]
    fn what_is_refused_does_not_go_over_and_says_why() {
        let started = Settings::default();
        for (option, value) in [
            (OptionName::Fade, 3.0),
            (OptionName::Alpha, -1.0),
            (OptionName::Averaging, 1.0),
            (OptionName::Tolerance, 0.1),
            (OptionName::Coarsest, 2.0),
        ] {
            let Some(entry) = OptionEntry::of(option) else { continue };
            let mut wanted = started.options.clone();
            let json = if option == OptionName::Coarsest { 2.into() } else { value.into() };
            assert!(entry.set(&mut wanted, json).is_ok());
            let error = refusal(entry, &wanted);
            assert!(matches!(error, Some(Error::Option { option: named, .. }) if named == option));
            assert_eq!(carry_over(&started.options, &wanted, &pictures()), started.options, "{option}");
        }
        let refused: Vec<_> =
            OPTIONS.iter().filter(|entry| refusal(entry, &started.options).is_some()).collect();
        assert!(refused.is_empty(), "{refused:?}");
    }

    #[test]
    fn a_layer_that_is_off_weighs_nothing_in_a_running_painting() {
        let started = Settings::default();
        let mut settings = started.clone();
        set_layer(&mut settings.options.style_layers, "conv1_1", None);
        set_layer(&mut settings.options.style_layers, "conv2_1", Some(6.0));
        assert_eq!(waiting(&settings, &started), [""; 0]);
        let running = carry_over(&started.options, &settings.options, &pictures());
        let weights: Vec<f32> = running.style_layers.iter().map(|layer| layer.weight).collect();
        assert_eq!(weights, [0.0, 6.0, 0.2, 0.2, 0.2]);
        set_layer(&mut settings.options.style_layers, "conv1_2", Some(1.0));
        assert_eq!(waiting(&settings, &started), ["Style layers"]);
        set_layer(&mut settings.options.content_layers, "conv3_2", Some(1.0));
        assert_eq!(waiting(&settings, &started), ["Content layers", "Style layers"]);
        let names: Vec<&str> = settings.options.style_layers.iter().map(|layer| &*layer.name).collect();
        assert_eq!(names, ["conv1_2", "conv2_1", "conv3_1", "conv4_1", "conv5_1"]);
    }

    #[test]
    fn an_option_that_is_switched_on_has_a_value_that_is_valid() {
        for entry in &OPTIONS {
            let OptionKind::Optional(kind) = &entry.kind else { continue };
            let mut options = Options::default();
            assert!(entry.set(&mut options, usual(entry, kind)).is_ok());
            assert!(entry.check(&options, network()).is_ok(), "{}", entry.name);
            assert!(!entry.get(&options).is_null());
        }
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
}
