//! WebP, GIF, BMP, QOI and Radiance to a picture, by the decoders of the image crate, each of which gives the whole picture at
//! once.

use std::io::Cursor;

use image::codecs::bmp::BmpDecoder;
use image::codecs::gif::GifDecoder;
use image::codecs::hdr::HdrDecoder;
use image::codecs::qoi::QoiDecoder;
use image::codecs::webp::WebPDecoder;
use image::error::LimitErrorKind;
use image::metadata::Orientation;
use image::{ColorType, ImageDecoder, ImageError, Limits, RgbImage};

use super::colour::{ColourSpace, PixelKind};
use super::file::{DAMAGED, Decoded, FIRST_FRAME, File, bytes_of_rgb, one_line, turned};
use super::samples::{Depth, RowConverter, Wanted, level};
use crate::error::{Error, Result};

/// The formats that are read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OtherFormat {
    WebP,
    Gif,
    Bmp,
    Qoi,
    Radiance,
}

impl OtherFormat {
    /// The format of a file by its first bytes.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let starts = |magic: &[u8]| bytes.starts_with(magic);
        if starts(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
            Some(Self::WebP)
        } else if starts(b"GIF87a") || starts(b"GIF89a") {
            Some(Self::Gif)
        } else if starts(b"qoif") {
            Some(Self::Qoi)
        } else if starts(b"#?RADIANCE") || starts(b"#?RGBE") {
            Some(Self::Radiance)
        } else if starts(b"BM") && bytes.get(6..10) == Some(&[0; 4]) {
            // The four bytes are reserved: texts begin with these letters, too.
            Some(Self::Bmp)
        } else {
            None
        }
    }

    /// The most pixels that a byte of the file can stand for; `None` where that has no bound.
    fn pixels_of_a_byte(self, bytes: &[u8]) -> Option<u64> {
        match self {
            // One code of a bit may stand for all pixels of a tile, or of the picture.
            Self::WebP => None,
            // 4096 pixels of a code of 12 bits.
            Self::Gif => Some(2731),
            // A run.
            Self::Qoi => Some(62),
            // A line of 32768 pixels that are alike: three codes of four bytes.
            Self::Radiance => Some(2731),
            // Where it is not compressed: the bits of a pixel.
            Self::Bmp => {
                let field = |at: usize| bytes.get(at..at + 2).map(|two| u16::from_le_bytes([two[0], two[1]]));
                let is_plain = field(14)? >= 40 && matches!(field(30)?, 0 | 3 | 6);
                is_plain.then_some(8_u64.div_ceil(u64::from(field(28)?.max(1))))
            }
        }
    }

    /// Bytes that the decoder takes for a pixel beside those that it gives.
    fn decoders_bytes(self, animated: bool) -> u64 {
        match self {
            // Planes of colours, the picture with alpha, alpha alone; of an animation a canvas and a frame besides.
            Self::WebP => 10 + if animated { 8 } else { 0 },
            // A frame that is smaller than the picture.
            Self::Gif => 4,
            Self::Bmp | Self::Qoi | Self::Radiance => 0,
        }
    }
}

/// Metadata and buffers of rows that a decoder may hold.
const DECODER_BYTES: u64 = 16 << 20;

pub(super) fn decode(file: &File<'_>, format: OtherFormat, wanted: Wanted) -> Result<Decoded> {
    let bytes = Cursor::new(file.bytes);
    let fail = |error: ImageError| explained(file, &error);
    match format {
        OtherFormat::WebP => {
            // What stands behind the pixels belongs to the picture, too: how it is turned.
            let whole =
                file.bytes.get(4..8).and_then(<[u8]>::first_chunk).map(|size| u32::from_le_bytes(*size));
            if whole.is_some_and(|whole| file.bytes.len() < (whole as usize & !1).saturating_add(8)) {
                return Err(file.ends_early());
            }
            let decoder = WebPDecoder::new(bytes).map_err(fail)?;
            let animated = decoder.has_animation();
            read(file, format, decoder, animated, wanted)
        }
        OtherFormat::Gif => {
            let animated = has_two_frames(file.bytes);
            read(file, format, GifDecoder::new(bytes).map_err(fail)?, animated, wanted)
        }
        OtherFormat::Bmp => read(file, format, BmpDecoder::new(bytes).map_err(fail)?, false, wanted),
        OtherFormat::Qoi => read(file, format, QoiDecoder::new(bytes).map_err(fail)?, false, wanted),
        OtherFormat::Radiance => {
            // Runs of no length one after another, on which the decoder's arithmetic overflows (image 0.25.10).
            if file.bytes.windows(EMPTY_RUNS.len()).any(|window| window == EMPTY_RUNS) {
                return Err(file.error("its runs are empty", DAMAGED));
            }
            read(file, format, HdrDecoder::new(bytes).map_err(fail)?, false, wanted)
        }
    }
}

/// The seventh run is the last whose length the decoder can count.
const EMPTY_RUNS: &[u8] = &[1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0];

/// Whether a second frame follows the first one of a GIF.
fn has_two_frames(bytes: &[u8]) -> bool {
    let mut options = gif::DecodeOptions::new();
    options.skip_frame_decoding(true);
    let Ok(mut decoder) = options.read_info(Cursor::new(bytes)) else { return false };
    let mut is_there = || decoder.next_frame_info().is_ok_and(|frame| frame.is_some());
    is_there() && is_there()
}

fn read<D: ImageDecoder>(
    file: &File<'_>,
    format: OtherFormat,
    mut decoder: D,
    animated: bool,
    wanted: Wanted,
) -> Result<Decoded> {
    let fail = |error: ImageError| explained(file, &error);
    let (width, height) = decoder.dimensions();
    // A block that cannot be read is passed over, as in other files.
    let orientation = orientation(&mut decoder).unwrap_or(Orientation::NoTransforms);
    let pixels = u64::from(width) * u64::from(height);
    let given = pixels.saturating_mul(decoder.color_type().bytes_per_pixel().into());
    let beside = pixels.saturating_mul(format.decoders_bytes(animated));
    file.check_size(width, height, given.saturating_add(beside) + DECODER_BYTES, orientation)?;
    if format.pixels_of_a_byte(file.bytes).is_some_and(|most| pixels > file.bytes.len() as u64 * most) {
        return Err(file.ends_early());
    }
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(given + beside + DECODER_BYTES);
    decoder.set_limits(limits).map_err(fail)?;
    let profile = decoder.icc_profile().ok().flatten();
    let colours = decoder.color_type();
    let mut notes: Vec<String> = animated.then(|| FIRST_FRAME.to_owned()).into_iter().collect();
    let space = profile.as_deref().and_then(ColourSpace::of_icc);
    let space =
        kind(colours).and_then(|kind| ColourSpace::usable(space, profile.is_some(), kind, &mut notes));
    let mut samples = file.zeroed(given)?;
    decoder.read_image(&mut samples).map_err(fail)?;

    let rgb = if colours == ColorType::Rgb8 && space.is_none() && wanted == Wanted::Colours {
        samples
    } else {
        let mut rgb = file.zeroed(bytes_of_rgb(width, height))?;
        let rows = samples.chunks_exact(given as usize / height as usize);
        let rows = rows.zip(rgb.chunks_exact_mut(3 * width as usize));
        match kind(colours) {
            Some(kind) => {
                let mut converter = RowConverter::new(kind, Depth::Eight, space.as_ref(), wanted);
                for (from, to) in rows {
                    converter.convert(from, to).ok_or_else(|| file.cannot_be_converted())?;
                }
            }
            None if colours == ColorType::Rgb32F => {
                rows.for_each(|(from, to)| match wanted {
                    Wanted::Colours => levels(from, to),
                    Wanted::Opacity => to.fill(255),
                });
            }
            None => return Err(file.error(format!("{colours:?} is not read"), DAMAGED)),
        }
        rgb
    };
    let picture = RgbImage::from_raw(width, height, rgb)
        .ok_or_else(|| file.error("the decoder gave another size than it promised", DAMAGED))?;
    Ok(Decoded { picture: turned(picture, orientation), notes, has_alpha: colours.has_alpha(), space })
}

/// How the picture is turned, by its EXIF.
fn orientation(decoder: &mut impl ImageDecoder) -> Option<Orientation> {
    let exif = decoder.exif_metadata().ok()??;
    // Some programs put in front what belongs to a segment of JPEG.
    Orientation::from_exif_chunk(exif.strip_prefix(b"Exif\0\0").unwrap_or(&exif))
}

/// What the samples of 8 bits are.
fn kind(colours: ColorType) -> Option<PixelKind> {
    Some(match colours {
        ColorType::L8 => PixelKind::Grey { alpha: false },
        ColorType::La8 => PixelKind::Grey { alpha: true },
        ColorType::Rgb8 => PixelKind::Rgb { alpha: false },
        ColorType::Rgba8 => PixelKind::Rgb { alpha: true },
        _ => return None,
    })
}

/// Floats of linear light, in this machine's order, to levels.
fn levels(light: &[u8], levels: &mut [u8]) {
    for (light, to) in light.as_chunks().0.iter().zip(levels) {
        *to = level(f32::from_ne_bytes(*light));
    }
}

fn explained(file: &File<'_>, error: &ImageError) -> Error {
    let text = one_line(&error.to_string());
    // Some decoders have no other sign of it.
    let names_end = text.to_lowercase().contains("unexpected end of");
    match error {
        _ if names_end => file.ends_early(),
        ImageError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => file.ends_early(),
        ImageError::Limits(limit) if limit.kind() == LimitErrorKind::InsufficientMemory => {
            file.error("it takes more memory than a picture of its size should", DAMAGED)
        }
        ImageError::Unsupported(_) => {
            file.error(format!("cannot be read: {text}"), "save it anew from an image editor, as PNG or JPEG")
        }
        _ => file.error(format!("cannot be decoded: {text}"), DAMAGED),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::Picture;
    use super::super::testing::*;
    use super::*;

    /// The most levels that a fixture may be off: lossy decoders differ a little in how they scale chroma, and a profile's
    /// curve makes more of a level in the dark.
    fn levels_off(name: &str) -> u8 {
        match name {
            "format-lossy.webp" | "format-lossy-alpha.webp" | "format-jpeg.tif" => 3,
            _ if name.starts_with("format-profile") => 3,
            // The other program rounds once more where it divides.
            "format-multiplied.tif" => 2,
            // Of five bits each program makes eight in its own way.
            "format-15-bits.bmp" => 1,
            _ if name.contains("exr") => 1,
            _ if name.contains("alpha") || name.contains("light") || name.ends_with(".hdr") => 1,
            _ => 0,
        }
    }

    #[test]
    fn every_format_is_what_another_program_reads() {
        let names = with_twins("format-");
        assert!(names.len() >= 47, "{names:?}");
        let mut wrong = Vec::new();
        for name in names {
            let (worst, mean) = apart(&name);
            if worst > levels_off(&name) {
                wrong.push(format!("{name}: {worst} levels at most, {mean:.2} on the average"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn flat_quarters_are_read() {
        for name in ["moving.gif", "picture.webp", "picture.tiff"] {
            assert_quarters(name, QUARTERS, 0);
        }
    }

    #[test]
    fn the_first_of_several_is_read_and_that_is_said() {
        for name in with_twins("format-").into_iter().chain(with_twins("animated")) {
            let notes = Picture::read(&fixture(&name), &name).unwrap().notes;
            let expected: &[&str] = match &*name {
                "format-moving.webp" | "format-moving-frames.gif" | "animated.png" | "animated-first.png" => {
                    &[FIRST_FRAME]
                }
                "format-pages.tif" => &["it has several pages: the first is read"],
                _ => &[],
            };
            assert_eq!(notes, expected, "{name}");
        }
    }

    #[test]
    fn opacity_is_read_from_every_format() {
        let opacity = |name: &str| Picture::decode_opacity(&fixture(name), name).unwrap();
        let exact = opacity("format-lossless-alpha.webp");
        assert!(exact.rgb().contains(&0) && exact.rgb().contains(&255) && exact.rgb().contains(&100));
        for name in [
            "format-lossy-alpha.webp",
            "format-alpha.qoi",
            "format-alpha-tiff.tif",
            "format-multiplied.tif",
            "format-grey-alpha.tif",
            "format-exr-alpha.exr",
        ] {
            assert_eq!(opacity(name), exact, "{name}");
        }
        for name in [
            "format-lossy.webp",
            "format-radiance-runs.hdr",
            "format-24-bits.bmp",
            "format-light.tif",
            "format-palette-4-bits.tif",
            "format-exr-window.exr",
        ] {
            assert!(opacity(name).rgb().iter().all(|level| *level == 255), "{name}");
        }
        assert!(opacity("format-transparent.gif").rgb().contains(&0));
    }

    #[test]
    fn what_is_not_read_says_what_to_do() {
        // A palette of too few colours, and one of 16 bits.
        let with = |tag: u16, at: usize, value: u16| {
            let mut file = fixture("format-palette-8-bits.tif");
            let entry = [tag.to_le_bytes(), 3_u16.to_le_bytes()].concat();
            let place = file.windows(4).position(|four| four == entry).unwrap();
            file[place + at..place + at + 2].copy_from_slice(&value.to_le_bytes());
            file
        };
        let (reason, _) = refusal(&with(320, 4, 700));
        assert!(reason.contains("its palette ends within a colour"), "{reason}");
        let (reason, remedy) = refusal(&with(258, 8, 16));
        assert!(reason.contains("a rare kind of palette") && remedy.contains("PNG"), "{reason}; {remedy}");
        let (reason, remedy) = refusal(&fixture("preview.tif"));
        assert!(reason.contains("raw file") && remedy.contains("develop"), "{reason}; {remedy}");
    }

    #[test]
    fn runs_without_a_length_are_refused() {
        let head = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 8 +X 8\n\x10\x10\x10\x80";
        let file = [&head[..], &[1, 1, 1, 0].repeat(20)].concat();
        assert!(refusal(&file).0.contains("runs are empty"));
    }
}
