//! What a host relies on: transfers can move between threads, and a step can be dropped.
#![cfg(feature = "embedded-weights")]
#![allow(clippy::unwrap_used)]

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use impasto::Error;
use impasto::gpu::Gpu;
use impasto::nn::Weights;
use impasto::picture::Picture;
use impasto::transfer::{Engine, EngineOptions, Init, Options, Preset, StyleLayer, Transfer};
use pollster::block_on;

fn picture(width: u32, height: u32) -> Picture {
    let rgb = (0..width * height * 3).map(|i| ((i * 37 + i / 7 * 11) % 256) as u8).collect();
    Picture::from_rgb(width, height, rgb).unwrap()
}

fn small() -> Options {
    Options {
        content_layer: "conv1_2".into(),
        style_layers: vec![StyleLayer { name: "conv1_1".into(), weight: 1.0 }],
        init: Init::Content,
        ..Options::preset(Preset::Course)
    }
}

fn engine(options: EngineOptions) -> Engine {
    Engine::with_options(block_on(Gpu::open(None)).unwrap(), Weights::embedded().unwrap(), options)
}

#[test]
fn engines_transfers_and_steps_can_be_sent() {
    fn sent<T: Send>(_: &T) {}
    let engine = engine(EngineOptions::default());
    sent(&engine);
    let mut transfer =
        block_on(Transfer::prepare(&engine, &picture(20, 15), &picture(16, 16), &small())).unwrap();
    sent(&transfer);
    sent(&transfer.step());
}

/// Dropped wherever it may be, a step leaves whole pixels, and the transfer goes on as if nothing had been.
#[test]
fn a_dropped_step_does_no_harm() {
    // Many small submissions, so that there are many places to drop at.
    let engine = engine(EngineOptions { slice_work: Some(200_000), ..EngineOptions::default() });
    let prepare =
        || block_on(Transfer::prepare(&engine, &picture(40, 30), &picture(16, 16), &small())).unwrap();
    let mut whole = prepare();
    let mut after: Vec<Vec<f32>> = vec![block_on(whole.pixels()).unwrap()];
    // One more than the dropped steps that may have come to their end.
    const POLLS: [u32; 8] = [0, 1, 2, 5, 20, 60, 150, 400];
    for _ in 0..=POLLS.len() {
        block_on(whole.step()).unwrap();
        after.push(block_on(whole.pixels()).unwrap());
    }
    let mut dropped = prepare();
    let mut steps = 0;
    for polls in POLLS {
        {
            let mut step = pin!(dropped.step());
            let mut context = Context::from_waker(Waker::noop());
            for _ in 0..polls {
                if let Poll::Ready(result) = step.as_mut().poll(&mut context) {
                    result.unwrap();
                    break;
                }
            }
        }
        let pixels = block_on(dropped.pixels()).unwrap();
        if steps + 1 < after.len() && pixels == after[steps + 1] {
            steps += 1;
        }
        assert!(pixels == after[steps], "the pixels after {polls} polls are those of no step");
    }
    while steps + 1 < after.len() {
        block_on(dropped.step()).unwrap();
        steps += 1;
        assert!(block_on(dropped.pixels()).unwrap() == after[steps], "step {steps} after drops differs");
    }
}

#[test]
fn slices_do_not_change_a_bit() {
    let run = |slice_work| {
        let engine = engine(EngineOptions { slice_work, ..EngineOptions::default() });
        let mut transfer =
            block_on(Transfer::prepare(&engine, &picture(33, 21), &picture(16, 16), &small())).unwrap();
        let costs = block_on(transfer.step()).unwrap();
        (costs, block_on(transfer.pixels()).unwrap(), transfer.program().slices.len())
    };
    let (whole, sliced) = (run(None), run(Some(50_000)));
    assert!(sliced.2 > 2 * whole.2, "{} slices against {}", sliced.2, whole.2);
    assert_eq!(whole.0, sliced.0);
    assert_eq!(whole.1, sliced.1);
}

#[test]
fn too_little_memory_is_told_with_the_largest_size() {
    let engine = engine(EngineOptions { memory_bytes: Some(150 << 20), ..EngineOptions::default() });
    let options = Options::preset(Preset::Course);
    let Err(Error::Memory { needed, available, remedy, .. }) =
        Transfer::plan(&engine, (2000, 1500), (400, 300), &options)
    else {
        panic!("400x300 takes more than 150 MiB")
    };
    assert!(needed > available && available == 150 << 20);
    let size: u32 = remedy.rsplit(' ').next().unwrap().parse().unwrap();
    let at = |size| Options { size: impasto::picture::Size::LongerSide(size), ..options.clone() };
    Transfer::plan(&engine, (2000, 1500), (400, 300), &at(size)).unwrap();
    Transfer::plan(&engine, (2000, 1500), (400, 300), &at(size + 1)).unwrap_err();
}
