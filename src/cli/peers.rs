//! What other programs for style transfer call their options, and what those are here.

use super::{Failure, Result};

/// An argument that begins with a hyphen: `--name=value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Typed<'a> {
    /// With its hyphens.
    pub(super) name: &'a str,
    /// Behind the first sign of equality, where there is one.
    pub(super) value: Option<&'a str>,
}

impl<'a> Typed<'a> {
    /// `None` where it does not begin with a hyphen and a letter.
    pub(super) fn of(text: &'a str) -> Option<Self> {
        let letters = text.strip_prefix("--").or_else(|| text.strip_prefix('-'))?;
        letters.starts_with(|first: char| first.is_alphabetic()).then_some(())?;
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        Some(Self { name, value })
    }
}

/// What stands for an option of another program.
#[derive(Clone, Copy, Debug)]
enum Here {
    /// This option, which means exactly the same.
    Same(&'static str),
    /// This option, which means exactly the same with these words for theirs. Other words are answered with the text.
    Words(&'static str, &'static [(&'static str, &'static str)], &'static str),
    /// A weight: this option, with the number times a factor under each of these presets; and what else there is to say.
    Weight(&'static str, &'static [(&'static str, f64)], &'static str),
    /// Something else, or nothing: what to do.
    Other(&'static str),
}

use Here::{Other, Same, Weight, Words};

/// An option of another program, by all of its spellings. Those of one hyphen are neural-style's and neural-style-pt's, or
/// the short ones of style-transfer-pytorch; those of two hyphens with underscores are neural-style-tf's, and the others those of
/// anishathalye's neural-style and of style-transfer-pytorch.
pub(super) struct Peer {
    spellings: &'static [&'static str],
    here: Here,
}

const fn peer(spellings: &'static [&'static str], here: Here) -> Peer {
    Peer { spellings, here }
}

/// The weight of a content there, times this, is α with the preset of the program.
const ALPHA: [(&str, f64); 2] = [("johnson", 4.0), ("crowsonkb", 0.3071)];
/// The same for the weight of a style and β.
const BETA: [(&str, f64); 1] = [("johnson", 0.01)];
/// The same for the total variation. That of `johnson` depends on the size of the picture there.
const TOTAL_VARIATION: [(&str, f64); 1] = [("crowsonkb", 1.0 / 255.0)];
/// A rate in units of the range of pixels, in levels.
const STEP_SIZE: [(&str, f64); 1] = [("crowsonkb", 255.0)];
/// Pools: the words that programs which keep the last row of an odd size have.
const POOLS: [(&str, &str); 2] = [("max", "max"), ("avg", "mean")];
const LAYERS: &str = "layers and their weights are one list, joined by commas: --style-layers relu1_1=1,relu2_1=1; a layer \
                      without a weight gets 1/count, where those of neural-style have 1 each. --content-layers is written alike";
const PAIR: &str = "pictures are named without an option, CONTENT first and then each STYLE";
const NO_VIDEO: &str = "there is no video here: paint each frame by a run of its own, with the same --seed";
const NO_MODEL: &str = "VGG-19 is in the program; --weights FILE takes other weights of VGG-19 or VGG-16";

/// Every option that differs from one here of the same name. What is not here is unknown to those programs, too, or means
/// the same by the same name.
static PEERS: &[Peer] = &[
    // What is minimised.
    peer(
        &["-content_weight", "--content-weight", "--content_weight", "-cw"],
        Weight("--alpha", &ALPHA, "--strength says the same for every preset"),
    ),
    peer(
        &["-style_weight", "--style-weight", "--style_weight"],
        Weight(
            "--beta",
            &BETA,
            "only the proportion of --alpha and --beta counts, and --strength is its knob",
        ),
    ),
    peer(
        &["-tv_weight", "--tv-weight", "--tv_weight", "-tw"],
        Weight(
            "--total-variation",
            &TOTAL_VARIATION,
            "neural-style's is not divided by the size of the picture; try 1000000 with --preset course",
        ),
    ),
    peer(&["--temporal_weight"], Other(NO_VIDEO)),
    peer(
        &["-style_layers", "-content_layers", "--style_layer_weights", "--content_layer_weights"],
        Other(LAYERS),
    ),
    peer(
        &["--style-layer-weight-exp"],
        Other("each layer has a weight of its own in --style-layers L=W,L=W"),
    ),
    peer(
        &["--content-weight-blend"],
        Other("write both layers with their shares: --content-layers conv4_2=0.5,conv5_2=0.5"),
    ),
    peer(
        &["--content_loss_function"],
        Other(
            "costs are divided in one way; what changes is --alpha, and --content-cost says how places count",
        ),
    ),
    peer(&["-normalize_gradients"], Same("--normalise-gradients")),
    peer(
        &["-normalize_weights", "--normalize_weights"],
        Other("--normalise-gradients takes the sizes of layers out of their weights"),
    ),
    // Pictures.
    peer(
        &["-content_image", "--content", "--content_img", "--content-image", "--content_image"],
        Other(PAIR),
    ),
    peer(
        &["-style_image", "--styles", "--style", "--style_imgs", "--style-image", "--style_image"],
        Other(PAIR),
    ),
    peer(
        &["--content_img_dir", "--style_imgs_dir"],
        Other("a file is named with its folder; a folder as STYLE stands for all pictures in it"),
    ),
    peer(&["-style_blend_weights", "--style-blend-weights", "--style_imgs_weights"], Same("--style-weights")),
    // Means and second moments of styles are averaged there.
    peer(
        &["-sw"],
        Other(
            "--style-weights W,W, joined by commas; each style has a cost of its own, and costs are averaged",
        ),
    ),
    peer(
        &[
            "-style_scale",
            "--style-scale",
            "--style-scales",
            "--style_scale",
            "--style-scale-fac",
            "--style-size",
        ],
        Other(
            "--stroke F is the side of STYLE over the photograph's as it is looked at, by areas; there it is by the longer \
             sides. STYLE is never enlarged",
        ),
    ),
    peer(
        &["--style_mask", "--style_mask_imgs"],
        Other("a mask belongs to a style by its number: --style-mask 1=FILE, once for each style"),
    ),
    peer(&["-init_image", "--init_image", "--init-image", "--initial"], Same("--init")),
    peer(
        &["-init", "--init_img_type"],
        Other(
            "--init noise, content or FILE: noise is theirs called random, and is ±20 levels here, mixed with the photograph \
             by --noise-ratio",
        ),
    ),
    peer(
        &["--initial-noiseblend"],
        Other("--noise-ratio R is the share of noise in the start; the noise is ±20 levels here"),
    ),
    peer(
        &[
            "-original_colors",
            "--original-colors",
            "--original_colors",
            "--preserve-colors",
            "--preserve-color",
            "--preserve_color",
        ],
        Other(
            "--color keep: the photograph's colours over the light and dark of the painting, and none is cut off at the ends \
             of its range. --color luminance and --color match are other ways",
        ),
    ),
    peer(
        &["--color_convert_type", "--color-convert-type", "--color_convert_time"],
        Other("--color keep works in YCbCr, after the painting"),
    ),
    // Sizes.
    peer(
        &["-image_size", "--image-size", "--image_size", "--img_size", "--img-size", "-s", "--end-scale"],
        Other("--size N is the longer side; a smaller photograph is enlarged to it only with --enlarge"),
    ),
    peer(&["--max_size", "--max-size"], Same("--size")),
    peer(
        &["--width", "--height"],
        Other(
            "--size WxH is a box that the painting fits into, such as --size 640x480; --size N is the longer side",
        ),
    ),
    peer(&["--min-scale", "-ms"], Same("--coarsest")),
    // The way down.
    peer(
        &[
            "-num_iterations",
            "--num-iterations",
            "--num_iterations",
            "--iterations",
            "--max_iterations",
            "--max-iterations",
            "--iters",
            "--epochs",
            "-i",
            "-n",
        ],
        Other(
            "--steps N: steps at each size, of which the preset fine has several, so that fewer are needed; \
             --first-steps is for the first size",
        ),
    ),
    peer(&["--initial-iterations", "-ii"], Same("--first-steps")),
    peer(
        &["-learning_rate", "--lr", "-lr"],
        Other(
            "--learning-rate R: the same number with --optimiser adam, in levels of 255; with l-bfgs it is a share below 2",
        ),
    ),
    peer(
        &["--step-size", "-ss"],
        Weight("--learning-rate", &STEP_SIZE, "it is in levels of 255 here, and a share of the range there"),
    ),
    peer(
        &["--beta1", "--beta2", "--epsilon"],
        Other(
            "Adam's constants are fixed: 0.9, 0.999 and 1e-8; --fade and --averaging change what becomes of its steps",
        ),
    ),
    peer(&["--avg-decay", "-ad"], Same("--averaging")),
    peer(
        &["-optimizer"],
        Words(
            "--optimiser",
            &[("lbfgs", "l-bfgs"), ("adam", "adam")],
            "--optimiser takes adam, pyramid-adam, averaged-adam or l-bfgs",
        ),
    ),
    peer(&["-lbfgs_num_correction"], Same("--history")),
    peer(
        &["-pooling", "--pooling_layer"],
        Other(
            "--pools max or mean; a pool of an odd size has one cell more here, so that the last row and column count",
        ),
    ),
    peer(
        &["--pooling", "--pooling_type"],
        Words(
            "--pools",
            &POOLS,
            "--pools takes max or mean; means are not multiplied by a factor here, and there are no others",
        ),
    ),
    peer(&["-seed", "-r", "--random-seed"], Other("--seed N; the noise of a seed is another one here")),
    peer(&["--jitter", "--div", "--proof"], Other("there is nothing like it here")),
    // Files.
    peer(&["-output_image", "--output-image", "--output_image", "--out"], Same("--output")),
    peer(&["--img_name", "--img_output_dir"], Other("-o FOLDER/NAME.png says where the painting goes")),
    peer(
        &["-save_iter", "--save-iter", "--save_iter", "--checkpoint-iterations"],
        Other(
            "--save-every N writes the picture after every N steps, as OUT with the step's number; without it none is written",
        ),
    ),
    peer(
        &["--checkpoint-output"],
        Other(
            "--save-every N writes the picture after every N steps beside OUT; --checkpoint FILE is the state of the run",
        ),
    ),
    peer(
        &[
            "-print_iter",
            "--print-iter",
            "--print_iter",
            "--print-iterations",
            "--print_iterations",
            "--progress-write",
            "--progress-plot",
            "--verbose",
        ],
        Other("progress is always shown; --trace FILE.jsonl has the costs of every step"),
    ),
    peer(&["--overwrite"], Other("leave it out: an old painting is replaced when the new one is done")),
    peer(
        &["-model_file", "-proto_file", "--model", "--network", "--model_weights", "--vgg", "-model_type"],
        Other(NO_MODEL),
    ),
    peer(&["-disable_check"], Other("weights are always checked, which takes no time")),
    // How it is computed.
    peer(
        &["-gpu", "--gpu", "--devices", "--cuda", "--use-gpu", "--no-cuda"],
        Other(
            "--device takes an index or a name as `impasto devices` lists them, and --device cpu the processor; without it the \
             first GPU is taken",
        ),
    ),
    peer(
        &["-multigpu_strategy", "-multidevice_strategy", "--multigpu-strategy"],
        Other("a run computes on one adapter, which --device names; --low-memory needs less of its memory"),
    ),
    peer(
        &["-backend", "--backend"],
        Other("the kernels are the program's own; --algorithm chooses among them, and --device the adapter"),
    ),
    peer(
        &["-cudnn_autotune"],
        Other("leave it out: the fastest kernels are measured by the first run and remembered"),
    ),
    peer(
        &["--web", "--host", "--port", "--browser"],
        Other(
            "--preview shows the picture in the browser as it comes to be; --preview=8000 takes that port, and --preview=0.0.0.0:8000 \
             lets other computers see it",
        ),
    ),
    peer(
        &[
            "--video",
            "--video_input_dir",
            "--video_output_dir",
            "--content_frame_frmt",
            "--backward_optical_flow_frmt",
            "--forward_optical_flow_frmt",
            "--content_weights_frmt",
            "--prev_frame_indices",
            "--first_frame_iterations",
            "--frame_iterations",
            "--start_frame",
            "--end_frame",
            "--first_frame_type",
            "--init_frame_type",
        ],
        Other(NO_VIDEO),
    ),
];

/// The option of another program that this is; where it may be `nearly` one, also by another spelling.
pub(super) fn known(typed: &Typed<'_>, nearly: bool) -> Option<&'static Peer> {
    let has = |is: &dyn Fn(&str) -> bool| PEERS.iter().find(|peer| peer.spellings.iter().any(|it| is(it)));
    let plainly = plain(typed.name);
    has(&|spelling| spelling == typed.name).or_else(|| {
        // Short names are told apart by their hyphens.
        has(&|spelling| plain(spelling) == plainly).filter(|_| nearly && plainly.len() > 2)
    })
}

impl Peer {
    /// The arguments that stand for it here, and how many of those behind it they take along.
    ///
    /// # Errors
    /// [`Failure::Usage`] with what is here in its place, where that is not exactly the same.
    pub(super) fn here(&self, typed: &Typed<'_>, next: Option<&str>) -> Result<(Vec<String>, usize)> {
        let name = typed.name;
        let value = typed.value.or(next);
        let answer = |text: &str| Failure::Usage(format!("{name} belongs to another program; here: {text}"));
        match self.here {
            Same(option) => {
                let value = typed.value.map(|value| format!("{option}={value}"));
                Ok((vec![value.unwrap_or_else(|| option.to_owned())], 0))
            }
            Words(option, words, otherwise) => {
                let word = words.iter().find(|(word, _)| value == Some(*word));
                let (_, word) = word.ok_or_else(|| answer(otherwise))?;
                Ok((vec![format!("{option}={word}")], usize::from(typed.value.is_none())))
            }
            Weight(option, presets, note) => {
                let number =
                    value.and_then(|value| value.parse::<f64>().ok()).filter(|number| number.is_finite());
                let scales: Vec<String> =
                    presets.iter().map(|preset| in_scale(option, *preset, number)).collect();
                Err(answer(&format!(
                    "{option}, whose number is another, because costs are divided by other numbers: {}; {note}",
                    scales.join(", ")
                )))
            }
            Other(text) => Err(answer(text)),
        }
    }
}

/// What a weight is here with the preset of the program that it comes from.
fn in_scale(option: &str, (preset, factor): (&str, f64), number: Option<f64>) -> String {
    // As many digits as say it.
    let short = |number: f64| format!("{number:.4}").trim_end_matches('0').trim_end_matches('.').to_owned();
    match number {
        Some(number) => format!("{number} there is --preset {preset} {option} {}", short(number * factor)),
        None => format!("W there is --preset {preset} {option} {}·W", short(factor)),
    }
}

/// A name without its hyphens in front, and with hyphens for underscores.
fn plain(name: &str) -> String {
    name.trim_start_matches('-').replace('_', "-")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cli::args;

    /// The longs of all options of a painting, with their other names.
    fn own() -> Vec<String> {
        let command = args::command();
        let names = command.get_arguments().flat_map(|argument| {
            let aliases = argument.get_all_aliases().unwrap_or_default();
            argument.get_long().into_iter().chain(aliases).map(|name| format!("--{name}")).collect::<Vec<_>>()
        });
        names.collect()
    }

    fn here(name: &str, next: Option<&str>) -> Option<Result<(Vec<String>, usize)>> {
        let typed = Typed::of(name).unwrap();
        known(&typed, true).map(|peer| peer.here(&typed, next))
    }

    #[test]
    fn every_name_is_known_once_and_none_is_ours() {
        let own = own();
        let spellings: Vec<&str> = PEERS.iter().flat_map(|peer| peer.spellings).copied().collect();
        for (index, spelling) in spellings.iter().enumerate() {
            assert!(!own.contains(&(*spelling).to_owned()), "{spelling} is an option here");
            assert!(!spellings[..index].contains(spelling), "{spelling} is there twice");
            assert!(spelling.starts_with('-'), "{spelling}");
        }
    }

    /// What the answers name is there.
    #[test]
    fn every_option_in_an_answer_is_ours() {
        let mut own = own();
        own.extend(["--preset".to_owned()]);
        for peer in PEERS {
            let texts = match peer.here {
                Same(option) => vec![option],
                Words(option, _, text) => vec![option, text],
                Weight(option, _, text) => vec![option, text],
                Other(text) => vec![text],
            };
            for text in texts {
                for word in
                    text.split([' ', ',', ';', ':', '.', '=', '?', '`']).filter(|word| word.starts_with("--"))
                {
                    assert!(own.contains(&word.to_owned()), "{:?}: {word}", peer.spellings);
                }
            }
        }
    }

    #[test]
    fn weights_are_told_in_the_scale_of_the_presets() {
        let message = |name: &str, next| match here(name, next).unwrap() {
            Err(Failure::Usage(message)) => message,
            other => panic!("{name}: {other:?}"),
        };
        let said = message("--content-weight", Some("5"));
        assert!(said.contains("here: --alpha, whose number is another"), "{said}");
        assert!(
            said.contains(
                "5 there is --preset johnson --alpha 20, 5 there is --preset crowsonkb --alpha 1.5355;"
            ),
            "{said}"
        );
        assert!(message("-style_weight=100", None).contains("100 there is --preset johnson --beta 1;"));
        assert!(message("--step-size", Some("0.02")).contains("--learning-rate 5.1;"));
        assert!(
            message("-tv_weight", None).contains("W there is --preset crowsonkb --total-variation 0.0039·W")
        );
        // The presets have their programs' own weights.
        for (preset, factor, theirs) in [("johnson", ALPHA[0].1, 5.0), ("crowsonkb", ALPHA[1].1, 0.015)] {
            let known = impasto::transfer::Preset::PAINTING.iter().find(|(name, _)| *name == preset).unwrap();
            let alpha = f64::from(impasto::transfer::Options::preset(known.1).alpha);
            assert!((factor * theirs - alpha).abs() < 1e-4 * alpha, "{preset}: {alpha}");
        }
    }

    #[test]
    fn what_means_the_same_is_taken() {
        let arguments = |name: &str, next| here(name, next).unwrap().unwrap();
        let one = |text: &str| vec![text.to_owned()];
        assert_eq!(arguments("-output_image", Some("a.png")), (one("--output"), 0));
        assert_eq!(arguments("--max_size=300", None), (one("--size=300"), 0));
        assert_eq!(arguments("--max-size", Some("300")), (one("--size"), 0));
        assert_eq!(arguments("--pooling", Some("avg")), (one("--pools=mean"), 1));
        assert_eq!(arguments("--pooling_type=max", Some("a.png")), (one("--pools=max"), 0));
        assert_eq!(arguments("-optimizer", Some("lbfgs")), (one("--optimiser=l-bfgs"), 1));
        here("--pooling", Some("l2")).unwrap().unwrap_err();
        assert!(here("--nothing", None).is_none());
        // Two letters are a name of their own.
        assert!(here("--lr", None).is_some() && here("--ss", None).is_none());
    }
}
