//! Textures of styles alone, and pictures that are made again from one layer: the built command and the library.
#![cfg(all(feature = "cli", feature = "embedded-weights"))]
#![allow(clippy::unwrap_used)]

mod common;

use common::engine::engine;
use common::test_folder::TestFolder;
use impasto::OptionName;
use impasto::error::Error;
use impasto::picture::Size;
use impasto::transfer::{
    Budget, Checkpoint, Group, Init, Options, Preset, SourceId, SourceLayouts, Sources, Transfer,
    TransferPhase, WeightedLayer, uniform_noise,
};
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;

/// Two sizes, 45x34 and 64x48, few layers, nothing measured.
const SMALL: [&str; 10] = [
    "--size",
    "64x48",
    "--coarsest",
    "40",
    "--algorithm",
    "winograd",
    "--style-layers",
    "conv1_1,conv2_1",
    "--steps",
    "3",
];

fn size(folder: &TestFolder, name: &str) -> (u32, u32) {
    let picture = folder.decoded(name);
    (picture.width(), picture.height())
}

fn total(entry: &Value) -> f64 {
    entry["total"].as_f64().unwrap()
}

#[test]
fn a_texture_is_made_of_a_style_alone_and_may_be_larger() {
    let folder = TestFolder::new();
    let made =
        [&["texture", "style.jpg", "-o", "out.png", "--trace", "t", "--plan", "p"], &SMALL[..]].concat();
    let assert = folder.run(&made).success();
    // No content is spoken of.
    assert.stderr(contains("style ").and(contains("content").not()).and(contains("out.png: 64x48, 6 steps")));
    assert_eq!(size(&folder, "out.png"), (64, 48));
    let entries = folder.json_lines("t");
    assert_eq!(entries.len(), 7);
    for entry in &entries {
        assert!(entry.get("content").is_none() && entry.get("match").is_none(), "{entry}");
        let names: Vec<&String> = entry["terms"].as_object().unwrap().keys().collect();
        assert_eq!(names, ["style.conv1_1", "style.conv2_1"]);
        let style = entry["style"].as_f64().unwrap();
        assert!((total(entry) - 0.5 * style).abs() <= 1e-5 * total(entry), "{entry}");
    }
    assert!(total(&entries[3]) < total(&entries[0]) && total(&entries[6]) < total(&entries[3]));
    // The same again, another seed, and one number for a square.
    folder.run(&[&["texture", "style.jpg", "-o", "same.png", "-q"], &SMALL[..]].concat()).success();
    assert_eq!(folder.read("same.png"), folder.read("out.png"));
    let other = ["texture", "style.jpg", "-o", "other.png", "-q", "--seed", "4"];
    folder.run(&[&other, &SMALL[..]].concat()).success();
    assert_ne!(folder.read("other.png"), folder.read("out.png"));
    let square = ["texture", "style.jpg", "-o", "square.png", "-q", "--size", "33", "--steps", "0"];
    folder.run(&[&square, &SMALL[2..8]].concat()).success();
    assert_eq!(size(&folder, "square.png"), (33, 33));
    // Its plan is printed, too.
    let assert = folder.run(&[&["explain", "texture", "style.jpg"], &SMALL[..]].concat()).success();
    assert.stdout(contains("64x48").and(contains("Sizes      45x34, 64x48")));
}

#[test]
fn a_texture_of_several_styles_under_masks_is_resumed_to_the_same_bits() {
    let folder = TestFolder::new();
    folder.picture("other.png", 30, 30, 5);
    folder.picture("left.png", 8, 8, 3);
    let made = ["texture", "style.jpg", "other.png", "--style-weights", "2,1", "--style-mask", "left.png"];
    let masked = ["--style-mask", "2=left.png", "-q"];
    let run = |output: &str, steps: &str, more: &[&str]| {
        folder
            .run(&[&made[..], &masked, &SMALL[..8], &["-o", output, "--steps", steps], more].concat())
            .success();
    };
    run("whole.png", "3", &[]);
    // In the middle of each of the two sizes.
    for (steps, end) in [("2", "3"), ("1", "3")] {
        run("part.png", steps, &["--checkpoint", "c"]);
        let checkpoint = Checkpoint::from_bytes(&folder.read("c"), "c").unwrap();
        assert_eq!(checkpoint.size(), (64, 48));
        run("rest.png", end, &["--resume", "c"]);
        assert_ne!(folder.read("part.png"), folder.read("rest.png"));
    }
    let half = ["--checkpoint", "c", "--checkpoint-every", "4"];
    run("whole-again.png", "3", &half);
    assert_eq!(folder.read("whole-again.png"), folder.read("whole.png"));
    // Another size is another texture.
    let other =
        [&made[..], &masked, &["-o", "x.png", "--resume", "c", "--size", "64x50"], &SMALL[2..]].concat();
    folder.run(&other).code(2).stderr(contains("--size").and(contains("64x48")));
}

#[test]
fn what_a_texture_cannot_have_is_refused() {
    let folder = TestFolder::new();
    for absent in ["--strength", "--alpha", "--gamma", "--content-mask", "--content-layer", "--preset"] {
        let made = ["texture", "style.jpg", "-o", "out.png", absent, "0.5"];
        folder
            .run(&made)
            .code(2)
            .stderr(contains("is an option of `impasto CONTENT STYLE`").and(contains(absent)));
    }
    let made = ["texture", "style.jpg", "-o", "out.png", "--init", "content"];
    folder.run(&made).code(2).stderr(contains("--init: there is no content to start from; start from noise"));
    folder.run(&["texture", "-o", "out.png"]).code(2).stderr(contains("<STYLE>"));
    folder.run(&["texture", "style.jpg"]).code(2).stderr(contains("--output: there is none"));
    assert_eq!(folder.files(), ["content.png", "style.jpg"]);
}

/// A layer that sees single pixels keeps the picture; statistics keep its colours.
#[test]
fn a_picture_is_made_again_from_one_layer() {
    let folder = TestFolder::new();
    let made = ["reconstruct", "content.png", "-o", "out.png", "--steps", "60", "--trace", "t", "-q"];
    folder.run(&[&made[..], &["--content", "conv1_1"]].concat()).success();
    let (first, last) = {
        let entries = folder.json_lines("t");
        assert!(entries[0].get("style").is_none());
        assert_eq!(entries[0]["terms"].as_object().unwrap().keys().collect::<Vec<_>>(), ["content.conv1_1"]);
        (total(&entries[0]), total(&entries[60]))
    };
    assert!(last < 0.05 * first, "{first} {last}");
    let [wanted, found] = ["content.png", "out.png"].map(|name| folder.decoded(name));
    let far = |a: &[u8], b: &[u8]| {
        a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / a.len() as f64
    };
    let apart = far(wanted.rgb(), found.rgb());
    assert!(apart < 30.0, "{apart} levels from the picture");

    let made = ["reconstruct", "style.jpg", "-o", "out.png", "--steps", "20", "--trace", "t", "-q"];
    folder.run(&[&made[..], &["--style", "conv1_1", "--size", "16"]].concat()).success();
    assert_eq!(size(&folder, "out.png"), (16, 13));
    let entries = folder.json_lines("t");
    assert!(entries[0].get("content").is_none());
    assert_eq!(entries[0]["terms"].as_object().unwrap().keys().collect::<Vec<_>>(), ["style.conv1_1"]);
    assert!(total(&entries[20]) < 0.5 * total(&entries[0]));

    let assert = folder.run(&["explain", "reconstruct", "style.jpg", "--style", "conv2_1"]).success();
    assert.stdout(contains("24x20").and(contains("conv2_1")).and(contains("conv2_2").not()));
}

#[test]
fn a_reconstruction_is_of_one_kind_and_of_a_layer_that_there_is() {
    let folder = TestFolder::new();
    let made = ["reconstruct", "content.png", "-o", "out.png"];
    folder.run(&made).code(2).stderr(contains("--content <LAYER>").and(contains("--style <LAYER>")));
    let both = ["--content", "conv1_1", "--style", "conv1_1"];
    folder.run(&[&made[..], &both].concat()).code(2).stderr(contains("cannot be used with"));
    folder
        .run(&[&made[..], &["--content", "conv9_1"]].concat())
        .code(2)
        .stderr(contains("no layer \"conv9_1\""));
    assert_eq!(folder.files(), ["content.png", "style.jpg"]);
}

// ---- the library ----

fn options() -> Options {
    Options::preset(Preset::Texture).with(|options| {
        options.size = Size::Within { width: 40, height: 24 };
        options.coarsest = Some(24);
        options.style_layers = vec![WeightedLayer { name: "conv1_1".into(), weight: 1.0 }];
        options.steps = 2;
    })
}

/// A style has its own size, whatever the texture's, and shrinks as that does.
#[test]
fn a_style_keeps_its_resolution() {
    let layouts = SourceLayouts::texture((100, 60));
    let of = |size: (u32, u32), stroke: f32| {
        let options = Options::preset(Preset::Texture).with(|options| {
            options.size = Size::Within { width: size.0, height: size.1 };
            options.stroke = Some(stroke);
        });
        let scales = layouts.scales(&options);
        let style = |scale| layouts.fitted(SourceId::Style(0), &options, scale);
        (scales.get(scales.last()), style(scales.last()), style(scales.last() - 1))
    };
    assert_eq!(of((300, 200), 1.0), ((300, 200), (100, 60), (71, 42)));
    assert_eq!(of((300, 200), 0.5), ((300, 200), (50, 30), (35, 21)));
    assert_eq!(of((300, 200), 4.0).1, (100, 60), "it is never enlarged");
}

#[test]
fn a_host_makes_a_texture_with_the_same_bits() {
    pollster::block_on(async {
        let folder = TestFolder::new();
        let style = folder.decoded("style.jpg");
        let engine = engine();
        let mut waited = Transfer::prepare(&engine, Sources::texture(&style), &options()).await.unwrap();
        assert_eq!((waited.size(), waited.allocated_bytes()), ((40, 24), waited.bytes().total));
        assert!(waited.objective().weights.iter().all(|(group, _)| *group == Group::Style));
        // The start is the noise and nothing else.
        assert_eq!(waited.pixels().await.unwrap(), uniform_noise(3, 28, 17));
        while waited.remaining_steps() > 0 {
            waited.step().await.unwrap();
        }
        let mut recorded = Transfer::create(&engine, Sources::texture(&style), &options()).await.unwrap();
        let gpu = engine.gpu();
        loop {
            let mut encoder = gpu.device().create_command_encoder(&Default::default());
            let done = recorded.record(&mut encoder, Budget::Step).unwrap();
            gpu.queue().submit([encoder.finish()]);
            gpu.device().poll(impasto::wgpu::PollType::wait_indefinitely()).unwrap();
            if done.phase == TransferPhase::Done {
                break;
            }
        }
        assert_eq!(recorded.pixels().await.unwrap(), waited.pixels().await.unwrap());
        // A content is none of its sources, and live options may change.
        let error = waited.set_content(&style).await.unwrap_err();
        assert!(error.to_string().contains("reads no content"), "{error}");
        let faster = options().with(|options| (options.learning_rate, options.beta) = (5.0, 2.0));
        waited.set_options(&faster).unwrap();
        waited.set_style(folder.decoded("content.png")).await.unwrap();
        let costs = waited.step().await.unwrap();
        assert_eq!(costs.total, 2.0 * costs.style);
        assert_eq!(costs.group(Group::Content), None);
    });
}

#[test]
fn what_needs_a_content_is_refused_where_there_is_none() {
    let refused = |sources: SourceLayouts, options: &Options| {
        let limits = impasto::graph::Limits::webgpu();
        let network = impasto::nn::vgg19(impasto::nn::PoolKind::Max);
        match impasto::transfer::Plan::new(&network, options, sources, &limits) {
            Err(Error::Option { option, .. }) => Some(option),
            Err(other) => panic!("{other}"),
            Ok(_) => None,
        }
    };
    let style = || SourceLayouts::texture((20, 20));
    assert_eq!(refused(style(), &options()), None);
    let from_content = options().with(|options| options.init = Init::Content);
    assert_eq!(refused(style(), &from_content), Some(OptionName::Init));
    let mixed = options().with(|options| options.noise_ratio = Some(0.6));
    assert_eq!(refused(style(), &mixed), Some(OptionName::NoiseRatio));
    let mut nothing = style();
    nothing.styles.clear();
    assert_eq!(refused(nothing, &options()), Some(OptionName::Style));
    let folder = TestFolder::new();
    let picture = folder.decoded("content.png");
    let error = Sources::texture(&picture).with_content_mask(&picture).unwrap_err();
    assert!(matches!(error, Error::Option { option: OptionName::ContentMask, .. }), "{error}");
}
