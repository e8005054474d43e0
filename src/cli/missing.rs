//! Command lines without OUT, or with its name among those of the pictures.

use std::ffi::OsString;
use std::path::Path;

use clap::FromArgMatches;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use impasto::picture::PictureFormat;

use super::Failure;
use super::args::{self, Arguments};

/// Whether the arguments lack nothing but the painting's name.
pub(super) fn lacks_output(error: &clap::Error) -> bool {
    let Some(ContextValue::Strings(missing)) = error.get(ContextKind::InvalidArg) else { return false };
    error.kind() == ErrorKind::MissingRequiredArgument
        && matches!(&missing[..], [only] if only.starts_with("--output"))
}

/// What to say to arguments without OUT: the last picture that is not there may be meant by it.
pub(super) fn without_output(mut arguments: Vec<OsString>) -> Option<Failure> {
    arguments.extend(["--output", "out.png"].map(OsString::from));
    let matches = args::command().try_get_matches_from(arguments).ok()?;
    let mut arguments = Arguments::from_arg_matches(&matches).ok()?;
    let names = arguments.order()?.pictures();
    let new = names.last().filter(|name| names.len() > 1 && is_new_picture(name))?;
    let new = new.display();
    Some(Failure::Usage(format!(
        "{new}: the painting's name goes after -o; write -o {new}, or if {new} is one of the pictures, look for it: there \
         is no such file"
    )))
}

/// What to say to the name of a picture that is one too many.
pub(super) fn surplus(error: &clap::Error) -> Option<Failure> {
    let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidArg) else { return None };
    let is_name = error.kind() == ErrorKind::UnknownArgument && is_new_picture(Path::new(name));
    is_name.then(|| Failure::Usage(format!("{name}: the painting's name goes after -o; write -o {name}")))
}

/// Whether a name is free, and has the ending of a picture that can be written.
fn is_new_picture(name: &Path) -> bool {
    let ending = name.extension().map(|ending| ending.to_string_lossy().into_owned());
    !name.exists() && ending.as_deref().and_then(PictureFormat::from_extension).is_some()
}
