//! Where numbers that are not finite began.

use super::bound_program::BoundProgram;
use super::engine::Engine;
use super::objective::Objective;
use super::planning::plan_activations;
use crate::error::Result;
use crate::gpu::Readback;
use crate::graph::{Executable, Externals};
use crate::nn::{LayerSpec, Network};
use crate::picture::Picture;

/// What became of a transfer whose costs are not finite.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Diagnosis {
    /// The first place, in the order of the computation, that holds a number which is not finite: the pixels, the
    /// activations of a layer, or a cost.
    pub place: String,
    /// The last picture that is known to have finite costs: the one before the last whose costs were looked at.
    pub last_good: Option<Picture>,
}

/// The first layer of `network` that a step for `objective` looks at whose activations of `pixels` (3, H, W) are not all finite, or the
/// pixels. They lie in `externals`, too; `size` is (width, height).
///
/// # Errors
/// [`crate::Error::Memory`] and [`crate::Error::Gpu`] from the device.
pub(super) async fn first_not_finite(
    engine: &Engine,
    network: &Network,
    objective: &Objective,
    pixels: &[f32],
    externals: &Externals,
    size: (u32, u32),
) -> Result<Option<String>> {
    let gpu = engine.gpu();
    if !are_finite(bytemuck::cast_slice(pixels)) {
        return Ok(Some("the pixels".into()));
    }
    let layers = network.layers().iter().take(objective.deepest(network, None) + 1);
    for layer in layers.filter_map(LayerSpec::convolution) {
        let program = plan_activations(network, objective, &layer.name, size, &engine.limits())?;
        let mut bound = externals.of(&program);
        engine.weights_store().bind(gpu, &program, &mut bound).await?;
        let executable = Executable::new(gpu, engine.pipelines(), program, bound).await?;
        let mut layer_program = BoundProgram::new(gpu, executable, Vec::new());
        let bytes = layer_program.kept().iter().map(|(_, _, bytes)| bytes).sum();
        let mut readback = Readback::new(gpu, bytes, 1).await?;
        let slices = 0..layer_program.slices();
        let values = layer_program.run_and_read(gpu, slices, |_| (), &mut readback).await?;
        if !are_finite(&values) {
            return Ok(Some(format!("the activations of {}", layer.name)));
        }
    }
    Ok(None)
}

/// Whether these bytes are finite numbers only.
fn are_finite(bytes: &[u8]) -> bool {
    bytemuck::pod_collect_to_vec::<u8, f32>(bytes).iter().all(|value| value.is_finite())
}
