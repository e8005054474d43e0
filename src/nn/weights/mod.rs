//! The weights of a VGG network from a file: read, verified, turned into f32.
//!
//! What a file is, is found by its content:
//!
//! | format | whose |
//! |---|---|
//! | safetensors | ours, and those with PyTorch's names |
//! | `.pth`, as a ZIP or a legacy pickle | torchvision's and jcjohnson's `vgg19` and `vgg16`: what `torch.save` makes of a `state_dict()`. No code in them is run |
//! | MATLAB 5 to 7 | MatConvNet's `imagenet-vgg-verydeep-19.mat` and `-16.mat` |
//! | HDF5 | the weights of Keras' `VGG19` and `VGG16` |
//!
//! In safetensors two layouts are read, and may be mixed from layer to layer:
//! - quantised: `<layer>.codes` U8 (out, in, ky, kx), `<layer>.codebook` F32 (256), `<layer>.bias`;
//!   a weight is `codebook[code]`;
//! - plain: `<layer>.weight` F32, F16, BF16 or F64 (out, in, ky, kx), `<layer>.bias` of the same types (out).
//!
//! A layer is called by its name, `conv1_1`, or as PyTorch does by its place in the list of layers, `features.0`.
//!
//! The metadata of safetensors says what the network expects of a pixel:
//!
//! | key | meaning |
//! |---|---|
//! | `scale` | `0..255` or `0..1`: the range of the pixels that the network was trained on |
//! | `mean` | three numbers in the units of `scale`, subtracted from the pixel |
//! | `std` (optional) | three numbers in the units of `scale`, by which the difference is divided |
//! | `channel_order` | `RGB` or `BGR`: the order of conv1_1's input channels, and of `mean` and `std` |
//! | `layout` | `out,in,ky,kx`: the order of the kernels' axes |
//! | `preprocessing` | `torchvision` or `caffe`: in place of the keys above |
//! | `network` (optional) | `vgg19` or `vgg16`; where it is absent the tensors say |
//! | `pooling` (optional) | `mean` or `max`; `mean` where it is absent |
//!
//! Where a file of PyTorch says nothing of pixels, the numbers of conv1_1 tell Caffe's networks from torchvision's, and
//! [`Weights::preprocessing_source`] says what was assumed.
//!
//! The rest of the program works on x = pixel − mean in RGB and in 0..255 units, whatever the file says:
//! scale, deviation and channel order are folded into conv1_1's kernel when it is read. With k = 1 or 1/255
//! the network's input is (k·pixel − mean)/std = (k/std)·x, so multiplying conv1_1's kernel by k/std for each
//! input channel is the same function, also at the border, where the padding's zero is the mean colour in
//! both forms.

mod contents;
mod fault;
mod formats;
mod keras;
mod layers;
mod matlab;
mod pickle;
mod preprocessing;
mod safetensors;
#[cfg(test)]
mod tests;
mod torch;
mod write;

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;

use ::safetensors::tensor::Dtype;

pub use contents::Format;
pub use preprocessing::{ChannelOrder, Preprocessing};
pub use write::StoredKernel;

use super::network::{Convolution, Network};
use crate::error::{Error, Remedy, Result};
use crate::ops::pool::PoolKind;
use crate::tensors;
use contents::{Contents, Part, Tensor, spelled};
use fault::{of_file, one_of, weights_error};
use layers::{Maker, NETWORKS, Naming, recognised};
use preprocessing::{MetadataKeys, assumed};

/// Entries of a codebook: every value that a code can have, so that no code is out of range.
const CODEBOOK_ENTRIES: usize = 256;
/// What numbers may be stored as.
const FLOATS: [Dtype; 4] = [Dtype::F32, Dtype::F16, Dtype::BF16, Dtype::F64];
/// What the embedded file is called in messages.
#[cfg(feature = "embedded-weights")]
const EMBEDDED_NAME: &str = "the embedded weights";
/// Where the caller says what a pixel is.
const AS_ASKED: &str = "as asked for";

/// A weights file of a network whose header and metadata have been checked.
pub struct Weights {
    contents: Contents,
    naming: Naming,
    name: String,
    network: Network,
    /// The kind of its pools, where it is not the one that the file says.
    other_pools: Option<PoolKind>,
    preprocessing: Preprocessing,
    preprocessing_source: &'static str,
    /// SHA-256 of the file, where its bytes were not kept.
    file_digest: Option<String>,
    digest: OnceLock<String>,
}

/// One convolution's numbers, ready for a kernel that reads mean-subtracted 0..255 RGB.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvolutionWeights {
    /// (output_channels, input_channels / groups, rows, columns), row-major; the first convolution's input channels are in
    /// RGB order.
    pub kernel: Vec<f32>,
    /// (output_channels).
    pub bias: Vec<f32>,
    /// Channels that the layer writes.
    pub output_channels: u32,
    /// Channels that the layer reads.
    pub input_channels: u32,
}

/// Where a layer's numbers lie in the file, with types and shapes already checked.
struct LayerSource<'file> {
    /// What holds the kernel's values.
    values: &'file Tensor,
    /// The kernel as entries of `values`.
    codes: Option<&'file Tensor>,
    bias: &'file Tensor,
}

impl Weights {
    /// Reads what a weights file says of itself; `name` is what messages call the file.
    ///
    /// Checks no layer yet: [`Weights::check`] and [`Weights::convolution`] do that. Pass a `Vec<u8>`, or a
    /// `&'static [u8]` that is part of the program. Besides the bytes of safetensors the parsed header is kept: at most
    /// sixteen times its length, which is at most 1 MiB. Of other formats the convolutions' tensors are kept and nothing
    /// else, at most 256 MiB; the bytes are dropped.
    ///
    /// # Errors
    /// [`Error::Weights`] for a file of no format that is read, one that is cut short or contradicts itself, and for a
    /// metadata key that is missing or has an unknown value.
    pub fn from_bytes(bytes: impl Into<Cow<'static, [u8]>>, name: &str) -> Result<Self> {
        let (contents, file_digest) = of_file(name, formats::read(bytes.into()))?;
        let keys = MetadataKeys(&contents.metadata);
        let pools = of_file(name, keys.optional("pooling", &PoolKind::ALL))?.unwrap_or_default();
        let stated: Option<Maker> = of_file(name, keys.optional("network", &NETWORKS))?;
        let (network, naming) = of_file(name, recognised(&contents, stated))?;
        let foreign = contents.format != Format::Safetensors || naming != Naming::Names;
        let known = of_file(name, keys.preprocessing(foreign))?.map(|known| (known, "as the file says"));
        let known = known.or(contents.preprocessing);
        let mut weights = Weights {
            contents,
            naming,
            name: name.to_owned(),
            network: network(pools),
            other_pools: None,
            preprocessing: Preprocessing::TORCHVISION,
            preprocessing_source: "assumed",
            file_digest,
            digest: OnceLock::new(),
        };
        (weights.preprocessing, weights.preprocessing_source) = known.unwrap_or_else(|| weights.assumed());
        Ok(weights)
    }

    /// The VGG-19 that is part of the program: the paper's own weights as 8-bit codes, 20 MB.
    ///
    /// # Errors
    /// None in a program that was built from an intact source.
    #[cfg(feature = "embedded-weights")]
    pub fn embedded() -> Result<Self> {
        const FILE: &[u8] = include_bytes!("../../../weights/vgg19-u8.safetensors");
        Self::from_bytes(FILE, EMBEDDED_NAME)
    }

    /// What messages call the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file's format.
    pub fn format(&self) -> Format {
        self.contents.format
    }

    /// SHA-256 of the file's bytes, and of the kind of pools and the preprocessing where others are asked for, in
    /// hexadecimal digits.
    pub fn digest(&self) -> &str {
        let pools = self.other_pools.map_or("", PoolKind::name);
        let asked = (self.preprocessing_source == AS_ASKED).then(|| self.preprocessing.to_string());
        let asked = asked.unwrap_or_default();
        let file = self.file_digest.as_ref().map_or(&*self.contents.bytes, |digest| digest.as_bytes());
        self.digest.get_or_init(|| tensors::digest([file, pools.as_bytes(), asked.as_bytes()]))
    }

    /// The colour that the network takes for zero: RGB, in 0..255 units. Subtract it from a pixel to get x.
    pub fn mean(&self) -> [f32; 3] {
        let Preprocessing { scale, mean, .. } = self.preprocessing;
        self.preprocessing.rgb(mean).map(|value| (value * (255.0 / scale)) as f32)
    }

    /// What the file's own network expects of a pixel.
    pub fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    /// How that is known, in a few words: the file says it, its format does, or it was assumed for a reason.
    pub fn preprocessing_source(&self) -> &'static str {
        self.preprocessing_source
    }

    /// The network that these are the weights of.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The same weights in a network with pools of this kind, whatever the file says.
    #[must_use]
    pub fn with_pools(self, pools: PoolKind) -> Self {
        let network = self.network.clone().with_pools(pools);
        let other_pools = if network == self.network { self.other_pools } else { Some(pools) };
        Self { network, other_pools, digest: OnceLock::new(), ..self }
    }

    /// The same weights for pixels that are prepared like this, whatever the file says.
    #[must_use]
    pub fn with_preprocessing(self, preprocessing: Preprocessing) -> Self {
        Self { preprocessing, preprocessing_source: AS_ASKED, digest: OnceLock::new(), ..self }
    }

    /// Checks that every convolution up to `deepest`, an index into [`Network::layers`], is there with the right shapes
    /// and types, without reading its values. Later layers may be absent and are not looked at.
    ///
    /// # Errors
    /// [`Error::Weights`] that names the first tensor at fault.
    pub fn check(&self, deepest: usize) -> Result<()> {
        let needed = self.network.layers().iter().take(deepest.saturating_add(1));
        needed.filter_map(|layer| layer.convolution()).try_for_each(|layer| self.locate(layer).map(drop))
    }

    /// The kernel and bias of the layer called `name`, as f32.
    ///
    /// # Errors
    /// [`Error::Weights`] for a layer that is not the network's, is not in the file, has another shape or type, or
    /// holds a value that is not finite.
    pub fn convolution(&self, name: &str) -> Result<ConvolutionWeights> {
        let network = &self.network;
        let Some(layer) = network.convolution(name) else {
            return Err(self.error(
                name,
                format!("a convolution of {}", network.name()),
                "no such layer",
                format!("did you mean {}?", network.nearest_names(name).join(", ")),
            ));
        };
        let source = self.locate(layer)?;
        let (mut kernel, bias) = self.numbers(&source)?;
        if network.convolutions().next() == Some(layer) {
            self.fold_into_first_kernel(&mut kernel, layer.geometry.taps() as usize);
            // A tiny std can push a finite weight out of f32's range.
            self.refuse_non_finite(&source.values.name, &kernel)?;
        }
        Ok(ConvolutionWeights {
            kernel,
            bias,
            output_channels: layer.output_channels,
            input_channels: layer.input_channels,
        })
    }

    /// Kernel and bias as the file has them.
    fn numbers(&self, source: &LayerSource<'_>) -> Result<(Vec<f32>, Vec<f32>)> {
        let bias = self.floats(source.bias)?;
        let values = self.floats(source.values)?;
        let Some(codes) = source.codes else { return Ok((values, bias)) };
        let mut table = [0.0; CODEBOOK_ENTRIES];
        table.copy_from_slice(&values);
        let codes = self.contents.data(codes);
        Ok((codes.iter().map(|&code| table[usize::from(code)]).collect(), bias))
    }

    /// Turns the first convolution's kernel, (out, 3, taps), into one for mean-subtracted 0..255 RGB.
    fn fold_into_first_kernel(&self, kernel: &mut [f32], taps: usize) {
        let Preprocessing { scale, std, channel_order, .. } = self.preprocessing;
        let to_255 = 255.0 / scale;
        // In RGB order: k/std.
        let factors = self.preprocessing.rgb(std).map(|value| (1.0 / (to_255 * value)) as f32);
        for filter in kernel.chunks_exact_mut(3 * taps) {
            if channel_order == ChannelOrder::Bgr {
                let (blue, rest) = filter.split_at_mut(taps);
                blue.swap_with_slice(&mut rest[taps..]);
            }
            for (plane, factor) in filter.chunks_exact_mut(taps).zip(factors) {
                plane.iter_mut().for_each(|weight| *weight *= factor);
            }
        }
    }

    /// What the numbers of the first convolution say of pixels.
    fn assumed(&self) -> (Preprocessing, &'static str) {
        let first = self.network.convolutions().next();
        let numbers = first.and_then(|layer| self.numbers(&self.locate(layer).ok()?).ok());
        match numbers {
            Some((kernel, bias)) => assumed(&kernel, &bias, self.contents.is_caffes_list),
            None => (Preprocessing::TORCHVISION, "assumed without conv1_1"),
        }
    }

    /// Finds a layer's tensors and checks their types and shapes.
    fn locate(&self, layer: &Convolution) -> Result<LayerSource<'_>> {
        let Convolution { name, input_channels, output_channels, geometry, .. } = layer;
        let weights = geometry.weights_shape(*input_channels, *output_channels);
        let [_, rows, columns] = geometry.kernel;
        let shape = [weights.c, weights.h, rows, columns].map(|side| side as usize);
        let output_channels = shape[0];
        let key = self.naming.key(name);
        let get = |part| self.contents.get(&key, part);
        let (values, codes) = if let Some(codes) = get(Part::Codes) {
            let codes = self.checked(codes, &[Dtype::U8], &shape)?;
            let codebook = self.naming.tensor(name, "codebook");
            (self.required(get(Part::Codebook), &codebook, &[Dtype::F32], &[CODEBOOK_ENTRIES])?, Some(codes))
        } else if let Some(weight) = get(Part::Weight) {
            (self.checked(weight, &FLOATS, &shape)?, None)
        } else {
            let weight = self.naming.tensor(name, "weight");
            let (codes, found) = match (self.format(), &self.naming) {
                (Format::Safetensors, Naming::Names) => {
                    (format!(", or {name}.codes with {name}.codebook,"), "neither")
                }
                _ => (String::new(), "no such tensor"),
            };
            return Err(self.error(
                name,
                format!("{weight}{codes} of shape {}", spelled(&shape)),
                format!("{found}; {}", self.contents.tensors_there()),
                format!(
                    "use a {} file that holds this layer, or cost layers that come before it",
                    self.network.name()
                ),
            ));
        };
        let bias_name = self.naming.tensor(name, "bias");
        let bias = self.required(get(Part::Bias), &bias_name, &FLOATS, &[output_channels])?;
        Ok(LayerSource { values, codes, bias })
    }

    /// A tensor that has to be there with one of these types and this shape.
    fn required<'file>(
        &'file self,
        tensor: Option<&'file Tensor>,
        name: &str,
        dtypes: &[Dtype],
        shape: &[usize],
    ) -> Result<&'file Tensor> {
        let Some(tensor) = tensor else {
            return Err(self.error(
                name,
                format!("{} of shape {}", one_of(dtypes), spelled(shape)),
                format!("no such tensor; {}", self.contents.tensors_there()),
                "use a file that holds it",
            ));
        };
        self.checked(tensor, dtypes, shape)
    }

    fn checked<'file>(
        &'file self,
        tensor: &'file Tensor,
        dtypes: &[Dtype],
        shape: &[usize],
    ) -> Result<&'file Tensor> {
        if !dtypes.contains(&tensor.dtype) {
            let remedy = format!("save the tensor as {}", one_of(dtypes));
            return Err(self.error(&tensor.name, one_of(dtypes), tensor.dtype.to_string(), remedy));
        }
        if tensor.shape != shape {
            return Err(self.error(
                &tensor.name,
                format!("shape {}", spelled(shape)),
                format!("shape {}", spelled(&tensor.shape)),
                format!("use the weights of {} with axes in the order out,in,ky,kx", self.network.name()),
            ));
        }
        Ok(tensor)
    }

    fn floats(&self, tensor: &Tensor) -> Result<Vec<f32>> {
        let values = self.contents.floats(tensor);
        self.refuse_non_finite(&tensor.name, &values)?;
        Ok(values)
    }

    fn refuse_non_finite(&self, tensor: &str, values: &[f32]) -> Result<()> {
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(()),
            Some(place) => Err(self.error(
                tensor,
                "finite numbers",
                format!("{} at place {place}", values[place]),
                "the file is damaged: fetch or make it again",
            )),
        }
    }

    fn error(
        &self,
        item: &str,
        expected: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<Remedy>,
    ) -> Error {
        weights_error(&self.name, item, expected, found, remedy)
    }
}

impl fmt::Debug for Weights {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Weights")
            .field("name", &self.name)
            .field("format", &self.contents.format)
            .field("network", &self.network.name())
            .field("bytes", &self.contents.bytes.len())
            .field("preprocessing", &self.preprocessing)
            .finish_non_exhaustive()
    }
}
