//! PNG to a picture, a row at a time: beside the picture itself a file takes little, whatever its depth and
//! whatever else is in it.

use std::io::{Cursor, ErrorKind, Read};

use flate2::read::ZlibDecoder;
use image::RgbImage;
use image::metadata::Orientation;
// The room has the crate's name.
use ::png::{
    BitDepth, ColorType, Decoder, DecodingError, Info, InterlaceInfo, Limits, Transformations,
    expand_interlaced_row,
};

use super::colour::{ColourSpace, PROFILE_HEADER, PixelKind, profile_length};
use super::file::{DAMAGED, Decoded, FIRST_FRAME, File, bytes_of_rgb, one_line, turned};
use super::samples::{Depth, RowConverter, Wanted};
use crate::error::{Error, Result};

/// What every PNG begins with.
pub(super) const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// What the decoder may take for rows and for EXIF, which it keeps.
const DECODER_BYTES: usize = 16 << 20;

/// No byte of a deflated stream unpacks to more: 258 bytes take two bits at least.
const MAX_UNPACKED: u64 = 1032;

/// PNG goes straight to the decoder that the image crate uses, because that crate keeps all texts, unpacks
/// colour profiles, and needs the whole picture in its own depth beside the one in 8 bits.
///
/// The pixels are brought to sRGB from what the file says of its colours, in the order of PNG's third edition: code points,
/// a profile, "this is sRGB", an exponent with the colours of its lights.
pub(super) fn decode(file: &File<'_>, wanted: Wanted) -> Result<Decoded> {
    let fail = |error: DecodingError| explained(file, &error);
    let limits = Limits { bytes: DECODER_BYTES };
    let mut decoder = Decoder::new_with_limits(Cursor::new(file.bytes), limits);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    // Palettes become RGB, grey of less than 8 bits one of 8, and a transparent colour an alpha channel.
    decoder.set_transformations(Transformations::EXPAND);
    let outline = Outline::of(file.bytes);
    if outline.is_apples {
        let reason = "this is the kind of PNG that apps for iPhones are made of (CgBI), which other programs do not read";
        return Err(file.error(
            reason,
            "open it on a Mac or with an image editor that reads it, and save it anew as PNG",
        ));
    }
    let header = decoder.read_header_info().map_err(fail)?;
    let ((width, height), bits) = (header.size(), header.bits_per_pixel() as u64);
    let orientation = outline.orientation.unwrap_or(Orientation::NoTransforms);
    if outline.palette_is_cut {
        return Err(file.error("its palette ends within a colour", DAMAGED));
    }
    // EXIF is held twice for a moment.
    file.check_size(width, height, DECODER_BYTES as u64 * 2, orientation)?;
    if u64::from(width) * u64::from(height) * bits / 8 > outline.compressed * MAX_UNPACKED {
        return Err(file.ends_early());
    }
    let mut reader = decoder.read_info().map_err(fail)?;
    let (colours, depth) = reader.output_color_type();
    let (kind, depth) = samples(colours, depth)
        .ok_or_else(|| file.error(format!("{colours:?} of {depth:?} bits is not read"), DAMAGED))?;
    let mut notes: Vec<String> = outline.is_animated.then(|| FIRST_FRAME.to_owned()).into_iter().collect();
    let space = colour_space(&outline, reader.info());
    let space = ColourSpace::usable(space, outline.profile.is_some(), kind, &mut notes);
    let mut converter = RowConverter::new(kind, depth, space.as_ref(), wanted);

    let mut rgb = file.zeroed(bytes_of_rgb(width, height))?;
    if file.damaged_ok && (wanted == Wanted::Colours) == kind.has_alpha() {
        // White under what is transparent, and opaque where nothing is transparent.
        rgb.fill(255);
    }
    let stride = width as usize * 3;
    let (mut lines, mut rows) = (0..height as usize, 0_u32);
    let mut pass_row = Vec::new();
    loop {
        let row = match reader.next_interlaced_row() {
            Ok(Some(row)) => row,
            Ok(None) => break,
            // Of a damaged file what was read before is there.
            Err(error) if rows == 0 || matches!(error, DecodingError::LimitsExceeded) => {
                return Err(fail(error));
            }
            Err(_) if file.damaged_ok => {
                notes.push(match outline.is_interlaced {
                    true => "it is damaged: some of it is missing".to_owned(),
                    false => {
                        format!("it is damaged: its lines from {} to {height} are missing", lines.start + 1)
                    }
                });
                break;
            }
            Err(error) => {
                let Error::Picture { reason, .. } = explained(file, &error) else { return Err(fail(error)) };
                return Err(file.damaged(reason));
            }
        };
        rows += 1;
        let converted = match row.interlace() {
            InterlaceInfo::Null(_) => {
                let Some(line) = lines.next() else { break };
                converter.convert(row.data(), &mut rgb[line * stride..][..stride])
            }
            InterlaceInfo::Adam7(pass) => {
                pass_row.resize(stride, 0);
                let converted = converter.convert(row.data(), &mut pass_row);
                expand_interlaced_row(&mut rgb, stride, &pass_row, pass, 24);
                converted
            }
        };
        converted.ok_or_else(|| file.cannot_be_converted())?;
    }
    let picture = RgbImage::from_raw(width, height, rgb)
        .ok_or_else(|| file.error("the decoder gave another size than it promised", DAMAGED))?;
    Ok(Decoded { picture: turned(picture, orientation), notes, has_alpha: kind.has_alpha(), space })
}

/// What the decoder's rows hold; `None` for samples that it does not give.
fn samples(colours: ColorType, depth: BitDepth) -> Option<(PixelKind, Depth)> {
    let kind = match colours {
        ColorType::Grayscale => PixelKind::Grey { alpha: false },
        ColorType::GrayscaleAlpha => PixelKind::Grey { alpha: true },
        ColorType::Rgb => PixelKind::Rgb { alpha: false },
        ColorType::Rgba => PixelKind::Rgb { alpha: true },
        ColorType::Indexed => return None,
    };
    match depth {
        BitDepth::Eight => Some((kind, Depth::Eight)),
        BitDepth::Sixteen => Some((kind, Depth::Sixteen)),
        _ => None,
    }
}

fn explained(file: &File<'_>, error: &DecodingError) -> Error {
    match error {
        DecodingError::LimitsExceeded => file.error(
            format!("what it holds beside the picture takes more than {} MiB", DECODER_BYTES >> 20),
            "save it anew from an image editor, without its metadata",
        ),
        DecodingError::IoError(io) if io.kind() == ErrorKind::UnexpectedEof => file.ends_early(),
        other => file.error(format!("cannot be decoded: {}", one_line(&other.to_string())), DAMAGED),
    }
}

/// What a file says of its colours; `None` where these are sRGB.
fn colour_space(outline: &Outline<'_>, info: &Info<'_>) -> Option<ColourSpace> {
    if let Some(points) = &info.coding_independent_code_points
        && points.is_video_full_range_image
        && let Some(space) = ColourSpace::of_code_points(points.color_primaries, points.transfer_function)
    {
        return Some(space);
    }
    if let Some(space) = outline.profile.and_then(unpacked).as_deref().and_then(ColourSpace::of_icc) {
        return Some(space);
    }
    if info.srgb.is_some() {
        return None;
    }
    let lights = info.chrm_chunk.map(|lights| {
        [lights.white, lights.red, lights.green, lights.blue].map(|(x, y)| (x.into_value(), y.into_value()))
    });
    ColourSpace::of_exponent(info.gama_chunk?.into_value(), lights)
}

/// The profile in an iCCP chunk, behind its name and the method, of which there is one. No more is unpacked than its own header
/// asks for.
fn unpacked(chunk: &[u8]) -> Option<Vec<u8>> {
    let name = chunk.iter().position(|&byte| byte == 0)?;
    let (0, packed) = chunk.get(name + 1..)?.split_first().map(|(method, packed)| (*method, packed))? else {
        return None;
    };
    let mut stream = ZlibDecoder::new(packed);
    let mut profile = vec![0; PROFILE_HEADER];
    stream.read_exact(&mut profile).ok()?;
    profile.resize(profile_length(&profile)?, 0);
    stream.read_exact(&mut profile[PROFILE_HEADER..]).ok()?;
    Some(profile)
}

/// What a file's chunks say before it is decoded.
#[derive(Debug, Default)]
struct Outline<'file> {
    /// The first iCCP chunk: the decoder refuses a file that has it twice.
    profile: Option<&'file [u8]>,
    /// From the eXIf chunk, wherever it stands: the decoder knows only one before the pixels, and the format
    /// allows it after them.
    orientation: Option<Orientation>,
    /// Bytes of compressed pixels.
    compressed: u64,
    /// A chunk of Apple's stands before the header: colours are in another order, and the stream is without its header.
    is_apples: bool,
    /// There are frames beside the picture.
    is_animated: bool,
    /// It comes in passes, each of which is finer.
    is_interlaced: bool,
    /// A palette has a part of a colour, on which the decoder's version 0.18.1 panics (image-png's issue 694).
    palette_is_cut: bool,
}

impl<'file> Outline<'file> {
    fn of(bytes: &'file [u8]) -> Self {
        let mut outline = Self::default();
        for (kind, length, data) in parts(bytes) {
            match kind {
                b"IDAT" => outline.compressed += data.len() as u64,
                b"CgBI" => outline.is_apples = true,
                b"IHDR" => outline.is_interlaced |= data.get(12) == Some(&1),
                b"acTL" => {
                    outline.is_animated |=
                        data.get(..4).is_some_and(|frames| frames > [0, 0, 0, 1].as_slice())
                }
                b"iCCP" if outline.profile.is_none() => {
                    outline.profile = Some(data).filter(|data| data.len() == length);
                }
                b"PLTE" => outline.palette_is_cut |= !length.is_multiple_of(3),
                b"eXIf" if outline.orientation.is_none() && data.len() == length => {
                    outline.orientation = Orientation::from_exif_chunk(data);
                }
                _ => {}
            }
        }
        outline
    }
}

/// The chunks of a file that are whole: kind and data.
pub(super) fn chunks(file: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    parts(file).filter(|(_, length, data)| data.len() == *length).map(|(kind, _, data)| (kind, data))
}

/// The chunks of a file, with the length that each has by its own word, and as much of it as is there.
fn parts(file: &[u8]) -> impl Iterator<Item = (&[u8; 4], usize, &[u8])> {
    let mut rest = file.get(PNG_SIGNATURE.len()..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length) as usize;
        let (kind, after) = after.split_first_chunk::<4>()?;
        let (data, after) = after.split_at(length.min(after.len()));
        // The checksum's four bytes.
        rest = after.get(4..).unwrap_or_default();
        Some((kind, length, data))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::testing::*;
    use super::super::{Picture, ReadOptions};
    use super::*;
    use image::{DynamicImage, GrayAlphaImage, ImageBuffer, ImageFormat, Luma, LumaA, Rgb, Rgba};

    fn png_of(image: impl Into<DynamicImage>) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.into().write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn every_kind_of_png_is_read() {
        assert_quarters("black-and-white.png", [[0; 3], [255; 3], [255; 3], [0; 3]], 0);
        assert_quarters("grey-16.png", [[0; 3], [128; 3], [255; 3], [18; 3]], 0);
        assert_quarters("palette-transparent.png", [[255, 0, 0], [127, 255, 127], [255; 3], [9, 8, 7]], 0);
        assert_quarters("interlaced.png", QUARTERS, 0);
        // Its default image, not a frame.
        assert_quarters("animated.png", QUARTERS, 0);
    }

    #[test]
    fn sixteen_bits_are_rounded_to_eight() {
        let wide = ImageBuffer::from_fn(3, 1, |x, _| {
            Rgb([[0_u16, 128, 129], [257, 30_000, 65_535], [65_407, 65_406, 1]][x as usize])
        });
        let picture = Picture::decode(&png_of(wide), "").unwrap();
        assert_eq!(picture.rgb(), [0, 0, 1, 1, 117, 255, 255, 254, 0]);
        let grey = ImageBuffer::from_fn(2, 1, |x, _| Luma([[40_000_u16, 700][x as usize]]));
        assert_eq!(Picture::decode(&png_of(grey), "").unwrap().rgb(), [156, 156, 156, 3, 3, 3]);
    }

    #[test]
    fn a_png_of_an_iphones_app_is_called_so() {
        let (reason, remedy) = refusal(&fixture("cgbi.png"));
        assert!(reason.contains("iPhone") && reason.contains("CgBI"), "{reason}");
        assert!(remedy.contains("save it anew"), "{remedy}");
    }

    #[test]
    fn opacity_is_a_grey_picture() {
        let opacity = |bytes: &[u8]| Picture::decode_opacity(bytes, "").unwrap().rgb().to_vec();
        let rgba =
            ImageBuffer::from_fn(2, 1, |x, _| Rgba([[10_u8, 200, 0, 255], [10, 200, 0, 7]][x as usize]));
        assert_eq!(opacity(&png_of(rgba)), [255, 255, 255, 7, 7, 7]);
        assert_eq!(opacity(&png_of(GrayAlphaImage::from_pixel(1, 1, LumaA([100, 51])))), [51; 3]);
        let wide = ImageBuffer::from_pixel(1, 1, Rgba([65_535_u16, 0, 32_768, 13_107]));
        assert_eq!(opacity(&png_of(wide)), [51; 3]);
        let wide = ImageBuffer::from_pixel(1, 1, LumaA([65_535_u16, 257]));
        assert_eq!(opacity(&png_of(wide)), [1; 3]);
        assert_eq!(opacity(&png_of(ImageBuffer::from_pixel(1, 1, Rgb([1_u8, 2, 3])))), [255; 3]);
        assert_eq!(opacity(&png_of(ImageBuffer::from_pixel(1, 1, Luma([40_000_u16])))), [255; 3]);
        let picture = Picture::from_rgb(2, 1, vec![0; 6]).unwrap();
        assert_eq!(opacity(&picture.encode(super::super::PictureFormat::Jpeg).unwrap()), [255; 6]);
        assert!(Picture::decode_opacity(b"no picture", "x").is_err());
    }

    #[test]
    fn alpha_is_composited_over_white() {
        let bytes = png_of(ImageBuffer::from_fn(4, 1, |x, _| {
            Rgba([[10_u8, 200, 0, 255], [10, 200, 0, 0], [10, 200, 0, 128], [255, 0, 1, 1]][x as usize])
        }));
        let picture = Picture::decode(&bytes, "").unwrap();
        // (value·alpha + 255·(255 - alpha)) / 255, to the nearest.
        assert_eq!(picture.rgb(), [10, 200, 0, 255, 255, 255, 132, 227, 127, 255, 254, 254]);

        let bytes = png_of(GrayAlphaImage::from_pixel(1, 1, LumaA([100, 51])));
        assert_eq!(Picture::decode(&bytes, "").unwrap().rgb(), [224; 3]);

        let bytes = png_of(ImageBuffer::from_pixel(1, 1, Rgba([65_535_u16, 0, 32_768, 13_107])));
        assert_eq!(Picture::decode(&bytes, "").unwrap().rgb(), [255, 204, 230]);
        let bytes = png_of(ImageBuffer::from_pixel(1, 1, LumaA([0_u16, 65_535])));
        assert_eq!(Picture::decode(&bytes, "").unwrap().rgb(), [0; 3]);
    }

    fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
        let body = [kind.as_slice(), data].concat();
        [&(data.len() as u32).to_be_bytes()[..], &body, &crc32(&body).to_be_bytes()].concat()
    }

    /// The compressed form of some bytes that stay as they are.
    fn stored(bytes: &[u8]) -> Vec<u8> {
        let mut stream = vec![0x78, 0x01];
        let blocks = bytes.chunks(usize::from(u16::MAX));
        let last = blocks.len() - 1;
        for (place, block) in blocks.enumerate() {
            let length = block.len() as u16;
            stream.push(u8::from(place == last));
            stream.extend([length.to_le_bytes(), (!length).to_le_bytes()].concat());
            stream.extend(block);
        }
        let (low, high) = bytes.iter().fold((1_u32, 0_u32), |(low, high), &byte| {
            let low = (low + u32::from(byte)) % 65_521;
            (low, (high + low) % 65_521)
        });
        stream.extend((high << 16 | low).to_be_bytes());
        stream
    }

    /// A PNG of arbitrary samples with the given chunks before its pixels.
    fn arbitrary_png(
        (width, height): (u32, u32),
        (bits, colours): (u8, u8),
        interlaced: bool,
        chunks: &[u8],
    ) -> Vec<u8> {
        let samples = [1, 0, 3, 1, 2, 0, 4][usize::from(colours)];
        let bits_of_pixel = samples * u32::from(bits);
        let passes: &[[u32; 4]] = if interlaced {
            &[
                [0, 0, 8, 8],
                [4, 0, 8, 8],
                [0, 4, 4, 8],
                [2, 0, 4, 4],
                [0, 2, 2, 4],
                [1, 0, 2, 2],
                [0, 1, 1, 2],
            ]
        } else {
            &[[0, 0, 1, 1]]
        };
        let mut state = width ^ height << 8 ^ bits_of_pixel << 16;
        let mut rows = Vec::new();
        for &[x, y, dx, dy] in passes {
            let (columns, lines) =
                (width.saturating_sub(x).div_ceil(dx), height.saturating_sub(y).div_ceil(dy));
            for _ in 0..if columns > 0 { lines } else { 0 } {
                rows.push(0);
                rows.extend((0..(columns * bits_of_pixel).div_ceil(8)).map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8
                }));
            }
        }
        let header =
            [&width.to_be_bytes()[..], &height.to_be_bytes(), &[bits, colours, 0, 0, interlaced.into()]];
        [
            b"\x89PNG\r\n\x1a\n".to_vec(),
            chunk(b"IHDR", &header.concat()),
            chunks.to_vec(),
            chunk(b"IDAT", &stored(&rows)),
            chunk(b"IEND", &[]),
        ]
        .concat()
    }

    /// Every kind of samples, interlaced or not, with and without a transparent colour, in sizes that fill no
    /// byte and leave passes empty. The image crate asks the same decoder for all of the picture at once.
    #[test]
    fn every_kind_of_samples_becomes_what_the_image_crate_makes_of_it() {
        let palette: Vec<u8> = (0..=255_u8).flat_map(|entry| [entry, entry ^ 0x5a, 255 - entry]).collect();
        let kinds = [1, 2, 4, 8, 16].map(|bits| (bits, 0)).into_iter();
        let kinds = kinds.chain([1, 2, 4, 8].map(|bits| (bits, 3)));
        let kinds = kinds.chain([2, 4, 6].into_iter().flat_map(|colours| [(8, colours), (16, colours)]));
        for (bits, colours) in kinds {
            let entries = 3 << bits.min(8);
            let palette = if colours == 3 { chunk(b"PLTE", &palette[..entries]) } else { Vec::new() };
            let transparent = match colours {
                0 => chunk(b"tRNS", &[0, 1]),
                2 => chunk(b"tRNS", &[0, 1, 0, 2, 0, 3]),
                3 => chunk(b"tRNS", &[0, 128]),
                _ => Vec::new(),
            };
            for chunks in [palette.clone(), [palette, transparent].concat()] {
                for size in [(1, 1), (3, 2), (1, 9), (13, 11), (33, 5)] {
                    for interlaced in [false, true] {
                        let bytes = arbitrary_png(size, (bits, colours), interlaced, &chunks);
                        let picture = Picture::decode(&bytes, "").unwrap();
                        let expected = image::load_from_memory(&bytes).unwrap().into_rgba16();
                        let places = expected.pixels().zip(picture.rgb().as_chunks::<3>().0);
                        for (Rgba([red, green, blue, alpha]), found) in places {
                            // To nearest: half a level, and what 8 bits lose where the other program rounds twice.
                            let share = f64::from(*alpha) / 65_535.0;
                            let near = [red, green, blue].iter().zip(found).all(|(value, found)| {
                                let exact = f64::from(**value) / 257.0 * share + 255.0 * (1.0 - share);
                                (exact - f64::from(*found)).abs() <= 0.5 + 1e-9
                            });
                            assert!(near, "{bits} bits of kind {colours}, {size:?}, interlaced {interlaced}");
                        }
                        assert_eq!((picture.width(), picture.height()), size);
                    }
                }
            }
        }
    }

    #[test]
    fn what_stands_beside_the_picture_does_not_matter() {
        let plain = Picture::decode(&arbitrary_png((5, 4), (8, 2), false, &[]), "").unwrap();
        // No deflated stream, no language, no such chunk.
        let chunks = [
            chunk(b"tEXt", b"Comment\0text"),
            chunk(b"zTXt", b"Comment\0\0not deflated"),
            chunk(b"iTXt", b"Comment\0"),
            chunk(b"iCCP", b"profile\0\0not deflated"),
            chunk(b"prVt", &[7; 1000]),
            chunk(b"eXIf", b"no EXIF"),
        ];
        let picture = Picture::decode(&arbitrary_png((5, 4), (8, 2), false, &chunks.concat()), "").unwrap();
        assert_eq!(picture, plain);
        // What the decoder would have to keep is bounded.
        let long = chunk(b"eXIf", &vec![0; DECODER_BYTES * 2]);
        let (reason, remedy) = refusal(&arbitrary_png((5, 4), (8, 2), false, &long));
        assert!(reason.contains("16 MiB") && remedy.contains("metadata"), "{reason}; {remedy}");
    }

    #[test]
    fn a_palette_is_of_whole_colours() {
        for (length, whole) in [(3, true), (4, false), (5, false), (6, true), (49, false)] {
            let palette = chunk(b"PLTE", &vec![7; length]);
            let bytes = arbitrary_png((5, 4), (4, 3), false, &palette);
            match Picture::decode(&bytes, "") {
                Ok(_) => assert!(whole, "{length}"),
                Err(error) => assert!(!whole && error.to_string().contains("palette ends within a colour")),
            }
        }
    }

    #[test]
    fn a_file_that_is_too_short_for_its_size_is_refused_at_once() {
        let mut bytes = arbitrary_png((5, 4), (8, 2), false, &[]);
        bytes[16..24].copy_from_slice(&[0, 0, 0x40, 0, 0, 0, 0x40, 0]);
        let sum = crc32(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&sum.to_be_bytes());
        assert!(refusal(&bytes).0.contains("ends before the picture"));
    }

    /// What was read of a damaged file stays, and the rest is empty as libpng leaves it.
    #[test]
    fn a_part_is_read_where_that_is_asked_for() {
        let damaged_ok = ReadOptions::default().with(|options| options.damaged_ok = true);
        let of = |bytes: &[u8]| Picture::read_with(bytes, "holiday.png", &damaged_ok);
        for (colours, bits, empty, opacity) in
            [(2, 8, 0, 255), (0, 16, 0, 255), (6, 8, 255, 0), (4, 16, 255, 0)]
        {
            let whole = arbitrary_png((40, 30), (bits, colours), false, &[]);
            let picture = Picture::decode(&whole, "").unwrap();
            assert_eq!(of(&whole).unwrap().picture, picture);
            assert!(of(&whole).unwrap().notes.is_empty());
            let data = whole.windows(4).position(|four| four == b"IDAT").unwrap() + 4;
            let cut = whole[..data + (whole.len() - data) / 2].to_vec();
            let (reason, remedy) = refusal(&cut);
            assert!(
                reason.contains("file ends before") && remedy.contains("damaged_ok"),
                "{reason}; {remedy}"
            );
            let reading = of(&cut).unwrap();
            let note = &reading.notes[0];
            let line: usize = note.split_whitespace().nth(6).unwrap().parse().unwrap();
            assert_eq!(*note, format!("it is damaged: its lines from {line} to 30 are missing"));
            assert!((5..25).contains(&line), "{note}");
            let (there, missing) = reading.picture.rgb().split_at((line - 1) * 40 * 3);
            assert_eq!(there, &picture.rgb()[..there.len()]);
            assert!(missing.iter().all(|level| *level == empty), "{colours}");
            let seen = Picture::decode_opacity_with(&cut, "", &damaged_ok).unwrap();
            assert!(seen.rgb()[there.len()..].iter().all(|level| *level == opacity), "{colours}");
        }
        let passes = arbitrary_png((40, 30), (8, 2), true, &[]);
        let reading = of(&passes[..passes.len() * 3 / 4]).unwrap();
        assert_eq!(reading.notes, ["it is damaged: some of it is missing"]);
        // Nothing of it is there.
        for length in [0, 20, 50, 60] {
            assert!(of(&passes[..length]).is_err(), "{length}");
        }
    }
}
