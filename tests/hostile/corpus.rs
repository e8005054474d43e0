//! The inputs that the fuzzers found to be different from one another, each with every run of the tests.

use std::fs;
use std::path::Path;

use super::{TIME_LIMIT, alone, fuzz};

fn replay(target: &str, run: fn(&[u8]) -> bool) {
    let _alone = alone();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let start = std::time::Instant::now();
    let (mut inputs, mut read) = (0, 0);
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        // What is printed is shown where an input fails.
        println!("{}", path.display());
        read += usize::from(run(&bytes));
        inputs += 1;
    }
    assert!(inputs >= 10, "{inputs} inputs in {}", folder.display());
    // A corpus that is all refused, or none of it, reaches half of what there is.
    assert!(0 < read && read < inputs, "{read} of {inputs} inputs of {target} were read");
    assert!(start.elapsed() < TIME_LIMIT, "{target}: {:?}", start.elapsed());
}

#[test]
fn pictures() {
    replay("picture", fuzz::picture);
}

#[test]
fn weights() {
    replay("weights", fuzz::weights);
}

#[test]
fn checkpoints() {
    replay("checkpoint", fuzz::checkpoint);
}

#[test]
fn texts() {
    replay("text", fuzz::text);
}

#[test]
fn choices() {
    replay("choices", fuzz::choices);
}
