//! The errors of weights files, and the words that they share.

use std::fmt;

use safetensors::tensor::Dtype;

use crate::error::{Error, Remedy, Result};
use crate::tensors::shortened;

/// The move where a file is not whole.
pub(super) const DAMAGED: &str = "the file is damaged or cut short: fetch or make it again";

/// The error that `item` of the file `name` is not as it should be.
pub(super) fn weights_error(
    name: &str,
    item: &str,
    expected: impl Into<String>,
    found: impl Into<String>,
    remedy: impl Into<Remedy>,
) -> Error {
    Error::Weights {
        name: name.to_owned(),
        item: shortened(item),
        expected: expected.into(),
        found: found.into(),
        remedy: Box::new(remedy.into()),
    }
}

/// What is wrong with a file, before it has its name.
#[derive(Debug)]
pub(super) struct Fault {
    item: String,
    expected: String,
    found: String,
    remedy: String,
}

impl Fault {
    /// `item` is not as it should be.
    pub(super) fn new(
        item: &str,
        expected: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { item: item.to_owned(), expected: expected.into(), found: found.into(), remedy: remedy.into() }
    }

    /// The file ends early, or contradicts itself.
    pub(super) fn damaged(item: &str, expected: &str, found: impl Into<String>) -> Self {
        Self::new(item, expected, found, DAMAGED)
    }
}

/// Puts the file's name on the fault.
pub(super) fn of_file<T>(name: &str, result: std::result::Result<T, Fault>) -> Result<T> {
    result.map_err(|Fault { item, expected, found, remedy }| {
        weights_error(name, &item, expected, found, remedy)
    })
}

/// The types in one text: `F32 or F16`.
pub(super) fn one_of(dtypes: &[Dtype]) -> String {
    let names: Vec<String> = dtypes.iter().map(Dtype::to_string).collect();
    match names.split_last() {
        Some((last, first)) if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        _ => names.concat(),
    }
}

/// A shape as messages spell it: (64, 3, 3, 3).
pub(super) struct Shape<'shape>(pub(super) &'shape [usize]);

impl fmt::Display for Shape<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        let sizes: Vec<String> = self.0.iter().take(SHOWN).map(usize::to_string).collect();
        let more = if self.0.len() > SHOWN { ", …" } else { "" };
        write!(formatter, "({}{more})", sizes.join(", "))
    }
}
