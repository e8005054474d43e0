//! Files of weights in the formats that people have them in, made by the programs that they come from.
#![allow(clippy::unwrap_used)]

use std::fs;

use impasto::nn::Weights;
use impasto::nn::weights::{ChannelOrder, ConvolutionWeights, Format, Preprocessing};
use impasto::ops::Precision;

fn fixture(name: &str) -> Vec<u8> {
    fs::read(format!("{}/tests/fixtures/weights/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn weights(name: &str) -> Weights {
    Weights::from_bytes(fixture(name), name).unwrap()
}

#[track_caller]
fn refused(name: &str, bytes: Vec<u8>) -> String {
    let error = Weights::from_bytes(bytes, name).map(drop).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{name}: ")) && error.len() < 500, "{error}");
    error
}

/// What `make_weights.py` puts into each file.
fn kernel() -> Vec<f32> {
    (0..64 * 27).map(|place| (7 * place % 251 - 125) as f32 / 1024.0).collect()
}

fn bias() -> Vec<f32> {
    (0..64).map(|place| (5 * place % 61 - 30) as f32 / 64.0).collect()
}

/// The layer as it is for pixels in RGB and 0..255, minus the mean.
fn folded(preprocessing: &Preprocessing) -> Vec<f32> {
    let mut kernel = kernel();
    for (place, weight) in kernel.iter_mut().enumerate() {
        let channel = place % 27 / 9;
        *weight *= (preprocessing.scale / (255.0 * preprocessing.std[channel])) as f32;
    }
    kernel
}

#[track_caller]
fn assert_is_the_layer(layer: &ConvolutionWeights, preprocessing: &Preprocessing) {
    let wanted = folded(preprocessing);
    for (place, (found, wanted)) in layer.kernel.iter().zip(&wanted).enumerate() {
        assert!((found - wanted).abs() <= 1e-6 * wanted.abs(), "{place}: {found} {wanted}");
    }
    assert_eq!((layer.kernel.len(), &layer.bias), (wanted.len(), &bias()));
}

#[test]
fn pytorchs_files_are_read() {
    for (name, format) in [
        ("zip.pth", Format::TorchZip),
        ("protocol-4.pth", Format::TorchZip),
        ("half.pth", Format::TorchZip),
        ("double.pth", Format::TorchZip),
        ("checkpoint.pth", Format::TorchZip),
        ("views.pth", Format::TorchZip),
        ("named.pth", Format::TorchZip),
        ("features.pth", Format::TorchZip),
        ("legacy.pth", Format::TorchLegacy),
        ("legacy-protocol-4.pth", Format::TorchLegacy),
        ("bfloat16-legacy.pth", Format::TorchLegacy),
        ("views-legacy.pth", Format::TorchLegacy),
        ("checkpoint-legacy.pth", Format::TorchLegacy),
    ] {
        println!("{name}");
        let weights = weights(name);
        assert_eq!((weights.format(), weights.network().name()), (format, "VGG-19"));
        assert_eq!(weights.preprocessing(), &Preprocessing::TORCHVISION);
        assert!(weights.preprocessing_source().starts_with("assumed"), "{}", weights.preprocessing_source());
        weights.check(0).unwrap();
        assert_is_the_layer(&weights.convolution("conv1_1").unwrap(), &Preprocessing::TORCHVISION);
        // The other layers are not in it.
        let error = weights.check(1).unwrap_err().to_string();
        let wanted = if name == "named.pth" { "conv1_2.weight" } else { "features.2.weight" };
        assert!(error.contains(&format!("conv1_2: expected {wanted} of shape (64, 64, 3, 3)")), "{error}");
    }
}

/// The course's file and its kin: deflated with a mean picture, of newer releases with a mean colour, and of older ones
/// with `filters` of doubles and no mean.
#[test]
fn matconvnets_files_are_read() {
    let rgb = |mean| Preprocessing { mean, channel_order: ChannelOrder::Rgb, ..Preprocessing::CAFFE };
    let papers = rgb([123.68, 116.779, 103.939]);
    for (name, preprocessing, source) in [
        ("matlab-deflated.mat", papers, "as its averageImage says"),
        ("matlab.mat", rgb([129.0, 118.0, 105.0]), "as its averageImage says"),
        ("matlab-filters.mat", papers, "assumed, as the file has no averageImage"),
    ] {
        println!("{name}");
        let weights = weights(name);
        assert_eq!((weights.format(), weights.network().name()), (Format::Matlab, "VGG-19"));
        assert_eq!(weights.preprocessing_source(), source);
        assert_eq!(weights.mean(), preprocessing.mean.map(|mean| mean as f32));
        assert_is_the_layer(&weights.convolution("conv1_1").unwrap(), &preprocessing);
        let error = weights.check(1).unwrap_err().to_string();
        assert!(error.contains("expected conv1_2.weight of shape (64, 64, 3, 3)"), "{error}");
        assert!(error.contains("conv1_1.weight"), "{error}");
    }
    let error = refused("matlab-other.mat", fixture("matlab-other.mat"));
    assert!(error.contains("variables: expected layers") && error.contains("found a, b"), "{error}");
    // The other order of bytes.
    let mut turned = fixture("matlab.mat");
    turned[124..128].copy_from_slice(b"\x01\x00MI");
    assert!(refused("turned.mat", turned).contains("numbers: expected ones whose lowest byte comes first"));
}

/// Keras' own orders of axes and channels: (ky, kx, in, out), and BGR.
#[test]
fn keras_files_are_read() {
    for name in ["keras-1.h5", "keras-deflated.h5", "keras-model.h5", "keras-3.weights.h5"] {
        println!("{name}");
        let weights = weights(name);
        assert_eq!((weights.format(), weights.network().name()), (Format::Keras, "VGG-19"));
        assert_eq!(weights.preprocessing(), &Preprocessing::CAFFE);
        assert_eq!(weights.preprocessing_source(), "assumed, as Keras' networks are");
        let layer = weights.convolution("conv1_1").unwrap();
        let of_file = kernel();
        for (place, weight) in layer.kernel.iter().enumerate() {
            let turned = place / 27 * 27 + (2 - place % 27 / 9) * 9 + place % 9;
            assert_eq!(*weight, of_file[turned], "{place}");
        }
        assert_eq!(layer.bias, bias());
        assert!(weights.check(1).unwrap_err().to_string().contains("expected conv1_2.weight"));
    }
    let error = refused("hdf5-other.h5", fixture("hdf5-other.h5"));
    assert!(error.contains("layers: expected block1_conv1") && error.contains("the file holds a"), "{error}");
    let error = refused("keras-3.keras", fixture("keras-3.keras"));
    assert!(error.contains("a file of Keras 3 (.keras); unpack it"), "{error}");
}

#[test]
fn no_program_in_a_file_is_run() {
    for (name, called) in [
        ("program.pth", "posix.system"),
        ("program-legacy.pth", "posix.system"),
        ("model.pth", "torch.nn.modules.container.Sequential"),
    ] {
        let error = refused(name, fixture(name));
        assert!(error.contains(&format!("a call of {called}, which is not made")), "{error}");
        assert!(error.contains("torch.save(model.state_dict(), …)"), "{error}");
    }
    assert!(!std::path::Path::new("was-run").exists());
}

#[test]
fn other_networks_and_files_are_named() {
    let error = refused("normalised.pth", fixture("normalised.pth"));
    assert!(error.contains("without batch normalisation"), "{error}");
    let error = refused("numpy.npz", fixture("numpy.npz"));
    assert!(error.contains("a file of NumPy's") && !error.contains("PyTorch"), "{error}");
    for (start, said) in [
        (&b"<!DOCTYPE html><html>"[..], "a web page, remedy: the download went wrong"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"MATLAB 7.3 MAT-file, Platform: GLNXA64", "save it again with -v7"),
        (b"\x93NUMPY\x01\x00", "a NumPy array"),
        (b"\x1f\x8b\x08\x00", "unpack it first"),
        (b"\x0a\x14VGG_ILSVRC_19_layers", "a Caffe model"),
        (b"\x80\x02}q\x01U\x0cparam values", "a pickle of Python's that torch.save did not write"),
    ] {
        let error = refused("other", start.to_vec());
        let said = said.split(", remedy: ");
        assert!(said.into_iter().all(|part| error.contains(part)), "{error}");
    }
}

/// Headers whose length looks like the beginning of a ZIP, a pickle and a gzip file.
#[test]
fn safetensors_of_any_length_are_safetensors() {
    let file = fixture("torchvision-names-with-metadata.safetensors");
    let length = u64::from_le_bytes(*file.first_chunk().unwrap()) as usize;
    for start in [*b"PK", *b"\x80\x02", *b"\x1f\x8b"] {
        let wanted = usize::from(u16::from_le_bytes(start));
        let header = [&file[8..8 + length], &b" ".repeat(wanted - length)].concat();
        let file = [&(wanted as u64).to_le_bytes()[..], &header, &file[8 + length..]].concat();
        assert!(file.starts_with(&start));
        let weights = Weights::from_bytes(file, "padded").unwrap();
        assert_eq!(weights.format(), Format::Safetensors);
        weights.convolution("conv1_1").unwrap();
    }
}

/// torchvision's names in safetensors, with metadata or without.
#[test]
fn torchvisions_names_are_read() {
    let bare = weights("torchvision-names.safetensors");
    assert!(bare.preprocessing_source().starts_with("assumed"));
    let stated = weights("torchvision-names-with-metadata.safetensors");
    assert_eq!(stated.preprocessing_source(), "as the file says");
    for weights in [&bare, &stated] {
        assert_eq!(weights.preprocessing(), &Preprocessing::TORCHVISION);
        let mean = [0.485, 0.456, 0.406].map(|value: f64| (value * 255.0) as f32);
        assert_eq!(weights.mean(), mean);
    }
    assert_eq!(bare.convolution("conv1_1").unwrap(), stated.convolution("conv1_1").unwrap());
    // The first number of the file, by PyTorch's formula: 1/(255·0.229) of it.
    let first = stated.convolution("conv1_1").unwrap().kernel[0];
    assert!((first - 0.012_573_02 / (255.0 * 0.229)).abs() < 1e-8, "{first}");
}

/// A file of safetensors with these tensors of F32.
fn file(metadata: &[(&str, &str)], tensors: &[(&str, &[usize], &[f32])]) -> Vec<u8> {
    use safetensors::tensor::{Dtype, TensorView};
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(.., values)| values.iter().flat_map(|value| value.to_le_bytes()).collect())
        .collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
        (name.to_string(), TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap())
    });
    let metadata = metadata.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    safetensors::serialize(views, Some(metadata)).unwrap()
}

/// The paper's network as jcjohnson's pytorch-vgg has it, in BGR and for levels, and as torchvision would have it: both
/// are known without a word, and both are the same network.
#[cfg(feature = "embedded-weights")]
#[test]
fn caffes_networks_are_told_from_torchvisions() {
    let papers = Weights::embedded().unwrap().convolution("conv1_1").unwrap();
    let turned = |factors: [f32; 3], order: [usize; 3]| -> Vec<f32> {
        let at = |place: usize| place / 27 * 27 + order[place % 27 / 9] * 9 + place % 9;
        (0..64 * 27).map(|place| papers.kernel[at(place)] * factors[place % 27 / 9]).collect()
    };
    let (rgb, bgr) = ([0, 1, 2], [2, 1, 0]);
    let deviations = [0.229, 0.224, 0.225].map(|std: f32| 255.0 * std);
    for (kernel, expected, mean) in [
        (turned([1.0; 3], bgr), "caffe", [123.68, 116.779, 103.939]),
        (turned([1.0; 3], rgb), "RGB", [123.68, 116.779, 103.939]),
        (turned(deviations, rgb), "torchvision", [123.675, 116.28, 103.53]),
    ] {
        let shape = [64, 3, 3, 3];
        // What safetensors.torch.save_file writes into the metadata says nothing of pixels.
        let metadata = [("format", "pt")];
        let tensors: [(&str, &[usize], &[f32]); 2] =
            [("features.0.weight", &shape, &kernel), ("features.0.bias", &[64], &papers.bias)];
        let weights = Weights::from_bytes(file(&metadata, &tensors), "vgg").unwrap();
        let said = weights.preprocessing().to_string();
        assert!(said.contains(expected), "{said}");
        for (found, wanted) in weights.mean().into_iter().zip(mean) {
            assert!((found - wanted).abs() < 1e-3, "{found} {wanted}");
        }
        let layer = weights.convolution("conv1_1").unwrap();
        assert_eq!(layer.bias, papers.bias);
        for (found, wanted) in layer.kernel.iter().zip(&papers.kernel) {
            assert!((found - wanted).abs() <= 1e-6, "{found} {wanted}");
        }
    }
}

/// What the metadata or the caller says counts for more than what the numbers look like.
#[test]
fn metadata_and_callers_choose_the_preprocessing() {
    let tensors: [(&str, &[usize], &[f32]); 2] =
        [("features.0.weight", &[64, 3, 3, 3], &kernel()), ("features.0.bias", &[64], &bias())];
    let read = |metadata: &[(&str, &str)]| Weights::from_bytes(file(metadata, &tensors), "vgg");
    let caffe = read(&[("preprocessing", "Caffe")]).unwrap();
    assert_eq!(caffe.preprocessing(), &Preprocessing::CAFFE);
    let assumed = read(&[]).unwrap();
    assert_eq!(assumed.preprocessing(), &Preprocessing::TORCHVISION);
    let digest = assumed.digest().to_owned();
    let asked = assumed.with_preprocessing(Preprocessing::CAFFE);
    assert_eq!(asked.preprocessing_source(), "as asked for");
    assert_eq!((asked.mean(), asked.convolution("conv1_1").unwrap()), {
        (caffe.mean(), caffe.convolution("conv1_1").unwrap())
    });
    assert_ne!(asked.digest(), digest, "a checkpoint's weights are others then");
    // Half of it said is a mistake.
    for (metadata, key) in [
        (&[("scale", "0..1")][..], "metadata `channel_order`"),
        (&[("scale", "0..1"), ("channel_order", "RGB")], "metadata `mean`"),
        (&[("preprocessing", "keras")], "metadata `preprocessing`"),
        (&[("layout", "ky,kx,in,out")], "metadata `layout`"),
    ] {
        let error = read(metadata).map(drop).unwrap_err().to_string();
        assert!(error.contains(key), "{error}");
    }
}

#[test]
fn the_network_follows_from_the_places_of_the_layers() {
    let shape: &[usize] = &[0, 0, 0, 0];
    let named = |places: &[usize]| {
        let names: Vec<String> = places.iter().map(|place| format!("features.{place}.weight")).collect();
        let tensors: Vec<(&str, &[usize], &[f32])> =
            names.iter().map(|name| (&**name, shape, &[][..])).collect();
        Weights::from_bytes(file(&[], &tensors), "vgg").map(|weights| weights.network().name().to_owned())
    };
    let vgg19 = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34];
    let vgg16 = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28];
    assert_eq!(named(&vgg19).unwrap(), "VGG-19");
    assert_eq!(named(&vgg16).unwrap(), "VGG-16");
    // As far as both are the same.
    assert_eq!(named(&vgg16[..7]).unwrap(), "VGG-19");
    // vgg13 and vgg11.
    for other in [&[0, 2, 5, 7, 10, 12, 15, 17, 20, 22][..], &[0, 3, 6, 8, 11, 13, 16, 18]] {
        let error = named(other).unwrap_err().to_string();
        assert!(error.contains("layers: expected those of VGG-19 or VGG-16"), "{error}");
    }
}

/// A file of ours that is made of another is the same network.
#[test]
fn what_is_converted_is_the_same() {
    for name in ["zip.pth", "matlab-deflated.mat", "torchvision-names.safetensors"] {
        let weights = weights(name);
        for (precision, dtype) in [(Precision::F32, "F32"), (Precision::F16, "F16")] {
            let bytes = weights.to_safetensors(precision).unwrap();
            // Another time the same, as its digest is what a checkpoint knows it by; other programs read it, too.
            assert_eq!(weights.to_safetensors(precision).unwrap(), bytes);
            let crates = safetensors::SafeTensors::deserialize(&bytes).unwrap();
            assert_eq!(crates.names().len(), 2);
            assert!(bytes.len() < 8192 && (bytes.len() < 4500) == (precision == Precision::F16));
            let converted = Weights::from_bytes(bytes, "converted").unwrap();
            assert_eq!(converted.format(), Format::Safetensors);
            assert_eq!(converted.preprocessing(), weights.preprocessing());
            assert_eq!(converted.preprocessing_source(), "as the file says");
            assert_eq!(converted.network(), weights.network());
            let kernel = converted.stored("conv1_1").unwrap().unwrap();
            assert_eq!((&*kernel.name, &*kernel.dtype), ("conv1_1.weight", dtype));
            assert_eq!((kernel.shape, converted.stored("conv1_2").unwrap()), (vec![64, 3, 3, 3], None));
            let [found, wanted] =
                [&converted, &weights].map(|weights| weights.convolution("conv1_1").unwrap());
            // Those of the fixtures have few bits, and torchvision's names have random numbers.
            let allowed = if name == "torchvision-names.safetensors" { 1e-3 } else { 0.0 };
            for (found, wanted) in found.kernel.iter().zip(&wanted.kernel) {
                assert!((found - wanted).abs() <= allowed * wanted.abs() + 1e-9, "{found} {wanted}");
            }
            assert_eq!(found.bias, wanted.bias);
        }
    }
    // Of codes numbers are made; what the caller says of pools and pixels is in the file.
    #[cfg(feature = "embedded-weights")]
    {
        use impasto::nn::{PoolKind, vgg19};
        let weights = Weights::embedded().unwrap().with_pools(PoolKind::Max);
        let weights = weights.with_preprocessing(Preprocessing::CAFFE);
        let bytes = weights.to_safetensors(Precision::F16).unwrap();
        let converted = Weights::from_bytes(bytes, "converted").unwrap();
        assert_eq!(converted.network(), &vgg19(PoolKind::Max));
        assert_eq!(converted.preprocessing(), &Preprocessing::CAFFE);
        converted.check(usize::MAX).unwrap();
        let [found, wanted] = [&converted, &weights].map(|weights| weights.convolution("conv3_2").unwrap());
        for (found, wanted) in found.kernel.iter().zip(&wanted.kernel) {
            assert!((found - wanted).abs() <= 1e-3 * wanted.abs() + 1e-7, "{found} {wanted}");
        }
    }
    let none = Weights::from_bytes(file(&[("preprocessing", "caffe")], &[]), "none").unwrap();
    let error = none.to_safetensors(Precision::F32).unwrap_err().to_string();
    assert!(error.contains("the file holds no tensor"), "{error}");
}

/// The command paints with them.
#[cfg(all(feature = "cli", feature = "embedded-weights"))]
mod command {
    use super::common::test_folder::TestFolder;
    use super::*;
    use predicates::prelude::*;
    use predicates::str::{contains, is_empty};

    const FIRST: [&str; 6] = ["--steps", "0", "--content-layer", "conv1_1", "--style-layers", "conv1_1"];

    #[test]
    fn files_of_other_programs_are_painted_with() {
        let folder = TestFolder::new();
        for name in ["torchvision-names.safetensors", "zip.pth", "legacy.pth"] {
            fs::write(folder.path(name), fixture(name)).unwrap();
            let arguments = ["content.png", "style.jpg", "-o", "out.png", "--size", "16", "--weights", name];
            folder.command(&arguments).args(FIRST).args(["--preset", "course"]).assert().success();
            assert_eq!(folder.decoded("out.png").width(), 16);
            fs::remove_file(folder.path("out.png")).unwrap();
        }
        for (name, said) in [("numpy.npz", "a file of NumPy's"), ("program.pth", "posix.system")] {
            fs::write(folder.path(name), fixture(name)).unwrap();
            let arguments = ["content.png", "style.jpg", "-o", "out.png", "--weights", name];
            folder.run(&arguments).code(1).stderr(contains(said).and(contains(format!("error: {name}: "))));
        }
    }

    #[test]
    fn a_file_is_inspected() {
        let folder = TestFolder::new();
        for name in ["half.pth", "matlab.mat", "program.pth", "numpy.npz"] {
            fs::write(folder.path(name), fixture(name)).unwrap();
        }
        let said = |lines: &[&str]| {
            lines.iter().fold(contains("").boxed(), |all, line| all.and(contains(*line)).boxed())
        };
        folder.run(&["weights", "inspect", "half.pth"]).success().stderr(is_empty()).stdout(said(&[
            "half.pth\n",
            "   format         PyTorch (ZIP)\n",
            "   network        VGG-19\n",
            "   pools          mean\n",
            "   preprocessing  torchvision: pixels in 0..1, RGB, minus 0.485,0.456,0.406, divided by 0.229,0.224,0.225\n",
            "(assumed, as conv1_1 is not that of the paper's network)\n",
            "   layers         1 of 16\n",
            "   conv1_1        F16   (64, 3, 3, 3)     features.0.weight\n",
        ]));
        folder.run(&["weights", "inspect", "matlab.mat"]).success().stdout(said(&[
            "   format         MATLAB 5 (MatConvNet)\n",
            "   preprocessing  pixels in 0..255, RGB, minus 129,118,105\n",
            "(as its averageImage says)\n",
        ]));
        for (name, message) in [
            ("program.pth", "a call of posix.system, which is not made; save it again"),
            ("numpy.npz", "found a file of NumPy's (.npz)"),
            ("content.png", "found a picture"),
            ("none.pth", "there is no such file or folder; check the path given as FILE"),
        ] {
            let assert = folder.run(&["weights", "inspect", name]).code(1).stdout(is_empty());
            assert.stderr(contains(format!("error: {name}: ")).and(contains(message)));
        }
        folder.run(&["weights"]).code(2);
        folder.run(&["weights", "inspect"]).code(2);
    }

    #[test]
    fn a_file_is_converted() {
        let folder = TestFolder::new();
        fs::write(folder.path("in.pth"), fixture("legacy.pth")).unwrap();
        let convert = |more: &[&str]| {
            folder.run(&[&["weights", "convert", "in.pth", "out.safetensors"], more].concat())
        };
        let read = || Weights::from_bytes(folder.read("out.safetensors"), "out").unwrap();
        convert(&[]).success().stdout(contains("out.safetensors: 1 layers of VGG-19 as f32\ntorchvision: "));
        assert_is_the_layer(&read().convolution("conv1_1").unwrap(), &Preprocessing::TORCHVISION);
        let single = folder.read("out.safetensors").len();
        convert(&["--precision", "f16", "--preprocessing", "caffe"])
            .success()
            .stdout(contains("(as asked for)"));
        assert_eq!(read().preprocessing(), &Preprocessing::CAFFE);
        assert!(folder.read("out.safetensors").len() < single * 3 / 5);
        let arguments =
            ["content.png", "style.jpg", "-o", "out.png", "--size", "16", "--weights", "out.safetensors"];
        folder.command(&arguments).args(FIRST).args(["--preset", "course"]).assert().success();
        let before = folder.read("in.pth");
        let same = ["weights", "convert", "in.pth", "./in.pth"];
        folder.run(&same).code(1).stderr(contains("OUT names the same file as FILE, which would be lost"));
        assert_eq!(folder.read("in.pth"), before);
        convert(&["--precision", "f8"]).code(2);
        convert(&["--preprocessing", "keras"]).code(2);
        folder
            .run(&["weights", "convert", "in.pth", "none/out.safetensors"])
            .code(1)
            .stderr(contains("none"));
    }
}

#[cfg(all(feature = "cli", feature = "embedded-weights"))]
mod common;
