//! What can be chosen about a transfer, and the presets.

use serde::{Deserialize, Serialize};

use super::scales::Scales;
use crate::nn::Network;
use crate::ops::Wrap;
use crate::ops::conv::PaddingMode;
use crate::ops::pool::PoolKind;
use crate::picture::Size;

/// Sizes that a painting can have on its way: sides of 32 bits, each √2 times larger than the one before.
const MOST_SCALES: u32 = 64;

/// A named set of options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Preset {
    /// A painting with real strokes: coarse to fine from the photograph, Wasserstein distances of the activations, and each
    /// place like the place of the style that is the most like it; 30 steps at each size.
    Fine,
    /// deeplearning.ai, course 4, week 4, "Art Generation with Neural Style Transfer": VGG-19 with average
    /// pooling, content conv4_2, five style layers of weight 0.2, α = 10, β = 40, Adam with rate 2.
    Course,
    /// Justin Johnson's neural-style, and neural-style-pt after it, in their own conventions: content weight 5, style weight 100,
    /// each layer in full, max pools, 1000 steps of L-BFGS from noise at 512 pixels. Without their total variation, whose
    /// weight depends on the size there; a pool of an odd size has one cell more here.
    Johnson,
    /// Gatys et al., "Controlling Perceptual Factors in Neural Style Transfer" (arXiv 1611.07865), in the conventions of the
    /// authors' program NeuralImageSynthesis: content weight 1, style weight 1000/C² for a layer of C channels, max pools, 500
    /// steps of L-BFGS from the content at 512 pixels, which are the longer side here and the root of the area there. Their
    /// second size is twice the first, and is left out.
    Gatys,
    /// Katherine Crowson's style-transfer-pytorch in its own conventions: Wasserstein distances as means over the channels, content
    /// weight 0.015, total variation 2, Adam within the range of pixels and the average of its steps, 1000 steps at 128 pixels
    /// and 500 at each size after that, up to 512. On these weights of VGG-19, where the program has another network's.
    Crowsonkb,
    /// A texture of the styles alone, without a content: the style cost of [`Preset::Fine`], coarse to fine from noise, the
    /// styles at their own resolution.
    Texture,
    /// One picture from what one layer of the network says of it, from noise: as Gatys et al., arXiv 1508.06576, figure 1,
    /// and Mahendran and Vedaldi, arXiv 1412.0035, show what layers keep.
    Reconstruction,
}

impl Preset {
    /// All presets with their names.
    pub const ALL: &'static [(&'static str, Self)] = &[
        ("fine", Self::Fine),
        ("course", Self::Course),
        ("johnson", Self::Johnson),
        ("gatys", Self::Gatys),
        ("crowsonkb", Self::Crowsonkb),
        ("texture", Self::Texture),
        ("reconstruction", Self::Reconstruction),
    ];

    /// Those that paint a content in a style.
    pub const PAINTING: &'static [(&'static str, Self)] = &[
        ("fine", Self::Fine),
        ("course", Self::Course),
        ("johnson", Self::Johnson),
        ("gatys", Self::Gatys),
        ("crowsonkb", Self::Crowsonkb),
    ];

    /// What it makes, for people who paint.
    pub fn what(self) -> &'static str {
        match self {
            Self::Fine => {
                "Painted coarse to fine from the photograph, with real strokes. The steps are those at each size."
            }
            Self::Course => "As deeplearning.ai's course on neural style transfer has it.",
            Self::Johnson => {
                "As Justin Johnson's neural-style has it: a thousand steps of L-BFGS from noise, with much memory."
            }
            Self::Gatys => {
                "As Leon Gatys's program has it: five hundred steps of L-BFGS from the photograph, with much memory."
            }
            Self::Crowsonkb => {
                "As Katherine Crowson's style-transfer-pytorch has it: coarse to fine from the photograph, in many steps."
            }
            Self::Texture => "A texture of the styles alone, coarse to fine from noise.",
            Self::Reconstruction => "One picture from what one layer of the network says of it, from noise.",
        }
    }
}

/// A layer in which the painting is compared, and the weight of its cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WeightedLayer {
    /// `conv1_1` … `conv5_4`: the tensor after ReLU. Names of other programs for the same tensor will do, as
    /// [`Network::activations_called`] has them.
    pub name: String,
    /// λ: its weight, as it is; weights are not normalised.
    pub weight: f32,
}

/// What the optimisation starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Init {
    /// Noise mixed with the content: R·noise + (1 − R)·(content − mean), R = 0.6 unless given. Without a content R is 1.
    Noise,
    /// The content; R = 0 unless given.
    Content,
    /// The initial picture among the [`super::Sources`], stretched to the content's size; R = 0 unless given.
    Picture,
}

impl Init {
    /// All of them with their names.
    pub const ALL: [(&'static str, Self); 3] =
        [("noise", Self::Noise), ("content", Self::Content), ("picture", Self::Picture)];
}

/// What the content cost is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ContentCost {
    /// The mean squared difference of activations: every place counts alike.
    Uniform,
    /// Each place counts as much as the photograph has energy there, so that skies and walls are free to be painted. 0 is
    /// the photograph, 1 as far from it as its own mean.
    Energy,
}

impl ContentCost {
    /// All of them with their names.
    pub const ALL: [(&'static str, Self); 2] = [("uniform", Self::Uniform), ("energy", Self::Energy)];
}

/// What of a layer's activations is compared with a style's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum StyleStatistic {
    /// The Gram matrix: Gatys et al., arXiv 1508.06576.
    Gram,
    /// The covariance of the channels: the Gram matrix of centred activations. The squared distance of two of them over the
    /// square of the style's norm.
    Covariance,
    /// Mean and standard deviation of each channel: Li et al., arXiv 1701.01036. The squared distances over the style's
    /// variance.
    MeanVariance,
    /// Mean and covariance, by the Wasserstein distance of two normal distributions over the style's variance.
    #[serde(alias = "w2")]
    Wasserstein,
    /// The same distance as a mean over the channels, in squared units of the activations: layers whose activations are larger
    /// weigh more.
    WassersteinMean,
}

impl StyleStatistic {
    /// All of them with their names.
    pub const ALL: [(&'static str, Self); 5] = [
        ("gram", Self::Gram),
        ("covariance", Self::Covariance),
        ("mean-variance", Self::MeanVariance),
        ("wasserstein", Self::Wasserstein),
        ("wasserstein-mean", Self::WassersteinMean),
    ];
    /// Other words for some of them.
    pub const ALIASES: [(&'static str, Self); 1] = [("w2", Self::Wasserstein)];
}

/// Whose colours a painting has.
///
/// Luminance is 0.299·red + 0.587·green + 0.114·blue of the 8-bit levels, and chroma what the three differ from it by: the Y and
/// the scaled Cb and Cr of YCbCr (BT.601). Statistics are those of whole pictures, also under masks, at the sizes at which they
/// are used, and follow the content where that changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ColorMode {
    /// Those of the styles.
    Style,
    /// Those of the content: it is painted as with [`ColorMode::Style`], to the bit, and what is shown is the luminance of that
    /// with the chroma of the content. Where a channel would leave 0..255, the chroma becomes as much smaller as it has to in all
    /// of them, so that luminance and hue stay.
    Keep,
    /// Those of the styles, after the colours of each style have been moved to those of the content: by the linear map that gives
    /// them the mean and the covariance of the content's and moves them the least, cut to 0..255. L. A. Gatys et al.,
    /// "Preserving Color in Neural Artistic Style Transfer" (arXiv 1606.05897).
    Match,
    /// Those of the content: all pictures are replaced by their luminance, and that of each style gets the mean and the standard
    /// deviation of the content's. What is shown is the luminance of the painting with the chroma of the content, as with
    /// [`ColorMode::Keep`]. After the same paper.
    Luminance,
    /// Those of the styles, after each channel of each style has been given the histogram of the content's: the levels of both are
    /// ranked, and those of one rank are one. It is closer than [`ColorMode::Match`] in each channel, and knows nothing of how
    /// channels go together.
    Histogram,
}

impl ColorMode {
    /// All of them with their names.
    pub const ALL: [(&'static str, Self); 5] = [
        ("style", Self::Style),
        ("keep", Self::Keep),
        ("match", Self::Match),
        ("luminance", Self::Luminance),
        ("histogram", Self::Histogram),
    ];
}

/// What convolutions see beyond the borders of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Borders {
    /// Zeros, as the network was trained.
    Zero,
    /// The pixels at the border once more, which leaves no dark fringe.
    Replicate,
    /// The pixels at the border once more, for the first convolution; zeros for the others.
    ReplicateFirst,
}

impl Borders {
    /// All of them with their names.
    pub const ALL: [(&'static str, Self); 3] =
        [("zero", Self::Zero), ("replicate", Self::Replicate), ("replicate-first", Self::ReplicateFirst)];
}

/// Where the picture goes on at its other end, so that copies of it can be laid side by side without a seam.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Seamless {
    /// Nowhere.
    None,
    /// Its right side goes on at the left one.
    X,
    /// Its lower side goes on at the upper one.
    Y,
    /// Both.
    Both,
}

impl Seamless {
    /// All of them with their names.
    pub const ALL: [(&'static str, Self); 4] =
        [("none", Self::None), ("both", Self::Both), ("x", Self::X), ("y", Self::Y)];

    /// The sides that wrap.
    pub(crate) fn wrap(self) -> Wrap {
        Wrap { y: matches!(self, Self::Y | Self::Both), x: matches!(self, Self::X | Self::Both) }
    }
}

/// What changes the pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum OptimiserKind {
    /// Adam: Kingma and Ba, arXiv 1412.6980.
    Adam,
    /// Adam at every level of a pyramid of the smoothed gradient, the pixels kept within their range, and a moving average
    /// of them as the result. Large areas take colour within few steps, and there is no mesh of single pixels.
    PyramidAdam,
    /// Adam, the pixels kept within their range, and a moving average of them as the result: what is left of
    /// [`OptimiserKind::PyramidAdam`] without the pyramid and without smoothing.
    AveragedAdam,
    /// L-BFGS from the last [`Options::history`] steps, without a line search: Nocedal, Mathematics of Computation 35 (1980).
    /// It reaches lower costs within the same number of steps, and keeps two copies of the pixels for each step that it
    /// remembers. Each size begins with nothing remembered, and so does what follows a change of the cost.
    #[serde(alias = "lbfgs")]
    LBfgs,
}

impl OptimiserKind {
    /// All of them with their names.
    pub const ALL: [(&'static str, Self); 4] = [
        ("adam", Self::Adam),
        ("pyramid-adam", Self::PyramidAdam),
        ("averaged-adam", Self::AveragedAdam),
        ("l-bfgs", Self::LBfgs),
    ];
    /// Other words for some of them.
    pub const ALIASES: [(&'static str, Self); 1] = [("lbfgs", Self::LBfgs)];
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
    /// γ: weight of the match cost, which draws each place towards the style's place that is the most like it; 0 leaves it
    /// out.
    pub gamma: f32,
    /// How far the painting goes from the photograph, above 0 and up to 1: the content's weight is α·((1 − s)/s)², so 0.5
    /// leaves it as it is.
    pub strength: f32,
    /// Weight of the total variation of the pixels, which makes neighbours alike; 0 leaves it out.
    pub total_variation: f32,
    /// What changes the pixels.
    pub optimiser: OptimiserKind,
    /// Adam's learning rate, in 8-bit levels. With L-BFGS the share of its own step that is taken, below 2; 1 is the usual one.
    pub learning_rate: f32,
    /// The share of the learning rate that is gone by the end of each size, 0 to 1, with pyramid and averaged Adam.
    pub fade: f32,
    /// How much of the moving average each step keeps, 0 to below 1, with pyramid and averaged Adam. With 0 the result is the last
    /// step.
    pub averaging: f32,
    /// Steps that L-BFGS remembers at most, 1 to 100.
    pub history: u32,
    /// Whether the gradient of each term that looks at a layer is divided by its L1 norm there, before it has its weights: then
    /// these say how much each term has to say, whatever the size of its cost. Costs are counted as without.
    pub normalise_gradients: bool,
    /// What the content cost is.
    pub content_cost: ContentCost,
    /// The layers whose activations are compared with the content's.
    pub content_layers: Vec<WeightedLayer>,
    /// What of a layer is compared with a style's.
    pub style_statistic: StyleStatistic,
    /// The layers that are compared with the style's.
    pub style_layers: Vec<WeightedLayer>,
    /// Whose colours the painting has.
    pub color: ColorMode,
    /// How the network pools; `None`: as its file says.
    pub pools: Option<PoolKind>,
    /// What convolutions see beyond the borders.
    pub borders: Borders,
    /// Where the picture wraps: there its sides are rounded to multiples of 16 at every size, and convolutions, the
    /// pyramid and the ways from one size to the next see its other end instead of what `borders` says. The pictures that
    /// it is compared with do not wrap.
    pub seamless: Seamless,
    /// What the pixels start from.
    pub init: Init,
    /// R: share of noise in the start, 0 to 1; `None`: what `init` says.
    pub noise_ratio: Option<f32>,
    /// Seed of the noise. Seed 3 is the course's.
    pub seed: u32,
    /// Size of the painting: the content's, fitted. Without a content it is this size: the box, or a square.
    pub size: Size,
    /// Whether a content that is smaller than `size` is painted as large as that.
    pub enlarge: bool,
    /// Pixels of the longer side that the painting begins with at least: it is painted coarse to fine, each size √2 times
    /// larger than the one before. `None`: at its own size alone.
    pub coarsest: Option<u32>,
    /// The side of a style over the content's, as the square root of the ratio of their areas: small values paint with
    /// small strokes. Without a content, the side of a style over its own. A style is never enlarged. `None`: each style is
    /// fitted into `size` on its own sides.
    pub stroke: Option<f32>,
    /// Steps at each size, the first excepted where `first_steps` says so.
    pub steps: u32,
    /// Steps at the first size, which is the coarsest, or the only one. `None`: as at the others.
    pub first_steps: Option<u32>,
    /// A size ends before its steps are done when the total cost changes by less than this share: the mean of the last 10
    /// steps against that of the 10 before. 0: never. For [`super::Transfer::step`] alone, which waits for the costs.
    pub tolerance: f32,
}

impl Default for Options {
    /// [`Preset::Fine`].
    fn default() -> Self {
        Self::preset(Preset::Fine)
    }
}

impl Options {
    /// The options of a preset.
    pub fn preset(preset: Preset) -> Self {
        let style_layers = ["conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"]
            .map(|name| WeightedLayer { name: name.into(), weight: 0.2 })
            .to_vec();
        let content_layers = vec![WeightedLayer { name: "conv4_2".into(), weight: 1.0 }];
        // The layers of VGG-19 with weights that depend on their channels.
        let with_channels = |weight: fn(f32) -> f32| {
            let channels = [64.0, 128.0, 256.0, 512.0, 512.0];
            let layers = style_layers.iter().zip(channels);
            layers
                .map(|(layer, channels)| WeightedLayer { weight: weight(channels), ..layer.clone() })
                .collect()
        };
        match preset {
            Preset::Fine => Self {
                alpha: 0.05,
                beta: 0.5,
                gamma: 0.5,
                strength: 0.5,
                total_variation: 0.0,
                optimiser: OptimiserKind::PyramidAdam,
                learning_rate: 3.0,
                fade: 0.8,
                averaging: 0.9,
                history: 10,
                normalise_gradients: false,
                content_cost: ContentCost::Energy,
                content_layers,
                style_statistic: StyleStatistic::Wasserstein,
                style_layers,
                color: ColorMode::Style,
                pools: Some(PoolKind::Max),
                borders: Borders::Replicate,
                seamless: Seamless::None,
                init: Init::Content,
                noise_ratio: None,
                seed: 3,
                size: Size::LongerSide(512),
                enlarge: false,
                coarsest: Some(90),
                stroke: Some(1.0),
                steps: 30,
                first_steps: None,
                tolerance: 0.0,
            },
            Preset::Course => Self {
                alpha: 10.0,
                beta: 40.0,
                gamma: 0.0,
                strength: 0.5,
                total_variation: 0.0,
                optimiser: OptimiserKind::Adam,
                learning_rate: 2.0,
                fade: 0.0,
                averaging: 0.0,
                history: 10,
                normalise_gradients: false,
                content_cost: ContentCost::Uniform,
                content_layers,
                style_statistic: StyleStatistic::Gram,
                style_layers,
                color: ColorMode::Style,
                pools: None,
                borders: Borders::Zero,
                seamless: Seamless::None,
                init: Init::Noise,
                noise_ratio: None,
                seed: 3,
                size: Size::LongerSide(400),
                enlarge: false,
                coarsest: None,
                stroke: None,
                steps: 200,
                first_steps: None,
                tolerance: 0.0,
            },
            Preset::Johnson => {
                // There a Gram matrix is divided by the channels, too, a mean of squares is not halved twice, and a layer has
                // the whole weight.
                let style_layers = with_channels(|channels| 4.0 * 100.0 / (channels * channels));
                Self {
                    alpha: 4.0 * 5.0,
                    beta: 1.0,
                    style_layers,
                    optimiser: OptimiserKind::LBfgs,
                    learning_rate: 1.0,
                    history: 100,
                    pools: Some(PoolKind::Max),
                    noise_ratio: Some(1.0),
                    size: Size::LongerSide(512),
                    steps: 1000,
                    ..Self::preset(Preset::Course)
                }
            }
            Preset::Gatys => Self {
                // A mean of squares is not halved twice there.
                alpha: 4.0,
                style_layers: with_channels(|channels| 4.0 * 1000.0 / (channels * channels)),
                init: Init::Content,
                noise_ratio: None,
                steps: 500,
                ..Self::preset(Preset::Johnson)
            },
            Preset::Crowsonkb => {
                // There pixels are in 0..1 and features are those of a network that sees them divided by their deviation. The total
                // is theirs times 255, so that a gradient per level is theirs per unit, and Adam's ε is as small beside it.
                let (total, feature, pixel) = (255.0, 1.0 / (255.0 * 0.226), 1.0 / 255.0);
                let shares = [256.0, 64.0, 16.0, 4.0, 1.0];
                let layers = style_layers.into_iter().zip(shares);
                let layers = layers.map(|(layer, share)| WeightedLayer { weight: share / 341.0, ..layer });
                Self {
                    alpha: total * feature * feature * 4.0 * 0.015,
                    beta: total * feature * feature,
                    total_variation: total * pixel * pixel * 2.0,
                    style_statistic: StyleStatistic::WassersteinMean,
                    style_layers: layers.collect(),
                    optimiser: OptimiserKind::AveragedAdam,
                    learning_rate: 255.0 * 0.02,
                    averaging: 0.99,
                    pools: Some(PoolKind::Max),
                    borders: Borders::ReplicateFirst,
                    init: Init::Content,
                    size: Size::LongerSide(512),
                    coarsest: Some(128),
                    first_steps: Some(1000),
                    steps: 500,
                    ..Self::preset(Preset::Course)
                }
            }
            Preset::Texture => {
                Self { gamma: 0.0, init: Init::Noise, noise_ratio: Some(1.0), ..Self::preset(Preset::Fine) }
            }
            Preset::Reconstruction => Self {
                alpha: 1.0,
                beta: 1.0,
                content_cost: ContentCost::Uniform,
                pools: Some(PoolKind::Mean),
                size: Size::LongerSide(256),
                coarsest: None,
                stroke: None,
                steps: 200,
                ..Self::preset(Preset::Texture)
            },
        }
    }

    /// These options after `change`.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Steps of a whole run: at most so many, whatever the size of the content.
    pub fn most_steps(&self) -> u32 {
        let later = if self.coarsest.is_some() { MOST_SCALES - 1 } else { 0 };
        self.steps_at(0).saturating_add(self.steps.saturating_mul(later))
    }

    /// Steps at the size of this number, from 0 for the coarsest.
    pub fn steps_at(&self, scale: usize) -> u32 {
        self.first_steps.filter(|_| scale == 0).unwrap_or(self.steps)
    }

    /// The weight of the content cost: α·((1 − s)/s)².
    pub fn content_weight(&self) -> f32 {
        let ratio = (1.0 - self.strength) / self.strength;
        self.alpha * ratio * ratio
    }

    /// The same, with the layers as `network` calls them.
    pub(super) fn with_names_of(&self, network: &Network) -> Self {
        let mut options = self.clone();
        for layer in options.content_layers.iter_mut().chain(&mut options.style_layers) {
            if let Some(own) = network.activations_called(&layer.name) {
                layer.name.clone_from(&own.name);
            }
        }
        options
    }

    /// The network as these options use it: with their pools and borders.
    pub(crate) fn network(&self, network: &Network) -> Network {
        let mut network = network.clone();
        if let Some(pools) = self.pools {
            network = network.with_pools(pools);
        }
        match self.borders {
            Borders::Zero => network,
            Borders::Replicate => network.with_borders(PaddingMode::ReplicateForward),
            Borders::ReplicateFirst => network.with_first_borders(PaddingMode::ReplicateForward),
        }
    }

    /// The network as the painting is seen by it, from that by which other pictures are.
    pub(crate) fn painting_network(&self, network: &Network) -> Network {
        network.clone().with_wrap(self.seamless.wrap())
    }

    /// The sizes on the way to a painting of `size` (width, height), which is rounded where it wraps.
    pub fn scales(&self, size: (u32, u32)) -> Scales {
        Scales::of(size, self.coarsest).wrapping(self.seamless.wrap())
    }

    /// Width and height of the painting of a content of this size (width, height).
    pub fn fit_content(&self, (width, height): (u32, u32)) -> (u32, u32) {
        if self.enlarge { self.size.fill(width, height) } else { self.size.fit(width, height) }
    }

    /// R, as given or as the start says.
    pub fn noise_ratio(&self) -> f32 {
        self.noise_ratio.unwrap_or(match self.init {
            Init::Noise => 0.6,
            Init::Content | Init::Picture => 0.0,
        })
    }
}
