//! Files that are damaged, hostile or merely odd: an error that names the file and the trouble, or what another
//! program reads from it, and never more memory or time than is said.
//!
//! Memory is counted by an allocator, which sees all of the process, so every test here runs alone.
#![allow(clippy::unwrap_used)]

#[cfg(all(feature = "cli", feature = "embedded-weights"))]
mod command;
#[cfg(all(feature = "cli", feature = "embedded-weights"))]
#[path = "../common/mod.rs"]
mod common;
mod corpus;
mod make;
mod pictures;
mod weights;

// What the fuzzers do with an input. It also sets the allocator. To the fuzzers it is a crate.
#[allow(unreachable_pub)]
#[path = "../../fuzz/src/lib.rs"]
mod fuzz;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use impasto::{Error, Result};

/// What any one file may take, on a machine that is busy with other things.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Held by the one test that runs.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `work` on a file, which may hold `bound` bytes beside those that are held now.
#[track_caller]
fn bounded<T>(bound: u64, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let (result, taken) = fuzz::measured(work);
    let elapsed = start.elapsed();
    assert!(taken <= bound, "held {taken} bytes, of which {bound} are allowed");
    assert!(elapsed <= TIME_LIMIT, "took {elapsed:?}");
    result
}

/// The text of an error, which begins with the file's name and says more than that.
#[track_caller]
fn message<T>(name: &str, result: Result<T>) -> String {
    let Err(error) = result else { panic!("{name} was taken for whole") };
    let text = error.to_string();
    assert!(matches!(error, Error::Picture { .. } | Error::Weights { .. }), "{error:?}");
    assert!(text.starts_with(&format!("{name}: ")) && text.contains("; "), "{text}");
    assert!(text.len() < 600 && !text.contains(char::is_control), "{text:?}");
    text
}

fn fixture(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pictures/");
    std::fs::read(format!("{folder}{name}")).unwrap()
}
