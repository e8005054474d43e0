//! TIFF to a picture, a strip or tile at a time: beside the picture itself a file takes what its largest one does.

use std::io::Cursor;

use image::RgbImage;
use image::metadata::Orientation;
// The room has the crate's name.
use ::tiff::decoder::{Decoder, DecodingResult, Limits};
use ::tiff::tags::{ExtraSamples, PlanarConfiguration, Tag, Type, ValueBuffer};
use ::tiff::{ColorType, TiffError};

use super::colour::{ColourSpace, PixelKind};
use super::file::{DAMAGED, Decoded, File, bytes_of_rgb, one_line, turned};
use super::samples::{Depth, RowConverter, Wanted, seen};
use crate::error::{Error, Result};

/// What a tag may hold: a profile, or the places of many strips.
const TAG_BYTES: usize = 16 << 20;

/// Of those that are not looked for as bytes.
const LONGEST_TAG: usize = 1 << 20;

const RARE_PALETTE: &str = "its colours are those of a rare kind of palette, which is not read";
const UNUSUAL: &str = "save it anew from an image editor, as PNG, or as TIFF of 8 or 16 bits in RGB";

/// Whether these are the first bytes of a TIFF, or of a BigTIFF.
pub(super) fn is_tiff(bytes: &[u8]) -> bool {
    [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"].iter().any(|magic| bytes.starts_with(*magic))
}

type Reader<'file> = Decoder<Cursor<&'file [u8]>>;

/// What the samples of a file are.
#[derive(Clone, Copy)]
struct Samples {
    /// How many of a pixel are read, and how many there are.
    kind: PixelKind,
    count: usize,
    format: Format,
    /// Colours are multiplied by alpha.
    is_premultiplied: bool,
    /// Each colour has strips or tiles of its own.
    planes: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    /// Whole numbers of this many bits, packed in bytes; only of grey.
    Few(u8),
    Whole(Depth),
    /// Linear light.
    Light,
}

/// The decoder knows no palettes: it is given a copy that says that these numbers of colours are levels of grey.
pub(super) fn decode(file: &File<'_>, wanted: Wanted) -> Result<Decoded> {
    match palette_place(file.bytes) {
        Some(place) => {
            let mut copy = file.zeroed(file.bytes.len() as u64)?;
            copy.copy_from_slice(file.bytes);
            let is_little = copy.starts_with(b"II");
            let of_grey = if is_little { BLACK_IS_ZERO.to_le_bytes() } else { BLACK_IS_ZERO.to_be_bytes() };
            copy[place..place + 2].copy_from_slice(&of_grey);
            read(file, &copy, true, wanted)
        }
        None => read(file, file.bytes, false, wanted),
    }
}

/// What levels of grey have as their photometric interpretation, and palettes.
const BLACK_IS_ZERO: u16 = 1;
const PALETTE: u64 = 3;

/// Where a file says that its first picture has a palette, as two bytes.
fn palette_place(bytes: &[u8]) -> Option<usize> {
    const PHOTOMETRIC_INTERPRETATION: u64 = 262;
    const SHORT: u64 = 3;
    let is_little = bytes.starts_with(b"II");
    let number = |at: usize, length: usize| {
        let bytes = bytes.get(at..at.checked_add(length)?)?;
        let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        Some(if is_little { bytes.iter().rev().fold(0, add) } else { bytes.iter().fold(0, add) })
    };
    // Of a BigTIFF: bytes of a place in the file, of the number of entries, and of an entry.
    let is_big = number(2, 2)? == 43;
    let (place, count, entry) = if is_big { (8, 8, 20) } else { (4, 2, 12) };
    let first = usize::try_from(number(place, place)?).ok()?;
    let entries = number(first, count)?.min(u16::MAX.into()) as usize;
    let first = first.checked_add(count)?;
    let mut places = (0..entries).filter_map(|index| first.checked_add(index * entry));
    let found = places.find(|at| number(*at, 2) == Some(PHOTOMETRIC_INTERPRETATION))?;
    let value = found + entry - place;
    (number(found + 2, 2)? == SHORT && number(value, 2)? == PALETTE).then_some(value)
}

/// The picture in `bytes`, which are those of the file but for a palette.
fn read(file: &File<'_>, bytes: &[u8], has_palette: bool, wanted: Wanted) -> Result<Decoded> {
    let fail = |error: TiffError| explained(file, &error);
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(fail)?;
    let (width, height) = decoder.dimensions().map_err(fail)?;
    let mut number = |tag| decoder.find_tag_unsigned::<u32>(tag).ok().flatten();
    // The kinds of raw files that are TIFF begin with a preview.
    let is_preview = number(Tag::NewSubfileType).is_some_and(|kind| kind & 1 == 1);
    if is_preview || file.bytes.get(8..10) == Some(b"CR") {
        let reason = "this is a camera's raw file, which is not read";
        return Err(
            file.error(reason, "develop it with the camera's program, and save it as JPEG, PNG or TIFF")
        );
    }
    let orientation = number(Tag::Orientation).and_then(|number| Orientation::from_exif(number as u8));
    let orientation = orientation.unwrap_or(Orientation::NoTransforms);
    let samples = Samples::of(&mut decoder).map_err(|reason| file.error(reason, UNUSUAL))?;
    let (across, down) = decoder.chunk_dimensions();
    let of_a_pixel = 8 * samples.count as u64;
    let chunk = u64::from(across).saturating_mul(down.into()).saturating_mul(of_a_pixel);
    // What the decoder gives, and the same as this needs it.
    let copy = if has_palette { bytes.len() as u64 } else { 0 };
    let beside = chunk.saturating_mul(2).saturating_add(TAG_BYTES as u64).saturating_add(copy);
    file.check_size(width, height, beside, orientation)?;
    let mut limits = Limits::default();
    // It also bounds what a tag holds, such as a palette.
    limits.decoding_buffer_size = (chunk as usize).max(LONGEST_TAG);
    limits.intermediate_buffer_size = bytes.len();
    limits.ifd_value_size = TAG_BYTES;
    let mut decoder = decoder.with_limits(limits);
    let mut profile = ValueBuffer::empty(Type::UNDEFINED);
    let unread = decoder.image_ifd().find_tag_buf(Tag::IccProfile, &mut profile).err();
    if let Some(TiffError::IoError(io)) = &unread
        && io.kind() == std::io::ErrorKind::UnexpectedEof
    {
        return Err(file.ends_early());
    }
    let mut notes = Vec::new();
    let has_profile = unread.is_some() || !profile.as_bytes().is_empty();
    let space = ColourSpace::of_icc(profile.as_bytes());
    let kind = if has_palette { PixelKind::Rgb { alpha: false } } else { samples.kind };
    let space = ColourSpace::usable(space, has_profile, kind, &mut notes);
    let palette = match has_palette {
        true => Some(palette(file, &mut decoder, &samples, space.as_ref())?),
        false => None,
    };

    let mut rgb = file.zeroed(bytes_of_rgb(width, height))?;
    let columns = width.div_ceil(across);
    let count = columns * height.div_ceil(down);
    let mut parts = Parts::new(samples, space.as_ref(), palette, wanted);
    for index in 0..count {
        let (x, y) = (index % columns * across, index / columns * down);
        let size = decoder.chunk_data_dimensions(index);
        for plane in 0..samples.planes {
            let part = decoder.read_chunk(plane as u32 * count + index).map_err(fail)?;
            parts
                .take(part, plane)
                .ok_or_else(|| file.error("its samples are of an unknown kind", UNUSUAL))?;
        }
        parts
            .write(size, &mut rgb, (x as usize, y as usize), width as usize)
            .ok_or_else(|| file.cannot_be_converted())?;
    }
    if decoder.more_images() {
        notes.push("it has several pages: the first is read".to_owned());
    }
    let picture = RgbImage::from_raw(width, height, rgb)
        .ok_or_else(|| file.error("the decoder gave another size than it promised", DAMAGED))?;
    Ok(Decoded { picture: turned(picture, orientation), notes, has_alpha: samples.kind.has_alpha(), space })
}

impl Samples {
    /// What a file's samples are; a reason where these are not read.
    fn of(decoder: &mut Reader<'_>) -> std::result::Result<Self, String> {
        let mut numbers = |tag| decoder.find_tag_unsigned_vec::<u16>(tag).ok().flatten().unwrap_or_default();
        // 1 is unsigned, 3 a float.
        let is_float = match numbers(Tag::SampleFormat).first() {
            None | Some(1) => false,
            Some(3) => true,
            Some(_) => return Err("its samples have signs, which is not read".to_owned()),
        };
        let extra = numbers(Tag::ExtraSamples).first().copied().unwrap_or(0);
        let count = usize::from(numbers(Tag::SamplesPerPixel).first().copied().unwrap_or(1));
        let is_planar =
            numbers(Tag::PlanarConfiguration).first() == Some(&PlanarConfiguration::Planar.to_u16());
        if numbers(Tag::PhotometricInterpretation).first().copied().map(u64::from) == Some(PALETTE) {
            return Err(RARE_PALETTE.to_owned());
        }
        let is_premultiplied = extra == ExtraSamples::AssociatedAlpha.to_u16();
        let has_alpha = is_premultiplied || extra == ExtraSamples::UnassociatedAlpha.to_u16();
        let colours = decoder.colortype().map_err(|error| one_line(&error.to_string()))?;
        let kind = match colours {
            ColorType::Gray(_) => PixelKind::Grey { alpha: false },
            ColorType::Multiband { num_samples: 2, .. } => PixelKind::Grey { alpha: has_alpha },
            ColorType::RGB(_) | ColorType::YCbCr(_) => PixelKind::Rgb { alpha: false },
            ColorType::RGBA(_) => PixelKind::Rgb { alpha: true },
            ColorType::CMYK(_) | ColorType::CMYKA(_) => PixelKind::Cmyk,
            other => return Err(format!("its colours are {other:?}, which is not read")),
        };
        let is_grey = matches!(kind, PixelKind::Grey { .. });
        let format = match (colours.bit_depth(), is_float) {
            (bits @ (1 | 2 | 4), false) if is_grey && count == 1 => Format::Few(bits),
            (8, false) => Format::Whole(Depth::Eight),
            (16, false) => Format::Whole(Depth::Sixteen),
            (16 | 32 | 64, true) if kind != PixelKind::Cmyk => Format::Light,
            (bits, _) => return Err(format!("its samples have {bits} bits, which is not read")),
        };
        // The decoder leaves out what is not a colour, but of grey.
        let count = if is_planar || !is_grey { usize::from(colours.num_samples()) } else { count };
        let planes = if is_planar { kind.samples().min(count) } else { 1 };
        Ok(Self { kind, count, format, is_premultiplied: is_premultiplied && kind.has_alpha(), planes })
    }
}

/// A palette's colours in sRGB, by their numbers.
type Palette = Vec<[u8; 3]>;

/// The palette of a file whose samples are numbers of colours.
fn palette(
    file: &File<'_>,
    decoder: &mut Reader<'_>,
    samples: &Samples,
    space: Option<&ColourSpace>,
) -> Result<Palette> {
    let bits = match samples.format {
        _ if samples.count != 1 => None,
        Format::Few(bits) => Some(bits),
        Format::Whole(Depth::Eight) => Some(8),
        _ => None,
    };
    let Some(bits) = bits else {
        return Err(file.error(RARE_PALETTE, UNUSUAL));
    };
    let levels = decoder.find_tag_unsigned_vec::<u16>(Tag::ColorMap).ok().flatten().unwrap_or_default();
    let colours = 1_usize << bits;
    if levels.len() < 3 * colours {
        return Err(file.error("its palette ends within a colour", DAMAGED));
    }
    // Some programs write levels of 8 bits where those of 16 belong, or in the upper bytes alone.
    let is_narrow = levels.iter().all(|level| *level < 256);
    let is_upper = levels.iter().all(|level| level % 256 == 0);
    let wide = |level: u16| match (is_narrow, is_upper) {
        (true, _) => level * 257,
        (false, true) => (level >> 8) * 257,
        (false, false) => level,
    };
    // All reds, then all greens, then all blues.
    let interleaved =
        (0..colours).flat_map(|colour| [0, 1, 2].map(|channel| levels[channel * colours + colour]));
    let interleaved: Vec<u8> = interleaved.flat_map(|level| wide(level).to_be_bytes()).collect();
    let mut palette = vec![[0; 3]; colours];
    let kind = PixelKind::Rgb { alpha: false };
    RowConverter::new(kind, Depth::Sixteen, space, Wanted::Colours)
        .convert(&interleaved, palette.as_flattened_mut())
        .ok_or_else(|| file.cannot_be_converted())?;
    Ok(palette)
}

/// The pixels of a strip or tile on their way.
struct Parts {
    samples: Samples,
    palette: Option<Palette>,
    converter: RowConverter,
    wanted: Wanted,
    /// Samples of 8 or 16 bits, in big-endian order.
    whole: Vec<u8>,
    light: Vec<f32>,
}

impl Parts {
    fn new(samples: Samples, space: Option<&ColourSpace>, palette: Option<Palette>, wanted: Wanted) -> Self {
        let depth = match samples.format {
            Format::Whole(depth) => depth,
            _ => Depth::Eight,
        };
        let converter = RowConverter::new(samples.kind, depth, space, wanted);
        // Palettes are opaque.
        let palette = palette.filter(|_| wanted == Wanted::Colours);
        Self { samples, palette, converter, wanted, whole: Vec::new(), light: Vec::new() }
    }

    /// Takes a plane of a part, or all of it; `None` for samples of another type than was said.
    fn take(&mut self, part: DecodingResult, plane: usize) -> Option<()> {
        let Self { samples, whole, light, .. } = self;
        match (samples.format, part) {
            (Format::Few(_), DecodingResult::U8(bytes)) => *whole = bytes,
            (Format::Whole(Depth::Eight), DecodingResult::U8(bytes)) => {
                samples.gather(whole, plane, bytes.into_iter().map(|byte| [byte]));
            }
            (Format::Whole(Depth::Sixteen), DecodingResult::U16(words)) => {
                samples.gather(whole, plane, words.into_iter().map(u16::to_be_bytes));
            }
            (Format::Light, DecodingResult::F32(floats)) => {
                samples.gather(light, plane, floats.into_iter().map(|light| [light]));
            }
            (Format::Light, DecodingResult::F16(floats)) => {
                samples.gather(light, plane, floats.into_iter().map(|light| [light.to_f32()]));
            }
            (Format::Light, DecodingResult::F64(floats)) => {
                samples.gather(light, plane, floats.into_iter().map(|light| [light as f32]));
            }
            _ => return None,
        }
        Some(())
    }

    /// Writes a part of this size (width, height) to its place in a picture of `stride` columns; `None` where its colours
    /// cannot be converted.
    fn write(
        &mut self,
        (width, height): (u32, u32),
        rgb: &mut [u8],
        (x, y): (usize, usize),
        stride: usize,
    ) -> Option<()> {
        let (width, height) = (width as usize, height as usize);
        let rows = rgb.chunks_exact_mut(3 * stride).skip(y).take(height);
        let rows = rows.map(|row| &mut row[3 * x..][..3 * width]);
        let Samples { kind, format, is_premultiplied, .. } = self.samples;
        let length = width * kind.samples();
        if let Some(palette) = &self.palette {
            let bits = if let Format::Few(bits) = format { bits } else { 8 };
            for (row, packed) in rows.zip(self.whole.chunks_exact((width * usize::from(bits)).div_ceil(8))) {
                for (to, number) in row.as_chunks_mut().0.iter_mut().zip(numbers(packed, bits, width)) {
                    *to = *palette.get(usize::from(number))?;
                }
            }
            return Some(());
        }
        match format {
            Format::Few(bits) => {
                for (row, packed) in
                    rows.zip(self.whole.chunks_exact((width * usize::from(bits)).div_ceil(8)))
                {
                    let most = ((1_u16 << bits) - 1) as u8;
                    let grey: Vec<u8> =
                        numbers(packed, bits, width).map(|number| number * (255 / most)).collect();
                    self.converter.convert(&grey, row)?;
                }
            }
            Format::Whole(depth) => {
                let bytes = if depth == Depth::Eight { length } else { 2 * length };
                if is_premultiplied {
                    divide_by_alpha(&mut self.whole, kind.samples(), depth);
                }
                for (row, samples) in rows.zip(self.whole.chunks_exact(bytes)) {
                    self.converter.convert(samples, row)?;
                }
            }
            Format::Light => {
                for (row, light) in rows.zip(self.light.chunks_exact(length)) {
                    for (to, light) in
                        row.as_chunks_mut().0.iter_mut().zip(light.chunks_exact(kind.samples()))
                    {
                        *to = seen(light, kind, is_premultiplied, self.wanted);
                    }
                }
            }
        }
        Some(())
    }
}

impl Samples {
    /// Puts samples where they belong: those of one plane between those of the others; those that are not read are left out.
    fn gather<T: Copy + Default, const N: usize>(
        self,
        pixels: &mut Vec<T>,
        plane: usize,
        samples: impl ExactSizeIterator<Item = [T; N]>,
    ) {
        let read = self.kind.samples();
        if self.planes == 1 {
            pixels.clear();
            let count = self.count;
            let kept = samples.enumerate().filter(|(index, _)| index % count < read);
            pixels.extend(kept.flat_map(|(_, sample)| sample));
            return;
        }
        if plane == 0 {
            pixels.clear();
            pixels.resize(samples.len() * read * N, T::default());
        }
        for (pixel, sample) in pixels.chunks_exact_mut(read * N).zip(samples) {
            pixel[plane * N..][..N].copy_from_slice(&sample);
        }
    }
}

/// Numbers of a few bits, the first in the highest ones of a byte.
fn numbers(packed: &[u8], bits: u8, width: usize) -> impl Iterator<Item = u8> {
    let most = ((1_u16 << bits) - 1) as u8;
    let in_a_byte = usize::from(8 / bits);
    (0..width).map(move |index| {
        let shift = 8 - usize::from(bits) * (index % in_a_byte + 1);
        packed[index / in_a_byte] >> shift & most
    })
}

/// Colours as they were before they were multiplied by alpha, which stands last.
fn divide_by_alpha(samples: &mut [u8], count: usize, depth: Depth) {
    match depth {
        Depth::Eight => {
            for pixel in samples.chunks_exact_mut(count) {
                let Some((alpha, colours)) = pixel.split_last_mut() else { continue };
                let divisor = u32::from((*alpha).max(1));
                let divided = |value: u8| (u32::from(value) * 255 + divisor / 2) / divisor;
                colours.iter_mut().for_each(|value| *value = divided(*value).min(255) as u8);
            }
        }
        Depth::Sixteen => {
            for pixel in samples.chunks_exact_mut(2 * count) {
                let (colours, alpha) = pixel.split_at_mut(2 * count - 2);
                let divisor = u64::from(u16::from_be_bytes([alpha[0], alpha[1]]).max(1));
                for value in colours.as_chunks_mut().0 {
                    let divided = (u64::from(u16::from_be_bytes(*value)) * 65_535 + divisor / 2) / divisor;
                    *value = (divided.min(65_535) as u16).to_be_bytes();
                }
            }
        }
    }
}

fn explained(file: &File<'_>, error: &TiffError) -> Error {
    let text = one_line(&error.to_string());
    match error {
        TiffError::IoError(io) if io.kind() == std::io::ErrorKind::UnexpectedEof => file.ends_early(),
        TiffError::LimitsExceeded => {
            file.error("it takes more memory than a picture of its size should", DAMAGED)
        }
        TiffError::UnsupportedError(_) => file.error(format!("cannot be read: {text}"), UNUSUAL),
        _ => file.error(format!("cannot be decoded: {text}"), DAMAGED),
    }
}
