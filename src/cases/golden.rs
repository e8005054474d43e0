//! The golden run: activations, Gram matrices, gradient and twenty steps of a small picture, as an independent
//! PyTorch program computed them (`tests/fixtures/README.md`), against what a device makes of them.
//!
//! The numbers and the two pictures, a megabyte together, are part of the library, because `impasto doctor` compares
//! with them on machines that have the program and nothing else. A program that never asks for them is linked without
//! them.

use std::sync::Arc;

use safetensors::{Dtype, SafeTensors};
use web_time::Instant;

use super::compare::Comparison;
use super::tolerance::Tolerance;
use crate::error::Result;
use crate::gpu::Readback;
use crate::graph::{Executable, Externals, Role, Tape, TensorId, differentiate, fuse, plan, rematerialise};
use crate::nn::Network;
use crate::ops::gram::Gram;
use crate::ops::squared_error::SquaredError;
use crate::ops::weighted_sum::WeightedSum;
use crate::ops::{Algorithm, MethodRequest, Shape};
use crate::picture::{Extent, Picture};
use crate::transfer::{Costs, Engine, Options, Preset, Transfer};

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/", $name))
    };
}

const GOLDEN: &[u8] = fixture!("golden-97x75.safetensors");
const CONTENT: &[u8] = fixture!("content-97x75.png");
const STYLE: &[u8] = fixture!("style-90x64.png");

/// The extents of the content and of the style.
pub const SIZES: [Extent; 2] = [Extent::new(97, 75), Extent::new(90, 64)];
/// The pixels of the golden run.
pub const PIXELS: Shape = Shape::new(3, 75, 97);
/// Its style layers.
pub const STYLE_LAYERS: [&str; 5] = ["conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"];
/// Its content layer.
const CONTENT_LAYER: &str = "conv4_2";
/// The weights of the style layers' costs, β times λ, and α.
const COST_WEIGHTS: [f32; 6] = [8.0, 8.0, 8.0, 8.0, 8.0, 10.0];
/// The steps after which the pixels are known.
const KNOWN_STEPS: [usize; 3] = [1, 5, 20];
/// Why the pixels at the start may differ.
const START: &str = "content and noise are mixed with two products and a sum, which round by 2⁻²⁴ each";
/// Why a gradient, and a cost, may differ.
const ROUNDING: &str = "all layers round in single precision, and add in another order";

/// A file of numbers from elsewhere. What is not in it, or not a number, is a mistake of ours: its readers panic.
#[derive(Debug)]
pub struct Numbers(SafeTensors<'static>);

impl Numbers {
    /// The golden run's.
    pub fn golden() -> Self {
        Self::open(GOLDEN)
    }

    /// Those of a safetensors file.
    ///
    /// # Panics
    /// Where it is none.
    pub fn open(bytes: &'static [u8]) -> Self {
        Self(SafeTensors::deserialize(bytes).expect("a whole file of numbers"))
    }

    fn tensor(&self, name: &str) -> safetensors::tensor::TensorView<'_> {
        self.0.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The numbers of a tensor.
    ///
    /// # Panics
    /// Where it is not there, or neither F32 nor F64.
    pub fn f64(&self, name: &str) -> Vec<f64> {
        let view = self.tensor(name);
        match view.dtype() {
            Dtype::F32 => {
                view.data().as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect()
            }
            Dtype::F64 => view.data().as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
            other => panic!("{name} is {other:?}"),
        }
    }

    /// The same in single precision.
    ///
    /// # Panics
    /// As [`Self::f64`].
    pub fn f32(&self, name: &str) -> Vec<f32> {
        self.f64(name).into_iter().map(|value| value as f32).collect()
    }

    /// The sides of a tensor.
    ///
    /// # Panics
    /// Where it is not there.
    pub fn shape(&self, name: &str) -> Vec<usize> {
        self.tensor(name).shape().to_vec()
    }
}

/// How far an algorithm is followed along the golden run.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// The algorithm's name; `auto` for the usual choice.
    pub name: &'static str,
    /// The algorithm.
    pub kernels: MethodRequest,
    /// Whether activations and Gram matrices are compared.
    pub layers: bool,
    /// Whether the gradient is compared.
    pub gradient: bool,
    /// How many steps are compared.
    pub steps: usize,
}

/// Every algorithm: the usual choice as far as anything is known, Winograd and direct sums in all steps; implicit
/// GEMM in fewer, because software adapters run workgroup memory slowly; plain loops, which are slow everywhere, in
/// one.
pub const PATHS: [Path; 5] = [
    Path { name: "auto", kernels: MethodRequest::Auto, layers: true, gradient: true, steps: 20 },
    Path { steps: 20, ..by("winograd", Algorithm::Winograd) },
    Path { steps: 5, ..by("gemm", Algorithm::Gemm) },
    Path { steps: 20, ..by("direct", Algorithm::Direct) },
    Path { gradient: false, steps: 1, ..by("naive", Algorithm::Naive) },
];

const fn by(name: &'static str, algorithm: Algorithm) -> Path {
    Path { name, kernels: MethodRequest::Algorithm(algorithm), layers: false, gradient: true, steps: 0 }
}

/// How far from the golden run the steps may be.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    /// The pixels after 1, 5 and 20 steps: ‖got − want‖ / ‖want‖.
    pub pixels: [f64; KNOWN_STEPS.len()],
    /// A cost, by its name (total, style or content) and the step: |got / want − 1|.
    pub cost: fn(&str, usize) -> f64,
    /// Why that much.
    pub reason: &'static str,
}

impl Allowed {
    /// In single precision.
    pub const SINGLE: Self = Self {
        pixels: [1e-5, 1e-4, 1e-2],
        cost: |name, step| match (name, step <= 10) {
            ("content", true) => 1e-3,
            ("content", false) => 3e-3,
            (_, true) => 2e-4,
            (_, false) => 1e-3,
        },
        reason: "rounding grows from step to step; the content cost feels it first",
    };
}

/// One thing that was compared.
#[derive(Clone, Debug)]
pub struct Check {
    /// What: one of [`Path::checks`].
    pub name: String,
    /// Its parts, such as the layers.
    pub parts: Vec<Comparison>,
    /// Seconds on the wall for computing and comparing it.
    pub seconds: f64,
}

impl Check {
    /// The part that uses most of its allowed error.
    pub fn worst(&self) -> &Comparison {
        let worst = self.parts.iter().max_by(|a, b| a.worst_share.total_cmp(&b.worst_share));
        worst.expect("a check has parts")
    }
}

impl Path {
    /// The path of this name.
    ///
    /// # Panics
    /// Where there is none.
    pub fn named(name: &str) -> Self {
        *PATHS.iter().find(|path| path.name == name).expect("a path of this name")
    }

    /// Names of what [`Self::follow`] compares, in order.
    pub fn checks(&self) -> Vec<String> {
        let layers = if self.layers { &["activations", "grams"][..] } else { &[] };
        let gradient = if self.gradient { &["gradient"][..] } else { &[] };
        let mut names: Vec<String> =
            layers.iter().chain(gradient).chain(&["start"]).map(|name| (*name).to_owned()).collect();
        for steps in self.known_steps() {
            names.extend(["costs", "pixels"].map(|what| format!("{what} after {steps}")));
        }
        names
    }

    /// The steps after which pixels are compared.
    fn known_steps(&self) -> impl Iterator<Item = usize> {
        let most = self.steps;
        KNOWN_STEPS.into_iter().filter(move |steps| *steps <= most)
    }

    /// Runs what the path says on an engine, which must take the path's [`Path::kernels`], and reports each check
    /// when it is done. The engine's weights must be those that come with the library.
    ///
    /// # Errors
    /// [`crate::Error::Memory`] and [`crate::Error::Gpu`] from the device; what was reported before holds.
    pub async fn follow(
        &self,
        engine: &Engine,
        allowed: &Allowed,
        mut report: impl FnMut(Check),
    ) -> Result<()> {
        let mut begin = Instant::now();
        let mut report = |name: &str, parts: Vec<Comparison>| {
            let seconds = begin.elapsed().as_secs_f64();
            begin = Instant::now();
            report(Check { name: name.to_owned(), parts, seconds });
        };
        if self.layers {
            report("activations", activations(engine).await?);
            report("grams", grams(engine).await?);
        }
        if self.gradient {
            report("gradient", gradient(engine).await?);
        }
        let golden = Numbers::golden();
        let mut transfer =
            Transfer::prepare(engine, (content()?, style()?), &Options::preset(Preset::Course)).await?;
        let init = relative_in_norm(&transfer.pixels().await?, &golden.f64("init"));
        report("start", vec![Comparison::of_figure("start in norm", init, 1e-7).because(START)]);
        let mut done = 0;
        for (known, allowed_pixels) in self.known_steps().zip(allowed.pixels) {
            let mut costs = Vec::new();
            while done < known {
                costs.extend(compare_costs(&golden, allowed, done, &transfer.step().await?));
                done += 1;
            }
            // Those of the picture as it is now; after the next step they are reported again, and must be right again.
            costs.extend(compare_costs(&golden, allowed, done, &transfer.cost().await?));
            report(&format!("costs after {known}"), costs);
            let want = golden.f64(&format!("pixels_after_{known}"));
            let error = relative_in_norm(&transfer.pixels().await?, &want);
            let name = format!("pixels after {known}");
            report(&name, vec![Comparison::of_figure(&name, error, allowed_pixels).because(allowed.reason)]);
        }
        Ok(())
    }
}

fn compare_costs(golden: &Numbers, allowed: &Allowed, step: usize, costs: &Costs) -> [Comparison; 3] {
    [("total", costs.total), ("style", costs.style), ("content", costs.content)].map(|(name, got)| {
        let want = golden.f64(&format!("series.{name}"))[step];
        let error = (f64::from(got) / want - 1.0).abs();
        let name_at_step = format!("{name} cost at step {step}");
        Comparison::of_figure(&name_at_step, error, (allowed.cost)(name, step)).because(allowed.reason)
    })
}

fn content() -> Result<Picture> {
    Picture::decode(CONTENT, "content")
}

fn style() -> Result<Picture> {
    Picture::decode(STYLE, "style")
}

/// For the values of a layer.
fn of_largest(want: &[f64]) -> Tolerance {
    Tolerance {
        atol: 1e-4 * largest(want),
        rtol: 0.0,
        reason: "1e-4 of the layer's largest value is what single precision and another order of the sums may cost",
    }
}

/// The network's deepest layer that is compared.
fn deepest(network: &Network) -> usize {
    network.index_of("conv5_1").unwrap_or(network.layers().len() - 1)
}

/// The activations of every layer to conv5_1 against the golden ones, of which the first four channels are known.
///
/// # Errors
/// From the device.
pub async fn activations(engine: &Engine) -> Result<Vec<Comparison>> {
    let golden = Numbers::golden();
    let all = layers(engine, &golden.f32("init")).await?;
    let one = |(layer, shape, got): &(String, Shape, Vec<f32>)| {
        let want = golden.f64(&format!("activation_at_init.{layer}"));
        let got = &got[..4 * shape.plane() as usize];
        of_largest(&want).compare(&format!("activation {layer}"), got, &want)
    };
    Ok(all.iter().map(one).collect())
}

/// The activations of every layer to conv5_1, with name and shape, for these pixels.
///
/// # Errors
/// From the device.
pub async fn layers(engine: &Engine, pixels: &[f32]) -> Result<Vec<(String, Shape, Vec<f32>)>> {
    let mut tape = Tape::new();
    let x = tape.external("pixels", PIXELS, Role::Optimiser);
    let mut layers = Vec::new();
    let network = engine.weights().network();
    network.record(&mut tape, x, deepest(network), false, |tape, layer, activations| {
        tape.keep(activations);
        layers.push((layer.to_owned(), tape.shape(activations)));
        Ok(())
    })?;
    let all = kept(engine, &tape, &[("pixels", pixels)]).await?;
    Ok(layers.into_iter().zip(all).map(|((layer, shape), values)| (layer, shape, values)).collect())
}

/// The Gram matrices against the golden ones, of which a corner is known.
///
/// # Errors
/// From the device.
pub async fn grams(engine: &Engine) -> Result<Vec<Comparison>> {
    let golden = Numbers::golden();
    let mut tape = Tape::new();
    let x = tape.external("pixels", PIXELS, Role::Optimiser);
    let network = engine.weights().network();
    network.record(&mut tape, x, deepest(network), false, |tape, layer, activations| {
        if STYLE_LAYERS.contains(&layer) {
            let gram = tape.record(Gram, &[activations], layer)?;
            tape.keep(gram);
        }
        Ok(())
    })?;
    let grams = kept(engine, &tape, &[("pixels", &golden.f32("init"))]).await?;
    let one = |(layer, got): (&&str, &Vec<f32>)| {
        let want = golden.f64(&format!("gram_at_init.{layer}"));
        let channels = got.len().isqrt();
        let corner: Vec<f32> =
            (0..16).flat_map(|row| got[row * channels..row * channels + 16].to_vec()).collect();
        of_largest(&want).compare(&format!("gram {layer}"), &corner, &want)
    };
    Ok(STYLE_LAYERS.iter().zip(&grams).map(one).collect())
}

/// The gradient of the total cost, and the cost of each style layer, against the golden ones. The course's tape is put
/// together here from the library's parts, so that its gradient can be kept.
///
/// # Errors
/// From the device.
pub async fn gradient(engine: &Engine) -> Result<Vec<Comparison>> {
    let golden = Numbers::golden();
    let grams = tapped(engine, &style()?, &STYLE_LAYERS, true).await?;
    let target = tapped(engine, &content()?, &[CONTENT_LAYER], false).await?;

    let mut tape = Tape::new();
    let x = tape.external("pixels", PIXELS, Role::Optimiser);
    let mut content_cost = None;
    let mut style_costs: Vec<TensorId> = Vec::new();
    let network = engine.weights().network();
    network.record(&mut tape, x, deepest(network), true, |tape, layer, activations| {
        if layer == CONTENT_LAYER {
            let target = tape.external("target", tape.shape(activations), Role::Workspace);
            content_cost = Some(tape.record(SquaredError::content_cost(), &[activations, target], layer)?);
        }
        if STYLE_LAYERS.contains(&layer) {
            let gram = tape.record(Gram, &[activations], layer)?;
            let target = tape.external(layer, tape.shape(gram), Role::Workspace);
            style_costs.push(tape.record(SquaredError::style_cost(), &[gram, target], layer)?);
        }
        Ok(())
    })?;
    let weights = tape.external("weights", Shape::row(COST_WEIGHTS.len() as u32), Role::Workspace);
    let terms: Vec<TensorId> = [weights].into_iter().chain(style_costs.clone()).chain(content_cost).collect();
    let total = tape.record(WeightedSum { first: 0 }, &terms, "total")?;
    let seed = tape.external("seed", Shape::SCALAR, Role::Workspace);
    let gradient = differentiate(&mut tape, total, &[x], seed)?[0];
    tape.keep(gradient);
    style_costs.iter().for_each(|cost| tape.keep(*cost));
    let init = golden.f32("init");
    let mut inputs: Vec<(&str, &[f32])> =
        vec![("pixels", &init), ("target", &target[0]), ("weights", &COST_WEIGHTS), ("seed", &[1.0])];
    inputs.extend(STYLE_LAYERS.iter().zip(&grams).map(|(layer, gram)| (*layer, gram.as_slice())));
    let got = kept(engine, &tape, &inputs).await?;
    let error = relative_in_norm(&got[0], &golden.f64("gradient_at_init"));
    let mut compared = vec![Comparison::of_figure("gradient in norm", error, 1e-3).because(ROUNDING)];
    for (layer, cost) in STYLE_LAYERS.iter().zip(&got[1..]) {
        let want = golden.f64(&format!("style_cost_at_init.{layer}"));
        let tolerance = Tolerance { atol: 0.0, rtol: 1e-4, reason: ROUNDING };
        compared.push(tolerance.compare(&format!("style cost {layer}"), cost, &want));
    }
    Ok(compared)
}

/// The activations of the `wanted` layers for a picture, or the Gram matrices of these.
async fn tapped(engine: &Engine, picture: &Picture, wanted: &[&str], gram: bool) -> Result<Vec<Vec<f32>>> {
    let mean = engine.weights().mean();
    let channel = |c: usize| picture.rgb().iter().skip(c).step_by(3).map(move |v| f32::from(*v) - mean[c]);
    let planar: Vec<f32> = (0..3).flat_map(channel).collect();
    let mut tape = Tape::new();
    let x = tape.external("pixels", Shape::new(3, picture.height(), picture.width()), Role::Optimiser);
    let network = engine.weights().network();
    network.record(&mut tape, x, deepest(network), false, |tape, layer, activations| {
        if wanted.contains(&layer) {
            let kept = if gram { tape.record(Gram, &[activations], layer)? } else { activations };
            tape.keep(kept);
        }
        Ok(())
    })?;
    kept(engine, &tape, &[("pixels", &planar)]).await
}

/// Runs a tape once, as it is planned for this device, on inputs by name, and returns what it keeps.
///
/// # Errors
/// [`crate::Error::Memory`] and [`crate::Error::Gpu`] from the device.
///
/// # Panics
/// Where an input is missing that is no weight.
pub async fn kept(engine: &Engine, tape: &Tape, inputs: &[(&str, &[f32])]) -> Result<Vec<Vec<f32>>> {
    let gpu = engine.gpu();
    let program = plan(&rematerialise(&fuse(tape)), &engine.limits())?;
    let mut externals = Externals::default();
    engine.bind_weights(&program, &mut externals).await?;
    for external in program.externals.iter().filter(|external| external.role != Role::Weights) {
        let values = inputs.iter().find(|(name, _)| *name == external.name);
        let (_, values) = values.unwrap_or_else(|| panic!("values for {}", external.name));
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let buffer = gpu.buffer(&external.name, external.bytes, usage).await?;
        gpu.write(&buffer, 0, bytemuck::cast_slice(values)).await?;
        externals.insert(external, Arc::new(buffer));
    }
    let executable = Executable::new(gpu, engine.pipelines(), program, externals).await?;
    let mut encoder = gpu.encoder("impasto");
    executable.record(&mut encoder, 0..executable.program().slices.len());
    let ranges: Vec<Vec<_>> =
        (0..executable.program().kept.len()).map(|kept| executable.kept(kept)).collect();
    let most = ranges.iter().map(|pieces| pieces.iter().map(|piece| piece.2).sum()).max().unwrap_or(0);
    let mut readback = Readback::new(gpu, most, ranges.len()).await?;
    let tickets: Vec<_> = ranges.iter().map(|pieces| readback.copy(&mut encoder, pieces)).collect();
    gpu.queue().submit([encoder.finish()]);
    let mut values = Vec::new();
    for ticket in tickets {
        values.push(bytemuck::pod_collect_to_vec(&readback.read(gpu, ticket).await?));
    }
    gpu.check("running a part of the network")?;
    Ok(values)
}

/// The largest absolute value.
pub fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, value| value.abs().max(most))
}

/// ‖got − want‖ / ‖want‖; infinite where the lengths differ.
pub fn relative_in_norm(got: &[f32], want: &[f64]) -> f64 {
    if got.len() != want.len() {
        return f64::INFINITY;
    }
    let difference: f64 = got.iter().zip(want).map(|(got, want)| (f64::from(*got) - want).powi(2)).sum();
    (difference / want.iter().map(|want| want * want).sum::<f64>()).sqrt()
}
