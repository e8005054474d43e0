//! The Winograd GEMM kernels by themselves against plain loops in f64: sizes that fill no tile, both directions,
//! whole and in slices, between sentinels.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use common::compare::{assert_canary, assert_within};
use common::gpu::{Run, RunOptions, run, shared_gpu};
use common::random::Random;
use half::f16;
use impasto::cases::{Case, Fill, Input, Step, Tolerance};
use impasto::gpu::Kernel;
use impasto::graph::Role;
use impasto::ops::conv::gemm::{COMPONENTS, WinogradGemm};
use impasto::ops::{Capabilities, Io, KERNELS, Lowered, Op, Operand, Shape};

/// The products alone, of u and v.
#[derive(Debug)]
struct Gemm {
    kernel: &'static Kernel,
    sizes: WinogradGemm,
}

impl Op for Gemm {
    fn name(&self) -> &'static str {
        "winograd_gemm"
    }

    fn output_shape(&self, _inputs: &[Shape]) -> impasto::Result<Shape> {
        Ok(Shape::new(COMPONENTS, self.sizes.outputs, 4 * self.sizes.stride4))
    }

    fn lower(&self, _io: &Io<'_>, _capabilities: &Capabilities) -> impasto::Result<Lowered> {
        let operands = vec![Operand::input(0, 0), Operand::input(1, 0), Operand::output(0)];
        let dispatch = self.sizes.dispatch(self.kernel, operands);
        Ok(Lowered { dispatches: vec![dispatch], ..Lowered::default() })
    }
}

/// A layer from `c_in` to `c_out` channels, of `tiles4` vec4s of tiles in rows of `stride4`.
#[derive(Clone, Copy, Debug)]
struct Layer {
    c_in: u32,
    c_out: u32,
    tiles4: u32,
    stride4: u32,
}

const LAYERS: [Layer; 7] = [
    Layer { c_in: 1, c_out: 1, tiles4: 1, stride4: 1 },
    Layer { c_in: 5, c_out: 17, tiles4: 1, stride4: 2 },
    Layer { c_in: 17, c_out: 5, tiles4: 9, stride4: 9 },
    Layer { c_in: 16, c_out: 64, tiles4: 16, stride4: 20 },
    Layer { c_in: 33, c_out: 66, tiles4: 17, stride4: 21 },
    Layer { c_in: 70, c_out: 33, tiles4: 8, stride4: 13 },
    Layer { c_in: 64, c_out: 97, tiles4: 33, stride4: 36 },
];

impl Layer {
    fn sizes(self, transposed: bool) -> WinogradGemm {
        let (depth, outputs) = if transposed { (self.c_out, self.c_in) } else { (self.c_in, self.c_out) };
        WinogradGemm {
            depth,
            outputs,
            tiles4: self.tiles4,
            stride4: self.stride4,
            weight_rows: self.c_in,
            weight_blocks: self.c_out.div_ceil(32),
            transposed,
        }
    }

    /// Where the weight from c_in to c_out of a component lies in u.
    fn weight_at(self, component: u32, c_in: u32, c_out: u32) -> usize {
        let blocks = self.c_out.div_ceil(32);
        (((component * blocks + c_out / 32) * self.c_in + c_in) * 32 + c_out % 32) as usize
    }

    /// u, whose padding is zero.
    fn weights(self, random: &mut Random) -> Vec<f32> {
        let blocks = self.c_out.div_ceil(32);
        let mut u = vec![0.0; (COMPONENTS * blocks * self.c_in * 32) as usize];
        for component in 0..COMPONENTS {
            for c_in in 0..self.c_in {
                for c_out in 0..self.c_out {
                    u[self.weight_at(component, c_in, c_out)] = random.uniform(-1.0, 1.0) as f32;
                }
            }
        }
        u
    }

    /// v, whose padding nobody may let into a sum.
    fn values(self, depth: u32, random: &mut Random) -> Vec<f32> {
        let (held, stride) = (4 * self.tiles4, 4 * self.stride4);
        (0..COMPONENTS * depth * stride)
            .map(|i| if i % stride < held { random.uniform(-1.0, 1.0) as f32 } else { f32::NAN })
            .collect()
    }
}

/// The products by the definition; `None` where nothing may be written.
fn expected(layer: Layer, sizes: WinogradGemm, u: &[f32], v: &[f32]) -> Vec<Option<f64>> {
    let mut m = Vec::new();
    for component in 0..COMPONENTS {
        for output in 0..sizes.outputs {
            for tile in 0..4 * sizes.stride4 {
                let product = |d: u32| {
                    let weight = if sizes.transposed {
                        u[layer.weight_at(COMPONENTS - 1 - component, output, d)]
                    } else {
                        u[layer.weight_at(component, d, output)]
                    };
                    let value = v[((component * sizes.depth + d) * 4 * sizes.stride4 + tile) as usize];
                    f64::from(weight) * f64::from(value)
                };
                m.push((tile < 4 * sizes.tiles4).then(|| (0..sizes.depth).map(product).sum()));
            }
        }
    }
    m
}

/// The values that had to be written, in order; the others must still be what was there before.
#[track_caller]
fn written(name: &str, run: &Run, expected: &[Option<f64>]) -> Vec<f64> {
    assert!(run.overruns.is_empty(), "{name}: {}", run.overruns.join("; "));
    assert_eq!(run.output.len(), expected.len(), "{name}");
    let untouched = |(bits, want): (&u32, &Option<f64>)| want.is_some() || *bits == common::gpu::POISON;
    assert!(run.output.iter().zip(expected).all(untouched), "{name}: padding was written");
    let values = run.output.iter().zip(expected).filter(|(_, want)| want.is_some());
    values.map(|(bits, _)| f64::from(f32::from_bits(*bits))).collect()
}

#[track_caller]
fn check(kernel: &'static Kernel, directions: &[bool]) {
    let half = kernel.name.contains("_half");
    for layer in LAYERS {
        for transposed in directions.iter().copied() {
            let sizes = layer.sizes(transposed);
            let name = format!("{} of {layer:?}, transposed: {transposed}", kernel.name);
            let mut random = Random::new(u64::from(layer.c_in * 1000 + layer.c_out));
            let (mut u, mut v) = (layer.weights(&mut random), layer.values(sizes.depth, &mut random));
            if half {
                round(&mut u);
                round(&mut v);
            }
            let m = expected(layer, sizes, &u, &v);
            let want: Vec<f64> = m.iter().copied().flatten().collect();
            let mut shape_u = Shape::new(COMPONENTS, sizes.weight_blocks, 32 * sizes.weight_rows);
            let mut shape_v = Shape::new(COMPONENTS, sizes.depth, 4 * sizes.stride4);
            if half {
                u = packed(&u);
                shape_u.w /= 2;
            }
            if half && !transposed {
                // Stored as a 64th, which the kernel undoes.
                v = packed(&v.iter().map(|value| value / 64.0).collect::<Vec<_>>());
                shape_v.w /= 2;
            }
            let input = |shape, values| Input { shape, role: Role::Workspace, fill: Fill::Given(values) };
            let case = Case {
                name: name.clone(),
                family: "conv_forward",
                inputs: vec![input(shape_u, u), input(shape_v, v)],
                steps: vec![Step { op: Arc::new(Gemm { kernel, sizes }), inputs: vec![0, 1] }],
                repeats: 1,
                pieces: 1,
                tolerance: Tolerance {
                    atol: 2.0 * f64::from(sizes.depth) / f64::from(1 << 24),
                    rtol: 1e-6,
                    reason: "each addition of numbers within ±1 rounds by 2⁻²⁴ of a sum that is seldom larger than \
                             the root of their number; the factor 2 is for the exceptions",
                },
            };
            let whole = run(&case, &RunOptions { guards: true, ..RunOptions::default() });
            let got = written(&name, &whole, &m);
            assert_within(&name, &got, &want, case.tolerance);
            assert_canary(&name, &got, &want, case.tolerance.atol, case.tolerance.rtol);
            let sliced = run(&case, &RunOptions { slices: true, ..RunOptions::default() });
            assert_eq!(whole.output, sliced.output, "{name}: slices make a difference");
        }
    }
}

/// To numbers that f16 has, also when divided by 64, so that storing them costs nothing.
fn round(values: &mut [f32]) {
    values.iter_mut().for_each(|value| *value = 64.0 * f16::from_f32(*value / 64.0).to_f32());
}

/// Two f16 a word.
fn packed(values: &[f32]) -> Vec<f32> {
    let bits = |value: f32| u32::from(f16::from_f32(value).to_bits());
    values.chunks_exact(2).map(|pair| f32::from_bits(bits(pair[0]) | bits(pair[1]) << 16)).collect()
}

fn named(name: &str) -> &'static Kernel {
    KERNELS.iter().find(|kernel| kernel.name == name).unwrap()
}

#[test]
fn winograd_gemm_tile() {
    check(named("winograd_gemm_tile"), &[false, true]);
}

#[test]
fn winograd_gemm_tile8() {
    check(named("winograd_gemm_tile8"), &[false, true]);
}

#[test]
fn winograd_gemm_forward_subgroup() {
    check_subgroup("winograd_gemm_forward_subgroup", false);
}

#[test]
fn winograd_gemm_backward_subgroup() {
    check_subgroup("winograd_gemm_backward_subgroup", true);
}

#[test]
fn winograd_gemm_tile_half() {
    check(named("winograd_gemm_tile_half"), &[false]);
}

#[test]
fn winograd_gemm_tile_half_weights() {
    check(named("winograd_gemm_tile_half_weights"), &[true]);
}

#[test]
fn winograd_gemm_tile8_half() {
    check(named("winograd_gemm_tile8_half"), &[false]);
}

#[test]
fn winograd_gemm_tile8_half_weights() {
    check(named("winograd_gemm_tile8_half_weights"), &[true]);
}

#[test]
fn winograd_gemm_forward_subgroup_half() {
    check_subgroup("winograd_gemm_forward_subgroup_half", false);
}

#[test]
fn winograd_gemm_backward_subgroup_half_weights() {
    check_subgroup("winograd_gemm_backward_subgroup_half_weights", true);
}

/// Checks a kernel that is for one subgroup size only, where the device has it.
#[track_caller]
fn check_subgroup(name: &str, transposed: bool) {
    let kernel = named(name);
    if Capabilities::of(shared_gpu().gpu.summary()).allows(kernel) {
        check(kernel, &[transposed]);
    } else {
        println!("{name} is for subgroups of {:?} lanes, which this device does not have", kernel.subgroup);
    }
}
