//! What a picture's file says beside its pixels, to be put into another file.

use std::io::Cursor;

use exif::experimental::Writer;
use exif::{Context, Field, In, Tag, Value};

use super::jpeg::marked;
use super::png::{PNG_SIGNATURE, chunks};
use super::tiff::is_tiff;

/// Bytes of a block that fits into a segment of JPEG with what stands in front of it.
const BLOCK_LIMIT: usize = 65_000;

/// Bytes of the longest TIFF whose tags are looked for: all of it is copied for that.
const TIFF_LIMIT: usize = 256 << 20;

const INCHES_IN_A_METRE: f64 = 1.0 / 0.0254;

/// The name under which XMP stands in a segment of JPEG.
pub(super) const XMP_OF_JPEG: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
/// The keyword of a text of PNG that is XMP, which is not compressed and of no language.
pub(super) const XMP_OF_PNG: &[u8] = b"XML:com.adobe.xmp\0\0\0\0\0";

/// What the file of a photograph says beside its pixels: date, camera, place and the rest of EXIF, XMP, and how many pixels are
/// printed on an inch.
///
/// It is as it should be in another picture made from the pixels as [`crate::picture::Picture::decode`] gives them: the
/// orientation is 1, and what speaks of the old pixels is left out: sides, colour space, thumbnail, and the notes of cameras'
/// makers, which hold places in the old file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// A TIFF block.
    pub(super) exif: Option<Vec<u8>>,
    pub(super) xmp: Option<Vec<u8>>,
    /// Pixels of an inch, across and down.
    pub(super) resolution: Option<(f64, f64)>,
}

impl Metadata {
    /// Those of a PNG, JPEG, WebP or TIFF; nothing for another file, and for blocks that cannot be read or are longer than 65 000
    /// bytes.
    pub fn of(file: &[u8]) -> Self {
        let mut found = Self::default();
        let (mut exif, mut xmp): (Option<&[u8]>, Option<&[u8]>) = (None, None);
        if file.starts_with(PNG_SIGNATURE) {
            for (kind, data) in chunks(file) {
                match kind {
                    b"eXIf" if exif.is_none() => exif = Some(data),
                    b"iTXt" if xmp.is_none() => xmp = data.strip_prefix(XMP_OF_PNG),
                    b"pHYs" if data.len() == 9 && data[8] == 1 => {
                        let side =
                            |at| u32::from_be_bytes([data[at], data[at + 1], data[at + 2], data[at + 3]]);
                        let of_an_inch = |side| f64::from(side) / INCHES_IN_A_METRE;
                        found.resolution = Some((of_an_inch(side(0)), of_an_inch(side(4))));
                    }
                    _ => {}
                }
            }
        } else if file.starts_with(b"\xff\xd8\xff") {
            for (marker, payload) in marked(file) {
                match marker {
                    0xe0 => found.resolution = found.resolution.or(density(payload)),
                    0xe1 => {
                        exif = exif.or(payload.strip_prefix(b"Exif\0\0"));
                        xmp = xmp.or(payload.strip_prefix(XMP_OF_JPEG));
                    }
                    _ => {}
                }
            }
        } else if file.starts_with(b"RIFF") {
            let mut rest = file.get(12..).unwrap_or_default();
            while let Some((head, after)) = rest.split_first_chunk::<8>() {
                let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
                let Some(data) = after.get(..length) else { break };
                match &head[..4] {
                    b"EXIF" => exif = Some(data.strip_prefix(b"Exif\0\0").unwrap_or(data)),
                    b"XMP " => xmp = Some(data),
                    _ => {}
                }
                rest = after.get(length.next_multiple_of(2)..).unwrap_or_default();
            }
        } else if is_tiff(file) && file.len() <= TIFF_LIMIT {
            exif = Some(file);
        }
        if let Some(block) = exif.and_then(|block| exif::Reader::new().read_raw(block.to_vec()).ok()) {
            found.resolution = found.resolution.or_else(|| resolution(&block));
            if is_tiff(file)
                && let Some(field) = block.get_field(Tag(Context::Tiff, 700), In::PRIMARY)
            {
                found.xmp = bytes_of(&field.value).and_then(upright);
            }
            found.exif = kept(&block);
        }
        found.xmp = found.xmp.or_else(|| xmp.and_then(upright));
        found.resolution =
            found.resolution.filter(|(x, y)| [x, y].iter().all(|side| (1.0..65_535.0).contains(*side)));
        found
    }

    /// The block of EXIF for colours that are sRGB, or else of which it says no more than that they are not.
    pub(super) fn exif_in(&self, is_srgb: bool) -> Option<Vec<u8>> {
        let block = self.exif.clone()?;
        if is_srgb {
            return Some(block);
        }
        let block = exif::Reader::new().read_raw(block).ok()?;
        let uncalibrated = Field { value: Value::Short(vec![0xffff]), ..own(Tag::ColorSpace) };
        let fields = block.fields().filter(|field| field.tag != Tag::ColorSpace);
        written(fields.chain([&uncalibrated]))
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Pixels of an inch by a segment of JFIF.
fn density(payload: &[u8]) -> Option<(f64, f64)> {
    let &[_, _, unit, x0, x1, y0, y1] = payload.strip_prefix(b"JFIF\0")?.first_chunk()?;
    let inches = match unit {
        1 => 1.0,
        2 => 2.54,
        _ => return None,
    };
    let side = |bytes| f64::from(u16::from_be_bytes(bytes)) * inches;
    Some((side([x0, x1]), side([y0, y1])))
}

/// Pixels of an inch by EXIF or TIFF.
fn resolution(block: &exif::Exif) -> Option<(f64, f64)> {
    let side = |tag| match &block.get_field(tag, In::PRIMARY)?.value {
        Value::Rational(values) => values.first().map(exif::Rational::to_f64),
        _ => None,
    };
    let unit = block.get_field(Tag::ResolutionUnit, In::PRIMARY).and_then(|field| field.value.get_uint(0));
    let inches = match unit {
        None | Some(2) => 1.0,
        Some(3) => 2.54,
        _ => return None,
    };
    Some((side(Tag::XResolution)? * inches, side(Tag::YResolution)? * inches))
}

/// The block with what is true of other pixels, too; `None` where that is nothing.
fn kept(block: &exif::Exif) -> Option<Vec<u8>> {
    let is_kept = |field: &&Field| {
        let Tag(context, number) = field.tag;
        let says_something = match context {
            // Description, maker, model, resolution, program, date, artist, computer, rating, copyright, Windows' texts.
            Context::Tiff => matches!(
                number,
                270 | 271 | 272 | 282 | 283 | 296 | 305 | 306 | 315 | 316 | 18_246 | 33_432 | 40_091..=40_095
            ),
            Context::Exif => ![Tag::PixelXDimension, Tag::PixelYDimension, Tag::ColorSpace, Tag::MakerNote]
                .contains(&field.tag),
            Context::Gps => true,
            _ => false,
        };
        field.ifd_num == In::PRIMARY && says_something && !matches!(field.value, Value::Unknown(..))
    };
    let fields: Vec<&Field> = block.fields().filter(is_kept).collect();
    if fields.is_empty() {
        return None;
    }
    // Upright, and sRGB.
    let own = [own(Tag::Orientation), own(Tag::ColorSpace)];
    written(fields.into_iter().chain(&own))
}

/// A field that says 1.
fn own(tag: Tag) -> Field {
    Field { tag, ifd_num: In::PRIMARY, value: Value::Short(vec![1]) }
}

/// A block of these fields, where it is not too long.
fn written<'a>(fields: impl Iterator<Item = &'a Field>) -> Option<Vec<u8>> {
    let mut writer = Writer::new();
    fields.for_each(|field| writer.push_field(field));
    let mut bytes = Cursor::new(Vec::new());
    writer.write(&mut bytes, false).ok()?;
    Some(bytes.into_inner()).filter(|bytes| bytes.len() <= BLOCK_LIMIT)
}

fn bytes_of(value: &Value) -> Option<&[u8]> {
    match value {
        Value::Byte(bytes) => Some(bytes),
        Value::Undefined(bytes, _) => Some(bytes),
        _ => None,
    }
}

/// XMP that says of the picture that it is upright: the orientation is one digit, in an attribute or an element.
fn upright(xmp: &[u8]) -> Option<Vec<u8>> {
    const NAME: &[u8] = b"tiff:Orientation";
    if xmp.len() > BLOCK_LIMIT {
        return None;
    }
    let mut xmp = xmp.to_vec();
    let mut from = 0;
    while let Some(place) = xmp[from..].windows(NAME.len()).position(|window| window == NAME) {
        from += place + NAME.len();
        let digit = xmp[from..].iter().take(4).position(u8::is_ascii_digit);
        if let Some(digit) = digit {
            xmp[from + digit] = b'1';
        }
    }
    Some(xmp)
}
