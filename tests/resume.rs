//! What is left of a run when things go wrong: checkpoints, pictures, and messages. Each test causes the fault.
#![cfg(all(feature = "cli", feature = "embedded-weights"))]
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashMap;
use std::fs;

use common::test_folder::{SHALLOW, TestFolder};
use impasto::transfer::Checkpoint;
use predicates::prelude::*;
use predicates::str::contains;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The trace without its times.
fn costs(folder: &TestFolder, name: &str) -> Vec<[Value; 5]> {
    let keys = ["step", "total", "content", "style", "terms"];
    folder.json_lines(name).iter().map(|line| keys.map(|key| line[key].clone())).collect()
}

/// Paints nine steps without a break, and returns the file's bytes.
fn uninterrupted(folder: &TestFolder) -> Vec<u8> {
    folder.paint(&["-o", "whole.png", "--steps", "9", "--trace", "whole.jsonl", "-q"]).success();
    folder.read("whole.png")
}

#[test]
fn a_run_in_two_parts_ends_as_one() {
    let folder = TestFolder::new();
    let whole = uninterrupted(&folder);
    folder
        .paint(&["-o", "out.png", "--steps", "4", "--trace", "t.jsonl", "--checkpoint", "c", "-q"])
        .success();
    assert_ne!(folder.read("out.png"), whole);
    let resumed =
        ["-o", "out.png", "--steps", "9", "--trace", "t.jsonl", "--resume", "c", "--checkpoint", "c"];
    folder.paint(&resumed).success().stderr(contains("step 4/9").and(contains("warning: since").not()));
    assert_eq!(folder.read("out.png"), whole);
    assert_eq!(costs(&folder, "t.jsonl"), costs(&folder, "whole.jsonl"));
    // The checkpoint is the one of the end now, and there is nothing left to do.
    folder.paint(&["-o", "again.png", "--steps", "9", "--resume", "c", "-q"]).success();
    assert_eq!(folder.read("again.png"), whole);
    // What is remembered of the adapter does not count: the methods are those of the first part.
    fs::remove_dir_all(folder.cache.path()).unwrap();
    folder.paint(&["-o", "again.png", "--steps", "9", "--resume", "c", "-q"]).success();
    assert_eq!(folder.read("again.png"), whole);
}

/// A run that ends by its costs says so in its steps, and ends as well when it goes on from a checkpoint.
#[test]
fn a_run_may_end_before_its_steps_are_done() {
    let folder = TestFolder::new();
    let tolerant = ["--tolerance", "0.2", "--learning-rate", "4"];
    let paint = |arguments: &[&str]| folder.paint(&[arguments, &tolerant].concat());
    let assert = paint(&["-o", "whole.png", "--steps", "300", "--trace", "whole.jsonl"]).success();
    let said = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
    let taken = folder.json_lines("whole.jsonl").len() - 1;
    assert!((20..300).contains(&taken), "{said}");
    assert!(said.contains(&format!("whole.png: 32x24, {taken} steps, ")), "{said}");
    assert!(said.contains(&format!("step {taken}/{taken}: ")) && said.contains("step 0/300: "), "{said}");
    // In two parts.
    let first = ["-o", "out.png", "--steps", "15", "--trace", "t.jsonl", "--checkpoint", "c", "-q"];
    paint(&first).success();
    let resumed =
        ["-o", "out.png", "--steps", "300", "--trace", "t.jsonl", "--resume", "c", "--checkpoint", "c", "-q"];
    paint(&resumed).success();
    assert_eq!(folder.read("out.png"), folder.read("whole.png"));
    assert_eq!(costs(&folder, "t.jsonl"), costs(&folder, "whole.jsonl"));
    // There is nothing left to do; another tolerance is another run.
    paint(&["-o", "again.png", "--steps", "300", "--resume", "c", "-q"]).success();
    assert_eq!(folder.read("again.png"), folder.read("whole.png"));
    let other =
        folder.paint(&["-o", "again.png", "--resume", "c", "--learning-rate", "4", "--steps", "300"]).code(2);
    other.stderr(contains("--tolerance: the checkpoint was made with 0.2, and this is 0; give 0.2"));
    for wrong in ["1", "-0.1", "nan"] {
        folder.refuses(
            2,
            &["-o", "out.png", "--tolerance", wrong],
            "is out of range; give a number from 0, which is off",
        );
    }
}

#[test]
fn a_trace_is_cut_where_the_run_goes_on() {
    let folder = TestFolder::new();
    let whole = uninterrupted(&folder);
    let paint = |steps: &str, more: &[&str]| {
        let usual = ["-o", "out.png", "--steps", steps, "--trace", "t.jsonl", "-q"];
        folder.paint(&[&usual, more].concat()).success();
    };
    paint("3", &["--checkpoint", "c"]);
    // The first run is said to have gone on for two steps and a half.
    paint("5", &[]);
    let trace = folder.read("t.jsonl");
    // As if it had been killed while it wrote, and as no run writes.
    let begun: Vec<&[u8]> = trace.split_inclusive(|byte| *byte == b'\n').take(3).collect();
    let endless = [&begun.concat(), &b"{\"step\":0"[..], &[b' '; 1 << 17], b"}\n"].concat();
    for left in [&trace[..trace.len() - 20], &endless] {
        fs::write(folder.path("t.jsonl"), left).unwrap();
        paint("9", &["--resume", "c"]);
        assert_eq!(costs(&folder, "t.jsonl"), costs(&folder, "whole.jsonl"));
        assert_eq!(folder.read("out.png"), whole);
    }
}

#[test]
fn another_run_is_not_resumed() {
    let folder = TestFolder::new();
    folder.picture("other.png", 32, 24, 5);
    let usual = ["-o", "out.png", "--steps", "2", "-q"];
    folder.paint(&[&usual[..], &["--checkpoint", "c"]].concat()).success();
    let refused = |option: &str, pictures: [&str; 2], arguments: &[&str]| {
        let assert = folder
            .command(&pictures)
            .args(SHALLOW)
            .args(usual)
            .args(["--resume", "c"])
            .args(arguments)
            .assert()
            .code(2);
        assert.stderr(contains(format!("error: {option}: ")));
    };
    let same = ["content.png", "style.jpg"];
    refused("CONTENT", ["other.png", "style.jpg"], &[]);
    refused("STYLE", ["content.png", "other.png"], &[]);
    for (option, value) in [
        ("--alpha", "11"),
        ("--beta", "41"),
        ("--learning-rate", "3"),
        ("--size", "16"),
        ("--seed", "4"),
        ("--init", "content"),
        ("--init", "other.png"),
        ("--noise-ratio", "0.5"),
        ("--steps", "1"),
    ] {
        let mut arguments = vec![option, value];
        if option == "--steps" {
            // Given twice it would be an error of its own.
            let assert = folder.paint(&["-o", "out.png", "--steps", "1", "--resume", "c"]).code(2);
            assert.stderr(contains("error: --steps: the checkpoint has had 2"));
            continue;
        }
        if option == "--init" {
            arguments.extend(["--noise-ratio", "0.6"]);
        }
        refused(option, same, &arguments);
    }
    for (option, value) in [("--content-layers", "conv1_1"), ("--style-layers", "conv1_1=2")] {
        let layers: Vec<&str> = SHALLOW
            .chunks(2)
            .flat_map(|pair| if pair[0] == option { [option, value] } else { [pair[0], pair[1]] })
            .collect();
        let assert = folder.command(&same).args(layers).args(usual).args(["--resume", "c"]).assert().code(2);
        assert.stderr(contains(format!("error: {option}: the checkpoint was made with ")));
    }
    // The weights in the program and their file are the same, and another file is not.
    let weights = concat!(env!("CARGO_MANIFEST_DIR"), "/weights/vgg19-u8.safetensors");
    folder.paint(&["-o", "same.png", "--steps", "2", "--resume", "c", "-q", "--weights", weights]).success();
    assert_eq!(folder.read("same.png"), folder.read("out.png"));
    let mut other = fs::read(weights).unwrap();
    *other.last_mut().unwrap() ^= 1;
    fs::write(folder.path("other.safetensors"), other).unwrap();
    refused("--weights", same, &["--weights", "other.safetensors"]);
    // Nothing of all that was painted, and other files, and how often they are written, are no other run.
    assert_eq!(
        folder.files(),
        ["c", "content.png", "other.png", "other.safetensors", "out.png", "same.png", "style.jpg"]
    );
    let others =
        ["-o", "o.jpg", "--save-every", "1", "--trace", "t", "--checkpoint", "d", "--checkpoint-every", "1"];
    folder.paint(&[&others[..], &["--steps", "4", "--resume", "c"]].concat()).success();
    // Other kernels are no other run.
    let assert =
        folder.paint(&["-o", "out.png", "--steps", "2", "--resume", "c", "--algorithm", "direct"]).success();
    assert.stderr(contains("warning: since the checkpoint --algorithm was auto and is direct"));
}

/// Another --size of the same picture is a matter of the size. Another picture is one of CONTENT, whatever its size.
#[test]
fn another_size_and_another_content_are_reported_as_such() {
    let folder = TestFolder::new();
    folder.picture("other.png", 32, 24, 5);
    folder.picture("wide.png", 48, 24, 1);
    folder.paint(&["-o", "out.png", "--steps", "1", "--checkpoint", "c", "-q"]).success();
    let refused = |content: &str, size: &str, message: &str| {
        let arguments = ["style.jpg", "-o", "new.png", "--resume", "c", "--size", size];
        let assert = folder.command(&[content]).args(arguments).args(SHALLOW).assert();
        assert.code(2).stderr(contains(message));
    };
    let was = "32x24 with a style of 24x20";
    refused(
        "content.png",
        "16",
        &format!(
            "error: --size: the checkpoint was made with {was}, and this is 16x12 with a style of 16x13; give {was}, \
             or begin anew without --resume\n"
        ),
    );
    let other = "error: CONTENT: not the same as when the checkpoint was made; give the same, or begin anew without \
                 --resume\n";
    for content in ["other.png", "wide.png"] {
        for size in ["400", "16"] {
            refused(content, size, other);
        }
    }
    assert!(!folder.path("new.png").exists());
}

#[test]
fn a_run_from_a_picture_goes_on_only_with_the_same_picture() {
    let folder = TestFolder::new();
    folder.picture("start.png", 16, 50, 3);
    folder.picture("other.png", 16, 50, 4);
    let paint = |output: &str, steps: &str, more: &[&str]| {
        folder.paint(&[&["-o", output, "--steps", steps, "-q"], more].concat())
    };
    paint("whole.png", "4", &["--init", "start.png"]).success();
    paint("out.png", "2", &["--init", "start.png", "--checkpoint", "c"]).success();
    // The file counts, and not its name.
    fs::copy(folder.path("start.png"), folder.path("renamed.png")).unwrap();
    for init in ["start.png", "renamed.png"] {
        paint("out.png", "4", &["--init", init, "--resume", "c"]).success();
        assert_eq!(folder.read("out.png"), folder.read("whole.png"), "{init}");
    }
    fs::copy(folder.path("other.png"), folder.path("start.png")).unwrap();
    for init in ["other.png", "start.png", "content", "noise"] {
        let assert = paint("new.png", "4", &["--init", init, "--noise-ratio", "0", "--resume", "c"]).code(2);
        assert.stderr(contains(
            "error: --init: not the same as when the checkpoint was made; give the same, or ",
        ));
    }
    let assert = paint("new.png", "4", &["--resume", "c"]).code(2);
    assert.stderr(contains("error: --init: "));
    assert!(!folder.path("new.png").exists());
}

/// The message comes from the version alone: the rest of the description may be unreadable.
#[test]
fn a_checkpoint_of_another_version_is_refused_with_what_to_do() {
    let folder = TestFolder::new();
    folder.paint(&["-o", "out.png", "--steps", "1", "--checkpoint", "c", "-q"]).success();
    let bytes = folder.read("c");
    let head = head(&bytes);
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    for version in [1, 3] {
        let other = head.replace("{\"checkpoint\":2,", &format!("{{\"checkpoint\":{version},"));
        assert_ne!(other, head);
        let unreadable = format!("{{\"checkpoint\":{version},\"about\":{{\"alpha\":10}}}}");
        for head in [other, unreadable] {
            let metadata = HashMap::from([("impasto".to_owned(), head)]);
            let file = safetensors::serialize(tensors.tensors(), Some(metadata)).unwrap();
            fs::write(folder.path("other"), file).unwrap();
            let message = format!(
                "error: other: a checkpoint of version {version}, and this program reads version 2; go on with the \
                 version of impasto that wrote it, or begin anew without --resume\n"
            );
            folder.refuses(1, &["-o", "new.png", "--resume", "other"], &message);
        }
    }
}

/// While there was one content layer, its name was recorded alone.
#[test]
fn a_checkpoint_with_the_name_of_one_content_layer_is_read() {
    let folder = TestFolder::new();
    folder.paint(&["-o", "out.png", "--steps", "2", "--checkpoint", "c", "-q"]).success();
    let about = about(&folder.read("c"));
    let before = about.replace(
        "\"content_layers\":[{\"name\":\"conv1_2\",\"weight\":1.0}]",
        "\"content_layer\":\"conv1_2\"",
    );
    assert_ne!(before, about);
    rewritten(&folder, "c", "before", &before, |_, _| ());
    for (from, to) in [("c", "out.png"), ("before", "same.png")] {
        folder.paint(&["-o", to, "--steps", "4", "--resume", from, "-q"]).success();
    }
    assert_eq!(folder.read("same.png"), folder.read("out.png"));
}

/// A run goes on from a checkpoint that another machine wrote, with a warning that says what differs.
#[test]
fn another_adapter_is_warned_of() {
    let folder = TestFolder::new();
    folder.paint(&["-o", "out.png", "--steps", "2", "--checkpoint", "c", "-q"]).success();
    let about = about(&folder.read("c"));
    let made_by = &serde_json::from_str::<Value>(&about).unwrap()["made_by"];
    for (key, difference) in [
        ("adapter", "the adapter was abacus and is "),
        ("backend", "the backend was abacus and is "),
        ("driver", "the driver was abacus and is "),
        ("version", "impasto was abacus and is "),
        ("kernels", "the kernels are not the same: "),
    ] {
        let entry = |value: &str| format!("\"{key}\":{}", Value::from(value));
        let elsewhere = about.replace(&entry(made_by[key].as_str().unwrap()), &entry("abacus"));
        assert_ne!(elsewhere, about, "{key}");
        rewritten(&folder, "c", "d", &elsewhere, |_, _| ());
        let assert = folder.paint(&["-o", "out.png", "--steps", "4", "--resume", "d"]).success();
        assert.stderr(
            contains(format!("warning: since the checkpoint {difference}"))
                .and(contains("warning: since").count(1)),
        );
    }
}

#[test]
fn what_is_no_checkpoint_is_refused_by_name() {
    let folder = TestFolder::new();
    folder.paint(&["-o", "out.png", "--steps", "1", "--checkpoint", "c", "-q"]).success();
    let bytes = folder.read("c");
    for length in [0, 7, 8, 100, bytes.len() / 2, bytes.len() - 1] {
        fs::write(folder.path("cut"), &bytes[..length]).unwrap();
        folder.refuses(1, &["-o", "new.png", "--resume", "cut"], "error: cut: not a checkpoint");
    }
    for place in [bytes.len() - 1, bytes.len() / 2] {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        fs::write(folder.path("cut"), changed).unwrap();
        folder.refuses(1, &["-o", "new.png", "--resume", "cut"], "error: cut: its checksum");
    }
    folder.refuses(1, &["-o", "new.png", "--resume", "none"], "error: none: there is no such file");
    folder.refuses(1, &["-o", "new.png", "--resume", "content.png"], "error: content.png: not a checkpoint");
    folder.refuses(1, &["-o", "c.png", "--resume", "c", "--checkpoint", "no/c"], "there is no folder no");
    folder.refuses(
        1,
        &["-o", "c.png", "--resume", "c", "--trace", "c"],
        "--trace names the same file as --resume",
    );
    folder.refuses(
        1,
        &["-o", "c.png", "--checkpoint", "style.jpg"],
        "--checkpoint names the same file as STYLE",
    );
    folder.refuses(2, &["-o", "c.png", "--checkpoint-every", "3"], "--checkpoint");
}

/// What a checkpoint says of itself in its metadata.
fn head(bytes: &[u8]) -> String {
    let (_, metadata) = SafeTensors::read_metadata(bytes).unwrap();
    metadata.metadata().as_ref().unwrap()["impasto"].clone()
}

/// What it says of the run.
fn about(bytes: &[u8]) -> String {
    head(bytes).split_once("\"about\":").unwrap().1.strip_suffix('}').unwrap().to_owned()
}

/// Writes the checkpoint `from` again as `to`, with this said of the run and with tensors that `change` has been at,
/// and with a checksum that is right: over the description and the tensors, as src/transfer/checkpoint.rs says.
fn rewritten(folder: &TestFolder, from: &str, to: &str, said: &str, change: impl Fn(&str, &mut [u8])) {
    let bytes = folder.read(from);
    let (head, was) = (head(&bytes), about(&bytes));
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let names = ["pixels", "adam.m", "adam.v", "adam.state"];
    let tensors = names.map(|name| tensors.tensor(name).unwrap());
    let changed = [0, 1, 2, 3].map(|index| {
        let mut data = tensors[index].data().to_vec();
        change(names[index], &mut data);
        data
    });
    let digest = |about: &str, tensors: [&[u8]; 4]| {
        let mut hasher = Sha256::new_with_prefix(about);
        tensors.iter().for_each(|data| hasher.update(data));
        hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let known = digest(&was, tensors.each_ref().map(|tensor| tensor.data()));
    assert!(head.contains(&known), "the checksum is as documented: {head}");
    let head =
        head.replace(&known, &digest(said, changed.each_ref().map(|data| &data[..]))).replace(&was, said);
    let views = [0, 1, 2, 3].map(|index| {
        (names[index], TensorView::new(Dtype::F32, tensors[index].shape().to_vec(), &changed[index]).unwrap())
    });
    let metadata = HashMap::from([("impasto".to_owned(), head)]);
    fs::write(folder.path(to), safetensors::serialize(views, Some(metadata)).unwrap()).unwrap();
}

/// The same with `value` for every number of `tensor`.
fn altered(folder: &TestFolder, from: &str, to: &str, tensor: &str, value: f32) {
    rewritten(folder, from, to, &about(&folder.read(from)), |name, data| {
        if name == tensor {
            data.chunks_exact_mut(4).for_each(|number| number.copy_from_slice(&value.to_le_bytes()));
        }
    });
}

/// As when a bit falls over in the memory of the GPU: Adam's moment is such that the next update throws the pixels away.
#[test]
fn a_cost_that_is_not_finite_leaves_the_last_good_picture_and_checkpoint() {
    let folder = TestFolder::new();
    folder.paint(&["-o", "good.png", "--steps", "3", "--checkpoint", "good", "-q"]).success();
    for moment in [1e25, 3e38] {
        altered(&folder, "good", "c", "adam.m", moment);
        let kept = folder.read("c");
        let run = |arguments: &[&str]| {
            let assert = folder.paint(&[&["-o", "out.png", "--resume", "c"], arguments].concat()).code(1);
            let said = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
            assert!(said.contains("after step 4 the cost is not a finite number"), "{said}");
            assert!(
                said.contains("which began in the style cost of conv1_1; give a smaller --lear"),
                "{said}"
            );
            assert!(said.contains("; out.png is the picture after step 3\n"), "{said}");
            assert!(said.contains("the same command with --resume c goes on from there"), "{said}");
            assert!(folder.read("out.png") == folder.read("good.png"), "{said}");
            fs::remove_file(folder.path("out.png")).unwrap();
        };
        // Found by the next step, by the look before a checkpoint is written, and at the end.
        run(&["--steps", "9"]);
        run(&["--steps", "9", "--checkpoint", "c", "--checkpoint-every", "1"]);
        assert!(folder.read("c") == kept, "the checkpoint is still the good one");
        run(&["--steps", "4"]);
    }
    // A state that is lost already is not gone on from.
    altered(&folder, "good", "c", "adam.v", f32::INFINITY);
    folder.refuses(1, &["-o", "out.png", "--resume", "c"], "error: c: adam.v holds inf at place 0; ");
}

/// Weights that are finite, and too large for what the network makes of them.
#[test]
fn a_network_that_overflows_is_named_by_its_layer() {
    let folder = TestFolder::new();
    let layers = [("conv1_1", 3, 64), ("conv1_2", 64, 64), ("conv2_1", 64, 128)];
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = layers
        .iter()
        .flat_map(|(layer, inputs, outputs)| {
            let weight = if *layer == "conv1_2" { 1e38_f32 } else { 0.1 };
            let weights = weight.to_le_bytes().repeat(inputs * outputs * 9);
            let kernel = (format!("{layer}.weight"), vec![*outputs, *inputs, 3, 3], weights);
            [kernel, (format!("{layer}.bias"), vec![*outputs], 0_f32.to_le_bytes().repeat(*outputs))]
        })
        .collect();
    let views = tensors
        .iter()
        .map(|(name, shape, data)| (name, TensorView::new(Dtype::F32, shape.clone(), data).unwrap()));
    let keys = [("layout", "out,in,ky,kx"), ("scale", "0..255"), ("channel_order", "RGB"), ("mean", "0,0,0")];
    let metadata = keys.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let bytes = safetensors::serialize(views, Some(HashMap::from(metadata))).unwrap();
    fs::write(folder.path("w.safetensors"), bytes).unwrap();
    for algorithm in ["winograd", "gemm", "direct", "naive"] {
        let assert = folder
            .paint(&["-o", "out.png", "--weights", "w.safetensors", "--algorithm", algorithm, "-q"])
            .code(1);
        let began = "which began in the activations of conv1_2; give other --weights";
        assert.stderr(contains("error: after step 0 ").and(contains(began)));
    }
    assert!(!folder.path("out.png").exists());
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    use assert_cmd::Command;
    use assert_cmd::assert::Assert;
    use common::test_folder::{Running, end};
    use predicates::str::starts_with;

    /// Ends only with a signal.
    const ENDLESS: [&str; 2] = ["--steps", "1000000"];
    /// Far longer than anything here takes.
    const TIME_LIMIT: Duration = Duration::from_secs(120);

    /// The last line of what was said: where a picture was saved that had no other place.
    fn rescued(said: &[u8]) -> Vec<u8> {
        let said = String::from_utf8(said.to_vec()).unwrap();
        let path = said.lines().last().unwrap();
        let bytes = fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}: {said}"));
        fs::remove_file(path).unwrap();
        bytes
    }

    /// After how many steps the picture is that an interrupted run left.
    fn steps_of(said: &str) -> &str {
        said.split("the picture after ").nth(1).unwrap().split(' ').next().unwrap()
    }

    /// What is read is always a whole file of one of the two, and the one that ends later has the last word.
    #[test]
    fn two_runs_may_write_the_same_files() {
        let folder = TestFolder::new();
        let run = |seed| {
            let files = ["-o", "out.png", "--checkpoint", "c", "--checkpoint-every", "1", "--seed", seed];
            folder.started(&[&files[..], &ENDLESS].concat(), "step 20/")
        };
        let runs = ["1", "2"].map(run);
        let mut seen = [0; 2];
        let begin = Instant::now();
        while seen.iter().any(|times| *times < 20) {
            assert!(begin.elapsed() < TIME_LIMIT, "{seen:?}");
            let bytes = folder.read("c");
            Checkpoint::from_bytes(&bytes, "c").unwrap();
            let about: Value = serde_json::from_str(&about(&bytes)).unwrap();
            seen[about["recipe"]["options"]["seed"].as_u64().unwrap() as usize - 1] += 1;
        }
        for ((child, stderr), seed) in runs.into_iter().zip(["1", "2"]) {
            let (code, said) = end(child, stderr, &["INT"]);
            assert_eq!(code, Some(130), "{said}");
            let picture = folder.read("out.png");
            folder.paint(&["-o", "alone.png", "--steps", steps_of(&said), "--seed", seed, "-q"]).success();
            assert!(folder.read("alone.png") == picture, "{seed}: {said}");
        }
        assert_eq!(folder.files(), ["alone.png", "c", "content.png", "out.png", "style.jpg"]);
    }

    #[test]
    fn a_signal_leaves_a_checkpoint_to_go_on_from() {
        for given in [None, Some("c")] {
            let folder = TestFolder::new();
            let mut arguments = [&["-o", "out.png"][..], &ENDLESS].concat();
            arguments.extend(given.iter().flat_map(|path| ["--checkpoint", path]));
            let (child, stderr) = folder.started(&arguments, "step 20/");
            let (code, said) = end(child, stderr, &["INT"]);
            assert_eq!(code, Some(130), "{said}");
            let path = given.unwrap_or("out.png.impasto");
            assert!(said.contains(&format!("--resume {path} goes on from there")), "{said}");
            let after = steps_of(&said);
            folder.paint(&["-o", "same.png", "--steps", after, "--resume", path, "-q"]).success();
            assert_eq!(folder.read("same.png"), folder.read("out.png"));
            let more = (after.parse::<u32>().unwrap() + 3).to_string();
            folder.paint(&["-o", "more.png", "--steps", &more, "--resume", path, "-q"]).success();
            folder.paint(&["-o", "whole.png", "--steps", &more, "-q"]).success();
            assert_eq!(folder.read("more.png"), folder.read("whole.png"));
        }
    }

    /// Waits until the checkpoint is another one than it was.
    fn await_checkpoint(folder: &TestFolder, child: &mut Running) {
        let (before, begin) = (fs::read(folder.path("c")).ok(), Instant::now());
        while fs::read(folder.path("c")).ok() == before {
            assert!(child.0.try_wait().unwrap().is_none(), "the run has ended by itself");
            assert!(begin.elapsed() < TIME_LIMIT);
            sleep(Duration::from_millis(1));
        }
    }

    /// Killed at any moment, a run leaves whole files, from which it goes on.
    #[test]
    fn a_killed_run_goes_on_from_its_last_checkpoint() {
        let folder = TestFolder::new();
        let usual = ["-o", "out.png", "--trace", "t.jsonl", "--checkpoint", "c"];
        let often = [&ENDLESS[..], &["--checkpoint-every", "1", "--save-every", "1"]].concat();
        let mut resume: &[&str] = &[];
        let mut step = 0;
        // Killed when the checkpoint is new, again and again, a little later each time: in the middle of a step, of a
        // picture on the way, of the next checkpoint.
        for kill in 0..8 {
            let (mut child, _stderr) = folder.started(&[&usual[..], &often, resume].concat(), "step ");
            await_checkpoint(&folder, &mut child);
            sleep(Duration::from_millis(3 * kill));
            child.0.kill().unwrap();
            assert_eq!(child.0.wait().unwrap().code(), None, "it was killed");
            resume = &["--resume", "c"];
            let kept = Checkpoint::from_bytes(&folder.read("c"), "c").unwrap();
            assert!(kept.step() > step, "{} after {step}", kept.step());
            step = kept.step();
            // What was being written when it was killed is called otherwise.
            let mut pictures = folder.files();
            pictures.retain(|file| file.starts_with("out-"));
            assert!(pictures.len() >= step as usize);
            for file in pictures {
                assert_eq!(folder.decoded(&file).width(), 32, "{file}");
            }
        }
        let steps = (step + 3).to_string();
        folder.paint(&[&usual[..], resume, &["--steps", &steps]].concat()).success();
        folder.paint(&["-o", "whole.png", "--steps", &steps, "--trace", "whole.jsonl", "-q"]).success();
        assert_eq!(folder.read("out.png"), folder.read("whole.png"));
        assert_eq!(costs(&folder, "t.jsonl"), costs(&folder, "whole.jsonl"));
    }

    /// Ended by a signal at the first of two sizes, killed at the second, each time between two steps that make anew what
    /// the others go on with: it goes on at that size, and ends with the same file.
    #[test]
    fn a_run_of_two_sizes_goes_on_at_the_size_that_it_had() {
        let folder = TestFolder::new();
        folder.picture("content.png", 80, 60, 1);
        folder.picture("large.png", 100, 80, 2);
        let sizes = ["--size", "64", "--algorithm", "winograd", "--style-layers", "conv1_1,conv3_1"];
        let with = |coarsest: [&'static str; 2], weights: [&'static str; 2]| {
            [&["content.png", "style.jpg", "large.png"], &sizes[..], &coarsest, &weights].concat()
        };
        let (coarsest, weights) = (["--coarsest", "40"], ["--style-weights", "2,1"]);
        let usual = with(coarsest, weights);
        let whole = ["-o", "whole.png", "--steps", "5", "--trace", "whole.jsonl", "-q"];
        folder.run(&[&usual[..], &whole].concat()).success();
        let files = ["-o", "out.png", "--steps", "5", "--trace", "t.jsonl"];
        let (child, stderr) = folder.started_as(&[&usual[..], &files].concat(), "the first step took");
        let (code, said) = end(child, stderr, &["INT"]);
        assert_eq!(code, Some(130), "{said}");
        assert!(said.contains(" of 10 steps"), "{said}");
        let path = "out.png.impasto";
        let after = Checkpoint::from_bytes(&folder.read(path), path).unwrap().step();
        assert!((1..5).contains(&after), "{after}");
        // The painting's size, whatever size is painted.
        assert_eq!((folder.decoded("out.png").width(), folder.decoded("out.png").height()), (64, 48));
        let again = ["--resume", path, "--checkpoint", "c", "--checkpoint-every", "1"];
        let (mut child, _stderr) =
            folder.started_as(&[&usual[..], &files, &again].concat(), "the first step took");
        let begin = Instant::now();
        let kept = loop {
            let kept =
                fs::read(folder.path("c")).ok().map(|bytes| Checkpoint::from_bytes(&bytes, "c").unwrap());
            match kept.filter(|kept| kept.step() > 5) {
                Some(kept) => break kept,
                None => assert!(begin.elapsed() < TIME_LIMIT),
            }
            sleep(Duration::from_millis(1));
        };
        child.0.kill().unwrap();
        child.0.wait().unwrap();
        assert!(kept.step() < 10, "{}", kept.step());
        folder.run(&[&usual[..], &files, &["--resume", "c", "-q"]].concat()).success();
        assert_eq!(folder.read("out.png"), folder.read("whole.png"));
        let costs = |name| {
            let entries = folder.json_lines(name).into_iter();
            entries
                .map(|mut entry| entry.as_object_mut().unwrap().remove("seconds").map(|_| entry))
                .collect::<Vec<_>>()
        };
        // The costs of a step that the signal interrupted came back to nobody, though the step counts.
        let (told, whole) = (costs("t.jsonl"), costs("whole.jsonl"));
        assert!(told.len() + 1 >= whole.len() && told.iter().all(|entry| whole.contains(entry)), "{told:?}");
        // Sizes are those of the checkpoint.
        for (arguments, option, message) in [
            (
                with(["--coarsest", "64"], weights),
                &[][..],
                "--coarsest: the checkpoint was made with 40, and this is 64; give 40",
            ),
            (
                with(coarsest, ["--style-weights", "1,2"]),
                &[][..],
                "--style-weights: not the same as when the checkpoint",
            ),
            (
                usual.clone(),
                &["--stroke", "0.5"][..],
                "--stroke: the checkpoint was made with 1, and this is 0.5; give 1",
            ),
        ] {
            let arguments = [&arguments[..], &["-o", "new.png", "--resume", "c"], option].concat();
            folder.run(&arguments).code(2).stderr(contains(message));
        }
    }

    #[test]
    fn a_full_disk_sends_the_picture_elsewhere() {
        let folder = TestFolder::new();
        let whole = uninterrupted(&folder);
        // Whatever is written to this device finds no room.
        symlink("/dev/full", folder.path("out.png")).unwrap();
        let assert = folder.paint(&["-o", "out.png", "--steps", "9", "-q"]).code(1);
        let said = &assert.get_output().stderr;
        assert!(
            String::from_utf8_lossy(said).contains("error: out.png: cannot be written: the disk is full")
        );
        assert_eq!(rescued(said), whole);
        // What is beside the picture does not stop it.
        for option in ["--trace", "--checkpoint"] {
            symlink("/dev/full", folder.path("full")).unwrap();
            let assert = folder.paint(&["-o", "good.png", "--steps", "9", option, "full"]).code(1);
            assert.stderr(contains("warning: full: ").and(contains("error: full: ")));
            assert_eq!(folder.read("good.png"), whole, "{option}");
            fs::remove_file(folder.path("full")).unwrap();
        }
    }

    #[test]
    fn a_folder_that_goes_while_running_sends_the_picture_elsewhere() {
        let folder = TestFolder::new();
        let whole = uninterrupted(&folder);
        fs::create_dir(folder.path("folder")).unwrap();
        let arguments =
            ["-o", "folder/out.png", "--steps", "9", "--save-every", "4", "--checkpoint", "folder/c"];
        let (child, stderr) = folder.started(&arguments, "step 0/9");
        fs::remove_dir_all(folder.path("folder")).unwrap();
        let (code, said) = end(child, stderr, &["0"]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("warning: folder/out-00004.png: there is no folder folder"), "{said}");
        assert!(said.contains("error: folder/out.png: there is no folder folder"), "{said}");
        assert_eq!(rescued(said.as_bytes()), whole);
    }

    /// Both what is kept and the picture have lost their place: both are saved elsewhere, and the message names both places.
    #[test]
    fn an_interrupted_run_without_its_folder_loses_nothing() {
        let folder = TestFolder::new();
        fs::create_dir(folder.path("folder")).unwrap();
        let arguments = [&["-o", "folder/out.png"][..], &ENDLESS].concat();
        let (child, stderr) = folder.started(&arguments, "step 20/");
        fs::remove_dir_all(folder.path("folder")).unwrap();
        let (code, said) = end(child, stderr, &["INT"]);
        assert_eq!(code, Some(1), "{said}");
        for file in ["folder/out.png.impasto", "folder/out.png"] {
            assert!(said.contains(&format!("{file}: there is no folder folder; ")), "{said}");
        }
        let (_, after) = said.split_once("the checkpoint was written to another place instead:\n").unwrap();
        let kept = after.lines().next().unwrap();
        let step = Checkpoint::from_bytes(&fs::read(kept).unwrap(), kept).unwrap().step().to_string();
        folder.paint(&["-o", "same.png", "--steps", &step, "--resume", kept, "-q"]).success();
        fs::remove_file(kept).unwrap();
        assert_eq!(rescued(said.as_bytes()), folder.read("same.png"));
        // The checkpoint has a place, and the picture none.
        fs::create_dir(folder.path("folder")).unwrap();
        let arguments = [&arguments[..], &["--checkpoint", "c"]].concat();
        let (child, stderr) = folder.started(&arguments, "step 20/");
        fs::remove_dir_all(folder.path("folder")).unwrap();
        let (code, said) = end(child, stderr, &["TERM"]);
        assert_eq!(code, Some(1), "{said}");
        assert!(
            said.contains("; --resume c goes on from there\nfolder/out.png: there is no folder folder; "),
            "{said}"
        );
        let step = Checkpoint::from_bytes(&folder.read("c"), "c").unwrap().step().to_string();
        folder.paint(&["-o", "same.png", "--steps", &step, "--resume", "c", "-q"]).success();
        assert_eq!(rescued(said.as_bytes()), folder.read("same.png"));
    }

    /// Paints while the folder `small` is a file system of its own, mounted with `options`, which the shell looks at
    /// as `after` says before it is gone. `None` where the system does not let this user mount one.
    #[cfg(target_os = "linux")]
    fn mounted(folder: &TestFolder, options: &str, arguments: &[&str], after: &str) -> Option<Assert> {
        let alone = |script: &str| {
            let mut command = Command::new("unshare");
            command.current_dir(folder.root.path()).env("IMPASTO_CACHE", folder.cache.path());
            command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]);
            command
        };
        if !alone("mount -t tmpfs none small").output().is_ok_and(|output| output.status.success()) {
            println!("this user may not mount a file system: none was full or read-only");
            return None;
        }
        let script = format!(
            "mount -t tmpfs -o {options} none small || exit 99; \"$@\"; code=$?; {after}; exit $code"
        );
        let mut command = alone(&script);
        command.args([env!("CARGO_BIN_EXE_impasto"), "content.png", "style.jpg"]);
        Some(command.args(SHALLOW).args(arguments).assert())
    }

    /// A file system that is full, or read-only, and not only a device that says so.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_system_without_room_leaves_what_was_there() {
        let folder = TestFolder::new();
        folder.picture("content.png", 64, 48, 1);
        let whole = uninterrupted(&folder);
        assert!(whole.len() > 4096, "a page is too small for the picture");
        fs::create_dir(folder.path("small")).unwrap();
        let arguments = ["-o", "small/out.png", "--steps", "9"];
        let Some(assert) = mounted(&folder, "size=4k", &arguments, "ls -A small > left") else { return };
        let full = "error: small/out.png: cannot be written: the disk is full";
        let assert = assert.code(1).stderr(contains(full).and(contains("step 9/9")));
        assert_eq!(rescued(&assert.get_output().stderr), whole);
        assert_eq!(folder.read("left"), b"", "nothing of a file that is not whole");
        // What can be seen at the start is an error then.
        for (options, said) in [
            ("nr_inodes=1", full),
            ("ro", "error: small/out.png: cannot be written: the file system is read-only"),
        ] {
            let assert = mounted(&folder, options, &arguments, "true").unwrap();
            assert.code(1).stderr(starts_with(said).and(contains("step").not()));
        }
        // There is room for one checkpoint, and none for the next beside it.
        let arguments =
            ["-o", "out.png", "--steps", "3", "--checkpoint", "small/c", "--checkpoint-every", "1"];
        let assert = mounted(&folder, "size=160k", &arguments, "cp small/c c; ls -A small > left").unwrap();
        let warning = contains("warning: small/c: cannot be written: the disk is full");
        assert.code(1).stderr(warning.and(contains("error: small/c: ")));
        assert_eq!(folder.read("left"), b"c\n");
        assert_eq!(Checkpoint::from_bytes(&folder.read("c"), "c").unwrap().step(), 1);
        folder.paint(&["-o", "again.png", "--steps", "9", "--resume", "c", "-q"]).success();
        assert_eq!(folder.read("again.png"), whole);
    }
}
