//! The options and inputs of the library by name.

use std::fmt;

macro_rules! options {
    ($($(#[$about:meta])* $option:ident = $name:literal,)*) => {
        /// An option or input, by the name of its field or argument in the library, which is its `Display`:
        /// `learning_rate`, `content`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum OptionName {
            $($(#[$about])* $option,)*
        }

        impl OptionName {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$option),*];

            /// The name of the field or argument.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$option => $name,)*
                }
            }
        }
    };
}

options! {
    /// The picture that is painted.
    Content = "content",
    /// The picture in whose style it is painted.
    Style = "style",
    /// The share of a style: [`StyleSource::weight`](crate::transfer::StyleSource::weight).
    StyleWeights = "style_weights",
    /// The picture that says where a style is painted.
    StyleMask = "style_mask",
    /// The picture that says where anything is painted.
    ContentMask = "content_mask",
    /// The picture that says how strongly each place is painted.
    StrengthMap = "strength_map",
    /// The picture that the pixels start from.
    Initial = "initial",
    /// The network's weights.
    Weights = "weights",
    /// [`Options::init`](crate::transfer::Options::init).
    Init = "init",
    /// [`Options::size`](crate::transfer::Options::size).
    Size = "size",
    /// [`Options::enlarge`](crate::transfer::Options::enlarge).
    Enlarge = "enlarge",
    /// [`Options::coarsest`](crate::transfer::Options::coarsest).
    Coarsest = "coarsest",
    /// [`Options::stroke`](crate::transfer::Options::stroke).
    Stroke = "stroke",
    /// [`Options::steps`](crate::transfer::Options::steps).
    Steps = "steps",
    /// [`Options::first_steps`](crate::transfer::Options::first_steps).
    FirstSteps = "first_steps",
    /// [`Options::tolerance`](crate::transfer::Options::tolerance).
    Tolerance = "tolerance",
    /// [`Options::alpha`](crate::transfer::Options::alpha).
    Alpha = "alpha",
    /// [`Options::beta`](crate::transfer::Options::beta).
    Beta = "beta",
    /// [`Options::total_variation`](crate::transfer::Options::total_variation).
    TotalVariation = "total_variation",
    /// [`Options::gamma`](crate::transfer::Options::gamma).
    Gamma = "gamma",
    /// [`Options::strength`](crate::transfer::Options::strength).
    Strength = "strength",
    /// [`Options::optimiser`](crate::transfer::Options::optimiser).
    Optimiser = "optimiser",
    /// [`Options::fade`](crate::transfer::Options::fade).
    Fade = "fade",
    /// [`Options::averaging`](crate::transfer::Options::averaging).
    Averaging = "averaging",
    /// [`Options::history`](crate::transfer::Options::history).
    History = "history",
    /// [`Options::normalise_gradients`](crate::transfer::Options::normalise_gradients).
    NormaliseGradients = "normalise_gradients",
    /// [`Options::content_cost`](crate::transfer::Options::content_cost).
    ContentCost = "content_cost",
    /// [`Options::style_statistic`](crate::transfer::Options::style_statistic).
    StyleStatistic = "style_statistic",
    /// [`Options::color`](crate::transfer::Options::color).
    Color = "color",
    /// [`Options::pools`](crate::transfer::Options::pools).
    Pools = "pools",
    /// [`Options::borders`](crate::transfer::Options::borders).
    Borders = "borders",
    /// [`Options::seamless`](crate::transfer::Options::seamless).
    Seamless = "seamless",
    /// [`Options::learning_rate`](crate::transfer::Options::learning_rate).
    LearningRate = "learning_rate",
    /// [`Options::content_layers`](crate::transfer::Options::content_layers).
    ContentLayers = "content_layers",
    /// [`Options::style_layers`](crate::transfer::Options::style_layers).
    StyleLayers = "style_layers",
    /// [`Options::noise_ratio`](crate::transfer::Options::noise_ratio).
    NoiseRatio = "noise_ratio",
    /// [`Options::seed`](crate::transfer::Options::seed).
    Seed = "seed",
    /// [`EngineOptions::methods`](crate::transfer::EngineOptions::methods): which methods may do what there are several for.
    Methods = "methods",
    /// [`EngineOptions::precision`](crate::transfer::EngineOptions::precision).
    Precision = "precision",
    /// [`EngineOptions::low_memory`](crate::transfer::EngineOptions::low_memory).
    LowMemory = "low_memory",
    /// [`EngineOptions::memory_bytes`](crate::transfer::EngineOptions::memory_bytes).
    MemoryBytes = "memory_bytes",
    /// The adapter, as [`Gpu::open`](crate::gpu::Gpu::open) takes it.
    Device = "device",
    /// The state that a transfer goes on from.
    Checkpoint = "checkpoint",
}

impl fmt::Display for OptionName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::{EngineOptions, Options, Preset};

    #[test]
    fn names_are_those_of_the_fields() {
        let fields = format!("{:?} {:?}", Options::preset(Preset::Course), EngineOptions::default());
        // Arguments, which are no fields.
        let arguments = [
            OptionName::Content,
            OptionName::Style,
            OptionName::StyleWeights,
            OptionName::StyleMask,
            OptionName::ContentMask,
            OptionName::StrengthMap,
            OptionName::Initial,
            OptionName::Weights,
            OptionName::Device,
            OptionName::Checkpoint,
        ];
        for option in OptionName::ALL {
            let is_field = fields.contains(&format!(" {option}: "));
            assert_eq!(is_field, !arguments.contains(option), "{option}");
        }
    }
}
