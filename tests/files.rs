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
