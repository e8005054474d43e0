//! The built command given such files: the exit code, and an error that names the file. Where nothing else is said it
//! explains, which ends before anything is written, and bad files end it before a device is opened.

use std::fs;
use std::process::{self, Stdio};

use predicates::prelude::*;
use predicates::str::{contains, is_empty, starts_with};

use super::common::test_folder::{SHALLOW, TestFolder};
use super::make::{Jpeg, Png, deflated_zeros, one_layer};
use super::{alone, fixture};

/// Refused as CONTENT, as STYLE and as the picture to start from, for the reason that is `said`. A folder as STYLE stands for
/// its pictures, of which there are none.
#[track_caller]
fn refuses_picture(folder: &TestFolder, name: &str, said: &str) {
    for arguments in [
        ["explain", name, "style.jpg"].as_slice(),
        &["explain", "content.png", name],
        &["explain", "content.png", "style.jpg", "--init", name],
    ] {
        let assert = folder.run(arguments).code(1).stdout(is_empty());
        let is_style = arguments.len() == 3 && arguments[2] == name;
        let said = if is_style && folder.path(name).is_dir() { "no picture in this folder" } else { said };
        assert.stderr(starts_with(format!("error: {name}: ")).and(contains(said)));
    }
}

#[test]
fn pictures_that_are_none_are_named() {
    let _alone = alone();
    let folder = TestFolder::new();
    let huge = Png { size: (60_000, 60_000), bits: 8, colours: 2, interlaced: false };
    let jpeg = Jpeg { size: (65_535, 65_535), ..Jpeg::whole((8, 8), 3, false) };
    let cut = fixture("smooth-420.jpg");
    for (name, bytes, said) in [
        ("huge.png", huge.file(&[], &deflated_zeros(1000)), "60000x60000"),
        ("huge.jpg", jpeg.file(&[]), "65535x65535"),
        ("cut.jpg", cut[..cut.len() / 2].to_vec(), "the file ends before"),
        ("empty.png", Vec::new(), "the file is empty"),
        ("text.png", b"not a picture".to_vec(), "not a picture in a known format"),
        ("photo.heic", fixture("photo.heic"), "an HEIC"),
        ("named-wrongly.png", fixture("photo.avif"), "an AVIF"),
    ] {
        fs::write(folder.path(name), bytes).unwrap();
        refuses_picture(&folder, name, said);
    }
    fs::create_dir(folder.path("folder.png")).unwrap();
    refuses_picture(&folder, "folder.png", "this is a folder");
    refuses_picture(&folder, "missing.png", "there is no such file");
}

/// The name says nothing, and what is read is what a pipe gives.
#[cfg(unix)]
#[test]
fn pipes_are_read_to_their_end() {
    let _alone = alone();
    let folder = TestFolder::new();
    let whole = fixture("one.png");
    for (length, said) in [(whole.len(), None), (whole.len() / 2, Some("the file ends before"))] {
        let mut child = process::Command::new(env!("CARGO_BIN_EXE_impasto"))
            .current_dir(folder.root.path())
            .args(["explain", "/dev/stdin", "style.jpg"])
            .args(SHALLOW)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), &whole[..length]).unwrap();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        match said {
            None => assert!(output.status.success(), "{stderr}"),
            Some(said) => {
                assert_eq!(output.status.code(), Some(1));
                assert!(stderr.starts_with("error: /dev/stdin: ") && stderr.contains(said), "{stderr}");
            }
        }
    }
}

#[cfg(unix)]
#[test]
fn a_file_without_an_end_is_not_read_to_it() {
    let _alone = alone();
    let folder = TestFolder::new();
    let assert = folder.run(&["explain", "/dev/zero", "style.jpg"]).code(1).stdout(is_empty());
    assert.stderr(starts_with("error: /dev/zero: ").and(contains("larger than 1280 MiB")));
    let arguments = ["explain", "content.png", "style.jpg", "--weights", "/dev/zero"];
    let assert = folder.run(&arguments).code(1).stdout(is_empty());
    assert.stderr(starts_with("error: /dev/zero: ").and(contains("larger than 1024 MiB")));
}

#[test]
fn weights_that_are_none_are_named() {
    let _alone = alone();
    let folder = TestFolder::new();
    let network = concat!(env!("CARGO_MANIFEST_DIR"), "/weights/vgg19-u8.safetensors");
    let network = fs::read(network).unwrap();
    let lie = [&u64::MAX.to_le_bytes()[..], &network[8..]].concat();
    let nested = [&100_000_u64.to_le_bytes()[..], &[b'['; 100_000]].concat();
    for (name, bytes, said) in [
        ("cut.safetensors", network[..network.len() / 2].to_vec(), "header: expected a complete"),
        ("lie.safetensors", lie, "a header length of 18446744073709551615"),
        ("nested.safetensors", nested, "a header with a fault"),
        ("empty.safetensors", Vec::new(), "0 bytes"),
        ("shallow.safetensors", one_layer(), "conv1_2: expected conv1_2.weight"),
        ("picture.safetensors", fixture("one.png"), "expected a file of weights, found a picture"),
        ("torch.safetensors", b"PK\x03\x04 and the rest".to_vec(), "ZIP: expected a complete ZIP"),
    ] {
        fs::write(folder.path(name), bytes).unwrap();
        let arguments = ["explain", "content.png", "style.jpg", "--weights", name];
        let assert = folder.run(&arguments).code(1).stdout(is_empty());
        assert.stderr(starts_with(format!("error: {name}: ")).and(contains(said)));
    }
    let assert = folder.run(&["explain", "content.png", "style.jpg", "--weights", "."]).code(1);
    assert.stderr(starts_with("error: .: this is a folder"));
    // What only a run reads: the numbers.
    let mut broken = one_layer();
    let place = broken.len() - 128;
    broken[place..place + 2].copy_from_slice(&0x7c00_u16.to_le_bytes());
    fs::write(folder.path("broken.safetensors"), broken).unwrap();
    let layers = ["--preset", "course", "--content-layer", "conv1_1", "--style-layers", "conv1_1"];
    let arguments = ["content.png", "style.jpg", "-o", "out.png", "--weights", "broken.safetensors"];
    let assert = folder.command(&arguments).args(layers).assert().code(1).stdout(is_empty());
    assert.stderr(contains("error: broken.safetensors: conv1_1.bias: expected finite numbers, found inf"));
    assert!(!folder.path("out.png").exists());
}

/// The smallest and the longest picture are painted like any other.
#[test]
fn tiny_and_long_pictures_are_painted() {
    let _alone = alone();
    let folder = TestFolder::new();
    for name in ["one.png", "one.jpg", "long.png", "tall.png"] {
        fs::write(folder.path(name), fixture(name)).unwrap();
    }
    for (content, style, size) in [
        ("one.png", "one.jpg", (1, 1)),
        ("one.png", "long.png", (1, 1)),
        ("long.png", "one.png", (400, 1)),
        ("tall.png", "style.jpg", (1, 400)),
    ] {
        // Sides of 400 pixels are painted at three sizes, with layers whose distances are found quickly.
        let small: [&str; 0] = [];
        let (sizes, layers) = match size {
            (1, 1) => (1, &small[..]),
            _ => (3, &["--size", "400", "--coarsest", "200", "--style-layers", "conv1_1,conv3_1"][..]),
        };
        for (preset, steps, layers) in [("course", 2, &small[..]), ("fine", 2 * sizes, layers)] {
            let arguments = [content, style, "-o", "out.png", "--steps", "2", "--preset", preset];
            let assert = folder.run(&[&arguments, layers].concat()).success();
            assert.stderr(contains(format!("out.png: {}x{}, {steps} steps", size.0, size.1)));
            let painted = folder.decoded("out.png");
            assert_eq!((painted.width(), painted.height()), size);
        }
    }
}
