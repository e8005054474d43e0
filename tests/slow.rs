//! `scripts/test.sh --slow`: the whole run of the course at 400x300, by the command itself, against the golden
//! series of an independent PyTorch program, the whole of `impasto doctor`, the rounding errors of each layer, and whole-size
//! files of weights. It takes twenty minutes on a software adapter with two cores.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use assert_cmd::Command;
use impasto::cases::golden::{self, Numbers, largest};
use impasto::gpu::Gpu;
use impasto::graph::{Role, Tape};
use impasto::nn::weights::ConvolutionWeights;
use impasto::nn::{LayerSpec, Weights, bias_name, weight_name};
use impasto::ops::conv::{Conv, ConvGeometry};
use impasto::ops::relu::Relu;
use impasto::ops::{Algorithm, MethodRequest, Shape};
use impasto::reference;
use impasto::transfer::{Engine, EngineOptions};
use pollster::block_on;
use serde_json::Value;

#[test]
fn the_command_meets_the_golden_run_at_400x300() {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace.jsonl");
    Command::cargo_bin("impasto")
        .unwrap()
        .env("IMPASTO_CACHE", folder.path().join("cache"))
        .arg(format!("{fixtures}/content-400x300.png"))
        .arg(format!("{fixtures}/style-400x300.png"))
        .arg("-o")
        .arg(folder.path().join("out.png"))
        .args(["--preset", "course"])
        .arg("--trace")
        .arg(&trace)
        .assert()
        .success();
    let golden: Value =
        serde_json::from_str(&std::fs::read_to_string(format!("{fixtures}/golden-400x300.json")).unwrap())
            .unwrap();
    let golden = golden["series"].as_array().unwrap();
    let trace: Vec<Value> = std::fs::read_to_string(&trace)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!((trace.len(), golden.len()), (201, 201));
    let mut worst = [0.0_f64; 3];
    for (got, want) in trace.iter().zip(golden) {
        let step = want["step"].as_u64().unwrap();
        assert_eq!(got["step"].as_u64(), Some(step));
        // Rounding errors grow from step to step, in the content cost three times as fast.
        let allowed = match step {
            0 => 2e-4,
            1..=20 => 1e-3,
            _ => 1e-2,
        };
        for (index, (name, factor)) in
            [("total", 1.0), ("style", 1.0), ("content", 3.0)].into_iter().enumerate()
        {
            let relative = (got[name].as_f64().unwrap() / want[name].as_f64().unwrap() - 1.0).abs();
            worst[index] = worst[index].max(relative / (factor * allowed));
            assert!(relative <= factor * allowed, "{name} cost at step {step} is {relative:.1e} off");
        }
    }
    println!(
        "share of the allowed error: total {:.3}, style {:.3}, content {:.3}",
        worst[0], worst[1], worst[2]
    );
}

#[test]
fn the_doctor_finds_nothing_wrong() {
    for arguments in [&[][..], &["--portable"]] {
        Command::cargo_bin("impasto").unwrap().arg("doctor").args(arguments).assert().success();
    }
}

/// What rounding does to each layer, as `docs/kernels.md` tells it: `cargo test --test slow --features slow-tests --
/// --nocapture winograd_error`. "alone" starts each layer from the right activations, rounded to f32; "so far" runs the network
/// from the pixels. Both are largest errors, as a share of the layer's largest value.
#[test]
fn winograd_error_of_each_layer() {
    let engines = [Algorithm::Winograd, Algorithm::Direct].map(|algorithm| {
        let options =
            EngineOptions::default().with(|options| options.methods = MethodRequest::Algorithm(algorithm));
        Engine::builder(block_on(Gpu::open(None)).unwrap()).options(options).build().unwrap()
    });
    let pixels = Numbers::golden().f32("init");
    let so_far = engines.each_ref().map(|engine| block_on(golden::layers(engine, &pixels)).unwrap());
    let weights = Weights::embedded().unwrap();
    let mut exact: Vec<f64> = pixels.iter().map(|value| f64::from(*value)).collect();
    let (mut h, mut w) = (75_usize, 97_usize);
    println!("| layer | Winograd alone | direct alone | Winograd so far | direct so far |");
    println!("|---|---|---|---|---|");
    let mut index = 0;
    for layer in weights.network().layers() {
        let LayerSpec::Convolution(layer) = layer else {
            let channels = exact.len() / (h * w);
            exact = reference::pool_forward(&exact, (channels, h, w));
            (h, w) = (h.div_ceil(2), w.div_ceil(2));
            continue;
        };
        if index == so_far[0].len() {
            break;
        }
        let (inputs, outputs) = (layer.input_channels as usize, layer.output_channels as usize);
        let start: Vec<f32> = exact.iter().map(|value| *value as f32).collect();
        let ConvolutionWeights { kernel, bias, .. } = weights.convolution(&layer.name).unwrap();
        let [kernel, bias] =
            [kernel, bias].map(|values| -> Vec<f64> { values.into_iter().map(f64::from).collect() });
        let convolved = |x: &[f64]| {
            reference::relu_forward(&reference::conv_forward(
                x,
                &kernel,
                &bias,
                &ConvGeometry::SAME_3X3,
                (inputs, 1, h, w),
                outputs,
            ))
        };
        // The rounding of what a layer starts from is not its own error.
        let want = convolved(&start.iter().map(|value| f64::from(*value)).collect::<Vec<_>>());
        exact = convolved(&exact);
        let error = |got: &[f32], want: &[f64]| {
            let errors = got.iter().zip(want).map(|(got, want)| (f64::from(*got) - want).abs());
            errors.fold(0.0, f64::max) / largest(want)
        };
        let mut alone = Tape::new();
        let x = alone.external("x", Shape::new(layer.input_channels, h as u32, w as u32), Role::Workspace);
        let shape = ConvGeometry::SAME_3X3.weights_shape(layer.input_channels, layer.output_channels);
        let kernel = alone.external(weight_name(&layer.name), shape, Role::Weights);
        let bias = alone.external(bias_name(&layer.name), Shape::row(layer.output_channels), Role::Weights);
        let sums = alone.record(Conv::default(), &[x, kernel, bias], &layer.name).unwrap();
        let activations = alone.record(Relu { mask: false }, &[sums], &layer.name).unwrap();
        alone.keep(activations);
        let alone = engines.each_ref().map(|engine| {
            error(&block_on(golden::kept(engine, &alone, &[("x", &start)])).unwrap()[0], &want)
        });
        let so_far = so_far.each_ref().map(|layers| error(&layers[index].2, &exact));
        let [columns, more] =
            [alone, so_far].map(|[winograd, direct]| format!("{winograd:.1e} | {direct:.1e}"));
        println!("| {} | {columns} | {more} |", layer.name);
        // A hundred times what one rounding of the largest value costs.
        assert!(alone.iter().chain(&so_far).all(|error| *error <= 100.0 * f64::from(f32::EPSILON)));
        index += 1;
    }
}

/// The first line of the trace of a picture that is not painted: its costs, by the weights in this file or in the program.
fn costs(weights: Option<&Path>) -> Value {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace.jsonl");
    let mut command = Command::cargo_bin("impasto").unwrap();
    command.env("IMPASTO_CACHE", "").arg(format!("{fixtures}/content-97x75.png"));
    command.arg(format!("{fixtures}/style-90x64.png")).arg("-o").arg(folder.path().join("out.png"));
    command.args(["--preset", "course", "--steps", "0", "--algorithm", "direct", "--trace"]).arg(&trace);
    if let Some(weights) = weights {
        command.arg("--weights").arg(weights);
    }
    command.assert().success();
    serde_json::from_str(std::fs::read_to_string(trace).unwrap().lines().next().unwrap()).unwrap()
}

/// Files of 80 to 575 MB in every format that is read, made by the programs that they come from: all are the network in the
/// program, and so is what is converted from them. `IMPASTO_PYTHON` names a Python with these programs; the files of those
/// that it does not have are not checked, which is said.
#[test]
fn whole_size_weights_of_other_programs_are_the_same_network() {
    let folder = tempfile::tempdir().unwrap();
    let python = std::env::var("IMPASTO_PYTHON").unwrap_or("python3".to_owned());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/make_weights.py");
    let made = std::process::Command::new(&python).arg(script).arg(folder.path()).output();
    let Ok(made) = made else {
        return println!("{python} cannot be run: whole-size weights are NOT checked");
    };
    let said = String::from_utf8(made.stderr).unwrap();
    println!("{said}");
    assert!(made.status.success());
    let names = String::from_utf8(made.stdout).unwrap();
    assert!(!names.is_empty() || said.contains("NOT checked"));
    let wanted = costs(None);
    for name in names.lines() {
        let file = folder.path().join(name);
        let converted = folder.path().join("converted.safetensors");
        let mut convert = Command::cargo_bin("impasto").unwrap();
        convert.args(["weights", "convert"]).args([&file, &converted]).assert().success();
        for weights in [&file, &converted] {
            let found = costs(Some(weights));
            for key in ["total", "content", "style"] {
                let relative = (found[key].as_f64().unwrap() / wanted[key].as_f64().unwrap() - 1.0).abs();
                println!("{name}: {key} is {relative:.1e} off");
                // torchvision's mean is another one: 123.675, 116.28, 103.53.
                let allowed = if name.starts_with("torchvision") { 2e-2 } else { 1e-6 };
                assert!(relative <= allowed, "{name}: {key} is {relative:.1e} off");
            }
        }
        std::fs::remove_file(file).unwrap();
    }
}
