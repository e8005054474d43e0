//! The methods that were measured to be the fastest on this machine's adapters: one file per adapter in the user's
//! cache folder.

use std::fs;
use std::path::PathBuf;

use etcetera::BaseStrategy;
use impasto::gpu::AdapterSummary;
use impasto::ops::{MethodTable, kernels_digest};

use super::output;

/// The environment variable that names another folder than the user's cache; empty: nothing is remembered.
const FOLDER_VARIABLE: &str = "IMPASTO_CACHE";
/// Bytes; far more than all layers of all sizes take.
const FILE_LIMIT: u64 = 16 << 20;

/// What the methods are valid for: times change with each of these.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Key {
    adapter: String,
    backend: String,
    driver: String,
    impasto: String,
    /// A digest of the kernels' texts: a changed kernel is measured again.
    kernels: String,
}

impl Key {
    fn of(adapter: &AdapterSummary) -> Self {
        Self {
            adapter: adapter.name.clone(),
            backend: adapter.backend.clone(),
            driver: adapter.driver.clone(),
            impasto: env!("CARGO_PKG_VERSION").to_owned(),
            kernels: kernels_digest(),
        }
    }

    /// A file name that says which adapter it is of.
    fn file_name(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { ' ' };
        let words: String = format!("{} {}", self.adapter, self.backend).chars().map(plain).collect();
        let words: Vec<&str> = words.split_whitespace().collect();
        format!("{}.json", words.join("-"))
    }
}

/// The file.
#[derive(serde::Serialize, serde::Deserialize)]
struct Contents {
    #[serde(flatten)]
    key: Key,
    methods: MethodTable,
}

/// What is remembered of an adapter.
pub(super) struct Remembered {
    key: Key,
    path: Option<PathBuf>,
}

impl Remembered {
    /// Of this adapter.
    pub(super) fn of(adapter: &AdapterSummary) -> Self {
        let key = Key::of(adapter);
        let path = folder().map(|folder| folder.join(key.file_name()));
        Self { key, path }
    }

    /// Nothing, and nothing will be kept.
    pub(super) fn nothing(adapter: &AdapterSummary) -> Self {
        Self { key: Key::of(adapter), path: None }
    }

    /// The methods; none where the file does not exist, is damaged, or is valid for something else.
    pub(super) fn methods(&self) -> MethodTable {
        let read = || {
            let bytes = super::files::read(self.path.as_deref()?, FILE_LIMIT, "").ok()?;
            let contents: Contents = serde_json::from_slice(&bytes).ok()?;
            (contents.key == self.key).then_some(contents.methods)
        };
        read().unwrap_or_default()
    }

    /// Whether methods can be kept here; makes the folder if it does not exist.
    pub(super) fn can_be_kept(&self) -> bool {
        let Some(path) = &self.path else { return false };
        path.parent().is_some_and(|folder| fs::create_dir_all(folder).is_ok()) && output::check(path).is_ok()
    }

    /// Adds `measured` to the file. Where that fails, the next run measures again, and nothing is lost.
    pub(super) fn keep(&self, measured: &MethodTable) {
        let Some(path) = &self.path else { return };
        // Another run may have added to the file since this one began.
        let mut methods = self.methods();
        methods.0.extend(measured.0.iter().map(|(problem, method)| (*problem, *method)));
        if let Ok(mut json) = serde_json::to_vec_pretty(&Contents { key: self.key.clone(), methods }) {
            json.push(b'\n');
            let _ = output::write(path, &json);
        }
    }
}

fn folder() -> Option<PathBuf> {
    match std::env::var_os(FOLDER_VARIABLE) {
        Some(folder) if folder.is_empty() => None,
        Some(folder) => Some(folder.into()),
        None => Some(etcetera::choose_base_strategy().ok()?.cache_dir().join("impasto")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_named_after_the_adapter() {
        let key = Key {
            adapter: "llvmpipe (LLVM 15.0.6, 256 bits)".into(),
            backend: "vulkan".into(),
            driver: "../x".into(),
            impasto: "0.1.0".into(),
            kernels: "0".into(),
        };
        assert_eq!(key.file_name(), "llvmpipe-llvm-15-0-6-256-bits-vulkan.json");
    }
}
