//! A network as data: its layers by name, in the order in which they run, and the recording of them on a tape.

use crate::error::{Error, Result};
use crate::graph::{Role, Tape, TensorId};
use crate::ops::conv::{Conv, ConvGeometry, PaddingMode};
use crate::ops::pool::{Pool, PoolKind};
use crate::ops::relu::Relu;
use crate::ops::{Op, Shape, Wrap};

/// How many names [`Network::nearest_names`] offers.
const SUGGESTIONS: usize = 4;

/// A chain of layers, each of which reads what the one before it wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    name: String,
    layers: Vec<LayerSpec>,
}

/// One layer of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LayerSpec {
    /// A convolution with its bias, and the ReLU that follows.
    Convolution(Convolution),
    /// A pool of 2×2 cells: (C, H, W) to (C, ⌈H/2⌉, ⌈W/2⌉).
    Pool {
        /// What plans call it.
        name: String,
        /// What becomes of the cells.
        kind: PoolKind,
    },
}

/// A convolution of planes: (input_channels, H, W) to (output_channels, H', W').
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// The layer's name; as a layer of a cost it means the activations: the tensor after ReLU, where one follows.
    pub name: String,
    /// Channels that it reads.
    pub input_channels: u32,
    /// Channels that it writes.
    pub output_channels: u32,
    /// Kernel, stride, padding, dilation, groups.
    pub geometry: ConvGeometry,
    /// Whether a ReLU follows.
    pub relu: bool,
}

impl LayerSpec {
    /// What plans call the layer.
    pub fn name(&self) -> &str {
        match self {
            Self::Convolution(convolution) => &convolution.name,
            Self::Pool { name, .. } => name,
        }
    }

    /// The convolution, where it is one.
    pub fn convolution(&self) -> Option<&Convolution> {
        match self {
            Self::Convolution(convolution) => Some(convolution),
            Self::Pool { .. } => None,
        }
    }
}

/// Name of a convolution's weights among a program's externals.
pub fn weight_name(layer: &str) -> String {
    format!("{layer}.weight")
}

/// Name of a convolution's bias among a program's externals.
pub fn bias_name(layer: &str) -> String {
    format!("{layer}.bias")
}

impl Network {
    /// A network of `layers`, which messages call `name`. No two layers may have one name.
    pub fn new(name: impl Into<String>, layers: Vec<LayerSpec>) -> Self {
        Self { name: name.into(), layers }
    }

    /// What messages call it: `VGG-19`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The layers in the order in which they run.
    pub fn layers(&self) -> &[LayerSpec] {
        &self.layers
    }

    /// The convolutions in the order in which they run.
    pub fn convolutions(&self) -> impl DoubleEndedIterator<Item = &Convolution> {
        self.layers.iter().filter_map(LayerSpec::convolution)
    }

    /// The convolution called exactly `name`.
    pub fn convolution(&self, name: &str) -> Option<&Convolution> {
        self.convolutions().find(|convolution| convolution.name == name)
    }

    /// The convolution whose activations are called `name`, here or in another program: those of `conv4_2` are also called
    ///
    /// - `relu4_2`, `relu4-2` or `r42`, for they are the tensor after ReLU;
    /// - `block4_conv2` as in Keras, where a convolution has its ReLU in it;
    /// - `features.21` and `features.22` as in torchvision, where every ReLU has a number, too, and works in place: what is
    ///   taken at the convolution's number is, once a picture has passed, what its ReLU made of it.
    ///
    /// Letter case and spaces around do not matter, and a hyphen is as good as an underscore. `None` where a convolution has no
    /// ReLU: the names would mean two tensors.
    pub fn activations_called(&self, name: &str) -> Option<&Convolution> {
        if let Some(exactly) = self.convolution(name) {
            return Some(exactly);
        }
        let asked = name.trim().to_lowercase().replace('-', "_");
        let index = asked.strip_prefix("features").and_then(|rest| {
            let bracketed = || rest.strip_prefix('[')?.strip_suffix(']');
            rest.strip_prefix(['.', '_']).or_else(bracketed)?.parse::<usize>().ok()
        });
        let mut next = 0;
        self.layers
            .iter()
            .filter_map(|layer| {
                let first = next;
                next += 1;
                let convolution = layer.convolution().filter(|convolution| convolution.relu)?;
                next += 1;
                let numbers =
                    convolution.name.strip_prefix("conv").and_then(|numbers| numbers.split_once('_'));
                let is_named = asked == convolution.name
                    || numbers.is_some_and(|(block, number)| {
                        asked == format!("relu{block}_{number}")
                            || asked == format!("r{block}{number}")
                            || asked == format!("block{block}_conv{number}")
                    });
                (is_named || index.is_some_and(|index| (first..next).contains(&index))).then_some(convolution)
            })
            .next()
    }

    /// The place in [`Network::layers`] of the convolution called exactly `name`.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.layers.iter().position(|layer| layer.convolution().is_some_and(|found| found.name == name))
    }

    /// The convolutions that a misspelled `name` may stand for, the likeliest first; empty only where the network has
    /// none.
    ///
    /// Two digits that are a layer's own come before any likeness of spelling.
    pub fn nearest_names(&self, name: &str) -> Vec<&str> {
        let asked = name.trim().to_lowercase();
        let asked_digits = digits(&asked);
        let mut ranked: Vec<(bool, usize, &str)> = self
            .convolutions()
            .map(|layer| {
                let same_digits = digits(&layer.name) == asked_digits;
                (!same_digits, strsim::damerau_levenshtein(&asked, &layer.name), &layer.name[..])
            })
            .collect();
        // A stable sort on purpose: equally near names stay in the network's order.
        ranked.sort_by_key(|&(other_digits, distance, _)| (other_digits, distance));
        ranked.into_iter().take(SUGGESTIONS).map(|(_, _, name)| name).collect()
    }

    /// The same network with pools of another kind.
    #[must_use]
    pub fn with_pools(mut self, pools: PoolKind) -> Self {
        for layer in &mut self.layers {
            if let LayerSpec::Pool { kind, .. } = layer {
                *kind = pools;
            }
        }
        self
    }

    /// The same network with something else beyond the edges of what its 3×3 convolutions read. Convolutions of another
    /// geometry than [`ConvGeometry::SAME_3X3`] with any padding mode stay as they are.
    #[must_use]
    pub fn with_borders(mut self, borders: PaddingMode) -> Self {
        for layer in &mut self.layers {
            if let LayerSpec::Convolution(Convolution { geometry, .. }) = layer
                && geometry.is_same_3x3()
            {
                *geometry = geometry.with_padding(borders);
            }
        }
        self
    }

    /// The same with something else beyond the edges of what the first convolution reads, where that is 3×3 of the same size.
    #[must_use]
    pub fn with_first_borders(mut self, borders: PaddingMode) -> Self {
        let convolutions = self.layers.iter_mut().filter_map(|layer| match layer {
            LayerSpec::Convolution(Convolution { geometry, .. }) => Some(geometry),
            _ => None,
        });
        if let Some(geometry) = convolutions.into_iter().next().filter(|geometry| geometry.is_same_3x3()) {
            *geometry = geometry.with_padding(borders);
        }
        self
    }

    /// The same network for pictures that wrap: beyond the edges of what its 3×3 convolutions of the same size read lies what
    /// is at the other end. Pools do not read across an edge, so sides should be multiples of all their strides.
    #[must_use]
    pub fn with_wrap(mut self, wrap: Wrap) -> Self {
        for layer in &mut self.layers {
            if let LayerSpec::Convolution(Convolution { geometry, .. }) = layer
                && geometry.is_same_3x3()
            {
                *geometry = geometry.with_wrap(wrap);
            }
        }
        self
    }

    /// Records the network on the picture `x` (C, H, W), mean subtracted, up to the layer with index `deepest`. Where a
    /// `gradient` of the picture will be wanted, ReLUs and max pools record what it reads. `tap` is called with every
    /// convolution's activations (C, H, W) as soon as they are recorded, so that what is computed from them lies next
    /// to them on the tape, and their memory is free early.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where a layer does not fit the one before it, and what `tap` returns.
    pub fn record<'network>(
        &'network self,
        tape: &mut Tape,
        x: TensorId,
        deepest: usize,
        gradient: bool,
        mut tap: impl FnMut(&mut Tape, &'network str, TensorId) -> Result<()>,
    ) -> Result<()> {
        let mut activations = x;
        for layer in self.layers.iter().take(deepest.saturating_add(1)) {
            let Convolution { name, input_channels, output_channels, geometry, relu } = match layer {
                LayerSpec::Convolution(convolution) => convolution,
                LayerSpec::Pool { name, kind } => {
                    activations = tape.record(Pool::recorded(*kind, gradient), &[activations], name)?;
                    continue;
                }
            };
            let conv = Conv { geometry: *geometry, ..Conv::default() };
            let shape = geometry.weights_shape(*input_channels, *output_channels);
            let weights = tape.external(weight_name(name), shape, Role::Weights);
            let bias = tape.external(bias_name(name), Shape::row(*output_channels), Role::Weights);
            activations = tape.record(conv, &[activations, weights, bias], name)?;
            if *relu {
                activations = tape.record(Relu { mask: gradient }, &[activations], name)?;
            }
            tap(tape, name, activations)?;
        }
        Ok(())
    }

    /// Shape (C, H, W) of a convolution's activations for pixels of this shape.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where the network has no such layer, or a layer cannot take what it is given.
    pub(crate) fn shape_at(&self, name: &str, pixels: Shape) -> Result<Shape> {
        let mut shape = pixels;
        for layer in &self.layers {
            match layer {
                LayerSpec::Convolution(convolution) => {
                    let Convolution { geometry, output_channels, .. } = convolution;
                    shape = geometry.output_shape("conv", shape, *output_channels)?;
                    if convolution.name == name {
                        return Ok(shape);
                    }
                }
                LayerSpec::Pool { .. } => shape = Pool::MEAN.output_shape(&[shape])?,
            }
        }
        Err(Error::Shape { op: "conv", expected: format!("a layer {name}"), found: self.name.clone() })
    }

    /// Brings a plane (1, H, W) to the grid of every convolution's activations, up to the layer with index `deepest`: where
    /// the network pools, it takes means. `tap` is called with each.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] where a convolution's output has other planes than its input, and what `tap` returns.
    pub(crate) fn record_plane<'network>(
        &'network self,
        tape: &mut Tape,
        mut plane: TensorId,
        deepest: usize,
        mut tap: impl FnMut(&mut Tape, &'network str, TensorId) -> Result<()>,
    ) -> Result<()> {
        for layer in self.layers.iter().take(deepest.saturating_add(1)) {
            match layer {
                LayerSpec::Convolution(Convolution {
                    name,
                    input_channels,
                    output_channels,
                    geometry,
                    ..
                }) => {
                    let grid = tape.shape(plane);
                    let input = Shape { c: *input_channels, ..grid };
                    let output = geometry.output_shape("conv", input, *output_channels)?;
                    if (Shape { c: 1, ..output }) != grid {
                        return Err(Error::Shape {
                            op: "conv",
                            expected: format!("{name} to keep the size of its planes, where there is a mask"),
                            found: format!("{input} to {output}"),
                        });
                    }
                    tap(tape, name, plane)?;
                }
                LayerSpec::Pool { name, .. } => plane = tape.record(Pool::MEAN, &[plane], name)?,
            }
        }
        Ok(())
    }
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::nn::{vgg16, vgg19};

    #[test]
    fn names_are_found_exactly() {
        let network = vgg19(PoolKind::Mean);
        assert_eq!(network.index_of("conv1_1"), Some(0));
        assert_eq!(network.layers()[network.index_of("conv5_4").unwrap()].name(), "conv5_4");
        for none in ["CONV1_1", "", "pool1"] {
            assert_eq!(network.index_of(none), None);
            assert_eq!(network.convolution(none), None);
        }
        for (place, layer) in network.layers().iter().enumerate() {
            if let Some(convolution) = layer.convolution() {
                assert_eq!(network.index_of(layer.name()), Some(place));
                assert_eq!(network.convolution(layer.name()), Some(convolution));
            }
        }
        assert_eq!(vgg16(PoolKind::Mean).index_of("conv3_4"), None);
    }

    #[test]
    fn other_spellings_find_the_layer() {
        let network = vgg19(PoolKind::Mean);
        for asked in ["conv42", "relu4_2", "block4_conv2", "Conv4-2", " conv4_2 ", "cnov4_2"] {
            assert_eq!(network.nearest_names(asked)[0], "conv4_2", "{asked}");
        }
        let nearest = network.nearest_names("conv5_5");
        assert_eq!(nearest.len(), 4);
        assert!(nearest.contains(&"conv5_4"), "{nearest:?}");
        assert_eq!(network.nearest_names("").len(), 4);
        assert_eq!(network.nearest_names("pictures of cats").len(), 4);
        // What another network has is not offered.
        assert!(!vgg16(PoolKind::Mean).nearest_names("conv3_4").contains(&"conv3_4"));
        assert!(Network::new("nothing", Vec::new()).nearest_names("conv1_1").is_empty());
    }

    #[test]
    fn activations_have_the_names_of_other_programs() {
        let name = |network: &Network, asked: &str| {
            network.activations_called(asked).map(|convolution| convolution.name.clone())
        };
        let network = vgg19(PoolKind::Mean);
        for asked in [
            "conv4_2",
            "relu4_2",
            "relu4-2",
            " ReLU4_2 ",
            "Conv4-2",
            "r42",
            "block4_conv2",
            "features.22",
            "features[21]",
        ] {
            assert_eq!(name(&network, asked).as_deref(), Some("conv4_2"), "{asked}");
        }
        // Where torchvision has them; its pools have numbers of their own.
        let numbers = |network: &Network| -> Vec<Option<String>> {
            (0..40).map(|index| name(network, &format!("features.{index}"))).collect()
        };
        let found = numbers(&network);
        for (index, layer) in [
            (0, "conv1_1"),
            (1, "conv1_1"),
            (3, "conv1_2"),
            (5, "conv2_1"),
            (10, "conv3_1"),
            (19, "conv4_1"),
            (28, "conv5_1"),
            (35, "conv5_4"),
        ] {
            assert_eq!(found[index].as_deref(), Some(layer), "{index}");
        }
        for none in [4, 9, 18, 27, 36, 37] {
            assert_eq!(found[none], None, "{none}");
        }
        let other = numbers(&vgg16(PoolKind::Mean));
        assert_eq!(
            (other[19].as_deref(), other[21].as_deref(), &other[23]),
            (Some("conv4_2"), Some("conv4_3"), &None)
        );
        for none in [
            "",
            "relu4_9",
            "pool4",
            "block4_pool",
            "r4",
            "features.",
            "features.x",
            "features.99999999999999999999",
            "conv42",
        ] {
            assert_eq!(name(&network, none), None, "{none}");
        }
        // Without a ReLU the two names mean two tensors.
        let layers = [true, false].map(|relu| {
            LayerSpec::Convolution(Convolution {
                name: format!("conv1_{}", 1 + u32::from(!relu)),
                input_channels: 3,
                output_channels: 3,
                geometry: ConvGeometry::SAME_3X3,
                relu,
            })
        });
        let network = Network::new("two", layers.to_vec());
        assert_eq!(name(&network, "relu1_1").as_deref(), Some("conv1_1"));
        assert_eq!((name(&network, "relu1_2"), name(&network, "features.2")), (None, None));
        assert_eq!(name(&network, "conv1_2").as_deref(), Some("conv1_2"));
    }

    #[test]
    fn what_is_recorded_is_what_the_layers_say() {
        for (network, pools) in [(vgg19(PoolKind::Mean), "pool"), (vgg16(PoolKind::Max), "max_pool")] {
            let mut tape = Tape::new();
            let x = tape.external("x", Shape::new(3, 33, 20), Role::Optimiser);
            let deepest = network.index_of("conv3_1").unwrap();
            let mut taps = Vec::new();
            let tap = |tape: &mut Tape, name, tensor| {
                taps.push((name, tape.shape(tensor)));
                Ok(())
            };
            network.record(&mut tape, x, deepest, true, tap).unwrap();
            let names: Vec<&str> = tape.nodes().iter().map(|node| node.op.name()).collect();
            let block = ["conv", "relu", "conv", "relu", pools];
            assert_eq!(names, [&block[..], &block, &block[..2]].concat(), "{}", network.name());
            let layers: Vec<&str> = tape.nodes().iter().map(|node| &node.layer[..]).collect();
            assert_eq!(layers[4..6], ["pool1", "conv2_1"]);
            assert_eq!(taps.last(), Some(&("conv3_1", Shape::new(256, 9, 5))));
            assert_eq!(taps.len(), 5);
        }
        // A layer that does not fit is an error.
        let mut tape = Tape::new();
        let x = tape.external("x", Shape::new(4, 8, 8), Role::Optimiser);
        vgg19(PoolKind::Mean).record(&mut tape, x, 0, false, |_, _, _| Ok(())).unwrap_err();
    }

    #[test]
    fn borders_are_those_that_are_asked_for() {
        let geometries = |network: &Network| -> Vec<ConvGeometry> {
            network.convolutions().map(|convolution| convolution.geometry).collect()
        };
        let replicated = vgg19(PoolKind::Max).with_borders(PaddingMode::ReplicateForward);
        assert_eq!(geometries(&replicated), [ConvGeometry::REPLICATED_3X3; 16]);
        assert_eq!(replicated.with_borders(PaddingMode::Zero), vgg19(PoolKind::Max));
        let first = geometries(&vgg19(PoolKind::Max).with_first_borders(PaddingMode::ReplicateForward));
        assert_eq!(first[0], ConvGeometry::REPLICATED_3X3);
        assert_eq!(first[1..], [ConvGeometry::SAME_3X3; 15]);
        // What is not 3×3 of the same size keeps its own.
        let strided = ConvGeometry { stride: [1, 2, 2], ..ConvGeometry::SAME_3X3 };
        let others = [ConvGeometry::POINTWISE, strided].map(|geometry| {
            let name = format!("{geometry:?}");
            LayerSpec::Convolution(Convolution {
                name,
                input_channels: 3,
                output_channels: 3,
                geometry,
                relu: true,
            })
        });
        let network = Network::new("others", others.to_vec());
        assert_eq!(network.clone().with_borders(PaddingMode::Replicate), network);
        assert_eq!(network.clone().with_first_borders(PaddingMode::Replicate), network);
    }

    #[test]
    fn a_convolution_of_another_geometry_without_a_relu_taps_its_sums() {
        let geometry = ConvGeometry { stride: [1, 2, 2], ..ConvGeometry::SAME_3X3 };
        let name = "last".to_owned();
        let layer = Convolution { name, input_channels: 3, output_channels: 2, geometry, relu: false };
        let network = Network::new("one layer", vec![LayerSpec::Convolution(layer)]);
        let mut tape = Tape::new();
        let x = tape.external("x", Shape::new(3, 8, 8), Role::Optimiser);
        let mut tapped = None;
        let tap = |_: &mut Tape, _, tensor| {
            tapped = Some(tensor);
            Ok(())
        };
        network.record(&mut tape, x, 7, true, tap).unwrap();
        assert_eq!(tape.nodes().len(), 1);
        assert_eq!(tapped, Some(tape.nodes()[0].output()));
        assert_eq!(tape.shape(tape.nodes()[0].output()), Shape::new(2, 4, 4));
    }
}
