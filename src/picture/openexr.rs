//! OpenEXR to a picture, a block at a time: the light of the first layer that has red, green and blue.

use std::cell::Cell;
use std::io::{Cursor, ErrorKind};

use exr::block;
use exr::compression::Compression;
use exr::error::Error as ExrError;
use exr::image::read::image::ReadLayers;
use exr::image::read::layers::ReadChannels;
use exr::image::read::read;
use exr::math::Vec2;
use exr::meta::attribute::Text;
use exr::meta::header::Header;
use image::RgbImage;
use image::metadata::Orientation;

use super::colour::{PixelKind, are_of_srgb};
use super::file::{DAMAGED, Decoded, File, bytes_of_rgb, one_line};
use super::samples::{Wanted, seen};
use crate::error::{Error, Result};

const UNUSUAL: &str =
    "save it anew from the program that made it, with red, green and blue in the first layer";

/// What the decoder may take for attributes and tables.
const DECODER_BYTES: u64 = 16 << 20;
/// What it takes of blocks at a time: packed, unpacked, put in order, and the pixels of a line.
const BLOCKS: u64 = 4;
/// No byte of a deflated stream unpacks to more.
const MAX_UNPACKED: u64 = 1032;

/// What every OpenEXR begins with.
pub(super) const SIGNATURE: &[u8] = b"\x76\x2f\x31\x01";

pub(super) fn decode(file: &File<'_>, wanted: Wanted) -> Result<Decoded> {
    let fail = |error: ExrError| explained(file, &error);
    let chunks = block::read(Cursor::new(file.bytes), false).map_err(fail)?;
    let has =
        |header: &Header, name: &str| header.channels.find_index_of_channel(&Text::from(name)).is_some();
    let is_read = |header: &&Header| !header.deep && ["R", "G", "B"].iter().all(|name| has(header, name));
    let Some(header) = chunks.headers().iter().find(is_read) else {
        return Err(file.error("it has no layer with red, green and blue", UNUSUAL));
    };
    let has_alpha = has(header, "A");
    let mut notes = Vec::new();
    if chunks.headers().len() > 1 {
        notes.push("it has several layers: the first with red, green and blue is read".to_owned());
    }
    if let Some(lights) = header.shared_attributes.chromaticities {
        let lights = [lights.white, lights.red, lights.green, lights.blue].map(|Vec2(x, y)| (x, y));
        if !are_of_srgb(lights) {
            notes.push("its red, green and blue are taken as those of sRGB, which they are not".to_owned());
        }
    }

    let Vec2(columns, rows) = header.layer_size;
    let window = header.shared_attributes.display_window;
    let [width, height] = [window.size.0, window.size.1].map(|side| u32::try_from(side).unwrap_or(u32::MAX));
    let largest = [columns, rows].map(|side| u32::try_from(side).unwrap_or(u32::MAX));
    let of_a_block = (header.max_block_byte_size() as u64).saturating_add(16 * columns as u64);
    let beside = of_a_block.saturating_mul(BLOCKS).saturating_add(DECODER_BYTES);
    // What lies outside the window is read, too.
    file.check_size(largest[0], largest[1], beside, Orientation::NoTransforms)?;
    file.check_size(width, height, beside, Orientation::NoTransforms)?;
    let is_deflated = !matches!(
        header.compression,
        Compression::PIZ | Compression::B44 | Compression::B44A | Compression::DWAA(_) | Compression::DWAB(_)
    );
    // A place in the table of blocks, and what stands in front of one.
    const BYTES_OF_A_BLOCK: u64 = 8 + 8;
    let blocks = (header.chunk_count as u64).saturating_mul(BYTES_OF_A_BLOCK);
    let unpacked = (columns as u64 * rows as u64).saturating_mul(header.channels.bytes_per_pixel as u64);
    let bytes = file.bytes.len() as u64;
    if blocks > bytes || is_deflated && unpacked > bytes * MAX_UNPACKED {
        return Err(file.ends_early());
    }

    let Vec2(x, y) = header.own_attributes.layer_position;
    let (across, down) =
        (i64::from(x) - i64::from(window.position.0), i64::from(y) - i64::from(window.position.1));
    let mut rgb = file.zeroed(bytes_of_rgb(width, height))?;
    // Where no data are, there is nothing to be seen: black, or what is transparent.
    if (wanted == Wanted::Colours) == has_alpha {
        rgb.fill(255);
    }
    let kind = PixelKind::Rgb { alpha: has_alpha };
    let room = Cell::new(rgb);
    let place = move |Vec2(column, row): Vec2<usize>| {
        let (column, row) = (column as i64 + across, row as i64 + down);
        let is_inside = (0..i64::from(width)).contains(&column) && (0..i64::from(height)).contains(&row);
        is_inside.then(|| 3 * (row as usize * width as usize + column as usize))
    };
    let image = read()
        .no_deep_data()
        .largest_resolution_level()
        .rgba_channels(
            |_, _| room.take(),
            move |rgb: &mut Vec<u8>, at, (red, green, blue, alpha): (f32, f32, f32, f32)| {
                if let Some(to) = place(at).and_then(|place| rgb.get_mut(place..place + 3)) {
                    let light = [red, green, blue, alpha];
                    to.copy_from_slice(&seen(&light[..kind.samples()], kind, true, wanted));
                }
            },
        )
        .first_valid_layer()
        .all_attributes()
        .non_parallel()
        .from_chunks(chunks)
        .map_err(fail)?;
    let picture = RgbImage::from_raw(width, height, image.layer_data.channel_data.pixels)
        .ok_or_else(|| file.error("the decoder gave another size than it promised", DAMAGED))?;
    Ok(Decoded { picture, notes, has_alpha, space: None })
}

fn explained(file: &File<'_>, error: &ExrError) -> Error {
    match error {
        ExrError::Io(io) if io.kind() == ErrorKind::UnexpectedEof => file.ends_early(),
        ExrError::NotSupported(what) => file.error(format!("cannot be read: {}", one_line(what)), UNUSUAL),
        // The decoder has no other sign of it.
        ExrError::Invalid(what) if what.contains("reference to missing bytes") => file.ends_early(),
        other => file.error(format!("cannot be decoded: {}", one_line(&other.to_string())), DAMAGED),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use exr::prelude::{Encoding, Image, Layer, LayerAttributes, SpecificChannels, WritableImage};

    use super::super::testing::*;
    use super::super::{Picture, ReadOptions};
    use super::*;

    /// A file by the crate's own encoder.
    fn written(compression: Compression) -> Vec<u8> {
        let light = |Vec2(x, y): Vec2<usize>| (x as f32 / 60.0, y as f32 / 40.0, 0.5_f32);
        let encoding = Encoding { compression, ..Encoding::default() };
        let layer = Layer::new((64, 48), LayerAttributes::default(), encoding, SpecificChannels::rgb(light));
        let mut file = Cursor::new(Vec::new());
        Image::from_layer(layer).write().non_parallel().to_buffered(&mut file).unwrap();
        file.into_inner()
    }

    /// Kinds that no other program here writes: a gradient comes back, as far as the kind keeps it.
    #[test]
    fn every_compression_is_read() {
        use Compression::{B44, B44A, PIZ, PXR24, RLE, Uncompressed, ZIP1, ZIP16};
        let kinds = [Uncompressed, RLE, ZIP1, ZIP16, PIZ, PXR24, B44, B44A];
        let exact = Picture::decode(&written(Uncompressed), "").unwrap();
        assert_eq!(pixel(&exact, 60, 0)[0], 255);
        for kind in kinds {
            let file = written(kind);
            let picture = Picture::decode(&file, "").unwrap();
            let worst = picture.rgb().iter().zip(exact.rgb()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(worst <= 6, "{kind:?}: {worst}");
            for length in (0..file.len()).step_by(97) {
                refusal(&file[..length]);
            }
        }
    }

    #[test]
    fn a_compression_that_is_not_read_is_said() {
        let mut file = fixture("format-exr-deflated.exr");
        let name = b"compression\0compression\0";
        let place = file.windows(name.len()).position(|window| window == name).unwrap() + name.len() + 4;
        for number in [8, 9] {
            file[place] = number;
            let (reason, remedy) = refusal(&file);
            assert!(reason.contains("compress") && !remedy.is_empty(), "{reason}; {remedy}");
        }
    }

    #[test]
    fn damage_of_any_kind_is_no_panic() {
        let mut random = random(7);
        for kind in [Compression::PIZ, Compression::B44, Compression::PXR24] {
            let whole = written(kind);
            for _ in 0..200 {
                let mut bytes = whole.clone();
                for _ in 0..=random(4) {
                    let place = random(bytes.len());
                    bytes[place] = random(256) as u8;
                }
                let _ = Picture::read_with(&bytes, "", &ReadOptions::default());
            }
        }
    }
}
