//! A picture to the bytes of a file.

use std::borrow::Cow;
use std::io::{Cursor, Read, Seek, Write};
use std::marker::PhantomData;

use exif::{Context, Value};
use flate2::Crc;
use flate2::read::ZlibEncoder;
use image::codecs::jpeg::{JpegEncoder, PixelDensity, PixelDensityUnit};
use image::codecs::png::{CompressionType, FilterType as PngFilter, PngEncoder};
use image::{ExtendedColorType, ImageEncoder, ImageError};
use tiff::Directory;
use tiff::encoder::colortype::{Gray8, Gray16, RGB8, RGB16, RGBA8, RGBA16};
use tiff::encoder::{
    Compression, DeflateLevel, DirectoryEncoder, Predictor, Rational, TiffEncoder, TiffKind, TiffValue,
};
use tiff::tags::{ExtraSamples, PhotometricInterpretation, ResolutionUnit, SampleFormat, Tag, Type};

use super::colour::{ColourProfile, PixelKind, srgb_profile};
use super::metadata::{Metadata, XMP_OF_JPEG, XMP_OF_PNG};
use super::samples::Depth;

/// The file formats that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PictureFormat {
    /// Lossless.
    Png,
    /// Lossy, written with quality 95 unless asked otherwise.
    Jpeg,
    /// Written lossless.
    WebP,
    /// Lossless, deflated.
    Tiff,
}

impl PictureFormat {
    /// The endings of file names that [`PictureFormat::from_extension`] knows.
    pub const EXTENSIONS: &'static [&'static str] = &["png", "jpg", "jpeg", "webp", "tif", "tiff"];

    /// The format that a file name's ending, without its dot, stands for; upper and lower case alike.
    pub fn from_extension(extension: &str) -> Option<Self> {
        match extension.to_ascii_lowercase().as_str() {
            "png" => Some(Self::Png),
            "jpg" | "jpeg" => Some(Self::Jpeg),
            "webp" => Some(Self::WebP),
            "tif" | "tiff" => Some(Self::Tiff),
            _ => None,
        }
    }

    /// Whether pixels may be transparent.
    pub fn has_alpha(self) -> bool {
        self != Self::Jpeg
    }

    /// Whether samples may have 16 bits.
    pub fn has_sixteen_bits(self) -> bool {
        matches!(self, Self::Png | Self::Tiff)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::WebP => "WebP",
            Self::Tiff => "TIFF",
        }
    }
}

/// Pixels that are written.
pub(super) struct Pixels<'pixels> {
    pub(super) size: (u32, u32),
    pub(super) rgb: &'pixels [u8],
    /// The same in 16 bits.
    pub(super) wide: Option<&'pixels [u16]>,
    /// How opaque each is, as grey in RGB.
    pub(super) opacity: Option<&'pixels [u8]>,
}

/// Samples as a file has them.
enum Samples<'pixels> {
    Eight(Cow<'pixels, [u8]>),
    Sixteen(Cow<'pixels, [u16]>),
}

impl Samples<'_> {
    /// In this machine's order.
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Eight(samples) => samples,
            Self::Sixteen(samples) => bytemuck::cast_slice(samples),
        }
    }
}

impl<'pixels> Pixels<'pixels> {
    /// The samples of red, green and blue, and of alpha where there is `opacity`.
    fn samples(&self, depth: Depth, opacity: Option<&[u8]>) -> Samples<'pixels> {
        match depth {
            Depth::Eight => Samples::Eight(with_alpha(self.rgb.into(), opacity)),
            Depth::Sixteen => {
                let widened = || self.rgb.iter().copied().map(widened).collect::<Vec<_>>().into();
                let wide = self.wide.map_or_else(widened, Cow::Borrowed);
                Samples::Sixteen(with_alpha(wide, opacity))
            }
        }
    }
}

/// 8 bits in 16: 255 is 65535.
fn widened(sample: u8) -> u16 {
    u16::from(sample) * 257
}

/// RGB with alpha, where there is opacity; the colours are those that look over white as these do.
fn with_alpha<'pixels, T: Sample>(rgb: Cow<'pixels, [T]>, opacity: Option<&[u8]>) -> Cow<'pixels, [T]> {
    let Some(opacity) = opacity else { return rgb };
    let pixels = rgb.as_chunks::<3>().0.iter().zip(opacity.as_chunks::<3>().0);
    pixels.flat_map(|(&rgb, &[alpha, ..])| off_white(rgb, T::of_byte(alpha))).collect()
}

/// A sample of 8 or 16 bits.
trait Sample: Copy + Into<i64> {
    /// What is brightest, and opaque.
    const MOST: Self;
    const BITS: u16;

    fn of_byte(byte: u8) -> Self;

    /// Of a number from 0 to [`Sample::MOST`].
    fn of_number(number: i64) -> Self;

    /// The difference, which begins anew below 0.
    fn minus(self, other: Self) -> Self;
}

impl Sample for u8 {
    const MOST: Self = Self::MAX;
    const BITS: u16 = 8;

    fn of_byte(byte: u8) -> Self {
        byte
    }

    fn of_number(number: i64) -> Self {
        number as Self
    }

    fn minus(self, other: Self) -> Self {
        self.wrapping_sub(other)
    }
}

impl Sample for u16 {
    const MOST: Self = Self::MAX;
    const BITS: u16 = 16;

    fn of_byte(byte: u8) -> Self {
        widened(byte)
    }

    fn of_number(number: i64) -> Self {
        number as Self
    }

    fn minus(self, other: Self) -> Self {
        self.wrapping_sub(other)
    }
}

/// How they are written.
pub(super) struct Manner<'options> {
    pub(super) format: PictureFormat,
    pub(super) depth: Depth,
    /// Of a JPEG.
    pub(super) quality: u8,
    pub(super) metadata: &'options Metadata,
    /// What colours are brought to; sRGB, where there is none.
    pub(super) colours: Option<&'options ColourProfile>,
}

impl Manner<'_> {
    /// Why no picture can be written so, and what to do instead.
    pub(super) fn fault(&self) -> Option<(String, &'static str)> {
        let name = self.format.name();
        if self.depth == Depth::Sixteen && !self.format.has_sixteen_bits() {
            return Some((format!("{name} holds no samples of 16 bits"), "take PNG or TIFF, or 8 bits"));
        }
        let colours = self.colours?;
        match colours.kind(false) {
            None => {
                let reason = "the profile is one of inks (CMYK), in which no picture is written";
                Some((reason.to_owned(), "leave the profile out"))
            }
            Some(PixelKind::Grey { .. }) if self.format == PictureFormat::WebP => {
                Some((format!("{name} holds no profile of grey"), "take PNG, JPEG or TIFF"))
            }
            Some(_) if colours.out_of_srgb_8(false).is_none() || colours.icc().is_none() => {
                let reason = "the profile says how its colours are seen, but not how others become them";
                Some((reason.to_owned(), "leave the profile out"))
            }
            Some(_) => None,
        }
    }
}

impl<'pixels> Samples<'pixels> {
    /// The same colours in another space, with alpha or not.
    fn brought_to(self, colours: &ColourProfile, kind: PixelKind) -> std::result::Result<Self, String> {
        const FAULT: &str = "its colours cannot be brought to the profile";
        if colours.is_srgb() {
            return Ok(self);
        }
        let alpha = kind.has_alpha();
        let count = |samples: usize| samples / if alpha { 4 } else { 3 } * kind.samples();
        match self {
            Self::Eight(samples) => {
                let mut brought = vec![0; count(samples.len())];
                let transform = colours.out_of_srgb_8(alpha).ok_or(FAULT)?;
                transform.transform(&samples, &mut brought).map_err(|_| FAULT)?;
                Ok(Self::Eight(brought.into()))
            }
            Self::Sixteen(samples) => {
                let mut brought = vec![0; count(samples.len())];
                let transform = colours.out_of_srgb_16(alpha).ok_or(FAULT)?;
                transform.transform(&samples, &mut brought).map_err(|_| FAULT)?;
                Ok(Self::Sixteen(brought.into()))
            }
        }
    }
}

/// The file, or what is wrong.
pub(super) fn encode(picture: &Pixels<'_>, manner: &Manner<'_>) -> std::result::Result<Vec<u8>, String> {
    let Manner { format, depth, quality, metadata, colours } = *manner;
    let opacity = picture.opacity.filter(|_| format.has_alpha());
    let mut kind = PixelKind::Rgb { alpha: opacity.is_some() };
    let mut samples = picture.samples(depth, opacity);
    if let Some(colours) = colours {
        kind = colours.kind(opacity.is_some()).unwrap_or(kind);
        samples = samples.brought_to(colours, kind)?;
    }
    let profile = match colours {
        Some(colours) => colours.icc(),
        None => srgb_profile(),
    };
    let (width, height) = picture.size;
    let Metadata { xmp, resolution, .. } = metadata;
    let exif = &metadata.exif_in(colours.is_none_or(ColourProfile::is_srgb));
    let mut bytes = Vec::new();
    let fail = |error: ImageError| error.to_string();
    match format {
        PictureFormat::Png => {
            PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, PngFilter::Adaptive)
                .write_image(samples.bytes(), width, height, colour_type(kind, depth))
                .map_err(fail)?;
            // Behind the header: sRGB, to be seen as such.
            let mut chunks = match profile.filter(|_| colours.is_some()) {
                Some(profile) => chunk(b"iCCP", &[b"profile\0\0", &deflated(&profile)]),
                None => chunk(b"sRGB", &[&[0]]),
            };
            if let Some((x, y)) = resolution {
                let of_a_metre = |side: &f64| ((side / 0.0254).round() as u32).to_be_bytes();
                chunks.extend(chunk(b"pHYs", &[&of_a_metre(x), &of_a_metre(y), &[1]]));
            }
            chunks.extend(exif.iter().flat_map(|exif| chunk(b"eXIf", &[exif])));
            chunks.extend(xmp.iter().flat_map(|xmp| chunk(b"iTXt", &[XMP_OF_PNG, xmp])));
            const BEHIND_HEADER: usize = 8 + 25;
            bytes.splice(BEHIND_HEADER..BEHIND_HEADER, chunks);
        }
        PictureFormat::Jpeg => {
            let mut encoder = JpegEncoder::new_with_quality(&mut bytes, quality.clamp(1, 100));
            // What this encoder could not take would be left out.
            let _ = profile.map(|profile| encoder.set_icc_profile(profile));
            let _ = exif.clone().map(|exif| encoder.set_exif_metadata(exif));
            if let Some((x, y)) = resolution {
                let density = (x.round() as u16, y.round() as u16);
                encoder.set_pixel_density(PixelDensity { density, unit: PixelDensityUnit::Inches });
            }
            encoder
                .write_image(samples.bytes(), width, height, colour_type(kind, Depth::Eight))
                .map_err(fail)?;
            if let Some(xmp) = xmp {
                // Behind the segment of JFIF, which is the first.
                let behind = 4 + usize::from(u16::from_be_bytes([bytes[4], bytes[5]]));
                let length = (2 + XMP_OF_JPEG.len() + xmp.len()) as u16;
                let segment = [&[0xff, 0xe1], &length.to_be_bytes()[..], XMP_OF_JPEG, xmp].concat();
                bytes.splice(behind..behind, segment);
            }
        }
        PictureFormat::WebP => {
            let mut encoder = image_webp::WebPEncoder::new(&mut bytes);
            profile.into_iter().for_each(|profile| encoder.set_icc_profile(profile));
            exif.iter().for_each(|exif| encoder.set_exif_metadata(exif.clone()));
            xmp.iter().for_each(|xmp| encoder.set_xmp_metadata(xmp.clone()));
            let kind =
                if kind.has_alpha() { image_webp::ColorType::Rgba8 } else { image_webp::ColorType::Rgb8 };
            encoder.encode(samples.bytes(), width, height, kind).map_err(|error| error.to_string())?;
        }
        PictureFormat::Tiff => {
            let mut file = Cursor::new(Vec::new());
            let block = exif.clone().and_then(|exif| exif::Reader::new().read_raw(exif).ok());
            let beside = Beside { profile: profile.as_deref(), exif: block.as_ref(), metadata };
            write_tiff(&mut file, &samples, picture.size, kind, &beside)
                .map_err(|error| error.to_string())?;
            bytes = file.into_inner();
        }
    }
    Ok(bytes)
}

/// What the encoders of the image crate call such pixels.
fn colour_type(kind: PixelKind, depth: Depth) -> ExtendedColorType {
    match (kind, depth) {
        (PixelKind::Grey { alpha: false }, Depth::Eight) => ExtendedColorType::L8,
        (PixelKind::Grey { alpha: true }, Depth::Eight) => ExtendedColorType::La8,
        (PixelKind::Grey { alpha: false }, Depth::Sixteen) => ExtendedColorType::L16,
        (PixelKind::Grey { alpha: true }, Depth::Sixteen) => ExtendedColorType::La16,
        (PixelKind::Rgb { alpha: true }, Depth::Eight) => ExtendedColorType::Rgba8,
        (PixelKind::Rgb { alpha: true }, Depth::Sixteen) => ExtendedColorType::Rgba16,
        (PixelKind::Rgb { alpha: false } | PixelKind::Cmyk, Depth::Eight) => ExtendedColorType::Rgb8,
        (PixelKind::Rgb { alpha: false } | PixelKind::Cmyk, Depth::Sixteen) => ExtendedColorType::Rgb16,
    }
}

/// What a TIFF says beside its pixels.
struct Beside<'beside> {
    profile: Option<&'beside [u8]>,
    exif: Option<&'beside exif::Exif>,
    /// What else it says.
    metadata: &'beside Metadata,
}

fn write_tiff(
    file: &mut Cursor<Vec<u8>>,
    samples: &Samples<'_>,
    (width, height): (u32, u32),
    kind: PixelKind,
    &Beside { profile, exif, metadata }: &Beside<'_>,
) -> tiff::TiffResult<()> {
    let compression = Compression::Deflate(DeflateLevel::default());
    let mut encoder =
        TiffEncoder::new(file)?.with_compression(compression).with_predictor(Predictor::Horizontal);
    let has_alpha = kind.has_alpha();
    // EXIF's own fields and those of the place stand in directories of their own, to which the first one leads.
    let mut fields = Vec::new();
    if let Some(exif) = exif {
        fields
            .extend(exif.fields().filter(|field| field.tag.context() == Context::Tiff).filter_map(raw_field));
        for (context, pointer) in [(Context::Exif, Tag::ExifDirectory), (Context::Gps, Tag::GpsDirectory)] {
            let own = exif.fields().filter(|field| field.tag.context() == context);
            let own: Vec<RawField> = own.filter_map(raw_field).collect();
            if !own.is_empty() {
                let mut directory = encoder.extra_directory()?;
                write_fields(&mut directory, &own)?;
                let place = directory.finish_with_offsets()?.pointer.0 as u32;
                fields.push((pointer, Type::LONG, place.to_ne_bytes().to_vec()));
            }
        }
    }
    macro_rules! written {
        ($colours:ty, $samples:expr) => {{
            let mut image = encoder.new_image::<$colours>(width, height)?;
            let tags = image.encoder();
            if has_alpha {
                tags.write_tag(Tag::ExtraSamples, &[ExtraSamples::UnassociatedAlpha.to_u16()][..])?;
            }
            if let Some(profile) = profile {
                tags.write_tag(Tag::IccProfile, profile)?;
            }
            if let Some(xmp) = &metadata.xmp {
                tags.write_tag(Tag::Unknown(700), &xmp[..])?;
            }
            write_fields(tags, &fields)?;
            if let Some((x, y)) = metadata.resolution {
                let side = |side: f64| Rational { n: (side * 1000.0).round() as u32, d: 1000 };
                image.resolution_unit(ResolutionUnit::Inch);
                image.x_resolution(side(x));
                image.y_resolution(side(y));
            }
            image.write_data($samples)
        }};
    }
    let is_grey = matches!(kind, PixelKind::Grey { .. });
    match (samples, is_grey, has_alpha) {
        (Samples::Eight(samples), false, false) => written!(RGB8, samples),
        (Samples::Eight(samples), false, true) => written!(RGBA8, samples),
        (Samples::Eight(samples), true, false) => written!(Gray8, samples),
        (Samples::Eight(samples), true, true) => written!(GreyAlpha<u8>, samples),
        (Samples::Sixteen(samples), false, false) => written!(RGB16, samples),
        (Samples::Sixteen(samples), false, true) => written!(RGBA16, samples),
        (Samples::Sixteen(samples), true, false) => written!(Gray16, samples),
        (Samples::Sixteen(samples), true, true) => written!(GreyAlpha<u16>, samples),
    }
}

/// A field with the type of its values, and these in this machine's order.
type RawField = (Tag, Type, Vec<u8>);

/// A field of EXIF for a TIFF; `None` for what the encoder says by itself, and for values without a type.
fn raw_field(field: &exif::Field) -> Option<RawField> {
    let is_resolution =
        [exif::Tag::XResolution, exif::Tag::YResolution, exif::Tag::ResolutionUnit].contains(&field.tag);
    if is_resolution {
        return None;
    }
    fn bytes<T: Copy, const N: usize>(values: &[T], bytes_of: impl Fn(T) -> [u8; N]) -> Vec<u8> {
        values.iter().flat_map(|value| bytes_of(*value)).collect()
    }
    let (kind, values) = match &field.value {
        Value::Byte(values) => (Type::BYTE, values.clone()),
        Value::Ascii(texts) => {
            (Type::ASCII, texts.iter().flat_map(|text| [text, &b"\0"[..]].concat()).collect())
        }
        Value::Short(values) => (Type::SHORT, bytes(values, u16::to_ne_bytes)),
        Value::Long(values) => (Type::LONG, bytes(values, u32::to_ne_bytes)),
        Value::Rational(values) => {
            let both = values.iter().flat_map(|value| [value.num, value.denom]);
            (Type::RATIONAL, both.flat_map(u32::to_ne_bytes).collect())
        }
        Value::SByte(values) => (Type::SBYTE, bytes(values, i8::to_ne_bytes)),
        Value::Undefined(values, _) => (Type::UNDEFINED, values.clone()),
        Value::SShort(values) => (Type::SSHORT, bytes(values, i16::to_ne_bytes)),
        Value::SLong(values) => (Type::SLONG, bytes(values, i32::to_ne_bytes)),
        Value::SRational(values) => {
            let both = values.iter().flat_map(|value| [value.num, value.denom]);
            (Type::SRATIONAL, both.flat_map(i32::to_ne_bytes).collect())
        }
        Value::Float(values) => (Type::FLOAT, bytes(values, f32::to_ne_bytes)),
        Value::Double(values) => (Type::DOUBLE, bytes(values, f64::to_ne_bytes)),
        Value::Unknown(..) => return None,
    };
    Some((Tag::from_u16_exhaustive(field.tag.number()), kind, values))
}

fn write_fields<W: Write + Seek, K: TiffKind>(
    directory: &mut DirectoryEncoder<'_, W, K>,
    fields: &[RawField],
) -> tiff::TiffResult<()> {
    let mut entries = Directory::empty();
    for (tag, kind, values) in fields {
        entries.extend([(*tag, directory.write_entry_bytes(*kind, values)?)]);
    }
    directory.extend_from(&entries);
    Ok(())
}

/// Grey with alpha, which the encoder of TIFF does not have.
struct GreyAlpha<T>(PhantomData<T>);

impl<T: Sample + TiffValue> tiff::encoder::colortype::ColorType for GreyAlpha<T> {
    type Inner = T;
    const TIFF_VALUE: PhotometricInterpretation = PhotometricInterpretation::BlackIsZero;
    const BITS_PER_SAMPLE: &'static [u16] = &[T::BITS; 2];
    const SAMPLE_FORMAT: &'static [SampleFormat] = &[SampleFormat::Uint; 2];

    fn horizontal_predict(row: &[T], result: &mut Vec<T>) {
        let before = [T::of_number(0); 2].into_iter().chain(row.iter().copied());
        result.extend(row.iter().zip(before).map(|(sample, before)| sample.minus(before)));
    }
}

/// As a chunk of a PNG holds it.
fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(bytes, flate2::Compression::best());
    let mut deflated = Vec::new();
    // Nothing that is in memory can fail to be read.
    let _ = encoder.read_to_end(&mut deflated);
    deflated
}

/// A chunk of a PNG.
fn chunk(kind: &[u8; 4], data: &[&[u8]]) -> Vec<u8> {
    let data = data.concat();
    let mut sum = Crc::new();
    sum.update(kind);
    sum.update(&data);
    [&(data.len() as u32).to_be_bytes()[..], kind, &data, &sum.sum().to_be_bytes()].concat()
}

/// The colours that look over white as these do, as far as there are such.
fn off_white<T: Sample>(rgb: [T; 3], alpha: T) -> [T; 4] {
    let (opaque, most): (i64, i64) = (alpha.into(), T::MOST.into());
    let colour = |value: T| match opaque {
        0 => T::MOST,
        _ => T::of_number((most - ((most - value.into()) * most + opaque / 2) / opaque).max(0)),
    };
    let [red, green, blue] = rgb.map(colour);
    [red, green, blue, alpha]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::jpeg::marked;
    use super::super::testing::*;
    use super::super::{EncodeOptions, Picture};
    use super::*;

    const FORMATS: [PictureFormat; 4] =
        [PictureFormat::Png, PictureFormat::Jpeg, PictureFormat::WebP, PictureFormat::Tiff];

    #[test]
    fn formats_keep_every_pixel_but_jpeg() {
        for (width, height) in [(1, 1), (1, 13), (31, 23)] {
            let picture = sample(width, height);
            for format in FORMATS {
                let file = picture.encode(format).unwrap();
                let back = Picture::decode(&file, "").unwrap();
                assert_eq!((back.width(), back.height()), (width, height));
                assert!(back == picture || format == PictureFormat::Jpeg, "{format:?}");
                assert_eq!(file, picture.encode(format).unwrap(), "{format:?}");
            }
        }
    }

    #[test]
    fn quality_is_that_of_jpeg() {
        let picture = sample(64, 64);
        let of = |quality| {
            let options = EncodeOptions::default().with(|options| options.quality = quality);
            picture.encode_with(PictureFormat::Jpeg, &options).unwrap()
        };
        assert!(of(20).len() < of(60).len() && of(60).len() < of(95).len());
        assert_eq!(of(95), picture.encode(PictureFormat::Jpeg).unwrap());
        assert_eq!((of(0), of(200)), (of(1), of(100)));
    }

    /// Over white it looks as it did, and where it was opaque it is.
    #[test]
    fn opacity_is_written_where_the_format_can_hold_it() {
        let opaque = |x: u32| (x * 255 / 30) as u8;
        // What lies over white cannot be darker than this.
        let picture = Picture::from_rgb(31, 23, {
            let pixels = (0..31 * 23).map(|place| (place % 31, sample(31, 23).rgb()[3 * place as usize]));
            pixels.flat_map(|(x, value)| [over_white(value, opaque(x)), 255, 255]).collect()
        });
        let picture = picture.unwrap();
        let opacity = (0..31 * 23).flat_map(|place| [opaque(place % 31); 3]).collect();
        let opacity = Picture::from_rgb(31, 23, opacity).unwrap();
        let options = EncodeOptions::default().with(|options| options.opacity = Some(opacity.clone()));
        for format in FORMATS {
            let file = picture.encode_with(format, &options).unwrap();
            if format.has_alpha() {
                assert_eq!(Picture::decode(&file, "").unwrap(), picture, "{format:?}");
                assert_eq!(Picture::decode_opacity(&file, "").unwrap(), opacity, "{format:?}");
                assert!(Picture::read(&file, "").unwrap().has_alpha);
            } else {
                assert_eq!(file, picture.encode(format).unwrap());
            }
        }
        // It is brought to the picture's size.
        let larger = picture.resized(62, 46);
        let file = larger.encode_with(PictureFormat::Png, &options).unwrap();
        let back = Picture::decode_opacity(&file, "").unwrap();
        assert_eq!((back.width(), back.height()), (62, 46));
        assert!(back.rgb()[0] < 10 && back.rgb()[3 * 61] > 245);
    }

    use super::super::samples::over_white;

    /// Whatever the file, the other one says the same, but of what the pixels were.
    #[test]
    fn what_is_said_beside_the_pixels_is_kept() {
        let has =
            |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        for name in ["told.jpg", "told.png", "told.webp", "told.tif"] {
            let told = Metadata::of(&fixture(name));
            let exif = told.exif.as_ref().unwrap();
            for text in ["Maker", "Model 7", "2026:05:17 10:11:12", "A. Painter"] {
                assert!(has(exif, text), "{name}: {text}");
            }
            assert!(!has(exif, "notes"), "{name}");
            let block = exif::Reader::new().read_raw(exif.clone()).unwrap();
            let number =
                |tag| block.get_field(tag, exif::In::PRIMARY).and_then(|field| field.value.get_uint(0));
            assert_eq!((number(exif::Tag::Orientation), number(exif::Tag::ColorSpace)), (Some(1), Some(1)));
            assert!(number(exif::Tag::PixelXDimension).is_none());
            // Pillow writes no place into a TIFF.
            let place = block.get_field(exif::Tag::GPSLatitude, exif::In::PRIMARY);
            let place = place.map(|place| place.display_value().to_string());
            let expected = (name != "told.tif").then(|| "52 deg 31 min 12 sec".to_owned());
            assert_eq!(place, expected, "{name}");
            if name != "told.webp" {
                let (x, y) = told.resolution.unwrap();
                assert!((x - 300.0).abs() < 0.1 && (y - 200.0).abs() < 0.1, "{name}: {x}, {y}");
            }
            if ["told.jpg", "told.webp"].contains(&name) {
                let xmp = told.xmp.as_ref().unwrap();
                assert!(has(xmp, "tiff:Orientation=\"1\"") && has(xmp, "xmp:Rating=\"4\""), "{name}");
            }
            let picture = Picture::decode(&fixture(name), name).unwrap();
            let options = EncodeOptions::default().with(|options| options.metadata = told.clone());
            for format in FORMATS {
                let file = picture.encode_with(format, &options).unwrap();
                let back = Metadata::of(&file);
                let near = |side: fn((f64, f64)) -> f64| match (back.resolution, told.resolution) {
                    (Some(a), Some(b)) => (side(a) - side(b)).abs() < 0.51,
                    (None, None) => true,
                    // It is in the block, too.
                    _ => format == PictureFormat::WebP,
                };
                assert!(near(|(x, _)| x) && near(|(_, y)| y), "{name} to {format:?}: {:?}", back.resolution);
                assert_eq!(back.xmp, told.xmp, "{name} to {format:?}");
                // A TIFF has its resolution as its own, in thousandths.
                let fields = |exif: &Option<Vec<u8>>| {
                    let block = exif::Reader::new().read_raw(exif.clone().unwrap()).unwrap();
                    let own = [exif::Tag::XResolution, exif::Tag::YResolution, exif::Tag::ResolutionUnit];
                    let is_resolution = |tag| own.contains(&tag);
                    let fields = block.fields().filter(|field| !is_resolution(field.tag));
                    let mut fields: Vec<String> =
                        fields.map(|field| format!("{:?} {:?}", field.tag, field.value)).collect();
                    // With its place in the file.
                    fields.retain(|field| !field.contains("Undefined"));
                    fields
                };
                match format {
                    PictureFormat::Tiff => {
                        assert_eq!(fields(&back.exif), fields(&told.exif), "{name}");
                        assert!(fields(&told.exif).len() > 3, "{name}");
                    }
                    _ => assert_eq!(back.exif, told.exif, "{name} to {format:?}"),
                }
                let seen = Picture::decode(&file, "").unwrap();
                assert_eq!((seen.width(), seen.height()), (picture.width(), picture.height()));
            }
            let plain = picture.encode(PictureFormat::Jpeg).unwrap();
            assert!(Metadata::of(&plain).is_empty(), "{name}");
        }
        assert!(Metadata::of(b"").is_empty() && Metadata::of(b"II*\0").is_empty());
    }

    /// 8-bit samples of a PNG as they stand, whatever is said of their colours.
    fn samples_of(png: &[u8]) -> Vec<u8> {
        image::load_from_memory(png).unwrap().into_bytes()
    }

    fn in_space(name: &str) -> EncodeOptions {
        let colours = Picture::read(&fixture(name), name).unwrap().colours;
        assert!(colours.is_some(), "{name}");
        EncodeOptions::default().with(|options| options.colours = colours)
    }

    /// All of sRGB in wide and narrow spaces and in grey, against littleCMS: `make_kept.py` has made what is expected.
    #[test]
    fn colours_are_brought_to_a_profile() {
        let levels = || (0..9).map(|step| (f64::from(step) * 255.0 / 8.0).round_ties_even() as u8);
        let cube: Vec<u8> = levels()
            .flat_map(|red| levels().flat_map(move |green| levels().flat_map(move |blue| [red, green, blue])))
            .collect();
        let cube = Picture::from_rgb(27, 27, cube).unwrap();
        for space in ["display-p3", "adobe-rgb", "narrow", "grey"] {
            let options = in_space(&format!("kept-{space}.png"));
            let expected = samples_of(&fixture(&format!("kept-{space}.cube.png")));
            let seen = samples_of(&cube.encode_with(PictureFormat::Png, &options).unwrap());
            assert_eq!(seen.len(), expected.len(), "{space}");
            let worst = seen.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            println!("{space}: {worst} levels");
            assert!(worst <= 3, "{space}: {worst} levels");
            assert!(space == "grey" || seen != cube.rgb(), "{space}: nothing to do");
            // In 16 bits they are the same, but finer.
            let wide = options.clone().with(|options| options.depth = Depth::Sixteen);
            let wide =
                image::load_from_memory(&cube.encode_with(PictureFormat::Png, &wide).unwrap()).unwrap();
            let wide: Vec<u16> = match wide {
                image::DynamicImage::ImageLuma16(picture) => picture.into_raw(),
                other => other.into_rgb16().into_raw(),
            };
            let apart =
                wide.iter().zip(&expected).map(|(a, b)| (f64::from(*a) / 257.0 - f64::from(*b)).abs());
            let apart = apart.fold(0.0, f64::max);
            println!("{space}: {apart} levels in 16 bits");
            assert!(apart <= 3.0, "{space}: {apart} levels in 16 bits");
            assert!(wide.iter().any(|sample| !sample.is_multiple_of(257)));
        }
    }

    /// Whatever the format, the profile goes with the pixels, byte for byte, and both are read as what they were.
    #[test]
    fn files_carry_the_profile_of_their_colours() {
        for space in ["display-p3", "adobe-rgb", "narrow", "grey"] {
            let name = format!("kept-{space}.png");
            let (picture, options) = (Picture::decode(&fixture(&name), &name).unwrap(), in_space(&name));
            let icc = options.colours.as_ref().unwrap().icc().unwrap();
            let opaque: Vec<u8> = (0..48 * 36).flat_map(|place| [(255 - place % 48) as u8; 3]).collect();
            let opacity = Picture::from_rgb(48, 36, opaque).unwrap();
            for format in FORMATS {
                if space == "grey" && format == PictureFormat::WebP {
                    let error = picture.encode_with(format, &options).unwrap_err().to_string();
                    assert!(
                        error.contains("WebP holds no profile of grey; take PNG, JPEG or TIFF"),
                        "{error}"
                    );
                    continue;
                }
                let file = picture.encode_with(format, &options).unwrap();
                let back = Picture::read(&file, "").unwrap();
                assert_eq!(back.colours.unwrap().icc().unwrap(), icc, "{space} {format:?}");
                let apart = |other: &Picture| {
                    let apart = other.rgb().iter().zip(picture.rgb()).map(|(a, b)| a.abs_diff(*b));
                    apart.max().unwrap()
                };
                let levels = if format == PictureFormat::Jpeg { 24 } else { 3 };
                assert!(apart(&back.picture) <= levels, "{space} {format:?}: {}", apart(&back.picture));
                if format.has_alpha() {
                    let options = options.clone().with(|options| options.opacity = Some(opacity.clone()));
                    let file = picture.encode_with(format, &options).unwrap();
                    assert_eq!(Picture::decode_opacity(&file, "").unwrap(), opacity, "{space} {format:?}");
                }
                if format.has_sixteen_bits() {
                    let wide = options.clone().with(|options| options.depth = Depth::Sixteen);
                    let back = Picture::decode(&picture.encode_with(format, &wide).unwrap(), "").unwrap();
                    assert!(apart(&back) <= 1, "{space} {format:?} of 16 bits: {}", apart(&back));
                    let wide = wide.with(|options| options.opacity = Some(opacity.clone()));
                    let file = picture.encode_with(format, &wide).unwrap();
                    assert_eq!(Picture::decode_opacity(&file, "").unwrap(), opacity, "{space} {format:?}");
                }
            }
        }
    }

    /// EXIF says no more than that the colours are not those of sRGB, and all else that it said.
    #[test]
    fn exif_does_not_call_other_colours_srgb() {
        let told = Metadata::of(&fixture("told.jpg"));
        let picture = Picture::decode(&fixture("told.jpg"), "").unwrap();
        let of = |options: EncodeOptions| {
            let options = options.with(|options| options.metadata = told.clone());
            let file = picture.encode_with(PictureFormat::Jpeg, &options).unwrap();
            let block = marked(&file).find_map(|(_, payload)| payload.strip_prefix(b"Exif\0\0")).unwrap();
            let block = exif::Reader::new().read_raw(block.to_vec()).unwrap();
            let fields: Vec<String> = block
                .fields()
                .filter(|field| field.tag != exif::Tag::ColorSpace)
                .map(|field| format!("{} {}", field.tag, field.display_value()))
                .collect();
            let space = block.get_field(exif::Tag::ColorSpace, exif::In::PRIMARY).unwrap();
            (space.value.get_uint(0), fields)
        };
        let (own, other) = (of(EncodeOptions::default()), of(in_space("kept-adobe-rgb.png")));
        assert_eq!((own.0, other.0), (Some(1), Some(0xffff)));
        assert!(own.1 == other.1 && own.1.len() > 5);
        // A profile of sRGB is no other space.
        let srgb = of(in_space("colour-srgb-profile.png"));
        assert_eq!(srgb, own);
    }

    /// Spaces that files name without a profile get one that says the same.
    #[test]
    fn profiles_are_made_of_what_files_name() {
        for name in ["colour-code-points.png", "colour-gamma.png", "colour-exif-adobe-rgb.jpg"] {
            let picture = Picture::decode(&fixture("kept-display-p3.png"), "").unwrap();
            for format in FORMATS {
                let file = picture.encode_with(format, &in_space(name)).unwrap();
                let back = Picture::read(&file, "").unwrap();
                assert!(back.colours.is_some() && back.notes.is_empty(), "{name} {format:?}");
                let apart = back.picture.rgb().iter().zip(picture.rgb()).map(|(a, b)| a.abs_diff(*b));
                let mean = apart.clone().map(f64::from).sum::<f64>() / picture.rgb().len() as f64;
                let levels = if format == PictureFormat::Jpeg { 24 } else { 3 };
                let worst = apart.max().unwrap();
                assert!(worst <= levels && mean < 3.0, "{name} {format:?}: {worst}, {mean}");
            }
        }
    }

    #[test]
    fn what_no_picture_can_be_written_in_is_refused() {
        let options = in_space("colour-inks.jpg");
        for format in FORMATS {
            let error = sample(8, 8).encode_with(format, &options).unwrap_err().to_string();
            assert!(error.contains("inks (CMYK)") && error.contains("leave the profile out"), "{error}");
        }
        let wide = EncodeOptions::default().with(|options| options.depth = Depth::Sixteen);
        for format in FORMATS {
            let refused = sample(8, 8).encode_with(format, &wide).err().map(|error| error.to_string());
            assert_eq!(refused.is_some(), !format.has_sixteen_bits(), "{format:?}");
            assert!(
                refused.is_none_or(|error| error.contains("holds no samples of 16 bits; take PNG or TIFF"))
            );
        }
    }

    /// A picture that has only 8 bits gets no more by 16, and comes back as it was.
    #[test]
    fn eight_bits_are_the_same_in_sixteen() {
        let wide = EncodeOptions::default().with(|options| options.depth = Depth::Sixteen);
        for (width, height) in [(1, 1), (31, 23)] {
            let picture = sample(width, height);
            for format in [PictureFormat::Png, PictureFormat::Tiff] {
                let file = picture.encode_with(format, &wide).unwrap();
                assert_eq!(Picture::decode(&file, "").unwrap(), picture, "{format:?}");
            }
        }
    }
}
