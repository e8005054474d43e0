//! What the window tells about a thing that failed or was done: what happened, and the next move.

use std::path::Path;

use impasto::Error;

use crate::labels::Window;

/// How much a notice matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    Done,
    Failed,
}

/// A message in the window. It stays until somebody closes it or the next one takes its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub weight: Weight,
    pub headline: String,
    pub reason: String,
    pub remedy: String,
}

impl Notice {
    pub fn done(headline: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { weight: Weight::Done, headline: headline.into(), reason: reason.into(), remedy: String::new() }
    }

    pub fn failed(headline: impl Into<String>, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        let (reason, remedy) = (reason.into(), remedy.into());
        Self {
            weight: Weight::Failed,
            headline: headline.into(),
            reason: sentence(&reason),
            remedy: sentence(&remedy),
        }
    }

    /// An error of the library, in the window's words.
    pub fn of(headline: impl Into<String>, error: &Error) -> Self {
        let reason = match error {
            Error::Memory { what, needed, available, .. } => {
                let (needed, available) = (mebibytes(*needed), mebibytes(*available));
                format!("{what} needs {needed}, and there is room for {available}")
            }
            other => other.reason_spelled(&Window),
        };
        // Without a remedy it is a mistake of this program.
        let remedy = error.remedy().map(|remedy| remedy.spelled(&Window));
        let remedy = remedy.unwrap_or_else(|| "report this as a bug".into());
        Self::failed(headline, reason, remedy)
    }

    /// A file that cannot be read or written.
    pub fn of_file(headline: impl Into<String>, path: &Path, error: &std::io::Error, remedy: &str) -> Self {
        Self::failed(headline, format!("{}: {error}", path.display()), remedy)
    }

    /// A thread that ended without a result.
    pub fn lost(headline: impl Into<String>) -> Self {
        Self::failed(
            headline,
            "a part of the program ended without a result",
            "try again, and report this as a bug",
        )
    }
}

/// Bytes for people.
pub fn mebibytes(bytes: u64) -> String {
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    if mebibytes < 1024.0 { format!("{mebibytes:.0} MiB") } else { format!("{:.1} GiB", mebibytes / 1024.0) }
}

/// With a capital letter in front and a full stop at the end.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let Some(first) = letters.next() else { return String::new() };
    // A file's name keeps its first letter.
    let is_word =
        text.split(char::is_whitespace).next().is_some_and(|word| word.chars().all(char::is_alphabetic));
    let first = if is_word { first.to_uppercase().to_string() } else { first.to_string() };
    let end = if text.ends_with(['.', '!', '?', '”']) { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use impasto::error::LowMemoryFit;
    use impasto::{OptionName, Remedy};

    #[test]
    fn errors_name_what_is_in_the_window() {
        let error = Error::Memory {
            what: "painting 4000x3000".into(),
            needed: 3 << 30,
            available: 256 << 20,
            remedy: Remedy::LessMemory { size: Some(900), low_memory: Some(LowMemoryFit::AsItIs) },
        };
        let notice = Notice::of("The painting cannot start", &error);
        assert_eq!(notice.reason, "Painting 4000x3000 needs 3.0 GiB, and there is room for 256 MiB.");
        assert_eq!(
            notice.remedy,
            "Take “Low memory” (under Advanced), with which it fits, or at most “Size” 900."
        );
    }

    #[test]
    fn an_option_is_named_by_its_label() {
        let (option, reason) = (OptionName::LearningRate, "0 is not a learning rate".into());
        let error = Error::Option { option, reason, remedy: "give a finite number above 0".into() };
        let notice = Notice::of("The change is not taken", &error);
        assert_eq!(notice.reason, "“Learning rate”: 0 is not a learning rate.");
        assert_eq!(notice.remedy, "Give a finite number above 0.");
    }

    #[test]
    fn a_mistake_of_the_program_is_to_be_reported() {
        let error = Error::Shape { op: "add", expected: "equal shapes".into(), found: "others".into() };
        assert_eq!(Notice::of("", &error).remedy, "Report this as a bug.");
    }

    #[test]
    fn names_of_files_keep_their_first_letter() {
        assert_eq!(sentence("cat.jpg: the file is empty"), "cat.jpg: the file is empty.");
        assert_eq!(sentence("try again"), "Try again.");
        assert_eq!(sentence(""), "");
    }
}
