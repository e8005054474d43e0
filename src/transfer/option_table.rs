//! The one table of a transfer's options: how each is read, set, checked and written out, whether it can change while a
//! transfer runs, and whether it decides which picture comes out. Validation, [`super::Transfer::set_options`], checkpoints
//! and their resuming follow from it, and so do clients that show options by name.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::look_up::{ENERGY_LAYER, MATCH_LAYERS};
use super::objective::Objective;
use super::option_kind::{OptionKind, kind_of};
use super::options::{OptimiserKind, Options, WeightedLayer};
use super::sources::SourceLayouts;
use crate::error::{Error, OptionName, Result};
use crate::nn::Network;
use crate::ops::l_bfgs::MOST_PAIRS;
use crate::ops::pool::PoolKind;

/// The smallest longer side that painting may begin with: a network's last layers see nothing in less.
const LEAST_COARSEST: u32 = 16;
/// The range of strokes.
const LEAST_STROKE: f32 = 0.1;
const MOST_STROKE: f32 = 10.0;
/// Twice a step to the bottom of a parabola ends as high on its other side.
const MOST_OF_A_STEP: f32 = 2.0;

/// One option of a transfer.
#[derive(Debug)]
#[non_exhaustive]
pub struct OptionEntry {
    /// Its name.
    pub name: OptionName,
    /// What it does, for people who paint.
    pub what: &'static str,
    /// What values it takes.
    pub kind: OptionKind,
    /// Whether it can change while a transfer runs.
    pub live: bool,
    /// Whether it decides which picture comes out, so that a checkpoint holds it, and is resumed only with the same.
    pub recorded: bool,
    get: fn(&Options) -> Value,
    set: fn(&mut Options, Value) -> serde_json::Result<()>,
    check: fn(&Options, &Network) -> Result<()>,
    text: fn(&Options) -> String,
}

/// An entry for a field of [`Options`] whose value is written out by `Display`.
macro_rules! option {
    ($name:ident, $field:ident, $what:literal, live: $live:literal, recorded: $recorded:literal, $check:expr) => {
        option!($name, $field, $what, live: $live, recorded: $recorded, $check, |options| options.$field.to_string())
    };
    ($name:ident, $field:ident, $what:literal, live: $live:literal, recorded: $recorded:literal, $check:expr, $text:expr) => {
        OptionEntry {
            name: OptionName::$name,
            what: $what,
            kind: kind_of(|options| &options.$field),
            live: $live,
            recorded: $recorded,
            get: |options| json(&options.$field),
            set: |options, value| set(&mut options.$field, value),
            check: $check,
            text: $text,
        }
    };
}

/// Every option, in the order in which they are checked.
pub static OPTIONS: [OptionEntry; 29] = [
    option!(
        Alpha,
        alpha,
        "α: how strongly the painting is held to the photograph.",
        live: true, recorded: true,
        |options, _| weight(OptionName::Alpha, options.alpha)
    ),
    option!(
        Beta,
        beta,
        "β: how strongly the painting is drawn to the styles. Only the proportion of the weights counts.",
        live: true, recorded: true,
        |options, _| weight(OptionName::Beta, options.beta)
    ),
    option!(
        Gamma,
        gamma,
        "γ: how strongly each place is drawn to the place of the style that is the most like it. 0 leaves \
         this out.",
        live: true, recorded: true,
        |options, network| {
            weight(OptionName::Gamma, options.gamma)?;
            let layers = MATCH_LAYERS.iter().chain([&ENERGY_LAYER]).filter(|_| options.gamma > 0.0);
            layers.into_iter().try_for_each(|layer| known_layer(network, OptionName::Gamma, layer))
        }
    ),
    option!(
        Strength,
        strength,
        "How far the painting goes from the photograph, above 0 and up to 1. At 0.5 the photograph's weight \
         counts as it is.",
        live: true, recorded: true,
        |options, _| {
            let strength = options.strength;
            require(strength > 0.0 && strength <= 1.0, OptionName::Strength, || {
                (format!("{strength} is out of range"), "give a number above 0, up to 1; 0.5 is the usual one".into())
            })
        }
    ),
    option!(
        TotalVariation,
        total_variation,
        "How strongly neighbouring pixels are made alike, which takes away noise. 0 leaves this out; \
         1000000 is a first value to try.",
        live: true, recorded: true,
        |options, _| weight(
            OptionName::TotalVariation,
            options.total_variation
        )
    ),
    option!(
        Optimiser,
        optimiser,
        "What changes the pixels: Adam, Adam at every level of a pyramid of the gradient, Adam with the \
         average of its steps, or L-BFGS, which reaches lower costs in as many steps and needs more memory.",
        live: false, recorded: true,
        |_, _| Ok(()), |options| word(&options.optimiser)
    ),
    option!(
        Fade,
        fade,
        "The share of the learning rate that is gone by the end of each size, 0 to 1, with \
         pyramid-adam and averaged-adam.",
        live: true, recorded: true,
        |options, _| {
            require((0.0..=1.0).contains(&options.fade), OptionName::Fade, || {
                (format!("{} is out of range", options.fade), "give a number from 0 to 1".into())
            })
        }
    ),
    option!(
        Averaging,
        averaging,
        "How much of the moving average each step keeps, 0 to below 1, with pyramid-adam and \
         averaged-adam. With 0 the painting is the last step.",
        live: true, recorded: true,
        |options, _| {
            require((0.0..1.0).contains(&options.averaging), OptionName::Averaging, || {
                (format!("{} is out of range", options.averaging), "give a number from 0 to below 1".into())
            })
        }
    ),
    option!(
        History,
        history,
        "Steps that L-BFGS remembers, 1 to 100. Each takes memory for two copies of the painting.",
        live: false, recorded: true,
        |options, _| {
            require((1..=MOST_PAIRS).contains(&options.history), OptionName::History, || {
                let reason = format!("{} steps are out of range", options.history);
                (reason, format!("give a number from 1 to {MOST_PAIRS}; 10 is the usual one"))
            })
        }
    ),
    option!(
        NormaliseGradients,
        normalise_gradients,
        "Whether the gradient of each term is divided by the sum of its sizes before its weight counts, so \
         that terms pull alike.",
        live: false, recorded: true,
        |_, _| Ok(())
    ),
    option!(
        LearningRate,
        learning_rate,
        "How far a step may change a pixel, in 255ths. Larger is quicker and rougher; too large is spoilt. \
         With L-BFGS the share of its own step that is taken, below 2.",
        live: true, recorded: true,
        |options, _| {
            let rate = options.learning_rate;
            require(rate.is_finite() && rate > 0.0, OptionName::LearningRate, || {
                (format!("{rate} is not a learning rate"), "give a finite number above 0; the course's is 2".into())
            })?;
            let is_stable = options.optimiser != OptimiserKind::LBfgs || rate < MOST_OF_A_STEP;
            require(is_stable, OptionName::LearningRate, || {
                let reason = format!("{rate} times the step of L-BFGS leaves every valley");
                (reason, format!("give a number below {MOST_OF_A_STEP}; 1 is the usual one"))
            })
        }
    ),
    OptionEntry {
        name: OptionName::NoiseRatio,
        what: "The share of noise that is mixed into the start, 0 to 1. A little loosens a start from the \
         photograph.",
        kind: OptionKind::Number,
        live: false,
        recorded: true,
        // What counts is the ratio that `init` leads to.
        get: |options| json(&options.noise_ratio()),
        set: |options, value| set(&mut options.noise_ratio, value),
        check: |options, _| {
            let ratio = options.noise_ratio();
            require((0.0..=1.0).contains(&ratio), OptionName::NoiseRatio, || {
                (format!("{ratio} is out of range"), "give a number from 0 to 1".into())
            })
        },
        text: |options| options.noise_ratio().to_string(),
    },
    option!(
        ContentCost,
        content_cost,
        "How places of the photograph count: all alike, or by the energy that they have, so that skies and \
         walls are free to be painted.",
        live: false, recorded: true,
        |_, _| Ok(()),
        |options| word(&options.content_cost)
    ),
    option!(
        StyleStatistic,
        style_statistic,
        "What of a layer is compared with the style's: Gram matrices, covariances, mean and variance of \
         each channel, or mean and covariance by Wasserstein distances. The weights suit one of them.",
        live: false, recorded: true,
        |_, _| Ok(()),
        |options| word(&options.style_statistic)
    ),
    option!(
        Color,
        color,
        "Whose colours the painting has. style: those of the styles. keep: those of the photograph, over \
         the light and dark of what is painted. match: those of the styles, moved as a whole to the \
         photograph's before. luminance: those of the photograph, and only light and dark is painted. \
         histogram: those of the styles, after each channel got the levels of the photograph.",
        live: false, recorded: true,
        |_, _| Ok(()), |options| word(&options.color)
    ),
    option!(
        Pools,
        pools,
        "How the network pools: by mean or by maximum, or as its file says.",
        live: false, recorded: true,
        |_, _| Ok(()),
        |options| options.pools.map_or("as the network's", PoolKind::name).to_owned()
    ),
    option!(
        Borders,
        borders,
        "What the network sees beyond the borders of a picture: zeros, or the pixels at the border once \
         more, which leaves no dark fringe.",
        live: false, recorded: true,
        |_, _| Ok(()), |options| word(&options.borders)
    ),
    option!(
        Seamless,
        seamless,
        "Makes a picture whose copies can be laid side by side without a seam: along x, along y, or both \
         ways. Sides that wrap are rounded to multiples of 16.",
        live: false, recorded: true,
        |_, _| Ok(()), |options| word(&options.seamless)
    ),
    option!(
        ContentLayers,
        content_layers,
        "The layers of the network in which the painting stays like the photograph, each with its weight. \
         Early ones keep every detail, late ones only the arrangement.",
        live: true, recorded: true,
        |options, network| check_layers(network, OptionName::ContentLayers, &options.content_layers),
        |options| layers_text(&options.content_layers)
    ),
    option!(
        StyleLayers,
        style_layers,
        "The layers of the network in which the painting is compared with the styles, each with its weight. \
         Early ones see small things, late ones large things.",
        live: true, recorded: true,
        |options, network| check_layers(network, OptionName::StyleLayers, &options.style_layers),
        |options| layers_text(&options.style_layers)
    ),
    option!(
        Init,
        init,
        "What there is before the first step. The photograph gives a quick painting that stays close to it; \
         noise one that is freer.",
        live: false, recorded: true,
        |_, _| Ok(()),
        |options| word(&options.init)
    ),
    option!(
        Seed,
        seed,
        "Chooses the noise. The same seed gives the same painting again.",
        live: false, recorded: true,
        |_, _| Ok(())
    ),
    // A checkpoint holds the sizes that it led to.
    option!(
        Size,
        size,
        "How many pixels the painting has. Larger takes longer, in proportion to the area, and makes the \
         strokes finer.",
        live: false, recorded: false,
        |_, _| Ok(())
    ),
    option!(
        Enlarge,
        enlarge,
        "Whether a photograph that is smaller than the size is painted as large as that.",
        live: false, recorded: false,
        |_, _| Ok(())
    ),
    option!(
        Coarsest,
        coarsest,
        "Pixels of the longer side that is painted first, at least; then each size is √2 times larger. \
         Without it, only the last size is painted.",
        live: false, recorded: true,
        |options, _| {
            let coarsest = options.coarsest;
            require(coarsest.is_none_or(|side| side >= LEAST_COARSEST), OptionName::Coarsest, || {
                let reason = format!("{} pixels are too few to begin with", coarsest.unwrap_or_default());
                (reason, format!("give {LEAST_COARSEST} or more; 90 is the usual one"))
            })
        },
        |options| optional_text(options.coarsest)
    ),
    option!(
        Stroke,
        stroke,
        "The size of the strokes: 1 is that of the two pictures side by side. A style is never enlarged. \
         Without it, each style is fitted into the painting's size.",
        live: false, recorded: true,
        |options, _| {
            let stroke = options.stroke;
            let fits = stroke.is_none_or(|stroke| (LEAST_STROKE..=MOST_STROKE).contains(&stroke));
            require(fits, OptionName::Stroke, || {
                let reason = format!("{} is out of range", stroke.unwrap_or_default());
                (reason, format!("give a number from {LEAST_STROKE} to {MOST_STROKE}; 1 is the usual one"))
            })
        },
        |options| optional_text(options.stroke)
    ),
    option!(
        Steps,
        steps,
        "How often the painting is improved, at each size on the way. More steps bring more style.",
        live: true, recorded: false,
        |_, _| Ok(())
    ),
    option!(
        FirstSteps,
        first_steps,
        "Steps at the first and smallest size, where they cost the least; none for as many as at the \
         others.",
        live: true, recorded: false,
        |options, _| {
            require(options.first_steps != Some(0), OptionName::FirstSteps, || {
                ("0 steps are none".into(), "give 1 or more, or none for as many as at the other sizes".into())
            })
        },
        |options| optional_text(options.first_steps)
    ),
    option!(
        Tolerance,
        tolerance,
        "Ends a size before its steps are done when the total cost changes by less than this share in ten \
         steps. 0 never does.",
        live: true, recorded: true,
        |options, _| {
            require((0.0..1.0).contains(&options.tolerance), OptionName::Tolerance, || {
                let remedy = "give a number from 0, which is off, to below 1; 0.001 is a first value to try";
                (format!("{} is out of range", options.tolerance), remedy.into())
            })
        }
    ),
];

impl OptionEntry {
    /// The entry of an option; `None` for what is no option of a transfer, such as its pictures.
    pub fn of(name: OptionName) -> Option<&'static Self> {
        OPTIONS.iter().find(|entry| entry.name == name)
    }

    /// The value as JSON.
    pub fn get(&self, options: &Options) -> Value {
        (self.get)(options)
    }

    /// The value in words, as messages show it.
    pub fn text(&self, options: &Options) -> String {
        (self.text)(options)
    }

    /// Sets the value from JSON; it is not checked.
    ///
    /// # Errors
    /// [`Error::Option`] for JSON of another kind.
    pub fn set(&self, options: &mut Options, value: Value) -> Result<()> {
        (self.set)(options, value).map_err(|error| Error::Option {
            option: self.name,
            reason: error.to_string(),
            remedy: "give a value of the kind that the option has".into(),
        })
    }

    /// Whether a transfer of `sources` that runs with `running` has to be made anew for this option to be as in `wanted`. It
    /// has to for a live one, too, where that asks for a cost that was left out.
    ///
    /// # Errors
    /// As [`OptionEntry::set`], for a value that is not finite.
    pub fn needs_new_transfer(
        &self,
        running: &Options,
        wanted: &Options,
        network: &Network,
        sources: &SourceLayouts,
    ) -> Result<bool> {
        if self.get(running) == self.get(wanted) {
            return Ok(false);
        }
        let mut alone = running.clone();
        self.set(&mut alone, self.get(wanted))?;
        let terms = |options| Objective::of(network, options, sources);
        Ok(!self.live || !terms(&alone).has_terms_of(&terms(running)))
    }

    /// Checks the value, as it is among the others, for a transfer by `network`.
    ///
    /// # Errors
    /// [`Error::Option`] with its name.
    pub fn check(&self, options: &Options, network: &Network) -> Result<()> {
        (self.check)(options, network)
    }
}

impl Options {
    /// Checks every value, for a transfer by `network`.
    ///
    /// # Errors
    /// [`Error::Option`] for the first that does not make sense.
    pub fn validate(&self, network: &Network) -> Result<()> {
        OPTIONS.iter().try_for_each(|entry| entry.check(self, network))
    }

    /// Checks that a host can paint with them frame by frame: [`super::Transfer::record`] waits for nothing.
    ///
    /// # Errors
    /// [`Error::Option`] with a tolerance, for which costs would have to be waited for.
    pub fn validate_for_frames(&self) -> Result<()> {
        require(self.tolerance == 0.0, OptionName::Tolerance, || {
            let reason = "what is painted in frames does not wait for the costs that would end a size";
            (reason.into(), "give 0".into())
        })
    }
}

/// A value that is written as one word.
fn word(value: &impl serde::Serialize) -> String {
    json(value).as_str().unwrap_or_default().to_owned()
}

fn json(value: &impl serde::Serialize) -> Value {
    // Numbers, texts and lists of them; a number that is not finite becomes null.
    serde_json::to_value(value).unwrap_or_default()
}

fn set<T: DeserializeOwned>(field: &mut T, value: Value) -> serde_json::Result<()> {
    *field = serde_json::from_value(value)?;
    Ok(())
}

/// An error about `option`, with the reason and the remedy that `words` give, unless `fits`.
fn require(fits: bool, option: OptionName, words: impl FnOnce() -> (String, String)) -> Result<()> {
    if fits {
        return Ok(());
    }
    let (reason, remedy) = words();
    Err(Error::Option { option, reason, remedy: remedy.into() })
}

fn weight(option: OptionName, value: f32) -> Result<()> {
    require(value.is_finite() && value >= 0.0, option, || {
        (format!("{value} is not a weight"), "give a finite number, 0 or more".into())
    })
}

fn known_layer(network: &Network, option: OptionName, name: &str) -> Result<()> {
    require(network.index_of(name).is_some(), option, || {
        let nearest = network.nearest_names(name).join(", ");
        (format!("{} has no layer {name:?}", network.name()), format!("did you mean one of {nearest}?"))
    })
}

/// A value that may be left out.
fn optional_text(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

/// Layers with their weights, as the command line has them.
fn layers_text(layers: &[WeightedLayer]) -> String {
    let layers = layers.iter().map(|layer| format!("{}={}", layer.name, layer.weight));
    layers.collect::<Vec<_>>().join(",")
}

fn check_layers(network: &Network, option: OptionName, layers: &[WeightedLayer]) -> Result<()> {
    require(!layers.is_empty(), option, || {
        ("no layer is named".into(), "name one at least, such as conv3_1".into())
    })?;
    for (index, layer) in layers.iter().enumerate() {
        let called = |layer: &WeightedLayer| network.activations_called(&layer.name);
        if called(layer).is_none() {
            known_layer(network, option, &layer.name)?;
        }
        require(layer.weight.is_finite() && layer.weight >= 0.0, option, || {
            (
                format!("{} is not a weight for {}", layer.weight, layer.name),
                "give a finite number, 0 or more".into(),
            )
        })?;
        let earlier = layers[..index].iter().find(|earlier| called(earlier) == called(layer));
        require(earlier.is_none(), option, || {
            let other = earlier.map_or("", |earlier| &earlier.name);
            let twice = if other == layer.name { String::new() } else { format!(", first as {other}") };
            (format!("{} is named twice{twice}", layer.name), "name each layer once".into())
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Every field of [`Options`] is an entry, and the other way round.
    #[test]
    fn the_table_has_every_option() {
        let fields = serde_json::to_value(Options::default()).unwrap();
        let mut fields: Vec<&str> = fields.as_object().unwrap().keys().map(String::as_str).collect();
        let mut entries: Vec<&str> = OPTIONS.iter().map(|entry| entry.name.name()).collect();
        fields.sort_unstable();
        entries.sort_unstable();
        assert_eq!(entries, fields);
    }

    /// A form that is made of the table sets what it shows.
    #[test]
    fn every_word_of_an_option_can_be_set() {
        let mut options = Options::default();
        for entry in &OPTIONS {
            let (OptionKind::Word(words) | OptionKind::Optional(OptionKind::Word(words))) = &entry.kind
            else {
                continue;
            };
            for word in *words {
                entry.set(&mut options, Value::from(*word)).unwrap();
                assert_eq!(entry.get(&options), *word, "{}", entry.name);
            }
        }
        assert_eq!(
            OptionEntry::of(OptionName::Init).unwrap().kind,
            OptionKind::Word(&["noise", "content", "picture"])
        );
        assert_eq!(
            OptionEntry::of(OptionName::Stroke).unwrap().kind,
            OptionKind::Optional(&OptionKind::Number)
        );
    }

    #[test]
    fn every_option_says_what_it_does() {
        for entry in &OPTIONS {
            assert!(
                entry.what.ends_with('.') && !entry.what.contains("  "),
                "{}: {}",
                entry.name,
                entry.what
            );
        }
    }

    #[test]
    fn what_is_got_can_be_set() {
        let options = Options::default().with(|options| {
            options.alpha = 0.1;
            options.style_layers.truncate(2);
            options.noise_ratio = Some(0.3);
            options.size = crate::picture::Size::Within { width: 3, height: 5 };
        });
        let mut copy = Options::default();
        for entry in &OPTIONS {
            entry.set(&mut copy, entry.get(&options)).unwrap();
            assert_eq!(entry.text(&copy), entry.text(&options), "{}", entry.name);
        }
        assert_eq!(copy, options);
        let error = OPTIONS[0].set(&mut copy, Value::from("much")).unwrap_err();
        assert!(matches!(error, Error::Option { option: OptionName::Alpha, .. }), "{error}");
    }
}
