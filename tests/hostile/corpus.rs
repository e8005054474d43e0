//! The inputs that the fuzzers found to be different from one another, each with every run of the tests.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

use super::{TIME_LIMIT, alone, fuzz};

/// Bytes of a header, and what the contents of a file are padded to.
const BLOCK: usize = 512;

/// Names and contents of the files in an archive as `scripts/fuzz.sh` packs it: ustar, compressed by gzip.
fn unpacked(archive: &Path) -> Vec<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    GzDecoder::new(File::open(archive).unwrap()).read_to_end(&mut bytes).unwrap();
    let mut files = Vec::new();
    let mut rest = &bytes[..];
    // Zeros end the archive.
    while rest.iter().take(BLOCK).any(|byte| *byte != 0) {
        let (header, after) = rest.split_at(BLOCK);
        let text = |from: usize, to: usize| {
            let field = header[from..to].split(|byte| *byte == 0).next().unwrap();
            std::str::from_utf8(field).unwrap()
        };
        let name = text(0, 100).to_owned();
        assert!(&header[257..262] == b"ustar" && header[156] == b'0', "{name} is no plain file of ustar");
        let length = usize::from_str_radix(text(124, 136).trim(), 8).unwrap();
        files.push((name, after[..length].to_vec()));
        rest = &after[length.next_multiple_of(BLOCK)..];
    }
    files
}

fn replay(target: &str, run: fn(&[u8]) -> bool) {
    let _alone = alone();
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fuzz/corpus/{target}.tar.gz"));
    let start = std::time::Instant::now();
    let files = unpacked(&archive);
    // In order and each once: the archive depends on nothing but the inputs.
    assert!(files.windows(2).all(|pair| pair[0].0 < pair[1].0), "{} is not in order", archive.display());
    let mut read = 0;
    for (name, bytes) in &files {
        // What is printed is shown where an input fails.
        println!("{target}/{name}");
        read += usize::from(run(bytes));
    }
    let inputs = files.len();
    assert!(inputs >= 10, "{inputs} inputs in {}", archive.display());
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
