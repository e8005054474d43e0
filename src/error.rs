//! The one error type: every variant says what was needed, what was there, and what to do.

use std::path::PathBuf;

/// Everything that can go wrong, as values. Messages end with the next move.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An option is out of range, unknown, or contradicts another one.
    #[error("{option}: {reason}; {remedy}")]
    Option {
        /// The option's name as the command line spells it, such as `--size`.
        option: String,
        /// What is wrong with it.
        reason: String,
        /// What to do instead.
        remedy: String,
    },
    /// A picture cannot be decoded, is refused, or cannot be encoded.
    #[error("{name}: {reason}; {remedy}")]
    Picture {
        /// The picture's name for people, usually its path.
        name: String,
        /// What is wrong with it.
        reason: String,
        /// What to do instead.
        remedy: String,
    },
    /// A weights file lacks something or has it in another form.
    #[error("{name}: {item}: expected {expected}, found {found}; {remedy}")]
    Weights {
        /// The file's name for people.
        name: String,
        /// The tensor or metadata key that is at fault.
        item: String,
        /// What was needed.
        expected: String,
        /// What was there.
        found: String,
        /// What to do instead.
        remedy: String,
    },
    /// A checkpoint cannot be read, or should not be written.
    #[error("{name}: {reason}; {remedy}")]
    Checkpoint {
        /// The file's name for people.
        name: String,
        /// What is wrong with it.
        reason: String,
        /// What to do instead.
        remedy: String,
    },
    /// A file cannot be read or written.
    #[error("{path}: {reason}; {remedy}", path = path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        reason: String,
        /// What to do instead.
        remedy: String,
    },
    /// No adapter fits the request.
    #[error("{reason}; {remedy}")]
    Adapter {
        /// What was asked for and what there is.
        reason: String,
        /// What to do instead.
        remedy: String,
    },
    /// A limit of the device or its memory is too small for the work.
    #[error("{what}: needs {needed} bytes, the device has {available}; {remedy}")]
    Memory {
        /// What did not fit.
        what: String,
        /// Bytes needed.
        needed: u64,
        /// Bytes that there are; where a driver refused, those that it had given by then.
        available: u64,
        /// What to do instead.
        remedy: String,
    },
    /// A limit of the device that is no number of bytes is too small.
    #[error("the device's limit {limit}: needs {needed}, the device has {available}; {remedy}")]
    Limit {
        /// The limit, as [`wgpu::Limits`] calls it.
        limit: &'static str,
        /// What is needed.
        needed: u64,
        /// What the device was opened with.
        available: u64,
        /// What to do instead.
        remedy: String,
    },
    /// The graphics driver or the shader compiler refused something, or the device was lost.
    #[error("{what}: {reason}; {remedy}")]
    Gpu {
        /// What was being done.
        what: String,
        /// The driver's or compiler's own text.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// Operations were combined with shapes that do not fit: a mistake in the calling program.
    #[error("{op}: expected {expected}, found {found}; give it tensors that fit")]
    Shape {
        /// The operation.
        op: &'static str,
        /// The rule.
        expected: String,
        /// The shapes given.
        found: String,
    },
}

/// The result of everything that can fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;
