//! What can be chosen about a transfer, and the presets.

use serde::{Deserialize, Serialize};

use crate::picture::Size;

/// A named set of options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StyleLayer {
    /// `conv1_1` … `conv5_4`: the tensor after ReLU.
    pub name: String,
    /// λ: its weight, as it is; weights are not normalised.
    pub weight: f32,
}

/// What the optimisation starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Init {
    /// Noise mixed with the content: R·noise + (1 − R)·(content − mean), R = 0.6 unless given.
    Noise,
    /// The content; R = 0 unless given.
    Content,
    /// The initial picture among the [`super::Sources`], stretched to the content's size; R = 0 unless given.
    Picture,
}

/// Everything that can be chosen about a transfer. Start from a preset and change what should differ:
/// `Options::preset(Preset::Course).with(|options| options.steps = 300)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Options {
    /// α: weight of the content cost.
    pub alpha: f32,
    /// β: weight of the style cost.
    pub beta: f32,
    /// Weight of the total variation of the pixels, which makes neighbours alike; 0 leaves it out.
    pub total_variation: f32,
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
    /// Size of the content and, on its own sides, of each style.
    pub size: Size,
    /// Steps that a whole run takes.
    pub steps: u32,
}

impl Default for Options {
    /// [`Preset::Course`].
    fn default() -> Self {
        Self::preset(Preset::Course)
    }
}

impl Options {
    /// The options of a preset.
    pub fn preset(preset: Preset) -> Self {
        match preset {
            Preset::Course => Self {
                alpha: 10.0,
                beta: 40.0,
                total_variation: 0.0,
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

    /// These options after `change`.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// R, as given or as the start says.
    pub fn noise_ratio(&self) -> f32 {
        self.noise_ratio.unwrap_or(match self.init {
            Init::Noise => 0.6,
            Init::Content | Init::Picture => 0.0,
        })
    }
}
