//! Pictures that wrap: what is rolled stays rolled, and there is no seam.
#![cfg(feature = "embedded-weights")]
#![allow(clippy::unwrap_used)]

mod common;

use impasto::ops::{Algorithm, MethodRequest, Precision};
use impasto::picture::{Picture, Size};
use impasto::transfer::{
    Engine, EngineOptions, Init, OptimiserKind, Options, Preset, Seamless, Sources, Transfer, WeightedLayer,
};

const SIDES: (u32, u32) = (48, 32);

fn noise(width: u32, height: u32, seed: u32) -> Picture {
    let mut state = seed;
    let bytes = (0..3 * width * height).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    Picture::from_rgb(width, height, bytes.collect()).unwrap()
}

/// The picture shifted, what leaves it on one side comes in on the other.
fn rolled(picture: &Picture, (right, down): (u32, u32)) -> Picture {
    let (width, height) = (picture.width(), picture.height());
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let bytes = places.flat_map(|(x, y)| {
        let (x, y) = ((x + width - right) % width, (y + height - down) % height);
        let at = 3 * (y * width + x) as usize;
        picture.rgb()[at..at + 3].to_vec()
    });
    Picture::from_rgb(width, height, bytes.collect()).unwrap()
}

fn options(seamless: Seamless) -> Options {
    Options::preset(Preset::Texture).with(|options| {
        options.size = Size::Within { width: SIDES.0, height: SIDES.1 };
        options.coarsest = None;
        options.seamless = seamless;
        options.total_variation = 1e-4;
        options.init = Init::Picture;
        options.noise_ratio = None;
        options.style_layers =
            ["conv1_1", "conv3_1"].map(|name| WeightedLayer { name: name.into(), weight: 0.5 }).to_vec();
        options.steps = 4;
    })
}

fn engine(methods: MethodRequest, precision: Precision) -> Engine {
    let options = EngineOptions::default().with(|options| {
        options.methods = methods;
        options.precision = precision;
    });
    common::engine::engine().reconfigured(|own| *own = options)
}

/// What becomes of a start.
async fn made(engine: &Engine, start: &Picture, options: &Options) -> Picture {
    let sources = Sources::texture(noise(40, 30, 7)).with_initial(start);
    let mut transfer = Transfer::prepare(engine, sources, options).await.unwrap();
    while transfer.remaining_steps() > 0 {
        transfer.step().await.unwrap();
    }
    transfer.picture().await.unwrap()
}

/// Share of the bytes that differ by more than a level.
fn apart(a: &Picture, b: &Picture) -> f64 {
    let differ = a.rgb().iter().zip(b.rgb()).filter(|(a, b)| a.abs_diff(**b) > 1).count();
    differ as f64 / a.rgb().len() as f64
}

/// Shifted by what pools and the pyramid halve, every tensor on the way is shifted, too: by every algorithm that has kernels
/// for it.
#[test]
fn a_rolled_start_gives_the_rolled_result() {
    pollster::block_on(async {
        let start = noise(SIDES.0, SIDES.1, 3);
        for algorithm in [Algorithm::Winograd, Algorithm::Gemm] {
            let engine = engine(MethodRequest::Algorithm(algorithm), Precision::F32);
            for (seamless, by) in [(Seamless::Both, (16, 16)), (Seamless::X, (32, 0)), (Seamless::Y, (0, 16))]
            {
                let options = options(seamless);
                let wanted = rolled(&made(&engine, &start, &options).await, by);
                let found = made(&engine, &rolled(&start, by), &options).await;
                let far = apart(&wanted, &found);
                // Adam's first steps turn on the signs of gradients that are nearly 0.
                assert!(far < 0.01, "{algorithm:?} {seamless:?}: {far} of the bytes");
            }
        }
        // Without it the borders are others.
        let engine = engine(MethodRequest::Auto, Precision::F32);
        let options = options(Seamless::None);
        let wanted = rolled(&made(&engine, &start, &options).await, (16, 16));
        assert!(apart(&wanted, &made(&engine, &rolled(&start, (16, 16)), &options).await) > 0.02);
    });
}

/// Mean difference of two neighbouring columns.
fn across(picture: &Picture, left: u32) -> f64 {
    let right = (left + 1) % picture.width();
    let byte = |x: u32, y: u32, c: u32| picture.rgb()[(3 * (y * picture.width() + x) + c) as usize];
    let of = |y| (0..3).map(move |c| (y, c));
    let differences = (0..picture.height())
        .flat_map(of)
        .map(|(y, c)| f64::from(byte(left, y, c).abs_diff(byte(right, y, c))));
    differences.sum::<f64>() / f64::from(3 * picture.height())
}

/// A painting of a photograph that is dark on one side and light on the other, from noise, over two sizes.
#[test]
fn the_seam_is_no_larger_than_what_is_inside() {
    pollster::block_on(async {
        let engine = engine(MethodRequest::Auto, Precision::F32);
        let mut seams = Vec::new();
        for (seamless, optimiser) in
            [(Seamless::X, OptimiserKind::PyramidAdam), (Seamless::None, OptimiserKind::PyramidAdam)]
        {
            let options = Options::preset(Preset::Texture).with(|options| {
                options.size = Size::Within { width: 64, height: 32 };
                options.coarsest = Some(40);
                options.seamless = seamless;
                options.optimiser = optimiser;
                options.style_layers = ["conv1_1", "conv2_1"]
                    .map(|name| WeightedLayer { name: name.into(), weight: 0.5 })
                    .to_vec();
                options.steps = 12;
            });
            // Large soft shapes, so that neighbours inside are alike.
            let style = noise(6, 5, 9).resized(60, 50);
            let mut transfer = Transfer::prepare(&engine, Sources::texture(style), &options).await.unwrap();
            while transfer.remaining_steps() > 0 {
                transfer.step().await.unwrap();
            }
            let picture = transfer.picture().await.unwrap();
            let inside = (0..63).map(|left| across(&picture, left)).sum::<f64>() / 63.0;
            let seam = across(&picture, 63);
            println!("{seamless:?}: seam {seam}, inside {inside}");
            seams.push(seam / inside);
        }
        assert!(seams[0] < 1.5, "{seams:?}");
        assert!(seams[1] > 1.5 * seams[0], "{seams:?}: without it there is a seam");
    });
}

#[test]
fn sides_are_rounded_where_they_wrap() {
    pollster::block_on(async {
        let engine = engine(MethodRequest::Auto, Precision::F32);
        let (content, style) = (noise(90, 70, 1), noise(30, 30, 2));
        for (seamless, size) in [
            (Seamless::Both, (96, 64)),
            (Seamless::X, (96, 70)),
            (Seamless::Y, (90, 64)),
            (Seamless::None, (90, 70)),
        ] {
            let options = Options::preset(Preset::Fine).with(|options| options.seamless = seamless);
            let plan = Transfer::plan(&engine, Sources::new(&content, &style).layouts().unwrap(), &options);
            assert_eq!(plan.unwrap().step.size, size);
        }
    });
}
