//! Rows of samples, as files have them, to 8-bit sRGB over white, or to how opaque they are.

use std::sync::Arc;

use moxcms::{Transform8BitExecutor, Transform16BitExecutor};

use super::colour::{ColourSpace, PixelKind};

/// Bits of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// 0 to 255.
    Eight,
    /// 0 to 65535.
    Sixteen,
}

/// What is made of a picture's samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// sRGB, over white where it is transparent.
    Colours,
    /// How opaque the pixels are, as grey: white is opaque.
    Opacity,
}

/// Turns rows of samples into RGB.
pub(super) struct RowConverter {
    to_rgb: ToRgb,
    to_srgb: Option<ToSrgb>,
}

/// Turns a row, samples in big-endian order, into RGB as far as either reaches.
type ToRgb = fn(&[u8], &mut [u8]);

impl RowConverter {
    /// For samples of this kind in `space`, which is sRGB where there is none.
    pub(super) fn new(kind: PixelKind, depth: Depth, space: Option<&ColourSpace>, wanted: Wanted) -> Self {
        match wanted {
            Wanted::Opacity => Self { to_rgb: to_opacity(kind, depth), to_srgb: None },
            Wanted::Colours => {
                let to_srgb = space.and_then(|space| ToSrgb::of(space, kind, depth));
                let kind = to_srgb.as_ref().map_or(kind, ToSrgb::made);
                Self { to_rgb: to_rgb(kind, depth), to_srgb }
            }
        }
    }

    /// A row of samples into a row of RGB, as far as either reaches; `None` where the colours cannot be converted.
    pub(super) fn convert(&mut self, samples: &[u8], rgb: &mut [u8]) -> Option<()> {
        let samples = match &mut self.to_srgb {
            Some(to_srgb) => to_srgb.row(samples)?,
            None => samples,
        };
        (self.to_rgb)(samples, rgb);
        Some(())
    }
}

/// Brings rows of samples to sRGB.
struct ToSrgb {
    transform: Transform,
    kind: PixelKind,
    row: Vec<u8>,
}

enum Transform {
    Eight(Arc<Transform8BitExecutor>),
    Sixteen(Arc<Transform16BitExecutor>),
}

impl ToSrgb {
    /// `None` where it would change nothing.
    fn of(space: &ColourSpace, kind: PixelKind, depth: Depth) -> Option<Self> {
        let transform = match depth {
            Depth::Eight => Transform::Eight(space.to_srgb_8(kind)?),
            Depth::Sixteen => Transform::Sixteen(space.to_srgb_16(kind)?),
        };
        Some(Self { transform, kind, row: Vec::new() })
    }

    /// What the samples are afterwards.
    fn made(&self) -> PixelKind {
        PixelKind::Rgb { alpha: self.kind.has_alpha() }
    }

    /// The same row in sRGB.
    fn row(&mut self, samples: &[u8]) -> Option<&[u8]> {
        let made = self.made().samples();
        match &self.transform {
            Transform::Eight(transform) => {
                self.row.resize(samples.len() / self.kind.samples() * made, 0);
                transform.transform(samples, &mut self.row).ok()?;
            }
            Transform::Sixteen(transform) => {
                let wide: Vec<u16> =
                    samples.as_chunks().0.iter().map(|bytes| u16::from_be_bytes(*bytes)).collect();
                let mut seen = vec![0; wide.len() / self.kind.samples() * made];
                transform.transform(&wide, &mut seen).ok()?;
                self.row.clear();
                self.row.extend(seen.into_iter().flat_map(u16::to_be_bytes));
            }
        }
        Some(&self.row)
    }
}

/// How rows of these samples become RGB; alpha, which is not premultiplied, is composited over white.
fn to_rgb(kind: PixelKind, depth: Depth) -> ToRgb {
    match (kind, depth) {
        (PixelKind::Grey { alpha: false }, Depth::Eight) => |row, rgb| each(row, rgb, |[grey]| [grey; 3]),
        (PixelKind::Grey { alpha: true }, Depth::Eight) => {
            |row, rgb| each(row, rgb, |[grey, alpha]| [over_white(grey, alpha); 3])
        }
        (PixelKind::Rgb { alpha: false }, Depth::Eight) => |row, rgb| each(row, rgb, |rgb: [u8; 3]| rgb),
        (PixelKind::Rgb { alpha: true }, Depth::Eight) => |row, rgb| {
            each(row, rgb, |[red, green, blue, alpha]| {
                [red, green, blue].map(|value| over_white(value, alpha))
            });
        },
        // Ink covers white as what is opaque does.
        (PixelKind::Cmyk, Depth::Eight) => |row, rgb| {
            each(row, rgb, |[cyan, magenta, yellow, black]| {
                [cyan, magenta, yellow].map(|ink| under_ink(255 - ink, black))
            });
        },
        (PixelKind::Grey { alpha: false }, Depth::Sixteen) => {
            |row, rgb| each_wide::<2, 1>(row, rgb, |[grey]| [narrow(grey, u16::MAX); 3])
        }
        (PixelKind::Grey { alpha: true }, Depth::Sixteen) => {
            |row, rgb| each_wide::<4, 2>(row, rgb, |[grey, alpha]| [narrow(grey, alpha); 3])
        }
        (PixelKind::Rgb { alpha: false }, Depth::Sixteen) => {
            |row, rgb| each_wide::<6, 3>(row, rgb, |values| values.map(|value| narrow(value, u16::MAX)))
        }
        (PixelKind::Rgb { alpha: true }, Depth::Sixteen) => |row, rgb| {
            each_wide::<8, 4>(row, rgb, |[red, green, blue, alpha]| {
                [red, green, blue].map(|value| narrow(value, alpha))
            });
        },
        (PixelKind::Cmyk, Depth::Sixteen) => |row, rgb| {
            each_wide::<8, 4>(row, rgb, |inks| {
                let [cyan, magenta, yellow, black] = inks.map(|ink| narrow(ink, u16::MAX));
                [cyan, magenta, yellow].map(|ink| under_ink(255 - ink, black))
            });
        },
    }
}

/// How rows of these samples become the opacity of their pixels, as grey.
fn to_opacity(kind: PixelKind, depth: Depth) -> ToRgb {
    match (kind, depth) {
        (PixelKind::Grey { alpha: true }, Depth::Eight) => |row, rgb| each(row, rgb, |[_, alpha]| [alpha; 3]),
        (PixelKind::Rgb { alpha: true }, Depth::Eight) => {
            |row, rgb| each(row, rgb, |[_, _, _, alpha]| [alpha; 3])
        }
        (PixelKind::Grey { alpha: true }, Depth::Sixteen) => {
            |row, rgb| each_wide::<4, 2>(row, rgb, |[_, alpha]| [narrow(alpha, u16::MAX); 3])
        }
        (PixelKind::Rgb { alpha: true }, Depth::Sixteen) => {
            |row, rgb| each_wide::<8, 4>(row, rgb, |[_, _, _, alpha]| [narrow(alpha, u16::MAX); 3])
        }
        (PixelKind::Grey { alpha: false } | PixelKind::Rgb { alpha: false } | PixelKind::Cmyk, _) => {
            |_, rgb| rgb.fill(255)
        }
    }
}

/// Pixels of N bytes to RGB.
fn each<const N: usize>(row: &[u8], rgb: &mut [u8], pixel: impl Fn([u8; N]) -> [u8; 3]) {
    for (&from, to) in row.as_chunks().0.iter().zip(rgb.as_chunks_mut().0) {
        *to = pixel(from);
    }
}

/// Pixels of N samples of 16 bits, in BYTES = 2·N bytes, to RGB.
fn each_wide<const BYTES: usize, const N: usize>(
    row: &[u8],
    rgb: &mut [u8],
    pixel: impl Fn([u16; N]) -> [u8; 3],
) {
    each(row, rgb, |bytes: [u8; BYTES]| {
        pixel(std::array::from_fn(|sample| u16::from_be_bytes([bytes[2 * sample], bytes[2 * sample + 1]])))
    });
}

/// A value over white, rounded once.
pub(super) fn over_white(value: u8, alpha: u8) -> u8 {
    let (value, alpha) = (u32::from(value), u32::from(alpha));
    let sum = value * alpha + 255 * (255 - alpha);
    ((sum + 127) / 255) as u8
}

/// A value with black ink over it, rounded once.
fn under_ink(value: u8, black: u8) -> u8 {
    ((u32::from(value) * u32::from(255 - black) + 127) / 255) as u8
}

/// A value of 16 bits over white, in 8 bits, rounded once.
fn narrow(value: u16, alpha: u16) -> u8 {
    let (value, alpha) = (u64::from(value), u64::from(alpha));
    // In units of 1/65535² until the one rounding to 8 bits.
    const TO_8_BITS: u64 = 65_535 * 257;
    let sum = value * alpha + 65_535 * (65_535 - alpha);
    ((sum + TO_8_BITS / 2) / TO_8_BITS) as u8
}

/// A value of linear light as an 8-bit level of sRGB: what is brighter than 1 is as bright as 1, what is no number is black.
pub(super) fn level(light: f32) -> u8 {
    // NaN would stay what it is.
    let light = if light > 0.0 { light.min(1.0) } else { 0.0 };
    // IEC 61966-2-1.
    let encoded = if light <= 0.003_130_8 { 12.92 * light } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 };
    (encoded * 255.0).round() as u8
}

/// A pixel of linear light as it is wanted.
pub(super) fn seen(light: &[f32], kind: PixelKind, is_premultiplied: bool, wanted: Wanted) -> [u8; 3] {
    let (colours, alpha) =
        if kind.has_alpha() { light.split_at(light.len() - 1) } else { (light, &[1.0][..]) };
    let alpha = alpha[0];
    let opacity = if alpha > 0.0 { (alpha.min(1.0) * 255.0).round() as u8 } else { 0 };
    if wanted == Wanted::Opacity {
        return [opacity; 3];
    }
    let divisor = if is_premultiplied && alpha > 0.0 { alpha } else { 1.0 };
    let colour = |index: usize| over_white(level(colours[index.min(colours.len() - 1)] / divisor), opacity);
    std::array::from_fn(colour)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn light_becomes_levels() {
        for (light, expected) in [
            (0.0, 0),
            (-1.0, 0),
            (f32::NAN, 0),
            (0.001, 3),
            (0.214_041, 127),
            (0.5, 188),
            (1.0, 255),
            (7.0, 255),
            (f32::INFINITY, 255),
        ] {
            assert_eq!(level(light), expected, "{light}");
        }
    }
}
