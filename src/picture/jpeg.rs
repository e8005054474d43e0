//! JPEG to a picture.

use image::RgbImage;
use image::metadata::Orientation;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::{DAMAGED, File, Picture, one_line};
use crate::error::Result;

impl File<'_> {
    /// JPEG goes straight to the decoder that the image crate uses, because that crate asks it to be lenient:
    /// it paints the part of a damaged picture that cannot be read grey and says nothing.
    pub(super) fn decode_jpeg(&self) -> Result<Picture> {
        let outline = JpegOutline::of(self.bytes);
        if !outline.complete {
            return Err(self.error("the file ends before its end-of-image marker", DAMAGED));
        }
        let fail = |error: zune_jpeg::errors::DecodeErrors| {
            self.error(format!("cannot be decoded: {}", one_line(&error.to_string())), DAMAGED)
        };
        // The sides are checked below, with our own message. Grey, CMYK and YCCK all become RGB on the way.
        let options = DecoderOptions::default()
            .set_max_width(usize::MAX)
            .set_max_height(usize::MAX)
            .jpeg_set_out_colorspace(ColorSpace::RGB);
        // Stray bytes between headers do no harm and some cameras leave them; in the picture's data they do.
        let mut decoder =
            JpegDecoder::new_with_options(ZCursor::new(self.bytes), options.set_strict_mode(false));
        decoder.decode_headers().map_err(fail)?;
        let (width, height) = decoder.dimensions().unwrap_or_default();
        // The format stores sides in 16 bits.
        let (width, height) = (width as u32, height as u32);
        let orientation = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));
        let orientation = orientation.unwrap_or(Orientation::NoTransforms);
        let pixels = u64::from(width) * u64::from(height);
        self.check_size(width, height, outline.coefficient_bytes(width, height), orientation)?;
        decoder.set_options(options.set_strict_mode(true));
        let mut rgb = vec![0; pixels as usize * 3];
        decoder.decode_into(&mut rgb).map_err(fail)?;
        let picture = RgbImage::from_raw(width, height, rgb)
            .ok_or_else(|| self.error("the decoder gave another size than it promised", DAMAGED))?;
        self.turned(picture, orientation)
    }
}

/// What a JPEG's markers say before it is decoded.
#[derive(Debug, Default, PartialEq, Eq)]
struct JpegOutline {
    /// An end-of-image marker closes the picture. A thumbnail's own, inside a segment, does not count.
    complete: bool,
    progressive: bool,
    components: u64,
    scans: u64,
}

impl JpegOutline {
    fn of(bytes: &[u8]) -> Self {
        let mut outline = Self::default();
        let mut rest = bytes;
        while let Some(place) = rest.iter().position(|&byte| byte == 0xff) {
            rest = &rest[place..];
            // A marker may be preceded by any number of 0xff.
            let fill = rest.iter().take_while(|&&byte| byte == 0xff).count();
            let Some((&marker, after)) = rest[fill..].split_first() else { break };
            rest = after;
            match marker {
                // Without a length: a stuffed zero or a restart in the coded data, a start, a temporary code.
                0x00 | 0x01 | 0xd0..=0xd8 => continue,
                0xd9 => {
                    outline.complete = true;
                    break;
                }
                // Start of frame, but for the three codes among them that are not.
                0xc0..=0xcf if ![0xc4, 0xc8, 0xcc].contains(&marker) => {
                    outline.progressive |= marker & 3 == 2;
                    outline.components = rest.get(7).copied().unwrap_or(0).into();
                }
                0xda => outline.scans += 1,
                _ => {}
            }
            let length = rest.first_chunk::<2>().map_or(0, |length| u16::from_be_bytes(*length));
            rest = rest.get(usize::from(length)..).unwrap_or_default();
        }
        outline
    }

    /// The 16-bit coefficients that the decoder keeps of the whole picture if it comes in several scans.
    fn coefficient_bytes(&self, width: u32, height: u32) -> u64 {
        if !self.progressive && self.scans < 2 {
            return 0;
        }
        // A unit is at most 4 blocks of 8 pixels a side.
        let padded = |side: u32| u64::from(side).next_multiple_of(32);
        padded(width) * padded(height) * 2 * self.components
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::testing::*;
    use super::*;
    use image::codecs::jpeg::JpegEncoder;
    use image::{ExtendedColorType, ImageEncoder};

    const INKS: [[u8; 3]; 4] = [[255, 0, 0], [0, 191, 191], [119, 103, 87], [0, 0, 0]];

    #[test]
    fn every_kind_of_jpeg_is_read() {
        for name in ["progressive.jpg", "restarts.jpg", "rgb-coded.jpg"] {
            assert_quarters(name, QUARTERS, 2);
        }
        assert_quarters("grey.jpg", [10, 90, 170, 250].map(|value| [value; 3]), 1);
    }

    #[test]
    fn inks_become_the_colours_that_they_print() {
        for name in ["cmyk-adobe.jpg", "cmyk-unmarked.jpg", "ycck-adobe.jpg"] {
            assert_quarters(name, INKS, 3);
        }
    }

    #[test]
    fn a_thumbnails_end_is_not_the_pictures_end() {
        let mut jpeg = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut jpeg, 95);
        encoder.set_exif_metadata([&exif(1)[..], b"\xff\xd8 thumbnail \xff\xd9"].concat()).unwrap();
        encoder.write_image(sample(20, 20).rgb(), 20, 20, ExtendedColorType::Rgb8).unwrap();
        Picture::decode(&jpeg, "").unwrap();
        assert!(refusal(&jpeg[..jpeg.len() - 40]).0.contains("end-of-image"));
        // What follows the end does not matter: telephones append a second picture or a film.
        Picture::decode(&[&jpeg[..], b"\0 more \xff\xd8\xff"].concat(), "").unwrap();
    }
}
