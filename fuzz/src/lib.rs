//! What is done with an input of each target. The targets call these with what libFuzzer makes up, and
//! `tests/hostile` with the corpus, so that every input that was ever interesting is tried with every run of the
//! tests.
//!
//! Each panics where a parser panics, where what it gives breaks its promise, and where it holds more memory than
//! its bound, and returns whether the input, as it is or mended, was read.

use std::collections::HashSet;

use flate2::Crc;
use impasto::nn::{PoolKind, Weights, vgg19};
use impasto::ops::conv::ConvGeometry;
use impasto::ops::{Direction, MethodTable, Problem};
use impasto::picture::{LONGEST_SIDE, MEMORY_LIMIT, Picture, PictureFormat, ReadOptions, Size};
use impasto::transfer::Checkpoint;
use peak_alloc::PeakAlloc;
use serde_json::Value;
use sha2::{Digest, Sha256};

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

/// What [`Picture::decode`] may hold for a PNG or a JPEG of so many bytes: a byte of JPEG stands for 8 units of 32×32
/// pixels at most, of which the picture takes 3 bytes a pixel, turned once more, and coefficients 8 at most. Of other formats,
/// in which a few bytes may stand for any number of pixels that are alike, it is [`MEMORY_LIMIT`].
pub fn picture_bound(length: usize) -> u64 {
    MEMORY_LIMIT.min((64 << 20) + length as u64 * (112 << 10))
}

/// A picture file. A PNG is also tried with its right checksums.
pub fn picture(bytes: &[u8]) -> bool {
    let read = picture_as_it_is(bytes);
    with_checksums(bytes).is_some_and(|mended| picture_as_it_is(&mended)) || read
}

/// A PNG with the right checksum behind each chunk, where any was wrong.
fn with_checksums(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut mended = bytes.to_vec();
    let mut start = 8;
    mended.strip_prefix(b"\x89PNG\r\n\x1a\n")?;
    while let Some(length) = mended.get(start..).and_then(|rest| rest.first_chunk()) {
        let end = (start + 8).saturating_add(u32::from_be_bytes(*length) as usize);
        let Some(checked) = mended.get(start + 4..end) else { break };
        let mut sum = Crc::new();
        sum.update(checked);
        let Some(place) = mended.get_mut(end..end + 4) else { break };
        place.copy_from_slice(&sum.sum().to_be_bytes());
        start = end + 4;
    }
    (mended != bytes).then_some(mended)
}

fn picture_as_it_is(bytes: &[u8]) -> bool {
    let (result, taken) = measured(|| Picture::decode(bytes, NAME));
    let is_png_or_jpeg = bytes.starts_with(b"\x89PNG") || bytes.starts_with(b"\xff\xd8");
    assert_bound(taken, if is_png_or_jpeg { picture_bound(bytes.len()) } else { MEMORY_LIMIT });
    // What is whole is the same where a part would do, and a part has the sides of the whole.
    let options = ReadOptions::default().with(|options| options.damaged_ok = true);
    let (part, taken) = measured(|| Picture::read_with(bytes, NAME, &options));
    assert_bound(taken, if is_png_or_jpeg { picture_bound(bytes.len()) } else { MEMORY_LIMIT });
    match (&result, &part) {
        (Ok(whole), Ok(part)) => assert!(*whole == part.picture),
        (Ok(_), Err(error)) => panic!("{error}"),
        (Err(_), Ok(part)) => assert!(!part.notes.is_empty()),
        (Err(_), Err(error)) => assert_message(error),
    }
    match &result {
        Ok(picture) => {
            let (width, height) = (picture.width(), picture.height());
            assert!(width.min(height) > 0 && width.max(height) <= LONGEST_SIDE);
            assert_eq!(picture.rgb().len(), width as usize * height as usize * 3);
        }
        Err(error) => assert_message(error),
    }
    result.is_ok()
}

/// What [`Weights`] may hold for a file, beside its bytes: the largest layer that fits into them, as f32 of every code,
/// and the header or the pickle, taken apart. What is deflated in a file of MATLAB or HDF5 can be as much as is ever kept,
/// while a vector grows.
pub fn weights_bound(bytes: &[u8]) -> u64 {
    let deflates = bytes.get(124..128) == Some(b"\0\x01IM") || bytes.starts_with(b"\x89HDF");
    (1 << 20) + bytes.len() as u64 * 256 + if deflates { 512 << 20 } else { 0 }
}

/// A weights file. Whatever it begins with, its header is also tried with its right length, and its tensors with
/// as many bytes as the header promises: by chance neither is ever right. A ZIP is also tried with its right checksums.
pub fn weights(bytes: &[u8]) -> bool {
    let read =
        weights_as_they_are(bytes) || with_entry_checksums(bytes).is_some_and(|it| weights_as_they_are(&it));
    let Some((header, data)) = header_and_data(bytes) else { return read };
    let data = promised(&serde_json::from_slice(header).unwrap_or_default(), data);
    weights_as_they_are(&[&(header.len() as u64).to_le_bytes()[..], header, &data].concat()) || read
}

/// A ZIP with the right checksum of each entry that is not compressed, where any was wrong.
fn with_entry_checksums(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut mended = bytes.to_vec();
    mended.strip_prefix(b"PK")?;
    let starts = bytes.windows(4).enumerate().filter(|(_, window)| window == b"PK\x01\x02");
    for (record, _) in starts {
        let number = |at: usize, length: usize| {
            let digits = bytes.get(at..)?.get(..length)?;
            Some(digits.iter().rev().fold(0_usize, |number, byte| number << 8 | usize::from(*byte)))
        };
        let checked = || {
            let (length, local) = (number(record + 20, 4)?, number(record + 42, 4)?);
            let data = local + 30 + number(local + 26, 2)? + number(local + 28, 2)?;
            bytes.get(data..)?.get(..length)
        };
        let Some(data) = checked() else { continue };
        let mut sum = Crc::new();
        sum.update(data);
        let Some(place) = mended.get_mut(record + 16..record + 20) else { continue };
        place.copy_from_slice(&sum.sum().to_le_bytes());
    }
    (mended != bytes).then_some(mended)
}

/// Whether any layer was read.
fn weights_as_they_are(bytes: &[u8]) -> bool {
    let file = bytes.to_vec();
    let (result, taken) = measured(|| Weights::from_bytes(file, NAME));
    assert_bound(taken, weights_bound(bytes));
    let weights = match result {
        Ok(weights) => weights,
        Err(error) => {
            assert_message(&error);
            return false;
        }
    };
    assert!(weights.mean().iter().all(|value| (0.0..=255.0).contains(value)));
    let mut layers = 0;
    for layer in weights.network().convolutions() {
        let (result, taken) = measured(|| weights.convolution(&layer.name));
        assert_bound(taken, weights_bound(bytes));
        match result {
            Ok(found) => {
                let (inputs, outputs) = (layer.input_channels as usize, layer.output_channels as usize);
                assert_eq!((found.kernel.len(), found.bias.len()), (inputs * outputs * 9, outputs));
                assert!(found.kernel.iter().chain(&found.bias).all(|value| value.is_finite()));
                layers += 1;
            }
            Err(error) => assert_message(&error),
        }
    }
    layers > 0
}

/// What a [`Checkpoint`] may hold for a file of so many bytes, beside those: its numbers again, and the header, taken
/// apart.
pub fn checkpoint_bound(length: usize) -> u64 {
    (64 << 10) + length as u64 * 64
}

/// A checkpoint. Whatever it begins with, it is also tried with its right lengths and its right checksum.
pub fn checkpoint(bytes: &[u8]) -> bool {
    let read = checkpoint_as_it_is(bytes);
    mended_checkpoint(bytes).is_some_and(|mended| checkpoint_as_it_is(&mended)) || read
}

fn checkpoint_as_it_is(bytes: &[u8]) -> bool {
    let (result, taken) = measured(|| Checkpoint::from_bytes(bytes, NAME));
    assert_bound(taken, checkpoint_bound(bytes.len()));
    match result {
        Ok(checkpoint) => {
            let (width, height) = checkpoint.size();
            assert!(u64::from(width) * u64::from(height) * 36 <= bytes.len() as u64);
            let written = checkpoint.to_bytes().expect("a checkpoint can be written");
            assert_eq!(Checkpoint::from_bytes(&written, NAME).ok(), Some(checkpoint));
            true
        }
        Err(error) => {
            assert_message(&error);
            false
        }
    }
}

/// The same with as many bytes as its header promises, the number of its step among them, and their checksum.
fn mended_checkpoint(bytes: &[u8]) -> Option<Vec<u8>> {
    let (header, data) = header_and_data(bytes)?;
    let mut header: Value = serde_json::from_slice(header).ok()?;
    let mut data = promised(&header, data);
    let head = header["__metadata__"]["impasto"].as_str()?.to_owned();
    // The description as it is written, without the brace that closes what is around it.
    let about = head.get(head.find("\"about\":")? + 8..head.len() - 1)?;
    let step = serde_json::from_str::<Value>(about).ok()?["step"].as_u64()? as f32;
    let place = |tensor: &str| -> Option<(usize, usize)> {
        let offset = |end: usize| usize::try_from(header[tensor]["data_offsets"][end].as_u64()?).ok();
        Some((offset(0)?, offset(1)?))
    };
    let (state, _) = place("adam.state")?;
    data.get_mut(state.checked_add(8)?..state.checked_add(12)?)?.copy_from_slice(&step.to_le_bytes());
    let mut hasher = Sha256::new_with_prefix(about);
    for tensor in ["pixels", "adam.m", "adam.v", "adam.state"] {
        let (start, end) = place(tensor)?;
        hasher.update(data.get(start..end)?);
    }
    let sum: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let known = serde_json::from_str::<Value>(&head).ok()?["sha256"].as_str()?.to_owned();
    header["__metadata__"]["impasto"] = head.replacen(&known, &sum, 1).into();
    let header = header.to_string();
    Some([&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat())
}

/// What lies between the length and the last brace, and what is behind it.
fn header_and_data(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = bytes.get(8..)?;
    let end = rest.iter().rposition(|&byte| byte == b'}')?;
    Some(rest.split_at(end + 1))
}

/// As many bytes as the header promises, of those that are there and of ones that make small numbers; not too many.
fn promised(header: &Value, data: &[u8]) -> Vec<u8> {
    let tensors = header.as_object().into_iter().flat_map(|tensors| tensors.values());
    let promised = tensors.filter_map(|tensor| tensor["data_offsets"][1].as_u64()).max().unwrap_or(0);
    data.iter().copied().chain(std::iter::repeat(0x3c)).take(promised.min(1 << 16) as usize).collect()
}

/// What the readers of texts may hold for so many bytes.
pub fn text_bound(length: usize) -> u64 {
    (64 << 10) + length as u64 * 64
}

/// A word of the command line that a parser of ours reads: a size, a file's ending, a layer's name.
pub fn text(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let (size, taken) = measured(|| {
        let _ = PictureFormat::from_extension(&text);
        let network = vgg19(PoolKind::Mean);
        let names = network.nearest_names(&text);
        assert!(!names.is_empty() && names.iter().collect::<HashSet<_>>().len() == names.len());
        text.parse::<Size>()
    });
    assert_bound(taken, text_bound(bytes.len()));
    let Ok(size) = size else { return false };
    assert_eq!(size.to_string().parse::<Size>().ok(), Some(size));
    for (width, height) in [(1, 1), (1, u32::MAX), (u32::MAX, 1), (640, 480), (u32::MAX, u32::MAX)] {
        let (fitted_width, fitted_height) = size.fit(width, height);
        assert!((1..=width).contains(&fitted_width) && (1..=height).contains(&fitted_height));
    }
    true
}

/// What the reader of remembered choices may hold for so many bytes.
pub fn choices_bound(length: usize) -> u64 {
    (64 << 10) + length as u64 * 256
}

/// The choices of methods that are kept in the user's cache folder.
pub fn choices(bytes: &[u8]) -> bool {
    let (result, taken) = measured(|| serde_json::from_slice::<MethodTable>(bytes));
    assert_bound(taken, choices_bound(bytes.len()));
    let Ok(choices) = result else { return false };
    let known = choices.0.keys().copied();
    let asked = Problem {
        op: "conv",
        direction: Direction::Forward,
        inputs: 64,
        outputs: 64,
        d: 1,
        h: 300,
        w: 400,
        geometry: Some(ConvGeometry::SAME_3X3),
    };
    for layer in known.chain([asked]) {
        assert!(choices.nearest(&layer).is_some() || layer == asked);
    }
    let written = serde_json::to_vec(&choices).expect("choices can be written");
    assert_eq!(serde_json::from_slice::<MethodTable>(&written).ok(), Some(choices));
    true
}
