//! The style cost by covariances: |Σ − Σ_t|²/|Σ_t|² by Frobenius norms, with Σ the covariance of a layer's channels. Without the
//! means it compares what is active together beyond what every channel is on its own: the Gram matrix of centred features, as
//! B. Sun and K. Saenko, arXiv 1607.01719 ("Deep CORAL"), have it. Over the norm of the target it has no unit, so that layers
//! can be compared: 0 is the style's, 1 a picture without any contrast.

use super::gram::moments_shape;
use super::squared_error::{partial_sums, reduce};
use super::{Capabilities, Dispatch, Io, Lowered, Op, Operand, Rule, Shape, Wire, expect_shapes};
use crate::error::Result;
use crate::gpu::params;

params! {
    /// Uniforms of the first pass: `threads` threads each leave one partial sum, from `first` on.
    ForwardParams { count: u32, channels: u32, threads: u32, first: u32 }
}
params! {
    /// Uniforms of the backward kernel.
    BackwardParams { channels: u32 }
}

super::kernels! {
    folder: "covariance_cost";
    covariance_cost_forward(ForwardParams) {
        workgroup: 64,
        bindings: [read moments, read target_, read norm, write partials],
    }
    covariance_cost_backward(BackwardParams) {
        workgroup: 64,
        bindings: [read dy, read moments, read target_, read norm, write d_x],
    }
}

const RULE: &str = "moments 1×(C+1)×C, a target 1×C×C and its norm";

/// Whether these are the moments (1, C + 1, C), the target's covariance (1, C, C) and its norm.
fn fit(inputs: &[Shape]) -> bool {
    let channels = inputs.first().map_or(0, |moments| moments.w);
    inputs == [moments_shape(channels), Shape::new(1, channels, channels), Shape::SCALAR]
}

/// |Σ − Σ_t|²/|Σ_t|², and 0 where the target has no covariance. Inputs the moments (1, C + 1, C) that
/// [`Moments`](super::gram::Moments) makes, the target's covariance Σ_t (1, C, C), and its Frobenius norm
/// ([`FrobeniusNorm`](super::matrix::FrobeniusNorm)); a gradient reaches the first alone. Output a scalar.
#[derive(Clone, Copy, Debug)]
pub struct CovarianceCost;

impl Op for CovarianceCost {
    fn name(&self) -> &'static str {
        "covariance_cost"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        expect_shapes(self.name(), fit(inputs), RULE, inputs)?;
        Ok(Shape::SCALAR)
    }

    fn backward(&self, input: usize, _shapes: &[Shape]) -> Option<Rule> {
        let wires = [Wire::Upstream, Wire::Input(0), Wire::Input(1), Wire::Input(2)];
        (input == 0).then(|| Rule::new(CovarianceCostBackward, wires))
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let channels = io.inputs[0].shape.w;
        let params = |count, threads, first| ForwardParams { count, channels, threads, first };
        let inputs = |_| (0..3).map(|input| Operand::input(input, 0)).collect();
        let (mut dispatches, partials) =
            partial_sums(&kernels::covariance_cost_forward, &io.inputs[1], 6, params, inputs);
        dispatches.push(reduce(Operand::Scratch { index: 0 }, partials, 1.0, Operand::output(0)));
        Ok(Lowered { scratch: vec![partials.into()], dispatches, ..Lowered::default() })
    }
}

/// The gradient of [`CovarianceCost`] with respect to the moments: dy·2·D/|Σ_t|² with D = Σ − Σ_t, and in the last row
/// −dy·2·(D + Dᵀ)·μ/|Σ_t|². Inputs dy (scalar) and then those of the cost, output (1, C + 1, C). In the features f of N cells that
/// is (4/N)·D·(f − μ)/|Σ_t|².
#[derive(Clone, Copy, Debug)]
pub struct CovarianceCostBackward;

impl Op for CovarianceCostBackward {
    fn name(&self) -> &'static str {
        "covariance_cost_backward"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.first() == Some(&Shape::SCALAR) && fit(&inputs[1..]);
        expect_shapes(self.name(), fits, &format!("a scalar, {RULE}"), inputs)?;
        Ok(inputs[1])
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let channels = io.output().shape.w;
        let operands = (0..4).map(|input| Operand::input(input, 0)).chain([Operand::output(0)]).collect();
        let flops = 11 * u64::from(channels) * u64::from(channels);
        let params = BackwardParams { channels };
        let dispatch = Dispatch::new(&kernels::covariance_cost_backward, params, operands, channels, flops);
        Ok(Lowered { dispatches: vec![dispatch], ..Lowered::default() })
    }
}
