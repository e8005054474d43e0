//! What is done with an input of each target. The targets call these with what libFuzzer makes up, and
//! `tests/hostile` with the corpus, so that every input that was ever interesting is tried with every run of the
//! tests.
//!
//! Each panics where a parser panics, where what it gives breaks its promise, and where it holds more memory than
//! its bound.

use std::collections::HashSet;

use impasto::nn::{VGG19, Weights, nearest_names};
use impasto::ops::conv::{Choices, Direction, Layer};
use impasto::picture::{LONGEST_SIDE, MEMORY_LIMIT, Picture, PictureFormat, Size};
use peak_alloc::PeakAlloc;

/// Counts what is held.
#[global_allocator]
pub static MEMORY: PeakAlloc = PeakAlloc;

/// The name by which errors call every input.
const NAME: &str = "the input";

/// Runs `work` and returns what it gives, and the most bytes that were held meanwhile beyond those before.
pub fn measured<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let result = work();
    (result, MEMORY.peak_usage().saturating_sub(before) as u64)
}

fn assert_bound(taken: u64, bound: u64) {
    assert!(taken <= bound, "{taken} bytes were held, of which {bound} are allowed");
}

/// An error is of one line, short, and names the input.
fn assert_message(error: &impasto::Error) {
    let text = error.to_string();
    assert!(text.starts_with(NAME) && text.len() < 1000 && !text.contains('\n'), "{text:?}");
}

/// What [`Picture::decode`] may hold for a file of so many bytes: a byte of JPEG stands for 8 units of 32×32
/// pixels at most, of which the picture takes 3 bytes a pixel, turned once more, and coefficients 8 at most.
pub fn picture_bound(length: usize) -> u64 {
    MEMORY_LIMIT.min((64 << 20) + length as u64 * (112 << 10))
}

/// A picture file.
pub fn picture(bytes: &[u8]) {
    let (result, taken) = measured(|| Picture::decode(bytes, NAME));
    assert_bound(taken, picture_bound(bytes.len()));
    match result {
        Ok(picture) => {
            let (width, height) = (picture.width(), picture.height());
            assert!(width.min(height) > 0 && width.max(height) <= LONGEST_SIDE);
            assert_eq!(picture.rgb().len(), width as usize * height as usize * 3);
        }
        Err(error) => assert_message(&error),
    }
}

/// What [`Weights`] may hold for a file of so many bytes, beside those: the largest layer that fits into them, as
/// f32 of every code, and the header, taken apart.
pub fn weights_bound(length: usize) -> u64 {
    (64 << 10) + length as u64 * 64
}

/// A weights file. Whatever it begins with, its header is also tried with its right length, and its tensors with
/// as many bytes as the header promises: by chance neither is ever right.
pub fn weights(bytes: &[u8]) {
    weights_as_they_are(bytes);
    let Some(header) =
        bytes.get(8..).and_then(|rest| Some(&rest[..=rest.iter().rposition(|&byte| byte == b'}')?]))
    else {
        return;
    };
    let mut right = [&(header.len() as u64).to_le_bytes()[..], header].concat();
    let data = &bytes[right.len()..];
    let parsed = serde_json::from_slice::<serde_json::Value>(header).unwrap_or_default();
    let tensors = parsed.as_object().into_iter().flat_map(|tensors| tensors.values());
    let promised = tensors.filter_map(|tensor| tensor["data_offsets"][1].as_u64()).max().unwrap_or(0);
    right.extend(data.iter().copied().chain(std::iter::repeat(0x3c)).take(promised.min(1 << 16) as usize));
    weights_as_they_are(&right);
}

fn weights_as_they_are(bytes: &[u8]) {
    let file = bytes.to_vec();
    let (result, taken) = measured(|| Weights::from_bytes(file, NAME));
    assert_bound(taken, weights_bound(bytes.len()));
    let weights = match result {
        Ok(weights) => weights,
        Err(error) => return assert_message(&error),
    };
    assert!(weights.mean().iter().all(|value| (0.0..=255.0).contains(value)));
    for layer in &VGG19 {
        let (result, taken) = measured(|| weights.convolution(layer.name));
        assert_bound(taken, weights_bound(bytes.len()));
        match result {
            Ok(found) => {
                let (inputs, outputs) = (layer.input_channels as usize, layer.output_channels as usize);
                assert_eq!((found.kernel.len(), found.bias.len()), (inputs * outputs * 9, outputs));
                assert!(found.kernel.iter().chain(&found.bias).all(|value| value.is_finite()));
            }
            Err(error) => assert_message(&error),
        }
    }
}

/// What the readers of texts may hold for so many bytes.
pub fn text_bound(length: usize) -> u64 {
    (64 << 10) + length as u64 * 64
}

/// A word of the command line that a parser of ours reads: a size, a file's ending, a layer's name.
pub fn text(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (size, taken) = measured(|| {
        let _ = PictureFormat::from_extension(&text);
        let names = nearest_names(&text);
        assert!(!names.is_empty() && names.iter().collect::<HashSet<_>>().len() == names.len());
        text.parse::<Size>()
    });
    assert_bound(taken, text_bound(bytes.len()));
    let Ok(size) = size else { return };
    assert_eq!(size.to_string().parse::<Size>().ok(), Some(size));
    for (width, height) in [(1, 1), (1, u32::MAX), (u32::MAX, 1), (640, 480), (u32::MAX, u32::MAX)] {
        let (fitted_width, fitted_height) = size.fit(width, height);
        assert!((1..=width).contains(&fitted_width) && (1..=height).contains(&fitted_height));
    }
}

/// What the reader of remembered choices may hold for so many bytes.
pub fn choices_bound(length: usize) -> u64 {
    (64 << 10) + length as u64 * 256
}

/// The choices of methods that are kept in the user's cache folder.
pub fn choices(bytes: &[u8]) {
    let (result, taken) = measured(|| serde_json::from_slice::<Choices>(bytes));
    assert_bound(taken, choices_bound(bytes.len()));
    let Ok(choices) = result else { return };
    let known = choices.0.keys().copied();
    let asked = Layer { direction: Direction::Forward, inputs: 64, outputs: 64, h: 300, w: 400 };
    for layer in known.chain([asked]) {
        assert!(choices.nearest(layer).is_some() || layer == asked);
    }
    let written = serde_json::to_vec(&choices).expect("choices can be written");
    assert_eq!(serde_json::from_slice::<Choices>(&written).ok(), Some(choices));
}
