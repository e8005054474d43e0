//! What to do about an error, as a value, and the words for it.

use std::fmt;

use super::OptionName;

/// What to do about an error. Its `Display` is in the library's words; [`Remedy::spelled`] takes a client's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// A smaller picture: at most this many pixels on its longer side, where that is known.
    SmallerSize(Option<u32>),
    /// Less memory. Where both are `None`, no size fits at all.
    LessMemory {
        /// Maximum pixels on the longer side that fit with the present options; `None`: no size does.
        size: Option<u32>,
        /// What fits with [`low_memory`](crate::transfer::EngineOptions::low_memory), where that is more.
        low_memory: Option<LowMemoryFit>,
    },
    /// Another adapter.
    OtherAdapter,
    /// One of the adapters that [`adapters`](crate::gpu::adapters) lists.
    ListedAdapter,
    /// A newer graphics driver.
    UpdateDriver,
    /// [`Precision::F32`](crate::ops::Precision::F32).
    SinglePrecision,
    /// A file that holds a [`Checkpoint`](crate::transfer::Checkpoint).
    CheckpointFile,
    /// What `first` says, or a new beginning without the checkpoint.
    WithoutCheckpoint {
        /// The other move, in plain words that name no option.
        first: String,
    },
    /// A picture's file that is whole, or of this one the part that is there:
    /// [`ReadOptions::damaged_ok`](crate::picture::ReadOptions::damaged_ok).
    WholePicture,
    /// A new transfer, of the same engine.
    NewTransfer,
    /// The same once more; this where it fails again.
    StartAgain {
        /// What to do then.
        otherwise: Box<Remedy>,
    },
    /// Any one of these.
    Any(Vec<Remedy>),
    /// A sentence in plain words that names no option.
    Text(String),
}

/// What fits into the memory that there is with [`low_memory`](crate::transfer::EngineOptions::low_memory).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LowMemoryFit {
    /// What was asked for.
    AsItIs,
    /// At most this many pixels on the longer side.
    Size(u32),
}

/// The words of a client: what it calls the options, and what it says of a remedy in its own way.
pub trait Words {
    /// What the client calls an option, such as “Learning rate”.
    fn option(&self, option: OptionName) -> String;

    /// The client's own sentence, without a capital letter in front and a full stop at the end; `None` for the
    /// library's with the options named by [`Words::option`]. Of [`Remedy::Any`] and [`Remedy::StartAgain`] each part
    /// is asked for, too.
    fn remedy(&self, _remedy: &Remedy) -> Option<String> {
        None
    }
}

/// The library's words: options are called by their fields.
pub(super) struct Library;

impl Words for Library {
    fn option(&self, option: OptionName) -> String {
        option.name().to_owned()
    }
}

impl Remedy {
    /// The remedy in a client's words.
    pub fn spelled(&self, words: &dyn Words) -> String {
        if let Some(own) = words.remedy(self) {
            return own;
        }
        let option = |option| words.option(option);
        match self {
            Self::SmallerSize(None) => format!("choose a smaller {}", option(OptionName::Size)),
            Self::SmallerSize(Some(most)) => {
                format!("choose a {} of at most {most}", option(OptionName::Size))
            }
            Self::LessMemory { size, low_memory } => {
                less_memory(*size, *low_memory, &option(OptionName::Size), &option(OptionName::LowMemory))
            }
            Self::OtherAdapter => "take another adapter".into(),
            Self::ListedAdapter => {
                format!(
                    "give {} an index, a backend, a kind such as cpu, or a part of a name",
                    option(OptionName::Device)
                )
            }
            Self::UpdateDriver => "update the graphics driver".into(),
            Self::SinglePrecision => {
                format!("store in single precision with {} f32", option(OptionName::Precision))
            }
            Self::CheckpointFile => "give a file that holds a checkpoint".into(),
            Self::WithoutCheckpoint { first } => format!("{first}, or begin anew without the checkpoint"),
            Self::WholePicture => {
                "the file is damaged or cut short: fetch it again, save it anew from an image editor, or have the part of it \
                 read that is there (damaged_ok)"
                    .into()
            }
            Self::NewTransfer => "create a new transfer; the engine, with its weights, serves both".into(),
            Self::StartAgain { otherwise } => {
                format!("start again; if that happens again, {}", otherwise.spelled(words))
            }
            Self::Any(remedies) => {
                let spelled: Vec<String> = remedies.iter().map(|remedy| remedy.spelled(words)).collect();
                match &spelled[..] {
                    [] => String::new(),
                    [one] => one.clone(),
                    [first @ .., last] => format!("{}, or {last}", first.join(", ")),
                }
            }
            Self::Text(text) => text.clone(),
        }
    }
}

fn less_memory(fits: Option<u32>, with_low: Option<LowMemoryFit>, size: &str, low_memory: &str) -> String {
    match (fits, with_low) {
        (None, Some(LowMemoryFit::AsItIs)) => format!("take {low_memory}, with which it fits"),
        (Some(fits), Some(LowMemoryFit::AsItIs)) => {
            format!("take {low_memory}, with which it fits, or at most {size} {fits}")
        }
        (None, None) => "no size fits; use an adapter with more memory".into(),
        (None, Some(LowMemoryFit::Size(low))) => format!("take at most {size} {low} with {low_memory}"),
        (Some(fits), Some(LowMemoryFit::Size(low))) => {
            format!("take at most {size} {low} with {low_memory}, or {size} {fits} without")
        }
        (Some(fits), None) => format!("the largest that this device can hold is {size} {fits}"),
    }
}

impl From<&str> for Remedy {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Remedy {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.spelled(&Library))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client that calls options by their names in capitals, and adapters by another word.
    struct Loud;

    impl Words for Loud {
        fn option(&self, option: OptionName) -> String {
            option.name().to_uppercase()
        }

        fn remedy(&self, remedy: &Remedy) -> Option<String> {
            matches!(remedy, Remedy::OtherAdapter).then(|| "take another GPU".into())
        }
    }

    #[test]
    fn a_remedy_is_spelled_in_the_words_of_its_client() {
        let any =
            Remedy::Any(vec![Remedy::SmallerSize(None), "close other programs".into(), Remedy::OtherAdapter]);
        let again = Remedy::StartAgain { otherwise: Box::new(any) };
        assert_eq!(
            again.to_string(),
            "start again; if that happens again, choose a smaller size, close other programs, or take another adapter"
        );
        assert_eq!(
            again.spelled(&Loud),
            "start again; if that happens again, choose a smaller SIZE, close other programs, or take another GPU"
        );
        assert_eq!(Remedy::Any(vec![Remedy::SinglePrecision]).spelled(&Loud), {
            "store in single precision with PRECISION f32"
        });
    }

    #[test]
    fn less_memory_says_what_fits() {
        use LowMemoryFit::{AsItIs, Size};
        for (size, low_memory, expected) in [
            (None, Some(AsItIs), "take LOW_MEMORY, with which it fits"),
            (Some(9), Some(AsItIs), "take LOW_MEMORY, with which it fits, or at most SIZE 9"),
            (None, None, "no size fits; use an adapter with more memory"),
            (None, Some(Size(8)), "take at most SIZE 8 with LOW_MEMORY"),
            (Some(7), Some(Size(8)), "take at most SIZE 8 with LOW_MEMORY, or SIZE 7 without"),
            (Some(7), None, "the largest that this device can hold is SIZE 7"),
        ] {
            assert_eq!(Remedy::LessMemory { size, low_memory }.spelled(&Loud), expected);
        }
    }
}
