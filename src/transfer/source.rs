//! Where pictures come from: decoded files, or textures and buffers that a host has on its device.

use crate::error::{Error, Result};
use crate::ops::texels::TexelFormat;
use crate::picture::Picture;

/// Words of 32 bits that rows of texels are padded to, because textures are copied in rows of whole 256 bytes.
const PITCH_WORDS: u32 = 64;

/// A picture to paint, to paint like, to start from, or to say where a style is painted.
///
/// Textures are copied when the work that needs them is recorded ([`super::Transfer::record`]), in the encoder that it is
/// recorded into, and are not read afterwards. They are two-dimensional, of one sample, have the usage `COPY_SRC`, and
/// one of these formats:
///
/// | format | read as |
/// |---|---|
/// | `Rgba8Unorm`, `Rgba8UnormSrgb` | 8-bit levels in sRGB, as a file has them: the bytes as they are |
/// | `Bgra8Unorm`, `Bgra8UnormSrgb` | the same with red and blue exchanged |
/// | `Rgba16Float` | linear light; clamped to 0..1, encoded as sRGB, rounded to 8 bits |
///
/// Alpha is straight, and laid over white as with files. Sizes need not be those of the painting: the content and
/// styles that are larger are made smaller on the device, masks and a picture to start from are stretched, by Lanczos'
/// filter, as files are.
#[derive(Clone, Debug)]
pub enum Source {
    /// A picture in the processor's memory.
    Picture(Picture),
    /// The first mip level and layer of a texture on the engine's device.
    Texture(wgpu::Texture),
    /// Width × height words in a buffer with `COPY_SRC` on the engine's device: 8-bit RGBA in sRGB, red in the lowest
    /// byte, row by row without gaps.
    Buffer {
        /// The buffer; it is read from its beginning.
        buffer: wgpu::Buffer,
        /// Width and height.
        size: (u32, u32),
    },
}

impl Source {
    /// A picture in the processor's memory at this size (width, height); what is on the device as it is.
    pub(super) fn resized(self, (width, height): (u32, u32)) -> Self {
        match self {
            Self::Picture(picture) => Self::Picture(picture.into_size(width, height)),
            other => other,
        }
    }
}

impl From<Picture> for Source {
    fn from(picture: Picture) -> Self {
        Self::Picture(picture)
    }
}

impl From<&Picture> for Source {
    fn from(picture: &Picture) -> Self {
        Self::Picture(picture.clone())
    }
}

impl From<wgpu::Texture> for Source {
    fn from(texture: wgpu::Texture) -> Self {
        Self::Texture(texture)
    }
}

impl From<&wgpu::Texture> for Source {
    fn from(texture: &wgpu::Texture) -> Self {
        Self::Texture(texture.clone())
    }
}

/// What a plan must know of a source. From sides (width, height) for a picture in the processor's memory, and from a
/// [`Source`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceLayout {
    /// Width and height.
    pub size: (u32, u32),
    /// How it lies on the device, where it does: the format and the words between two rows.
    pub texels: Option<(TexelFormat, u32)>,
}

impl From<(u32, u32)> for SourceLayout {
    fn from(size: (u32, u32)) -> Self {
        Self { size, texels: None }
    }
}

impl TryFrom<&Source> for SourceLayout {
    type Error = Error;

    /// # Errors
    /// [`Error::Picture`] for a texture or buffer that cannot be read.
    fn try_from(source: &Source) -> Result<Self> {
        match source {
            Source::Picture(picture) => Ok((picture.width(), picture.height()).into()),
            Source::Texture(texture) => {
                let format = checked(texture, wgpu::TextureUsages::COPY_SRC, "COPY_SRC")?;
                let size = (texture.width(), texture.height());
                Ok(Self { size, texels: Some((format, pitch(format, size.0))) })
            }
            Source::Buffer { buffer, size: (width, height) } => {
                let needed = 4 * u64::from(*width) * u64::from(*height);
                if needed == 0 || buffer.size() < needed {
                    return Err(Error::Memory {
                        what: format!("a picture of {width}x{height} in a buffer"),
                        needed: needed.max(4),
                        available: buffer.size(),
                        remedy: "give a buffer of 4 bytes a pixel, and a size of at least 1x1".into(),
                    });
                }
                require(buffer.usage().contains(wgpu::BufferUsages::COPY_SRC), "buffer", "COPY_SRC")?;
                Ok(Self { size: (*width, *height), texels: Some((TexelFormat::Rgba8, *width)) })
            }
        }
    }
}

/// Words between two rows of `width` texels, padded as textures are copied.
pub(super) fn pitch(format: TexelFormat, width: u32) -> u32 {
    (width * format.words()).next_multiple_of(PITCH_WORDS)
}

/// The format of a texture that is copied with this usage.
///
/// # Errors
/// [`Error::Picture`] that says what is wrong with it.
pub(super) fn checked(
    texture: &wgpu::Texture,
    usage: wgpu::TextureUsages,
    usage_name: &str,
) -> Result<TexelFormat> {
    let refused = |reason: String, remedy: &str| {
        Err(Error::Picture { name: "the texture".into(), reason, remedy: remedy.into() })
    };
    if texture.dimension() != wgpu::TextureDimension::D2 || texture.sample_count() != 1 {
        let reason = format!("it is {:?} with {} samples", texture.dimension(), texture.sample_count());
        return refused(reason, "give a two-dimensional one of one sample; resolve it first");
    }
    require(texture.usage().contains(usage), "texture", usage_name)?;
    texel_format(texture.format())
}

/// How the texels of a texture format lie in a buffer.
///
/// # Errors
/// [`Error::Picture`] for formats that are neither read nor written.
pub(super) fn texel_format(format: wgpu::TextureFormat) -> Result<TexelFormat> {
    match format {
        wgpu::TextureFormat::Rgba8Unorm | wgpu::TextureFormat::Rgba8UnormSrgb => Ok(TexelFormat::Rgba8),
        wgpu::TextureFormat::Bgra8Unorm | wgpu::TextureFormat::Bgra8UnormSrgb => Ok(TexelFormat::Bgra8),
        wgpu::TextureFormat::Rgba16Float => Ok(TexelFormat::Rgba16Float),
        other => Err(Error::Picture {
            name: "the texture".into(),
            reason: format!("its format is {other:?}"),
            remedy:
                "give Rgba8Unorm, Bgra8Unorm, their sRGB forms, or Rgba16Float; copy it to one of these first"
                    .into(),
        }),
    }
}

pub(super) fn require(has: bool, what: &str, usage: &str) -> Result<()> {
    if has {
        return Ok(());
    }
    Err(Error::Picture {
        name: format!("the {what}"),
        reason: format!("it lacks the usage {usage}"),
        remedy: format!("create it with {usage} among its usages").into(),
    })
}
