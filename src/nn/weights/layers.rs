//! Which network a file is of, and what its tensors are called in it.

use std::collections::HashMap;

use super::contents::{Contents, LayerKey, Part};
use super::fault::Fault;
use crate::nn::network::{Convolution, LayerSpec, Network};
use crate::nn::vgg::{vgg16, vgg19};
use crate::ops::pool::PoolKind;

/// How a file names layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// By the network's names: `conv1_1`.
    Names,
    /// By the places in torch's list of layers, in which ReLUs and pools count too: `features.0`. For each name the place.
    Places(HashMap<String, usize>),
}

impl Naming {
    /// The key of a layer's tensors.
    pub(super) fn key(&self, layer: &str) -> LayerKey {
        match self {
            Self::Names => LayerKey::Named(layer.to_owned()),
            Self::Places(places) => LayerKey::Place(places.get(layer).copied().unwrap_or(usize::MAX)),
        }
    }

    /// What a tensor of a layer is usually called.
    pub(super) fn tensor(&self, layer: &str, part: &str) -> String {
        match self.key(layer) {
            LayerKey::Named(name) => format!("{name}.{part}"),
            LayerKey::Place(place) => format!("features.{place}.{part}"),
        }
    }
}

/// A network by its pools.
pub(super) type Maker = fn(PoolKind) -> Network;

/// The networks that are known, as the metadata calls them.
pub(super) const NETWORKS: [(&str, Maker); 2] = [("vgg19", vgg19 as Maker), ("vgg16", vgg16)];

/// The network of a file, `stated` where the file says which, and how it names the layers.
pub(super) fn recognised(contents: &Contents, stated: Option<Maker>) -> Result<(Maker, Naming), Fault> {
    let named = contents.tensors.keys().any(|(key, _)| matches!(key, LayerKey::Named(_)));
    if named || contents.tensors.is_empty() {
        let network = stated.unwrap_or(if is_vgg16(contents) { vgg16 } else { vgg19 });
        return Ok((network, Naming::Names));
    }
    let places: Vec<usize> = contents.tensors.iter().filter_map(kernel_place).collect();
    let fits = |network: &Maker| {
        let known = torch_places(&network(PoolKind::Mean));
        places.iter().all(|place| known.values().any(|known| known == place))
    };
    let normalised = "a network without batch normalisation";
    if contents.is_normalised {
        return Err(other_network(normalised, "one with it, such as torchvision's vgg19_bn"));
    }
    let found = stated.or_else(|| NETWORKS.into_iter().map(|(_, network)| network).find(fits));
    let Some(network) = found else {
        let there: Vec<String> = places.iter().map(usize::to_string).collect();
        return Err(other_network(
            "those of VGG-19 or VGG-16",
            format!("convolutions at {}", there.join(", ")),
        ));
    };
    Ok((network, Naming::Places(torch_places(&network(PoolKind::Mean)))))
}

fn other_network(expected: &str, found: impl Into<String>) -> Fault {
    Fault::new("layers", expected, found, "use the weights of vgg19 or vgg16")
}

/// The place of a kernel in torch's list.
fn kernel_place(entry: (&(LayerKey, Part), &super::contents::Tensor)) -> Option<usize> {
    match entry {
        ((LayerKey::Place(place), Part::Weight), tensor) if tensor.shape.len() == 4 => Some(*place),
        _ => None,
    }
}

/// Where torch's list of layers has each convolution: behind each comes its ReLU.
fn torch_places(network: &Network) -> HashMap<String, usize> {
    let mut place = 0;
    let mut places = HashMap::new();
    for layer in network.layers() {
        match layer {
            LayerSpec::Convolution(convolution) => {
                places.insert(convolution.name.clone(), place);
                place += 2;
            }
            LayerSpec::Pool { .. } => place += 1,
        }
    }
    places
}

/// Whether the tensors are VGG-16's: the layers that only VGG-19 has are absent, and one that comes after the first of
/// them is there. A file that ends before it serves both.
fn is_vgg16(contents: &Contents) -> bool {
    let holds = |layer: &Convolution| {
        let key = LayerKey::Named(layer.name.clone());
        [Part::Codes, Part::Weight].into_iter().any(|part| contents.get(&key, part).is_some())
    };
    let (larger, smaller) = (vgg19(PoolKind::Mean), vgg16(PoolKind::Mean));
    let only_larger = |layer: &&Convolution| smaller.convolution(&layer.name).is_none();
    let after = larger.convolutions().skip_while(|layer| !only_larger(layer));
    let (only_larger, both): (Vec<&Convolution>, Vec<&Convolution>) = after.partition(only_larger);
    !only_larger.into_iter().any(holds) && both.into_iter().any(holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The places in torchvision's `vgg19().features` and `vgg16().features`.
    #[test]
    fn places_are_torchs() {
        for (network, expected) in [
            (vgg19(PoolKind::Max), &[0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34][..]),
            (vgg16(PoolKind::Max), &[0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]),
        ] {
            let places = torch_places(&network);
            let found: Vec<usize> = network.convolutions().map(|layer| places[&layer.name]).collect();
            assert_eq!(found, expected, "{}", network.name());
        }
    }
}
