//! The one table of a transfer's options: how each is read, set, checked and written out, whether it can change while a
//! transfer runs, and whether it decides which picture comes out. Validation, [`super::Transfer::set_options`], checkpoints
//! and their resuming follow from it, and so do clients that show options by name.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::look_up::{ENERGY_LAYER, MATCH_LAYERS};
use super::options::{OptimiserKind, Options, WeightedLayer};
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
    ($name:ident, $field:ident, live: $live:literal, recorded: $recorded:literal, $check:expr) => {
        option!($name, $field, live: $live, recorded: $recorded, $check, |options| options.$field.to_string())
    };
    ($name:ident, $field:ident, live: $live:literal, recorded: $recorded:literal, $check:expr, $text:expr) => {
        OptionEntry {
            name: OptionName::$name,
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
    option!(Alpha, alpha, live: true, recorded: true, |options, _| weight(OptionName::Alpha, options.alpha)),
    option!(Beta, beta, live: true, recorded: true, |options, _| weight(OptionName::Beta, options.beta)),
    option!(Gamma, gamma, live: true, recorded: true, |options, network| {
        weight(OptionName::Gamma, options.gamma)?;
        let layers = MATCH_LAYERS.iter().chain([&ENERGY_LAYER]).filter(|_| options.gamma > 0.0);
        layers.into_iter().try_for_each(|layer| known_layer(network, OptionName::Gamma, layer))
    }),
    option!(Strength, strength, live: true, recorded: true, |options, _| {
        let strength = options.strength;
        require(strength > 0.0 && strength <= 1.0, OptionName::Strength, || {
            (format!("{strength} is out of range"), "give a number above 0, up to 1; 0.5 is the usual one".into())
        })
    }),
    option!(TotalVariation, total_variation, live: true, recorded: true, |options, _| weight(
        OptionName::TotalVariation,
        options.total_variation
    )),
    option!(Optimiser, optimiser, live: false, recorded: true, |_, _| Ok(()), |options| word(&options.optimiser)),
    option!(Fade, fade, live: true, recorded: true, |options, _| {
        require((0.0..=1.0).contains(&options.fade), OptionName::Fade, || {
            (format!("{} is out of range", options.fade), "give a number from 0 to 1".into())
        })
    }),
    option!(Averaging, averaging, live: true, recorded: true, |options, _| {
        require((0.0..1.0).contains(&options.averaging), OptionName::Averaging, || {
            (format!("{} is out of range", options.averaging), "give a number from 0 to below 1".into())
        })
    }),
    option!(History, history, live: false, recorded: true, |options, _| {
        require((1..=MOST_PAIRS).contains(&options.history), OptionName::History, || {
            let reason = format!("{} steps are out of range", options.history);
            (reason, format!("give a number from 1 to {MOST_PAIRS}; 10 is the usual one"))
        })
    }),
    option!(NormaliseGradients, normalise_gradients, live: false, recorded: true, |_, _| Ok(())),
    option!(LearningRate, learning_rate, live: true, recorded: true, |options, _| {
        let rate = options.learning_rate;
        require(rate.is_finite() && rate > 0.0, OptionName::LearningRate, || {
            (format!("{rate} is not a learning rate"), "give a finite number above 0; the course's is 2".into())
        })?;
        let is_stable = options.optimiser != OptimiserKind::LBfgs || rate < MOST_OF_A_STEP;
        require(is_stable, OptionName::LearningRate, || {
            let reason = format!("{rate} times the step of L-BFGS leaves every valley");
            (reason, format!("give a number below {MOST_OF_A_STEP}; 1 is the usual one"))
        })
    }),
    OptionEntry {
        name: OptionName::NoiseRatio,
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
        live: false,
        recorded: true,
        |_, _| Ok(()),
        |options| word(&options.content_cost)
    ),
    option!(
        StyleStatistic,
        style_statistic,
        live: false,
        recorded: true,
        |_, _| Ok(()),
        |options| word(&options.style_statistic)
    ),
    option!(Color, color, live: false, recorded: true, |_, _| Ok(()), |options| word(&options.color)),
    option!(
        Pools,
        pools,
        live: false,
        recorded: true,
        |_, _| Ok(()),
        |options| options.pools.map_or("as the network's", PoolKind::name).to_owned()
    ),
    option!(Borders, borders, live: false, recorded: true, |_, _| Ok(()), |options| word(&options.borders)),
    option!(Seamless, seamless, live: false, recorded: true, |_, _| Ok(()), |options| word(&options.seamless)),
    option!(
        ContentLayers,
        content_layers,
        live: true,
        recorded: true,
        |options, network| check_layers(network, OptionName::ContentLayers, &options.content_layers),
        |options| layers_text(&options.content_layers)
    ),
    option!(
        StyleLayers,
        style_layers,
        live: true,
        recorded: true,
        |options, network| check_layers(network, OptionName::StyleLayers, &options.style_layers),
        |options| layers_text(&options.style_layers)
    ),
    option!(
        Init,
        init,
        live: false,
        recorded: true,
        |_, _| Ok(()),
        |options| word(&options.init)
    ),
    option!(Seed, seed, live: false, recorded: true, |_, _| Ok(())),
    // A checkpoint holds the sizes that it led to.
    option!(Size, size, live: false, recorded: false, |_, _| Ok(())),
    option!(Enlarge, enlarge, live: false, recorded: false, |_, _| Ok(())),
    option!(
        Coarsest,
        coarsest,
        live: false,
        recorded: true,
        |options, _| {
            let coarsest = options.coarsest;
            require(coarsest.is_none_or(|side| side >= LEAST_COARSEST), OptionName::Coarsest, || {
                let reason = format!("{} pixels are too few to begin with", coarsest.unwrap_or_default());
                (reason, format!("give {LEAST_COARSEST} or more; 90 is the usual one"))
            })
        },
        |options| options.coarsest.map_or_else(|| "none".to_owned(), |side| side.to_string())
    ),
    option!(
        Stroke,
        stroke,
        live: false,
        recorded: true,
        |options, _| {
            let stroke = options.stroke;
            let fits = stroke.is_none_or(|stroke| (LEAST_STROKE..=MOST_STROKE).contains(&stroke));
            require(fits, OptionName::Stroke, || {
                let reason = format!("{} is out of range", stroke.unwrap_or_default());
                (reason, format!("give a number from {LEAST_STROKE} to {MOST_STROKE}; 1 is the usual one"))
            })
        },
        |options| options.stroke.map_or_else(|| "none".to_owned(), |stroke| stroke.to_string())
    ),
    option!(Steps, steps, live: true, recorded: false, |_, _| Ok(())),
    option!(
        FirstSteps,
        first_steps,
        live: true,
        recorded: false,
        |options, _| {
            require(options.first_steps != Some(0), OptionName::FirstSteps, || {
                ("0 steps are none".into(), "give 1 or more, or none for as many as at the other sizes".into())
            })
        },
        |options| options.first_steps.map_or_else(|| "none".to_owned(), |steps| steps.to_string())
    ),
    option!(Tolerance, tolerance, live: true, recorded: true, |options, _| {
        require((0.0..1.0).contains(&options.tolerance), OptionName::Tolerance, || {
            let remedy = "give a number from 0, which is off, to below 1; 0.001 is a first value to try";
            (format!("{} is out of range", options.tolerance), remedy.into())
        })
    }),
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
        known_layer(network, option, &layer.name)?;
        require(layer.weight.is_finite() && layer.weight >= 0.0, option, || {
            (
                format!("{} is not a weight for {}", layer.weight, layer.name),
                "give a finite number, 0 or more".into(),
            )
        })?;
        let is_new = layers[..index].iter().all(|earlier| earlier.name != layer.name);
        require(is_new, option, || {
            (format!("{} is named twice", layer.name), "name each layer once".into())
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
