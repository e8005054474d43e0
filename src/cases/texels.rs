//! Cases of a host's textures: their texels to pictures, and back.

use half::f16;

use super::case::Case;
use super::elements::Elements;
use super::family::{Dimensions, Family, OwnCase};
use super::input::{Fill, Input, input};
use super::tolerance::{EPSILON, Tolerance};
use super::twin::{Twin, as_words, bytes, plane, rounded, words};
use crate::ops::Shape;
use crate::ops::texels::{DecodeTexels, EncodeTexels, TexelFormat};
use crate::picture::Extent;
use crate::reference;

pub(super) static DECODE: Family = Family {
    name: "decode_texels",
    list: decode,
    twin: |op, inputs, shapes| {
        let DecodeTexels { format, width } = *op.downcast()?;
        let Shape { h, w: pitch, .. } = shapes[0];
        let size = (h as usize, width as usize);
        let y: Vec<f64> = reference::decode_texels(
            &words(inputs[0]),
            size,
            pitch as usize,
            format.words() as usize,
            format == TexelFormat::Bgra8,
        );
        Some(match format {
            TexelFormat::Rgba8 | TexelFormat::Bgra8 => Twin::new(as_words(&rounded(&y))),
            TexelFormat::Rgba16Float => Twin::bytes(y),
        })
    },
    of: |op, shapes| {
        let format = op.downcast::<DecodeTexels>()?.format;
        let Shape { h, w: pitch, .. } = shapes[0];
        Some(OwnCase::new(vec![texels(format, h, pitch)], decode_tolerance(format)))
    },
    elements: |op| match op.downcast() {
        Some(DecodeTexels { format: TexelFormat::Rgba16Float, .. }) => Elements::Bytes,
        _ => Elements::Words,
    },
    dimensions: Dimensions::of_largest,
};

pub(super) static ENCODE: Family = Family {
    name: "encode_texels",
    list: encode,
    twin: |op, inputs, shapes| {
        let EncodeTexels { format, pitch } = *op.downcast()?;
        let (pitch, words) = (pitch as usize, format.words() as usize);
        let bgra = format == TexelFormat::Bgra8;
        let y: Vec<f64> = reference::encode_texels(&bytes(inputs[0]), plane(shapes[0]), pitch, words, bgra);
        Some(match format {
            TexelFormat::Rgba8 | TexelFormat::Bgra8 => Twin::new(as_words(&rounded(&y))),
            TexelFormat::Rgba16Float => {
                let bits = y.iter().flat_map(|value| f16::from_f64(*value).to_le_bytes());
                let words = as_words(&bits.collect::<Vec<u8>>());
                Twin { exact: Some(y), ..Twin::new(words) }
            }
        })
    },
    of: |op, shapes| {
        let format = op.downcast::<EncodeTexels>()?.format;
        Some(OwnCase::new(vec![input(shapes[0], Fill::Rgba)], encode_tolerance(format)))
    },
    elements: |op| match op.downcast() {
        Some(EncodeTexels { format: TexelFormat::Rgba16Float, .. }) => Elements::Halves,
        _ => Elements::Words,
    },
    dimensions: Dimensions::of_largest,
};

fn decode_tolerance(format: TexelFormat) -> Tolerance {
    match format {
        TexelFormat::Rgba8 | TexelFormat::Bgra8 => Tolerance::EXACT,
        TexelFormat::Rgba16Float => Tolerance {
            atol: 0.5 + 255.0 * 16.0 * EPSILON,
            rtol: 0.0,
            reason: "half a level is the rounding to 8 bits. A power is 2 to a product with a logarithm: of numbers \
                     from 0.003 on the logarithm is within ±9 and off by 3·2⁻²¹, divided by 2.4; the language \
                     allows the power a few times 2⁻²³ more. 2⁻¹⁹ of 255 levels are allowed",
        },
    }
}

fn encode_tolerance(format: TexelFormat) -> Tolerance {
    match format {
        TexelFormat::Rgba8 | TexelFormat::Bgra8 => Tolerance::EXACT,
        TexelFormat::Rgba16Float => Tolerance {
            atol: 0.0,
            rtol: 1.0 / 2048.0 + 32.0 * EPSILON,
            reason: "a half is off by 2⁻¹¹ of itself. Before, a power is 2 to a product within ±9, of which the \
                     language allows each factor to be off by a few times 2⁻²²: 2⁻¹⁸ of it are allowed",
        },
    }
}

/// A texture's rows, padding included, in words.
fn texels(format: TexelFormat, h: u32, pitch: u32) -> Input {
    let fill = match format {
        TexelFormat::Rgba8 | TexelFormat::Bgra8 => Fill::Rgba,
        TexelFormat::Rgba16Float => Fill::Halves,
    };
    input(Shape::new(1, h, pitch), fill)
}

const RGBA8: TexelFormat = TexelFormat::Rgba8;
const BGRA8: TexelFormat = TexelFormat::Bgra8;
const RGBA16: TexelFormat = TexelFormat::Rgba16Float;

/// A texture's format and extent, and the words from one row to the next.
type Texture = (TexelFormat, Extent, u32);

/// Without padding, with a copy's (64 words), and with one that puts the texels of two words at odd places.
const SIZES: [Texture; 10] = [
    (RGBA8, Extent::new(1, 1), 1),
    (RGBA8, Extent::new(7, 5), 64),
    (RGBA8, Extent::new(61, 67), 64),
    (RGBA8, Extent::new(97, 29), 98),
    (BGRA8, Extent::new(31, 23), 64),
    (RGBA16, Extent::new(1, 1), 2),
    (RGBA16, Extent::new(5, 7), 64),
    (RGBA16, Extent::new(64, 1), 128),
    (RGBA16, Extent::new(67, 61), 192),
    (RGBA16, Extent::new(41, 37), 83),
];

fn described((format, Extent { width, height }, pitch): Texture) -> String {
    format!("{height}×{width} {format:?} in rows of {pitch}")
}

fn decode() -> Vec<Case> {
    // More than 65535 workgroups.
    let cases = SIZES.into_iter().chain([(RGBA8, Extent::new(2049, 2053), 2112)]).map(|texture| {
        let (format, Extent { width, height }, pitch) = texture;
        let op = DecodeTexels { format, width };
        let inputs = vec![texels(format, height, pitch)];
        DECODE.case(described(texture), op, inputs, decode_tolerance(format))
    });
    cases.collect()
}

fn encode() -> Vec<Case> {
    // More than 65535 workgroups.
    let cases = SIZES.into_iter().chain([(RGBA8, Extent::new(3001, 1201), 3520)]).map(|texture| {
        let (format, Extent { width, height }, pitch) = texture;
        let op = EncodeTexels { format, pitch };
        let inputs = vec![input(Shape::new(1, height, width), Fill::Rgba)];
        ENCODE.case(described(texture), op, inputs, encode_tolerance(format))
    });
    cases.collect()
}
