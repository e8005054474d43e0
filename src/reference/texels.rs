//! Between a host's textures, as words in a buffer, and pictures.

use half::f16;

use super::{Real, expect_len};

/// Turns rows of texels `x` (H, pitch), `words` words each, into interleaved RGBA (H, W, 4) in 0..255, not rounded yet,
/// with alpha 255. One word holds 8 bits a channel, sRGB-encoded, with blue first for `bgra`. Two words hold four
/// halves of linear light, which are clamped to 0..1 (a NaN becomes 0) and encoded. Alpha is straight and composited
/// over white.
pub fn decode_texels<T: Real>(
    x: &[u32],
    (height, width): (usize, usize),
    pitch: usize,
    words: usize,
    bgra: bool,
) -> Vec<T> {
    expect_len("x", x, height * pitch);
    let number = |value: f64| T::from(value).expect("an f64 converts to a float");
    let white = number(255.0);
    let mut y = Vec::with_capacity(4 * height * width);
    for row in x.chunks_exact(pitch) {
        for texel in row[..width * words].chunks_exact(words) {
            let [colours @ .., alpha]: [T; 4] = match *texel {
                [word] => word.to_le_bytes().map(|byte| number(byte.into()) / white),
                [red_green, blue_alpha] => {
                    let bits = [red_green, red_green >> 16, blue_alpha, blue_alpha >> 16];
                    let mut values = bits.map(|bits| {
                        let value = f16::from_bits((bits & 0xffff) as u16).to_f64();
                        number(if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) })
                    });
                    values[..3].iter_mut().for_each(|value| *value = srgb_encoded(*value));
                    values
                }
                _ => panic!("texels of {words} words"),
            };
            let over_white = colours.map(|value| white * (value * alpha + T::one() - alpha));
            let [first, green, last] = over_white;
            y.extend(if bgra { [last, green, first] } else { over_white });
            y.push(white);
        }
    }
    y
}

/// Turns interleaved bytes `rgba` (H, W, 4) into rows of texels (H, pitch), `words` words each, padded with zeros.
/// Texels of one word give four numbers a word of the rows, 0..255, with blue first for `bgra`. Texels of two words
/// give two numbers a word, not yet rounded to half precision: linear light, with alpha 1.
pub fn encode_texels<T: Real>(
    rgba: &[u8],
    (height, width): (usize, usize),
    pitch: usize,
    words: usize,
    bgra: bool,
) -> Vec<T> {
    expect_len("rgba", rgba, height * width * 4);
    let number = |byte: u8| T::from(byte).expect("a byte converts to a float");
    let mut y = Vec::with_capacity(height * pitch * 4 / words);
    for (row, pixels) in rgba.chunks_exact(4 * width).enumerate() {
        for pixel in pixels.chunks_exact(4) {
            match words {
                1 if bgra => y.extend([2, 1, 0, 3].map(|channel| number(pixel[channel]))),
                1 => y.extend(pixel.iter().map(|&byte| number(byte))),
                2 => {
                    y.extend(pixel[..3].iter().map(|&byte| srgb_decoded(number(byte) / number(u8::MAX))));
                    y.push(T::one());
                }
                _ => panic!("texels of {words} words"),
            }
        }
        y.resize((row + 1) * pitch * 4 / words, T::zero());
    }
    y
}

/// Linear light in 0..1 as it is stored: IEC 61966-2-1.
fn srgb_encoded<T: Real>(linear: T) -> T {
    let [foot, slope, scale, offset, gamma] =
        [0.003_130_8, 12.92, 1.055, 0.055, 2.4].map(|constant| T::from(constant).expect("a constant"));
    if linear <= foot { slope * linear } else { scale * linear.powf(gamma.recip()) - offset }
}

/// The other way.
fn srgb_decoded<T: Real>(encoded: T) -> T {
    let [foot, slope, scale, offset, gamma] =
        [0.040_45, 12.92, 1.055, 0.055, 2.4].map(|constant| T::from(constant).expect("a constant"));
    if encoded <= foot { encoded / slope } else { ((encoded + offset) / scale).powf(gamma) }
}
