//! JPEG to a picture.
//!
//! The decoder is given no more of a file than its picture needs, put together anew from the segments that are
//! understood here: so what is checked before it runs is what it sees, and texts, profiles and previews cost
//! nothing.

mod scans;
mod segments;

use image::RgbImage;
use image::metadata::Orientation;
use jpeg_decoder::PixelFormat;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::colour::{ColourSpace, PixelKind};
use super::file::{DAMAGED, Decoded, File, bytes_of_rgb, one_line, turned};
use super::samples::{Depth, RowConverter, Wanted};
use scans::{Extent, Part};
use segments::{END, Frame, LARGEST_UNIT, START, Segment, segments};

use crate::error::{Error, Result};

/// Browsers and most editors do not read it either.
const OF_ARITHMETIC: &str =
    "convert it, without loss, with jpegtran, which comes with libjpeg: jpegtran -optimize FILE > FILE.jpg";

/// A progressive picture has about ten. Each costs the decoder a pass over the whole picture.
const MAX_SCANS: usize = 100;

/// Their numbers are bytes.
const MOST_PROFILE_PARTS: usize = 255;

/// What the decoder takes for a column of the picture: the rows of a unit of blocks, in every component and at
/// every stage.
const ROW_BYTES: u64 = 1024;

/// JPEG goes straight to the decoder that the image crate uses, because that crate asks it to be lenient:
/// it paints the part of a damaged picture that cannot be read grey and says nothing.
///
/// That decoder is fast, and reads files as cameras write them. It reads some rare kinds wrongly or not at all, in silence
/// (0.5.15): baseline scans of single components, a first component that is coarser than another, and units of three blocks.
/// These go to another one, which is slower and holds the whole picture a second time. Of 270 files by libjpeg's own programs,
/// in every sampling, with and without restarts and progression, both together are at most 6 levels from what libjpeg reads.
pub(super) fn decode(file: &File<'_>, wanted: Wanted) -> Result<Decoded> {
    let outline = Outline::of(file.bytes);
    let Some(frame) = outline.frame else {
        return Err(if outline.complete {
            file.error("no segment says how large the picture is", DAMAGED)
        } else {
            file.ends_early()
        });
    };
    if let Some(reason) = outline.unusual(&frame) {
        let remedy = if frame.is_arithmetic() { OF_ARITHMETIC } else { "save it anew from an image editor" };
        return Err(file.error(reason, remedy));
    }
    let orientation = outline.exif.and_then(Orientation::from_exif_chunk);
    let orientation = orientation.unwrap_or(Orientation::NoTransforms);
    let (width, height) = (u32::from(frame.width), u32::from(frame.height));
    let is_rare = outline.is_rare(&frame);
    let may_be_inks = kind_of(&frame) == PixelKind::Cmyk && !outline.profile.is_empty();
    let kept = match (is_rare || may_be_inks, frame.components.len()) {
        (true, components) => frame.plane_bytes() + if components == 4 { frame.sample_bytes() } else { 0 },
        (false, _) => frame.coefficient_bytes(),
    };
    let beside = outline.picture_bytes as u64 + u64::from(width) * ROW_BYTES + kept;
    file.check_size(width, height, beside, orientation)?;
    // A unit, of which the first scan has every one, takes a bit at least.
    let units = width.div_ceil(LARGEST_UNIT) * height.div_ceil(LARGEST_UNIT);
    if u64::from(units) > outline.picture_bytes as u64 * 8 {
        return Err(file.ends_early());
    }
    let mut notes = Vec::new();
    let mut lines = frame.height;
    let end = match scans::extent(file.bytes, &frame, MAX_SCANS) {
        Extent::Whole { end } => end,
        _ if outline.scans > MAX_SCANS => {
            let reason = format!("it comes in {} scans, of which {MAX_SCANS} are read", outline.scans);
            return Err(file.error(reason, "save it anew from an image editor"));
        }
        Extent::Coarse => {
            notes.push("its last scans are missing: it is less sharp than it was".to_owned());
            file.bytes.len()
        }
        Extent::Missing { .. } if !outline.complete && outline.scans == 0 => return Err(file.ends_early()),
        Extent::Missing { line, part } => {
            let what = if outline.complete {
                "data of the picture are missing or damaged"
            } else {
                "the file ends before the picture does"
            };
            let reason = format!("{what}: first at line {line} of {height}");
            match part {
                None => return Err(file.error(reason, DAMAGED)),
                Some(_) if !file.damaged_ok => return Err(file.damaged(reason)),
                Some(Part::Lines { end }) => {
                    // Its lines are put into a picture of all.
                    file.check_size(width, height, beside + bytes_of_rgb(width, height), orientation)?;
                    notes.push(format!("it is damaged: from line {line} of {height} on it is grey"));
                    lines = line as u16;
                    end
                }
                Some(Part::Coarse { end }) => {
                    notes.push("it is damaged: it is less sharp than it was".to_owned());
                    end
                }
            }
        }
        Extent::Unknown if outline.complete => file.bytes.len(),
        Extent::Unknown => return Err(file.ends_early()),
    };
    // What stands behind the picture may look like anything.
    let outline = Outline::of(&file.bytes[..end]);
    let orientation = outline.exif.and_then(Orientation::from_exif_chunk);
    let orientation = orientation.unwrap_or(Orientation::NoTransforms);
    let frame = Frame { height: lines, ..frame };
    let kind = kind_of(&frame);
    let space = ColourSpace::usable(outline.colour_space(), !outline.profile.is_empty(), kind, &mut notes);
    let bytes = essence(&file.bytes[..end], &outline, &frame);
    let is_inks = kind == PixelKind::Cmyk && (is_rare || space.is_some());
    let mut rgb = match (is_inks, is_rare) {
        (true, _) => decode_inks(file, &bytes, &frame, space.as_ref())?,
        (false, true) => decode_rare(file, &bytes, &frame)?,
        (false, false) => decode_usual(file, &bytes, &frame)?,
    };
    drop(bytes);
    if let Some(space) = space.as_ref().filter(|_| kind != PixelKind::Cmyk) {
        to_srgb(&mut rgb, width as usize, space, kind).ok_or_else(|| file.cannot_be_converted())?;
    }
    if u32::from(lines) < height {
        let mut whole = file.zeroed(bytes_of_rgb(width, height))?;
        let (there, missing) = whole.split_at_mut(rgb.len());
        there.copy_from_slice(&rgb);
        missing.fill(GREY);
        rgb = whole;
    }
    // No JPEG is transparent.
    if wanted == Wanted::Opacity {
        rgb.fill(255);
    }
    let picture = RgbImage::from_raw(width, height, rgb)
        .ok_or_else(|| file.error("the decoder gave another size than it promised", DAMAGED))?;
    Ok(Decoded { picture: turned(picture, orientation), notes, has_alpha: false, space })
}

/// A file with the segments of the picture alone, up to its end.
fn essence(file: &[u8], outline: &Outline<'_>, frame: &Frame<'_>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(outline.picture_bytes);
    bytes.extend(START);
    // Before the frame: the decoder takes one after the frame for a change of the colours it has started with.
    let transform = outline.transform(frame);
    bytes.extend(transform.map(adobe_segment).iter().flatten());
    let is_misnamed = transform == Some(1) && frame.is_named_rgb();
    for segment in segments(file).filter(Segment::is_of_the_picture) {
        let start = bytes.len();
        bytes.extend(segment.bytes);
        if segment.marker == frame.marker && segment.payload.len() >= 6 {
            // Of a damaged picture, the lines that are there.
            bytes[start + 5..start + 7].copy_from_slice(&frame.height.to_be_bytes());
        }
        if is_misnamed {
            number_components(segment.marker, &mut bytes[start..]);
        }
    }
    bytes.extend(END);
    bytes
}

/// RGB of what the usual decoder reads.
fn decode_usual(file: &File<'_>, bytes: &[u8], frame: &Frame<'_>) -> Result<Vec<u8>> {
    // The sides were checked before, with our own message. Grey, CMYK and YCCK all become RGB on the way.
    let options = DecoderOptions::default()
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX)
        .jpeg_set_out_colorspace(ColorSpace::RGB)
        .set_strict_mode(true);
    let mut rgb = file.zeroed(bytes_of_rgb(frame.width.into(), frame.height.into()))?;
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_into(&mut rgb).map_err(|error| explained(file, &error.to_string()))?;
    Ok(rgb)
}

/// RGB of what the other decoder reads.
fn decode_rare(file: &File<'_>, bytes: &[u8], frame: &Frame<'_>) -> Result<Vec<u8>> {
    let mut decoder = jpeg_decoder::Decoder::new(bytes);
    decoder
        .set_max_decoding_buffer_size(bytes_of_rgb(frame.width.into(), frame.height.into()) as usize / 3 * 4);
    let samples = decoder.decode().map_err(|error| explained(file, &error.to_string()))?;
    match decoder.info().map(|info| info.pixel_format) {
        Some(PixelFormat::RGB24) => Ok(samples),
        Some(PixelFormat::L8) => Ok(samples.into_iter().flat_map(|grey| [grey; 3]).collect()),
        other => Err(file.error(format!("the decoder gave {other:?}"), DAMAGED)),
    }
}

/// RGB of what the other decoder reads of inks: from their `space`, or else each as much as it covers. It gives the inks
/// themselves, which files have inverted.
fn decode_inks(
    file: &File<'_>,
    bytes: &[u8],
    frame: &Frame<'_>,
    space: Option<&ColourSpace>,
) -> Result<Vec<u8>> {
    let mut decoder = jpeg_decoder::Decoder::new(bytes);
    decoder.set_max_decoding_buffer_size(frame.sample_bytes() as usize);
    let samples = decoder.decode().map_err(|error| explained(file, &error.to_string()))?;
    let mut rgb = file.zeroed(bytes_of_rgb(frame.width.into(), frame.height.into()))?;
    let mut converter = RowConverter::new(PixelKind::Cmyk, Depth::Eight, space, Wanted::Colours);
    let width = usize::from(frame.width);
    for (from, to) in samples.chunks_exact(4 * width).zip(rgb.chunks_exact_mut(3 * width)) {
        converter.convert(from, to).ok_or_else(|| file.cannot_be_converted())?;
    }
    Ok(rgb)
}

fn explained(file: &File<'_>, error: &str) -> Error {
    // A decoder puts some of its words in quotation marks.
    let text = one_line(error);
    file.error(format!("cannot be decoded: {}", text.trim_matches('"')), DAMAGED)
}

/// The markers of a file, with what belongs to them.
pub(super) fn marked(file: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    segments(file).map(|segment| (segment.marker, segment.payload))
}

/// What the pixels of a frame are.
fn kind_of(frame: &Frame<'_>) -> PixelKind {
    match frame.components.len() {
        1 => PixelKind::Grey { alpha: false },
        4 => PixelKind::Cmyk,
        _ => PixelKind::Rgb { alpha: false },
    }
}

/// Brings RGB of pixels of this kind to sRGB, a row at a time; `None` where that cannot be done.
fn to_srgb(rgb: &mut [u8], width: usize, space: &ColourSpace, kind: PixelKind) -> Option<()> {
    let Some(transform) = space.to_srgb_8(kind) else { return Some(()) };
    let is_grey = matches!(kind, PixelKind::Grey { .. });
    let mut before = Vec::new();
    for row in rgb.chunks_exact_mut(3 * width) {
        before.clear();
        // The decoder has made three equal samples of a grey one.
        before.extend(row.iter().step_by(if is_grey { 3 } else { 1 }));
        transform.transform(&before, row).ok()?;
    }
    Some(())
}

/// Numbers the components in a start of frame or of scan, which are called R, G and B: the decoder takes these names for the
/// colours, whatever else is said.
fn number_components(marker: u8, segment: &mut [u8]) {
    let names = match marker {
        0xc0..=0xc2 => segment.get_mut(10..).unwrap_or_default().chunks_mut(3).take(3),
        0xda => segment.get_mut(5..).unwrap_or_default().chunks_mut(2).take(3),
        _ => return,
    };
    for name in names.filter_map(<[u8]>::first_mut) {
        *name = b"RGB".iter().position(|own| own == name).map_or(*name, |place| place as u8 + 1);
    }
}

/// What decoders make of data that are missing: no light and no colour more or less than the middle.
const GREY: u8 = 128;

/// Bytes of a segment of Adobe's.
const ADOBE_BYTES: usize = 16;

/// A segment of Adobe's that says how colours are stored: 0 as they are, 1 as YCbCr, 2 as YCCK.
fn adobe_segment(transform: u8) -> [u8; ADOBE_BYTES] {
    let mut segment = *b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0";
    segment[ADOBE_BYTES - 1] = transform;
    segment
}

/// What a file's segments say before it is decoded.
#[derive(Debug, Default)]
struct Outline<'file> {
    /// An end-of-image marker closes the picture. A thumbnail's own, inside a segment, does not count.
    complete: bool,
    frame: Option<Frame<'file>>,
    /// Components in the first scan.
    first_scan: u8,
    scans: usize,
    /// The TIFF block of the first EXIF segment.
    exif: Option<&'file [u8]>,
    /// The parts of a colour profile, in the order in which they stand.
    profile: Vec<(u8, u8, &'file [u8])>,
    /// There is a segment of JFIF, which stores three components as YCbCr.
    is_jfif: bool,
    /// What the first segment of Adobe's says of how colours are stored.
    adobe: Option<u8>,
    /// The length of what the decoder is given.
    picture_bytes: usize,
}

/// Whether EXIF says that the colours are those of Adobe RGB: cameras of DCF 2.0 call the colour space uncalibrated then, and
/// the rule of interoperability R03; others give it the number 2.
fn is_adobe_rgb(tiff: &[u8]) -> bool {
    let Ok(exif) = exif::Reader::new().read_raw(tiff.to_vec()) else { return false };
    let number =
        exif.get_field(exif::Tag::ColorSpace, exif::In::PRIMARY).and_then(|field| field.value.get_uint(0));
    let rule = exif.get_field(exif::Tag::InteroperabilityIndex, exif::In::PRIMARY);
    let is_r03 = rule.is_some_and(|rule| match &rule.value {
        exif::Value::Ascii(texts) => texts.iter().any(|text| text.starts_with(b"R03")),
        _ => false,
    });
    match number {
        Some(2) => true,
        Some(0xffff) => is_r03,
        _ => false,
    }
}

impl<'file> Outline<'file> {
    fn of(file: &'file [u8]) -> Self {
        let around = START.len() + ADOBE_BYTES + END.len();
        let mut outline = Self { picture_bytes: around, ..Self::default() };
        for segment in segments(file) {
            match segment.marker {
                0xd9 => outline.complete = true,
                0xda => {
                    if outline.scans == 0 {
                        outline.first_scan = segment.payload.first().copied().unwrap_or(0);
                    }
                    outline.scans += 1;
                }
                0xe1 if outline.exif.is_none() => outline.exif = segment.payload.strip_prefix(b"Exif\0\0"),
                0xe2 if outline.profile.len() < MOST_PROFILE_PARTS => {
                    outline.profile.extend(segment.profile_part());
                }
                0xe0 => outline.is_jfif |= segment.payload.starts_with(b"JFIF\0"),
                0xee if outline.adobe.is_none() => outline.adobe = segment.adobe_transform(),
                // Huffman tables, a reserved code and arithmetic conditioning lie among the frames' codes.
                0xc4 | 0xc8 | 0xcc => {}
                // A second frame is the decoder's to refuse.
                0xc0..=0xcf if outline.frame.is_none() => outline.frame = Frame::of(&segment),
                _ => {}
            }
            if segment.is_of_the_picture() {
                outline.picture_bytes += segment.bytes.len();
            }
        }
        outline
    }

    /// What the file says of its colours: by a profile, or else by EXIF; `None` where these are sRGB.
    fn colour_space(&self) -> Option<ColourSpace> {
        let profile = self.profile().and_then(|profile| ColourSpace::of_icc(&profile));
        profile.or_else(|| self.exif.filter(|exif| is_adobe_rgb(exif)).map(|_| ColourSpace::adobe_rgb()))
    }

    /// The colour profile, put together; `None` without one, and where parts are missing.
    fn profile(&self) -> Option<Vec<u8>> {
        let parts = self.profile.first()?.1;
        let part = |number| self.profile.iter().find(|(own, of, _)| (*own, *of) == (number, parts));
        let parts: Vec<&[u8]> = (1..=parts).map(|number| Some(part(number)?.2)).collect::<Option<_>>()?;
        Some(parts.concat())
    }

    /// How the colours are stored, in Adobe's numbers, as libjpeg finds it out: JFIF comes before Adobe's segment, and that
    /// before the components' names. `None` for grey, and for inks where the file does not say it.
    fn transform(&self, frame: &Frame<'_>) -> Option<u8> {
        match frame.components.len() {
            3 if self.is_jfif => Some(1),
            3 => Some(self.adobe.unwrap_or(if frame.is_named_rgb() { 0 } else { 1 })),
            4 => self.adobe,
            _ => None,
        }
    }

    /// What sets a file apart that is a JPEG and is not read, or which the decoder would read wrongly.
    fn unusual(&self, frame: &Frame<'_>) -> Option<String> {
        if !(0xc0..=0xc2).contains(&frame.marker) {
            let kind =
                if frame.is_arithmetic() { "arithmetic coding" } else { "lossless or hierarchical coding" };
            return Some(format!("this is a JPEG of {kind}, which is not read"));
        }
        if frame.bits != 8 {
            return Some(format!("its samples have {} bits, of which 8 are read", frame.bits));
        }
        let components = frame.components.len();
        if ![1, 3, 4].contains(&components) {
            return Some(format!("it has {components} components, of which 1, 3 or 4 are read"));
        }
        // The decoder believes it before the frame, and panics (zune-jpeg 0.5.15) where it has more components.
        if let Some(transform) = self.transform(frame)
            // All decoders take 2 of three components, which cannot be YCCK, for YCbCr.
            && !matches!((components, transform), (3, 0..=2) | (4, 0 | 2))
        {
            return Some(format!(
                "Adobe's segment has {transform} for {components} components, which is not read"
            ));
        }
        None
    }

    /// Whether it is of a kind that the usual decoder reads wrongly.
    fn is_rare(&self, frame: &Frame<'_>) -> bool {
        // It takes a scan for finished as soon as its look-ahead meets the next marker, and does not know that a finer
        // component then has more rows.
        let is_split = !frame.is_progressive() && usize::from(self.first_scan) < frame.components.len();
        // It takes the first component's rows for as long as any, and knows no units of three blocks.
        let mut blocks = frame.components.iter().map(|&[_, blocks, _]| (blocks >> 4, blocks & 15));
        let Some((across, down)) = blocks.next() else { return false };
        let is_coarse = blocks.any(|(other_across, other_down)| other_across > across || other_down > down);
        frame.components.len() > 1 && (is_split || is_coarse || across == 3 || down == 3)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::testing::*;
    use super::super::{Picture, ReadOptions, Reading};
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
        assert!(refusal(&jpeg[..jpeg.len() - 40]).0.contains("ends before the picture"));
        // What follows the end does not matter: telephones append a second picture or a film.
        Picture::decode(&[&jpeg[..], b"\0 more \xff\xd8\xff"].concat(), "").unwrap();
    }

    /// A grey baseline or progressive JPEG of any size: every code is one bit, 0, and says "nothing". Each of
    /// `scans` lists the components that it carries; `between` stands before the frame.
    fn flat_jpeg((width, height): (u16, u16), components: u8, scans: &[&[u8]], between: &[u8]) -> Vec<u8> {
        let segment = |marker: u8, payload: &[u8]| {
            let length = payload.len() as u16 + 2;
            [&[0xff, marker], &length.to_be_bytes()[..], payload].concat()
        };
        let mut bytes = [&START, &segment(0xdb, &[&[0][..], &[1; 64]].concat())[..], between].concat();
        let mut frame = [&[8], &height.to_be_bytes()[..], &width.to_be_bytes(), &[components]].concat();
        frame.extend((1..=components).flat_map(|id| [id, 0x11, 0]));
        bytes.extend(segment(0xc0, &frame));
        for class in [0x00, 0x10] {
            bytes.extend(segment(0xc4, &[&[class, 1], &[0; 15][..], &[0]].concat()));
        }
        let blocks = usize::from(width.div_ceil(8)) * usize::from(height.div_ceil(8));
        for scan in scans {
            let mut header = vec![scan.len() as u8];
            header.extend(scan.iter().flat_map(|&id| [id, 0]));
            header.extend([0, 63, 0]);
            bytes.extend(segment(0xda, &header));
            // Two codes a block, and a byte of ones, of which the last one fills up.
            bytes.extend(vec![0; (blocks * scan.len() * 2).div_ceil(8)]);
        }
        bytes.extend(END);
        bytes
    }

    #[test]
    fn components_come_in_one_scan() {
        for components in [1, 3] {
            let all: Vec<u8> = (1..=components).collect();
            let picture = Picture::decode(&flat_jpeg((37, 21), components, &[&all], &[]), "").unwrap();
            assert_eq!((picture.width(), picture.height()), (37, 21));
            assert!(picture.rgb().iter().all(|&value| value == 128));
        }
        for scans in [&[&[1][..], &[2], &[3]][..], &[&[1], &[2, 3]]] {
            let picture = Picture::decode(&flat_jpeg((37, 21), 3, scans, &[]), "").unwrap();
            assert!(picture.rgb().iter().all(|&value| value == 128));
        }
        let (reason, _) = refusal(&flat_jpeg((37, 21), 3, &[&[1]], &[]));
        assert!(reason.contains("missing"), "{reason}");
    }

    /// What libjpeg reads, other decoders' trouble or not: `make_jpegs.py` says what each file is.
    #[test]
    fn jpegs_are_read_as_libjpeg_reads_them() {
        let names = with_twins("jpeg-");
        assert!(names.len() >= 12, "{names:?}");
        let mut wrong = Vec::new();
        for name in names {
            let (worst, mean) = apart(&name);
            if worst > 6 || mean > 1.0 {
                wrong.push(format!("{name}: {worst} levels at most, {mean:.2} on the average"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    /// Without its end-of-image marker a picture is whole where all of its codes are there, whatever follows; and with it, it is
    /// not where some are missing.
    #[test]
    fn data_count_and_not_markers() {
        for name in with_twins("jpeg-").iter().map(String::as_str).chain(["progressive.jpg", "restarts.jpg"])
        {
            let whole = fixture(name);
            let picture = Picture::decode(&whole, name).unwrap();
            let outline = Outline::of(&whole);
            let Extent::Whole { end } = scans::extent(&whole, &outline.frame.unwrap(), MAX_SCANS) else {
                panic!("{name}")
            };
            for trailer in
                [&b""[..], b"\xff\xd9", b"\0\0SEFH film \xff\xd8\xff\xe0\0\x04ab", &[0xff; 40], &[0x55; 40]]
            {
                let file = [&whole[..end], trailer].concat();
                assert_eq!(Picture::decode(&file, name).unwrap(), picture, "{name} {trailer:?}");
            }
            let data = segments(&whole).filter(|segment| segment.marker == 0xda).last().unwrap();
            let from = data.start + data.payload.len() + 4;
            // A byte that is missing may have held nothing but the bits that fill it up.
            for cut in (from..end.saturating_sub(12)).step_by(7) {
                for end in [&END[..], b"", b"\xff\xd0\xff\xd9"] {
                    let (reason, remedy) = refusal(&[&whole[..cut], end].concat());
                    assert!(
                        reason.contains("missing") || reason.contains("ends before"),
                        "{name}, {cut}: {reason}"
                    );
                    assert!(remedy.contains("fetch it again"));
                }
            }
        }
    }

    #[test]
    fn what_the_decoder_would_read_wrongly_is_refused() {
        let good = flat_jpeg((37, 21), 3, &[&[1, 2, 3]], &[]);
        let frame = good.windows(2).position(|marker| marker == b"\xff\xc0").unwrap();
        for (place, value, said) in [(1, 0xc9, "arithmetic"), (1, 0xc3, "lossless"), (4, 12, "12 bits")] {
            let mut bytes = good.clone();
            bytes[frame + place] = value;
            let (reason, _) = refusal(&bytes);
            assert!(reason.contains(said), "{reason}");
        }
    }

    /// Whatever is said of how colours are stored, and wherever that is said, it fits the components.
    #[test]
    fn what_is_said_of_colours_fits_them() {
        let adobe = |transform: u8| [&b"\xff\xee\0\x0eAdobe\0\0\0\0\0\0"[..], &[transform]].concat();
        let all = [1, 2, 3, 4];
        for (components, transforms) in [(1, 0..=9), (3, 0..=2), (4, 0..=0), (4, 2..=2)] {
            for transform in transforms {
                let file = flat_jpeg((37, 21), components, &[&all[..components.into()]], &adobe(transform));
                let before = Picture::decode(&file, "").unwrap();
                // After the frame, where decoders look too.
                let plain = flat_jpeg((37, 21), components, &[&all[..components.into()]], &[]);
                let tables = plain.windows(2).position(|marker| marker == b"\xff\xc4").unwrap();
                let file = [&plain[..tables], &adobe(transform), &plain[tables..]].concat();
                assert_eq!(Picture::decode(&file, "").unwrap(), before, "{transform} of {components}");
            }
        }
        for (components, transform) in [(3, 3), (4, 1), (4, 3)] {
            let file = flat_jpeg((8, 8), components, &[&all[..components.into()]], &adobe(transform));
            assert!(refusal(&file).0.contains("Adobe's segment"), "{transform} of {components}");
        }
        for transform in 0..=2 {
            let file = flat_jpeg((8, 8), 2, &[&[1, 2]], &adobe(transform));
            assert!(refusal(&file).0.contains("2 components"), "{transform}");
        }
    }

    /// JFIF, Adobe's segment and the components' names may contradict each other: libjpeg asks them in this order.
    #[test]
    fn colours_are_stored_as_libjpeg_finds_out() {
        let [jpeg, expected] = ["jfif-and-adobe.jpg", "jfif-and-adobe.expected.png"]
            .map(|name| Picture::decode(&fixture(name), name).unwrap());
        let worst = jpeg.rgb().iter().zip(expected.rgb()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst <= 3, "{worst} levels");

        let top_left = |file: &[u8]| pixel(&Picture::decode(file, "").unwrap(), 4, 4);
        let near = |a: [u8; 3], b: [u8; 3]| a.iter().zip(b).all(|(a, b)| a.abs_diff(b) <= 3);
        let coded = fixture("rgb-coded.jpg");
        let adobe = coded.windows(2).position(|marker| marker == b"\xff\xee").unwrap();
        let named = [&coded[..adobe], &coded[adobe + ADOBE_BYTES..]].concat();
        assert!(near(top_left(&named), QUARTERS[0]), "named R, G and B");
        let jfif = b"\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0";
        // Y, Cb and Cr of 200, 40 and 40.
        for file in [&coded, &named] {
            let jfif = [&file[..2], jfif, &file[2..]].concat();
            assert!(near(top_left(&jfif), [77, 255, 44]), "{:?}", top_left(&jfif));
        }
        let mut unnamed = named.clone();
        for (name, number) in [(b"R\x11", 1), (b"G\x11", 2), (b"B\x11", 3)] {
            let at = unnamed.windows(2).position(|two| two == name).unwrap();
            unnamed[at] = number;
        }
        let scan = unnamed.windows(2).position(|marker| marker == b"\xff\xda").unwrap();
        for (component, number) in [(0, 1), (1, 2), (2, 3)] {
            unnamed[scan + 5 + 2 * component] = number;
        }
        assert!(near(top_left(&unnamed), [77, 255, 44]), "{:?}", top_left(&unnamed));
    }

    #[test]
    fn nothing_is_hidden_behind_a_marker_without_a_length() {
        // Another decoder may take what follows a start of image for its length.
        let hidden = [&[0xff, 0xd8, 0x00, 0x0f], &segment_of_a_small_frame()[..]].concat();
        assert_eq!(Outline::of(&hidden).frame.unwrap().width, 8);
    }

    #[test]
    fn arithmetic_coding_is_called_so() {
        let (reason, remedy) = refusal(&fixture("arithmetic.jpg"));
        assert!(reason.contains("a JPEG of arithmetic coding, which is not read"), "{reason}");
        assert!(remedy.contains("jpegtran -optimize"), "{remedy}");
    }

    fn segment_of_a_small_frame() -> Vec<u8> {
        b"\xff\xc0\0\x0b\x08\0\x08\0\x08\x01\x01\x11\0".to_vec()
    }

    #[test]
    fn it_is_said_where_data_are_missing() {
        let (reason, _) = refusal(&fixture("cut-with-end.jpg"));
        assert!(reason.contains("missing or damaged: first at line 16 of 48"), "{reason}");
        // The last scans of a progressive picture.
        let whole = fixture("jpeg-progressive-420.jpg");
        let scans: Vec<_> = segments(&whole).filter(|segment| segment.marker == 0xda).collect();
        for count in 1..scans.len() {
            let file = [&whole[..scans[count].start], &END].concat();
            let reading = Picture::read(&file, "").unwrap();
            assert_eq!(reading.notes, ["its last scans are missing: it is less sharp than it was"]);
        }
        assert!(Picture::read(&whole, "").unwrap().notes.is_empty());
    }

    /// The lines above the damage, and grey; or of scans that refine each other, those that are whole.
    #[test]
    fn a_part_is_read_where_that_is_asked_for() {
        let damaged_ok = ReadOptions::default().with(|options| options.damaged_ok = true);
        let read = |bytes: &[u8]| Picture::read_with(bytes, "holiday.png", &damaged_ok);
        let line_of = |note: &str| -> usize {
            let line = note.strip_prefix("it is damaged: from line ").unwrap().split(' ').next().unwrap();
            line.parse().unwrap()
        };
        for name in [
            "smooth-420.jpg",
            "smooth-422.jpg",
            "smooth-444.jpg",
            "jpeg-every-sampling.jpg",
            "restarts.jpg",
            "colour-grey-jpeg.jpg",
            "colour-inks.jpg",
            "jpeg-first-is-coarser.jpg",
        ] {
            let whole = fixture(name);
            let picture = Picture::decode(&whole, name).unwrap();
            assert_eq!(read(&whole).unwrap().picture, picture, "{name}");
            let scan = segments(&whole).find(|segment| segment.marker == 0xda).unwrap();
            let (from, to) = (scan.start + scan.payload.len() + 4, scan.start + scan.bytes.len());
            let mut parts = 0;
            for part in 1..8 {
                let place = from + (to - from) * part / 8;
                // Cut there, with and without an end, and no codes there.
                let mut broken = whole.clone();
                broken[place..(place + 24).min(to)]
                    .as_chunks_mut()
                    .0
                    .iter_mut()
                    .for_each(|pair| *pair = [0xff, 0]);
                let cut = [whole[..place].to_vec(), [&whole[..place], &END].concat()];
                for (damaged, is_cut) in cut.into_iter().map(|file| (file, true)).chain([(broken, false)]) {
                    let Ok(Reading { picture: seen, notes, .. }) = read(&damaged) else {
                        let (reason, remedy) = refusal(&damaged);
                        assert!(!remedy.contains("damaged_ok"), "{name}: {reason}; {remedy}");
                        continue;
                    };
                    if notes.is_empty() {
                        // What is broken may be codes, too.
                        continue;
                    }
                    parts += 1;
                    assert!(refusal(&damaged).1.contains("damaged_ok"), "{name}");
                    assert_eq!((seen.width(), seen.height()), (picture.width(), picture.height()));
                    let line = line_of(&notes[0]);
                    let (there, missing) = seen.rgb().split_at(line * picture.width() as usize * 3);
                    assert!(missing.iter().all(|level| *level == GREY) && !missing.is_empty(), "{name}");
                    // Of the last line chroma looks at the one below.
                    let sure = there.len().saturating_sub(2 * picture.width() as usize * 3);
                    let apart = there[..sure].iter().zip(picture.rgb()).map(|(a, b)| a.abs_diff(*b)).max();
                    // What is broken may be other codes before it is none.
                    assert!(!is_cut || apart.is_none_or(|apart| apart <= 2), "{name} {part}: {apart:?}");
                }
            }
            assert!(parts > 0 || picture.height() <= 16, "{name}: {parts}");
        }
        // As libjpeg shows it, but for the rest of the units in which the damage is.
        let [damaged, expected] = ["cut-with-end.jpg", "cut-with-end.expected.png"].map(fixture);
        let Reading { picture, notes, .. } = read(&damaged).unwrap();
        assert_eq!(notes, ["it is damaged: from line 16 of 48 on it is grey"]);
        let expected = Picture::decode(&expected, "").unwrap();
        let same = |(place, (a, b)): (usize, (&u8, &u8))| {
            let line = place / (3 * 64);
            (14..34).contains(&line) || a.abs_diff(*b) <= 8
        };
        assert!(picture.rgb().iter().zip(expected.rgb()).enumerate().all(same));

        let whole = fixture("jpeg-progressive-420.jpg");
        let exact = Picture::decode(&whole, "").unwrap();
        let scans: Vec<_> = segments(&whole).filter(|segment| segment.marker == 0xda).collect();
        for scan in &scans[1..] {
            let middle = scan.start + scan.bytes.len() - 8;
            let Reading { picture, notes, .. } = read(&whole[..middle]).unwrap();
            assert_eq!(notes, ["it is damaged: it is less sharp than it was"]);
            let apart = picture.rgb().iter().zip(exact.rgb()).map(|(a, b)| f64::from(a.abs_diff(*b)));
            let mean = apart.sum::<f64>() / exact.rgb().len() as f64;
            assert!(mean < 30.0, "{mean}");
        }
        // Of the first scan only lines are there.
        let first = scans[0].start + scans[0].bytes.len() - 12;
        let Reading { picture, notes, .. } = read(&whole[..first]).unwrap();
        let there = line_of(&notes[0]) * picture.width() as usize * 3;
        assert!(there > 0 && picture.rgb()[there..].iter().all(|level| *level == GREY));
        assert!(picture.rgb()[..there].iter().any(|level| *level != GREY));
    }

    #[test]
    fn two_frames_are_refused() {
        let twice = flat_jpeg((16, 16), 1, &[&[1]], &segment_of_a_small_frame());
        assert!(refusal(&twice).0.contains("cannot be decoded"));
    }

    #[test]
    fn what_stands_beside_the_picture_does_not_matter() {
        let plain = Picture::decode(&flat_jpeg((16, 16), 1, &[&[1]], &[]), "").unwrap();
        for between in [
            &b"\xff\xe2\0\x12ICC_PROFILE\0\x01\x02no"[..],
            b"\xff\xe1\0\x04no",
            b"\xff\xfe\0\x04no",
            // Stray bytes, an unknown marker, fill.
            b"stray",
            b"\xff\x02\0\x04no",
            b"\xff\xff\xff",
        ] {
            let picture = Picture::decode(&flat_jpeg((16, 16), 1, &[&[1]], between), "").unwrap();
            assert_eq!(picture, plain, "{between:?}");
        }
    }

    #[test]
    fn scans_are_counted() {
        // Of three components two never come.
        let scans = vec![&[1_u8][..]; MAX_SCANS + 1];
        let (reason, _) = refusal(&flat_jpeg((8, 8), 3, &scans, &[]));
        assert!(reason.contains("101 scans"), "{reason}");
    }

    #[test]
    fn a_file_that_is_too_short_for_its_size_is_refused_at_once() {
        let mut bytes = flat_jpeg((8, 8), 1, &[&[1]], &[]);
        let frame = bytes.windows(2).position(|marker| marker == b"\xff\xc0").unwrap();
        bytes[frame + 5..frame + 9].copy_from_slice(&[0x40, 0, 0x40, 0]);
        assert!(refusal(&bytes).0.contains("ends before the picture"));
    }
}
