//! Textures of a host, as raw texels in a buffer, to 8-bit pictures and back.

use super::{Capabilities, Io, Lowered, Op, Operand, Shape, elementwise, expect_shapes};
use crate::error::Result;
use crate::gpu::params;

params! {
    /// Uniforms of both kernels: pictures of (h, w) pixels, texels of `words` words in rows `pitch` words apart; `bgra`
    /// is 1 where blue is in the lowest byte.
    TexelsParams { h: u32, w: u32, pitch: u32, words: u32, bgra: u32 }
}

super::kernels! {
    folder: "texels";
    decode_texels(TexelsParams) { workgroup: 64, bindings: [read x, write y] }
    encode_texels(TexelsParams) { workgroup: 64, bindings: [read x, write y] }
}

/// How a texture's texels lie in a buffer, as `copy_texture_to_buffer` leaves them and `copy_buffer_to_texture` takes
/// them. Alpha is straight, not premultiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TexelFormat {
    /// 8 bits a channel, sRGB-encoded: `Rgba8Unorm` and `Rgba8UnormSrgb`, which differ in how shaders read them and
    /// not in their bytes.
    Rgba8,
    /// The same with red and blue exchanged: `Bgra8Unorm` and `Bgra8UnormSrgb`.
    Bgra8,
    /// Half precision, linear light with sRGB's primaries: `Rgba16Float`.
    Rgba16Float,
}

impl TexelFormat {
    /// 32-bit words of a texel.
    pub const fn words(self) -> u32 {
        match self {
            Self::Rgba8 | Self::Bgra8 => 1,
            Self::Rgba16Float => 2,
        }
    }

    /// The uniforms for a picture of this shape (1, H, W) with texels in rows `pitch` words apart.
    fn params(self, picture: Shape, pitch: u32) -> TexelsParams {
        let bgra = u32::from(self == Self::Bgra8);
        TexelsParams { h: picture.h, w: picture.w, pitch, words: self.words(), bgra }
    }

    /// Whether rows of `width` texels fit rows that begin `pitch` words apart.
    fn fits(self, width: u32, pitch: u32) -> bool {
        width > 0 && u64::from(width) * u64::from(self.words()) <= u64::from(pitch)
    }
}

/// Texels to a picture. Input (1, H, pitch): rows of texels, each with what the copy pads it by. Output an RGBA
/// picture (1, H, width) with alpha 255.
///
/// Half precision is clamped to 0..1 (a NaN is 0) and sRGB-encoded (IEC 61966-2-1). What is not opaque is laid over
/// white as [`Picture::decode`](crate::picture::Picture::decode) does it: on the encoded values, rounded once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeTexels {
    /// What the texels are.
    pub format: TexelFormat,
    /// Texels of a row.
    pub width: u32,
}

impl Op for DecodeTexels {
    fn name(&self) -> &'static str {
        "decode_texels"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 1
            && (inputs[0].c, inputs[0].d) == (1, 1)
            && inputs[0].h > 0
            && self.format.fits(self.width, inputs[0].w);
        let rule = format!("1×H×pitch words that hold rows of {} texels ({:?})", self.width, self.format);
        expect_shapes(self.name(), fits, &rule, inputs)?;
        Ok(Shape { w: self.width, ..inputs[0] })
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let (x, y) = (io.inputs[0].shape, io.output().shape);
        let params = |_| self.format.params(y, x.w);
        let operands = |piece| vec![Operand::input(0, 0), Operand::output(piece)];
        let flops = match self.format {
            TexelFormat::Rgba8 | TexelFormat::Bgra8 => 12,
            TexelFormat::Rgba16Float => 60,
        };
        let dispatches = elementwise(&kernels::decode_texels, io.output(), flops, params, operands);
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}

/// The way back. Input an RGBA picture (1, H, W), output (1, H, pitch): rows of texels, padded with zeros.
///
/// 8 bits stay as they are. Half precision is linear light, rounded to the nearest, with alpha 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodeTexels {
    /// What the texels are.
    pub format: TexelFormat,
    /// Words between the beginnings of two rows.
    pub pitch: u32,
}

impl Op for EncodeTexels {
    fn name(&self) -> &'static str {
        "encode_texels"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.len() == 1
            && (inputs[0].c, inputs[0].d) == (1, 1)
            && inputs[0].h > 0
            && self.format.fits(inputs[0].w, self.pitch);
        let rule = format!("an RGBA picture 1×H×W whose rows ({:?}) fit {} words", self.format, self.pitch);
        expect_shapes(self.name(), fits, &rule, inputs)?;
        Ok(Shape { w: self.pitch, ..inputs[0] })
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let x = io.inputs[0].shape;
        let params = |_| self.format.params(x, self.pitch);
        let operands = |piece| vec![Operand::input(0, 0), Operand::output(piece)];
        let flops = match self.format {
            TexelFormat::Rgba8 | TexelFormat::Bgra8 => 0,
            TexelFormat::Rgba16Float => 30,
        };
        let dispatches = elementwise(&kernels::encode_texels, io.output(), flops, params, operands);
        Ok(Lowered { dispatches, ..Lowered::default() })
    }
}
