//! What the built command writes into its files: bits of samples and colour spaces.
#![cfg(all(feature = "cli", feature = "embedded-weights"))]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Cursor;

mod common;

use common::test_folder::TestFolder;
use impasto::picture::{Picture, PictureFormat};

/// Few layers of two sizes, whose pictures in 8 bits are rounded.
const USUAL: [&str; 12] = [
    "--size",
    "64",
    "--coarsest",
    "44",
    "--content-layers",
    "conv1_2",
    "--style-layers",
    "conv1_1,conv2_1",
    "--gamma",
    "0",
    "--algorithm",
    "direct",
];

impl TestFolder {
    /// Paints with the usual options, these arguments first.
    #[track_caller]
    fn paints(&self, arguments: &[&str]) {
        self.run(&[arguments, &["-q"], &USUAL].concat()).success();
    }

    /// The samples of a PNG or TIFF that has 16 bits, in order.
    #[track_caller]
    fn samples_16(&self, name: &str) -> Vec<u16> {
        let bytes = self.read(name);
        if name.ends_with(".tif") {
            let mut decoder = tiff::decoder::Decoder::new(Cursor::new(bytes)).unwrap();
            let tiff::decoder::DecodingResult::U16(samples) = decoder.read_image().unwrap() else {
                panic!("{name} has other samples");
            };
            return samples;
        }
        match image::load_from_memory(&bytes).unwrap() {
            image::DynamicImage::ImageRgb16(picture) => picture.into_raw(),
            image::DynamicImage::ImageRgba16(picture) => picture.into_raw(),
            image::DynamicImage::ImageLuma16(picture) => picture.into_raw(),
            other => panic!("{name} is {:?}", other.color()),
        }
    }

    /// The samples of a PNG, in order.
    fn samples_8(&self, name: &str) -> Vec<u8> {
        image::load_from_memory(&self.read(name)).unwrap().into_bytes()
    }
}

/// 16 bits to the nearest 8, as any program rounds them.
fn rounded(samples: &[u16]) -> Vec<u8> {
    samples.iter().map(|sample| ((u32::from(*sample) + 128) / 257) as u8).collect()
}

fn between(samples: &[u16]) -> usize {
    samples.iter().filter(|sample| !sample.is_multiple_of(257)).count()
}

#[test]
fn sixteen_bits_are_made_of_what_was_painted() {
    let folder = TestFolder::new();
    folder.picture("content.png", 64, 48, 1);
    folder.picture("style.png", 40, 30, 2);
    let mask = (0..64 * 48).flat_map(|place| [(place % 64 * 4) as u8; 3]).collect();
    let mask = Picture::from_rgb(64, 48, mask).unwrap().encode(PictureFormat::Png).unwrap();
    fs::write(folder.path("mask.png"), mask).unwrap();
    let both = ["content.png", "style.png"];
    for more in [
        &["--steps", "1"][..],
        &["--steps", "1", "--color", "keep"],
        &["--steps", "1", "--color", "luminance", "--content-mask", "mask.png"],
        &["--steps", "1", "--optimiser", "l-bfgs", "--seamless"],
    ] {
        folder.paints(&[&both[..], &["-o", "8.png"], more].concat());
        folder.paints(&[&both[..], &["-o", "16.png", "--out-depth", "16"], more].concat());
        folder.paints(&[&both[..], &["-o", "16.tif", "--out-depth", "16"], more].concat());
        let wide = folder.samples_16("16.png");
        assert_eq!(rounded(&wide), folder.samples_8("8.png"), "{more:?}");
        assert!(between(&wide) > wide.len() / 3, "{more:?}: {} of {}", between(&wide), wide.len());
        assert_eq!(folder.samples_16("16.tif"), wide, "{more:?}");
        // What reads them rounds them.
        assert_eq!(folder.decoded("16.tif"), folder.decoded("8.png"), "{more:?}");
    }

    // On the way, at the coarse size and at its own.
    let steps = ["--steps", "2", "--save-every", "1"];
    folder.paints(&[&both[..], &["-o", "a.png"], &steps].concat());
    folder.paints(&[&both[..], &["-o", "b.png", "--out-depth", "16"], &steps].concat());
    for number in 1..4 {
        let wide = folder.samples_16(&format!("b-0000{number}.png"));
        assert_eq!(rounded(&wide), folder.samples_8(&format!("a-0000{number}.png")), "{number}");
        assert!(between(&wide) > wide.len() / 3);
    }
    assert_eq!(rounded(&folder.samples_16("b.png")), folder.samples_8("a.png"));

    // What is transparent is so in 16 bits.
    let rgba = |x, y| image::Rgba([(3 * x) as u8, (5 * y) as u8, 99, (4 * x) as u8]);
    image::RgbaImage::from_fn(64, 48, rgba).save(folder.path("cut-out.png")).unwrap();
    let cut = ["cut-out.png", "style.png", "--steps", "1"];
    folder.paints(&[&cut[..], &["-o", "8.png"]].concat());
    for out in ["16.png", "16.tif"] {
        folder.paints(&[&cut[..], &["-o", out, "--out-depth", "16"]].concat());
        let [wide, narrow] = [
            folder.samples_16(out),
            folder.samples_8("8.png").iter().map(|it| u16::from(*it) * 257).collect(),
        ];
        assert_eq!(wide.len(), 4 * 64 * 48);
        for (wide, narrow) in wide.chunks(4).zip(narrow.chunks(4)) {
            assert_eq!(wide[3], narrow[3]);
            // Where little is seen, the colours over white are rounded to many levels less.
            let near = |(a, b): (&u16, &u16)| a.abs_diff(*b) <= if wide[3] > 30_000 { 600 } else { u16::MAX };
            assert!(wide.iter().zip(narrow).all(near), "{wide:?} {narrow:?}");
        }
        assert!(between(&wide) > 64 * 48);
    }

    let texture =
        ["texture", "style.png", "-o", "t.png", "--out-depth", "16", "--size", "32", "--steps", "1", "-q"];
    folder.run(&[&texture[..], &["--style-layers", "conv1_1"]].concat()).success();
    assert!(between(&folder.samples_16("t.png")) > 500);

    let wide = |out| ["-o", out, "--out-depth", "16"];
    folder.refuses(
        2,
        &wide("o.jpg"),
        "--out-depth 16: JPEG holds samples of 8 bits, PNG and TIFF those of 16; name o.jpg",
    );
    folder.refuses(2, &wide("o.webp"), "--out-depth 16: WebP holds samples of 8 bits");
    folder.refuses(2, &["-o", "o.png", "--out-depth", "12"], "8, 16");
}

/// A photograph that is not painted at all comes back in its own colours, and a painting has its profile.
#[test]
fn the_colour_space_of_the_photograph_is_kept() {
    let folder = TestFolder::new();
    folder.picture("style.png", 40, 30, 2);
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pictures/");
    let copy = |name: &str| fs::copy(format!("{fixtures}{name}"), folder.path(name)).unwrap();
    let icc = |bytes: &[u8]| {
        let decoder = png::Decoder::new(Cursor::new(bytes.to_vec())).read_info().unwrap();
        decoder.info().icc_profile.as_ref().map(|profile| profile.to_vec())
    };
    for space in ["display-p3", "adobe-rgb", "narrow", "grey"] {
        let name = &*format!("kept-{space}.png");
        copy(name);
        let run = [name, "style.png", "--steps", "0", "--keep-profile"];
        let near = |samples: &[u8]| {
            let worst = samples.iter().zip(folder.samples_8(name)).map(|(a, b)| a.abs_diff(b)).max().unwrap();
            assert!(worst <= 3, "{space}: {worst} levels");
        };
        folder.paints(&[&run[..], &["-o", "8.png"]].concat());
        near(&folder.samples_8("8.png"));
        assert_eq!(icc(&folder.read("8.png")), icc(&folder.read(name)), "{space}");
        folder.paints(&[&run[..], &["-o", "16.png", "--out-depth", "16"]].concat());
        near(&rounded(&folder.samples_16("16.png")));
        assert_eq!(icc(&folder.read("16.png")), icc(&folder.read(name)), "{space}");
        folder.paints(&[&run[..], &["-o", "16.tif", "--out-depth", "16"]].concat());
        assert_eq!(folder.samples_16("16.tif"), folder.samples_16("16.png"), "{space}");
        // Without it, OUT is sRGB.
        folder.paints(&[&run[..4], &["-o", "srgb.png"]].concat());
        assert!(icc(&folder.read("srgb.png")).is_none(), "{space}");
    }
    let run = |more: &[&str]| {
        let start = ["style.png", "--steps", "1", "--keep-profile"];
        folder.run(&[&more[..1], &start, &more[1..], &USUAL].concat())
    };
    let said = |output: assert_cmd::assert::Assert| {
        String::from_utf8_lossy(&output.get_output().stderr).into_owned()
    };
    // A painting has more colours than a grey photograph, which is said.
    let of_grey = said(run(&["kept-grey.png", "-o", "o.jpg"]).success());
    assert!(of_grey.contains("note: kept-grey.png: its profile is one of grey: o.jpg is grey"), "{of_grey}");
    let refused = said(run(&["kept-grey.png", "-o", "o.webp"]).code(2));
    assert!(refused.contains("--keep-profile: kept-grey.png: WebP"), "{refused}");
    copy("colour-inks.jpg");
    let refused = said(run(&["colour-inks.jpg", "-o", "o.png"]).code(2));
    assert!(
        refused.contains("--keep-profile: colour-inks.jpg: ") && refused.contains("inks (CMYK)"),
        "{refused}"
    );
    for (name, note) in [
        ("content.png", "note: content.png: it names no colour space but sRGB"),
        ("colour-profile-of-grey.png", "its colour profile cannot be used: its colours are taken as sRGB"),
    ] {
        if name.starts_with("colour") {
            copy(name);
        }
        let plain = said(run(&[name, "-o", "o.png"]).success());
        assert!(plain.contains(note) && plain.contains("o.png is sRGB"), "{plain}");
        let quiet = said(run(&[name, "-o", "o.png", "-q"]).success());
        assert!(quiet.is_empty(), "{quiet}");
        assert!(icc(&folder.read("o.png")).is_none());
    }
}

#[test]
fn a_damaged_photograph_is_painted_where_that_is_asked_for() {
    let folder = TestFolder::new();
    folder.picture("style.png", 40, 30, 2);
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pictures/");
    let whole = folder.read("content.png");
    fs::write(folder.path("cut.png"), &whole[..whole.len() / 2]).unwrap();
    fs::copy(format!("{fixtures}cut-with-end.jpg"), folder.path("cut.jpg")).unwrap();
    for (name, note) in [
        ("cut.png", "note: cut.png: it is damaged: its lines from "),
        ("cut.jpg", "note: cut.jpg: it is damaged: from line 16 of 48 on it is grey"),
    ] {
        let run = [name, "style.png", "-o", "o.png", "--steps", "0"];
        let refused = folder.run(&[&run[..], &USUAL].concat()).code(1);
        let said = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
        assert!(said.contains("take the part of it that is there with --damaged-ok"), "{said}");
        assert!(!folder.path("o.png").exists());
        let taken = folder.run(&[&run[..], &["--damaged-ok"], &USUAL].concat()).success();
        let said = String::from_utf8_lossy(&taken.get_output().stderr).into_owned();
        assert_eq!(said.matches(note).count(), 1, "{said}");
        let expected = if name == "cut.png" { 0 } else { 128 };
        let painted = folder.decoded("o.png");
        assert!(painted.rgb().iter().rev().take(90).all(|level| level.abs_diff(expected) <= 1), "{name}");
        assert!(painted.rgb()[..90].iter().any(|level| level.abs_diff(expected) > 9), "{name}");
        fs::remove_file(folder.path("o.png")).unwrap();
    }
    // A style may be damaged, too.
    let run = ["content.png", "cut.jpg", "-o", "o.png", "--steps", "0", "--damaged-ok"];
    folder.paints(&run);
    // No part of it is there.
    fs::write(folder.path("head.png"), &whole[..40]).unwrap();
    let refused = folder.run(&["head.png", "style.png", "-o", "p.png", "--damaged-ok"]).code(1);
    let said = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    assert!(said.contains("fetch it again") && !said.contains("--damaged-ok"), "{said}");
}

/// It is the mask of the content and keeps what is transparent, by one word.
#[test]
fn what_is_transparent_may_be_the_mask() {
    let folder = TestFolder::new();
    folder.picture("style.png", 40, 30, 2);
    let rgba = |x, y| image::Rgba([(7 * x) as u8, (9 * y) as u8, 99, if x < 16 { 255 } else { 0 }]);
    image::RgbaImage::from_fn(32, 24, rgba).save(folder.path("cut-out.png")).unwrap();
    let run = |out: &str, more: &[&str]| {
        folder.paints(&[&["cut-out.png", "style.png", "-o", out, "--steps", "2"], more].concat());
        folder.read(out)
    };
    let by_word = run("a.png", &["--transparency", "mask"]);
    assert_eq!(by_word, run("b.png", &["--content-mask", "alpha"]));
    assert_eq!(by_word, run("c.png", &["--content-mask", "alpha", "--transparency", "mask"]));
    assert_ne!(by_word, run("d.png", &[]));
    let opacity = Picture::decode_opacity(&by_word, "").unwrap();
    assert_eq!(opacity, Picture::decode_opacity(&folder.read("cut-out.png"), "").unwrap());
    // A JPEG is painted the same, over white.
    run("e.jpg", &["--transparency", "mask"]);
    let mask = ["-o", "o.png", "--transparency", "mask"];
    folder.refuses(2, &mask, "--transparency mask: content.png is opaque everywhere");
    let both = [&mask[..], &["--content-mask", "style.png"]].concat();
    folder.refuses(2, &both, "--transparency mask: --content-mask style.png says already where is painted");
}
