//! What the window tells about a thing that failed or was done: what happened, and the next move.

use std::path::Path;

use impasto::Error;

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
        let (reason, remedy) = match error {
            Error::Option { option, reason, remedy } => {
                (format!("{}: {reason}", in_the_window(option)), in_the_window(remedy))
            }
            Error::Picture { name, reason, remedy } => (format!("{name}: {reason}"), remedy.clone()),
            Error::Adapter { reason, remedy } => (reason.clone(), in_the_window(remedy)),
            Error::Gpu { what, reason, remedy } => (format!("{what}: {reason}"), in_the_window(remedy)),
            Error::Memory { what, needed, available, remedy } => {
                let (needed, available) = (mebibytes(*needed), mebibytes(*available));
                (format!("{what} needs {needed}, and there is room for {available}"), in_the_window(remedy))
            }
            // Messages end with the next move, behind the last semicolon.
            other => match in_the_window(&other.to_string()).rsplit_once("; ") {
                Some((reason, remedy)) => (reason.to_owned(), remedy.to_owned()),
                None => (other.to_string(), "report this as a bug".to_owned()),
            },
        };
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

/// The library names options as the command line spells them; here they are what the window calls them.
fn in_the_window(text: &str) -> String {
    const NAMES: [(&str, &str); 13] = [
        ("`impasto devices`", "the list of adapters"),
        ("--noise-ratio", "“Noise ratio”"),
        ("--content-layer", "“Content layer”"),
        ("--style-layers", "“Style layers”"),
        ("--learning-rate", "“Learning rate”"),
        ("--low-memory", "“Low memory” (under Advanced)"),
        ("--algorithm", "“Convolutions” (under Advanced)"),
        ("--precision", "“Precision” (under Advanced)"),
        ("--device", "another GPU"),
        ("--alpha", "“Content weight”"),
        ("--beta", "“Style weight”"),
        ("--steps", "“Steps”"),
        ("--size", "“Size”"),
    ];
    let text = text.replace("another adapter with --device", "another GPU");
    NAMES.iter().fold(text, |text, (option, name)| text.replace(option, name))
}

/// With a capital in front and a full stop behind.
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

    #[test]
    fn errors_name_what_is_in_the_window() {
        let error = Error::Memory {
            what: "painting 4000x3000".into(),
            needed: 3 << 30,
            available: 256 << 20,
            remedy: "take --low-memory, with which it fits, or at most --size 900".into(),
        };
        let notice = Notice::of("The painting cannot start", &error);
        assert_eq!(notice.reason, "Painting 4000x3000 needs 3.0 GiB, and there is room for 256 MiB.");
        assert_eq!(
            notice.remedy,
            "Take “Low memory” (under Advanced), with which it fits, or at most “Size” 900."
        );
    }

    #[test]
    fn no_option_of_the_command_line_is_left() {
        for option in
            ["--size", "--steps", "--alpha", "--beta", "--content-layer", "--style-layers", "--device"]
        {
            let error = Error::Option {
                option: option.into(),
                reason: "nothing".into(),
                remedy: format!("give {option} something"),
            };
            let notice = Notice::of("", &error);
            assert!(!format!("{notice:?}").contains("--"), "{notice:?}");
        }
    }

    #[test]
    fn names_of_files_keep_their_first_letter() {
        assert_eq!(sentence("cat.jpg: the file is empty"), "cat.jpg: the file is empty.");
        assert_eq!(sentence("try again"), "Try again.");
        assert_eq!(sentence(""), "");
    }
}
