//! Lines to standard error and text to standard output.

use std::fmt::Display;
use std::io::{self, Write};

use super::failure::{Failure, Result};

/// Writes a line to stderr. A closed stderr is no reason to stop.
pub(super) fn say(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Writes a whole file to stdout.
pub(super) fn write_out(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush())
}

/// Writes to stdout. A reader that closes the pipe early is not an error.
pub(super) fn print(text: &str) -> Result<()> {
    match write_out(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Failed(format!("standard output: {error}; give it a place that can be written to")))
        }
        _ => Ok(()),
    }
}
