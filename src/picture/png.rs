//! PNG to a picture.

use std::io::Cursor;

use image::codecs::png::PngDecoder;
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageError, Limits, Rgb, RgbImage};

use super::{DAMAGED, File, MEMORY_LIMIT, Picture, one_line};
use crate::error::{Error, Result};

impl File<'_> {
    pub(super) fn decode_png(&self) -> Result<Picture> {
        let mut limits = Limits::no_limits();
        limits.max_alloc = Some(MEMORY_LIMIT);
        let decoder = PngDecoder::with_limits(Cursor::new(self.bytes), limits)
            .map_err(|error| self.png_error(&error))?;
        let (width, height) = decoder.dimensions();
        let orientation = png_orientation(self.bytes);
        let pixels = u64::from(width) * u64::from(height);
        // Grey with alpha passes through RGBA of the same depth on its way to RGB.
        let passing = match decoder.color_type() {
            ColorType::La8 => 4,
            ColorType::La16 => 8,
            _ => 0,
        };
        self.check_size(width, height, decoder.total_bytes() + pixels * (3 + passing), orientation)?;
        let image = DynamicImage::from_decoder(decoder).map_err(|error| self.png_error(&error))?;
        self.turned(over_white(image), orientation)
    }

    fn png_error(&self, error: &ImageError) -> Error {
        match error {
            ImageError::Limits(_) => self.error(
                format!("reading the picture takes more than the {} MiB allowed", MEMORY_LIMIT >> 20),
                "make it smaller in an image editor",
            ),
            ImageError::IoError(io) if io.kind() == std::io::ErrorKind::UnexpectedEof => {
                self.error("the file ends before the picture does", DAMAGED)
            }
            other => self.error(format!("cannot be decoded: {}", one_line(&other.to_string())), DAMAGED),
        }
    }
}

/// 8-bit RGB of any decoded picture; alpha, which is not premultiplied in PNG, is composited over white.
fn over_white(image: DynamicImage) -> RgbImage {
    match image {
        DynamicImage::ImageRgb8(picture) => picture,
        image if !image.color().has_alpha() => image.into_rgb8(),
        image if image.color().bytes_per_pixel() / image.color().channel_count() == 1 => {
            let picture = image.into_rgba8();
            RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
                let [red, green, blue, alpha] = picture.get_pixel(x, y).0.map(u32::from);
                Rgb([red, green, blue].map(|value| {
                    let sum = value * alpha + 255 * (255 - alpha);
                    ((sum + 127) / 255) as u8
                }))
            })
        }
        image => {
            let picture = image.into_rgba16();
            RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
                let [red, green, blue, alpha] = picture.get_pixel(x, y).0.map(u64::from);
                Rgb([red, green, blue].map(|value| {
                    // In units of 1/65535² until the one rounding to 8 bits.
                    let sum = value * alpha + 65_535 * (65_535 - alpha);
                    const TO_8_BITS: u64 = 65_535 * 257;
                    ((sum + TO_8_BITS / 2) / TO_8_BITS) as u8
                }))
            })
        }
    }
}

/// The orientation in a PNG's eXIf chunk, wherever it stands: the decoder knows only one before the pixels,
/// and the format allows it behind them.
fn png_orientation(bytes: &[u8]) -> Orientation {
    const SIGNATURE: usize = 8;
    let mut rest = bytes.get(SIGNATURE..).unwrap_or_default();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let Some((kind, after)) = after.split_first_chunk::<4>() else { break };
        let Some(data) = after.get(..length) else { break };
        if kind == b"eXIf" {
            return Orientation::from_exif_chunk(data).unwrap_or(Orientation::NoTransforms);
        }
        // The checksum's four bytes.
        rest = after.get(length..).and_then(|after| after.get(4..)).unwrap_or_default();
    }
    Orientation::NoTransforms
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::testing::*;
    use super::*;
    use image::{GrayAlphaImage, ImageBuffer, ImageFormat, Luma, LumaA, Rgba};

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
}
