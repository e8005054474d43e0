//! The names of pictures on a command line: what is no file is answered by what it looks like, and a pattern stands for the
//! files that it fits.

use std::path::{Path, PathBuf};

use impasto::OptionName;
use impasto::nn::{PoolKind, vgg19};

use super::words::argument;
use super::{Failure, Result, files};

/// What word processors and web pages put in place of `"` and `'`.
const QUOTATION_MARKS: [char; 6] = ['\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}', '\u{201a}'];
/// Signs of a pattern.
const WILD: [char; 3] = ['*', '?', '['];

/// The files that a STYLE stands for: itself, or what fits it as a pattern.
///
/// # Errors
/// [`Failure`] for what is no file, and looks like something else.
pub(super) fn files_of(name: &Path) -> Result<Vec<PathBuf>> {
    if name.exists() || files::is_standard(name) {
        return Ok(vec![name.to_owned()]);
    }
    if let Some(pattern) = name.to_str().filter(|name| name.contains(WILD)) {
        let failed = |reason: &str| Failure::of_file(name, reason, "check the pattern, or name files");
        let fitting =
            glob::glob(pattern).map_err(|error| failed(&format!("this is no pattern: {}", error.msg)))?;
        let files: Vec<PathBuf> =
            fitting.filter_map(|path| path.ok().filter(|path| path.is_file())).collect();
        return if files.is_empty() { Err(failed("no file fits this pattern")) } else { Ok(files) };
    }
    refuse_other(name)?;
    Ok(vec![name.to_owned()])
}

/// The one file that CONTENT stands for.
///
/// # Errors
/// [`Failure`] for what stands for several, or is no file and looks like something else.
pub(super) fn file_of(name: &Path) -> Result<PathBuf> {
    if name.is_dir() {
        return Err(one_at_a_time(name, "this is a folder", &name.join("*")));
    }
    let mut files = files_of(name)?;
    match files.len() {
        1 => Ok(files.remove(0)),
        count => Err(one_at_a_time(name, &format!("{count} files fit this pattern"), name)),
    }
}

fn one_at_a_time(name: &Path, reason: &str, all: &Path) -> Failure {
    let remedy = format!(
        "CONTENT is one photograph; name one, or paint each by a run of its own: for photo in {}; do impasto \"$photo\" \
         STYLE -o OUT-FOLDER/\"$(basename \"$photo\")\"; done",
        all.display()
    );
    Failure::of_file(name, reason, &remedy)
}

/// Fails where a name that is no file was meant as something else.
fn refuse_other(name: &Path) -> Result<()> {
    let Some(text) = name.to_str() else { return Ok(()) };
    let usage = |reason: &str| Err(Failure::Usage(format!("{text}: {reason}")));
    if text.starts_with(QUOTATION_MARKS) {
        return usage(
            "this begins with a quotation mark as word processors write it, which belongs to the name; write plain ones",
        );
    }
    let parts = || text.split(',');
    let layer = |part: &str| {
        let part = part.split_once('=').map_or(part, |(name, _)| name);
        vgg19(PoolKind::Max).activations_called(part).is_some()
    };
    if parts().all(layer) {
        let option = argument(OptionName::StyleLayers);
        return usage(&format!(
            "this is a layer and no file; layers are joined by commas, without spaces: {option} conv1_1,conv2_1"
        ));
    }
    if parts().all(|part| part.parse::<f64>().is_ok()) {
        let option = argument(OptionName::StyleWeights);
        let size = argument(OptionName::Size);
        return usage(&format!(
            "this is a number and no file; numbers are joined by commas, without spaces, as in {option} 2,1, and a box is \
             written {size} 640x480"
        ));
    }
    if text.contains(',') && parts().all(|part| Path::new(part).is_file()) {
        let files: Vec<&str> = parts().collect();
        return usage(&format!(
            "this is no file; several pictures are separated by spaces: {}",
            files.join(" ")
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn said(result: Result<impl std::fmt::Debug>) -> String {
        match result {
            Err(Failure::Usage(message) | Failure::Failed(message)) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_no_file_is_answered_by_what_it_looks_like() {
        for (name, expected) in [
            ("conv2_1", "this is a layer and no file; layers are joined by commas"),
            ("conv2_1=0.5", "--style-layers conv1_1,conv2_1"),
            ("conv2_1,conv3_1", "this is a layer"),
            ("0.5", "this is a number and no file; numbers are joined by commas"),
            ("480", "--size 640x480"),
            ("“x.png”", "this begins with a quotation mark as word processors write it"),
            ("Cargo.toml,src/lib.rs", "several pictures are separated by spaces: Cargo.toml src/lib.rs"),
            ("none/*.png", "no file fits this pattern"),
            ("none/a**.png", "this is no pattern"),
        ] {
            assert!(said(files_of(Path::new(name))).contains(expected), "{name}");
        }
        // What may be a picture that is not there is looked for where it is read.
        for name in ["none.png", "none,too.png", ",", "conv2_1.png", "-"] {
            assert_eq!(files_of(Path::new(name)).unwrap(), [PathBuf::from(name)]);
        }
    }

    #[test]
    fn a_pattern_stands_for_files() {
        let found = files_of(Path::new("src/cli/n?me*.rs")).unwrap();
        assert_eq!(found, [PathBuf::from("src/cli/names.rs")]);
        assert_eq!(file_of(Path::new("src/cli/n?me*.rs")).unwrap(), found[0]);
        assert_eq!(files_of(Path::new("src/m*.rs")).unwrap(), [PathBuf::from("src/main.rs")]);
        assert!(
            said(file_of(Path::new("src/cli/p*.rs")))
                .contains("files fit this pattern; CONTENT is one photograph")
        );
        assert!(
            said(file_of(Path::new("src")))
                .contains("this is a folder; CONTENT is one photograph; name one, or paint")
        );
    }
}
