//! Weights files.

use impasto::nn::Weights;
#[cfg(feature = "embedded-weights")]
use impasto::nn::{PoolKind, vgg19};

use super::make::{METADATA, one_layer, weights_file};
use super::{alone, bounded, fuzz, message};

const NAME: &str = "vgg.safetensors";
const KIB: u64 = 1 << 10;

/// A file that is refused while it holds no more than `bound` beside its own bytes.
#[track_caller]
fn refused(bytes: Vec<u8>, bound: u64, said: &str) {
    let text = message(NAME, bounded(bound, || Weights::from_bytes(bytes, NAME)?.check(0)));
    assert!(text.contains(said), "{text}");
}

#[test]
fn files_cut_anywhere_are_errors() {
    let _alone = alone();
    let whole = one_layer();
    for length in 0..whole.len() {
        refused(whole[..length].to_vec(), 16 * KIB, "header");
    }
    let good = bounded(32 * KIB, || Weights::from_bytes(whole.clone(), NAME)).unwrap();
    let layer = bounded(32 * KIB, || good.convolution("conv1_1")).unwrap();
    assert_eq!(layer.kernel.len(), 64 * 27);
    let text = message(NAME, good.convolution("conv1_2"));
    assert!(text.contains("conv1_2: expected conv1_2.weight"), "{text}");
}

#[test]
fn a_header_that_lies_about_its_length_is_refused_at_once() {
    let _alone = alone();
    let whole = one_layer();
    let right = u64::from_le_bytes(*whole.first_chunk().unwrap());
    for length in [
        0,
        1,
        right - 1,
        right + 1,
        whole.len() as u64,
        4 << 30,
        (4 << 30) + right,
        i64::MAX as u64,
        u64::MAX,
    ] {
        let lie = [&length.to_le_bytes()[..], &whole[8..]].concat();
        refused(lie, 16 * KIB, "header");
    }
}

/// The longest header that is parsed, filled with what takes the most memory.
#[test]
fn a_header_takes_a_bounded_multiple_of_its_length() {
    let _alone = alone();
    const LONGEST: usize = 1 << 20;
    let filled = |start: &str, part: &dyn Fn(usize) -> String, end: &str| {
        let mut header = start.to_owned();
        for place in 0.. {
            let part = part(place);
            if header.len() + part.len() + end.len() > LONGEST {
                break;
            }
            header.push_str(&part);
        }
        weights_file((header + end).as_bytes(), &[])
    };
    let tensor = |place: usize| format!(r#""{place:x}":{{"dtype":"U8","shape":[],"data_offsets":[0,0]}},"#);
    let sizes = |place: usize| if place == 0 { "1".to_owned() } else { ",1".to_owned() };
    let shape = r#"{"a":{"dtype":"U8","data_offsets":[0,1],"shape":["#;
    for (kind, file, said) in [
        ("brackets", filled("", &|_| "[".to_owned(), ""), "a header with a fault"),
        ("brackets in a tensor", filled(r#"{"a":"#, &|_| "[".to_owned(), ""), "a header with a fault"),
        (
            "braces in a tensor",
            filled(r#"{"a":{"b":"#, &|_| r#"{"b":"#.to_owned(), ""),
            "a header with a fault",
        ),
        ("tensors", filled("{", &tensor, r#""z":0}"#), "a header with a fault"),
        ("a shape", filled(shape, &sizes, "]}}"), "0 bytes of tensors where the header promises 1"),
        (
            "keys",
            filled(r#"{"__metadata__":{"#, &|place| format!(r#""{place:x}":"","#), r#""z":""}}"#),
            "layout",
        ),
        ("one key", filled(r#"{"__metadata__":{"layout":""#, &|_| "x".to_owned(), r#""}}"#), "layout"),
        ("a name", filled("{\"", &|_| "x".to_owned(), "\":1}"), "a header with a fault"),
        ("spaces", filled("{", &|_| " ".to_owned(), "}"), "layout"),
    ] {
        println!("{kind}");
        refused(file, 16 * LONGEST as u64, said);
    }
    let too_long = weights_file(&vec![b' '; LONGEST + 1], &[]);
    refused(too_long, 16 * KIB, "more than 1048576");
}

#[test]
fn headers_that_contradict_themselves_are_refused() {
    let _alone = alone();
    let tensors = |tensors: &str, data: usize| {
        weights_file(format!("{{{METADATA},{tensors}}}").as_bytes(), &vec![0; data])
    };
    let entry = |name: &str, dtype: &str, shape: &str, start: u64, end: u64| {
        format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{start},{end}]}}"#)
    };
    let pair = |a: String, b: String| format!("{a},{b}");
    for (header, data) in [
        // Overlapping, apart, within one another, the same twice.
        (pair(entry("a", "U8", "[4]", 0, 4), entry("b", "U8", "[4]", 2, 6)), 6),
        (pair(entry("a", "U8", "[4]", 0, 4), entry("b", "U8", "[4]", 5, 9)), 9),
        (pair(entry("a", "U8", "[8]", 0, 8), entry("b", "U8", "[2]", 2, 4)), 8),
        (pair(entry("a", "U8", "[4]", 0, 4), entry("a", "U8", "[4]", 0, 4)), 4),
        (pair(entry("a", "U8", "[4]", 0, 4), entry("a", "U8", "[4]", 4, 8)), 8),
        // Not from the start, past the end, backwards, at the end of the numbers.
        (entry("a", "U8", "[4]", 4, 8), 8),
        (entry("a", "U8", "[400]", 0, 400), 8),
        (entry("a", "U8", "[4]", 4, 0), 4),
        (entry("a", "U8", "[4]", u64::MAX - 3, u64::MAX), 4),
        // A shape of other bytes, of too many, of none, below zero, of halves.
        (entry("a", "F32", "[4]", 0, 4), 4),
        (entry("a", "U8", "[4294967296,4294967296,4294967296]", 0, 4), 4),
        (entry("a", "U8", "[18446744073709551615,2]", 0, 4), 4),
        (entry("a", "U8", "[18446744073709551616]", 0, 4), 4),
        (entry("a", "U8", "[-4]", 0, 4), 4),
        (entry("a", "U8", "[4.0]", 0, 4), 4),
        (entry("a", "U8", "null", 0, 4), 4),
        (entry("a", "Q9", "[4]", 0, 4), 4),
        (r#""a":null"#.to_owned(), 0),
        (r#""a":{"dtype":"U8"}"#.to_owned(), 0),
        (r#""__metadata__":{}"#.to_owned(), 0),
    ] {
        refused(tensors(&header, data), 16 * KIB, "header");
    }
    // No text at all.
    refused(weights_file(&[b'{', b'"', 0xff, 0xfe, b'"', b':', b'1', b'}'], &[]), 16 * KIB, "header");
    refused(weights_file(b"\xef\xbb\xbf{}", &[]), 16 * KIB, "header");
    // Out of order is no contradiction: the names are sorted by place.
    let turned = pair(entry("b", "U8", "[4]", 4, 8), entry("a", "U8", "[4]", 0, 4));
    Weights::from_bytes(tensors(&turned, 8), NAME).unwrap();
}

#[test]
fn numbers_that_are_none_are_refused() {
    let _alone = alone();
    let whole = one_layer();
    let data = whole.len() - 2880;
    for (place, value) in [(1728, f32::NAN), (1728 + 255 * 4, f32::INFINITY), (1728 + 40, f32::NEG_INFINITY)]
    {
        let mut file = whole.clone();
        file[data + place..data + place + 4].copy_from_slice(&value.to_le_bytes());
        let weights = Weights::from_bytes(file, NAME).unwrap();
        let text = message(NAME, bounded(16 * KIB, || weights.convolution("conv1_1")));
        assert!(text.contains("conv1_1.codebook") && text.contains("finite"), "{text}");
    }
    let mut file = whole.clone();
    file[data + 2752..data + 2754].copy_from_slice(&0x7e00_u16.to_le_bytes());
    let text = message(NAME, Weights::from_bytes(file, NAME).unwrap().convolution("conv1_1"));
    assert!(text.contains("conv1_1.bias") && text.contains("NaN"), "{text}");
    for (from, to, said) in [
        (r#""mean":"123.68,116.779,103.939""#, r#""mean":"NaN,inf,-inf""#, "mean"),
        (r#""mean":"123.68,116.779,103.939""#, r#""mean":"1e999,1,1""#, "mean"),
        (r#""scale":"0..255""#, r#""scale":"0..1","std":"0,1,1""#, "mean"),
        (r#""scale":"0..255""#, r#""scale":"0..255","std":"inf,1,1""#, "std"),
        (r#""scale":"0..255""#, r#""scale":"NaN""#, "scale"),
    ] {
        let header = format!("{{{METADATA}}}").replace(from, to);
        refused(weights_file(header.as_bytes(), &[]), 16 * KIB, said);
    }
}

/// The real file, cut and damaged in many places.
#[cfg(feature = "embedded-weights")]
#[test]
fn the_networks_own_file_cut_and_damaged() {
    let _alone = alone();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/weights/vgg19-u8.safetensors");
    let whole = std::fs::read(path).unwrap();
    for part in 0..10 {
        let length = whole.len() / 10 * part + part;
        refused(whole[..length].to_vec(), 64 * KIB, "header");
    }
    refused([&whole[..], &[0]].concat(), 64 * KIB, "promises");
    // A bit of the header at a time: an error, or names that are not those of layers.
    let header = u64::from_le_bytes(*whole.first_chunk().unwrap()) as usize;
    let network = vgg19(PoolKind::Mean);
    let deepest = network.layers().len() - 1;
    let mut whole_still = 0;
    for place in (8..8 + header).step_by(71) {
        let mut file = whole.clone();
        file[place] ^= 1 << (place % 7);
        let result = bounded(64 * KIB, || {
            Weights::from_bytes(file, NAME)
                .and_then(|weights| weights.check(deepest).map(|()| weights.mean()))
        });
        match result {
            Ok(_) => whole_still += 1,
            Err(error) => drop(message::<()>(NAME, Err(error))),
        }
    }
    // Digits of the mean, spaces.
    assert!(whole_still < 10, "{whole_still}");
    let layer = Weights::from_bytes(whole, NAME).unwrap();
    for convolution in network.convolutions() {
        let numbers = u64::from(convolution.input_channels * convolution.output_channels) * 9;
        let bytes = (numbers + u64::from(convolution.output_channels)) * 4;
        bounded(2 * bytes + 64 * KIB, || layer.convolution(&convolution.name)).unwrap();
    }
}

fn foreign(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/fixtures/weights/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Files of other programs, one a format.
const FOREIGN: [&str; 8] = [
    "half.pth",
    "bfloat16-legacy.pth",
    "views.pth",
    "protocol-4.pth",
    "matlab.mat",
    "matlab-deflated.mat",
    "keras-1.h5",
    "keras-3.weights.h5",
];

/// Cut anywhere, such a file is an error; no place in it breaks a reader when it is another. (`fuzz::weights` looks after
/// memory and messages.)
#[test]
fn files_of_other_programs_cut_and_damaged() {
    let _alone = alone();
    for name in FOREIGN {
        let whole = foreign(name);
        assert!(fuzz::weights(&whole), "{name}");
        for length in (0..whole.len()).step_by(37) {
            assert!(!fuzz::weights(&whole[..length]), "{name} was read without its end");
        }
        // What describes the file is at both ends, and numbers are in between.
        let ends = (0..1200).step_by(3).chain((whole.len() - 900..whole.len()).step_by(3));
        for place in ends.filter(|place| *place < whole.len()) {
            for change in [1, 0x80, 0xff] {
                let mut file = whole.clone();
                file[place] ^= change;
                fuzz::weights(&file);
            }
        }
    }
}

/// The first pickles of a legacy file, and then this one.
fn legacy(pickle: &[u8]) -> Vec<u8> {
    let whole = foreign("legacy.pth");
    // The fourth, behind three that end with their STOP.
    let ends = whole.windows(2).enumerate().filter(|(_, pair)| *pair == b".\x80").map(|(place, _)| place + 1);
    let start = ends.take(3).last().unwrap();
    [&whole[..start], pickle].concat()
}

/// What a pickle can ask for: calls, shapes and storages that lie, circles, and copies of copies.
#[test]
fn hostile_pickles_are_refused() {
    let _alone = alone();
    let legacy_refused = |pickle: &[u8], said: &str| {
        let file = legacy(pickle);
        let bound = (1 << 20) + 256 * file.len() as u64;
        refused(file, bound, said);
    };
    for (call, named) in [
        (&b"cposix\nsystem\n"[..], "posix.system"),
        (b"cbuiltins\neval\n", "builtins.eval"),
        (b"c__builtin__\ngetattr\n", "__builtin__.getattr"),
        (b"ctorch\nload\n", "torch.load"),
        (b"ctorch\nEvilStorage\n", "torch.EvilStorage"),
        (b"\x8c\x02os\x8c\x06system\x93", "os.system"),
    ] {
        let pickle = [b"\x80\x02", call, b"X\x04\0\0\0echo\x85R."].concat();
        legacy_refused(&pickle, &format!("a call of {named}, which is not made"));
    }
    for (pickle, said) in [
        (&b"\x80\x02."[..], "an empty stack"),
        (b"\x80\x02}0", "an end in the middle of it"),
        (b"\x80\x02h\x07.", "never remembered"),
        (b"\x80\x02X\xff\xff\xff\xff.", "an end in the middle of it"),
        (b"\x80\x02i", "the opcode 0x69"),
        (b"\x80\x02e.", "no mark"),
        (b"\x80\x02K\x01K\x02s.", "an empty stack"),
        (b"\x80\x02K\x01K\x02K\x03s.", "what is no dictionary"),
        (b"\x80\x02K\x01)R.", "a call of what is no function"),
        (b"\x80\x02ccollections\nOrderedDict\nK\x01\x85R.", "something else than a tuple"),
    ] {
        legacy_refused(pickle, said);
    }
    // Marks without an end, and lists in lists.
    legacy_refused(&[&b"\x80\x02"[..], &[b'('; 50_000]].concat(), "an end in the middle of it");
    legacy_refused(&[&b"\x80\x02"[..], &[b']'; 50_000]].concat(), "an end in the middle of it");
    // A dictionary that holds itself, and one in which each level holds the one below many times.
    legacy_refused(b"\x80\x02}q\x00X\x01\0\0\0ah\x00s.\x80\x02].", "no tensor");
    let mut bomb = b"\x80\x02}q\x00".to_vec();
    for level in 1..8 {
        bomb.extend([b'}', b'q', level, b'(']);
        for key in 0..30 {
            bomb.extend([b'U', 1, b'a' + key % 26, b'h', level - 1]);
        }
        bomb.push(b'u');
    }
    bomb.extend(b".\x80\x02].");
    legacy_refused(&bomb, "too many entries");
    // Long names, each of which would be copied for all that it names.
    let mut names = b"\x80\x02}X\x00\x80\x00\x00".to_vec();
    names.extend([b'a'; 0x8000]);
    names.extend(b"q\x00}(");
    (0..5000).for_each(|_| names.extend(b"h\x00K\x01"));
    names.extend(b"us.\x80\x02].");
    legacy_refused(&names, "no tensor");
    // A tensor of more numbers than its storage has, by its shape, its strides or its start.
    let tensor = |offset: &[u8], shape: &[u8], strides: &[u8]| {
        let mut pickle = b"\x80\x02}U\x11features.0.weightctorch._utils\n_rebuild_tensor_v2\n(".to_vec();
        pickle.extend(b"(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x04tQ");
        pickle.extend([offset, b"(", shape, b"t(", strides, b"t\x89}tRs."].concat());
        pickle.extend(b"\x80\x02]U\x010a.\x04\0\0\0\0\0\0\0");
        pickle.extend([0; 16]);
        pickle
    };
    let within = "expected a tensor within its storage";
    for (offset, shape, strides) in [
        (&b"K\x00"[..], &b"K\x02K\x03"[..], &b"K\x03K\x01"[..]),
        (b"K\x01", b"K\x04", b"K\x01"),
        (b"K\x00", b"K\x02K\x02", b"K\x03K\x01"),
        (b"K\x00", b"K\x02", b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"),
        (b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f", b"K\x01", b"K\x01"),
        (b"K\x00", b"J\x00\x00\x0f\x00", b"K\x00"),
    ] {
        legacy_refused(&tensor(offset, shape, strides), within);
    }
    legacy_refused(&tensor(b"J\xff\xff\xff\xff", b"K\x01", b"K\x01"), "the size -1");
    legacy_refused(&tensor(b"K\x00", b"K\x01K\x01", b"K\x01"), "a shape and strides of other lengths");
}

/// A MATLAB file of these elements.
fn matlab(elements: &[Vec<u8>]) -> Vec<u8> {
    let mut file = foreign("matlab.mat")[..128].to_vec();
    file.extend(elements.concat());
    file
}

fn element(kind: u32, bytes: &[u8]) -> Vec<u8> {
    let mut element = [&kind.to_le_bytes()[..], &(bytes.len() as u32).to_le_bytes(), bytes].concat();
    if kind != 15 {
        element.resize(element.len().next_multiple_of(8), 0);
    }
    element
}

/// A matrix of a class with a size, a name and contents.
fn matrix(class: u8, size: &[u32], name: &str, contents: &[u8]) -> Vec<u8> {
    let size: Vec<u8> = size.iter().flat_map(|side| side.to_le_bytes()).collect();
    let parts = [
        element(6, &[class, 0, 0, 0, 0, 0, 0, 0]),
        element(5, &size),
        element(1, name.as_bytes()),
        contents.to_vec(),
    ];
    element(14, &parts.concat())
}

#[test]
fn hostile_matlab_files_are_refused() {
    let _alone = alone();
    let numbers = |name: &str, size: &[u32], bytes: &[u8]| matrix(7, size, name, &element(7, bytes));
    let is_refused = |elements: &[Vec<u8>], said: &str| refused(matlab(elements), 128 * KIB, said);
    is_refused(&[], "variables: expected layers");
    is_refused(&[numbers("a", &[1, 1], &[0; 4])], "found a");
    // Sizes that lie.
    is_refused(&[numbers("meta", &[u32::MAX, u32::MAX, u32::MAX], &[0; 4])], "too many elements");
    is_refused(&[numbers("meta", &[2, 1], &[0; 4])], "4 bytes for 2 numbers");
    is_refused(&[matrix(1, &[u32::MAX, 1], "layers", &[])], "an end in the middle");
    is_refused(
        &[matrix(
            2,
            &[u32::MAX, 1],
            "layers",
            &[element(5, &[8, 0, 0, 0]), element(1, b"a\0\0\0\0\0\0\0")].concat(),
        )],
        "an end in the middle",
    );
    // Structs without fields take no bytes, however many there are.
    is_refused(
        &[matrix(2, &[u32::MAX, 1], "layers", &[element(5, &[8, 0, 0, 0]), element(1, b"")].concat())],
        "conv1_1",
    );
    let mut long = element(14, &[0; 16]);
    long[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    is_refused(&[long], "an end in the middle");
    // Cells in cells.
    let mut deep = Vec::new();
    for _ in 0..100 {
        deep = matrix(1, &[1, 1], "layers", &deep);
    }
    is_refused(&[deep], "too deep in one another");
    // A cell of empty matrices, each eight bytes that deflate to nearly none.
    let many = element(14, &[]).repeat(70_000);
    let deflated = |bytes: &[u8]| {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut encoder, bytes).unwrap();
        element(15, &encoder.finish().unwrap())
    };
    let file = matlab(&[deflated(&matrix(1, &[70_000, 1], "layers", &many))]);
    refused(file, 8 << 20, "too many matrices");
    // Numbers that no layer needs are not kept, and those of a variable that says nothing are not even unpacked.
    let large = numbers("layers", &[513, 512, 9], &vec![0; 513 * 512 * 9 * 4]);
    refused(matlab(&[deflated(&large)]), 256 * KIB, "variables: expected layers");
    let other = deflated(&numbers("other", &[513, 512, 9], &vec![0; 513 * 512 * 9 * 4]));
    refused(matlab(&[other]), 256 * KIB, "found other");
    // A stream with a fault, and one that is cut.
    let mut faulty = deflated(&numbers("layers", &[1000, 1], &[7; 4000]));
    let middle = faulty.len() - 12;
    faulty.truncate(middle);
    let length = (middle - 8) as u32;
    faulty[4..8].copy_from_slice(&length.to_le_bytes());
    is_refused(&[faulty], "elements: expected a complete MATLAB file");
}
