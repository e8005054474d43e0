//! What the decoders share: the file that they read with its errors, the limits, and the turning of what they decode.

use image::metadata::Orientation;
use image::{DynamicImage, RgbImage};

use super::colour::ColourSpace;
use crate::error::{Error, Remedy, Result};

/// The longest side that is read, in pixels: more than any camera gives, and little enough that the sizes of
/// a file of a few bytes cannot ask for absurd work.
pub const LONGEST_SIDE: u32 = 32_768;

/// The memory that reading one picture may take beside its file's own bytes: the picture as 8-bit RGB, a second
/// time if EXIF has it turned, and the decoder's buffers. 200 megapixels of PNG or of baseline JPEG take
/// 600 MB, and twice that where they are turned; a progressive JPEG's coefficients are twice as much again. Files too small for the picture that they
/// promise, and those that unpack without end, are refused before memory is asked for.
pub const MEMORY_LIMIT: u64 = 5 << 28;

pub(super) const DAMAGED: &str =
    "the file is damaged or cut short: fetch it again, or save it anew from an image editor";

/// Said of a file of several frames.
pub(super) const FIRST_FRAME: &str = "it is animated: its first frame is read";

/// What a decoder has made of a file.
pub(super) struct Decoded {
    pub(super) picture: RgbImage,
    /// What a reader of the file should know.
    pub(super) notes: Vec<String>,
    /// Whether its pixels have an alpha channel.
    pub(super) has_alpha: bool,
    /// What its colours are, where it says so.
    pub(super) space: Option<ColourSpace>,
}

/// The bytes of a file with its name for messages.
pub(super) struct File<'bytes> {
    pub(super) bytes: &'bytes [u8],
    pub(super) name: &'bytes str,
    /// Whether a part of a picture is wanted where the rest cannot be read.
    pub(super) damaged_ok: bool,
}

impl File<'_> {
    /// Refuses sides and memory over the limits before anything of that size is allocated; `beside` is what is
    /// taken beside the picture as RGB.
    pub(super) fn check_size(
        &self,
        width: u32,
        height: u32,
        beside: u64,
        orientation: Orientation,
    ) -> Result<()> {
        if width == 0 || height == 0 {
            return Err(self.error(format!("the picture is {width}x{height}, without a pixel"), DAMAGED));
        }
        if width.max(height) > LONGEST_SIDE {
            let reason =
                format!("the picture is {width}x{height}; sides of up to {LONGEST_SIDE} pixels are read");
            return Err(self.error(reason, "make it smaller in an image editor"));
        }
        let pictures = if orientation == Orientation::NoTransforms { 1 } else { 2 };
        let needed = pictures * bytes_of_rgb(width, height) + beside;
        if needed > MEMORY_LIMIT {
            let (needed, limit) = (needed >> 20, MEMORY_LIMIT >> 20);
            let reason =
                format!("reading the picture of {width}x{height} takes {needed} MiB, {limit} are allowed");
            return Err(self.error(reason, "make it smaller in an image editor"));
        }
        Ok(())
    }

    /// This many bytes of zero; an error where there is too little memory.
    pub(super) fn zeroed(&self, bytes: u64) -> Result<Vec<u8>> {
        let mut room = Vec::new();
        let length = usize::try_from(bytes).unwrap_or(usize::MAX);
        if room.try_reserve_exact(length).is_err() {
            let reason =
                format!("there is too little memory to read it: {} MiB more are needed", bytes >> 20);
            return Err(self.error(reason, "close other programs, or make it smaller in an image editor"));
        }
        room.resize(length, 0);
        Ok(room)
    }

    pub(super) fn cannot_be_converted(&self) -> Error {
        self.error("its colours cannot be converted to sRGB", "save it anew from an image editor, as sRGB")
    }

    pub(super) fn ends_early(&self) -> Error {
        self.error("the file ends before the picture does", DAMAGED)
    }

    /// Of a file of which a part can be read.
    pub(super) fn damaged(&self, reason: String) -> Error {
        Error::Picture { name: self.name.to_owned(), reason, remedy: Remedy::WholePicture }
    }

    pub(super) fn error(&self, reason: impl Into<String>, remedy: impl Into<Remedy>) -> Error {
        Error::Picture { name: self.name.to_owned(), reason: reason.into(), remedy: remedy.into() }
    }
}

/// The picture as EXIF has it turned.
pub(super) fn turned(picture: RgbImage, orientation: Orientation) -> RgbImage {
    let mut image = DynamicImage::ImageRgb8(picture);
    image.apply_orientation(orientation);
    image.into_rgb8()
}

pub(super) fn bytes_of_rgb(width: u32, height: u32) -> u64 {
    u64::from(width) * u64::from(height) * 3
}

/// A decoder's message, fit for one line.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
