//! What is taken from a weights file, whatever its format: the tensors that may be a layer's, by their names.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use half::{bf16, f16};
use safetensors::tensor::Dtype;

use super::fault::Shape;
use super::preprocessing::Preprocessing;
use crate::nn::vgg::vgg19;
use crate::ops::pool::PoolKind;
use crate::tensors::shortened;

/// Elements of the largest tensor of VGG-16 and VGG-19 that is read, a kernel of 512 to 512 channels. A larger one is no
/// layer's: its shape is kept for messages, and its values are not.
pub(super) const LARGEST: usize = 512 * 512 * 9;
/// Places in torch's list of layers; VGG-19's last convolution is the one at 34.
const PLACES: usize = 100;

/// A format of weights files that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// safetensors.
    Safetensors,
    /// What `torch.save` writes since PyTorch 1.6: a ZIP with a pickle in it.
    TorchZip,
    /// What `torch.save` wrote before, and writes on request: a pickle with the numbers behind it.
    TorchLegacy,
    /// A MATLAB file of version 5, as MatConvNet's networks are.
    Matlab,
    /// HDF5, as Keras writes it.
    Keras,
}

impl Format {
    /// What the format is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::TorchZip => "PyTorch (ZIP)",
            Self::TorchLegacy => "PyTorch (legacy)",
            Self::Matlab => "MATLAB 5 (MatConvNet)",
            Self::Keras => "HDF5 (Keras)",
        }
    }
}

/// What a tensor is of its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Weight,
    Bias,
    Codes,
    Codebook,
}

/// Which layer a tensor's name says that it is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LayerKey {
    /// By the layer's name: `conv1_1`.
    Named(String),
    /// By its place in torch's list of layers: `features.0`.
    Place(usize),
}

impl LayerKey {
    /// What a name says in the spelling of PyTorch and of our own files: `conv1_1.weight`, `features.0.weight`, `0.weight`,
    /// each also behind the names of what the network is a part of. `None` where it is none of these.
    pub(super) fn parse(name: &str) -> Option<(Self, Part)> {
        let (layer, part) = name.rsplit_once('.')?;
        let part = match part {
            "weight" => Part::Weight,
            "bias" => Part::Bias,
            "codes" => Part::Codes,
            "codebook" => Part::Codebook,
            _ => return None,
        };
        let (list, last) = layer.rsplit_once('.').unwrap_or(("", layer));
        if is_layer(last) {
            return Some((Self::Named(last.to_owned()), part));
        }
        let place = last.parse().ok().filter(|place: &usize| *place < PLACES && place.to_string() == last)?;
        let is_list = list.is_empty() || list.rsplit('.').next() == Some("features");
        is_list.then_some((Self::Place(place), part))
    }
}

/// Whether VGG-19 has a convolution of this name; VGG-16 has no others.
pub(super) fn is_layer(name: &str) -> bool {
    name.starts_with("conv") && vgg19(PoolKind::Mean).convolution(name).is_some()
}

/// A tensor in the file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tensor {
    /// What the file calls it.
    pub(super) name: String,
    pub(super) dtype: Dtype,
    /// A kernel's is (out, in, ky, kx), whatever the order in the file.
    pub(super) shape: Vec<usize>,
    /// Elements from one to the next along each axis. `None`: row-major.
    pub(super) strides: Option<Vec<usize>>,
    /// Where its bytes lie in [`Contents::bytes`]; empty where they were not kept.
    pub(super) start: usize,
    pub(super) length: usize,
}

/// What is taken from a file.
pub(super) struct Contents {
    pub(super) format: Format,
    /// Where the tensors' bytes lie: the file itself, or what was taken out of it. Little-endian.
    pub(super) bytes: Cow<'static, [u8]>,
    /// The tensors whose names are a layer's.
    pub(super) tensors: BTreeMap<(LayerKey, Part), Tensor>,
    /// The names of the first tensors, for messages, and how many there are.
    pub(super) first_names: Vec<String>,
    pub(super) count: usize,
    /// Whether it has the statistics of batch normalisation.
    pub(super) is_normalised: bool,
    /// Whether its classifier has the places that it has in the networks that jcjohnson's pytorch-vgg took over from Caffe.
    pub(super) is_caffes_list: bool,
    /// safetensors' map of texts.
    pub(super) metadata: HashMap<String, String>,
    /// What the format says of pixels, with the words for where it comes from.
    pub(super) preprocessing: Option<(Preprocessing, &'static str)>,
}

impl Contents {
    /// Nothing yet.
    pub(super) fn new(format: Format) -> Self {
        Self {
            format,
            bytes: Cow::Borrowed(&[]),
            tensors: BTreeMap::new(),
            first_names: Vec::new(),
            count: 0,
            is_normalised: false,
            is_caffes_list: false,
            metadata: HashMap::new(),
            preprocessing: None,
        }
    }

    /// Notes that the file has a tensor of this name.
    pub(super) fn note(&mut self, name: &str) {
        const SHOWN: usize = 4;
        self.count += 1;
        if self.first_names.len() < SHOWN {
            self.first_names.push(shortened(name));
        }
        self.is_normalised |= name.ends_with(".running_mean");
        self.is_caffes_list |= name.ends_with("classifier.1.weight");
    }

    /// Adds a tensor. Of two that are the same layer's the one with the shorter name stays.
    pub(super) fn add(&mut self, key: (LayerKey, Part), tensor: Tensor) {
        match self.tensors.get(&key) {
            Some(known) if known.name.len() <= tensor.name.len() => {}
            _ => drop(self.tensors.insert(key, tensor)),
        }
    }

    /// Adds a tensor whose bytes follow those that are there; none are kept of what is larger than any layer's.
    pub(super) fn push(&mut self, key: (LayerKey, Part), mut tensor: Tensor, bytes: &[u8]) {
        let kept = self.bytes.to_mut();
        tensor.start = kept.len();
        tensor.length = if is_small(&tensor.shape) { bytes.len() } else { 0 };
        kept.extend_from_slice(&bytes[..tensor.length]);
        self.add(key, tensor);
    }

    /// The tensor of a layer.
    pub(super) fn get(&self, layer: &LayerKey, part: Part) -> Option<&Tensor> {
        // A key of a map has to be whole.
        self.tensors.get(&(layer.clone(), part))
    }

    /// A tensor's bytes as they lie in the file.
    pub(super) fn data(&self, tensor: &Tensor) -> &[u8] {
        self.bytes.get(tensor.start..).and_then(|rest| rest.get(..tensor.length)).unwrap_or_default()
    }

    /// A tensor's numbers, row-major. Fewer than its shape says where they were not kept.
    pub(super) fn floats(&self, tensor: &Tensor) -> Vec<f32> {
        let bytes = self.data(tensor);
        let value: fn(&[u8]) -> f32 = match tensor.dtype {
            Dtype::F16 => {
                |bytes| bytes.try_into().map_or(f32::NAN, |value| f16::from_le_bytes(value).to_f32())
            }
            Dtype::BF16 => {
                |bytes| bytes.try_into().map_or(f32::NAN, |value| bf16::from_le_bytes(value).to_f32())
            }
            Dtype::F64 => |bytes| bytes.try_into().map_or(f32::NAN, |value| f64::from_le_bytes(value) as f32),
            _ => |bytes| bytes.try_into().map_or(f32::NAN, f32::from_le_bytes),
        };
        let size = tensor.dtype.bitsize() / 8;
        let Some(strides) = &tensor.strides else {
            return bytes.chunks_exact(size).map(value).collect();
        };
        let at = |place: usize| {
            bytes.get(place.saturating_mul(size)..).and_then(|rest| rest.get(..size)).map_or(f32::NAN, value)
        };
        places(&tensor.shape, strides).take(bytes.len() / size).map(at).collect()
    }

    /// What the file holds, for the message that a tensor was not found.
    pub(super) fn tensors_there(&self) -> String {
        let listed = self.first_names.join(", ");
        match self.count - self.first_names.len() {
            0 if self.count == 0 => "the file holds no tensor".to_owned(),
            0 => format!("the file holds {listed}"),
            more => format!("the file holds {listed} and {more} more"),
        }
    }
}

/// Elements of this shape; `None` where there are more than can be counted.
pub(super) fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |product, side| product.checked_mul(*side))
}

/// Where the elements of this shape lie, one after the other as in a row-major tensor. One that cannot be counted is at
/// the end of the numbers.
pub(super) fn places(shape: &[usize], strides: &[usize]) -> impl Iterator<Item = usize> {
    let count = elements(shape).unwrap_or(0);
    (0..count).map(move |mut element| {
        let mut place = 0_usize;
        for (side, stride) in shape.iter().zip(strides).rev() {
            place = place.saturating_add((element % side).saturating_mul(*stride));
            element /= side;
        }
        place
    })
}

/// Whether a layer may have this shape.
pub(super) fn is_small(shape: &[usize]) -> bool {
    elements(shape).is_some_and(|elements| elements <= LARGEST)
}

/// The shape as a message spells it.
pub(super) fn spelled(shape: &[usize]) -> String {
    Shape(shape).to_string()
}
