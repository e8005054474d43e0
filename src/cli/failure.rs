//! Why a command ends without its result.

use std::path::Path;

use impasto::Error;

use super::words;

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(super) enum Failure {
    /// Something is wrong in the arguments themselves.
    Usage(String),
    /// A file, a picture, the weights, the adapter or the GPU.
    Failed(String),
    /// A signal ended the run in good order; the code says which.
    Interrupted(u8),
}

impl Failure {
    /// A file of the command line that cannot be read or written, or must not be.
    pub(super) fn of_file(path: &Path, reason: &str, remedy: &str) -> Self {
        Self::Failed(format!("{}: {reason}; {remedy}", path.display()))
    }

    /// The same failure, its message after `context`. The last line, which may be a path, stays the last one.
    pub(super) fn with_context(self, context: &str) -> Self {
        match self {
            Self::Failed(message) => Self::Failed(format!("{context}\n{message}")),
            other => other,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = words::message(&error);
        match error {
            Error::Option { .. } => Self::Usage(message),
            _ => Self::Failed(message),
        }
    }
}

pub(super) type Result<T, E = Failure> = std::result::Result<T, E>;
