//! `--show-options`: the values of a run, as `--options` reads them.

use std::fmt::Write;

use impasto::nn::{PoolKind, Weights, vgg19};
use impasto::transfer::{OPTIONS, Options};

use super::args::Order;
use super::options_file::{LOW_MEMORY, METHODS, NONE, PRECISION, PRESET, STYLE_WEIGHTS, toml_in_lines};
use super::styles::style_weights;
use super::{Result, inputs, print};

/// Prints the values that a run with these arguments has.
pub(super) fn show(order: &dyn Order) -> Result<()> {
    let (options, arguments) = (order.options()?, order.run());
    // Without weights of its own it is the network that is built in: no weights have to be read for its layers' names.
    let weights = arguments.weights.as_deref().map(|path| inputs::read_weights(Some(path))).transpose()?;
    let built_in = vgg19(PoolKind::Mean);
    let network = weights.as_ref().map_or(&built_in, Weights::network);
    arguments.file().check(order.preset()?.1, network)?;
    options.validate(network)?;
    print(&text(order, &options)?)
}

fn text(order: &dyn Order, options: &Options) -> Result<String> {
    let arguments = order.run();
    let mut text = String::from(
        "# The values of a run, for --options. Flags beside it come first; what is left out is as the preset has it.\n",
    );
    let mut line = |key: &str, value: &serde_json::Value, note: &str| {
        // Writing to a text does not fail.
        let _ = write!(text, "{key} = {}", toml_in_lines(value));
        let note = if note.is_empty() { String::new() } else { format!(" # {note}") };
        text.push_str(&note);
        text.push('\n');
    };
    line(PRESET, &order.preset()?.0.into(), "");
    let values = serde_json::to_value(options).unwrap_or_default();
    for entry in &OPTIONS {
        // As given, where the table has what follows from it.
        let value = &values[entry.name.name()];
        let follows = entry.text(options);
        line(entry.name.name(), value, if value.is_null() && follows != NONE { &follows } else { "" });
    }
    if let Some(weights) = order.style_weights() {
        let weights = style_weights(weights, weights.split(',').count())?;
        line(STYLE_WEIGHTS, &serde_json::to_value(weights).unwrap_or_default(), "");
    }
    line(METHODS, &arguments.algorithm().into(), "");
    line(PRECISION, &arguments.precision().name().into(), "");
    line(LOW_MEMORY, &arguments.low_memory().into(), "");
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use super::*;
    use crate::cli::args::{Arguments, PaintArguments};
    use crate::cli::options_file::OptionsFile;
    use crate::cli::words::AUTO;
    use clap::Parser;
    use impasto::transfer::Preset;

    fn parsed(text: &str) -> Result<OptionsFile> {
        OptionsFile::parse(Path::new("my.toml"), text)
    }

    fn arguments(given: &str) -> PaintArguments {
        let given = format!("impasto --show-options {given}");
        Arguments::try_parse_from(given.split_whitespace()).unwrap().paint.arguments
    }

    /// What is shown is what is read, for every preset and for values that no preset has.
    #[test]
    fn what_is_shown_is_read_as_the_same() {
        let odd = "--size 640x480 --style-layers conv1_1=0.1,conv2_2=1e-9,conv3_1 --noise-ratio 0.1 --alpha 1e7 --seed 4294967295 \
                   --style-weights 2,1 --algorithm gemm --precision f16 --low-memory --coarsest none --pools max --init x.png \
                   --total-variation 123456.7 --stroke 0.3 --style-statistic gram";
        let presets = Preset::PAINTING.iter().map(|(name, _)| format!("--preset {name}"));
        for given in presets.chain([odd.to_owned(), format!("--preset course {odd}")]) {
            let given = arguments(&given);
            let options = given.options().unwrap();
            let shown = text(&given, &options).unwrap();
            let mut read = arguments("");
            read.run_mut().take_file(parsed(&shown).unwrap());
            assert_eq!(read.options().unwrap(), options, "{shown}");
            assert_eq!(text(&read, &options).unwrap(), shown);
        }
    }

    /// Every option of a transfer has a line, and nothing is shown that is no key.
    #[test]
    fn every_option_is_shown() {
        let given = arguments("--style-weights 1,2");
        let shown = text(&given, &given.options().unwrap()).unwrap();
        let keys: Vec<&str> = shown.lines().filter_map(|line| Some(line.split_once(" = ")?.0)).collect();
        let keys: Vec<&str> = keys.into_iter().filter(|key| !key.starts_with(' ')).collect();
        let mut wanted: Vec<&str> = OPTIONS.iter().map(|entry| entry.name.name()).collect();
        wanted.insert(0, PRESET);
        wanted.extend([STYLE_WEIGHTS, METHODS, PRECISION, LOW_MEMORY]);
        assert_eq!(keys, wanted, "{shown}");
    }

    #[test]
    fn flags_come_before_the_file_and_the_file_before_the_preset() {
        let file = || {
            parsed("preset = \"course\"\nalpha = 3\nsteps = 7\nsize = 90\nlow_memory = true\nmethods = \"naive\"").unwrap()
        };
        let mut given = arguments("--alpha 5");
        given.run_mut().take_file(file());
        let course = Options::preset(Preset::Course);
        let options = given.options().unwrap();
        assert_eq!((options.alpha, options.steps, options.beta), (5.0, 7, course.beta));
        assert_eq!(options.size, impasto::picture::Size::LongerSide(90));
        assert_eq!((given.run().algorithm(), given.run().low_memory()), ("naive", true));
        let mut given = arguments("--preset fine --algorithm auto --coarsest 40");
        given.run_mut().take_file(file());
        let options = given.options().unwrap();
        assert_eq!((options.beta, options.steps, options.coarsest), (Options::default().beta, 7, Some(40)));
        assert_eq!(given.run().algorithm(), AUTO);
    }
}
