//! The built command, on tiny pictures: what it says, what it writes, and with which code it exits.
#![cfg(all(feature = "cli", feature = "embedded-weights"))]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;

mod common;

use common::test_folder::{SHALLOW, TestFolder};
use impasto::picture::{Picture, PictureFormat};
use predicates::prelude::*;
use predicates::str::{contains, is_empty, starts_with};
use serde_json::Value;

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn sorted<const N: usize>(mut keys: [&str; N]) -> Vec<&str> {
    keys.sort_unstable();
    keys.to_vec()
}

#[test]
fn a_run_writes_the_painting_the_trace_and_the_pictures_on_the_way() {
    let folder = TestFolder::new();
    let arguments = ["-o", "out.png", "--steps", "5", "--save-every", "2", "--trace", "trace.jsonl"];
    let assert = folder.paint(&arguments).success().stdout(is_empty());
    // A pipe: plain lines, the time that it will take after the first step, the picture at the end.
    assert.stderr(
        contains("the first step took").and(contains("out.png: 32x24, 5 steps, ")).and(contains('\r').not()),
    );
    let expected = ["content.png", "out-00002.png", "out-00004.png", "out.png", "style.jpg", "trace.jsonl"];
    assert_eq!(folder.files(), expected);
    for name in ["out-00002.png", "out-00004.png", "out.png"] {
        assert_eq!((folder.decoded(name).width(), folder.decoded(name).height()), (32, 24));
    }
    assert_ne!(folder.decoded("out-00004.png"), folder.decoded("out.png"));

    let entries = folder.json_lines("trace.jsonl");
    assert_eq!(entries.len(), 6);
    for (step, entry) in entries.iter().enumerate() {
        assert_eq!(keys(entry), sorted(["step", "total", "content", "style", "terms", "seconds"]));
        assert_eq!(entry["step"], step);
        let [total, content, style, seconds] =
            ["total", "content", "style", "seconds"].map(|key| entry[key].as_f64().unwrap());
        assert!((total - (10.0 * content + 40.0 * style)).abs() <= 1e-5 * total, "{entry}");
        assert_eq!(keys(&entry["terms"]), ["content.conv1_2", "style.conv1_1", "style.conv2_1"], "{entry}");
        let terms = entry["terms"].as_object().unwrap();
        let sum = |group: &str| {
            let terms = terms.iter().filter(|(name, _)| name.starts_with(group));
            terms.map(|(_, cost)| cost.as_f64().unwrap()).sum::<f64>()
        };
        assert_eq!(sum("content."), content, "{entry}");
        // Each of the two style layers counts for a half.
        assert!((0.5 * sum("style.") - style).abs() <= 1e-5 * style, "{entry}");
        assert_eq!(seconds == 0.0, step == 0, "{entry}");
    }
    assert!(entries[5]["total"].as_f64().unwrap() < entries[0]["total"].as_f64().unwrap());
    let text = fs::read_to_string(folder.path("trace.jsonl")).unwrap();
    let first = text.lines().next().unwrap();
    assert!(first.starts_with("{\"step\":0,\"total\":") && first.ends_with(",\"seconds\":0.0}"), "{first}");
}

#[test]
fn a_long_run_on_a_pipe_reports_every_twentieth_step() {
    let folder = TestFolder::new();
    let layers = ["--content-layer", "conv1_1", "--style-layers", "conv1_1"];
    let arguments = ["content.png", "style.jpg", "-o", "out.png", "--steps", "41", "--preset", "course"];
    let assert = folder.command(&arguments).args(layers).assert().success();
    let stderr = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
    let steps: Vec<&str> = stderr
        .lines()
        .filter_map(|line| line.strip_prefix("step ")?.split_once(':'))
        .map(|(step, _)| step)
        .collect();
    assert_eq!(steps, ["0/41", "20/41", "40/41", "41/41"], "{stderr}");
    assert!(stderr.contains(" per step, ") && stderr.contains(" left\n"), "{stderr}");
}

#[test]
fn quiet_is_quiet_and_the_same_seed_gives_the_same_file() {
    let folder = TestFolder::new();
    for (name, seed) in [("a.png", "7"), ("b.png", "7"), ("c.png", "8")] {
        let arguments = ["-o", name, "--steps", "3", "--seed", seed, "--quiet"];
        folder.paint(&arguments).success().stdout(is_empty()).stderr(is_empty());
    }
    assert_eq!(folder.read("a.png"), folder.read("b.png"));
    assert_ne!(folder.read("a.png"), folder.read("c.png"));
}

#[test]
fn no_step_at_all_gives_the_start_its_costs_and_its_plan() {
    let folder = TestFolder::new();
    let arguments =
        ["-o", "out.png", "--steps", "0", "--init", "content", "--trace", "t", "--plan", "p", "-q"];
    folder.paint(&arguments).success();
    assert_eq!(folder.decoded("out.png"), folder.decoded("content.png"));
    let entries = folder.json_lines("t");
    assert_eq!(entries.len(), 1);
    assert_eq!((&entries[0]["step"], &entries[0]["content"]), (&0.into(), &0.0.into()));
    assert!(entries[0]["style"].as_f64().unwrap() > 0.0);
    assert_eq!(folder.json_lines("p").len(), 1);
}

#[test]
fn a_start_from_a_file_is_stretched_and_noise_can_be_mixed_in() {
    let folder = TestFolder::new();
    folder.picture("start.png", 16, 50, 3);
    let start = ["--steps", "0", "--init", "start.png", "-q"];
    folder.paint(&["-o", "start-as-it-is.png"].iter().chain(&start).copied().collect::<Vec<_>>()).success();
    assert_eq!(folder.decoded("start-as-it-is.png"), folder.decoded("start.png").resized(32, 24));
    let noisy = ["-o", "noisy.png", "--noise-ratio", "0.3"];
    folder.paint(&noisy.iter().chain(&start).copied().collect::<Vec<_>>()).success();
    assert_ne!(folder.decoded("noisy.png"), folder.decoded("start-as-it-is.png"));
}

// ---- the usual preset ----

/// Nothing is measured, and the sizes are 45x34 and 64x48.
const TWO_SIZES: [&str; 6] = ["--size", "64", "--coarsest", "40", "--algorithm", "winograd"];

/// A folder with pictures as users have them: larger than the painting.
fn larger_pictures() -> TestFolder {
    let folder = TestFolder::new();
    folder.picture("content.png", 120, 90, 1);
    folder.picture("style.png", 100, 80, 2);
    folder
}

impl TestFolder {
    /// Paints out.png with so many steps at each of two sizes, and returns the costs before them.
    fn first_costs(&self, steps: &str, styles: &[&str], arguments: &[&str]) -> Value {
        let usual = ["-o", "out.png", "--steps", steps, "--trace", "t", "-q", "--style-layers", FEW_LAYERS];
        self.run(&[&["content.png"], styles, &usual, &TWO_SIZES, arguments].concat()).success();
        self.json_lines("t").swap_remove(0)
    }
}

/// The cost of a term.
fn term(entry: &Value, name: &str) -> f64 {
    entry["terms"][name].as_f64().unwrap_or_else(|| panic!("{name}: {entry}"))
}

/// Layers of few channels, whose distances are found quickly.
const FEW_LAYERS: &str = "conv1_1=0.5,conv2_1=0.5";
const STYLE_LAYERS: [&str; 5] = ["conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"];
const MATCH_LAYERS: [&str; 2] = ["conv3_1", "conv4_1"];

/// The style and match cost of an entry are those of styles with these shares, whose layers count alike.
fn assert_sums(entry: &Value, style_layers: &[&str], shares: &[(&str, f64)]) {
    let sum = |group: &str, layers: &[&str]| {
        let of_style = |(number, share): &(&str, f64)| {
            let costs = layers.iter().map(|layer| term(entry, &format!("{group}{number}.{layer}")));
            share * costs.sum::<f64>() / layers.len() as f64
        };
        shares.iter().map(of_style).sum::<f64>()
    };
    for (group, layers) in [("style", style_layers), ("match", &MATCH_LAYERS)] {
        let (sum, cost) = (sum(group, layers), entry[group].as_f64().unwrap());
        assert!((sum - cost).abs() <= 1e-5 * cost, "{group}: {sum} {entry}");
    }
}

#[test]
fn without_options_a_run_paints_coarse_to_fine() {
    let folder = larger_pictures();
    let arguments = ["content.png", "style.png", "-o", "out.png", "--size", "96", "--steps", "2"];
    let assert = folder.run(&arguments).success().stdout(is_empty());
    assert.stderr(contains("measuring").and(contains("step 2/2")).and(contains("out.png: 96x72, 2 steps, ")));
    assert_eq!((folder.decoded("out.png").width(), folder.decoded("out.png").height()), (96, 72));

    let arguments = ["content.png", "style.png", "-o", "out.png", "--steps", "3", "--save-every", "3"];
    let assert = folder.run(&[&arguments[..], &TWO_SIZES, &["--trace", "t"]].concat()).success();
    let said = contains("the other 3 steps will take about").and(contains("step 0/6: total "));
    assert.stderr(said.and(contains(", match ")).and(contains("out.png: 64x48, 6 steps, ")));
    // Pictures on the way have the painting's size from the first step on.
    for name in ["out.png", "out-00003.png"] {
        assert_eq!((folder.decoded(name).width(), folder.decoded(name).height()), (64, 48), "{name}");
    }
    assert_ne!(folder.decoded("out.png"), folder.decoded("out-00003.png"));
    let entries = folder.json_lines("t");
    assert_eq!(entries.len(), 7);
    for (step, entry) in entries.iter().enumerate() {
        assert_eq!(keys(entry), sorted(["step", "total", "content", "style", "match", "terms", "seconds"]));
        assert_eq!(entry["step"], step);
        let groups = [("style", &STYLE_LAYERS[..]), ("match", &MATCH_LAYERS)];
        let name = |(group, layers): (&str, &'static [&str])| {
            layers.iter().map(|layer| format!("{group}.{layer}")).collect::<Vec<_>>()
        };
        let mut names: Vec<String> = groups.into_iter().flat_map(name).collect();
        names.push("content.conv4_2".into());
        names.sort();
        assert_eq!(keys(&entry["terms"]), names);
        let [total, content, style, matching] =
            ["total", "content", "style", "match"].map(|key| entry[key].as_f64().unwrap());
        let sum = 0.05 * content + 0.5 * style + 0.5 * matching;
        assert!((total - sum).abs() <= 1e-5 * total, "{entry}");
        assert_sums(entry, &STYLE_LAYERS, &[("", 1.0)]);
    }
    let cost = |step: usize, name: &str| entries[step][name].as_f64().unwrap();
    assert_eq!(cost(0, "content"), 0.0, "it starts from the content");
    for (first, last) in [(0, 2), (3, 6)] {
        assert!(cost(last, "total") < cost(first, "total"), "steps {first} to {last}");
    }
    // Its plan is that of the last size.
    let assert = folder.run(&[&["explain", "content.png", "style.png"], &TWO_SIZES[..]].concat()).success();
    assert.stdout(contains("64x48"));
}

// ---- options from a file ----

/// The values that a run has, whatever they come from, are those that it has when it reads them; no picture and no adapter
/// is needed to see them.
#[test]
fn options_are_shown_as_they_are_read() {
    let folder = TestFolder::new();
    let shown = |arguments: &[&str]| {
        let assert =
            folder.run(&[&["--show-options", "--device", "none such"], arguments].concat()).success();
        let assert = assert.stderr(is_empty());
        String::from_utf8(assert.get_output().stdout.clone()).unwrap()
    };
    let odd = [
        "--style-layers",
        "conv1_1=0.3,conv2_1",
        "--size",
        "70x50",
        "--style-weights",
        "2,1",
        "--low-memory",
    ];
    for arguments in [&[][..], &["--preset", "course"], &["--preset", "course", "--strength", "0.3"], &odd] {
        let first = shown(arguments);
        fs::write(folder.path("mine.toml"), &first).unwrap();
        assert_eq!(shown(&["--options", "mine.toml"]), first, "{arguments:?}");
    }
    let first = shown(&["--preset", "course"]);
    assert!(first.starts_with("# ") && first.contains("\npreset = \"course\"\nalpha = 10.0\n"), "{first}");
    // As a run would have them, also where it is only explained, and a flag comes first.
    fs::write(folder.path("mine.toml"), "preset = \"course\"\nsteps = 7\nalpha = 3").unwrap();
    let mine = ["--options", "mine.toml", "--alpha", "4"];
    let explained = folder.run(&[&["explain", "--show-options"], &mine[..]].concat()).success();
    explained.stdout(contains("steps = 7\n").and(contains("alpha = 4.0\n")).and(contains("beta = 40.0\n")));
    // Wrong values are no values.
    folder.run(&["--show-options", "--alpha", "-1"]).code(2).stderr(contains("--alpha: -1 is not a weight"));
}

#[test]
fn a_file_of_options_paints_what_its_flags_paint() {
    let folder = TestFolder::new();
    folder.paint(&["-o", "flags.png", "--steps", "3", "--seed", "7", "--learning-rate", "4", "-q"]).success();
    let layers =
        "style_layers = [{ name = \"conv1_1\", weight = 0.5 }, { name = \"conv2_1\", weight = 0.5 }]";
    let file = format!(
        "preset = \"course\" # as SHALLOW\nseed = 7\nlearning_rate = 4\nsteps = 30\n{layers}\n\
         content_layers = [{{ name = \"conv1_2\", weight = 1 }}]\n"
    );
    fs::write(folder.path("mine.toml"), file).unwrap();
    let arguments =
        ["content.png", "style.jpg", "-o", "file.png", "--options", "mine.toml", "--steps", "3", "-q"];
    folder.run(&arguments).success();
    assert_eq!(folder.read("file.png"), folder.read("flags.png"));
}

#[test]
fn a_wrong_file_of_options_is_named_with_its_line() {
    let folder = TestFolder::new();
    let before = folder.files();
    for (text, message) in [
        (
            "steps = 3\nstrenght = 0.4",
            "mine.toml: line 2: there is no option \"strenght\"; did you mean strength?",
        ),
        ("alpha = \"high\"", "mine.toml: line 1: alpha: invalid type: string \"high\""),
        (
            "\nstrength = 1.5",
            "mine.toml: line 2: strength: 1.5 is out of range; give a number above 0, up to 1",
        ),
        ("style_layers = []", "mine.toml: line 1: style_layers: no layer is named"),
        ("steps =", "mine.toml: line 1: "),
    ] {
        fs::write(folder.path("mine.toml"), text).unwrap();
        for what in [&["--show-options"][..], &["content.png", "style.jpg", "-o", "out.png"]] {
            let assert =
                folder.run(&[what, &["--options", "mine.toml", "--device", "none such"]].concat()).code(1);
            assert.stdout(is_empty()).stderr(starts_with("error: ").and(contains(message)));
        }
    }
    fs::write(folder.path("mine.toml"), [0xff, 0xfe]).unwrap();
    folder
        .run(&["--show-options", "--options", "mine.toml"])
        .code(1)
        .stderr(contains("line 1: this is no UTF-8"));
    fs::remove_file(folder.path("mine.toml")).unwrap();
    let missing = folder.run(&["--show-options", "--options", "mine.toml"]).code(1);
    missing
        .stderr(contains("mine.toml: there is no such file or folder; check the path given with --options"));
    assert_eq!(folder.files(), before);
    // It is an input, and not written over.
    fs::write(folder.path("mine.toml"), "steps = 1").unwrap();
    folder.refuses(1, &["-o", "out.png", "--options", "mine.toml", "--trace", "mine.toml"], "--options");
    assert_eq!(folder.read("mine.toml"), b"steps = 1");
}

// ---- what is compared ----

/// The content cost is the sum of its layers', and what is matched does not follow the layers of the content.
#[test]
fn the_content_may_be_compared_in_several_layers() {
    let folder = larger_pictures();
    let start = ["--init", "style.png"];
    let of = |layers: &[&str]| folder.first_costs("0", &["style.png"], &[&start, layers].concat());
    let usual = of(&[]);
    let both = of(&["--content-layers", "conv4_2=0.5,conv2_2=2"]);
    let [deep, shallow] = ["content.conv4_2", "content.conv2_2"].map(|name| term(&both, name));
    assert_eq!(deep, term(&usual, "content.conv4_2"));
    let content = both["content"].as_f64().unwrap();
    assert!(shallow > 0.0 && (content - 0.5 * deep - 2.0 * shallow).abs() <= 1e-5 * content, "{both}");
    // Layers above and below those that are matched.
    for layer in ["conv1_2", "conv5_1"] {
        let other = of(&["--content-layer", layer]);
        assert_eq!(other["content"].as_f64().unwrap(), term(&other, &format!("content.{layer}")));
        assert_eq!(other["match"], usual["match"], "{layer}");
    }
    for (layers, message) in [
        ("conv4_2=-1", "--content-layers: -1 is not a weight for conv4_2"),
        ("conv4_2,conv4_2", "--content-layers: conv4_2 is named twice"),
        (
            "conv4_2=x",
            "--content-layers: the weight in \"conv4_2=x\" is not right: \"x\" is not a number; write layers with their",
        ),
    ] {
        folder
            .run(&["content.png", "style.png", "-o", "out.png", "--content-layers", layers])
            .code(2)
            .stderr(contains(message));
    }
}

/// Each of them falls within a few steps at each of two sizes, and the ratios are of one order.
#[test]
fn every_statistic_of_a_style_can_be_compared() {
    let folder = larger_pictures();
    let ratios = ["covariance", "mean-variance", "wasserstein", "w2"].map(|statistic| {
        let first = folder.first_costs("6", &["style.png"], &["--style-statistic", statistic]);
        let entries = folder.json_lines("t");
        let style = |step: usize| entries[step]["style"].as_f64().unwrap();
        assert!(style(5) < style(0) && style(12) < style(6), "{statistic}: {entries:?}");
        assert!((0.01..100.0).contains(&style(0)), "{statistic}: {first}");
        first
    });
    assert_eq!(ratios[2]["terms"], ratios[3]["terms"]);
    assert!(ratios[0]["terms"] != ratios[1]["terms"] && ratios[1]["terms"] != ratios[2]["terms"]);
    folder
        .run(&["content.png", "style.png", "-o", "out.png", "--style-statistic", "mean"])
        .code(2)
        .stderr(contains("gram, covariance, mean-variance, wasserstein").and(contains("w2").not()));
}

#[test]
fn strength_weighs_the_content() {
    let folder = larger_pictures();
    for (strength, weight) in [("0.2", 0.8), ("1", 0.0)] {
        let start = ["--init", "style.png", "--strength", strength];
        let entry = folder.first_costs("0", &["style.png"], &start);
        let [total, content, style, matching] =
            ["total", "content", "style", "match"].map(|key| entry[key].as_f64().unwrap());
        let sum = weight * content + 0.5 * style + 0.5 * matching;
        assert!(content > 0.0 && (total - sum).abs() <= 1e-5 * total, "{entry}");
    }
}

/// Strokes are those of a smaller picture of the style.
#[test]
fn a_stroke_is_the_size_of_the_style() {
    let folder = larger_pictures();
    let of = |stroke| folder.first_costs("0", &["style.png"], &["--stroke", stroke]);
    let usual = folder.first_costs("0", &["style.png"], &[]);
    assert_eq!(usual, of("1"));
    assert_ne!(usual["style"], of("0.5")["style"]);
}

#[test]
fn several_styles_are_blended_by_their_weights() {
    let folder = larger_pictures();
    fs::create_dir(folder.path("styles")).unwrap();
    folder.picture("styles/a.png", 100, 80, 2);
    folder.picture("styles/b.jpg", 70, 90, 5);
    fs::write(folder.path("styles/notes.txt"), "no picture").unwrap();
    fs::create_dir(folder.path("styles/c.png")).unwrap();
    let both = ["styles/a.png", "styles/b.jpg"];
    let alike = folder.first_costs("1", &both, &[]);
    assert_sums(&alike, &STYLE_LAYERS[..2], &[("", 0.5), ("2", 0.5)]);
    let painted = folder.read("out.png");
    // A folder stands for its pictures, by name.
    assert_eq!(folder.first_costs("1", &["styles"], &[]), alike);
    assert_eq!(folder.read("out.png"), painted);
    let weighed = folder.first_costs("1", &["styles"], &["--style-weights", "6,2"]);
    assert_sums(&weighed, &STYLE_LAYERS[..2], &[("", 0.75), ("2", 0.25)]);
    assert_eq!(weighed["terms"], alike["terms"]);
    assert_ne!(folder.read("out.png"), painted);
    // One of them counts for nothing: its costs are shown.
    let first = folder.first_costs("0", &both, &["--style-weights", "1,0"]);
    assert_sums(&first, &STYLE_LAYERS[..2], &[("", 1.0)]);
    assert_eq!(term(&first, "style2.conv1_1"), term(&alike, "style2.conv1_1"));
}

/// Formats are found by content, whatever the name, and what is left out is said, but for those who want no words.
#[test]
fn pictures_may_have_other_formats() {
    let folder = TestFolder::new();
    folder.picture("style.png", 40, 30, 1);
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pictures/");
    for (name, note) in [
        ("format-lossless-alpha.webp", None),
        ("format-16-bits-big-endian.tif", None),
        ("format-moving-frames.gif", Some("note: photo.png: it is animated: its first frame is read")),
        ("format-radiance-runs.hdr", None),
    ] {
        fs::copy(format!("{fixtures}{name}"), folder.path("photo.png")).unwrap();
        let run = ["photo.png", "style.png", "-o", "o.png", "--steps", "0", "--init", "content"];
        let output = folder.run(&[&run[..], &SHALLOW].concat()).success();
        let said = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
        assert_eq!(said.matches("note:").count(), note.iter().len(), "{name}: {said}");
        assert!(note.is_none_or(|note| said.contains(note)), "{name}: {said}");
        let expected = format!("{fixtures}{}.expected.png", name.split_once('.').unwrap().0);
        let expected = Picture::decode(&fs::read(expected).unwrap(), name).unwrap();
        let painted = folder.decoded("o.png");
        let worst = painted.rgb().iter().zip(expected.rgb()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst <= 3, "{name}: {worst} levels");
        let quiet = folder.run(&[&run[..], &["-q"], &SHALLOW].concat()).success();
        assert!(quiet.get_output().stderr.is_empty());
    }
}

/// Date, camera, place and resolution of the photograph, and what of it is transparent.
#[test]
fn what_the_photograph_says_is_kept() {
    use impasto::picture::Metadata;
    let folder = TestFolder::new();
    folder.picture("style.png", 40, 30, 1);
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pictures/");
    for name in ["told.jpg", "told.png"] {
        fs::copy(format!("{fixtures}{name}"), folder.path(name)).unwrap();
    }
    let run = |more: &[&str]| {
        let start = ["style.png", "--steps", "0", "--init", "content"];
        folder.run(&[&more[..1], &start, &more[1..], &SHALLOW].concat()).success()
    };
    run(&["told.jpg", "-o", "kept.jpg", "-q"]);
    let kept = Metadata::of(&folder.read("kept.jpg"));
    assert_eq!(kept, Metadata::of(&folder.read("told.jpg")));
    assert!(!kept.is_empty());
    run(&["told.jpg", "-o", "stripped.jpg", "--strip", "-q"]);
    assert!(Metadata::of(&folder.read("stripped.jpg")).is_empty());
    run(&["told.jpg", "-o", "small.jpg", "--strip", "--quality", "30", "-q"]);
    assert!(folder.read("small.jpg").len() < folder.read("stripped.jpg").len());

    let opacity = |name: &str| Picture::decode_opacity(&folder.read(name), name).unwrap();
    for out in ["kept.png", "kept.webp", "kept.tif"] {
        run(&["told.png", "-o", out, "-q"]);
        assert_eq!(opacity(out), opacity("told.png"), "{out}");
    }
    run(&["told.png", "-o", "white.png", "--transparency", "white", "-q"]);
    assert!(opacity("white.png").rgb().iter().all(|level| *level == 255));
    let said = |output: assert_cmd::assert::Assert| {
        String::from_utf8_lossy(&output.get_output().stderr).into_owned()
    };
    assert!(said(run(&["told.png", "-o", "o.jpg"])).contains("what is transparent becomes white"));
    assert!(!said(run(&["told.png", "-o", "o.jpg", "--transparency", "white"])).contains("transparent"));

    let keep = &["-o", "o.jpg", "--transparency", "keep"][..];
    folder.refuses(2, keep, "no JPEG is transparent; name o.jpg .png, .webp or .tif");
    folder.refuses(2, &["-o", "o.png", "--quality", "80"], "--quality: o.png keeps every pixel");
    folder.refuses(2, &["-o", "o.jpg", "--quality", "0"], "0 is not in 1..=100");
    folder.refuses(2, &["-o", "o.jpg", "--transparency", "black"], "keep, white");
}

#[test]
fn each_style_may_have_a_mask() {
    let folder = larger_pictures();
    folder.picture("other.png", 70, 90, 5);
    let half = |name: &str, left: bool| {
        let level = |x: usize| if (x < 8) == left { 255 } else { 0 };
        let rgb = (0..16 * 12).flat_map(|place| [level(place % 16); 3]).collect();
        let bytes = Picture::from_rgb(16, 12, rgb).unwrap().encode(PictureFormat::Png).unwrap();
        fs::write(folder.path(name), bytes).unwrap();
    };
    half("left.png", true);
    half("right.png", false);
    let both = ["style.png", "other.png"];
    let plain = folder.first_costs("0", &both, &[]);
    let second = folder.first_costs("0", &both, &["--style-mask", "2=right.png"]);
    assert_eq!(term(&second, "style.conv1_1"), term(&plain, "style.conv1_1"));
    assert_ne!(term(&second, "style2.conv1_1"), term(&plain, "style2.conv1_1"));
    // With and without its number, the first mask is that of the first style.
    let [numbered, first] = ["1=left.png", "left.png"]
        .map(|mask| folder.first_costs("0", &both, &["--style-mask", mask, "--style-mask", "2=right.png"]));
    assert_eq!(numbered, first);
    // A mask of the content is that of every style.
    let all = folder.first_costs("0", &both, &["--content-mask", "left.png"]);
    assert_ne!(term(&all, "style2.conv1_1"), term(&plain, "style2.conv1_1"));
    let [all, first_alone] = [&all, &first].map(|costs| term(costs, "style.conv1_1"));
    // The masks come by different ways, and a small distance is the difference of traces of roots that are ten times as large.
    assert!((all - first_alone).abs() < 1e-3 * first_alone, "{all} {first_alone}");
    assert_ne!(term(&first, "style.conv1_1"), term(&plain, "style.conv1_1"));
    // Where no style is painted, the photograph stays.
    folder.first_costs("1", &["style.png"], &["--style-mask", "left.png"]);
    let (painted, content) = (folder.decoded("out.png"), folder.decoded("content.png").resized(64, 48));
    let rows = painted.rgb().chunks(3 * 64).zip(content.rgb().chunks(3 * 64));
    let furthest = |columns: std::ops::Range<usize>| {
        let columns = 3 * columns.start..3 * columns.end;
        let levels = rows.clone().flat_map(|(a, b)| a[columns.clone()].iter().zip(&b[columns.clone()]));
        levels.map(|(a, b)| a.abs_diff(*b)).max().unwrap()
    };
    // The edge of the mask is as wide as its pixels.
    assert!(furthest(44..64) <= 1 && furthest(0..20) > 1, "{} {}", furthest(44..64), furthest(0..20));
}

#[test]
fn what_the_usual_preset_cannot_do_is_refused_with_what_to_do() {
    let folder = larger_pictures();
    folder.picture("mask.png", 9, 14, 7);
    fs::create_dir(folder.path("empty")).unwrap();
    let before = folder.files();
    let two = &["style.png", "style.jpg"][..];
    let one = &two[..1];
    for (code, styles, arguments, message) in [
        (2, one, &["--strength", "0"][..], "--strength: 0 is out of range; give a number above 0, up to 1"),
        (2, one, &["--strength", "2"], "--strength: 2 is out of range; give a number above 0, up to 1"),
        (2, one, &["--strength", "nan"], "--strength: NaN is out of range; give"),
        (2, one, &["--stroke", "0"], "--stroke: 0 is out of range; give a number from 0.1 to 10"),
        (2, one, &["--stroke", "-1"], "--stroke: -1 is out of range; give a number from 0.1 to 10"),
        (2, one, &["--coarsest", "3"], "--coarsest: 3 pixels are too few to begin with; give 16 or more"),
        (2, one, &["--coarsest", "few"], "--coarsest: \"few\" is no number of pixels; give 90, or none"),
        (2, one, &["--gamma", "-1"], "--gamma: -1 is not a weight; give a finite number, 0 or more"),
        (2, one, &["--fade", "1.5"], "--fade: 1.5 is out of range; give a number from 0 to 1"),
        (2, one, &["--averaging", "1"], "--averaging: 1 is out of range; give a number from 0 to below 1"),
        (2, one, &["--optimiser", "sgd"], "averaged-adam, l-bfgs"),
        (2, one, &["--history", "0"], "--history: 0 steps are out of range; give a number from 1 to 100"),
        (2, one, &["--history", "101"], "--history: 101 steps are out of range; give a number from 1 to 100"),
        (
            2,
            one,
            &["--optimiser", "l-bfgs", "--learning-rate", "2"],
            "--learning-rate: 2 times the step of L-BFGS leaves every valley; give a number below 2; 1 is the usual one",
        ),
        (2, one, &["--content-cost", "none"], "energy"),
        (2, one, &["--style-statistic", "mean"], "wasserstein"),
        (2, one, &["--pools", "min"], "max"),
        (2, one, &["--borders", "mirror"], "replicate"),
        (
            2,
            two,
            &["--style-weights", "1"],
            "\"1\" is not a weight for each of 2 styles; write numbers, 0 or more, like 2,1",
        ),
        (2, two, &["--style-weights", "0,0"], "write numbers, 0 or more, like 2,1"),
        (2, one, &["--style-weights", "-1"], "write numbers, 0 or more, like 2,1"),
        (
            2,
            two,
            &["--style-mask", "3=mask.png"],
            "--style-mask: there is no style 3 among 2; write 1=FILE for the first style",
        ),
        (2, two, &["--style-mask", "0=mask.png"], "--style-mask: there is no style 0 among 2; write 1=FILE"),
        (
            2,
            one,
            &["--style-mask", "mask.png", "--style-mask", "mask.png"],
            "style 1 has two masks; write 2=FILE for the second",
        ),
        (
            1,
            &["empty"],
            &[],
            "empty: there is no picture in this folder; name a folder with pictures, such as PNG or JPEG files, or files",
        ),
        (1, &["gone"], &[], "gone: there is no such file"),
        (1, two, &["--style-mask", "2=gone.png"], "check the path given with --style-mask"),
        (1, two, &["--content-mask", "gone.png"], "check the path given with --content-mask"),
    ] {
        let assert =
            folder.run(&[&["content.png"], styles, &["-o", "out.png"], arguments].concat()).code(code);
        assert.stdout(is_empty()).stderr(starts_with("error: ").and(contains(message)));
    }
    // What is read of a folder is not written, nor is a second style or its mask.
    fs::create_dir(folder.path("styles")).unwrap();
    folder.picture("styles/a.png", 20, 20, 3);
    for (styles, arguments) in [
        (&["styles"][..], &["-o", "styles/a.png"][..]),
        (&["style.jpg", "style.png"], &["-o", "style.png"]),
        (two, &["-o", "mask.png", "--style-mask", "2=mask.png"]),
    ] {
        let assert = folder.run(&[&["content.png"], styles, arguments].concat()).code(1);
        assert.stderr(contains("names the same file as"));
    }
    fs::remove_dir_all(folder.path("styles")).unwrap();
    assert_eq!(folder.files(), before);
}

/// As large as is asked for, with masks of the same size, also from a file of options.
#[test]
fn a_small_photograph_is_painted_larger_where_that_is_asked_for() {
    let folder = TestFolder::new();
    folder.picture("mask.png", 9, 14, 7);
    fs::write(folder.path("options.toml"), "enlarge = true\nsize = \"40x80\"\n").unwrap();
    for (name, arguments, size) in [
        ("own.png", &["--size", "64"][..], (32, 24)),
        ("large.png", &["--size", "64", "--enlarge", "--content-mask", "mask.png"], (64, 48)),
        ("file.png", &["--options", "options.toml"], (40, 30)),
        ("small.png", &["--size", "16", "--enlarge"], (16, 12)),
    ] {
        folder.paint(&[&["-o", name, "--steps", "1", "-q"], arguments].concat()).success();
        let picture = folder.decoded(name);
        assert_eq!((picture.width(), picture.height()), size, "{name}");
    }
}

/// The costs differ from those of a painting without a mask, and a mask that makes no sense is named.
#[test]
fn a_style_is_painted_where_the_mask_is_bright() {
    let folder = TestFolder::new();
    folder.picture("mask.png", 9, 14, 7);
    let run = ["--steps", "1", "--init", "content", "-q"];
    let paint = |more: &[&str]| folder.paint(&[&run, more].concat()).success();
    paint(&["-o", "everywhere.png", "--trace", "everywhere"]);
    paint(&["-o", "masked.png", "--trace", "masked", "--style-mask", "mask.png"]);
    let [everywhere, masked] = ["everywhere", "masked"].map(|trace| folder.json_lines(trace).swap_remove(0));
    assert_ne!(everywhere["style"], masked["style"]);
    assert_eq!(keys(&everywhere["terms"]), keys(&masked["terms"]));

    let black = Picture::from_rgb(4, 4, vec![0; 48]).unwrap().encode(PictureFormat::Png).unwrap();
    fs::write(folder.path("black.png"), black).unwrap();
    folder.refuses(2, &["-o", "o.png", "--style-mask", "black.png"], "--style-mask: it is black everywhere");
    folder.refuses(1, &["-o", "o.png", "--style-mask", "none.png"], "check the path given with --style-mask");
    folder.refuses(1, &["-o", "mask.png", "--style-mask", "mask.png"], "names the same file as");

    // For one style the mask of the content is that of the style.
    paint(&["-o", "content-masked.png", "--trace", "content-masked", "--content-mask", "mask.png"]);
    assert_eq!(folder.json_lines("content-masked").swap_remove(0), masked);
    assert_eq!(folder.read("content-masked.png"), folder.read("masked.png"));
    paint(&["-o", "both.png", "--trace", "both", "--style-mask", "mask.png", "--content-mask", "mask.png"]);
    assert_ne!(folder.json_lines("both").swap_remove(0)["style"], masked["style"]);
    folder.refuses(
        2,
        &["-o", "o.png", "--content-mask", "black.png"],
        "--content-mask: it is black everywhere",
    );
    folder.refuses(1, &["-o", "o.png", "--content-mask", "none.png"], "the path given with --content-mask");
    folder.refuses(1, &["-o", "mask.png", "--content-mask", "mask.png"], "names the same file as");

    // Opaque on the left, so that the right stays, over white.
    let rgba = |x, y| image::Rgba([(7 * x) as u8, (9 * y) as u8, 99, if x < 16 { 255 } else { 0 }]);
    image::RgbaImage::from_fn(32, 24, rgba).save(folder.path("cut-out.png")).unwrap();
    let cut =
        |name| ["cut-out.png", "style.jpg", "-o", name, "--steps", "2", "-q", "--content-mask", "alpha"];
    folder.run(&[&cut("cut.png")[..], &SHALLOW].concat()).success();
    let cut_out = folder.decoded("cut.png");
    let pixels = || cut_out.rgb().chunks(3).enumerate();
    assert!(pixels().filter(|(place, _)| place % 32 >= 17).all(|(_, pixel)| pixel == [255; 3]));
    assert!(pixels().filter(|(place, _)| place % 32 < 15).any(|(_, pixel)| pixel != [255; 3]));
    folder.refuses(2, &["-o", "o.png", "--content-mask", "alpha"], "content.png is opaque everywhere");
    // Through a pipe, which is read once for both.
    let piped = [&["-"], &cut("piped.png")[1..], &SHALLOW].concat();
    folder.command(&piped).write_stdin(folder.read("cut-out.png")).assert().success();
    assert_eq!(folder.read("piped.png"), folder.read("cut.png"));

    // Black counts as a tenth in a map of the strength, so the content weighs a hundred times as much.
    let from_noise = |more: &[&str]| {
        folder.paint(&[&["--steps", "0", "-q", "-o", "o.png", "--trace", "noise"], more].concat()).success();
        folder.json_lines("noise").swap_remove(0)
    };
    let [even, weak] = [&[][..], &["--strength-map", "black.png"]].map(from_noise);
    let factor = weak["content"].as_f64().unwrap() / even["content"].as_f64().unwrap();
    assert!((factor - 100.0).abs() < 0.01, "{factor}");
    assert_eq!(weak["style"], even["style"]);
    folder.refuses(1, &["-o", "o.png", "--strength-map", "none.png"], "the path given with --strength-map");
    folder.refuses(1, &["-o", "mask.png", "--strength-map", "mask.png"], "names the same file as");
}

#[test]
fn sizes_fit_and_the_ending_names_the_format() {
    let folder = TestFolder::new();
    folder.paint(&["-o", "out.JPG", "--steps", "0", "--size", "16", "-q"]).success();
    assert!(folder.read("out.JPG").starts_with(b"\xff\xd8"));
    assert_eq!((folder.decoded("out.JPG").width(), folder.decoded("out.JPG").height()), (16, 12));
    folder.paint(&["-o", "out.png", "--steps", "0", "--size", "100x6", "-q"]).success();
    assert_eq!((folder.decoded("out.png").width(), folder.decoded("out.png").height()), (8, 6));
}

#[test]
fn costs_with_weight_zero_are_in_the_trace() {
    let folder = TestFolder::new();
    folder.paint(&["-o", "o.png", "--steps", "1", "--alpha", "0", "--trace", "t", "-q"]).success();
    folder.paint(&["-o", "o.png", "--steps", "1", "--beta", "0", "--trace", "u", "-q"]).success();
    for entry in folder.json_lines("t").iter().chain(&folder.json_lines("u")) {
        assert!(
            entry["content"].as_f64().unwrap() > 0.0 && entry["style"].as_f64().unwrap() > 0.0,
            "{entry}"
        );
    }
}

#[test]
fn the_plan_of_explain_is_that_of_a_run() {
    let folder = TestFolder::new();
    // The first run measures, the second and `explain` remember.
    for _ in 0..2 {
        folder.paint(&["-o", "out.png", "--steps", "0", "--plan", "run.json", "-q"]).success();
    }
    let explain = ["explain", "content.png", "style.jpg", "--plan", "explain.json", "-o", "none/out.png"];
    let assert = folder.command(&explain).args(SHALLOW).assert().success().stderr(is_empty());
    assert.stdout(contains("conv_relu").and(contains("GFLOP per step")).and(contains("total")));
    assert_eq!(folder.read("run.json"), folder.read("explain.json"));
    // Winograd's operands may be stored in f16. Asked for, because what measuring prefers differs between machines.
    let half = ["--algorithm", "winograd", "--precision", "f16"];
    let half = folder.command(&explain[..3]).args(SHALLOW).args(half).assert().success();
    half.stdout(contains("winograd_input_half"));

    let plan: Value = serde_json::from_slice(&folder.read("run.json")).unwrap();
    assert_eq!(keys(&plan), sorted(["width", "height", "convolutions", "dispatches", "bytes"]));
    assert_eq!((&plan["width"], &plan["height"]), (&32.into(), &24.into()));
    let bytes = &plan["bytes"];
    let parts = ["activations", "gradients", "optimiser", "workspace", "weights"];
    assert_eq!(
        keys(bytes),
        sorted(["activations", "gradients", "optimiser", "workspace", "weights", "total"])
    );
    let sum: u64 = parts.map(|part| bytes[part].as_u64().unwrap()).iter().sum();
    assert_eq!(sum, bytes["total"].as_u64().unwrap());
    // Pixels, m and v.
    assert_eq!(bytes["optimiser"], 3 * 3 * 32 * 24 * 4);
    let dispatches = plan["dispatches"].as_array().unwrap();
    for (index, dispatch) in dispatches.iter().enumerate() {
        let expected = [
            "index",
            "kernel",
            "method",
            "op",
            "layer",
            "inputs",
            "output",
            "flops",
            "bytes",
            "buffer",
            "offset",
            "live",
            "workgroups",
        ];
        assert_eq!(keys(dispatch), sorted(expected));
        assert_eq!(dispatch["index"], index);
        let triple = |value: &Value| value.as_array().unwrap().len() == 3;
        assert!(dispatch["inputs"].as_array().unwrap().iter().all(triple), "{dispatch}");
        assert!(triple(&dispatch["output"]) && triple(&dispatch["workgroups"]), "{dispatch}");
        let [first, last] = [0, 1].map(|end| dispatch["live"][end].as_u64().unwrap() as usize);
        assert!(first <= index && index <= last && last < dispatches.len(), "{dispatch}");
    }
    assert_eq!(dispatches.last().unwrap()["buffer"], "pixels");
    assert!(dispatches[0]["buffer"].as_str().unwrap().starts_with("arena."));
}

#[test]
fn devices_are_listed_and_can_be_chosen() {
    let folder = TestFolder::new();
    let assert = folder.run(&["devices"]).success().stderr(is_empty());
    let list = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    let name = list.strip_prefix("0: ").unwrap().split_once(" (default)\n").unwrap().0;
    for part in ["kind", "backend", "driver", "largest buffer", "largest binding", "MiB", "features"] {
        assert!(list.contains(part), "{list}");
    }
    let half: String = name.chars().skip(1).take(5).collect();
    let backend = list.lines().find_map(|line| line.trim().strip_prefix("backend")).unwrap().trim();
    let kind = list.lines().find_map(|line| line.trim().strip_prefix("kind")).unwrap().trim();
    let kind = if kind.starts_with("software") { "CPU" } else { "gpu" };
    for device in ["0", name, &half.to_uppercase(), &backend.to_uppercase(), kind] {
        // A user who names an adapter knows what it is.
        let assert = folder.paint(&["-o", "out.png", "--steps", "0", "--device", device]).success();
        assert.stderr(contains("warning").not());
    }
    folder.refuses(1, &["-o", "new.png", "--device", "abacus"], "no adapter is called \"abacus\"");
    folder.refuses(1, &["-o", "new.png", "--device", "999"], "impasto devices");
}

#[test]
fn help_and_version_go_to_stdout() {
    let folder = TestFolder::new();
    let assert = folder.run(&["--version"]).success().stderr(is_empty());
    assert.stdout(
        starts_with(concat!("impasto ", env!("CARGO_PKG_VERSION"), "\n"))
            .and(contains("Karen Simonyan and Andrew Zisserman, Visual Geometry Group"))
            .and(contains("CC BY 4.0")),
    );
    let assert = folder.run(&["--help"]).success().stderr(is_empty());
    assert.stdout(contains("Examples:").and(contains("--save-every")).and(contains("explain")));
    folder.run(&["explain", "--help"]).success().stdout(contains("--plan"));
    let text = |arguments: &[&str]| folder.run(arguments).success().get_output().stdout.clone();
    assert_eq!(text(&["help"]), text(&["--help"]));
    assert_eq!(text(&["help", "explain", "texture"]), text(&["explain", "texture", "--help"]));
}

/// A script's own options may come first.
#[test]
fn of_an_option_that_is_repeated_the_last_counts() {
    let folder = TestFolder::new();
    let repeated =
        ["--size", "20", "--seed", "1", "--size", "16", "--seed=2", "-q", "-q", "--enlarge", "--enlarge"];
    folder.paint(&[&["-o", "out.png", "--steps", "0"], &repeated[..]].concat()).success();
    assert_eq!((folder.decoded("out.png").width(), folder.decoded("out.png").height()), (16, 12));
    folder.paint(&["-o", "x.png", "-o", "other.png", "--steps", "0", "-q"]).success();
    assert_eq!(folder.files(), ["content.png", "other.png", "out.png", "style.jpg"]);
    // Of masks there may be several.
    folder.refuses(
        2,
        &["-o", "o.png", "--style-mask", "style.jpg", "--style-mask", "style.jpg"],
        "two masks",
    );
}

// ---- what people type ----

/// Nothing is written, and the message has no list of how the command is used.
#[test]
fn what_is_typed_for_something_else_is_answered_by_what_is_here() {
    let folder = TestFolder::new();
    let o = "out.png";
    for (arguments, message) in [
        (&["-o", o, "--content-weight", "5"][..], "here: --alpha, whose number is another"),
        (&["-o", o, "--style-weight", "100"], "100 there is --preset johnson --beta 1"),
        (&["-o", o, "--iterations", "5"], "here: --steps N"),
        (&["-o", o, "-num_iterations", "5"], "here: --steps N"),
        (&["-o", o, "--lr", "1"], "here: --learning-rate R"),
        (&["-o", o, "--tv-weight", "1"], "here: --total-variation"),
        (&["-o", o, "--width", "64"], "here: --size WxH"),
        (&["-o", o, "--image-size", "64"], "here: --size N"),
        (&["-o", o, "--original-colors"], "here: --color keep"),
        (&["-o", o, "-original_colors", "1"], "here: --color keep"),
        (&["-o", o, "--gpu", "-1"], "here: --device takes"),
        (&["-o", o, "--save-iter", "50"], "here: --save-every N"),
        (&["-o", o, "--pooling", "l2"], "here: --pools takes max or mean"),
        (&["-o", o, "–steps", "5"], "write --steps"),
        (&["-o", o, "-steps", "5"], "write --steps"),
        (&["-o", "-x.png"], "write ./-x.png"),
        (&["-o", o, "--trace", "-x.jsonl"], "write ./-x.jsonl"),
        (&["-o", o, "--quack"], "there is no option --quack; `impasto --help` lists all"),
        (&["-o", o, "conv2_1"], "conv2_1: this is a layer and no file; layers are joined by commas"),
        (&["-o", o, "--style-weights", "2", "1"], "1: this is a number and no file"),
        (&["-o", o, "content.png,style.jpg"], "several pictures are separated by spaces"),
        (&["new.png"], "new.png: the painting's name goes after -o; write -o new.png"),
        (&[], "--output: there is none; say with -o where"),
    ] {
        let assert = folder.command(&["content.png", "style.jpg"]).args(arguments).assert().code(2);
        let said = starts_with("error: ").and(contains(message)).and(contains("Usage:").not());
        assert.stdout(is_empty()).stderr(said.and(contains("tip:").not()));
    }
    let reconstruct = ["reconstruct", "content.png", "new.png", "--content", "conv1_1"];
    folder.run(&reconstruct).code(2).stderr(contains("goes after -o"));
    for (content, message) in [
        (
            ".",
            "this is a folder; CONTENT is one photograph; name one, or paint each by a run of its own: for photo in ./*",
        ),
        ("*t*", "files fit this pattern; CONTENT is one photograph"),
        ("*.gif", "no file fits this pattern"),
    ] {
        let assert = folder.run(&[content, "style.jpg", "-o", o]).code(1).stdout(is_empty());
        assert.stderr(starts_with(format!("error: {content}: ")).and(contains(message)));
    }
    assert_eq!(folder.files(), ["content.png", "style.jpg"]);
}

/// Names that mean exactly what one here means, and patterns that a shell left to the program.
#[test]
fn what_means_the_same_is_taken() {
    let folder = TestFolder::new();
    folder.paint(&["-o", "own.png", "--steps", "1", "--size", "20", "--pools", "mean", "-q"]).success();
    let theirs = [
        "c*.png",
        "*.jpg",
        "-output_image",
        "theirs.png",
        "--max_size=20",
        "--pooling",
        "avg",
        "--learning_rate",
        "2",
    ];
    folder
        .command(&theirs)
        .args(SHALLOW)
        .args(["--steps", "1", "-q", "-optimizer", "adam"])
        .assert()
        .success();
    assert_eq!(folder.read("own.png"), folder.read("theirs.png"));
    let shown =
        folder.run(&["--show-options", "--optimizer", "lbfgs", "-lbfgs_num_correction", "7"]).success();
    shown.stdout(contains("optimiser = \"l-bfgs\"\n").and(contains("history = 7\n")));
}

/// One value by several names, from wherever they come.
#[test]
fn layers_have_the_names_of_other_programs() {
    let folder = TestFolder::new();
    let costs = |content: &str, style: &str, more: &[&str]| {
        let usual = ["content.png", "style.jpg", "-o", "out.png", "--preset", "course", "--trace", "t", "-q"];
        let layers = ["--content-layers", content, "--style-layers", style];
        folder.run(&[&usual[..], &layers, more].concat()).success();
        folder.json_lines("t").swap_remove(0)
    };
    let own = costs("conv1_2", "conv1_1=0.5,conv2_1=0.5", &["--steps", "0"]);
    assert_eq!(keys(&own["terms"]), ["content.conv1_2", "style.conv1_1", "style.conv2_1"]);
    for (content, style) in [
        ("relu1_2", "features.0,block2_conv1"),
        ("features.3", "r11,relu2-1"),
        ("BLOCK1_CONV2", "features[1],features.5"),
    ] {
        assert_eq!(costs(content, style, &["--steps", "0"]), own, "{content} {style}");
    }
    // A run goes on by any of them.
    costs("relu1_2", "conv1_1=0.5,conv2_1=0.5", &["--steps", "1", "--checkpoint", "c"]);
    costs("conv1_2", "relu1_1=0.5,features.6=0.5", &["--steps", "2", "--resume", "c"]);
    fs::write(folder.path("mine.toml"), "content_layers = [{ name = \"relu9_9\", weight = 1 }]").unwrap();
    let wrong = folder.run(&["--show-options", "--options", "mine.toml"]).code(1);
    wrong.stderr(contains("line 1: content_layers: VGG-19 has no layer \"relu9_9\"; did you mean"));
    folder.refuses(
        2,
        &["-o", "o.png", "--style-layers", "conv1_1,relu1_1"],
        "relu1_1 is named twice, first as conv1_1",
    );
    folder.refuses(2, &["-o", "o.png", "--style-layers", "features.4"], "VGG-19 has no layer \"features.4\"");
}

#[test]
fn places_are_named_by_what_is_wrong_with_them() {
    let folder = TestFolder::new();
    fs::create_dir(folder.path("out")).unwrap();
    for (arguments, message) in [
        (["-o", "out/"], "out/: this is a folder; name a file in it, such as out/painting.png"),
        (["-o", "out"], "out: this is a folder; name a file in it, such as out"),
        (["-o", "new/"], "new/: this is a folder"),
        (
            ["-o", "~/x.png"],
            "~/x.png: the shell did not replace ~, and no folder is called so; write it without quotes",
        ),
        (["-o", "$NO_SUCH/x.png"], "the shell did not replace what begins with $"),
        (["-o", "no~/x.png"], "there is no folder no~; make it or name another"),
    ] {
        folder.refuses(1, &arguments, message);
    }
    folder.refuses(1, &["-o", "o.png", "--trace", "out/"], "this is a folder");
    folder.refuses(1, &["-o", "o.png", "--init", "~/x.png"], "~/x.png: the shell did not replace ~");
    if cfg!(target_os = "linux") {
        folder.refuses(
            1,
            &["-o", "/proc/x.png"],
            "/proc/x.png: no file can be made in the folder /proc; name another",
        );
    }
}

// ---- pipes ----

impl TestFolder {
    /// Runs with these arguments and this standard input.
    fn piped(&self, arguments: &[&str], stdin: Vec<u8>) -> assert_cmd::assert::Assert {
        self.command(arguments).args(SHALLOW).args(["--steps", "0"]).write_stdin(stdin).assert()
    }
}

/// And nothing but the picture is written there.
#[test]
fn pictures_come_and_go_through_pipes() {
    let folder = TestFolder::new();
    folder.picture("mask.png", 9, 14, 7);
    let (content, style) = (folder.read("content.png"), folder.read("style.jpg"));
    let usual = ["--init", "content"];
    folder.paint(&["-o", "out.png", "--steps", "0", "--init", "content", "-q"]).success();
    let piped =
        folder.piped(&[&["-", "style.jpg", "-o", "-"], &usual[..]].concat(), content.clone()).success();
    assert_eq!(piped.get_output().stdout, folder.read("out.png"));
    let said = String::from_utf8(piped.get_output().stderr.clone()).unwrap();
    assert!(said.contains("standard output: 32x24, 0 steps, "), "{said}");
    let jpeg = ["content.png", "-", "-o", "-", "--format", "jpg", "-q"];
    let piped = folder.piped(&[&jpeg[..], &usual].concat(), style).success().stderr(is_empty());
    assert!(piped.get_output().stdout.starts_with(b"\xff\xd8"));
    // A mask, too, and the costs instead of the picture.
    let mask = ["content.png", "style.jpg", "-o", "o.png", "--style-mask", "-", "--trace", "-", "-q"];
    let piped = folder.piped(&[&mask[..], &usual].concat(), folder.read("mask.png")).success();
    let line: Value = serde_json::from_slice(&piped.get_output().stdout).unwrap();
    assert_eq!(line["step"], 0);
    let plan =
        folder.piped(&["content.png", "style.jpg", "-o", "o.png", "--plan", "-", "-q"], Vec::new()).success();
    let plan: Value = serde_json::from_slice(&plan.get_output().stdout).unwrap();
    assert_eq!(plan["width"], 32);
    // A name without an ending may have a format, and the two do not contradict each other.
    folder.paint(&["-o", "unnamed", "--format", "jpeg", "--steps", "0", "-q"]).success();
    assert!(folder.read("unnamed").starts_with(b"\xff\xd8"));
    folder.refuses(
        2,
        &["-o", "x.png", "--format", "jpg"],
        "--format: jpg is another format than that of x.png",
    );
    for (code, arguments, message) in [
        (2, &["-", "-", "-o", "o.png"][..], "STYLE: standard input can be read once, and CONTENT reads it"),
        (
            2,
            &["content.png", "style.jpg", "-o", "-", "--trace", "-"],
            "--trace: standard output has --output already",
        ),
        (
            2,
            &["content.png", "style.jpg", "-o", "-", "--save-every", "1"],
            "OUT, which is standard output; give OUT a name",
        ),
        (
            2,
            &["content.png", "style.jpg", "-o", "o.png", "--checkpoint", "-"],
            "--checkpoint: the state of a run is a file",
        ),
        (
            2,
            &["explain", "content.png", "style.jpg", "--plan", "-"],
            "standard output has the program that is printed",
        ),
        (1, &["-", "style.jpg", "-o", "-"], "standard input: "),
    ] {
        let piped = folder.piped(arguments, content[..20].to_vec()).code(code).stdout(is_empty());
        piped.stderr(starts_with("error: ").and(contains(message)));
    }
    folder
        .run(&["doctor", "--filter", "pool", "--json", "-"])
        .code(2)
        .stderr(contains("standard output has the report"));
    // A file of this name.
    folder.paint(&["-o", "./-", "--format", "png", "--steps", "0", "-q"]).success();
    assert_eq!(folder.decoded("-").width(), 32);
}

/// The painting is not lost with the program that was to read it.
#[cfg(unix)]
#[test]
fn a_pipe_without_a_reader_loses_nothing() {
    let folder = TestFolder::new();
    let temporary = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_impasto"));
    command.current_dir(folder.root.path()).env("IMPASTO_CACHE", folder.cache.path());
    command.args(["content.png", "style.jpg", "-o", "-", "--steps", "0", "-q"]).args(SHALLOW);
    command.env("TMPDIR", temporary.path());
    let mut child =
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("error: standard output: the program that reads it has ended; "), "{said}");
    let rescued = fs::read(said.lines().last().unwrap()).unwrap();
    assert_eq!(Picture::decode(&rescued, "rescued").unwrap().width(), 32);
}

/// As containers do it. Where this user may mount nothing, the tests beside the code have to do.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_is_mounted_by_itself_is_written_in_place() {
    let folder = TestFolder::new();
    fs::create_dir(folder.path("shut")).unwrap();
    for name in ["mounted.png", "elsewhere.png", "shut/mounted.png"] {
        fs::write(folder.path(name), "an older picture").unwrap();
    }
    let run = |mounts: &str, output: &str| {
        let script = format!(
            "{mounts} || exit 77; exec \"$0\" content.png style.jpg -o {output} --steps 0 -q {}",
            SHALLOW.join(" ")
        );
        let mut command = std::process::Command::new("unshare");
        command.args(["-m", "sh", "-c", &script, env!("CARGO_BIN_EXE_impasto")]);
        command.current_dir(folder.root.path()).env("IMPASTO_CACHE", folder.cache.path());
        command.output().ok().filter(|output| output.status.code() != Some(77) && !is_refused(&output.stderr))
    };
    for (mounts, output) in [
        ("mount --bind elsewhere.png mounted.png", "mounted.png"),
        (
            "mount --bind shut shut && mount --bind elsewhere.png shut/mounted.png && mount -o remount,bind,ro shut",
            "shut/mounted.png",
        ),
    ] {
        fs::write(folder.path("elsewhere.png"), "an older picture").unwrap();
        let Some(ran) = run(mounts, output) else { continue };
        assert!(ran.status.success(), "{output}: {}", String::from_utf8_lossy(&ran.stderr));
        assert_eq!(folder.decoded("elsewhere.png").width(), 32, "{output}");
    }
    assert!(folder.files().iter().all(|name| !name.starts_with('.')), "{:?}", folder.files());
}

/// Whether a command was not allowed to have mounts of its own.
#[cfg(target_os = "linux")]
fn is_refused(stderr: &[u8]) -> bool {
    String::from_utf8_lossy(stderr).starts_with("unshare: ")
}

// ---- how long it takes ----

/// `1 min 5 s` in seconds.
fn seconds(duration: &str) -> f64 {
    let words: Vec<&str> = duration.split(' ').collect();
    let number = |word: &str| word.parse::<f64>().unwrap();
    match words[..] {
        [seconds, "s"] => number(seconds),
        [minutes, "min", seconds, "s"] => 60.0 * number(minutes) + number(seconds),
        _ => panic!("{duration}"),
    }
}

/// What is told first is within a factor of 2 of what it takes, at sizes that do unlike work: where methods are measured,
/// before the first step, and else after three. Other programs on this machine may come and go in one run, and the driver
/// compiles kernels in the first; in one of three they should not. `scripts/test.sh --slow` runs it on a busy machine, too.
#[test]
fn the_time_that_is_told_is_the_time_that_it_takes() {
    let told_to_taken = |measures: bool| {
        let folder = larger_pictures();
        let usual = ["content.png", "style.png", "-o", "out.png", "--steps", "5", "--trace", "t"];
        let sizes = if measures { &TWO_SIZES[..4] } else { &TWO_SIZES[..] };
        let assert = folder.run(&[&usual[..], sizes, &["--style-layers", FEW_LAYERS]].concat()).success();
        let stderr = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
        // A GPU takes three steps too soon to be told about before.
        let measures = measures && stderr.contains("computes on the CPU");
        let told: Vec<&str> = stderr.lines().filter(|line| line.contains("will take about")).collect();
        let of_steps = "the other 7 steps will take about ";
        let first = if measures { "the 10 steps will take about " } else { of_steps };
        assert_eq!(told.len(), 1 + usize::from(measures), "{stderr}");
        assert!(told[0].starts_with(first) && told[told.len() - 1].starts_with(of_steps), "{stderr}");
        // Nothing was said before.
        let (before, _) = stderr.split_once(told[0]).unwrap();
        assert!(!before.contains("per step") && !before.contains(" left"), "{stderr}");
        let lines = folder.json_lines("t");
        let took = lines[if measures { 1 } else { 4 }..].iter().map(|line| line["seconds"].as_f64().unwrap());
        seconds(told[0].strip_prefix(first).unwrap()) / took.sum::<f64>()
    };
    // Beside the other tests a factor of 2 cannot be held to.
    if !cfg!(feature = "slow-tests") {
        let ratio = told_to_taken(true);
        assert!((0.05..=20.0).contains(&ratio), "told to taken: {ratio}");
        return;
    }
    let is_near = |busy: bool| {
        for measures in [false, true] {
            let ratios = (0..3).map(|_| told_to_taken(measures));
            let far: Vec<f64> = ratios.take_while(|ratio| !(0.5..=2.0).contains(ratio)).collect();
            assert!(far.len() < 3, "busy: {busy}, measures: {measures}, told to taken: {far:?}");
        }
    };
    is_near(false);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 * std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let result = std::panic::catch_unwind(|| is_near(true));
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        result.unwrap();
    });
}

#[test]
fn wrong_arguments_exit_with_2() {
    let folder = TestFolder::new();
    let o = "out.png";
    for (arguments, message) in [
        (vec![], "--output"),
        (vec!["-o", o, "--stpes", "3"], "--steps"),
        (vec!["-o", o, "--steps", "-1"], "--steps"),
        (vec!["-o", o, "--steps", "many"], "--steps"),
        (vec!["-o", o, "--seed", "4294967296"], "--seed"),
        (vec!["-o", o, "--save-every", "0"], "--save-every"),
        (vec!["-o", o, "--size", "0"], "--size"),
        (vec!["-o", o, "--size", "12x"], "such as 640x480"),
        (vec!["-o", o, "--size", "-4"], "--size"),
        (vec!["-o", o, "--alpha", "-1"], "--alpha"),
        (vec!["-o", o, "--precision", "f8"], "f16"),
        (vec!["-o", o, "--beta", "nan"], "--beta"),
        (vec!["-o", o, "--beta", "1e40"], "1e40 is too large"),
        (vec!["-o", o, "--learning-rate", "1e-60"], "1e-60 is too small"),
        (vec!["-o", o, "--strength", "0,5"], "the decimal sign is a point: 0.5"),
        (vec!["-o", o, "--style-layers", "conv1_1=1e39"], "1e39 is too large"),
        (vec!["-o", o, "--learning-rate", "inf"], "--learning-rate"),
        (vec!["-o", o, "--learning-rate", "0"], "--learning-rate"),
        (vec!["-o", o, "--noise-ratio", "1.5"], "from 0 to 1"),
        (vec!["-o", "out"], ".png, .jpg, .jpeg"),
        (vec!["-o", "out.pgn"], "such as out.png"),
        (vec!["-o", "out.gif"], ".png, .jpg, .jpeg, .webp, .tif, .tiff"),
    ] {
        folder.refuses(2, &arguments, message);
    }
    // What is one name too many is a style.
    folder.refuses(1, &["-o", o, "extra.png"], "extra.png: there is no such file or folder");
    // Before any file is looked at.
    for (arguments, message) in [
        (["--content-layer", "relu4_9"], "did you mean"),
        (["--content-layer", "input"], "did you mean"),
        (["--style-layers", "conv9_1"], "did you mean one of conv"),
        (["--style-layers", "conv1_1,conv1_1=2"], "conv1_1 is named twice"),
        (["--style-layers", "conv1_1=-1"], "conv1_1"),
        (["--style-layers", "conv1_1=high"], "conv1_1=high"),
        (["--style-layers", "conv1_1,,"], "without a name"),
    ] {
        let assert = folder.command(&["none.png", "none.png", "-o", "out.png"]).args(arguments).assert();
        assert.code(2).stderr(starts_with("error: ").and(contains(message)));
    }
    let preset = folder.run(&["content.png", "style.jpg", "-o", "out.png", "--preset", "cuorse"]).code(2);
    preset.stderr(starts_with("error: ").and(contains("fine")).and(contains("course")));
    folder.run(&[]).code(2).stderr(starts_with("error: "));
    folder
        .run(&["explain", "content.png", "style.jpg", "--size", "x"])
        .code(2)
        .stderr(starts_with("error: "));
    folder.run(&["devices", "now"]).code(2).stderr(starts_with("error: "));
}

#[test]
fn files_that_are_not_what_is_needed_exit_with_1() {
    let folder = TestFolder::new();
    fs::write(folder.path("text.png"), "not a picture").unwrap();
    fs::write(folder.path("cut.png"), &folder.read("content.png")[..60]).unwrap();
    fs::create_dir(folder.path("folder.png")).unwrap();
    for (content, style, message) in [
        ("none.png", "style.jpg", "none.png: there is no such file"),
        ("content.png", "none.jpg", "check the path of STYLE"),
        ("text.png", "style.jpg", "text.png: "),
        ("content.png", "cut.png", "cut.png: "),
        ("folder.png", "style.jpg", "this is a folder"),
    ] {
        for form in [vec![content, style, "-o", "out.png"], vec!["explain", content, style]] {
            let assert = folder.run(&form).code(1).stdout(is_empty());
            assert.stderr(starts_with("error: ").and(contains(message)));
        }
    }
    folder.refuses(1, &["-o", "out.png", "--init", "niose"], "--init takes noise, content or a picture");
    folder.refuses(1, &["-o", "out.png", "--weights", "none.safetensors"], "none.safetensors");
    folder.refuses(1, &["-o", "out.png", "--weights", "content.png"], "content.png");
}

#[test]
fn places_that_cannot_be_written_to_are_refused_before_the_first_step() {
    let folder = TestFolder::new();
    fs::create_dir(folder.path("folder.png")).unwrap();
    folder.refuses(1, &["-o", "none/out.png"], "there is no folder none");
    // A folder that even root cannot write to: a file.
    folder.refuses(1, &["-o", "content.png/out.png"], "content.png is not a folder");
    folder.refuses(1, &["-o", "folder.png"], "this is a folder");
    folder.refuses(1, &["-o", "out.png", "--trace", "none/t"], "there is no folder none");
    folder.refuses(1, &["-o", "out.png", "--plan", "none/p"], "there is no folder none");
    let mut permissions = fs::metadata(folder.path("style.jpg")).unwrap().permissions();
    folder.picture("kept.png", 2, 2, 1);
    permissions.set_readonly(true);
    fs::set_permissions(folder.path("kept.png"), permissions).unwrap();
    folder.refuses(1, &["-o", "kept.png"], "write-protected");
}

#[test]
fn nothing_that_is_read_is_written() {
    let folder = TestFolder::new();
    folder.picture("out-00004.png", 8, 8, 4);
    fs::create_dir(folder.path("sub")).unwrap();
    let same = "names the same file as";
    for arguments in [
        vec!["-o", "content.png"],
        vec!["-o", "sub/../content.png"],
        vec!["-o", "style.jpg"],
        vec!["-o", "out-00004.png", "--init", "out-00004.png"],
        vec!["-o", "out.png", "--trace", "content.png"],
        vec!["-o", "out.png", "--plan", "style.jpg"],
        vec!["-o", "out.png", "--trace", "./out.png"],
        vec!["-o", "out.png", "--trace", "new", "--plan", "sub/../new"],
        vec!["-o", "out.png", "--init", "out-00004.png", "--save-every", "2", "--steps", "6"],
        vec!["-o", "out.png", "--trace", "out-00002.png", "--save-every", "2", "--steps", "6"],
    ] {
        folder.refuses(1, &arguments, same);
    }
    let explain = ["explain", "content.png", "style.jpg", "--plan", "content.png"];
    folder.run(&explain).code(1).stderr(contains(same));
    // A picture on the way that this run will not write.
    let arguments = ["-o", "out.png", "--init", "out-00004.png", "--save-every", "3", "--steps", "4", "-q"];
    folder.paint(&arguments).success();
}

#[cfg(unix)]
#[test]
fn links_are_seen_through() {
    let folder = TestFolder::new();
    std::os::unix::fs::symlink("content.png", folder.path("link.png")).unwrap();
    fs::hard_link(folder.path("content.png"), folder.path("hard.png")).unwrap();
    folder.refuses(1, &["-o", "link.png"], "names the same file as CONTENT");
    folder.refuses(1, &["-o", "hard.png"], "names the same file as CONTENT");
    // A link to a result stays one, and a new file has a new file's permissions.
    fs::write(folder.path("result.png"), "old").unwrap();
    std::os::unix::fs::symlink("result.png", folder.path("latest.png")).unwrap();
    folder.paint(&["-o", "latest.png", "--steps", "0", "-q"]).success();
    assert!(fs::symlink_metadata(folder.path("latest.png")).unwrap().is_symlink());
    assert_eq!(folder.decoded("result.png").width(), 32);
    use std::os::unix::fs::PermissionsExt;
    let mode = |name| fs::metadata(folder.path(name)).unwrap().permissions().mode();
    assert_eq!(mode("result.png"), mode("content.png"));
}

#[test]
fn a_failing_run_keeps_the_old_result() {
    let folder = TestFolder::new();
    fs::write(folder.path("out.png"), "old").unwrap();
    let arguments = ["-o", "out.png", "--steps", "9", "--learning-rate", "3e38", "--trace", "t"];
    let assert = folder.paint(&arguments).code(1).stdout(is_empty());
    assert.stderr(contains("error: after step 1 ").and(contains("--learning-rate")));
    assert_eq!(folder.read("out.png"), b"old");
    let entries = folder.json_lines("t");
    assert!(entries[0]["total"].is_f64() && entries[1]["total"].is_null(), "{entries:?}");
    let terms: Vec<&Value> = entries[1]["terms"].as_object().unwrap().values().collect();
    assert!(terms.len() == 3 && terms.iter().any(|cost| cost.is_null()), "{entries:?}");
    // Also where the last picture is the first that is lost, and where the start is already.
    let arguments = ["-o", "out.png", "--steps", "1", "--learning-rate", "3e38"];
    folder.paint(&arguments).code(1).stderr(contains("error: after step 1 "));
    folder.paint(&["-o", "out.png", "--alpha", "3e38"]).code(1).stderr(contains("--alpha"));
    assert_eq!(folder.read("out.png"), b"old");
    assert_eq!(folder.files(), ["content.png", "out.png", "style.jpg", "t"]);
}

#[test]
fn files_may_be_called_like_commands() {
    let folder = TestFolder::new();
    fs::copy(folder.path("content.png"), folder.path("devices")).unwrap();
    fs::copy(folder.path("style.jpg"), folder.path("device")).unwrap();
    let arguments = ["./devices", "device", "-o", "out.png", "--steps", "0", "-q"];
    folder.command(&arguments).args(SHALLOW).assert().success();
    folder
        .command(&["device", "./devices", "-o", "out.png", "--steps", "0", "-q"])
        .args(SHALLOW)
        .assert()
        .success();
}

#[cfg(unix)]
mod signals {
    use super::*;
    use common::test_folder::{Running, end};
    use std::io::BufReader;
    use std::process::{Command, Stdio};

    /// A run that would take for ever.
    const ENDLESS: [&str; 4] = ["-o", "out.png", "--steps", "1000000"];

    #[test]
    fn the_first_signal_writes_the_picture_so_far() {
        for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
            let folder = TestFolder::new();
            let (child, stderr) = folder.started(&ENDLESS, "the first step took");
            let (ended, said) = end(child, stderr, &[signal]);
            assert_eq!(ended, Some(code), "{said}");
            assert!(said.contains("interrupted: out.png is the picture after "), "{said}");
            assert_eq!(folder.decoded("out.png").width(), 32);
            assert_eq!(folder.files(), ["content.png", "out.png", "out.png.impasto", "style.jpg"]);
        }
    }

    #[test]
    fn the_second_signal_ends_at_once() {
        let folder = TestFolder::new();
        // Writing to a pipe without a reader takes for ever.
        assert!(Command::new("mkfifo").arg(folder.path("out.png")).status().unwrap().success());
        let (child, stderr) = folder.started(&ENDLESS, "the first step took");
        let (ended, said) = end(child, stderr, &["INT", "TERM"]);
        assert_eq!(ended, Some(143), "{said}");
        assert!(!said.contains("interrupted"), "{said}");
    }

    /// A terminal that is gone says so more than once, and nothing that is said reaches it any more.
    #[test]
    fn a_terminal_that_is_gone_loses_nothing() {
        let folder = TestFolder::new();
        let (mut child, stderr) = folder.started(&ENDLESS, "the first step took");
        drop(stderr);
        let signals = format!("kill -HUP {0}; kill -HUP {0}; kill -HUP {0}", child.0.id());
        assert!(Command::new("sh").args(["-c", &signals]).status().unwrap().success());
        assert_eq!(child.0.wait().unwrap().code(), Some(129));
        assert_eq!(folder.decoded("out.png").width(), 32);
        assert_eq!(folder.files(), ["content.png", "out.png", "out.png.impasto", "style.jpg"]);
        // Its state is one that a run goes on from.
        let resumed = ["-o", "out.png", "--steps", "1000000", "--resume", "out.png.impasto"];
        let (child, stderr) = folder.started(&resumed, "the first step took");
        assert_eq!(end(child, stderr, &["TERM"]).0, Some(143));
    }

    /// As nohup does it.
    #[test]
    fn a_run_that_is_not_to_hear_of_its_terminal_goes_on() {
        let folder = TestFolder::new();
        let started = Command::new("sh")
            .args(["-c", "trap '' HUP; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_impasto"), "content.png"])
            .args(["style.jpg", "-o", "out.png", "--steps", "60", "--save-every", "1"])
            .args(SHALLOW)
            .current_dir(folder.root.path())
            .env("IMPASTO_CACHE", folder.cache.path())
            .stderr(Stdio::null())
            .spawn();
        let mut child = Running(started.unwrap());
        while !folder.path("out-00001.png").exists() {
            assert_eq!(child.0.try_wait().unwrap(), None, "it ended too early");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let signal = format!("kill -HUP {}", child.0.id());
        assert!(Command::new("sh").args(["-c", &signal]).status().unwrap().success());
        assert_eq!(child.0.wait().unwrap().code(), Some(0));
        assert!(folder.path("out-00059.png").exists() && folder.path("out.png").exists());
    }

    #[test]
    fn before_the_first_step_there_is_nothing_to_write() {
        let folder = TestFolder::new();
        folder.picture("content.png", 400, 300, 1);
        folder.picture("style.jpg", 400, 300, 2);
        // A pipe holds the run up for as long as it is read, before anything is prepared.
        let fifo = folder.path("start.png");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let child = Command::new(env!("CARGO_BIN_EXE_impasto"))
            .current_dir(folder.root.path())
            .env("IMPASTO_CACHE", folder.cache.path())
            .args(["content.png", "style.jpg", "-o", "out.png", "--init", "start.png"])
            .stderr(Stdio::piped())
            .spawn();
        let mut child = Running(child.unwrap());
        // Opening it to write waits until the run has opened it to read.
        let held = fs::OpenOptions::new().write(true).open(&fifo).unwrap();
        let stderr = BufReader::new(child.0.stderr.take().unwrap());
        let (ended, said) = end(child, stderr, &["INT"]);
        assert_eq!((ended, said.as_str()), (Some(130), ""));
        assert!(!folder.path("out.png").exists());
        drop(held);
    }
}

// ---- how convolutions are done ----

impl TestFolder {
    /// Plans a run with `arguments`, and returns the plan.
    fn planned(&self, arguments: &[&str]) -> Value {
        let usual = ["-o", "out.png", "--steps", "0", "--plan", "p.json", "-q"];
        self.paint(&[&usual, arguments].concat()).success().stderr(is_empty());
        serde_json::from_slice(&self.read("p.json")).unwrap()
    }

    /// The only file in the cache.
    fn remembered(&self) -> PathBuf {
        let files: Vec<PathBuf> =
            fs::read_dir(self.cache.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        files[0].clone()
    }

    fn explained(&self, arguments: &[&str]) -> String {
        let explain = ["explain", "content.png", "style.jpg"];
        let assert = self.command(&explain).args(SHALLOW).args(arguments).assert().success();
        String::from_utf8(assert.get_output().stdout.clone()).unwrap()
    }
}

/// The methods of a plan's convolutions.
fn methods(plan: &Value) -> Vec<&str> {
    let dispatches = plan["dispatches"].as_array().unwrap().iter();
    let convolutions = dispatches.filter(|dispatch| dispatch["op"].as_str().unwrap().starts_with("conv"));
    convolutions.filter_map(|dispatch| dispatch["method"].as_str()).collect()
}

#[test]
fn what_the_first_run_measures_the_second_remembers() {
    let folder = TestFolder::new();
    assert!(folder.explained(&[]).contains("the first run measures them"));
    assert_eq!(fs::read_dir(folder.cache.path()).unwrap().count(), 0);
    let arguments = ["-o", "out.png", "--steps", "0"];
    folder.paint(&arguments).success().stderr(contains("measuring which kernels are the fastest"));
    folder.paint(&arguments).success().stderr(contains("measuring").not());
    let plan = folder.planned(&[]);
    let expected = serde_json::json!({"algorithm": "auto", "low_memory": false, "chosen": "remembered"});
    assert_eq!(plan["convolutions"], expected);
    assert!(folder.explained(&[]).contains("measured in an earlier run"));

    let file: Value = serde_json::from_slice(&fs::read(folder.remembered()).unwrap()).unwrap();
    let wanted = sorted(["adapter", "backend", "driver", "impasto", "kernels", "methods"]);
    assert_eq!(keys(&file), wanted);
    for choice in file["methods"].as_array().unwrap() {
        let wanted = sorted(["op", "direction", "inputs", "outputs", "d", "h", "w", "geometry", "method"]);
        assert_eq!(keys(choice), wanted);
        assert!(methods(&plan).contains(&choice["method"].as_str().unwrap()), "{choice}");
    }
    // A new size is measured beside the old one.
    let count = |file: &Value| file["methods"].as_array().unwrap().len();
    assert_eq!(folder.planned(&["--size", "16"])["convolutions"]["chosen"], "measured");
    let grown: Value = serde_json::from_slice(&fs::read(folder.remembered()).unwrap()).unwrap();
    assert_eq!(count(&grown), 2 * count(&file));
}

#[test]
fn a_portable_device_has_no_subgroups_and_remembers_nothing() {
    let folder = TestFolder::new();
    let plan = folder.planned(&["--portable"]);
    let dispatches = plan["dispatches"].as_array().unwrap();
    let subgroup = |dispatch: &&Value| dispatch["kernel"].as_str().unwrap().contains("subgroup");
    assert_eq!(dispatches.iter().find(subgroup), None);
    assert_eq!(fs::read_dir(folder.cache.path()).unwrap().count(), 0);
}

#[test]
fn what_is_remembered_is_taken_and_what_holds_good_for_something_else_is_not() {
    let folder = TestFolder::new();
    folder.planned(&[]);
    let path = folder.remembered();
    let good: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    // The naive method is never the fastest, so this comes from the file.
    let mut slow = good.clone();
    for choice in slow["methods"].as_array_mut().unwrap() {
        choice["method"] = "naive".into();
    }
    fs::write(&path, slow.to_string()).unwrap();
    assert!(methods(&folder.planned(&[])).iter().all(|method| *method == "naive"));

    let mut damaged = vec![slow.to_string()[..200].to_owned(), "[]".to_owned(), String::new()];
    for key in ["adapter", "backend", "driver", "impasto", "kernels"] {
        let mut foreign = slow.clone();
        foreign[key] = "another".into();
        damaged.push(foreign.to_string());
    }
    let mut unknown = slow.clone();
    unknown["methods"][0]["method"] = "magic".into();
    damaged.push(unknown.to_string());
    // As earlier versions wrote it.
    let mut old = slow.clone();
    for choice in old["methods"].as_array_mut().unwrap() {
        for key in ["op", "d", "geometry"] {
            choice.as_object_mut().unwrap().remove(key);
        }
    }
    damaged.push(old.to_string());
    for text in damaged {
        fs::write(&path, &text).unwrap();
        let plan = folder.planned(&[]);
        assert_eq!(plan["convolutions"]["chosen"], "measured", "{text}");
        assert!(!methods(&plan).contains(&"naive"), "{text}");
        let replaced: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!((&replaced["kernels"], keys(&replaced)), (&good["kernels"], keys(&good)));
    }
}

#[test]
fn where_nothing_can_be_kept_a_fixed_table_counts() {
    let folder = TestFolder::new();
    // A folder that even root cannot write to: a file. And none at all.
    let in_a_file = folder.path("content.png").join("cache");
    for cache in [in_a_file.as_os_str(), std::ffi::OsStr::new("")] {
        let mut command = folder.command(&["content.png", "style.jpg", "-o", "out.png", "--steps", "0"]);
        let assert = command.env("IMPASTO_CACHE", cache).args(SHALLOW).args(["--plan", "p.json"]).assert();
        assert.success().stderr(contains("measuring").not());
        let plan: Value = serde_json::from_slice(&folder.read("p.json")).unwrap();
        assert_eq!(plan["convolutions"]["chosen"], "fixed table");
    }
    assert_eq!(folder.files(), ["content.png", "out.png", "p.json", "style.jpg"]);
}

#[test]
fn an_algorithm_can_be_asked_for_and_memory_saved() {
    let folder = TestFolder::new();
    for algorithm in ["winograd", "gemm", "direct", "naive"] {
        let plan = folder.planned(&["--algorithm", algorithm]);
        let methods = methods(&plan);
        // Winograd does not do the picture's three channels.
        assert!(methods.iter().any(|method| method.starts_with(algorithm)), "{algorithm}: {methods:?}");
        let thin = |method: &&str| algorithm == "winograd" && method.starts_with("direct");
        assert!(methods.iter().all(|method| method.starts_with(algorithm) || thin(method)), "{methods:?}");
        assert_eq!(plan["convolutions"]["chosen"], "asked");
        assert!(folder.explained(&["--algorithm", algorithm]).contains("as --algorithm asks"));
    }
    let weights = |plan: &Value| plan["bytes"]["weights"].as_u64().unwrap();
    let low = folder.planned(&["--low-memory"]);
    assert_eq!(low["convolutions"]["chosen"], "low memory");
    let usual = weights(&folder.planned(&["--algorithm", "winograd"]));
    assert!(3 * weights(&low) < usual, "{} {usual}", weights(&low));
    // Nothing of all that was measured.
    assert_eq!(fs::read_dir(folder.cache.path()).unwrap().count(), 0);
    folder.refuses(2, &["-o", "new.png", "--algorithm", "fft"], "winograd");
}

// ---- bench ----

/// Few kernels on a small picture.
const BRIEF: [&str; 5] = ["bench", "--size", "64x48", "--filter", "pool"];

fn text(folder: &TestFolder, name: &str) -> String {
    fs::read_to_string(folder.path(name)).unwrap()
}

fn built_in(file: &str) -> String {
    fs::read_to_string(format!("{}/wgsl/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn a_benchmark_is_printed_written_drawn_and_compared() {
    let folder = TestFolder::new();
    let assert = folder.command(&BRIEF).args(["--json", "new.json", "--svg", "roof.svg"]).assert().success();
    assert.stdout(
        contains("pool_forward")
            .and(contains("conv4_4"))
            .and(contains("GB/s read and written"))
            .and(contains("at 64x48")),
    );
    let report: Value = serde_json::from_str(&text(&folder, "new.json")).unwrap();
    assert_eq!(keys(&report), sorted(["adapter", "driver", "peak", "kernels", "step"]));
    let positive = |value: &Value| assert!(value.as_f64().unwrap() > 0.0, "{value}");
    assert_eq!(keys(&report["peak"]), sorted(["fma_gflops", "copy_gbps"]));
    report["peak"].as_object().unwrap().values().for_each(positive);
    let step = &report["step"];
    assert_eq!(keys(step), sorted(["width", "height", "seconds", "conv_equivalent_gflops"]));
    assert_eq!((step["width"].as_u64(), step["height"].as_u64()), (Some(64), Some(48)));
    let gflops = 1.51e6 * 64.0 * 48.0 / step["seconds"].as_f64().unwrap() / 1e9;
    assert!((step["conv_equivalent_gflops"].as_f64().unwrap() / gflops - 1.0).abs() < 1e-9, "{step}");

    let rows = report["kernels"].as_array().unwrap();
    // Four pools of each kind in each direction on their own, and four of each backward in Winograd's input transform: no
    // other name of a kernel contains "pool". The mean is also that of the pyramid's levels.
    let count = |kernel: &str| rows.iter().filter(|row| row["kernel"] == kernel).count();
    for kernel in ["max_pool_forward", "max_pool_backward", "pool_backward"] {
        assert_eq!(count(kernel), 4, "{kernel}");
    }
    assert_eq!(count("winograd_input_unpooled"), 8);
    assert_eq!(count("pool_forward"), 4 + 3);
    assert_eq!(rows.len(), 27);
    for row in rows {
        let wanted = [
            "kernel",
            "layer",
            "op",
            "shape",
            "ms",
            "min_ms",
            "max_ms",
            "gflops",
            "gbps",
            "roof_share",
            "error_share",
        ];
        assert_eq!(keys(row), sorted(wanted));
        let number = |key: &str| row[key].as_f64().unwrap();
        assert!(number("min_ms") <= number("ms") && number("ms") <= number("max_ms"), "{row}");
        ["min_ms", "gflops", "gbps", "roof_share"].iter().for_each(|key| positive(&row[*key]));
        assert!(number("error_share") <= 1.0, "{row}");
        // achieved / min(peak, FLOP per byte × bandwidth)
        let bound = number("gflops") / number("gbps") * report["peak"]["copy_gbps"].as_f64().unwrap();
        let roof = bound.min(report["peak"]["fma_gflops"].as_f64().unwrap());
        assert!((number("gflops") / roof / number("roof_share") - 1.0).abs() < 1e-9, "{row}");
    }
    let is_forward = |row: &&Value| row["layer"] == "conv2_2" && row["kernel"] == "pool_forward";
    let forward = rows.iter().find(is_forward).unwrap();
    assert_eq!(forward["shape"], serde_json::json!([128, 128, 24, 32]));

    let svg = text(&folder, "roof.svg");
    assert!(
        svg.starts_with("<svg") && svg.contains("pool_backward") && svg.contains("multiply-add:"),
        "{svg}"
    );

    // Against itself with every old time a thousand times shorter: a failure that names the kernels.
    let mut old = report.clone();
    for row in old["kernels"].as_array_mut().unwrap() {
        row["ms"] = (row["ms"].as_f64().unwrap() * 0.001).into();
    }
    old["kernels"].as_array_mut().unwrap()[0]["layer"] = "pool9".into();
    fs::write(folder.path("fast.json"), old.to_string()).unwrap();
    let words =
        ["old ms", "ratio", "only in the older benchmark: max_pool_forward pool9", "only in this one:"];
    let brief = ["bench", "--size", "64x48", "--filter", "max_pool_forward"];
    let assert = folder.command(&brief).args(["--compare", "fast.json"]).assert().code(1);
    let assert = words.iter().fold(assert, |assert, words| assert.stdout(contains(*words)));
    assert.stderr(contains("slower by more than 10 %: max_pool_"));
}

/// A picture this small is painted at one size, and every second of its 30 steps makes the maps anew.
#[cfg(feature = "slow-tests")]
#[test]
fn the_time_of_a_whole_painting_is_measured() {
    let folder = TestFolder::new();
    let assert = folder.command(&["bench", "--size", "32x24", "--painting", "fine"]).assert().success();
    let output = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    let row = |name: &str| {
        let line = output.lines().find(|line| line.starts_with(&format!("{name}  ")));
        let words = line.unwrap_or_else(|| panic!("{name}: {output}"))[name.len()..].split_whitespace();
        words.map(|word| word.parse::<f64>().unwrap()).collect::<Vec<f64>>()
    };
    let runs =
        ["step", "step that refreshes", "look-up", "targets", "start", "picture"].map(|name| row(name)[0]);
    assert_eq!(runs, [15.0, 15.0, 1.0, 2.0, 1.0, 1.0]);
    let shares =
        ["step", "step that refreshes", "look-up", "targets", "start", "picture"].map(|name| row(name)[3]);
    assert!((shares.iter().sum::<f64>() - 100.0).abs() < 0.5, "{shares:?}");
    assert!(row("conv_backward")[2] > 0.0 && row("matrix_product")[2] > 0.0);
    assert!(output.contains("A whole painting of 32x24: "), "{output}");
    assert!(output.contains("% of the multiply-add peak"), "{output}");
}

#[test]
fn benchmarks_that_cannot_be_are_refused_before_anything_is_measured() {
    let folder = TestFolder::new();
    fs::write(folder.path("notes.json"), "{\"adapter\": 3}").unwrap();
    let refused = |code: i32, arguments: &[&str], message: &str| {
        let assert = folder.command(&["bench"]).args(arguments).assert().code(code).stdout(is_empty());
        assert.stderr(contains(message));
    };
    refused(2, &["--filter", "conv9_9"], "layers are conv1_1, conv1_2");
    refused(2, &["--filter", "conv9_9"], "kernels are accumulate, adam, ");
    refused(2, &["--size", "0"], "--size: ");
    refused(2, &["--threshold", "5"], "--compare");
    refused(2, &["--compare", "notes.json", "--threshold", "-5"], "--threshold: -5 is not a percentage");
    refused(2, &["--kernel", "a.wgsl", "--json", "b.json"], "cannot be used with");
    refused(2, &["--painting", "fine", "--filter", "pool"], "cannot be used with");
    refused(2, &["--painting", "fien"], "fine");
    refused(1, &["--compare", "gone.json"], "gone.json: there is no such file");
    refused(1, &["--compare", "notes.json"], "notes.json: this is not the result of a benchmark: ");
    refused(1, &["--json", "gone/new.json"], "there is no folder");
    refused(1, &["--json", "notes.json", "--compare", "notes.json"], "would be lost");
    refused(1, &["--device", "no such adapter"], "no adapter is called");
    assert_eq!(text(&folder, "notes.json"), "{\"adapter\": 3}");
}

#[test]
fn a_changed_kernel_is_checked_and_then_timed_against_the_built_in_one() {
    let folder = TestFolder::new();
    let original = built_in("pool/pool_forward.wgsl");
    let run = |name: &str, text: &str| {
        fs::write(folder.path(name), text).unwrap();
        folder.run(&["bench", "--size", "64x48", "--kernel", name])
    };
    run("pool_forward.wgsl", &original).success().stdout(
        contains("conv1_2").and(contains("conv4_4")).and(contains("ratio")).and(contains("allowed error")),
    );

    let broken = original.replace("@compute", "@compute @nonsense");
    run("pool_forward.wgsl", &broken)
        .code(1)
        .stdout(is_empty())
        .stderr(contains("compiling the kernel pool_forward").and(contains("nonsense")));

    // Right but where a window hangs over the edge.
    let wrong = original.replace("sum / cells", "sum * 0.25");
    assert_ne!(wrong, original);
    run("pool_forward.wgsl", &wrong)
        .code(1)
        .stdout(is_empty())
        .stderr(contains("pool_forward computes").and(contains("wrongly")).and(contains("is not timed")));

    run("pool_foward.wgsl", &original)
        .code(2)
        .stderr(contains("no built-in kernel \"pool_foward\"").and(contains("such as pool_forward")));
    let bindings = original.replace("@binding(3)", "@binding(7)");
    run("pool_forward.wgsl", &bindings).code(1).stderr(contains("compiling the kernel pool_forward"));
}

/// From the command, with the rate that it takes unless one is given, and in two parts.
#[test]
fn l_bfgs_paints_from_the_command() {
    let folder = TestFolder::new();
    let paint = |more: &[&str]| {
        // By one method, whichever is the fastest: a step without a line search hands on what rounding makes of it.
        let usual =
            ["--optimiser", "l-bfgs", "--history", "4", "--algorithm", "direct", "--init", "content", "-q"];
        folder.paint(&[&usual[..], more].concat()).success();
    };
    paint(&["-o", "b.png", "--steps", "20", "--trace", "t"]);
    let totals: Vec<f64> =
        folder.json_lines("t").iter().map(|line| line["total"].as_f64().unwrap()).collect();
    assert!(totals[20] < 0.5 * totals[0], "{totals:?}");
    paint(&["-o", "c.png", "--steps", "7", "--checkpoint", "c"]);
    paint(&["-o", "c.png", "--steps", "20", "--resume", "c"]);
    assert_eq!(folder.read("c.png"), folder.read("b.png"));
}

/// As many steps at the first size as it is given, or as all have.
#[test]
fn the_first_size_has_steps_of_its_own() {
    let folder = larger_pictures();
    let first = ["--first-steps", "2", "--steps", "1"];
    let explain = [&["explain", "content.png", "style.png"], &TWO_SIZES[..], &first].concat();
    folder.run(&explain).success().stdout(contains("45x34, 64x48, 2 steps at the first, 1 at each other\n"));
    let paint = ["content.png", "style.png", "-o", "out.png", "--style-layers", FEW_LAYERS, "--gamma", "0"];
    let assert = folder.run(&[&paint[..], &TWO_SIZES, &first].concat()).success();
    assert.stderr(contains("64x48, 3 steps, "));
    let shown = |arguments: &[&str]| {
        let shown = folder.run(&[&["--show-options"], arguments].concat()).success();
        String::from_utf8(shown.get_output().stdout.clone()).unwrap()
    };
    assert!(shown(&[]).contains("\nfirst_steps = \"none\"\n"));
    fs::write(folder.path("mine.toml"), "first_steps = 9").unwrap();
    assert!(shown(&["--options", "mine.toml"]).contains("\nfirst_steps = 9\n"));
    assert!(shown(&["--options", "mine.toml", "--steps", "4"]).contains("\nfirst_steps = \"none\"\n"));
    for (given, said) in [
        ("0", "--first-steps: 0 steps are none; give 1 or more"),
        ("-1", "invalid value '-1' for '--first-steps <N>'"),
    ] {
        let wrong = ["--show-options", "--first-steps", given];
        folder.run(&wrong).code(2).stderr(contains(said));
    }
}

#[test]
fn presets_of_published_programs_are_known_by_name() {
    let folder = TestFolder::new();
    for (preset, expected) in [
        ("johnson", "steps = 1000\n"),
        ("gatys", "alpha = 4.0\n"),
        ("gatys", "steps = 500\n"),
        ("crowsonkb", "first_steps = 1000\n"),
    ] {
        folder.run(&["--show-options", "--preset", preset]).success().stdout(contains(expected));
    }
    let paint = ["-o", "out.png", "--preset", "gatys", "--steps", "1", "--history", "2", "-q"];
    folder.command(&["content.png", "style.jpg"]).args(paint).assert().success();
    assert_eq!((folder.decoded("out.png").width(), folder.decoded("out.png").height()), (32, 24));
    let few = ["--size", "64", "--first-steps", "2", "--steps", "1", "--style-layers", FEW_LAYERS];
    let paint =
        ["content.png", "style.jpg", "-o", "out.png", "--preset", "crowsonkb", "--content-layer", "conv2_1"];
    folder.run(&[&paint[..], &few].concat()).success().stderr(contains("32x24, 2 steps, "));
    folder.run(&["--show-options", "--borders", "mirror"]).code(2).stderr(contains("replicate-first"));
    folder.run(&["--show-options", "--optimiser", "sgd"]).code(2).stderr(contains("averaged-adam"));
    folder.run(&["--show-options", "--preset", "gaty"]).code(2).stderr(contains("gatys"));
}

/// Costs are counted as without, and the first step goes another way.
#[test]
fn gradients_can_be_normalised() {
    let folder = TestFolder::new();
    let lines = |more: &[&str]| {
        let paint = ["-o", "out.png", "--steps", "2", "--init", "content", "--trace", "t", "-q"];
        folder.paint(&[&paint[..], more].concat()).success();
        folder.json_lines("t").iter().map(|line| line["total"].as_f64().unwrap()).collect::<Vec<_>>()
    };
    let (without, with, other) =
        (lines(&[]), lines(&["--normalise-gradients"]), lines(&["--normalize-gradients"]));
    assert_eq!(with, other);
    assert_eq!(without[0], with[0]);
    assert_ne!(without[1..], with[1..]);
    let checkpoint = ["-o", "out.png", "--steps", "1", "--checkpoint", "c", "--normalise-gradients", "-q"];
    folder.paint(&checkpoint).success();
    let refused = folder.paint(&["-o", "out.png", "--steps", "2", "--resume", "c"]).code(2);
    refused.stderr(contains("--normalise-gradients: "));
    let shown = folder.run(&["--show-options", "--normalise-gradients"]).success();
    shown.stdout(contains("\nnormalise_gradients = true\n"));
    fs::write(folder.path("mine.toml"), "normalise_gradients = 1").unwrap();
    let wrong = folder.run(&["--show-options", "--options", "mine.toml"]).code(1);
    wrong.stderr(
        contains("line 1: normalise_gradients: invalid type").and(contains("give a value like false")),
    );
}
