//! The account of memory is what is really allocated, and it is known before anything is.
#![cfg(feature = "embedded-weights")]
#![allow(clippy::unwrap_used)]

use impasto::gpu::Gpu;
use impasto::ops::{Algorithm, MethodRequest, Precision};
use impasto::picture::Picture;
use impasto::transfer::{Engine, EngineOptions, Options, Preset, Sources, Transfer};

fn picture(width: u32, height: u32) -> Picture {
    let rgb = (0..width * height * 3).map(|value| (value % 256) as u8).collect();
    Picture::from_rgb(width, height, rgb).unwrap()
}

#[test]
fn what_is_allocated_is_what_was_planned() {
    let (content, style) = (picture(37, 23), picture(18, 41));
    let mut weights = Vec::new();
    for (kernels, precision) in [
        (MethodRequest::Auto, Precision::F32),
        (MethodRequest::Algorithm(Algorithm::Winograd), Precision::F32),
        (MethodRequest::Algorithm(Algorithm::Winograd), Precision::F16),
        (MethodRequest::Algorithm(Algorithm::Naive), Precision::F32),
    ] {
        pollster::block_on(async {
            let gpu = Gpu::open(None).await.unwrap();
            let engine = Engine::builder(gpu)
                .options(EngineOptions::default().with(|options| {
                    options.methods = kernels;
                    options.precision = precision;
                }))
                .build()
                .unwrap();
            // Two sizes take long by plain loops, and by whichever methods they are planned alike.
            let presets = if kernels == MethodRequest::Auto { 2 } else { 1 };
            for (preset, coarsest) in
                [(Preset::Course, None), (Preset::Fine, Some(20))].into_iter().take(presets)
            {
                let options = Options::preset(preset).with(|options| {
                    options.coarsest = coarsest;
                    options.steps = 1;
                    // Maps of distances between many channels take long.
                    options.style_layers.truncate(if preset == Preset::Fine { 3 } else { 5 });
                });
                let planned = Transfer::plan(&engine, ((37, 23), (18, 41)), &options).unwrap();
                let mut transfer = Transfer::prepare(&engine, (&content, &style), &options).await.unwrap();
                let bytes = transfer.bytes();
                assert_eq!(planned.bytes, bytes);
                assert_eq!(transfer.allocated_bytes(), bytes.total);
                let parts =
                    [bytes.activations, bytes.gradients, bytes.optimiser, bytes.workspace, bytes.weights];
                assert_eq!(parts.iter().sum::<u64>(), bytes.total);
                // Steps, sizes and pictures allocate nothing.
                while transfer.remaining_steps() > 0 {
                    transfer.step().await.unwrap();
                }
                transfer.picture().await.unwrap();
                assert_eq!(transfer.allocated_bytes(), bytes.total);
                // A second transfer shares the weights, and says so of each.
                let second = Transfer::prepare(&engine, (&style, &content), &options).await.unwrap();
                assert_eq!(second.bytes().weights, bytes.weights);
                if preset == Preset::Course {
                    weights.push(bytes.weights);
                }
                // Masks of two styles, and smaller arenas.
                let small = engine.reconfigured(|options| options.low_memory = true);
                let masked = Sources::new(&content, &style).with_style_mask(&style);
                let masked = masked.with_style(&content, 0.5).with_style_mask(&content);
                for engine in [&engine, &small] {
                    let planned = Transfer::plan(engine, masked.layouts().unwrap(), &options).unwrap().bytes;
                    let mut transfer = Transfer::prepare(engine, masked.clone(), &options).await.unwrap();
                    assert_eq!(transfer.bytes(), planned);
                    assert!(planned.workspace > bytes.workspace);
                    transfer.step().await.unwrap();
                    assert_eq!(transfer.allocated_bytes(), planned.total);
                }
            }
        });
    }
    // Biases and the first layer's weights stay in single precision.
    let halves = 2.0 * weights[2] as f64 / weights[1] as f64;
    assert!((1.0..1.001).contains(&halves), "{weights:?}: f16 halves the weights");
}
