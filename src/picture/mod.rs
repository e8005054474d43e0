//! Image files to 8-bit RGB and back.
//!
//! Nothing here opens a path: a picture comes from bytes and goes to bytes, so that a host decides where they
//! lie. Planar f32 (3, H, W) with the mean subtracted is made from [`Picture::to_rgba`] on the GPU, which
//! also makes the RGBA that [`Picture::from_rgba`] takes.

mod colour;
mod encode;
mod file;
mod jpeg;
mod metadata;
mod openexr;
mod other;
mod png;
mod samples;
mod size;
#[cfg(test)]
mod testing;
mod tiff;

use std::fmt;
use std::sync::Arc;

use image::imageops::{self, FilterType};
use image::{ImageBuffer, Rgb};

pub use colour::ColourProfile;
pub use encode::PictureFormat;
use encode::{Manner, Pixels};
use file::{Decoded, File, one_line};
pub use file::{LONGEST_SIDE, MEMORY_LIMIT};
pub use metadata::Metadata;
use other::OtherFormat;
pub use samples::Depth;
use samples::{Wanted, over_white};
pub use size::{Extent, Size};

use crate::error::{Error, Remedy, Result};

/// High enough that its blocks do not show in flat paint.
const JPEG_QUALITY: u8 = 95;

/// What a file may be, for messages.
const READABLE: &str = "PNG, JPEG, WebP, TIFF, GIF, BMP, QOI, Radiance and OpenEXR are read: open it in an image editor and save it as PNG or JPEG";

/// What to do with a photograph of a telephone.
const OF_A_TELEPHONE: &str = "save it as JPEG from the telephone's own program or an image editor, or convert it with ImageMagick: magick FILE FILE.png";

/// An 8-bit sRGB picture, interleaved (H, W, 3), with at least one pixel. Cheap to clone: clones share the pixels. One that
/// [`crate::transfer::Transfer`] has painted may have samples of 16 bits beside those of 8.
#[derive(Clone)]
pub struct Picture {
    width: u32,
    height: u32,
    rgb: Arc<Vec<u8>>,
    /// The same in 16 bits, where it was made of something finer than 8.
    wide: Option<Arc<Vec<u16>>>,
    /// The digest of the picture that this is a smaller copy of.
    origin: Option<Arc<str>>,
}

/// Pictures are equal where their pixels are, in 8 bits.
impl PartialEq for Picture {
    fn eq(&self, other: &Self) -> bool {
        (self.width, self.height, &self.rgb) == (other.width, other.height, &other.rgb)
    }
}

impl Eq for Picture {}

/// How a picture is written.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EncodeOptions {
    /// The quality of JPEG, 1 to 100; 95 unless it is set. The other formats keep every pixel.
    pub quality: u8,
    /// What is said beside the pixels.
    pub metadata: Metadata,
    /// How opaque the pixels are, as [`Picture::decode_opacity`] gives it; it is brought to the picture's size. The pixels are
    /// taken as lying over white, and get the colours with which they look over white as they are. JPEG leaves it out.
    pub opacity: Option<Picture>,
    /// Bits of a sample. PNG and TIFF hold 16; a picture that has only 8 gets no more by them.
    pub depth: Depth,
    /// The colour space of the file, with its profile; sRGB where there is none. Colours that it does not have are cut off. A
    /// space of grey makes a grey picture.
    pub colours: Option<ColourProfile>,
}

impl Default for EncodeOptions {
    fn default() -> Self {
        Self {
            quality: JPEG_QUALITY,
            metadata: Metadata::default(),
            opacity: None,
            depth: Depth::Eight,
            colours: None,
        }
    }
}

impl EncodeOptions {
    /// These options after `change`.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Whether a picture can be written with these options as a file in `format`.
    ///
    /// # Errors
    /// [`Error::Picture`] for 16 bits in a JPEG or WebP, a profile of inks, or one that does not say how colours are brought to
    /// it, and a profile of grey in a WebP.
    pub fn check(&self, format: PictureFormat) -> Result<()> {
        match self.manner(format).fault() {
            Some((reason, remedy)) => {
                Err(Error::Picture { name: format.name().to_owned(), reason, remedy: remedy.into() })
            }
            None => Ok(()),
        }
    }

    fn manner(&self, format: PictureFormat) -> Manner<'_> {
        let Self { quality, depth, ref metadata, ref colours, .. } = *self;
        Manner { format, depth, quality, metadata, colours: colours.as_ref() }
    }
}

/// How a picture's file is read.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ReadOptions {
    /// Whether a damaged or truncated PNG or JPEG becomes a picture of the part that is there, with a note, in place of an error.
    /// The rest of a JPEG is grey, or less sharp where its scans refine each other; that of a PNG is black, or transparent where
    /// it has an alpha channel.
    pub damaged_ok: bool,
}

impl ReadOptions {
    /// These options after `change`.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

/// A picture's file as it was read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Reading {
    /// The picture.
    pub picture: Picture,
    /// What its user should know, such as that only the first of several frames was read; each is one line, and begins with
    /// what is true of "it".
    pub notes: Vec<String>,
    /// Whether the format's pixels have an alpha channel, opaque or not.
    pub has_alpha: bool,
    /// The colour space that it names, by a profile or otherwise, from which it was brought to sRGB.
    pub colours: Option<ColourProfile>,
}

/// What is wanted of a file of any format.
fn decode(file: &File<'_>, wanted: Wanted) -> Result<Reading> {
    let bytes = file.bytes;
    let Decoded { picture, notes, has_alpha, space } = if bytes.starts_with(png::PNG_SIGNATURE) {
        png::decode(file, wanted)?
    } else if bytes.starts_with(b"\xff\xd8\xff") {
        jpeg::decode(file, wanted)?
    } else if tiff::is_tiff(bytes) {
        tiff::decode(file, wanted)?
    } else if bytes.starts_with(openexr::SIGNATURE) {
        openexr::decode(file, wanted)?
    } else if let Some(format) = OtherFormat::of(bytes) {
        other::decode(file, format, wanted)?
    } else if bytes.is_empty() {
        return Err(file.error("the file is empty", "name a file with a picture, such as PNG or JPEG"));
    } else {
        return Err(match other_format(bytes) {
            Some((format, remedy)) => file.error(format!("this is {format}, which is not read"), remedy),
            None => file.error("this is not a picture in a known format", READABLE),
        });
    };
    let (width, height, rgb) = taken_apart(picture);
    let picture = Picture::from_rgb(width, height, rgb)?;
    Ok(Reading { picture, notes, has_alpha, colours: space.map(ColourProfile::new) })
}

/// Width, height and pixels.
fn taken_apart(picture: image::RgbImage) -> (u32, u32, Vec<u8>) {
    let (width, height) = picture.dimensions();
    (width, height, picture.into_raw())
}

impl Picture {
    /// A picture from interleaved RGB of `width` × `height` × 3 bytes.
    ///
    /// # Errors
    /// [`Error::Shape`] if a side is zero or the length is another.
    pub fn from_rgb(width: u32, height: u32, rgb: Vec<u8>) -> Result<Self> {
        check_length("Picture::from_rgb", width, height, 3, rgb.len())?;
        Ok(Self::of_pixels(width, height, rgb))
    }

    /// A picture from interleaved RGBA of `width` × `height` × 4 bytes. Alpha is straight, and composited over white as
    /// [`Picture::decode`] does it.
    ///
    /// # Errors
    /// [`Error::Shape`] if a side is zero or the length is another.
    pub fn from_rgba(width: u32, height: u32, rgba: &[u8]) -> Result<Self> {
        check_length("Picture::from_rgba", width, height, 4, rgba.len())?;
        let pixels = rgba.as_chunks::<4>().0.iter();
        let rgb =
            pixels.flat_map(|&[colours @ .., alpha]: &[u8; 4]| colours.map(|value| over_white(value, alpha)));
        Ok(Self::of_pixels(width, height, rgb.collect()))
    }

    fn of_pixels(width: u32, height: u32, rgb: Vec<u8>) -> Self {
        Self { width, height, rgb: Arc::new(rgb), wide: None, origin: None }
    }

    /// This picture with samples of 16 bits made of planes (3, H, W) of levels 0 to 255 minus the `mean`.
    ///
    /// # Errors
    /// [`Error::Shape`] where there are more or fewer levels.
    pub(crate) fn with_wide(self, planes: &[f32], mean: [f32; 3]) -> Result<Self> {
        let plane = self.rgb.len() / 3;
        if planes.len() != 3 * plane {
            return Err(Error::Shape {
                op: "Picture::with_wide",
                expected: format!("{} levels", 3 * plane),
                found: planes.len().to_string(),
            });
        }
        // 255 levels of 8 bits are 65535 of 16. What lies halfway goes to the even one, in 8 bits as in 16.
        let sample = |level: f32| (f64::from(level) * 257.0).round_ties_even() as u16;
        let pixel =
            |place: usize| [0, 1, 2].map(|channel| sample(planes[channel * plane + place] + mean[channel]));
        let wide = (0..plane).flat_map(pixel).collect();
        Ok(Self { wide: Some(Arc::new(wide)), ..self })
    }

    /// Reads a picture's file, whose format is found by its content; `name` is what messages call it. PNG, JPEG, WebP, TIFF, GIF,
    /// BMP, QOI, Radiance (HDR) and OpenEXR are read.
    ///
    /// The EXIF orientation is carried out. Colours are converted to sRGB from what the file says of them, as far as that can
    /// be used: an ICC profile of grey, RGB or CMYK, PNG's cICP, gAMA and cHRM, EXIF's Adobe RGB. Alpha is composited over
    /// white. Grey, palette, 16-bit and CMYK pictures become 8-bit RGB. Floats, which Radiance, OpenEXR and some kinds of TIFF
    /// have, are linear light: what is brighter than 1 becomes white, everything else what sRGB encodes it as. Of an animation
    /// the first frame is read, or an animated PNG's default image, and of a TIFF the first page.
    ///
    /// # Errors
    /// [`Error::Picture`] for any other format, for a damaged or truncated file, for a picture larger than
    /// [`LONGEST_SIDE`] or [`MEMORY_LIMIT`], where there is too little memory, and for rare kinds of JPEG (arithmetic, lossless
    /// and hierarchical ones, those of 12 bits) and TIFF (Lab, samples with signs).
    pub fn decode(bytes: &[u8], name: &str) -> Result<Self> {
        Ok(Self::read(bytes, name)?.picture)
    }

    /// The same with what its user should know of the file.
    ///
    /// # Errors
    /// As [`Picture::decode`].
    pub fn read(bytes: &[u8], name: &str) -> Result<Reading> {
        Self::read_with(bytes, name, &ReadOptions::default())
    }

    /// The same with options.
    ///
    /// # Errors
    /// As [`Picture::decode`].
    pub fn read_with(bytes: &[u8], name: &str, options: &ReadOptions) -> Result<Reading> {
        decode(&File { bytes, name, damaged_ok: options.damaged_ok }, Wanted::Colours)
    }

    /// Reads how opaque the pixels of a picture's file are, as a grey picture that can be a mask: white is opaque, black
    /// transparent. Without alpha, as in every JPEG, it is white.
    ///
    /// # Errors
    /// As [`Picture::decode`].
    pub fn decode_opacity(bytes: &[u8], name: &str) -> Result<Self> {
        Self::decode_opacity_with(bytes, name, &ReadOptions::default())
    }

    /// The same with options.
    ///
    /// # Errors
    /// As [`Picture::decode`].
    pub fn decode_opacity_with(bytes: &[u8], name: &str, options: &ReadOptions) -> Result<Self> {
        Ok(decode(&File { bytes, name, damaged_ok: options.damaged_ok }, Wanted::Opacity)?.picture)
    }

    /// The bytes of a file in `format`, which says that its colours are sRGB: by a chunk in PNG, by a profile elsewhere.
    ///
    /// # Errors
    /// [`Error::Picture`] if the format cannot hold the picture: a JPEG has at most 65535 pixels a side, a WebP 16384.
    pub fn encode(&self, format: PictureFormat) -> Result<Vec<u8>> {
        self.encode_with(format, &EncodeOptions::default())
    }

    /// The same with options.
    ///
    /// # Errors
    /// As [`Picture::encode`] and [`EncodeOptions::check`].
    pub fn encode_with(&self, format: PictureFormat, options: &EncodeOptions) -> Result<Vec<u8>> {
        let opacity = options.opacity.as_ref().map(|opacity| opacity.resized(self.width, self.height));
        options.check(format)?;
        let pixels = Pixels {
            size: (self.width, self.height),
            rgb: &self.rgb,
            wide: self.wide.as_ref().map(|wide| &wide[..]),
            opacity: opacity.as_ref().map(|opacity| &opacity.rgb[..]),
        };
        encode::encode(&pixels, &options.manner(format)).map_err(|error| Error::Picture {
            name: format!("a picture of {}x{}", self.width, self.height),
            reason: format!("cannot be written: {}", one_line(&error)),
            remedy: Remedy::Any(vec![Remedy::SmallerSize(None), "take another format, such as PNG".into()]),
        })
    }

    /// Pixels across.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Pixels down.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The pixels, interleaved RGB (H, W, 3).
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The pixels in 16 bits, interleaved RGB (H, W, 3), where it has been painted with such ones. Rounded to 8 bits they are
    /// [`Picture::rgb`], but where an optimiser's picture is truncated to 8 bits.
    pub fn rgb_16(&self) -> Option<&[u16]> {
        self.wide.as_ref().map(|wide| &wide[..])
    }

    /// The picture stretched to `width` × `height` (a zero counts as one) with a Lanczos window of 3, on the
    /// 8-bit sRGB values as they are. A picture that already has this size is not resampled.
    pub fn resized(&self, width: u32, height: u32) -> Self {
        let (width, height) = (width.max(1), height.max(1));
        // The view exists for every Picture, because its length was checked; a clone is the harmless way out.
        let view = ImageBuffer::<Rgb<u8>, &[u8]>::from_raw(self.width, self.height, &self.rgb);
        match view {
            Some(view) if (width, height) != (self.width, self.height) => {
                let rgb = imageops::resize(&view, width, height, FilterType::Lanczos3).into_raw();
                Self::of_pixels(width, height, rgb)
            }
            _ => self.clone(),
        }
    }

    /// The same picture at another size, in place of this one: [`Picture::digest`] stays what it was. See
    /// [`Picture::resized`].
    #[must_use]
    pub fn into_size(self, width: u32, height: u32) -> Self {
        if (width, height) == (self.width, self.height) {
            return self;
        }
        let origin = Some(self.digest().into());
        Self { origin, ..self.resized(width, height) }
    }

    /// SHA-256 of sides and pixels in hexadecimal digits: which picture this is, whatever size
    /// [`Picture::into_size`] has given it.
    pub fn digest(&self) -> String {
        match &self.origin {
            Some(origin) => origin.to_string(),
            None => {
                let sides = [self.width.to_le_bytes(), self.height.to_le_bytes()];
                crate::tensors::digest([&sides[0][..], &sides[1][..], &self.rgb[..]])
            }
        }
    }

    /// The pixels as interleaved RGBA (H, W, 4) with alpha 255, one 32-bit word a pixel.
    pub fn to_rgba(&self) -> Vec<u8> {
        let pixels = self.rgb.as_chunks::<3>().0;
        pixels.iter().flat_map(|&[red, green, blue]| [red, green, blue, 255]).collect()
    }
}

impl fmt::Debug for Picture {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Picture({}x{})", self.width, self.height)
    }
}

fn check_length(op: &'static str, width: u32, height: u32, channels: u64, length: usize) -> Result<()> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 || pixels.checked_mul(channels) != Some(length as u64) {
        return Err(Error::Shape {
            op,
            expected: format!("sides above 0 and (H, W, {channels}) bytes"),
            found: format!("{width}x{height} and {length} bytes"),
        });
    }
    Ok(())
}

/// The name of a format that is recognised so that a message can name it, and what to do with the file.
fn other_format(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    const FORMATS: [(usize, &[u8], &str); 17] = [
        (4, b"ftypavif", "an AVIF"),
        (4, b"ftypavis", "an AVIF"),
        (4, b"ftypheic", "an HEIC"),
        (4, b"ftypheix", "an HEIC"),
        (4, b"ftyphevc", "an HEIC"),
        (4, b"ftypmif1", "an HEIF"),
        (4, b"ftypmsf1", "an HEIF"),
        (4, b"ftypcrx ", "a camera's raw file"),
        (0, b"FUJIFILM", "a camera's raw file"),
        (0, b"\0\0\x01\0", "an ICO"),
        (0, b"\xff\x0a", "a JPEG XL"),
        (0, b"\0\0\0\x0cJXL ", "a JPEG XL"),
        (0, b"\0\0\0\x0cjP  ", "a JPEG 2000"),
        (0, b"8BPS", "a Photoshop document"),
        (0, b"%PDF", "a PDF"),
        (0, b"<svg", "an SVG drawing"),
        (0, b"<", "text: a web page or an SVG drawing"),
    ];
    let found = FORMATS
        .iter()
        .find(|(place, magic, _)| bytes.get(*place..).is_some_and(|rest| rest.starts_with(magic)));
    let &(place, magic, format) = found?;
    let is_of_a_telephone = place == 4 && magic.starts_with(b"ftyp") && !magic.ends_with(b"crx ");
    Some((format, if is_of_a_telephone { OF_A_TELEPHONE } else { READABLE }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use image::codecs::jpeg::JpegEncoder;
    use image::codecs::png::PngEncoder;
    use image::{ExtendedColorType, ImageEncoder, RgbImage};

    use super::testing::*;
    use super::*;

    #[test]
    fn the_orientation_is_carried_out() {
        // Six flat tiles of 16 pixels, so that JPEG keeps them; 'a' is the top left of what the file stores.
        const TILE: u32 = 16;
        let colour = |tile: u8| {
            [[250, 20, 20], [20, 250, 20], [20, 20, 250], [230, 230, 20], [20, 230, 230], [128; 3]]
                [usize::from(tile - b'a')]
        };
        let stored = RgbImage::from_fn(3 * TILE, 2 * TILE, |x, y| {
            Rgb(colour(b"abcdef"[(y / TILE * 3 + x / TILE) as usize]))
        });
        // EXIF 2.3, tag 274: which side of the scene the stored row 0 and column 0 are.
        let upright = [
            (0, ["abc", "def"].as_slice()),
            (1, &["abc", "def"]),
            (2, &["cba", "fed"]),
            (3, &["fed", "cba"]),
            (4, &["def", "abc"]),
            (5, &["ad", "be", "cf"]),
            (6, &["da", "eb", "fc"]),
            (7, &["fc", "eb", "da"]),
            (8, &["cf", "be", "ad"]),
            (9, &["abc", "def"]),
        ];
        for (orientation, rows) in upright {
            let mut jpeg = Vec::new();
            let mut encoder = JpegEncoder::new_with_quality(&mut jpeg, 95);
            encoder.set_exif_metadata(exif(orientation)).unwrap();
            encoder.write_image(&stored, 3 * TILE, 2 * TILE, ExtendedColorType::Rgb8).unwrap();
            let mut png = Vec::new();
            let mut encoder = PngEncoder::new(&mut png);
            encoder.set_exif_metadata(exif(orientation)).unwrap();
            encoder.write_image(&stored, 3 * TILE, 2 * TILE, ExtendedColorType::Rgb8).unwrap();
            // The same chunk after the pixels, before IEND's 12 bytes.
            let chunk = png.windows(4).position(|four| four == b"eXIf").unwrap() - 4;
            let length = 12 + exif(0).len();
            let mut png_late = png.clone();
            let moved: Vec<u8> = png_late.drain(chunk..chunk + length).collect();
            let end = png_late.len() - 12;
            png_late.splice(end..end, moved);
            for (kind, bytes) in [("JPEG", jpeg), ("PNG", png), ("late PNG", png_late)] {
                let picture = Picture::decode(&bytes, kind).unwrap();
                let size = (rows[0].len() as u32 * TILE, rows.len() as u32 * TILE);
                assert_eq!((picture.width(), picture.height()), size, "{kind} {orientation}");
                for (y, row) in rows.iter().enumerate() {
                    for (x, tile) in row.bytes().enumerate() {
                        let found = pixel(&picture, x as u32 * TILE + 8, y as u32 * TILE + 8);
                        let near = found.iter().zip(colour(tile)).all(|(a, b)| a.abs_diff(b) <= 3);
                        assert!(near, "{kind} {orientation} at {x}, {y}: {found:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_png_comes_back_as_it_was_and_a_jpeg_nearly() {
        for (width, height) in [(1, 1), (1, 13), (17, 1), (31, 23)] {
            let picture = sample(width, height);
            let png = picture.encode(PictureFormat::Png).unwrap();
            assert_eq!(Picture::decode(&png, "").unwrap(), picture);
            let jpeg = picture.encode(PictureFormat::Jpeg).unwrap();
            let back = Picture::decode(&jpeg, "").unwrap();
            assert_eq!((back.width(), back.height()), (width, height));
        }
        let flat = Picture::from_rgb(20, 30, [180, 90, 45].repeat(600)).unwrap();
        let back = Picture::decode(&flat.encode(PictureFormat::Jpeg).unwrap(), "").unwrap();
        assert!(back.rgb().iter().zip(flat.rgb()).all(|(a, b)| a.abs_diff(*b) <= 2));
        // The same picture always gives the same file.
        assert_eq!(flat.encode(PictureFormat::Png).unwrap(), flat.encode(PictureFormat::Png).unwrap());
    }

    #[test]
    fn a_picture_that_its_format_cannot_hold_is_an_error() {
        let long = Picture::from_rgb(65_536, 1, vec![0; 3 * 65_536]).unwrap();
        assert!(matches!(long.encode(PictureFormat::Jpeg), Err(Error::Picture { .. })));
        assert!(long.encode(PictureFormat::Png).is_ok());
    }

    #[test]
    fn truncated_files_are_errors() {
        for name in
            ["progressive.jpg", "restarts.jpg", "grey.jpg", "cmyk-adobe.jpg", "grey-16.png", "interlaced.png"]
        {
            let bytes = fixture(name);
            // A PNG's pixels are whole and checked without its last chunk, IEND, and a JPEG's without the marker of its end.
            let whole = bytes.len() - if name.ends_with(".png") { 12 } else { 2 };
            for length in 0..whole {
                refusal(&bytes[..length]);
            }
        }
        let picture = sample(90, 70);
        for format in [PictureFormat::Png, PictureFormat::Jpeg] {
            let bytes = picture.encode(format).unwrap();
            for part in [bytes.len() / 2, bytes.len() * 9 / 10] {
                let (reason, _) = refusal(&bytes[..part]);
                assert!(reason.contains("file ends before"), "{format:?}: {reason}");
            }
        }
    }

    #[test]
    fn damaged_data_is_an_error_and_not_a_grey_picture() {
        let mut jpeg = sample(90, 70).encode(PictureFormat::Jpeg).unwrap();
        let middle = jpeg.len() / 2;
        // A run of ones is no Huffman code; each 0xff is followed by the zero that makes it data.
        for pair in jpeg[middle..middle + 64].as_chunks_mut::<2>().0 {
            *pair = [0xff, 0x00];
        }
        refusal(&jpeg);
        let mut png = sample(90, 70).encode(PictureFormat::Png).unwrap();
        let middle = png.len() / 2;
        png[middle] ^= 0x40;
        refusal(&png);
    }

    #[test]
    fn other_formats_are_named() {
        for (bytes, format, what_to_do) in [
            (fixture("photo.avif"), "an AVIF", "ImageMagick"),
            (fixture("photo.heic"), "an HEIC", "telephone"),
            (b"8BPS".to_vec(), "a Photoshop document", "save it as PNG or JPEG"),
            (b"<!DOCTYPE html>".to_vec(), "a web page", "PNG"),
            (b"hello".to_vec(), "not a picture in a known format", "PNG"),
        ] {
            let (reason, remedy) = refusal(&bytes);
            assert!(reason.contains(format), "{reason}");
            assert!(remedy.contains(what_to_do), "{remedy}");
        }
        assert!(refusal(&[]).0.contains("empty"));
    }

    /// A file that claims a size and holds nothing must be refused before memory of that size is asked for.
    #[test]
    fn sizes_over_the_limits_are_refused() {
        let claiming = |name: &str, magic: &[u8], skip: usize, sides: &[u8]| {
            let mut bytes = fixture(name);
            let at = bytes.windows(magic.len()).position(|part| part == magic).unwrap() + magic.len() + skip;
            bytes[at..at + sides.len()].copy_from_slice(sides);
            bytes
        };
        // The sides of a JPEG: start of frame, length and precision, then height and width.
        for (name, frame) in [("grey.jpg", b"\xff\xc0"), ("progressive.jpg", b"\xff\xc2")] {
            let (reason, _) = refusal(&claiming(name, frame, 3, &[0xff, 0xff, 0, 8]));
            assert!(reason.contains("8x65535") && reason.contains("32768"), "{reason}");
            let (reason, _) = refusal(&claiming(name, frame, 3, &[0x80, 0, 0x80, 0]));
            assert!(reason.contains("MiB"), "{reason}");
        }
        // 13000 × 13000 of baseline are 484 MiB; a progressive picture's coefficients are twice as much
        // again.
        let sides = [0x32, 0xc8, 0x32, 0xc8];
        let (reason, _) = refusal(&claiming("progressive.jpg", b"\xff\xc2", 3, &sides));
        assert!(reason.contains("MiB, 1280 are allowed"), "{reason}");
        // IHDR with its checksum anew.
        for (sides, said) in
            [([0_u32, 5], "cannot be decoded"), ([40_000, 1], "32768"), ([32_768, 32_768], "MiB")]
        {
            let mut bytes = fixture("grey-16.png");
            bytes[16..20].copy_from_slice(&sides[0].to_be_bytes());
            bytes[20..24].copy_from_slice(&sides[1].to_be_bytes());
            let sum = crc32(&bytes[12..29]);
            bytes[29..33].copy_from_slice(&sum.to_be_bytes());
            let (reason, _) = refusal(&bytes);
            assert!(reason.contains(said), "{reason}");
        }
    }

    /// Thousands of damaged files: any of them may decode or be refused, none may panic.
    #[test]
    fn no_file_makes_the_decoders_panic() {
        let mut random = random(1);
        for name in [
            "progressive.jpg",
            "restarts.jpg",
            "grey.jpg",
            "ycck-adobe.jpg",
            "interlaced.png",
            "animated.png",
            "palette-transparent.png",
        ]
        .map(str::to_owned)
        .into_iter()
        .chain(with_twins("format-"))
        {
            let whole = fixture(&name);
            for round in 0..400 {
                let mut bytes = whole.clone();
                for _ in 0..=random(4) {
                    let place = random(bytes.len());
                    bytes[place] = random(256) as u8;
                }
                let options = ReadOptions { damaged_ok: round % 2 == 0 };
                let _ = Picture::read_with(&bytes, &name, &options);
            }
        }
    }

    #[test]
    fn lengths_and_sides_are_checked() {
        assert!(Picture::from_rgb(2, 3, vec![0; 18]).is_ok());
        for (width, height, length) in [(2, 3, 17), (0, 3, 0), (3, 0, 0), (u32::MAX, u32::MAX, 3)] {
            assert!(matches!(Picture::from_rgb(width, height, vec![0; length]), Err(Error::Shape { .. })));
            assert!(matches!(Picture::from_rgba(width, height, &vec![0; length]), Err(Error::Shape { .. })));
        }
    }

    #[test]
    fn rgba_is_rgb_with_alpha() {
        let picture = sample(5, 4);
        let rgba = picture.to_rgba();
        assert_eq!(rgba.len(), 80);
        assert_eq!(rgba[4..8], [picture.rgb()[3], picture.rgb()[4], picture.rgb()[5], 255]);
        assert_eq!(Picture::from_rgba(5, 4, &rgba).unwrap(), picture);
    }

    #[test]
    fn rgba_is_composited_over_white_as_in_a_file() {
        let (sides, every_alpha) = ((16, 16), 0..=255);
        let rgba: Vec<u8> = every_alpha.flat_map(|alpha| [0, alpha, 255 - alpha, alpha]).collect();
        let mut file = Vec::new();
        PngEncoder::new(&mut file).write_image(&rgba, sides.0, sides.1, ExtendedColorType::Rgba8).unwrap();
        let picture = Picture::from_rgba(sides.0, sides.1, &rgba).unwrap();
        assert_eq!(picture, Picture::decode(&file, "test").unwrap());
        assert_eq!(picture.rgb()[..3], [255; 3]);
    }

    /// Pillow 13.0.0, `resize(size, LANCZOS)`. It rounds to 8 bits between the two passes, hence the 1.
    #[test]
    fn resizing_agrees_with_another_programs_lanczos() {
        let picture = sample(23, 17);
        for (width, height, expected) in [
            (11, 7, [[4, 65, 117], [147, 99, 147], [123, 155, 139], [132, 154, 124]]),
            (40, 30, [[0, 60, 120], [37, 33, 218], [129, 95, 95], [25, 91, 156]]),
            (23, 5, [[4, 61, 128], [134, 107, 164], [98, 163, 104], [124, 110, 166]]),
        ] {
            let resized = picture.resized(width, height);
            assert_eq!((resized.width(), resized.height()), (width, height));
            let places = [(0, 0), (width / 2, height / 2), (width - 1, height - 1), (3, 4)];
            for ((x, y), expected) in places.into_iter().zip(expected) {
                let found = pixel(&resized, x, y);
                let near = found.iter().zip(expected).all(|(found, expected)| found.abs_diff(expected) <= 1);
                assert!(near, "{width}x{height} at {x}, {y}: {found:?}, expected {expected:?}");
            }
        }
    }

    #[test]
    fn a_picture_of_the_right_size_is_not_resampled() {
        let picture = sample(23, 17);
        assert_eq!(picture.resized(23, 17), picture);
        let dot = picture.resized(0, 0);
        assert_eq!((dot.width(), dot.height()), (1, 1));
    }

    #[test]
    fn endings_name_formats() {
        for ending in PictureFormat::EXTENSIONS {
            assert!(PictureFormat::from_extension(ending).is_some());
            assert!(PictureFormat::from_extension(&ending.to_uppercase()).is_some());
        }
        assert_eq!(PictureFormat::from_extension("JPeG"), Some(PictureFormat::Jpeg));
        for ending in ["", ".png", "gif", "jpgg"] {
            assert_eq!(PictureFormat::from_extension(ending), None);
        }
    }
}
