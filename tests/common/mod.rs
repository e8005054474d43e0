//! What the integration tests share. Each test target that needs it says `mod common;`.

// Every target compiles this module for itself and uses a part of it.
#![allow(dead_code, unused_imports)]

pub(crate) mod compare;
#[cfg(feature = "embedded-weights")]
pub(crate) mod engine;
#[cfg(target_os = "linux")]
pub(crate) mod fault;
pub(crate) mod gpu;
pub(crate) mod interpret;
pub(crate) mod random;
#[cfg(feature = "cli")]
pub(crate) mod test_folder;
