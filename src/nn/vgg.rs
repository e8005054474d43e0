//! The networks of the Visual Geometry Group as values.
//!
//! Source: K. Simonyan, A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition"
//! (arXiv 1409.1556), configurations D and E without the fully connected layers. Every convolution is 3×3, stride 1,
//! zero padding 1, then bias and ReLU. A pool stands between a block and the next.

use super::network::{Convolution, LayerSpec, Network};
use crate::ops::conv::ConvGeometry;
use crate::ops::pool::PoolKind;

/// Output channels of the blocks.
const CHANNELS: [u32; 5] = [64, 128, 256, 512, 512];

/// VGG-16, configuration D: thirteen convolutions, `conv1_1` to `conv5_3`. The paper's pools are [`PoolKind::Max`].
pub fn vgg16(pools: PoolKind) -> Network {
    vgg("VGG-16", [2, 2, 3, 3, 3], pools)
}

/// VGG-19, configuration E: sixteen convolutions, `conv1_1` to `conv5_4`. The paper's pools are [`PoolKind::Max`];
/// style transfer takes [`PoolKind::Mean`] (Gatys et al., arXiv 1508.06576).
pub fn vgg19(pools: PoolKind) -> Network {
    vgg("VGG-19", [2, 2, 4, 4, 4], pools)
}

/// A network of five blocks with this many convolutions each.
fn vgg(name: &str, convolutions: [u32; 5], pools: PoolKind) -> Network {
    let mut layers = Vec::new();
    let mut input_channels = 3;
    for (block, (count, output_channels)) in (1..).zip(convolutions.into_iter().zip(CHANNELS)) {
        if block > 1 {
            layers.push(LayerSpec::Pool { name: format!("pool{}", block - 1), kind: pools });
        }
        for number in 1..=count {
            let name = format!("conv{block}_{number}");
            layers.push(LayerSpec::Convolution(Convolution {
                name,
                input_channels,
                output_channels,
                geometry: ConvGeometry::SAME_3X3,
                relu: true,
            }));
            input_channels = output_channels;
        }
    }
    Network::new(name, layers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_networks_are_those_of_the_paper() {
        // Their convolutions without biases; with these and the fully connected layers configuration D has 138.36
        // million parameters, and E 143.67.
        for (network, layers, parameters) in [
            (vgg16(PoolKind::Mean), [2, 2, 3, 3, 3], 14_710_464),
            (vgg19(PoolKind::Mean), [2, 2, 4, 4, 4], 20_018_880),
        ] {
            let names: Vec<&str> = network.layers().iter().map(LayerSpec::name).collect();
            let mut want = Vec::new();
            for (block, count) in (1..).zip(layers) {
                want.extend((block > 1).then(|| format!("pool{}", block - 1)));
                want.extend((1..=count).map(|number| format!("conv{block}_{number}")));
            }
            assert_eq!(names, want, "{}", network.name());
            let convolutions: Vec<&Convolution> = network.convolutions().collect();
            assert_eq!(convolutions[0].input_channels, 3);
            for pair in convolutions.windows(2) {
                assert_eq!(pair[0].output_channels, pair[1].input_channels, "{}", pair[1].name);
            }
            for (block, channels) in [(1, 64), (2, 128), (3, 256), (4, 512), (5, 512)] {
                let of_block = |layer: &&&Convolution| layer.name.starts_with(&format!("conv{block}_"));
                let mut channels_of = convolutions.iter().filter(of_block).map(|layer| layer.output_channels);
                assert!(channels_of.all(|found| found == channels), "block {block}");
            }
            assert!(convolutions.iter().all(|layer| layer.relu && layer.geometry == ConvGeometry::SAME_3X3));
            let weights: u64 = convolutions
                .iter()
                .map(|layer| 9 * u64::from(layer.input_channels * layer.output_channels))
                .sum();
            assert_eq!(weights, parameters, "{}", network.name());
        }
    }

    #[test]
    fn pools_are_of_the_kind_that_is_asked_for() {
        let kinds = |network: &Network| -> Vec<PoolKind> {
            let kind = |layer: &LayerSpec| match layer {
                LayerSpec::Pool { kind, .. } => Some(*kind),
                LayerSpec::Convolution(_) => None,
            };
            network.layers().iter().filter_map(kind).collect()
        };
        assert_eq!(kinds(&vgg19(PoolKind::Mean)), [PoolKind::Mean; 4]);
        assert_eq!(kinds(&vgg16(PoolKind::Max)), [PoolKind::Max; 4]);
        assert_eq!(vgg16(PoolKind::Mean).with_pools(PoolKind::Max), vgg16(PoolKind::Max));
    }
}
