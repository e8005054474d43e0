//! What the tests of this room share.
#![allow(clippy::unwrap_used)]

use image::{Rgb, RgbImage};

use super::Picture;
use crate::error::Error;

/// The colours of most fixtures: top left, top right, bottom left, bottom right.
pub(super) const QUARTERS: [[u8; 3]; 4] = [[200, 40, 40], [40, 160, 60], [50, 60, 200], [230, 220, 90]];

pub(super) fn fixture(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pictures/");
    std::fs::read(format!("{folder}{name}")).unwrap()
}

/// A picture in which every pixel differs from its neighbours.
pub(super) fn sample(width: u32, height: u32) -> Picture {
    let picture = RgbImage::from_fn(width, height, |x, y| {
        Rgb([0, 1, 2].map(|c| ((x * x * 5 + y * y * 3 + x * y * c * 2 + 60 * c) % 256) as u8))
    });
    Picture::from_rgb(width, height, picture.into_raw()).unwrap()
}

pub(super) fn pixel(picture: &Picture, x: u32, y: u32) -> [u8; 3] {
    picture.rgb().as_chunks::<3>().0[(y * picture.width() + x) as usize]
}

#[track_caller]
pub(super) fn refusal(bytes: &[u8]) -> (String, String) {
    let Error::Picture { name, reason, remedy } = Picture::decode(bytes, "holiday.png").unwrap_err() else {
        panic!("another kind of error")
    };
    assert_eq!(name, "holiday.png");
    let remedy = remedy.to_string();
    assert!(!remedy.is_empty() && !reason.contains('\n'));
    (reason, remedy)
}

/// The four quarters of a fixture; `tolerance` is what JPEG's rounding may do to a flat colour.
#[track_caller]
pub(super) fn assert_quarters(name: &str, expected: [[u8; 3]; 4], tolerance: u8) {
    let picture = Picture::decode(&fixture(name), name).unwrap();
    assert_eq!((picture.width(), picture.height()), (32, 16), "{name}");
    for ((x, y), expected) in [(4, 4), (24, 4), (4, 12), (24, 12)].into_iter().zip(expected) {
        let found = pixel(&picture, x, y);
        let near = found.iter().zip(expected).all(|(found, expected)| found.abs_diff(expected) <= tolerance);
        assert!(near, "{name} at {x}, {y}: {found:?}, expected {expected:?}");
    }
}

/// A TIFF block with one entry, the orientation, as EXIF holds it.
pub(super) fn exif(orientation: u8) -> Vec<u8> {
    let mut block = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    block.extend([orientation, 0, 0, 0, 0, 0, 0]);
    block
}

pub(super) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg()))
    })
}

/// Numbers below what is asked for, the same for one seed every time.
pub(super) fn random(seed: u32) -> impl FnMut(usize) -> usize {
    let mut state = seed;
    move |below| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    }
}

/// The fixtures that were made with the expected pixels beside them, by the beginning of their names.
pub(super) fn with_twins(prefix: &str) -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pictures/");
    let files = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.starts_with(prefix) && !name.ends_with(".expected.png"));
    names.sort();
    names
}

/// How far a fixture is from its twin: the most, and the mean.
pub(super) fn apart(name: &str) -> (u8, f64) {
    let expected = format!("{}.expected.png", name.split_once('.').unwrap().0);
    let [seen, expected] = [name, &expected].map(|name| Picture::decode(&fixture(name), name).unwrap());
    assert_eq!((seen.width(), seen.height()), (expected.width(), expected.height()), "{name}");
    let apart = || seen.rgb().iter().zip(expected.rgb()).map(|(a, b)| a.abs_diff(*b));
    (apart().max().unwrap(), apart().map(f64::from).sum::<f64>() / seen.rgb().len() as f64)
}
