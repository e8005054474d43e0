//! What the window calls the library's options and inputs, and where it has them.

use impasto::OptionName;
use impasto::error::{Remedy, Words};
use impasto::transfer::{OPTIONS, OptionEntry};

/// The section with the options of the library's table that have no place in one of the others.
pub const MORE: &str = "More options";
/// The section with what is chosen for the engine and the window.
pub const ADVANCED: &str = "Advanced";

/// What a painter decides first.
pub const PAINTING: &[OptionName] = &[
    OptionName::Size,
    OptionName::Steps,
    OptionName::Init,
    OptionName::NoiseRatio,
    OptionName::Seed,
    OptionName::Color,
];

/// How strongly the parts of the cost pull.
pub const BALANCE: &[OptionName] = &[
    OptionName::Strength,
    OptionName::Stroke,
    OptionName::Alpha,
    OptionName::Beta,
    OptionName::Gamma,
    OptionName::LearningRate,
];

/// Options with a section each.
pub const LAYERS: &[OptionName] = &[OptionName::StyleLayers, OptionName::ContentLayers];

/// What is chosen for the engine.
const ENGINE: &[OptionName] =
    &[OptionName::Methods, OptionName::Precision, OptionName::LowMemory, OptionName::MemoryBytes];

/// What cannot be chosen in the window.
const NOWHERE: &[OptionName] = &[OptionName::Weights, OptionName::Device, OptionName::Checkpoint];

/// Every option of the library's table that has no place in another section.
pub fn more() -> impl Iterator<Item = &'static OptionEntry> {
    let elsewhere = |name: &OptionName| [PAINTING, BALANCE, LAYERS].iter().any(|names| names.contains(name));
    OPTIONS.iter().filter(move |entry| !elsewhere(&entry.name))
}

/// The label of an option or input: the library's name in plain writing, unless painters have another word for it.
pub fn label(option: OptionName) -> String {
    let own = match option {
        OptionName::Content => "Photograph",
        OptionName::Init | OptionName::Initial => "Start from",
        OptionName::Alpha => "Content weight",
        OptionName::Beta => "Style weight",
        OptionName::Gamma => "Match weight",
        OptionName::Color => "Colours",
        OptionName::Methods => "Convolutions",
        OptionName::MemoryBytes => "Memory limit",
        _ => return capitalised(&option.name().replace('_', " ")),
    };
    own.to_owned()
}

/// What the window calls a word that an option takes.
pub fn word(word: &str) -> &str {
    if word == "content" { "photograph" } else { word }
}

/// With a capital letter in front.
pub fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The window's words for what the library says.
pub struct Window;

impl Words for Window {
    fn option(&self, option: OptionName) -> String {
        let label = label(option);
        if NOWHERE.contains(&option) {
            option.name().to_owned()
        } else if ENGINE.contains(&option) {
            format!("“{label}” (under {ADVANCED})")
        } else if more().any(|entry| entry.name == option) {
            format!("“{label}” (under {MORE})")
        } else {
            format!("“{label}”")
        }
    }

    fn remedy(&self, remedy: &Remedy) -> Option<String> {
        match remedy {
            Remedy::OtherAdapter => Some("take another GPU".into()),
            Remedy::SinglePrecision => Some(format!("choose f32 as {}", self.option(OptionName::Precision))),
            Remedy::NewTransfer => Some("paint it with “Start again”".into()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_of_the_table_has_one_place() {
        for entry in &OPTIONS {
            let named = [PAINTING, BALANCE, LAYERS].concat();
            let places = named.into_iter().chain(more().map(|entry| entry.name));
            assert_eq!(places.filter(|name| *name == entry.name).count(), 1, "{}", entry.name);
        }
        for name in [PAINTING, BALANCE, LAYERS].concat() {
            assert!(OptionEntry::of(name).is_some(), "{name}");
        }
    }

    #[test]
    fn options_are_called_by_their_labels() {
        assert_eq!(Window.option(OptionName::NoiseRatio), "“Noise ratio”");
        assert_eq!(Window.option(OptionName::Alpha), "“Content weight”");
        assert_eq!(Window.option(OptionName::StrengthMap), "“Strength map”");
        assert_eq!(Window.option(OptionName::Fade), "“Fade” (under More options)");
        assert_eq!(Window.option(OptionName::LowMemory), "“Low memory” (under Advanced)");
        assert_eq!(Window.option(OptionName::Checkpoint), "checkpoint");
        assert_eq!(label(OptionName::LowMemory), "Low memory");
    }

    #[test]
    fn remedies_are_moves_in_the_window() {
        let driver = Remedy::Any(vec![Remedy::UpdateDriver, Remedy::OtherAdapter, Remedy::SinglePrecision]);
        assert_eq!(
            driver.spelled(&Window),
            "update the graphics driver, take another GPU, or choose f32 as “Precision” (under Advanced)"
        );
        let other = Remedy::Any(vec!["give one of the same size".into(), Remedy::NewTransfer]);
        assert_eq!(other.spelled(&Window), "give one of the same size, or paint it with “Start again”");
    }
}
