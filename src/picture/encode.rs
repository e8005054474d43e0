//! A picture to the bytes of a file.

use std::io::Cursor;

use flate2::Crc;
use image::codecs::jpeg::{JpegEncoder, PixelDensity, PixelDensityUnit};
use image::codecs::png::{CompressionType, FilterType as PngFilter, PngEncoder};
use image::{ExtendedColorType, ImageEncoder, ImageError};
use tiff::encoder::colortype::{RGB8, RGBA8};
use tiff::encoder::{Compression, DeflateLevel, Predictor, Rational, TiffEncoder};
use tiff::tags::{ExtraSamples, ResolutionUnit, Tag};

use super::colour::srgb_profile;
use super::metadata::{Metadata, XMP_OF_JPEG, XMP_OF_PNG};

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
    /// Lossless: deflated, in 8 bits.
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
}

/// Pixels that are written.
pub(super) struct Pixels<'pixels> {
    pub(super) size: (u32, u32),
    pub(super) rgb: &'pixels [u8],
    /// How opaque each is, as grey in RGB.
    pub(super) opacity: Option<&'pixels [u8]>,
}

/// The file, or what is wrong.
pub(super) fn encode(
    picture: &Pixels<'_>,
    format: PictureFormat,
    quality: u8,
    metadata: &Metadata,
) -> std::result::Result<Vec<u8>, String> {
    let rgba = picture.opacity.filter(|_| format.has_alpha()).map(|opacity| {
        let pixels = picture.rgb.as_chunks().0.iter().zip(opacity.as_chunks().0);
        pixels
            .flat_map(|(&rgb, &[alpha, ..]): (&[u8; 3], &[u8; 3])| off_white(rgb, alpha))
            .collect::<Vec<u8>>()
    });
    let pixels = rgba.as_deref().unwrap_or(picture.rgb);
    let kind = if rgba.is_some() { ExtendedColorType::Rgba8 } else { ExtendedColorType::Rgb8 };
    let (width, height) = picture.size;
    let Metadata { exif, xmp, resolution } = metadata;
    let mut bytes = Vec::new();
    let fail = |error: ImageError| error.to_string();
    match format {
        PictureFormat::Png => {
            PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, PngFilter::Adaptive)
                .write_image(pixels, width, height, kind)
                .map_err(fail)?;
            // Behind the header: sRGB, to be seen as such.
            let mut chunks = chunk(b"sRGB", &[&[0]]);
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
            let _ = srgb_profile().map(|profile| encoder.set_icc_profile(profile));
            let _ = exif.clone().map(|exif| encoder.set_exif_metadata(exif));
            if let Some((x, y)) = resolution {
                let density = (x.round() as u16, y.round() as u16);
                encoder.set_pixel_density(PixelDensity { density, unit: PixelDensityUnit::Inches });
            }
            encoder.write_image(pixels, width, height, kind).map_err(fail)?;
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
            srgb_profile().into_iter().for_each(|profile| encoder.set_icc_profile(profile));
            exif.iter().for_each(|exif| encoder.set_exif_metadata(exif.clone()));
            xmp.iter().for_each(|xmp| encoder.set_xmp_metadata(xmp.clone()));
            let kind =
                if rgba.is_some() { image_webp::ColorType::Rgba8 } else { image_webp::ColorType::Rgb8 };
            encoder.encode(pixels, width, height, kind).map_err(|error| error.to_string())?;
        }
        PictureFormat::Tiff => {
            let mut file = Cursor::new(Vec::new());
            write_tiff(&mut file, pixels, (width, height), rgba.is_some(), metadata)
                .map_err(|error| error.to_string())?;
            bytes = file.into_inner();
        }
    }
    Ok(bytes)
}

fn write_tiff(
    file: &mut Cursor<Vec<u8>>,
    pixels: &[u8],
    (width, height): (u32, u32),
    has_alpha: bool,
    metadata: &Metadata,
) -> tiff::TiffResult<()> {
    let compression = Compression::Deflate(DeflateLevel::default());
    let mut encoder =
        TiffEncoder::new(file)?.with_compression(compression).with_predictor(Predictor::Horizontal);
    macro_rules! written {
        ($colours:ty) => {{
            let mut image = encoder.new_image::<$colours>(width, height)?;
            let tags = image.encoder();
            if has_alpha {
                tags.write_tag(Tag::ExtraSamples, &[ExtraSamples::UnassociatedAlpha.to_u16()][..])?;
            }
            if let Some(profile) = srgb_profile() {
                tags.write_tag(Tag::IccProfile, &profile[..])?;
            }
            if let Some(xmp) = &metadata.xmp {
                tags.write_tag(Tag::Unknown(700), &xmp[..])?;
            }
            if let Some((x, y)) = metadata.resolution {
                let side = |side: f64| Rational { n: (side * 1000.0).round() as u32, d: 1000 };
                image.resolution_unit(ResolutionUnit::Inch);
                image.x_resolution(side(x));
                image.y_resolution(side(y));
            }
            image.write_data(pixels)
        }};
    }
    if has_alpha { written!(RGBA8) } else { written!(RGB8) }
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
fn off_white(rgb: [u8; 3], alpha: u8) -> [u8; 4] {
    let opaque = i32::from(alpha);
    let colour = |value: u8| match opaque {
        0 => 255,
        _ => (255 - ((255 - i32::from(value)) * 255 + opaque / 2) / opaque).max(0) as u8,
    };
    let [red, green, blue] = rgb.map(colour);
    [red, green, blue, alpha]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
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
                if format != PictureFormat::Tiff {
                    assert_eq!(back.exif, told.exif, "{name} to {format:?}");
                }
                let seen = Picture::decode(&file, "").unwrap();
                assert_eq!((seen.width(), seen.height()), (picture.width(), picture.height()));
            }
            let plain = picture.encode(PictureFormat::Jpeg).unwrap();
            assert!(Metadata::of(&plain).is_empty(), "{name}");
        }
        assert!(Metadata::of(b"").is_empty() && Metadata::of(b"II*\0").is_empty());
    }
}
