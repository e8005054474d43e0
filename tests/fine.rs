//! The preset `fine` against the numbers of an independent PyTorch program, on whatever adapter there is.
#![cfg(feature = "embedded-weights")]
#![allow(clippy::unwrap_used)]

use impasto::nn::Weights;
use impasto::picture::{Picture, Size};
use impasto::transfer::{Checkpoint, Costs, Engine, Options, Preset, SourceLayouts, Transfer};
use pollster::block_on;
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

const GOLDEN: &[u8] = include_bytes!("fixtures/golden-fine-97x75.safetensors");
const CONTENT: &[u8] = include_bytes!("fixtures/content-97x75.png");
const STYLE: &[u8] = include_bytes!("fixtures/style-90x64.png");
const STEPS: u32 = 4;
/// Columns of the golden costs: total, style, match, content, then the five layers of the style.
const COLUMNS: usize = 9;

fn golden() -> SafeTensors<'static> {
    SafeTensors::deserialize(GOLDEN).unwrap()
}

fn floats(view: &TensorView<'_>) -> Vec<f64> {
    match view.dtype() {
        safetensors::Dtype::F32 => {
            view.data().as_chunks().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect()
        }
        safetensors::Dtype::F64 => {
            view.data().as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()
        }
        safetensors::Dtype::I32 => {
            view.data().as_chunks().0.iter().map(|bytes| f64::from(i32::from_le_bytes(*bytes))).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn tensor(name: &str) -> Vec<f64> {
    floats(&golden().tensor(name).unwrap())
}

/// A planar picture (3, H, W) of whole levels.
fn picture(name: &str) -> Picture {
    let golden = golden();
    let view = golden.tensor(name).unwrap();
    let [_, height, width] = view.shape()[..] else { panic!() };
    let values = floats(&view);
    let plane = width * height;
    let bytes = (0..plane).flat_map(|i| [0, 1, 2].map(|c| values[c * plane + i] as u8)).collect();
    Picture::from_rgb(width as u32, height as u32, bytes).unwrap()
}

fn options() -> Options {
    Options::preset(Preset::Fine).with(|options| {
        options.size = Size::LongerSide(97);
        options.coarsest = Some(60);
        options.steps = STEPS;
    })
}

fn engine() -> Engine {
    block_on(Engine::open(None, Weights::embedded().unwrap())).unwrap()
}

/// A row of costs in the golden order.
fn row(costs: &Costs) -> Vec<f64> {
    let layers = costs.terms.iter().filter(|term| term.name.starts_with("style"));
    let sums = [costs.total, costs.style, costs.matching.unwrap(), costs.content];
    sums.into_iter().chain(layers.map(|term| term.cost)).map(f64::from).collect()
}

/// A tensor of a checkpoint.
fn kept(checkpoint: &Checkpoint, name: &str) -> Vec<f64> {
    let bytes = checkpoint.to_bytes().unwrap();
    floats(&SafeTensors::deserialize(&bytes).unwrap().tensor(name).unwrap())
}

/// A picture of a checkpoint in 0..255.
fn shown(checkpoint: &Checkpoint, name: &str, mean: [f32; 3]) -> Vec<f64> {
    let values = kept(checkpoint, name);
    let plane = values.len() / 3;
    values.iter().enumerate().map(|(i, value)| value + f64::from(mean[i / plane])).collect()
}

/// The largest and the mean difference.
fn differences(a: &[f64], b: &[f64]) -> (f64, f64) {
    assert_eq!(a.len(), b.len());
    let each: Vec<f64> = a.iter().zip(b).map(|(a, b)| (a - b).abs()).collect();
    (each.iter().copied().fold(0.0, f64::max), each.iter().sum::<f64>() / each.len() as f64)
}

fn assert_row(costs: &Costs, golden: &[f64], tolerance: f64, what: &str) {
    for (column, (ours, theirs)) in row(costs).iter().zip(golden).enumerate() {
        let error = (ours - theirs).abs() / theirs.abs().max(1e-3);
        assert!(error <= tolerance, "{what}, column {column}: {ours} for {theirs}, {error:.1e}");
    }
}

/// The coarsest size alone, from exactly the pictures of the golden run.
#[test]
fn one_size_is_that_of_the_golden_run() {
    let engine = engine();
    // The pictures have their sizes already: one as large as it may be is not made smaller.
    let options = options().with(|options| {
        options.coarsest = None;
        options.stroke = Some(10.0);
    });
    let sources = (picture("0.content"), picture("0.style"));
    let mut transfer = block_on(Transfer::prepare(&engine, sources, &options)).unwrap();
    let checkpoint = block_on(transfer.checkpoint()).unwrap();
    let mean = engine.weights().mean();
    let (largest, _) = differences(&shown(&checkpoint, "pixels", mean), &tensor("0.start"));
    assert!(largest < 1e-4, "{largest}");
    assert_eq!(kept(&checkpoint, "index.style"), tensor("0.match"));
    let costs = tensor("0.costs");
    for (step, golden) in costs.chunks(COLUMNS).enumerate() {
        let costs = block_on(transfer.step()).unwrap();
        println!("{step}: {:?}\n   {golden:?}", row(&costs));
        // The first step is before Adam turns on the signs of gradients that are nearly 0.
        assert_row(&costs, golden, if step == 0 { 1e-4 } else { 3e-3 }, &format!("step {step}"));
    }
    let checkpoint = block_on(transfer.checkpoint()).unwrap();
    let (largest, average) = differences(&shown(&checkpoint, "average", mean), &tensor("0.end"));
    println!("pixels differ by at most {largest:.3}, on average by {average:.4}");
    assert!(average < 0.02 && largest < 4.0, "{average} {largest}");
}

/// Both sizes, from the files. Another Lanczos filter makes the smaller pictures, so that they differ by a level here and
/// there, and with them what Adam's first steps make of gradients that are nearly 0.
#[test]
fn both_sizes_follow_the_golden_run() {
    let engine = engine();
    let sources = (Picture::decode(CONTENT, "content").unwrap(), Picture::decode(STYLE, "style").unwrap());
    let mut transfer = block_on(Transfer::prepare(&engine, sources, &options())).unwrap();
    let mean = engine.weights().mean();
    for scale in 0..2 {
        for (step, golden) in tensor(&format!("{scale}.costs")).chunks(COLUMNS).enumerate() {
            let costs = block_on(transfer.step()).unwrap();
            println!("{scale} {step}: {:?}\n   {golden:?}", row(&costs));
            assert_row(&costs, golden, 0.06, &format!("size {scale}, step {step}"));
        }
        let checkpoint = block_on(transfer.checkpoint()).unwrap();
        let golden = tensor(&format!("{scale}.end"));
        let (largest, average) = differences(&shown(&checkpoint, "average", mean), &golden);
        let index = kept(&checkpoint, "index.style");
        let golden = tensor(&format!("{scale}.match"));
        let others = index.iter().zip(&golden).filter(|(a, b)| a != b).count();
        println!(
            "size {scale}: largest {largest:.3}, mean {average:.4}, {others} of {} cells otherwise",
            index.len()
        );
        assert!(average < 2.5, "{average}");
        assert!(others * 8 <= index.len(), "{others}");
    }
    assert_eq!((transfer.size(), transfer.scale_size(), transfer.remaining_steps()), ((97, 75), (97, 75), 0));
}

/// What is interrupted at any step of any size ends with the same bits.
#[test]
fn a_checkpoint_goes_on_at_any_size() {
    let engine = engine();
    let sources = || (Picture::decode(CONTENT, "content").unwrap(), Picture::decode(STYLE, "style").unwrap());
    // The deepest layers have the largest matrices, which take most of the time.
    let options = options().with(|options| options.style_layers.truncate(3));
    let mut whole = block_on(Transfer::prepare(&engine, sources(), &options)).unwrap();
    let mut checkpoints = Vec::new();
    for step in 0..2 * STEPS {
        block_on(whole.step()).unwrap();
        // After the first, at the end of a size, and where the next step goes on with what the last one made.
        if [0, 3, 4, 6].contains(&step) {
            checkpoints.push(block_on(whole.checkpoint()).unwrap());
        }
    }
    let end = block_on(whole.picture()).unwrap();
    let costs = block_on(whole.cost()).unwrap();
    for checkpoint in checkpoints {
        let read = Checkpoint::from_bytes(&checkpoint.to_bytes().unwrap(), "it").unwrap();
        assert_eq!(read, checkpoint);
        let mut resumed = block_on(Transfer::resume(&engine, sources(), &options, &read)).unwrap();
        while resumed.remaining_steps() > 0 {
            block_on(resumed.step()).unwrap();
        }
        assert_eq!(resumed.steps(), 2 * STEPS);
        assert_eq!(block_on(resumed.picture()).unwrap(), end, "after {}", checkpoint.step());
        assert_eq!(block_on(resumed.cost()).unwrap(), costs);
    }
}

/// A sky or a wall has next to no variance: what is left of it after rounding must not become a root.
#[test]
fn flat_pictures_have_finite_costs() {
    let engine = engine();
    let made = |level: fn(u32) -> [u8; 3]| {
        Picture::from_rgb(40, 30, (0..40 * 30).flat_map(level).collect()).unwrap()
    };
    let flat = made(|_| [190, 210, 235]);
    let nearly = made(|i| [190 + (i % 3) as u8, 210, 235 - (i % 2) as u8]);
    let lively = made(|i| [(i * 37 % 251) as u8, (i * 91 % 239) as u8, (i * 53 % 247) as u8]);
    let options = Options::preset(Preset::Fine).with(|options| {
        options.coarsest = None;
        options.steps = 3;
        options.style_layers.truncate(3);
    });
    for (content, style) in
        [(&flat, &lively), (&lively, &flat), (&flat, &flat), (&lively, &nearly), (&nearly, &lively)]
    {
        let mut transfer = block_on(Transfer::prepare(&engine, (content, style), &options)).unwrap();
        for _ in 0..3 {
            let costs = block_on(transfer.step()).unwrap();
            assert!(costs.are_finite(), "{costs:?}");
        }
    }
}

/// The sizes of styles: the content's area times the stroke squared, never enlarged.
#[test]
fn strokes_choose_the_size_of_the_style() {
    use impasto::transfer::SourceId;
    let layouts = SourceLayouts::from(((400, 300), (1200, 800)));
    let fitted = |stroke, scale| {
        let options = Options::preset(Preset::Fine).with(|options| options.stroke = stroke);
        layouts.fitted(SourceId::Style(0), &options, scale)
    };
    assert_eq!(fitted(Some(1.0), 4), (424, 283));
    assert_eq!(fitted(Some(0.5), 4), (212, 141));
    assert_eq!(fitted(Some(9.0), 4), (1200, 800));
    assert_eq!(fitted(None, 4), (512, 341));
}
