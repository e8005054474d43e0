//! Pictures.

use std::time::Instant;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use impasto::picture::{MEMORY_LIMIT, Picture};

use super::make::{Jpeg, Png, chunk, deflated_zeros, exif, segment};
use super::{TIME_LIMIT, alone, bounded, fixture, fuzz, message};

const NAME: &str = "holiday.png";
const MIB: u64 = 1 << 20;

/// A file that is refused while it holds no more than `bound`, for the reason that is `said`.
#[track_caller]
fn refused(bytes: &[u8], bound: u64, said: &str) {
    let text = message(NAME, bounded(bound, || Picture::decode(bytes, NAME)));
    assert!(text.contains(said), "{text}");
}

fn pixel(picture: &Picture, x: u32, y: u32) -> [u8; 3] {
    picture.rgb().as_chunks::<3>().0[y as usize * picture.width() as usize + x as usize]
}

#[test]
fn a_few_bytes_that_promise_a_huge_picture_are_refused_at_once() {
    let _alone = alone();
    for interlaced in [false, true] {
        for (size, said) in [
            ((60_000, 60_000), "60000x60000"),
            ((u32::MAX >> 1, 1), "sides of up to 32768"),
            ((32_768, 32_768), "takes 3104 MiB, 1280 are allowed"),
            ((18_000, 18_000), "the file ends before the picture does"),
        ] {
            let png = Png { size, bits: 8, colours: 2, interlaced };
            refused(&png.file(&[], &deflated_zeros(1000)), MIB, said);
        }
    }
    for progressive in [false, true] {
        for (side, said) in [
            (65_535, "65535x65535"),
            (32_768, "MiB"),
            // A progressive picture of this size is refused for the coefficients.
            (18_000, if progressive { "MiB" } else { "the file ends before the picture does" }),
            (10_000, "the file ends before the picture does"),
        ] {
            let jpeg = Jpeg { size: (side, side), ..Jpeg::whole((8, 8), 3, progressive) };
            refused(&jpeg.file(&[]), MIB, said);
        }
    }
}

/// The same of other formats, in which a few bytes may stand for many pixels.
#[test]
fn other_formats_that_promise_a_huge_picture_are_refused_at_once() {
    let _alone = alone();
    let side = |side: u32| side.to_be_bytes();
    let qoi =
        |width, height| [&b"qoif"[..], &side(width), &side(height), &[3, 0, 0, 0, 0, 0, 0, 0, 0, 1]].concat();
    let radiance = |width: u32, height: u32| {
        format!("#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y {height} +X {width}\n\x02\x02").into_bytes()
    };
    let bmp = |width: u32, height: u32| {
        let mut file = fixture("format-24-bits.bmp");
        file[18..22].copy_from_slice(&width.to_le_bytes());
        file[22..26].copy_from_slice(&height.to_le_bytes());
        file
    };
    // Width, height and the rows of a strip.
    let tiff = |width: u32, height: u32| {
        let mut file = fixture("format-lzw.tif");
        let first = u32::from_le_bytes(*file[4..].first_chunk().unwrap()) as usize + 2;
        for entry in file[first..].as_chunks_mut::<12>().0.iter_mut().take(10) {
            let value = match u16::from_le_bytes([entry[0], entry[1]]) {
                256 => width,
                257 => height,
                278 => u32::MAX,
                _ => continue,
            };
            entry[2..4].copy_from_slice(&4_u16.to_le_bytes());
            entry[8..12].copy_from_slice(&value.to_le_bytes());
        }
        file
    };
    let gif = |width: u16, height: u16| {
        let mut file = fixture("format-still.gif");
        file[6..8].copy_from_slice(&width.to_le_bytes());
        file[8..10].copy_from_slice(&height.to_le_bytes());
        file
    };
    // What is seen and what there are data of; blocks are deflated (3), or of wavelets (4), of which a bit may be any number.
    let exr = |seen: (i32, i32), data: (i32, i32), compression: u8| {
        let mut file = fixture("format-exr-deflated.exr");
        let mut set = |name: &[u8], from: usize, value: &[u8]| {
            let place =
                file.windows(name.len()).position(|window| window == name).unwrap() + name.len() + from;
            file[place..place + value.len()].copy_from_slice(value);
        };
        for (name, (width, height)) in
            [(&b"displayWindow\0box2i\0"[..], seen), (b"dataWindow\0box2i\0", data)]
        {
            set(name, 12, &[(width - 1).to_le_bytes(), (height - 1).to_le_bytes()].concat());
        }
        set(b"compression\0compression\0", 4, &[compression]);
        file
    };
    for compression in [3, 4] {
        for (seen, data, said) in [
            ((60_000, 60_000), (23, 17), "60000x60000"),
            ((23, 17), (60_000, 60_000), "60000x60000"),
            ((30_000, 30_000), (23, 17), "MiB"),
            ((23, 17), (30_000, 30_000), "MiB"),
            ((23, 17), (1, 20_000), "ends before"),
        ] {
            refused(&exr(seen, data, compression), MIB, said);
        }
    }
    refused(&exr((5_000, 5_000), (5_000, 5_000), 3), MIB, "ends before");
    refused(&exr((i32::MAX, 5), (i32::MAX, i32::MAX), 3), MIB, "");
    refused(&qoi(60_000, 60_000), MIB, "60000x60000");
    refused(&qoi(19_000, 20_000), MIB, "MiB");
    refused(&qoi(10_000, 10_000), MIB, "ends before");
    refused(&radiance(60_000, 60_000), MIB, "60000x60000");
    refused(&radiance(30_000, 30_000), MIB, "MiB");
    refused(&radiance(5_000, 5_000), MIB, "ends before");
    refused(&bmp(60_000, 1), MIB, "60000x1");
    refused(&bmp(30_000, 30_000), MIB, "MiB");
    refused(&bmp(10_000, 10_000), MIB, "ends before");
    refused(&tiff(60_000, 60_000), MIB, "60000x60000");
    refused(&tiff(32_000, 32_000), MIB, "MiB");
    refused(&gif(60_000, 60_000), MIB, "60000x60000");
    refused(&gif(30_000, 30_000), MIB, "MiB");
    refused(&gif(9_000, 9_000), MIB, "ends before");
}

/// What the decoders of other formats hold is what was counted before they began.
#[test]
fn other_formats_take_what_they_are_said_to_take() {
    let _alone = alone();
    const SIDE: u32 = 1500;
    let pixels = u64::from(SIDE * SIDE);
    let noise = image::RgbaImage::from_fn(SIDE, SIDE, |x, y| {
        let value = (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)) >> 13;
        image::Rgba([value as u8, (x / 7) as u8, (y / 5) as u8, (value >> 8) as u8])
    });
    let rgb = image::DynamicImage::from(noise.clone()).into_rgb8();
    let encoded = |alpha: bool, format| {
        let mut file = std::io::Cursor::new(Vec::new());
        if alpha { noise.write_to(&mut file, format) } else { rgb.write_to(&mut file, format) }.unwrap();
        file.into_inner()
    };
    use image::ImageFormat::{Bmp, Gif, Qoi, WebP};
    // Bytes of a pixel: as it is given, as RGB, and what the decoder takes.
    for (file, bytes) in [
        (encoded(false, WebP), 3 + 10),
        (encoded(true, WebP), 4 + 3 + 10),
        (encoded(false, Bmp), 3),
        (encoded(true, Bmp), 4 + 3),
        (encoded(false, Qoi), 3),
        (encoded(true, Qoi), 4 + 3),
        (encoded(true, Gif), 4 + 3 + 4),
    ] {
        let picture = bounded(pixels * bytes + 2 * MIB, || Picture::decode(&file, NAME)).unwrap();
        assert_eq!((picture.width(), picture.height()), (SIDE, SIDE));
    }
}

/// Texts, profiles and blocks of anything, deflated a thousand to one or many of them, beside a small picture.
#[test]
fn what_stands_beside_the_picture_costs_nothing() {
    let _alone = alone();
    let png = Png { size: (64, 64), bits: 8, colours: 6, interlaced: false };
    let bomb = deflated_zeros(64 << 20);
    let pixels = deflated_zeros(png.raw_length());
    let many = |one: Vec<u8>, count: usize| one.repeat(count);
    for (kind, chunks) in [
        ("zTXt", chunk(b"zTXt", &[b"Comment\0\0", &bomb[..]].concat())),
        ("iTXt", chunk(b"iTXt", &[b"Comment\0\x01\0\0\0", &bomb[..]].concat())),
        ("iCCP", chunk(b"iCCP", &[b"profile\0\0", &bomb[..]].concat())),
        ("many tEXt", many(chunk(b"tEXt", b"k\0v"), 200_000)),
        ("many eXIf", many(chunk(b"eXIf", &exif(1)), 20_000)),
        ("many of a kind of its own", many(chunk(b"prVt", &[7; 100]), 20_000)),
        ("a long one of a kind of its own", chunk(b"prVt", &vec![7; 20 << 20])),
        ("sPLT", chunk(b"sPLT", &vec![7; 1 << 20])),
    ] {
        let file = png.file(&chunks, &pixels);
        let picture = bounded(MIB, || Picture::decode(&file, NAME)).unwrap();
        assert_eq!((picture.width(), picture.rgb()[0]), (64, 255), "{kind}");
    }
    // EXIF is kept by the decoder, up to a bound.
    refused(&png.file(&chunk(b"eXIf", &vec![0; 40 << 20]), &pixels), 40 * MIB, "more than 16 MiB");
    // What is deflated behind the picture is passed over.
    let picture = bounded(MIB, || Picture::decode(&png.file(&[], &bomb), NAME)).unwrap();
    assert_eq!(picture.rgb().len(), 64 * 64 * 3);

    let jpeg = Jpeg::whole((64, 64), 3, false);
    let extended = |offset: u32| {
        let namespace = b"http://ns.adobe.com/xmp/extension/\0";
        segment(0xe1, &[namespace, &[b'0'; 32][..], &[0xff; 4], &offset.to_be_bytes(), b"<x>"].concat())
    };
    for (kind, segments) in [
        ("many parts of an XMP", (0..100_000).flat_map(|part| extended(3 * part)).collect()),
        ("many profiles", many(segment(0xe2, b"ICC_PROFILE\0\x01\x01part"), 100_000)),
        ("many gain maps", many(segment(0xe2, b"urn:iso:std:iso:ts:21496:-1\0\0\0\0\0"), 100_000)),
        ("many comments", many(segment(0xfe, b"comment"), 100_000)),
        ("many EXIF blocks", many(segment(0xe1, &[b"Exif\0\0", &exif(1)[..]].concat()), 50_000)),
        ("stray bytes", vec![b'a'; 1 << 20]),
    ] {
        let file = jpeg.file(&segments);
        let picture = bounded(MIB, || Picture::decode(&file, NAME)).unwrap();
        assert_eq!(picture.rgb(), [128; 64 * 64 * 3], "{kind}");
    }
}

#[test]
fn a_picture_takes_what_it_is_said_to_take() {
    let _alone = alone();
    const SIZE: (u32, u32) = (2000, 1500);
    let rgb = u64::from(SIZE.0 * SIZE.1 * 3);
    // Rows, and what the allocator is asked for beside.
    let rows = MIB;
    let turned = chunk(b"eXIf", &exif(6));
    for (bits, colours) in [(1, 0), (16, 0), (8, 2), (8, 4), (16, 4), (16, 6)] {
        let png = Png { size: SIZE, bits, colours, interlaced: false };
        let pixels = deflated_zeros(png.raw_length());
        let picture = bounded(rgb + rows, || Picture::decode(&png.file(&[], &pixels), NAME)).unwrap();
        assert_eq!((picture.width(), picture.height()), SIZE);
        let file = png.file(&turned, &pixels);
        let picture = bounded(2 * rgb + rows, || Picture::decode(&file, NAME)).unwrap();
        assert_eq!((picture.height(), picture.width()), SIZE);
    }
    let turned = segment(0xe1, &[b"Exif\0\0", &exif(6)[..]].concat());
    for (components, progressive) in [(1, false), (3, false), (4, false), (1, true), (3, true), (4, true)] {
        let jpeg = Jpeg::whole((2000, 1500), components, progressive);
        let coefficients = if progressive { 2016 * 1504 * 2 * u64::from(components) } else { 0 };
        for (file, pictures) in [(jpeg.file(&[]), 1), (jpeg.file(&turned), 2)] {
            let bound = pictures * rgb + coefficients + file.len() as u64 + 2000 * 1024;
            bounded(bound, || Picture::decode(&file, NAME)).unwrap();
        }
    }
    // The account of the fuzzers is no smaller.
    assert!(fuzz::picture_bound(1 << 20) == MEMORY_LIMIT && fuzz::picture_bound(0) >= 64 * MIB);
}

/// Chroma at every resolution: what the decoder keeps of rows is most where they differ most.
#[test]
fn rows_take_what_they_are_said_to_take() {
    let _alone = alone();
    for blocks in [(1, 1), (2, 1), (1, 2), (2, 2), (4, 1), (1, 4), (4, 2), (2, 4), (4, 4)] {
        for progressive in [false, true] {
            let file = Jpeg { blocks, ..Jpeg::whole((32_000, 64), 3, progressive) }.file(&[]);
            let coefficients = if progressive { 32_000 * 64 * 2 * 3 } else { 0 };
            let bound = 32_000 * 64 * 3 + coefficients + file.len() as u64 + 32_000 * 1024;
            let picture = bounded(bound, || Picture::decode(&file, NAME)).unwrap();
            assert_eq!((picture.width(), picture.height()), (32_000, 64));
        }
    }
}

/// The colours at an eighth and three quarters of the width, a quarter and three quarters of the height, as
/// Pillow reads them. Chroma of less than whole resolution is scaled by each program in its own way.
#[test]
fn every_kind_of_file_is_read_as_another_program_reads_it() {
    let _alone = alone();
    let quarters = [[200, 40, 40], [40, 160, 60], [50, 60, 200], [230, 220, 90]];
    let inks = [[255, 0, 0], [0, 191, 191], [119, 103, 87], [0, 0, 0]];
    let scaled = [[46, 181, 87], [170, 181, 139], [46, 86, 122], [170, 86, 172]];
    for (name, size, colours, tolerance) in [
        ("animated.png", (32, 16), quarters, 0),
        ("animated-first.png", (32, 16), quarters, 0),
        ("interlaced.png", (32, 16), quarters, 0),
        ("grey-alpha.png", (32, 16), [[0; 3], [224; 3], [227; 3], [255; 3]], 0),
        ("colour-alpha.png", (32, 16), [quarters[0], [147, 207, 157], [255; 3], [250, 248, 222]], 0),
        ("rgb-16.png", (3, 1), [[0, 0, 255], [255, 156, 50], [0, 0, 255], [255, 156, 50]], 0),
        // Pillow rounds to 8 bits before it lays over white, hence the 1.
        ("rgba-16.png", (3, 1), [[0, 0, 255], [255, 205, 152], [0, 0, 255], [255, 205, 152]], 1),
        ("cmyk-adobe.jpg", (32, 16), inks, 3),
        ("cmyk-unmarked.jpg", (32, 16), inks, 3),
        ("ycck-adobe.jpg", (32, 16), inks, 3),
        ("grey.jpg", (32, 16), [[10; 3], [90; 3], [170; 3], [250; 3]], 1),
        ("rgb-coded.jpg", (32, 16), quarters, 1),
        ("smooth-444.jpg", (40, 24), [[44, 181, 89], [170, 181, 138], [44, 86, 126], [170, 86, 174]], 1),
        ("smooth-422.jpg", (40, 24), [[46, 181, 87], [170, 181, 138], [46, 85, 124], [170, 86, 174]], 4),
        ("smooth-420.jpg", (40, 24), scaled, 4),
        ("smooth-420-progressive.jpg", (40, 24), scaled, 4),
        ("smooth-420-restarts.jpg", (40, 24), scaled, 4),
        ("one.png", (1, 1), [[200, 100, 50]; 4], 0),
        ("one.jpg", (1, 1), [[200, 100, 50]; 4], 1),
        ("long.png", (20_000, 20), [[31, 0, 255], [191, 0, 0], [31, 100, 255], [191, 100, 0]], 0),
        ("long.jpg", (20_000, 20), [[200, 100, 50]; 4], 1),
        ("tall.png", (20, 20_000), [[63, 0, 0], [63, 100, 0], [191, 0, 0], [191, 100, 0]], 0),
    ] {
        let file = fixture(name);
        let picture = bounded(24 * MIB, || Picture::decode(&file, name)).unwrap();
        assert_eq!((picture.width(), picture.height()), size, "{name}");
        let (w, h) = size;
        let places = [(w / 8, h / 4), (w * 3 / 4, h / 4), (w / 8, h * 3 / 4), (w * 3 / 4, h * 3 / 4)];
        for ((x, y), expected) in places.into_iter().zip(colours) {
            let found = pixel(&picture, x, y);
            let near = found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= tolerance);
            assert!(near, "{name} at {x}, {y}: {found:?}, expected {expected:?}");
        }
    }
}

/// Cut at any length, a file is an error, or the picture that it was where the pixels are there to the last one.
#[test]
fn files_cut_anywhere_are_errors_or_pictures() {
    let _alone = alone();
    let start = Instant::now();
    let mut files = 0;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pictures");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let whole = std::fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let ending = path.extension().unwrap().to_str().unwrap();
        if !["png", "jpg", "webp", "gif", "bmp", "qoi", "hdr", "tif", "exr"].contains(&ending)
            || name.ends_with(".expected.png")
        {
            continue;
        }
        files += 1;
        let pictured = Picture::decode(&whole, name).ok();
        // Every length of a small file, and some of the few larger ones.
        let lengths = if ["png", "jpg"].contains(&ending) { 250 } else { 60 };
        for length in (0..whole.len()).step_by(whole.len() / lengths + 1) {
            let result = bounded(24 * MIB, || Picture::decode(&whole[..length], name));
            let pixels_end = whole.len() - if name.contains("animated") { 250 } else { 12 };
            match result {
                // Nothing that belongs to the picture is missing.
                Ok(picture) if ending != "png" || length >= pixels_end => {
                    assert!(Some(picture) == pictured, "{name}, {length} bytes");
                }
                result => drop(message(name, result)),
            }
        }
    }
    assert!(files > 60);
    assert!(start.elapsed() < TIME_LIMIT);
}

#[test]
fn what_is_no_picture_is_named() {
    let _alone = alone();
    for (bytes, said) in [
        (fixture("photo.heic"), "an HEIC"),
        (fixture("photo.avif"), "an AVIF"),
        (fixture("preview.tif"), "a camera's raw file"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic".to_vec(), "an HEIC"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf".to_vec(), "an AVIF"),
        (b"<!DOCTYPE html><title>404</title>".to_vec(), "a web page"),
        (b"GET / HTTP/1.1".to_vec(), "not a picture in a known format"),
        (vec![0; 1 << 20], "not a picture in a known format"),
        (Vec::new(), "the file is empty"),
        (b"\x89PNG\r\n\x1a\n".to_vec(), "ends before"),
        (b"\xff\xd8\xff".to_vec(), "ends before"),
        (b"RIFF\x04\0\0\0WEBP".to_vec(), "ends before"),
        (b"GIF89a".to_vec(), "ends before"),
        (b"BM\0\0\0\0\0\0\0\0".to_vec(), "ends before"),
        (b"qoif".to_vec(), "cannot be decoded"),
        (b"II*\0".to_vec(), "ends before"),
        (b"#?RADIANCE\n".to_vec(), "cannot be decoded"),
    ] {
        refused(&bytes, 64 << 10, said);
    }
}

/// Rows that count for more than the picture, and none at all.
#[test]
fn pixels_that_are_not_as_promised_are_errors() {
    let _alone = alone();
    let png = Png { size: (64, 64), bits: 8, colours: 2, interlaced: false };
    refused(&png.file(&[], &[]), MIB, "ends before");
    refused(&png.file(&[], &deflated_zeros(png.raw_length() / 2)), MIB, "cannot be decoded");
    refused(&png.file(&[], b"not deflated, but long enough for the size"), MIB, "cannot be decoded");
    let mut filter = ZlibEncoder::new(Vec::new(), Compression::default());
    std::io::Write::write_all(&mut filter, &vec![9; png.raw_length()]).unwrap();
    refused(&png.file(&[], &filter.finish().unwrap()), MIB, "cannot be decoded");
    let palette = Png { colours: 3, ..png };
    refused(&palette.file(&[], &deflated_zeros(palette.raw_length())), MIB, "cannot be decoded");
}
