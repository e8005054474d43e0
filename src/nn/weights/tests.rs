//! Files written by hand, so that they can also be wrong.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use half::f16;

use super::*;
use crate::nn::{vgg16, vgg19};

const MEAN: &str = "123.68,116.779,103.939";
/// conv1_1's kernel (64, 3, 3, 3).
const KERNEL: usize = 64 * 27;

struct Tensor {
    name: String,
    dtype: &'static str,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

fn tensor(name: &str, dtype: &'static str, shape: &[usize], bytes: Vec<u8>) -> Tensor {
    Tensor { name: name.to_owned(), dtype, shape: shape.to_vec(), bytes }
}

fn f32_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn f16_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect()
}

/// A safetensors file written by hand, so that it can also be wrong.
fn file(metadata: &[(&str, &str)], tensors: &[Tensor]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let metadata: HashMap<&str, &str> = metadata.iter().copied().collect();
    header.insert("__metadata__".to_owned(), serde_json::to_value(metadata).unwrap());
    let mut data = Vec::new();
    for Tensor { name, dtype, shape, bytes } in tensors {
        let offsets = [data.len(), data.len() + bytes.len()];
        let entry = serde_json::json!({ "dtype": dtype, "shape": shape, "data_offsets": offsets });
        header.insert(name.clone(), entry);
        data.extend_from_slice(bytes);
    }
    with_header(&serde_json::to_string(&header).unwrap(), &data)
}

fn with_header(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

fn metadata<'text>(changes: &[(&'text str, Option<&'text str>)]) -> Vec<(&'text str, &'text str)> {
    let mut keys: HashMap<&str, &str> = HashMap::from([
        ("mean", MEAN),
        ("scale", "0..255"),
        ("channel_order", "RGB"),
        ("layout", "out,in,ky,kx"),
    ]);
    for &(key, value) in changes {
        match value {
            Some(value) => keys.insert(key, value),
            None => keys.remove(key),
        };
    }
    keys.into_iter().collect()
}

fn ramp() -> Vec<f32> {
    (0..KERNEL).map(|place| (place as f32 - 800.0) / 64.0).collect()
}

fn biases() -> Vec<f32> {
    (0..64).map(|place| place as f32 / 8.0).collect()
}

fn plain_layer() -> Vec<Tensor> {
    vec![
        tensor("conv1_1.weight", "F32", &[64, 3, 3, 3], f32_bytes(&ramp())),
        tensor("conv1_1.bias", "F32", &[64], f32_bytes(&biases())),
    ]
}

fn coded_layer() -> Vec<Tensor> {
    let codebook: Vec<f32> = (0..256).map(|entry| entry as f32 * 0.25 - 7.0).collect();
    let codes = (0..KERNEL).map(|place| (place * 7 % 256) as u8).collect();
    vec![
        tensor("conv1_1.codes", "U8", &[64, 3, 3, 3], codes),
        tensor("conv1_1.codebook", "F32", &[256], f32_bytes(&codebook)),
        tensor("conv1_1.bias", "F32", &[64], f32_bytes(&biases())),
    ]
}

fn read(changes: &[(&str, Option<&str>)], tensors: &[Tensor]) -> Result<Weights> {
    Weights::from_bytes(file(&metadata(changes), tensors), "test.safetensors")
}

#[track_caller]
fn fault<T: fmt::Debug>(result: Result<T>) -> (String, String, String, String) {
    let Error::Weights { name, item, expected, found, remedy } = result.unwrap_err() else {
        panic!("another kind of error")
    };
    assert_eq!(name, "test.safetensors");
    let remedy = remedy.to_string();
    assert!(!remedy.is_empty());
    (item, expected, found, remedy)
}

#[test]
fn a_plain_layer_comes_out_as_it_is() {
    let weights = read(&[], &plain_layer()).unwrap();
    assert_eq!(weights.mean(), [123.68, 116.779, 103.939]);
    weights.check(0).unwrap();
    let layer = weights.convolution("conv1_1").unwrap();
    assert_eq!((layer.output_channels, layer.input_channels), (64, 3));
    assert_eq!(layer.kernel, ramp());
    assert_eq!(layer.bias, biases());
}

#[test]
fn halves_are_widened() {
    let tensors = [
        tensor("conv1_1.weight", "F16", &[64, 3, 3, 3], f16_bytes(&ramp())),
        tensor("conv1_1.bias", "F16", &[64], f16_bytes(&biases())),
    ];
    let layer = read(&[], &tensors).unwrap().convolution("conv1_1").unwrap();
    // The ramp and the biases have few enough bits to be exact in f16.
    assert_eq!(layer.kernel, ramp());
    assert_eq!(layer.bias, biases());
}

#[test]
fn codes_name_entries_of_the_codebook() {
    let layer = read(&[], &coded_layer()).unwrap().convolution("conv1_1").unwrap();
    for (place, weight) in layer.kernel.iter().enumerate() {
        assert_eq!(*weight, (place * 7 % 256) as f32 * 0.25 - 7.0, "place {place}");
    }
}

#[test]
fn the_mean_is_read_in_each_spelling() {
    for spelling in ["123.68,116.779,103.939", " 123.68  116.779 103.939 ", "[123.68, 116.779, 103.939]"] {
        let weights = read(&[("mean", Some(spelling))], &plain_layer()).unwrap();
        assert_eq!(weights.mean(), [123.68, 116.779, 103.939], "{spelling}");
    }
    for spelling in
        ["", "1,2", "1,2,3,4", "1,,3", "a,b,c", "nan,1,2", "1,inf,2", "-1,2,3", "256,1,1", "[1,2,3"]
    {
        let (item, _, found, _) = fault(read(&[("mean", Some(spelling))], &plain_layer()));
        assert_eq!((item.as_str(), found), ("metadata `mean`", format!("`{spelling}`")));
    }
}

/// Scale, deviation and channel order are folded into the first kernel. The oracle is the definition: the
/// response of the file's own kernel to the file's own normalised pixel must be the response of the
/// folded kernel to pixel − mean, here for one tap of one filter at a time.
#[test]
fn normalisation_is_folded_into_the_first_kernel() {
    let kernel = ramp();
    let pixel = [200.0, 31.0, 97.0];
    for (order, places) in [("RGB", [0, 1, 2]), ("BGR", [2, 1, 0])] {
        // In the file's order of channels.
        let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
        let changes = [
            ("scale", Some("0..1")),
            ("mean", Some("0.485 0.456 0.406")),
            ("std", Some("[0.229,0.224,0.225]")),
            ("channel_order", Some(order)),
        ];
        let weights = read(&changes, &plain_layer()).unwrap();
        let folded = weights.convolution("conv1_1").unwrap();
        for (filter, tap) in [(0, 0), (11, 8), (63, 4)] {
            let at = |channel: usize| filter * 27 + channel * 9 + tap;
            let of_file: f64 = (0..3)
                .map(|channel| {
                    let value: f64 = pixel[places[channel]] / 255.0;
                    f64::from(kernel[at(channel)]) * (value - mean[channel]) / std[channel]
                })
                .sum();
            let ours: f64 = (0..3)
                .map(|channel| {
                    let x = pixel[channel] - f64::from(weights.mean()[channel]);
                    f64::from(folded.kernel[at(channel)]) * x
                })
                .sum();
            // Rounding of mean, factor and product to f32 only.
            assert!((ours - of_file).abs() <= 1e-5 * of_file.abs().max(1.0), "{order} {ours} {of_file}");
        }
        assert_eq!(folded.bias, biases());
    }
}

#[test]
fn a_bgr_file_is_turned_round_and_keeps_its_values() {
    let changes = [("channel_order", Some("BGR")), ("mean", Some("103.939,116.779,123.68"))];
    let weights = read(&changes, &plain_layer()).unwrap();
    assert_eq!(weights.mean(), [123.68, 116.779, 103.939]);
    let turned = weights.convolution("conv1_1").unwrap().kernel;
    for (place, weight) in turned.iter().enumerate() {
        let (filter, channel, tap) = (place / 27, place % 27 / 9, place % 9);
        assert_eq!(*weight, ramp()[filter * 27 + (2 - channel) * 9 + tap]);
    }
}

#[test]
fn missing_and_unknown_metadata_is_named() {
    for key in ["mean", "scale", "channel_order", "layout"] {
        let (item, expected, found, _) = fault(read(&[(key, None)], &plain_layer()));
        assert_eq!((item, found.as_str()), (format!("metadata `{key}`"), "no such key"));
        assert!(!expected.is_empty());
    }
    for (key, value, expected) in [
        ("scale", "-1..1", "0..255 or 0..1"),
        ("channel_order", "GBR", "RGB or BGR"),
        ("layout", "ky,kx,in,out", "out,in,ky,kx"),
        ("std", "1,0,1", "three numbers above 0"),
        ("std", "1,1", "three numbers above 0"),
    ] {
        let changes = [(key, Some(value))];
        let (item, said, found, _) = fault(read(&changes, &plain_layer()));
        assert_eq!(
            (item, said.as_str(), found),
            (format!("metadata `{key}`"), expected, format!("`{value}`"))
        );
    }
    // Case and spaces do not matter.
    read(&[("channel_order", Some("rgb")), ("layout", Some("out, in, ky, kx"))], &plain_layer()).unwrap();
    // A file without any metadata at all.
    let bare = with_header("{}", &[]);
    assert_eq!(fault(Weights::from_bytes(bare, "test.safetensors")).0, "metadata `layout`");
    // In 0..1 a mean of 0..255 is a contradiction.
    assert_eq!(fault(read(&[("scale", Some("0..1"))], &plain_layer())).0, "metadata `mean`");
}

/// A whole file of `network`: codes that repeat, into a codebook of steps that f32 holds exactly.
fn whole_file(network: &Network, changes: &[(&str, Option<&str>)]) -> Vec<u8> {
    let codebook: Vec<f32> = (0..256).map(|entry| entry as f32 / 4096.0 - 1.0 / 32.0).collect();
    let tensors: Vec<Tensor> = network
        .convolutions()
        .flat_map(|layer| {
            let Convolution { name, input_channels, output_channels, .. } = layer;
            let (inputs, outputs) = (*input_channels as usize, *output_channels as usize);
            let codes = (0..outputs * inputs * 9).map(|place| (place % 251) as u8).collect();
            [
                tensor(&format!("{name}.codes"), "U8", &[outputs, inputs, 3, 3], codes),
                tensor(&format!("{name}.codebook"), "F32", &[256], f32_bytes(&codebook)),
                tensor(&format!("{name}.bias"), "F16", &[outputs], vec![0; 2 * outputs]),
            ]
        })
        .collect();
    file(&metadata(changes), &tensors)
}

#[test]
fn the_network_is_recognised_by_its_key_or_by_its_tensors() {
    let from = |bytes: Vec<u8>| Weights::from_bytes(bytes, "test.safetensors");
    let (vgg16_mean, vgg19_mean) = (vgg16(PoolKind::Mean), vgg19(PoolKind::Mean));
    for network in [&vgg16_mean, &vgg19_mean] {
        let weights = from(whole_file(network, &[])).unwrap();
        assert_eq!(weights.network(), network);
        weights.check(network.layers().len() - 1).unwrap();
        let last = network.convolutions().next_back().unwrap();
        let layer = weights.convolution(&last.name).unwrap();
        assert_eq!((layer.input_channels, layer.output_channels), (512, 512));
        assert_eq!(layer.kernel[250], 250.0 / 4096.0 - 1.0 / 32.0);
    }
    // The key counts for more than the tensors.
    let weights = from(whole_file(&vgg19_mean, &[("network", Some("VGG16"))])).unwrap();
    assert_eq!(weights.network(), &vgg16_mean);
    let weights = from(whole_file(&vgg16_mean, &[("network", Some("vgg19")), ("pooling", Some("max"))]));
    let weights = weights.unwrap();
    assert_eq!(weights.network(), &vgg19(PoolKind::Max));
    let (item, _, _, remedy) = fault(weights.check(usize::MAX));
    assert_eq!(item, "conv3_4");
    assert!(remedy.contains("VGG-19"), "{remedy}");
    // A file that ends before the two differ is VGG-19's, as it always was, and so is one that lacks only some.
    assert_eq!(read(&[], &plain_layer()).unwrap().network(), &vgg19_mean);
    let only = |names: &[&str]| {
        let tensors: Vec<Tensor> =
            names.iter().map(|name| tensor(&format!("{name}.weight"), "F32", &[0], Vec::new())).collect();
        read(&[], &tensors).unwrap().network().name().to_owned()
    };
    assert_eq!(only(&["conv1_1", "conv3_3"]), "VGG-19");
    assert_eq!(only(&["conv1_1", "conv3_3", "conv4_1"]), "VGG-16");
    assert_eq!(only(&["conv1_1", "conv4_1", "conv4_4"]), "VGG-19");
    // What messages say is the network's.
    let (_, expected, _, remedy) =
        fault(read(&[("network", Some("vgg16"))], &[]).unwrap().convolution("conv3_4"));
    assert_eq!(expected, "a convolution of VGG-16");
    assert!(remedy.contains("conv3_3") && !remedy.contains("conv3_4"), "{remedy}");
    for (key, value) in [("network", "resnet50"), ("pooling", "median")] {
        let (item, _, found, _) = fault(read(&[(key, Some(value))], &plain_layer()));
        assert_eq!((item, found), (format!("metadata `{key}`"), format!("`{value}`")));
    }
}

#[test]
fn other_pools_are_other_weights() {
    let read = || read(&[], &plain_layer()).unwrap();
    let max = read().with_pools(PoolKind::Max);
    assert_eq!(max.network(), &vgg19(PoolKind::Max));
    assert_ne!(max.digest(), read().digest());
    assert_eq!(read().with_pools(PoolKind::Mean).digest(), read().digest());
}

#[test]
fn a_missing_layer_is_named_with_what_there_is() {
    let weights = read(&[], &plain_layer()).unwrap();
    weights.check(0).unwrap();
    let (item, expected, found, _) = fault(weights.check(1));
    assert_eq!(item, "conv1_2");
    assert!(expected.contains("conv1_2.weight") && expected.contains("(64, 64, 3, 3)"), "{expected}");
    assert!(found.contains("conv1_1.weight"), "{found}");
    assert_eq!(fault(weights.convolution("conv1_2")).0, "conv1_2");
    assert_eq!(fault(weights.check(usize::MAX)).0, "conv1_2");
    let (item, _, _, remedy) = fault(weights.convolution("relu4_2"));
    assert_eq!(item, "relu4_2");
    assert!(remedy.contains("conv4_2"), "{remedy}");
    let none = read(&[], &[]).unwrap();
    assert!(fault(none.check(0)).2.contains("holds no tensor"));
}

#[test]
fn wrong_shapes_types_and_missing_parts_are_named() {
    type Change = fn(&mut Vec<Tensor>);
    let cases: [(Vec<Tensor>, Change, &str, &str, &str); 8] = [
        (
            plain_layer(),
            |all| all[0].shape = vec![3, 3, 3, 64],
            "conv1_1.weight",
            "(64, 3, 3, 3)",
            "(3, 3, 3, 64)",
        ),
        (plain_layer(), |all| all[1].shape = vec![64, 1], "conv1_1.bias", "(64)", "(64, 1)"),
        (plain_layer(), |all| all[0].dtype = "I32", "conv1_1.weight", "F32, F16, BF16 or F64", "I32"),
        (
            plain_layer(),
            |all| drop(all.remove(1)),
            "conv1_1.bias",
            "F32, F16, BF16 or F64 of shape (64)",
            "no such tensor",
        ),
        (coded_layer(), |all| all[0].dtype = "I8", "conv1_1.codes", "U8", "I8"),
        (
            coded_layer(),
            |all| drop(all.remove(1)),
            "conv1_1.codebook",
            "F32 of shape (256)",
            "no such tensor",
        ),
        (
            coded_layer(),
            |all| all[1] = tensor("conv1_1.codebook", "F32", &[255], vec![0; 255 * 4]),
            "conv1_1.codebook",
            "(256)",
            "(255)",
        ),
        (coded_layer(), |all| all[0].shape = vec![KERNEL], "conv1_1.codes", "(64, 3, 3, 3)", "(1728)"),
    ];
    for (mut tensors, change, item, expected, found) in cases {
        change(&mut tensors);
        let weights = read(&[], &tensors).unwrap();
        for said in [fault(weights.check(0)), fault(weights.convolution("conv1_1"))] {
            assert_eq!(said.0, item);
            assert!(said.1.contains(expected), "{item}: {}", said.1);
            assert!(said.2.contains(found), "{item}: {}", said.2);
        }
    }
}

#[test]
fn values_that_are_not_finite_are_refused_with_their_place() {
    let mut values = ramp();
    values[17] = f32::NAN;
    let mut tensors = plain_layer();
    tensors[0].bytes = f32_bytes(&values);
    let (item, _, found, _) = fault(read(&[], &tensors).unwrap().convolution("conv1_1"));
    assert_eq!((item.as_str(), found.as_str()), ("conv1_1.weight", "NaN at place 17"));

    let mut tensors = plain_layer();
    tensors[1] = tensor("conv1_1.bias", "F16", &[64], f16_bytes(&[f32::INFINITY; 64]));
    assert_eq!(fault(read(&[], &tensors).unwrap().convolution("conv1_1")).0, "conv1_1.bias");

    let mut tensors = coded_layer();
    tensors[1].bytes[..4].copy_from_slice(&f32::NEG_INFINITY.to_le_bytes());
    assert_eq!(fault(read(&[], &tensors).unwrap().convolution("conv1_1")).0, "conv1_1.codebook");

    // Finite in the file, but not after the division by std.
    let tiny = read(&[("std", Some("1e-300,1,1"))], &plain_layer()).unwrap();
    assert_eq!(fault(tiny.convolution("conv1_1")).0, "conv1_1.weight");
}

#[test]
fn damaged_files_are_errors() {
    let good = file(&metadata(&[]), &plain_layer());
    let header = |result| {
        let (item, _, found, remedy) = fault::<Weights>(result);
        assert_eq!(item, "header");
        (found, remedy)
    };
    let from = |bytes: Vec<u8>| Weights::from_bytes(bytes, "test.safetensors");
    for length in (0..400).chain([good.len() - 1]) {
        header(from(good[..length].to_vec()));
    }
    let (found, _) = header(from([&good[..], &[0]].concat()));
    assert!(found.contains("promises"), "{found}");
    header(from([&u64::MAX.to_le_bytes()[..], b"{}"].concat()));
    header(from([&(good.len() as u64).to_le_bytes()[..], &good[8..]].concat()));
    header(from(with_header("", &[])));
    header(from(with_header("[1, 2]", &[])));
    header(from(with_header(&"[".repeat(100_000), &[])));
    header(from([&2_u64.to_le_bytes()[..], &[0xff, 0xfe]].concat()));
    let (found, _) = header(from(with_header(&" ".repeat(tensors::HEADER_LIMIT as usize + 1), &[])));
    assert!(found.contains("more than"), "{found}");
}

#[test]
fn headers_that_contradict_themselves_are_errors() {
    let from = |header: &str, data: &[u8]| Weights::from_bytes(with_header(header, data), "test.safetensors");
    let entry = |name: &str, shape: &str, start: u64, end: u64| {
        format!(r#""{name}":{{"dtype":"U8","shape":{shape},"data_offsets":[{start},{end}]}}"#)
    };
    let overlapping = format!("{{{},{}}}", entry("a", "[4]", 0, 4), entry("b", "[4]", 2, 6));
    let gap = format!("{{{},{}}}", entry("a", "[4]", 0, 4), entry("b", "[4]", 6, 10));
    let backwards = format!("{{{}}}", entry("a", "[4]", 4, 0));
    let past_the_end = format!("{{{}}}", entry("a", "[400]", 0, 400));
    let other_size = format!("{{{}}}", entry("a", "[5]", 0, 4));
    let product_overflows = format!("{{{}}}", entry("a", "[4294967296, 4294967296, 4]", 0, 4));
    let mut end = 0;
    // Each is as large as the format allows; their sum wraps round to a small number.
    let wraps: Vec<String> = (0..8)
        .map(|place| {
            let start = end;
            end = if place == 7 { u64::MAX - 7 } else { end + (1 << 61) - 1 };
            entry(&format!("t{place}"), &format!("[{}]", end - start), start, end)
        })
        .collect();
    let wraps = format!("{{{}}}", wraps.join(","));
    let twice = format!("{{{},{}}}", entry("a", "[4]", 0, 4), entry("a", "[4]", 4, 8));
    let alike = format!("{{{},{}}}", entry("a", "[8]", 0, 8), entry("a", "[8]", 0, 8));
    let key_twice = r#"{"__metadata__":{"mean":"1,2,3","mean":"1,2,3"}}"#.to_owned();
    let metadata_twice = r#"{"__metadata__":{},"__metadata__":{}}"#.to_owned();
    let deep_shape = entry("a", &"[".repeat(100_000), 0, 8);
    let deep_shape = format!("{{{deep_shape}}}");
    let unknown_type = r#"{"a":{"dtype":"U7","shape":[4],"data_offsets":[0,4]}}"#.to_owned();
    let metadata_of_numbers = r#"{"__metadata__":{"mean":[1,2,3]}}"#.to_owned();
    for header in [
        overlapping,
        gap,
        backwards,
        past_the_end,
        other_size,
        product_overflows,
        wraps,
        twice,
        alike,
        key_twice,
        metadata_twice,
        deep_shape,
        unknown_type,
        metadata_of_numbers,
    ] {
        let (item, _, found, _) = fault(from(&header, &[0; 8]));
        assert_eq!(item, "header", "{header}");
        assert!(found.len() < 200, "{found}");
    }
}

#[test]
fn text_from_a_file_cannot_flood_a_message() {
    let long = "x\n".repeat(100_000);
    let error = read(&[("scale", Some(&long))], &plain_layer()).unwrap_err().to_string();
    assert!(error.len() < 400 && !error.contains('\n'), "{}", error.len());
    let tensors = [tensor(&long, "U8", &[1], vec![0])];
    let error = read(&[], &tensors).unwrap().check(0).unwrap_err().to_string();
    assert!(error.len() < 600 && !error.contains('\n'), "{}", error.len());
}

/// The expected numbers were read from the file by another program, in Python.
#[cfg(feature = "embedded-weights")]
#[test]
fn the_embedded_file_is_the_network() {
    let weights = Weights::embedded().unwrap();
    assert_eq!(weights.mean(), [123.68, 116.779, 103.939]);
    assert_eq!(weights.network(), &vgg19(PoolKind::Mean));
    weights.check(weights.network().layers().len() - 1).unwrap();
    let layer = weights.convolution("conv1_1").unwrap();
    assert_eq!((layer.output_channels, layer.input_channels), (64, 3));
    assert_eq!(layer.kernel[..4], [0.39357132, 0.37717873, -0.04566834, 0.26769525]);
    assert_eq!(layer.kernel[layer.kernel.len() - 3..], [0.049655978, 0.028793614, -0.2700253]);
    assert_eq!(layer.bias[..2], [0.7301776, 0.06493629]);
    assert_eq!(layer.bias[layer.bias.len() - 1], 0.4072122);
    let sum: f64 = layer.kernel.iter().map(|&weight| f64::from(weight.abs())).sum();
    assert!((sum - 270.4311004348565).abs() < 1e-6 * sum, "{sum}");
    let layer = weights.convolution("conv5_4").unwrap();
    assert_eq!((layer.output_channels, layer.input_channels), (512, 512));
    assert_eq!(layer.kernel[..4], [-0.0046558236, -0.005928581, -0.005928581, -0.0032479365]);
    assert_eq!(layer.kernel[layer.kernel.len() - 3..], [0.0014519716, -0.002150676, -0.0010691351]);
    assert_eq!(layer.bias[..2], [0.72227454, -0.4857272]);
    assert_eq!(layer.bias[layer.bias.len() - 1], 0.022168785);
    let sum: f64 = layer.kernel.iter().map(|&weight| f64::from(weight.abs())).sum();
    assert!((sum - 14838.214713716152).abs() < 1e-6 * sum, "{sum}");
}
