//! What can be chosen about a transfer, and the presets.

use crate::error::{Error, OptionName, Result};
use crate::nn::Network;
use crate::picture::{Picture, Size};

/// A named set of options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// deeplearning.ai, course 4, week 4, "Art Generation with Neural Style Transfer": VGG-19 with average
    /// pooling, content conv4_2, five style layers of weight 0.2, α = 10, β = 40, Adam with rate 2.
    Course,
}

impl Preset {
    /// All presets with their names.
    pub const ALL: &'static [(&'static str, Self)] = &[("course", Self::Course)];
}

/// A layer whose Gram matrix is compared, and its share of the style cost.
#[derive(Clone, Debug, PartialEq)]
pub struct StyleLayer {
    /// `conv1_1` … `conv5_4`: the tensor after ReLU.
    pub name: String,
    /// λ: its weight, as it is; weights are not normalised.
    pub weight: f32,
}

/// What the optimisation starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Init {
    /// Noise mixed with the content: R·noise + (1 − R)·(content − mean), R = 0.6 unless given.
    Noise,
    /// The content; R = 0 unless given.
    Content,
    /// A picture, stretched to the content's size; R = 0 unless given.
    Picture(Picture),
}

/// Everything that can be chosen about a transfer. Start from a preset: `Options::preset(Preset::Course)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// α: weight of the content cost.
    pub alpha: f32,
    /// β: weight of the style cost.
    pub beta: f32,
    /// Adam's learning rate, in 8-bit levels.
    pub learning_rate: f32,
    /// The layer whose activations are compared with the content's.
    pub content_layer: String,
    /// The layers whose Gram matrices are compared with the style's.
    pub style_layers: Vec<StyleLayer>,
    /// What the pixels start from.
    pub init: Init,
    /// R: share of noise in the start, 0 to 1; `None`: what `init` says.
    pub noise_ratio: Option<f32>,
    /// Seed of the noise. Seed 3 is the course's.
    pub seed: u32,
    /// Size of the content and, on its own sides, of the style.
    pub size: Size,
    /// Steps that a whole run takes.
    pub steps: u32,
}

impl Options {
    /// The options of a preset.
    pub fn preset(preset: Preset) -> Self {
        match preset {
            Preset::Course => Self {
                alpha: 10.0,
                beta: 40.0,
                learning_rate: 2.0,
                content_layer: "conv4_2".into(),
                style_layers: ["conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"]
                    .map(|name| StyleLayer { name: name.into(), weight: 0.2 })
                    .to_vec(),
                init: Init::Noise,
                noise_ratio: None,
                seed: 3,
                size: Size::LongerSide(400),
                steps: 200,
            },
        }
    }

    /// R, as given or as the start says.
    pub fn noise_ratio(&self) -> f32 {
        self.noise_ratio.unwrap_or(match self.init {
            Init::Noise => 0.6,
            Init::Content | Init::Picture(_) => 0.0,
        })
    }

    /// Index in [`Network::layers`] of the deepest layer that a cost needs.
    ///
    /// # Errors
    /// [`Error::Option`] where the options do not make sense.
    pub fn deepest(&self, network: &Network) -> Result<usize> {
        self.validate(network)?;
        let names = self.style_layers.iter().map(|layer| &layer.name).chain([&self.content_layer]);
        Ok(names.filter_map(|name| network.index_of(name)).max().unwrap_or(0))
    }

    /// Checks every value, and that the layers are those of `network`.
    ///
    /// # Errors
    /// [`Error::Option`] with the first that is out of range.
    pub fn validate(&self, network: &Network) -> Result<()> {
        let not_negative = [(OptionName::Alpha, self.alpha), (OptionName::Beta, self.beta)];
        for (option, value) in not_negative {
            if !value.is_finite() || value < 0.0 {
                return Err(option_error(
                    option,
                    format!("{value} is not a weight"),
                    "give a finite number, 0 or more",
                ));
            }
        }
        if !self.learning_rate.is_finite() || self.learning_rate <= 0.0 {
            let reason = format!("{} is not a learning rate", self.learning_rate);
            return Err(option_error(
                OptionName::LearningRate,
                reason,
                "give a finite number above 0; the course's is 2",
            ));
        }
        let ratio = self.noise_ratio();
        if !(0.0..=1.0).contains(&ratio) {
            return Err(option_error(
                OptionName::NoiseRatio,
                format!("{ratio} is out of range"),
                "give a number from 0 to 1",
            ));
        }
        check_layer(network, OptionName::ContentLayer, &self.content_layer)?;
        if self.style_layers.is_empty() {
            return Err(option_error(
                OptionName::StyleLayers,
                "no layer is named".into(),
                "name one at least, such as conv3_1",
            ));
        }
        for (index, layer) in self.style_layers.iter().enumerate() {
            check_layer(network, OptionName::StyleLayers, &layer.name)?;
            if !layer.weight.is_finite() || layer.weight < 0.0 {
                let reason = format!("{} is not a weight for {}", layer.weight, layer.name);
                return Err(option_error(OptionName::StyleLayers, reason, "give a finite number, 0 or more"));
            }
            if self.style_layers[..index].iter().any(|earlier| earlier.name == layer.name) {
                let reason = format!("{} is named twice", layer.name);
                return Err(option_error(OptionName::StyleLayers, reason, "name each layer once"));
            }
        }
        Ok(())
    }
}

fn check_layer(network: &Network, option: OptionName, name: &str) -> Result<()> {
    if network.index_of(name).is_some() {
        return Ok(());
    }
    let nearest = network.nearest_names(name).join(", ");
    Err(option_error(
        option,
        format!("{} has no layer {name:?}", network.name()),
        &format!("did you mean one of {nearest}?"),
    ))
}

fn option_error(option: OptionName, reason: String, remedy: &str) -> Error {
    Error::Option { option, reason, remedy: remedy.into() }
}
