//! The style cost by optimal transport: the squared Wasserstein-2 distance of two Gaussians, |μ − μ_t|² + tr(Σ + Σ_t −
//! 2·(R·Σ·R)^½) with R = Σ_t^½ (D. C. Dowson and B. V. Landau, "The Fréchet Distance between Multivariate Normal Distributions",
//! 1982), divided by the variance of the target, tr Σ_t, so that layers can be compared, or by the number of channels.
//!
//! Its gradient with respect to Σ is G = I − R·(R·Σ·R)^−½·R, and I − G is the map that transports one Gaussian to the other. So
//! between two computations of the root the distance is taken as linear in Σ: <G, Σ> and the rest, which was left over when G
//! was made. At that moment cost and gradient are exact.

use super::gram::moments_shape;
use super::squared_error::partial_sums;
use super::{Capabilities, Dispatch, Io, Lowered, Op, Operand, Rule, Shape, Wire, expect_shapes};
use crate::error::Result;
use crate::gpu::params;

params! {
    /// Uniforms of the first passes: `threads` threads each leave one partial sum, or two, from `first` on.
    WassersteinParams { count: u32, channels: u32, threads: u32, first: u32 }
}
params! {
    /// Uniforms of the second passes.
    ReduceParams { partials: u32 }
}
params! {
    /// Uniforms of the second pass of the rest: `channels` is what the distance is divided by, 0 for the target's variance.
    RestReduceParams { partials: u32, channels: u32 }
}
params! {
    /// Uniforms of the backward kernel.
    BackwardParams { channels: u32 }
}

super::kernels! {
    folder: "wasserstein";
    wasserstein_forward(WassersteinParams) {
        workgroup: 64,
        bindings: [read moments, read target_, read g, write partials],
    }
    wasserstein_reduce(ReduceParams) { workgroup: 64, bindings: [read partials, read rest, write y] }
    wasserstein_backward(BackwardParams) {
        workgroup: 64,
        bindings: [read dy, read moments, read target_, read g, read rest, write d_x],
    }
    wasserstein_rest(WassersteinParams) {
        workgroup: 64,
        bindings: [read covariance, read root, read g, read target_, write partials],
    }
    wasserstein_rest_reduce(RestReduceParams) { workgroup: 64, bindings: [read partials, write y] }
}

/// What [`WassersteinRest`] makes.
const REST: Shape = Shape::row(2);

/// Whether these are the moments (1, C + 1, C), those of the target, G (1, C, C) and the rest (1, 1, 2).
fn fit(inputs: &[Shape]) -> bool {
    let channels = inputs.first().map_or(0, |moments| moments.w);
    inputs == [moments_shape(channels), moments_shape(channels), Shape::new(1, channels, channels), REST]
}

/// What a distance is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Divisor {
    /// The variance of the target, tr Σ_t: the distance of a picture without contrast is about 1, whatever the layer.
    Variance,
    /// The number of channels C: the mean over the channels, in squared units of the activations.
    Channels,
}

/// What of the distance does not depend on the moments until G is made anew, and what the distance is divided by:
/// tr Σ + tr Σ_t − 2·tr S − <G, Σ>, and tr Σ_t or C. Inputs the covariance Σ, the root S of R·Σ·R, G, and the target's covariance Σ_t,
/// each (1, C, C); output (1, 1, 2).
#[derive(Clone, Copy, Debug)]
pub struct WassersteinRest {
    /// What the distance is divided by.
    pub divisor: Divisor,
}

impl Op for WassersteinRest {
    fn name(&self) -> &'static str {
        "wasserstein_rest"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let square = |a: &Shape| *a == Shape::new(1, a.w, a.w) && *a == inputs[0];
        let fits = inputs.len() == 4 && inputs.iter().all(square);
        expect_shapes(self.name(), fits, "four square matrices 1×C×C of one size", inputs)?;
        Ok(REST)
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let channels = io.inputs[0].shape.w;
        let params = |count, threads, first| WassersteinParams { count, channels, threads, first };
        let inputs = |_| (0..4).map(|input| Operand::input(input, 0)).collect();
        let (mut dispatches, partials) =
            partial_sums(&kernels::wasserstein_rest, &io.inputs[0], 2, params, inputs);
        let operands = vec![Operand::Scratch { index: 0 }, Operand::output(0)];
        let channels = if self.divisor == Divisor::Channels { channels } else { 0 };
        let (params, flops) = (RestReduceParams { partials, channels }, 2 * u64::from(partials));
        dispatches.push(Dispatch::new(&kernels::wasserstein_rest_reduce, params, operands, 1, flops));
        Ok(Lowered { scratch: vec![2 * u64::from(partials)], dispatches, ..Lowered::default() })
    }
}

/// D = (|μ − μ_t|² + <G, E − μ·μᵀ> + rest)/tr Σ_t, or over C as the rest says, and 0 where tr Σ_t is not above 0. Inputs the moments (1, C + 1, C), those of
/// the target, G (1, C, C), and what [`WassersteinRest`] makes (1, 1, 2); a gradient reaches the first alone. Output a scalar.
#[derive(Clone, Copy, Debug)]
pub struct WassersteinCost;

impl Op for WassersteinCost {
    fn name(&self) -> &'static str {
        "wasserstein_cost"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        expect_shapes(self.name(), fit(inputs), "two moments 1×(C+1)×C, G 1×C×C and a rest 1×1×2", inputs)?;
        Ok(Shape::SCALAR)
    }

    fn backward(&self, input: usize, _shapes: &[Shape]) -> Option<Rule> {
        let inputs = (0..4).map(Wire::Input);
        let wires: Vec<Wire> = std::iter::once(Wire::Upstream).chain(inputs).collect();
        // The map minimises the distance, so that its own changes change nothing (the envelope theorem).
        Some(if input == 0 { Rule::new(WassersteinBackward, wires) } else { Rule::Constant })
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let channels = io.inputs[0].shape.w;
        let params = |count, threads, first| WassersteinParams { count, channels, threads, first };
        let inputs = |_| (0..3).map(|input| Operand::input(input, 0)).collect();
        let (mut dispatches, partials) =
            partial_sums(&kernels::wasserstein_forward, &io.inputs[0], 4, params, inputs);
        let operands = vec![Operand::Scratch { index: 0 }, Operand::input(3, 0), Operand::output(0)];
        let params = ReduceParams { partials };
        dispatches.push(Dispatch::new(&kernels::wasserstein_reduce, params, operands, 1, partials.into()));
        Ok(Lowered { scratch: vec![partials.into()], dispatches, ..Lowered::default() })
    }
}

/// The gradient of [`WassersteinCost`] with respect to the moments: dy·G/tr Σ_t, and in the last row
/// dy·(2·(μ − μ_t) − (G + Gᵀ)·μ)/tr Σ_t; 0 where tr Σ_t is not above 0. Inputs dy (scalar) and then those of the cost, output
/// (1, C + 1, C). In the features f of N cells, with a symmetric G, that is (2/N)·(G·(f − μ) + (μ − μ_t))/tr Σ_t.
#[derive(Clone, Copy, Debug)]
pub struct WassersteinBackward;

impl Op for WassersteinBackward {
    fn name(&self) -> &'static str {
        "wasserstein_backward"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.first() == Some(&Shape::SCALAR) && fit(&inputs[1..]);
        let rule = "a scalar, two moments 1×(C+1)×C, G 1×C×C and a rest 1×1×2";
        expect_shapes(self.name(), fits, rule, inputs)?;
        Ok(inputs[1])
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let channels = io.output().shape.w;
        let operands = (0..5).map(|input| Operand::input(input, 0)).chain([Operand::output(0)]).collect();
        let flops = 4 * u64::from(channels) * u64::from(channels);
        let params = BackwardParams { channels };
        let dispatch = Dispatch::new(&kernels::wasserstein_backward, params, operands, channels, flops);
        Ok(Lowered { dispatches: vec![dispatch], ..Lowered::default() })
    }
}
