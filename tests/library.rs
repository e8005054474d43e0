//! What a host relies on: transfers can move between threads, and a step can be dropped.
#![cfg(feature = "embedded-weights")]
#![allow(clippy::unwrap_used)]

mod common;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use impasto::error::{LowMemoryFit, OptionName};
use impasto::ops::conv::ConvGeometry;
use impasto::ops::conv::methods::{GEMM_TILE, NAIVE};
use impasto::ops::{Algorithm, Direction, MethodRequest, MethodTable, Problem, Wrap};
use impasto::picture::{Picture, Size};
use impasto::transfer::{
    Budget, Checkpoint, Engine, EngineOptions, Init, OptimiserKind, Options, Preset, Sources, Transfer,
    WeightedLayer,
};
use impasto::{Error, Remedy};
use pollster::block_on;

fn picture(width: u32, height: u32) -> Picture {
    let rgb = (0..width * height * 3).map(|i| ((i * 37 + i / 7 * 11) % 256) as u8).collect();
    Picture::from_rgb(width, height, rgb).unwrap()
}

fn small() -> Options {
    Options::preset(Preset::Course).with(|options| {
        options.content_layers[0].name = "conv1_2".into();
        options.style_layers = vec![WeightedLayer { name: "conv1_1".into(), weight: 1.0 }];
        options.init = Init::Content;
    })
}

fn engine(options: EngineOptions) -> Engine {
    common::engine::engine().reconfigured(|own| *own = options)
}

#[test]
fn engines_transfers_and_steps_can_be_sent() {
    fn sent<T: Send>(_: &T) {}
    let engine = engine(EngineOptions::default());
    sent(&engine);
    let mut transfer =
        block_on(Transfer::prepare(&engine, (&picture(20, 15), &picture(16, 16)), &small())).unwrap();
    sent(&transfer);
    sent(&transfer.step());
}

/// Dropped wherever it may be, a step leaves whole pixels, and the transfer goes on as if nothing had been.
#[test]
fn a_dropped_step_does_no_harm() {
    dropped_steps_do_no_harm(&small());
}

/// It keeps more than the pixels from step to step.
#[test]
fn a_dropped_step_does_no_harm_to_a_history() {
    dropped_steps_do_no_harm(&small().with(|options| {
        options.optimiser = OptimiserKind::LBfgs;
        (options.learning_rate, options.history) = (1.0, 3);
    }));
}

fn dropped_steps_do_no_harm(options: &Options) {
    // Many small submissions, so that there are many places to drop at.
    let engine = engine(EngineOptions::default().with(|options| options.slice_work = Some(200_000)));
    let prepare =
        || block_on(Transfer::prepare(&engine, (&picture(40, 30), &picture(16, 16)), options)).unwrap();
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

/// Two sizes that end by their costs: 28×21 and 40×30.
fn settling() -> Options {
    Options::preset(Preset::Fine).with(|options| {
        options.content_layers[0].name = "conv1_2".into();
        options.style_layers = vec![WeightedLayer { name: "conv1_1".into(), weight: 1.0 }];
        (options.gamma, options.coarsest, options.steps) = (0.0, Some(25), 36);
        options.tolerance = 0.06;
    })
}

/// The rule of [`Options::tolerance`], written out.
fn is_settled(totals: &[f32], tolerance: f32) -> bool {
    let mean =
        |totals: &[f32]| totals.iter().map(|total| f64::from(*total)).sum::<f64>() / totals.len() as f64;
    let Some(from) = totals.len().checked_sub(20) else { return false };
    let (before, now) = (mean(&totals[from..from + 10]), mean(&totals[from + 10..]));
    (now - before).abs() < f64::from(tolerance) * before
}

/// A size ends where its costs have settled, and a transfer that goes on from a checkpoint ends with the same picture.
#[test]
fn a_size_ends_where_its_costs_have_settled() {
    let engine = engine(EngineOptions::default());
    let sources = || Sources::new(picture(40, 30), picture(16, 16));
    let options = settling();
    let mut whole = block_on(Transfer::prepare(&engine, sources(), &options)).unwrap();
    let (mut sizes, mut checkpoints): (Vec<Vec<f32>>, _) = (vec![Vec::new(); 2], Vec::new());
    while whole.remaining_steps() > 0 {
        let remaining = whole.remaining_steps();
        let costs = block_on(whole.step()).unwrap();
        let size = usize::from(whole.scale_size() == (40, 30));
        sizes[size].push(costs.total);
        let ended = is_settled(&sizes[size], options.tolerance);
        let of_later = if size == 0 { options.steps } else { 0 };
        let here = if ended { 0 } else { options.steps - sizes[size].len() as u32 };
        assert_eq!(
            whole.remaining_steps(),
            here + of_later,
            "{size}: {} after {remaining}",
            sizes[size].len()
        );
        // In the middle of what is compared, and where a size has ended.
        if [7, 23].contains(&whole.steps()) || ended {
            checkpoints.push(block_on(whole.checkpoint()).unwrap());
        }
    }
    let counts = [sizes[0].len(), sizes[1].len()];
    println!("{counts:?} steps");
    assert!(counts[0] < 36 || counts[1] < 36, "none ended early: {sizes:?}");
    assert!(checkpoints.len() > 2);
    let end = block_on(whole.picture()).unwrap();
    for checkpoint in checkpoints {
        let checkpoint = Checkpoint::from_bytes(&checkpoint.to_bytes().unwrap(), "it").unwrap();
        let mut resumed = block_on(Transfer::resume(&engine, sources(), &options, &checkpoint)).unwrap();
        while resumed.remaining_steps() > 0 {
            block_on(resumed.step()).unwrap();
        }
        assert_eq!(resumed.steps(), whole.steps(), "after {}", checkpoint.step());
        assert_eq!(block_on(resumed.picture()).unwrap(), end, "after {}", checkpoint.step());
    }

    // A step whose future was dropped when the device had it: its costs count, too.
    let mut dropped = block_on(Transfer::prepare(&engine, sources(), &options)).unwrap();
    for _ in 0..12 {
        block_on(dropped.step()).unwrap();
    }
    let mut checkpoint = None;
    for polls in 1..400 {
        let is_ready = {
            let mut step = pin!(dropped.step());
            let mut context = Context::from_waker(Waker::noop());
            (0..polls).any(|_| step.as_mut().poll(&mut context).is_ready())
        };
        let taken = block_on(dropped.checkpoint()).unwrap();
        if is_ready || taken.step() == 13 {
            checkpoint = Some((taken, is_ready));
            break;
        }
    }
    let (checkpoint, is_ready) = checkpoint.unwrap();
    println!("the step was {}", if is_ready { "never dropped with its costs under way" } else { "dropped" });
    assert_eq!(checkpoint.step(), 13);
    let mut resumed = block_on(Transfer::resume(&engine, sources(), &options, &checkpoint)).unwrap();
    while resumed.remaining_steps() > 0 {
        block_on(resumed.step()).unwrap();
    }
    assert_eq!((resumed.steps(), block_on(resumed.picture()).unwrap()), (whole.steps(), end));

    // Off, all steps are taken; and a host's frame does not wait for costs.
    let off =
        block_on(Transfer::prepare(&engine, sources(), &settling().with(|options| options.tolerance = 0.0)));
    assert_eq!(off.unwrap().remaining_steps(), 72);
    let mut encoder = engine.gpu().device().create_command_encoder(&Default::default());
    let mut of_host = block_on(Transfer::create(&engine, sources(), &options)).unwrap();
    match of_host.record(&mut encoder, Budget::Dispatches(3)) {
        Err(Error::Option { option: OptionName::Tolerance, remedy, .. }) => {
            assert!(remedy.to_string().starts_with("give 0"), "{remedy}");
        }
        other => panic!("{other:?}"),
    }
    of_host.set_options(&settling().with(|options| options.tolerance = 0.0)).unwrap();
    assert!(of_host.record(&mut encoder, Budget::Dispatches(3)).is_ok());
    engine.gpu().queue().submit([encoder.finish()]);
}

#[test]
fn slices_do_not_change_a_bit() {
    let run = |slice_work| {
        let engine = engine(EngineOptions::default().with(|options| options.slice_work = slice_work));
        let mut transfer =
            block_on(Transfer::prepare(&engine, (&picture(33, 21), &picture(16, 16)), &small())).unwrap();
        let costs = block_on(transfer.step()).unwrap();
        (costs, block_on(transfer.pixels()).unwrap(), transfer.program().slices.len())
    };
    let (whole, sliced) = (run(None), run(Some(50_000)));
    assert!(sliced.2 > 2 * whole.2, "{} slices against {}", sliced.2, whole.2);
    assert_eq!(whole.0, sliced.0);
    assert_eq!(whole.1, sliced.1);
}

fn limited(memory_bytes: Option<u64>, low_memory: bool) -> Engine {
    engine(EngineOptions::default().with(|options| {
        options.memory_bytes = memory_bytes;
        options.low_memory = low_memory;
    }))
}

#[test]
fn low_memory_keeps_the_weights_once() {
    let options = Options::preset(Preset::Course);
    let plan = |low| Transfer::plan(&limited(None, low), ((400, 300), (400, 300)), &options).unwrap();
    let (usual, low) = (plan(false), plan(true));
    assert!(low.bytes.weights <= 90 << 20, "{} bytes of weights", low.bytes.weights);
    assert!(low.bytes.total < usual.bytes.total, "{:?} {:?}", low.bytes, usual.bytes);
}

#[test]
fn too_little_memory_is_an_error_that_says_what_fits() {
    let (content, style) = ((2000, 1500), (400, 300));
    let options =
        |size| Options::preset(Preset::Course).with(|options| options.size = Size::LongerSide(size));
    let plan = |bytes, low, size| Transfer::plan(&limited(bytes, low), (content, style), &options(size));
    let refused = |bytes, low, size| match plan(Some(bytes), low, size) {
        Err(Error::Memory { needed, available, remedy, .. }) => {
            assert!(needed > available && available == bytes, "{needed} {available}");
            match remedy {
                Remedy::LessMemory { size, low_memory } => (size, low_memory),
                other => panic!("{other:?}"),
            }
        }
        other => panic!("{size} with {bytes} bytes is not refused: {other:?}"),
    };
    let bytes = |low| plan(None, low, 400).unwrap().bytes.total;
    // Enough with low_memory.
    let between = bytes(true).midpoint(bytes(false));
    let (fits, low) = refused(between, false, 400);
    assert_eq!(low, Some(LowMemoryFit::AsItIs));
    plan(Some(between), true, 400).unwrap();
    if let Some(fits) = fits {
        plan(Some(between), false, fits).unwrap();
        plan(Some(between), false, fits + 1).unwrap_err();
    }
    // Too little even so.
    let (Some(fits), Some(LowMemoryFit::Size(low))) = refused(between, false, 2000) else {
        panic!("no sizes")
    };
    for (size, low) in [(low, true), (fits, false)] {
        plan(Some(between), low, size).unwrap();
        plan(Some(between), low, size + 1).unwrap_err();
    }
    assert_eq!(refused(between, true, 2000), (Some(low), None));
    assert_eq!(refused(1 << 20, false, 400), (None, None));
}

/// What is measured can be kept, given to another engine, and paints to the same bits there.
#[test]
fn measured_choices_are_the_same_as_given_ones() {
    let (content, style) = (picture(60, 45), picture(40, 40));
    let usual = engine(EngineOptions::default());
    let planned = |engine: &Engine| Transfer::plan(engine, ((60, 45), (40, 40)), &small()).unwrap();
    let plan = planned(&usual);
    let missing = usual.unmeasured(&plan);
    assert!(!missing.is_empty());
    let begin = std::time::Instant::now();
    let choices = block_on(usual.measure(&plan)).unwrap();
    println!("{} problems measured in {:?}", missing.len(), begin.elapsed());
    assert!(choices.0.keys().eq(&missing));
    let measured = usual.reconfigured(|options| options.method_table = Arc::new(choices.clone()));
    assert!(measured.unmeasured(&planned(&measured)).is_empty());
    let json = serde_json::to_string(&choices).unwrap();
    let kept: MethodTable = serde_json::from_str(&json).unwrap();
    assert_eq!(kept, choices, "{json}");
    let given = engine(EngineOptions::default().with(|options| options.method_table = Arc::new(kept)));
    let painted = [&measured, &given].map(|engine| {
        let mut transfer = block_on(Transfer::prepare(engine, (&content, &style), &small())).unwrap();
        let methods = transfer.program().methods();
        assert!(choices.0.iter().all(|(problem, method)| methods.0[problem] == *method), "{methods:?}");
        let costs: Vec<_> = (0..3).map(|_| block_on(transfer.step()).unwrap()).collect();
        (costs, block_on(transfer.pixels()).unwrap())
    });
    assert_eq!(painted[0], painted[1]);
}

/// A choice that nobody would measure, for another size and for the wrong channels.
#[test]
fn choices_hold_for_the_nearest_plane() {
    let layer = |inputs, h| Problem {
        op: "conv",
        direction: Direction::Forward,
        inputs,
        outputs: 64,
        d: 1,
        h,
        w: 60,
        geometry: Some(ConvGeometry::SAME_3X3),
    };
    let choices = [(layer(64, 40), NAIVE), (layer(64, 400), GEMM_TILE)];
    let mut options =
        EngineOptions::default().with(|options| options.method_table = Arc::new(MethodTable(choices.into())));
    let method = |options: &EngineOptions, layer: Problem| {
        let plan = Transfer::plan(&engine(options.clone()), ((60, 45), (40, 40)), &small()).unwrap();
        plan.step.program.methods().0[&layer]
    };
    assert_eq!(method(&options, layer(64, 45)), NAIVE);
    assert_ne!(method(&options, layer(3, 45)), NAIVE);
    options.low_memory = true;
    assert_ne!(method(&options, layer(64, 45)), NAIVE);
    options.low_memory = false;
    options.methods = MethodRequest::Algorithm(Algorithm::Gemm);
    assert_eq!(method(&options, layer(64, 45)).algorithm, Algorithm::Gemm);
}

/// The cost is what the twin makes of the pixels, it is weighted into the total, and pictures become smoother by it.
#[test]
fn total_variation_is_a_term_of_its_own() {
    let engine = engine(EngineOptions::default());
    let variation = |pixels: &[f32]| {
        let wide: Vec<f64> = pixels.iter().map(|value| f64::from(*value)).collect();
        impasto::reference::total_variation_forward(&wide, (3, 30, 40), Wrap::NONE)[0]
    };
    let mut ends = Vec::new();
    for weight in [0.0, 2e7] {
        let options = small().with(|options| options.total_variation = weight);
        let sources = (&picture(40, 30), &picture(16, 16));
        let mut transfer = block_on(Transfer::prepare(&engine, sources, &options)).unwrap();
        let start = block_on(transfer.pixels()).unwrap();
        let costs = block_on(transfer.step()).unwrap();
        let named = costs.term("total_variation").map(f64::from);
        assert_eq!(named.is_some(), weight > 0.0, "{costs:?}");
        if let Some(named) = named {
            assert!((named / variation(&start) - 1.0).abs() < 1e-5, "{named} {}", variation(&start));
            let sum = 10.0 * f64::from(costs.content) + 40.0 * f64::from(costs.style);
            let total = sum + f64::from(weight) * named;
            assert!((f64::from(costs.total) / total - 1.0).abs() < 1e-5, "{costs:?}");
        }
        for _ in 0..20 {
            block_on(transfer.step()).unwrap();
        }
        ends.push(variation(&block_on(transfer.pixels()).unwrap()));
        // Its weight changes while it runs; whether there is a term at all does not.
        let change = |weight| options.clone().with(|options| options.total_variation = weight);
        let other = transfer.set_options(&change(if weight > 0.0 { 0.0 } else { 1.0 }));
        assert!(matches!(other, Err(Error::Option { option: OptionName::TotalVariation, .. })), "{other:?}");
        if weight > 0.0 {
            transfer.set_options(&change(0.5 * weight)).unwrap();
            block_on(transfer.step()).unwrap();
        }
    }
    assert!(ends[1] < 0.5 * ends[0], "{ends:?}");
}

/// Two styles share the layers, and each has costs of its own; a style of weight 0 changes nothing.
#[test]
fn several_styles_are_terms_of_their_own() {
    let engine = engine(EngineOptions::default());
    let (content, style, other) = (picture(40, 30), picture(16, 16), picture(23, 19));
    let run = |sources: Sources| {
        let mut transfer = block_on(Transfer::prepare(&engine, sources, &small())).unwrap();
        let costs = block_on(transfer.step()).unwrap();
        (costs, block_on(transfer.pixels()).unwrap())
    };
    let (alone, pixels) = run(Sources::new(&content, &style));
    let (with_nothing, same) = run(Sources::new(&content, &style).with_style(&other, 0.0));
    let (both, others) = run(Sources::new(&content, &style).with_style(&other, 0.5));
    assert_eq!(with_nothing.term("style.conv1_1"), alone.term("style.conv1_1"));
    assert_eq!(with_nothing.total, alone.total);
    assert_eq!(same, pixels);
    let second = run(Sources::new(&content, &other)).0;
    assert_eq!(both.term("style2.conv1_1"), second.term("style.conv1_1"));
    let sum = alone.style + 0.5 * second.style;
    assert!((both.style / sum - 1.0).abs() < 1e-6, "{both:?}");
    assert_ne!(others, pixels);
}
