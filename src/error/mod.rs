//! The one error type: every variant says what was needed, what was there, and what to do.
//!
//! An error names options and moves as values ([`OptionName`], [`Remedy`]). Its `Display` spells them in the library's
//! words; a program with other words for them implements [`Words`] and calls [`Error::spelled`].

mod option;
mod remedy;

use std::fmt;

pub use option::OptionName;
pub use remedy::{LowMemoryFit, Remedy, Words};

use remedy::Library;

/// Everything that can go wrong, as values. Messages end with the next move.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// An option or input is out of range, unknown, or contradicts another one.
    Option {
        /// Which one.
        option: OptionName,
        /// What is wrong with it.
        reason: String,
        /// What to do instead.
        remedy: Remedy,
    },
    /// A picture cannot be decoded, is refused, or cannot be encoded.
    Picture {
        /// The picture's name for people, usually its path.
        name: String,
        /// What is wrong with it.
        reason: String,
        /// What to do instead.
        remedy: Remedy,
    },
    /// A weights file lacks something or has it in another form.
    Weights {
        /// The file's name for people.
        name: String,
        /// The tensor or metadata key that is at fault.
        item: String,
        /// What was needed.
        expected: String,
        /// What was there.
        found: String,
        /// What to do instead. In a box, because this is the largest variant.
        remedy: Box<Remedy>,
    },
    /// A checkpoint cannot be read, or should not be written.
    Checkpoint {
        /// The file's name for people.
        name: String,
        /// What is wrong with it.
        reason: String,
        /// What to do instead.
        remedy: Remedy,
    },
    /// No adapter fits the request.
    Adapter {
        /// What was asked for and what there is.
        reason: String,
        /// What to do instead.
        remedy: Remedy,
    },
    /// A limit of the device or its memory is too small for the work.
    Memory {
        /// What did not fit.
        what: String,
        /// Bytes needed.
        needed: u64,
        /// Bytes available; where a driver refused, those that it had allocated by then.
        available: u64,
        /// What to do instead.
        remedy: Remedy,
    },
    /// A limit of the device that does not count bytes is too small.
    Limit {
        /// The limit, as [`wgpu::Limits`] calls it.
        limit: &'static str,
        /// What is needed.
        needed: u64,
        /// What the device was opened with.
        available: u64,
        /// What to do instead.
        remedy: Remedy,
    },
    /// The graphics driver or the shader compiler refused something, or the device was lost.
    Gpu {
        /// What was being done.
        what: String,
        /// The driver's or compiler's own text.
        reason: String,
        /// What to do.
        remedy: Remedy,
    },
    /// Operations were combined with shapes that do not fit: a mistake in the calling program.
    Shape {
        /// The operation.
        op: &'static str,
        /// The rule.
        expected: String,
        /// The shapes given.
        found: String,
    },
}

impl Error {
    /// What to do; `None` for [`Error::Shape`], where the calling program is to be mended.
    pub fn remedy(&self) -> Option<&Remedy> {
        match self {
            Self::Option { remedy, .. }
            | Self::Picture { remedy, .. }
            | Self::Checkpoint { remedy, .. }
            | Self::Adapter { remedy, .. }
            | Self::Memory { remedy, .. }
            | Self::Limit { remedy, .. }
            | Self::Gpu { remedy, .. } => Some(remedy),
            Self::Weights { remedy, .. } => Some(remedy),
            Self::Shape { .. } => None,
        }
    }

    /// The message without its remedy, in the library's words.
    pub fn reason(&self) -> String {
        self.reason_spelled(&Library)
    }

    /// The message without its remedy, in a client's words.
    pub fn reason_spelled(&self, words: &dyn Words) -> String {
        match self {
            Self::Option { option, reason, .. } => format!("{}: {reason}", words.option(*option)),
            Self::Picture { name, reason, .. } | Self::Checkpoint { name, reason, .. } => {
                format!("{name}: {reason}")
            }
            Self::Weights { name, item, expected, found, .. } => {
                format!("{name}: {item}: expected {expected}, found {found}")
            }
            Self::Adapter { reason, .. } => reason.clone(),
            Self::Memory { what, needed, available, .. } => {
                format!("{what}: needs {needed} bytes, the device has {available}")
            }
            Self::Limit { limit, needed, available, .. } => {
                format!("the device's limit {limit}: needs {needed}, the device has {available}")
            }
            Self::Gpu { what, reason, .. } => format!("{what}: {reason}"),
            Self::Shape { op, expected, found } => format!("{op}: expected {expected}, found {found}"),
        }
    }

    /// The whole message, "reason; remedy", in a client's words.
    pub fn spelled(&self, words: &dyn Words) -> String {
        let remedy = self.remedy().map(|remedy| remedy.spelled(words));
        let remedy = remedy.as_deref().unwrap_or("give it tensors that fit");
        format!("{}; {remedy}", self.reason_spelled(words))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.spelled(&Library))
    }
}

impl std::error::Error for Error {}

/// The result of everything that can fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_the_reason_and_the_remedy() {
        let remedy = Remedy::Any(vec![Remedy::UpdateDriver, Remedy::SmallerSize(None), Remedy::OtherAdapter]);
        let error = Error::Gpu { what: "running".into(), reason: "refused".into(), remedy: remedy.clone() };
        assert_eq!(error.reason(), "running: refused");
        assert_eq!(error.remedy(), Some(&remedy));
        assert_eq!(
            error.to_string(),
            "running: refused; update the graphics driver, choose a smaller size, or take another adapter"
        );
    }

    #[test]
    fn an_option_is_named_by_its_field() {
        let reason = "0 is not a learning rate".to_owned();
        let error = Error::Option { option: OptionName::LearningRate, reason, remedy: "give more".into() };
        assert_eq!(error.to_string(), "learning_rate: 0 is not a learning rate; give more");
        assert_eq!(error.reason(), "learning_rate: 0 is not a learning rate");
    }

    #[test]
    fn a_mistake_of_the_program_has_no_remedy_but_a_rule() {
        let error = Error::Shape { op: "add", expected: "equal shapes".into(), found: "others".into() };
        assert_eq!(error.remedy(), None);
        assert_eq!(error.to_string(), "add: expected equal shapes, found others; give it tensors that fit");
    }
}
