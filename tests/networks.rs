//! Networks other than the usual one, on whatever adapter there is: max pools, VGG-16, sums of live tensors.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::{BTreeSet, HashMap};

use common::interpret::{Values, interpret};
use common::random::Random;
use impasto::cases::golden::{kept, relative_in_norm};
use impasto::gpu::Gpu;
use impasto::graph::{Role, Tape, TensorId, differentiate, fuse};
use impasto::nn::{Network, PoolKind, Weights, vgg16};
use impasto::ops::add::Add;
use impasto::ops::conv::{Conv, ConvGeometry};
use impasto::ops::pool::Pool;
use impasto::ops::relu::Relu;
use impasto::ops::squared_error::SquaredError;
use impasto::ops::{Algorithm, MethodRequest, Shape};
use impasto::picture::{Picture, Size};
use impasto::transfer::{Engine, EngineOptions, Options, Preset, Transfer};
#[cfg(feature = "embedded-weights")]
use impasto::transfer::{Init, WeightedLayer};
use pollster::block_on;
use safetensors::tensor::{Dtype, TensorView};

fn engine(weights: Weights, kernels: MethodRequest) -> Engine {
    let options = EngineOptions::default().with(|options| options.methods = kernels);
    Engine::builder(block_on(Gpu::open(None)).unwrap()).weights(weights).options(options).build().unwrap()
}

/// A whole file of `network` with random weights that neither raise nor lower the size of activations.
fn made(network: &Network, pooling: &str) -> Weights {
    let mut random = Random::new(16);
    let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
    for layer in network.convolutions() {
        let (inputs, outputs) = (layer.input_channels as usize, layer.output_channels as usize);
        let range = (6.0 / (9 * inputs) as f32).sqrt();
        let codebook =
            (0..256).flat_map(|code| (range * (code as f32 / 127.5 - 1.0)).to_le_bytes()).collect();
        let codes = random.bytes(outputs * inputs * 9);
        tensors.push((format!("{}.codes", layer.name), Dtype::U8, vec![outputs, inputs, 3, 3], codes));
        tensors.push((format!("{}.codebook", layer.name), Dtype::F32, vec![256], codebook));
        tensors.push((format!("{}.bias", layer.name), Dtype::F16, vec![outputs], vec![0; 2 * outputs]));
    }
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, data)| (name, TensorView::new(*dtype, shape.clone(), data).unwrap()));
    let keys = [
        ("layout", "out,in,ky,kx"),
        ("scale", "0..255"),
        ("channel_order", "RGB"),
        ("mean", "123,116,103"),
        ("pooling", pooling),
    ];
    let metadata = keys.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let bytes = safetensors::serialize(views, Some(HashMap::from(metadata))).unwrap();
    Weights::from_bytes(bytes, "made.safetensors").unwrap()
}

fn picture(width: u32, height: u32, seed: u64) -> Picture {
    Picture::from_rgb(width, height, Random::new(seed).bytes((width * height * 3) as usize)).unwrap()
}

#[test]
fn a_transfer_by_vgg16_runs() {
    let (content, style) = (picture(32, 32, 1), picture(32, 28, 2));
    let options = Options::preset(Preset::Course).with(|options| options.size = Size::LongerSide(32));
    let mut totals = Vec::new();
    for (kind, pooling) in [(PoolKind::Mean, "mean"), (PoolKind::Max, "max")] {
        let engine = engine(made(&vgg16(PoolKind::Mean), pooling), MethodRequest::Auto);
        assert_eq!(engine.weights().network(), &vgg16(kind));
        let mut transfer = block_on(Transfer::prepare(&engine, (&content, &style), &options)).unwrap();
        let dispatches = &transfer.program().dispatches;
        let layers: BTreeSet<&str> = dispatches.iter().map(|dispatch| &dispatch.layer[..]).collect();
        assert!(layers.contains("conv3_3") && layers.contains("conv5_1") && !layers.contains("conv3_4"));
        let ops: BTreeSet<&str> = dispatches.iter().map(|dispatch| dispatch.op).collect();
        for op in ["conv_relu_max_pool", "conv_max_pool_backward"] {
            assert_eq!(ops.contains(op), kind == PoolKind::Max, "{ops:?}");
        }
        assert_eq!(ops.contains("conv_relu_pool"), kind == PoolKind::Mean, "{ops:?}");
        let costs: Vec<f32> = (0..6).map(|_| block_on(transfer.step()).unwrap().total).collect();
        assert!(costs.iter().all(|cost| cost.is_finite() && *cost > 0.0), "{costs:?}");
        assert!(costs[5] < costs[0], "{costs:?}");
        totals.push(costs[0]);
        // What VGG-19 has is not offered.
        let options = options.clone().with(|options| options.content_layers[0].name = "conv3_4".into());
        let refused =
            block_on(Transfer::prepare(&engine, (&content, &style), &options)).unwrap_err().to_string();
        assert!(refused.contains("VGG-16 has no layer \"conv3_4\""), "{refused}");
        assert!(refused.contains("did you mean one of conv3_"), "{refused}");
    }
    assert_ne!(totals[0], totals[1]);
}

/// VGG-16 with the numbers of VGG-19's layers of the same names.
#[cfg(feature = "embedded-weights")]
fn cut_to_vgg16(pooling: &str) -> Weights {
    let whole = Weights::embedded().unwrap().to_safetensors(impasto::ops::Precision::F32).unwrap();
    let whole = safetensors::SafeTensors::deserialize(&whole).unwrap();
    let lacking = ["conv3_4", "conv4_4", "conv5_4"];
    let views = whole.iter().filter(|(name, _)| !lacking.iter().any(|layer| name.starts_with(layer)));
    let keys = [
        ("layout", "out,in,ky,kx"),
        ("scale", "0..255"),
        ("channel_order", "RGB"),
        ("mean", "123.68,116.779,103.939"),
        ("pooling", pooling),
    ];
    let metadata = keys.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let bytes = safetensors::serialize(views, Some(HashMap::from(metadata))).unwrap();
    Weights::from_bytes(bytes, "vgg16.safetensors").unwrap()
}

/// The left upper part of a picture, with sides that are multiples of 16.
#[cfg(feature = "embedded-weights")]
fn cut(bytes: &[u8]) -> Picture {
    let picture = Picture::decode(bytes, "golden").unwrap();
    let (width, height) = (picture.width() / 16 * 16, picture.height() / 16 * 16);
    let rows = picture.rgb().chunks(3 * picture.width() as usize).take(height as usize);
    let rgb = rows.flat_map(|row| &row[..3 * width as usize]).copied().collect();
    Picture::from_rgb(width, height, rgb).unwrap()
}

/// Costs of every block's last layer and of the content, before each of six steps, as PyTorch has them in f64. Where a value
/// is nearly that of another place, rounding may pool or cut it the other way.
#[cfg(feature = "embedded-weights")]
#[test]
fn vgg16_is_pytorchs() {
    let golden: serde_json::Value =
        serde_json::from_str(include_str!("fixtures/golden-vgg16-96x64.json")).unwrap();
    let content = cut(include_bytes!("fixtures/content-97x75.png"));
    let style = cut(include_bytes!("fixtures/style-90x64.png"));
    let layers = ["conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3"];
    let options = Options::preset(Preset::Course).with(|options| {
        options.size = Size::LongerSide(96);
        (options.init, options.noise_ratio) = (Init::Content, Some(0.0));
        options.style_layers = layers.map(|name| WeightedLayer { name: name.into(), weight: 0.2 }).to_vec();
    });
    for pooling in ["mean", "max"] {
        let engine = engine(cut_to_vgg16(pooling), MethodRequest::Auto);
        assert_eq!(engine.weights().network().name(), "VGG-16");
        let mut transfer = block_on(Transfer::prepare(&engine, (&content, &style), &options)).unwrap();
        let series = golden["runs"][pooling].as_array().unwrap();
        assert_eq!(series.len(), 6);
        for (step, golden) in series.iter().enumerate() {
            let costs = block_on(transfer.step()).unwrap();
            let term = |name: &str| costs.terms.iter().find(|term| *term.name == *name).unwrap().cost;
            let styles = layers.map(|layer| (layer, term(&format!("style.{layer}"))));
            for (name, cost) in styles.into_iter().chain([("content", costs.content), ("style", costs.style)])
            {
                let (cost, wanted) = (f64::from(cost), golden[name].as_f64().unwrap());
                let error = (cost - wanted).abs() / wanted.max(1e-3);
                println!(
                    "{pooling}, step {step}: {name} is {cost:.6e}, and {wanted:.6e} in PyTorch: {error:.1e}"
                );
                let allowed = if step == 0 { 1e-4 } else { 2e-3 };
                assert!(error <= allowed, "{pooling}, step {step}: {name} {cost} {wanted}");
            }
        }
    }
}

/// The gradient through max pools by every algorithm, merged as a transfer's is, against the twins of the ops as they
/// were recorded; that through means is another.
#[test]
fn the_gradient_through_max_pools_is_the_twins() {
    let network = vgg16(PoolKind::Max);
    // An odd size after each pool.
    let shape = Shape::new(3, 22, 27);
    let gradient = |network: &Network, weights: &Weights| {
        let mut tape = Tape::new();
        let x = tape.external("x", shape, Role::Optimiser);
        let mut deepest = x;
        let index = network.index_of("conv3_1").unwrap();
        network
            .record(&mut tape, x, index, true, |_, _, activations| {
                deepest = activations;
                Ok(())
            })
            .unwrap();
        let target = tape.external("target", tape.shape(deepest), Role::Workspace);
        let seed = tape.external("seed", Shape::SCALAR, Role::Workspace);
        let cost = tape.record(SquaredError::content_cost(), &[deepest, target], "cost").unwrap();
        let gradient = differentiate(&mut tape, cost, &[x], seed).unwrap()[0];
        tape.keep(gradient);
        let mut random = Random::new(3);
        let pixels: Vec<f32> = random.vec_f32(shape.elements() as usize).iter().map(|x| 100.0 * x).collect();
        let wanted = random.vec_f32(tape.shape(deepest).elements() as usize);
        let wide = |values: &[f32]| values.iter().map(|value| f64::from(*value)).collect::<Vec<f64>>();
        let mut values: Values =
            HashMap::from([(x, wide(&pixels)), (target, wide(&wanted)), (seed, vec![1.0])]);
        for node in tape.nodes().iter().filter(|node| node.op.name() == "conv") {
            let layer = weights.convolution(&node.layer).unwrap();
            values.extend([(node.inputs[1], wide(&layer.kernel)), (node.inputs[2], wide(&layer.bias))]);
        }
        let want = interpret(&tape, &values)[&gradient].clone();
        (tape, pixels, wanted, want)
    };
    let weights = || made(&network, "max");
    let (tape, pixels, target, want) = gradient(&network, &weights());
    let names: Vec<&str> = tape.nodes().iter().map(|node| node.op.name()).collect();
    assert_eq!(names.iter().filter(|name| **name == "max_pool_backward").count(), 2);
    assert!(fuse(&tape).nodes().len() < names.len());
    let algorithms = Algorithm::ALL.map(|(_, algorithm)| MethodRequest::Algorithm(algorithm));
    for kernels in [MethodRequest::Auto].into_iter().chain(algorithms) {
        let engine = engine(weights(), kernels);
        let inputs: [(&str, &[f32]); 3] = [("x", &pixels), ("target", &target), ("seed", &[1.0])];
        let got = block_on(kept(&engine, &tape, &inputs)).unwrap();
        let error = relative_in_norm(&got[0], &want);
        println!("{kernels:?}: {error:.1e}");
        // Where two cells are nearly alike, rounding may choose the other one: a few elements of the gradient move.
        assert!(error < 1e-3, "{kernels:?}: {error}");
    }
    let (.., mean) = gradient(&network.clone().with_pools(PoolKind::Mean), &weights());
    let narrow: Vec<f32> = mean.iter().map(|value| *value as f32).collect();
    assert!(relative_in_norm(&narrow, &want) > 0.1);
}

/// Residual blocks as they are planned and merged, and gradients to several tensors, against the twins of the ops as
/// they were recorded.
#[test]
fn residual_blocks_are_the_twins() {
    let mut tape = Tape::new();
    let mut random = Random::new(5);
    let mut given: Vec<(String, TensorId, Vec<f32>)> = Vec::new();
    let mut external = |tape: &mut Tape, name: &str, shape: Shape| {
        let tensor = tape.external(name, shape, Role::Workspace);
        given.push((name.to_owned(), tensor, random.vec_f32(shape.elements() as usize)));
        tensor
    };
    let x = external(&mut tape, "x", Shape::new(5, 13, 19));
    let start = external(&mut tape, "start", Shape::new(5, 13, 19));
    // Of a sum that is read thrice: by two branches and by the sum behind them.
    let mut y = tape.record(Add, &[x, start], "start").unwrap();
    for block in 0..3 {
        let before = y;
        let mut branch = y;
        for (index, outputs) in [7, 5].into_iter().enumerate() {
            let layer = format!("block{block}.{index}");
            let inputs = tape.shape(branch).c;
            let shape = ConvGeometry::SAME_3X3.weights_shape(inputs, outputs);
            let weights = external(&mut tape, &format!("{layer}.w"), shape);
            let bias = external(&mut tape, &format!("{layer}.b"), Shape::row(outputs));
            let sums = tape.record(Conv::default(), &[branch, weights, bias], &layer).unwrap();
            branch = tape.record(Relu { mask: true }, &[sums], &layer).unwrap();
        }
        let layer = format!("block{block}");
        y = tape.record(Add, &[before, branch], &layer).unwrap();
        // With itself, in the last block.
        if block == 2 {
            y = tape.record(Add, &[y, y], &layer).unwrap();
        }
    }
    let pooled = tape.record(Pool::recorded(PoolKind::Max, true), &[y], "pool").unwrap();
    let shape = tape.shape(pooled);
    let target = external(&mut tape, "target", shape);
    let seed = external(&mut tape, "seed", Shape::SCALAR);
    let cost = tape.record(SquaredError::content_cost(), &[pooled, target], "cost").unwrap();
    let gradients = differentiate(&mut tape, cost, &[x, start, target, y], seed).unwrap();
    assert_eq!(gradients[0], gradients[1], "what a sum passes on");
    let wanted = [cost, y, gradients[0], gradients[2], gradients[3]];
    wanted.iter().for_each(|tensor| tape.keep(*tensor));
    let inputs: Vec<(&str, &[f32])> =
        given.iter().map(|(name, _, values)| (&name[..], &values[..])).collect();
    let values: Values =
        given.iter().map(|(_, id, values)| (*id, values.iter().map(|v| f64::from(*v)).collect())).collect();
    let want = interpret(&tape, &values);
    // Plain loops read weights as they are, which are no engine's here.
    let engine =
        engine(made(&Network::new("none", Vec::new()), "max"), MethodRequest::Algorithm(Algorithm::Naive));
    let got = block_on(kept(&engine, &tape, &inputs)).unwrap();
    for (tensor, got) in wanted.iter().zip(&got) {
        let error = relative_in_norm(got, &want[tensor]);
        assert!(error < 1e-5, "{tensor:?}: {error}");
    }
}
