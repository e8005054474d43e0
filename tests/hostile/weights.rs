//! Weights files.

use impasto::nn::Weights;
#[cfg(feature = "embedded-weights")]
use impasto::nn::{PoolKind, vgg19};

use super::make::{METADATA, one_layer, weights_file};
use super::{alone, bounded, message};

const NAME: &str = "vgg.safetensors";
const KIB: u64 = 1 << 10;

/// A file that is refused while it holds no more than `bound` beside its own bytes.
#[track_caller]
fn refused(bytes: Vec<u8>, bound: u64, said: &str) {
    let text = message(NAME, bounded(bound, || Weights::from_bytes(bytes, NAME)));
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
