//! The library's errors in the words of the command line: its options are flags here, and its inputs arguments.

use impasto::Error;
use impasto::error::{OptionName, Remedy, Words};

/// The algorithm that leaves the choice to measurements.
pub(super) const AUTO: &str = "auto";

/// What the command line calls the library's options and inputs; `None` for what it cannot choose.
const ARGUMENTS: [(OptionName, Option<&str>); 43] = [
    (OptionName::Content, Some("CONTENT")),
    (OptionName::Style, Some("STYLE")),
    (OptionName::StyleWeights, Some("--style-weights")),
    (OptionName::StyleMask, Some("--style-mask")),
    (OptionName::ContentMask, Some("--content-mask")),
    (OptionName::StrengthMap, Some("--strength-map")),
    (OptionName::Initial, Some("--init")),
    (OptionName::Weights, Some("--weights")),
    (OptionName::Init, Some("--init")),
    (OptionName::Size, Some("--size")),
    (OptionName::Enlarge, Some("--enlarge")),
    (OptionName::Coarsest, Some("--coarsest")),
    (OptionName::Stroke, Some("--stroke")),
    (OptionName::Steps, Some("--steps")),
    (OptionName::FirstSteps, Some("--first-steps")),
    (OptionName::Tolerance, Some("--tolerance")),
    (OptionName::Alpha, Some("--alpha")),
    (OptionName::Beta, Some("--beta")),
    (OptionName::Gamma, Some("--gamma")),
    (OptionName::Strength, Some("--strength")),
    (OptionName::TotalVariation, Some("--total-variation")),
    (OptionName::Optimiser, Some("--optimiser")),
    (OptionName::Fade, Some("--fade")),
    (OptionName::Averaging, Some("--averaging")),
    (OptionName::History, Some("--history")),
    (OptionName::NormaliseGradients, Some("--normalise-gradients")),
    (OptionName::ContentCost, Some("--content-cost")),
    (OptionName::StyleStatistic, Some("--style-statistic")),
    (OptionName::Color, Some("--color")),
    (OptionName::Pools, Some("--pools")),
    (OptionName::Borders, Some("--borders")),
    (OptionName::Seamless, Some("--seamless")),
    (OptionName::LearningRate, Some("--learning-rate")),
    (OptionName::ContentLayers, Some("--content-layers")),
    (OptionName::StyleLayers, Some("--style-layers")),
    (OptionName::NoiseRatio, Some("--noise-ratio")),
    (OptionName::Seed, Some("--seed")),
    (OptionName::Methods, Some("--algorithm")),
    (OptionName::Precision, Some("--precision")),
    (OptionName::LowMemory, Some("--low-memory")),
    (OptionName::MemoryBytes, None),
    (OptionName::Device, Some("--device")),
    (OptionName::Checkpoint, Some("--resume")),
];

/// The flag or argument for an option or input of the library; the library's own name where there is none.
pub(super) fn argument(option: OptionName) -> &'static str {
    let known = ARGUMENTS.iter().find(|(known, _)| *known == option);
    known.and_then(|(_, argument)| *argument).unwrap_or(option.name())
}

/// The message of a library error in the words of the command line.
pub(super) fn message(error: &Error) -> String {
    error.spelled(&CommandLine)
}

/// The command line's words.
pub(super) struct CommandLine;

impl Words for CommandLine {
    fn option(&self, option: OptionName) -> String {
        argument(option).to_owned()
    }

    fn remedy(&self, remedy: &Remedy) -> Option<String> {
        let resume = argument(OptionName::Checkpoint);
        let device = argument(OptionName::Device);
        match remedy {
            Remedy::LessMemory { size: None, low_memory: None } => {
                Some("no size fits; use an adapter with more memory (see `impasto devices`)".into())
            }
            Remedy::OtherAdapter => Some(format!("take another adapter with {device}")),
            Remedy::ListedAdapter => Some(format!(
                "give {device} an index, a backend, a kind such as cpu, or a part of a name from `impasto devices`"
            )),
            Remedy::WholePicture => Some(
                "the file is damaged or cut short: fetch it again, save it anew from an image editor, or take the part of it \
                 that is there with --damaged-ok"
                    .into(),
            ),
            Remedy::CheckpointFile => Some(format!("give {resume} a file that --checkpoint wrote")),
            Remedy::WithoutCheckpoint { first } => Some(format!("{first}, or begin anew without {resume}")),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Arguments;
    use clap::CommandFactory;
    use impasto::error::LowMemoryFit;

    #[test]
    fn every_option_of_the_library_is_in_the_table_once() {
        for option in OptionName::ALL {
            let found = ARGUMENTS.iter().filter(|(known, _)| known == option).count();
            assert_eq!(found, 1, "{option}");
        }
        assert_eq!(ARGUMENTS.len(), OptionName::ALL.len());
    }

    #[test]
    fn every_argument_in_the_table_is_one_of_the_command() {
        let command = Arguments::command();
        for (option, argument) in ARGUMENTS {
            let Some(argument) = argument else { continue };
            let found = command.get_arguments().any(|known| match argument.strip_prefix("--") {
                Some(long) => known.get_long() == Some(long),
                None => {
                    known.is_positional()
                        && known
                            .get_value_names()
                            .is_some_and(|names| names.iter().any(|name| name == argument))
                }
            });
            assert!(found, "{option}: the command has no {argument}");
        }
    }

    #[test]
    fn remedies_name_flags() {
        let memory = |size, low_memory| Remedy::LessMemory { size, low_memory };
        let same = || "give the same".to_owned();
        let lost = Remedy::Any(vec![Remedy::UpdateDriver, Remedy::SmallerSize(None), Remedy::OtherAdapter]);
        for (remedy, expected) in [
            (Remedy::SmallerSize(None), "choose a smaller --size"),
            (Remedy::SmallerSize(Some(400)), "choose a --size of at most 400"),
            (
                memory(Some(9), Some(LowMemoryFit::AsItIs)),
                "take --low-memory, with which it fits, or at most --size 9",
            ),
            (
                memory(Some(7), Some(LowMemoryFit::Size(8))),
                "take at most --size 8 with --low-memory, or --size 7 without",
            ),
            (memory(None, None), "no size fits; use an adapter with more memory (see `impasto devices`)"),
            (
                Remedy::ListedAdapter,
                "give --device an index, a backend, a kind such as cpu, or a part of a name from `impasto devices`",
            ),
            (Remedy::SinglePrecision, "store in single precision with --precision f32"),
            (Remedy::CheckpointFile, "give --resume a file that --checkpoint wrote"),
            (Remedy::WithoutCheckpoint { first: same() }, "give the same, or begin anew without --resume"),
            (
                Remedy::StartAgain { otherwise: Box::new(lost) },
                "start again; if that happens again, update the graphics driver, choose a smaller --size, or take \
                 another adapter with --device",
            ),
        ] {
            assert_eq!(remedy.spelled(&CommandLine), expected);
        }
    }

    #[test]
    fn an_option_is_named_by_its_argument() {
        let error = |option| Error::Option { option, reason: "no".into(), remedy: "give another".into() };
        assert_eq!(message(&error(OptionName::NoiseRatio)), "--noise-ratio: no; give another");
        assert_eq!(message(&error(OptionName::Content)), "CONTENT: no; give another");
        assert_eq!(message(&error(OptionName::MemoryBytes)), "memory_bytes: no; give another");
    }
}
