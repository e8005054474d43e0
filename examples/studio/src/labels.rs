//! What the window calls the library's options and inputs.

use impasto::OptionName;
use impasto::error::{Remedy, Words};

/// Where the window has an option or input, and what it calls it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Open(&'static str),
    /// In the section that is folded away at first.
    Advanced(&'static str),
    /// Nowhere: it cannot be chosen in the window.
    Nowhere,
}

const LABELS: [(OptionName, Place); 43] = [
    (OptionName::Content, Place::Open("Photograph")),
    (OptionName::Style, Place::Open("Style")),
    (OptionName::StyleWeights, Place::Nowhere),
    (OptionName::StyleMask, Place::Nowhere),
    (OptionName::ContentMask, Place::Nowhere),
    (OptionName::StrengthMap, Place::Nowhere),
    (OptionName::Initial, Place::Open("Start from")),
    (OptionName::Weights, Place::Nowhere),
    (OptionName::Init, Place::Open("Start from")),
    (OptionName::Size, Place::Open("Size")),
    (OptionName::Enlarge, Place::Nowhere),
    (OptionName::Coarsest, Place::Nowhere),
    (OptionName::Stroke, Place::Open("Stroke")),
    (OptionName::Steps, Place::Open("Steps")),
    (OptionName::FirstSteps, Place::Nowhere),
    (OptionName::Tolerance, Place::Nowhere),
    (OptionName::Alpha, Place::Open("Content weight")),
    (OptionName::Beta, Place::Open("Style weight")),
    (OptionName::Gamma, Place::Nowhere),
    (OptionName::Strength, Place::Open("Strength")),
    (OptionName::TotalVariation, Place::Nowhere),
    (OptionName::Optimiser, Place::Nowhere),
    (OptionName::Fade, Place::Nowhere),
    (OptionName::Averaging, Place::Nowhere),
    (OptionName::History, Place::Nowhere),
    (OptionName::NormaliseGradients, Place::Nowhere),
    (OptionName::ContentCost, Place::Nowhere),
    (OptionName::StyleStatistic, Place::Nowhere),
    (OptionName::Color, Place::Nowhere),
    (OptionName::Pools, Place::Nowhere),
    (OptionName::Borders, Place::Nowhere),
    (OptionName::Seamless, Place::Nowhere),
    (OptionName::LearningRate, Place::Open("Learning rate")),
    (OptionName::ContentLayers, Place::Open("Content layer")),
    (OptionName::StyleLayers, Place::Open("Style layers")),
    (OptionName::NoiseRatio, Place::Open("Noise ratio")),
    (OptionName::Seed, Place::Open("Seed")),
    (OptionName::Methods, Place::Advanced("Convolutions")),
    (OptionName::Precision, Place::Advanced("Precision")),
    (OptionName::LowMemory, Place::Advanced("Low memory")),
    (OptionName::MemoryBytes, Place::Advanced("Memory limit")),
    (OptionName::Device, Place::Nowhere),
    (OptionName::Checkpoint, Place::Nowhere),
];

fn place(option: OptionName) -> Place {
    let known = LABELS.iter().find(|(known, _)| *known == option);
    known.map_or(Place::Nowhere, |(_, place)| *place)
}

/// Whether an option has a widget.
pub fn is_shown(option: OptionName) -> bool {
    place(option) != Place::Nowhere
}

/// The label of an option's widget; the library's name where there is none.
pub fn label(option: OptionName) -> &'static str {
    match place(option) {
        Place::Open(label) | Place::Advanced(label) => label,
        Place::Nowhere => option.name(),
    }
}

/// The window's words for what the library says.
pub struct Window;

impl Words for Window {
    fn option(&self, option: OptionName) -> String {
        match place(option) {
            Place::Open(label) => format!("“{label}”"),
            Place::Advanced(label) => format!("“{label}” (under Advanced)"),
            Place::Nowhere => option.name().to_owned(),
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
    fn every_option_of_the_library_is_in_the_table_once() {
        for option in OptionName::ALL {
            let found = LABELS.iter().filter(|(known, _)| known == option).count();
            assert_eq!(found, 1, "{option}");
        }
        assert_eq!(LABELS.len(), OptionName::ALL.len());
    }

    #[test]
    fn options_are_called_by_their_labels() {
        assert_eq!(Window.option(OptionName::NoiseRatio), "“Noise ratio”");
        assert_eq!(Window.option(OptionName::LowMemory), "“Low memory” (under Advanced)");
        assert_eq!(label(OptionName::LowMemory), "Low memory");
        assert_eq!(label(OptionName::Checkpoint), "checkpoint");
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
