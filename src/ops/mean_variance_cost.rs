//! The style cost by means and standard deviations: (|μ − μ_t|² + |σ − σ_t|²)/|σ_t|² over a layer's channels. These are the
//! statistics of batch normalisation: Y. Li et al., arXiv 1701.01036 ("Demystifying Neural Style Transfer"), and X. Huang and
//! S. Belongie, arXiv 1703.06868. It is the squared Wasserstein distance of two normal distributions whose channels have nothing
//! to do with each other, over the variance of the target, and so has the scale of [`super::wasserstein`].

use super::gram::moments_shape;
use super::{Capabilities, Dispatch, Io, Lowered, Op, Operand, Rule, Shape, Wire, expect_shapes};
use crate::error::Result;
use crate::gpu::params;

params! {
    /// Uniforms of both kernels.
    CostParams { channels: u32 }
}

super::kernels! {
    folder: "mean_variance_cost";
    mean_variance_cost_forward(CostParams) {
        workgroup: 64,
        bindings: [read moments, read target_, write y],
    }
    mean_variance_cost_backward(CostParams) {
        workgroup: 64,
        bindings: [read dy, read moments, read target_, write d_x],
    }
}

/// Whether these are two moments (1, C + 1, C).
fn fit(inputs: &[Shape]) -> bool {
    let channels = inputs.first().map_or(0, |moments| moments.w);
    inputs == [moments_shape(channels); 2]
}

/// (|μ − μ_t|² + |σ − σ_t|²)/|σ_t|², where a variance counts 10⁻⁵ more than it is. Inputs the moments (1, C + 1, C) that
/// [`Moments`](super::gram::Moments) makes, and those of the target; a gradient reaches the first alone. Output a scalar.
#[derive(Clone, Copy, Debug)]
pub struct MeanVarianceCost;

impl Op for MeanVarianceCost {
    fn name(&self) -> &'static str {
        "mean_variance_cost"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        expect_shapes(self.name(), fit(inputs), "two moments 1×(C+1)×C", inputs)?;
        Ok(Shape::SCALAR)
    }

    fn backward(&self, input: usize, _shapes: &[Shape]) -> Option<Rule> {
        let wires = [Wire::Upstream, Wire::Input(0), Wire::Input(1)];
        (input == 0).then(|| Rule::new(MeanVarianceCostBackward, wires))
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let channels = io.inputs[0].shape.w;
        let operands = vec![Operand::input(0, 0), Operand::input(1, 0), Operand::output(0)];
        let (params, flops) = (CostParams { channels }, 14 * u64::from(channels));
        let dispatch = Dispatch::new(&kernels::mean_variance_cost_forward, params, operands, 1, flops);
        Ok(Lowered { dispatches: vec![dispatch], ..Lowered::default() })
    }
}

/// The gradient of [`MeanVarianceCost`] with respect to the moments: dy·(1 − σ_t/σ)/|σ_t|² on the diagonal, 0 beside it, and in the
/// last row dy·2·(μ − μ_t − (1 − σ_t/σ)·μ)/|σ_t|². Inputs dy (scalar) and then those of the cost, output (1, C + 1, C).
#[derive(Clone, Copy, Debug)]
pub struct MeanVarianceCostBackward;

impl Op for MeanVarianceCostBackward {
    fn name(&self) -> &'static str {
        "mean_variance_cost_backward"
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape> {
        let fits = inputs.first() == Some(&Shape::SCALAR) && fit(&inputs[1..]);
        expect_shapes(self.name(), fits, "a scalar, two moments 1×(C+1)×C", inputs)?;
        Ok(inputs[1])
    }

    fn lower(&self, io: &Io<'_>, _capabilities: &Capabilities) -> Result<Lowered> {
        let channels = io.output().shape.w;
        let operands = (0..3).map(|input| Operand::input(input, 0)).chain([Operand::output(0)]).collect();
        // The variance of the target is added up for every row.
        let flops = 6 * u64::from(channels) * u64::from(channels);
        let params = CostParams { channels };
        let dispatch =
            Dispatch::new(&kernels::mean_variance_cost_backward, params, operands, channels, flops);
        Ok(Lowered { dispatches: vec![dispatch], ..Lowered::default() })
    }
}
