//! The golden values: an independent PyTorch program's numbers (tests/fixtures/README.md) against the real path.
#![cfg(feature = "embedded-weights")]
#![allow(clippy::unwrap_used)]

mod common;

use common::compare::{assert_close, assert_passes};
use impasto::cases::compare::Comparison;
use impasto::cases::golden::{self, Allowed, Numbers, Path, largest, relative_in_norm};
use impasto::gpu::Gpu;
use impasto::graph::{Role, Tape};
use impasto::ops::gram::Gram;
use impasto::ops::squared_error::SquaredError;
use impasto::ops::weighted_sum::WeightedSum;
use impasto::ops::{MethodRequest, Precision, Shape};
use impasto::transfer::{Engine, EngineOptions, uniform_noise};
use pollster::block_on;

const COURSE: &[u8] = include_bytes!("fixtures/course-costs.safetensors");

fn engine() -> Engine {
    engine_with(EngineOptions::default())
}

fn engine_with(options: EngineOptions) -> Engine {
    Engine::builder(block_on(Gpu::open(None)).unwrap()).options(options).build().unwrap()
}

fn forced(kernels: MethodRequest) -> Engine {
    engine_with(EngineOptions::default().with(|options| options.methods = kernels))
}

fn engine_in(precision: Precision) -> Engine {
    engine_with(EngineOptions::default().with(|options| options.precision = precision))
}

/// Runs a tape once, as it is planned for this device, and returns what it keeps.
fn run(engine: &Engine, tape: &Tape, inputs: &[(&str, &[f32])]) -> Vec<Vec<f32>> {
    block_on(golden::kept(engine, tape, inputs)).unwrap()
}

/// Follows the golden run along a path.
#[track_caller]
fn follow(engine: &Engine, path: Path, allowed: &Allowed) {
    let mut names = Vec::new();
    let followed = path.follow(engine, allowed, |check| {
        check.parts.iter().for_each(assert_passes);
        names.push(check.name);
    });
    block_on(followed).unwrap();
    assert_eq!(names, path.checks(), "everything was compared");
}

/// Follows the golden run along the path of this name, with the path's algorithm.
#[track_caller]
fn follow_by(name: &str) {
    let path = Path::named(name);
    follow(&forced(path.kernels), path, &Allowed::SINGLE);
}

fn assert_below(what: &str, value: f64, allowed: f64) {
    assert_passes(&Comparison::of_figure(what, value, allowed));
}

#[test]
fn activations_and_grams_and_twenty_steps_are_the_golden_ones() {
    follow_by("auto");
}

#[test]
fn all_by_winograd_is_golden() {
    follow_by("winograd");
}

#[test]
fn all_by_gemm_is_golden() {
    follow_by("gemm");
}

#[test]
fn all_by_direct_sums_is_golden() {
    follow_by("direct");
}

#[test]
fn all_by_plain_loops_is_golden() {
    follow_by("naive");
}

#[test]
fn with_low_memory_all_is_golden() {
    let engine = engine_with(EngineOptions::default().with(|options| options.low_memory = true));
    let path = Path { layers: false, ..Path::named("auto") };
    let reason = "the weights are transformed in f32. Their rounding lets one ReLU of block 2 or 3 fall to the other \
                  side of 0 in the second step, and the pixels that it sees, 13 by 14, differ by a tenth of a level; \
                  the costs do not feel it";
    follow(&engine, path, &Allowed { pixels: [1e-5, 1e-3, 1e-2], reason, ..Allowed::SINGLE });
}

#[test]
fn twenty_steps_in_half_precision_are_near_the_golden_ones() {
    let path = Path { layers: false, gradient: false, ..Path::named("auto") };
    let cost = |name: &str, _| if name == "content" { 5e-3 } else { 3e-3 };
    let reason = "operands have 11 bits instead of 24. Adam's steps have the gradient's sign at first and so differ \
                  wherever that is nearly 0; the costs hardly feel it";
    follow(&engine_in(Precision::F16), path, &Allowed { pixels: [2e-2, 4e-2, 1e-1], cost, reason });
}

/// The golden run must notice a device that computes something else: a picture that is one level brighter in one
/// pixel, a cost that is off by a thousandth.
#[test]
fn the_golden_run_has_a_canary() {
    let golden = Numbers::golden();
    let want = golden.f64("pixels_after_1");
    let mut got = golden.f32("pixels_after_1");
    let figure = |got: &[f32]| Comparison::of_figure("pixels", relative_in_norm(got, &want), 1e-5);
    assert!(figure(&got).passes());
    let middle = got.len() / 2;
    got[middle] += 1.0;
    assert!(!figure(&got).passes());
    got[middle] = f32::NAN;
    assert!(!figure(&got).passes());
    assert!(!figure(&got[1..]).passes());
    assert!(!figure(&[]).passes());
}

/// The activations of every layer to conv5_1.
fn activations(engine: &Engine, pixels: &[f32]) -> Vec<(String, Shape, Vec<f32>)> {
    block_on(golden::layers(engine, pixels)).unwrap()
}

/// Every layer rounds its weights and its input to 11 bits: 2⁻¹¹ to 2⁻¹⁰ of a layer's norm, which Winograd's transforms
/// and the layers before enlarge several times.
#[test]
fn activations_in_half_precision_are_near() {
    let golden = Numbers::golden();
    let init = golden.f32("init");
    let single = activations(&engine(), &init);
    let half = activations(&engine_in(Precision::F16), &init);
    let mut different = 0;
    for ((layer, _, single), (_, _, half)) in single.iter().zip(&half) {
        let want: Vec<f64> = single.iter().map(|value| f64::from(*value)).collect();
        assert_below(&format!("{layer} in f16, in norm"), relative_in_norm(half, &want), 4e-3);
        different += usize::from(single != half);
    }
    assert!(different >= 12, "{different} layers are stored in half precision");
}

/// The scale of the transformed activations must keep them below the largest f16, with room for other pictures.
#[test]
fn transformed_activations_leave_room_in_half_precision() {
    const LARGEST: f64 = 65504.0;
    const SCALE: f64 = 1.0 / 64.0;
    let engine = engine();
    let content = Numbers::golden().f32("init");
    let mean = engine.weights().mean();
    // Black and white at random, in single pixels and in blocks, for every channel or for all of them.
    let extreme = |block: usize, alike: bool| -> Vec<f32> {
        let bit = |c: usize, i: usize| {
            let (row, column) = (i / 97 / block, i % 97 / block);
            let seed = (row * 97 + column) * 3 + if alike { 0 } else { c };
            (seed as u64)
                .wrapping_add(1)
                .wrapping_mul(0x9E37_79B9_7F4A_7C15)
                .wrapping_mul(0xD134_2543_DE82_EF95)
                >> 63
        };
        let plane = |c: usize| (0..75 * 97).map(move |i| 255.0 * bit(c, i) as f32 - mean[c]);
        (0..3).flat_map(plane).collect()
    };
    let mut all = vec![("the start", content)];
    for (name, block, alike) in [("pixels", 1, true), ("coloured pixels", 1, false), ("blocks", 8, true)] {
        all.push((name, extreme(block, alike)));
    }
    for (name, pixels) in all {
        for (layer, shape, values) in activations(&engine, &pixels) {
            let pooled = ["conv1_2", "conv2_2", "conv3_4", "conv4_4"].contains(&layer.as_str());
            let most = largest_transformed(shape, &values, pooled);
            println!("{name}, behind {layer}: largest {most:.0}");
            assert!(2.0 * SCALE * most <= LARGEST, "{name}, behind {layer}: {most}");
        }
    }
}

/// The largest |Bᵀ·d·B| over all 6×6 patches d, of the activations or of their means over 2×2.
fn largest_transformed(shape: Shape, values: &[f32], pooled: bool) -> f64 {
    let root = std::f64::consts::SQRT_2;
    let transform = |d: [f64; 6]| {
        let (near, near_odd) = (2.0 * d[2] - d[4], root * (d[1] - 0.5 * d[3]));
        let (far, far_odd) = (0.5 * d[4] - 0.25 * d[2], root * (0.25 * d[1] - 0.5 * d[3]));
        let (first, last) = (d[0] - 2.5 * d[2] + d[4], d[1] - 2.5 * d[3] + d[5]);
        [first, near + near_odd, near - near_odd, far + far_odd, far - far_odd, last]
    };
    let (full_h, full_w) = (shape.h as usize, shape.w as usize);
    let (h, w) = if pooled { (full_h / 2, full_w / 2) } else { (full_h, full_w) };
    let mut most = 0.0_f64;
    for plane in values.chunks_exact(full_h * full_w) {
        let at = |row: isize, column: isize| -> f64 {
            let (Ok(row), Ok(column)) = (usize::try_from(row), usize::try_from(column)) else { return 0.0 };
            if row >= h || column >= w {
                return 0.0;
            }
            let cell = |row: usize, column: usize| f64::from(plane[row * full_w + column]);
            if pooled {
                let (row, column) = (2 * row, 2 * column);
                let two = |row| cell(row, column) + cell(row, column + 1);
                0.25 * (two(row) + two(row + 1))
            } else {
                cell(row, column)
            }
        };
        for top in (0..h as isize).step_by(4) {
            for left in (0..w as isize).step_by(4) {
                let lines: [[f64; 6]; 6] = std::array::from_fn(|r| {
                    transform(std::array::from_fn(|c| at(top + r as isize - 1, left + c as isize - 1)))
                });
                let columns: [[f64; 6]; 6] =
                    std::array::from_fn(|c| transform(std::array::from_fn(|r| lines[r][c])));
                most = most.max(largest(columns.as_flattened()));
            }
        }
    }
    most
}

#[test]
fn the_course_numbers_come_out_of_the_kernels() {
    let course = Numbers::open(COURSE);
    let engine = engine();
    // (1, H, W, C) as the course has them, to (C, H, W).
    let planar = |name: &str| -> (Shape, Vec<f32>) {
        let shape = course.shape(name);
        let (h, w, c) = (shape[1], shape[2], shape[3]);
        let values = course.f32(name);
        let planar = (0..c).flat_map(|c_| (0..h * w).map(move |p| (p, c_))).map(|(p, c_)| values[p * c + c_]);
        (Shape::new(c as u32, h as u32, w as u32), planar.collect())
    };
    let (shape, a) = planar("costs.first");
    let (_, b) = planar("costs.second");
    let mut tape = Tape::new();
    let x = tape.external("x", shape, Role::Workspace);
    let target = tape.external("target", shape, Role::Workspace);
    let cost = tape.record(SquaredError::content_cost(), &[x, target], "content").unwrap();
    tape.keep(cost);
    let got = run(&engine, &tape, &[("x", &b), ("target", &a)]);
    assert_close("course content cost", &got[0], &[6.76559], 0.0, 1e-5);

    let (shape, s) = planar("costs.first");
    let (_, g) = planar("costs.second");
    let mut tape = Tape::new();
    let x = tape.external("x", shape, Role::Workspace);
    let y = tape.external("y", shape, Role::Workspace);
    let grams = [x, y].map(|x| tape.record(Gram, &[x], "gram").unwrap());
    let cost = tape.record(SquaredError::style_cost(), &grams, "style").unwrap();
    tape.keep(cost);
    let got = run(&engine, &tape, &[("x", &g), ("y", &s)]);
    assert_close("course style cost", &got[0], &[9.19028], 0.0, 1e-5);

    let a = course.f32("gram.a");
    let matrix = course.shape("gram.a");
    let mut tape = Tape::new();
    let x = tape.external("x", Shape::new(matrix[0] as u32, 1, matrix[1] as u32), Role::Workspace);
    let gram = tape.record(Gram, &[x], "gram").unwrap();
    tape.keep(gram);
    // Ours is divided by the pixels, the course's is not.
    let got: Vec<f32> = run(&engine, &tape, &[("x", &a)])[0].iter().map(|v| v * matrix[1] as f32).collect();
    let want = [
        6.422_305_11,
        -4.429_121_97,
        -2.096_682_07,
        -4.429_121_97,
        19.465_837_48,
        19.563_871_38,
        -2.096_682_07,
        19.563_871_38,
        20.686_462_4,
    ];
    assert_close("course Gram", &got, &want, 0.0, 1e-5);

    let mut tape = Tape::new();
    let weights = tape.external("weights", Shape::row(2), Role::Workspace);
    let costs = ["content", "style"].map(|name| tape.external(name, Shape::SCALAR, Role::Workspace));
    let total = tape.record(WeightedSum { first: 0 }, &[weights, costs[0], costs[1]], "total").unwrap();
    tape.keep(total);
    let (content, style) = (1.788_628_5_f32, 0.436_509_85_f32);
    let inputs: [(&str, &[f32]); 3] =
        [("weights", &[10.0, 40.0]), ("content", &[content]), ("style", &[style])];
    assert_close("course total cost", &run(&engine, &tape, &inputs)[0], &[35.346_678_754_782_76], 0.0, 1e-5);
}

#[test]
fn the_start_noise_begins_as_published() {
    let noise = uniform_noise(3, 400, 300);
    let plane = 300 * 400;
    let first = [noise[0], noise[plane], noise[2 * plane], noise[1]];
    assert_eq!(first, [-8.363_811, 0.433_104_22, 15.717_878, 15.851_724]);
}
