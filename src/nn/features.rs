//! Records VGG-19 on a tape.

use super::vgg::VGG19;
use crate::error::Result;
use crate::graph::{Role, Tape, TensorId};
use crate::ops::Shape;
use crate::ops::conv::{Conv, weights_shape};
use crate::ops::pool::Pool;
use crate::ops::relu::Relu;

/// Name of a convolution's weights among a program's externals.
pub fn weight_name(layer: &str) -> String {
    format!("{layer}.weight")
}

/// Name of a convolution's bias among a program's externals.
pub fn bias_name(layer: &str) -> String {
    format!("{layer}.bias")
}

/// Records the network on the picture `x` (3, H, W), mean subtracted, up to the convolution with index
/// `deepest`. Where a `gradient` of the picture will be wanted, the ReLUs make masks for it. `tap` is called with every layer's activations (C, H, W) as soon as they are recorded, so that
/// what is computed from them lies next to them on the tape, and their memory is free early.
///
/// # Errors
/// What `tap` returns.
pub fn record_vgg19(
    tape: &mut Tape,
    x: TensorId,
    deepest: usize,
    gradient: bool,
    mut tap: impl FnMut(&mut Tape, &'static str, TensorId) -> Result<()>,
) -> Result<()> {
    let mut activations = x;
    for (index, layer) in VGG19.iter().enumerate().take(deepest + 1) {
        if index > 0 && VGG19[index - 1].block != layer.block {
            let name = format!("pool{}", layer.block - 1);
            activations = tape.record(Pool, &[activations], &name)?;
        }
        let shape = weights_shape(layer.input_channels, layer.output_channels);
        let weights = tape.external(weight_name(layer.name), shape, Role::Weights);
        let bias = tape.external(bias_name(layer.name), Shape::row(layer.output_channels), Role::Weights);
        let sums = tape.record(Conv::default(), &[activations, weights, bias], layer.name)?;
        activations = tape.record(Relu { mask: gradient }, &[sums], layer.name)?;
        tap(tape, layer.name, activations)?;
    }
    Ok(())
}
