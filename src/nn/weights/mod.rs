//! The weights of a VGG network from a safetensors file: read, verified, turned into f32.
//!
//! Two layouts are read, and may be mixed from layer to layer:
//! - quantised: `<layer>.codes` U8 (out, in, ky, kx), `<layer>.codebook` F32 (256), `<layer>.bias`;
//!   a weight is `codebook[code]`;
//! - plain: `<layer>.weight` F32 or F16 (out, in, ky, kx), `<layer>.bias` F32 or F16 (out).
//!
//! The file's metadata says what the network expects of a pixel:
//!
//! | key | meaning |
//! |---|---|
//! | `scale` | `0..255` or `0..1`: the range of the pixels that the network was trained on |
//! | `mean` | three numbers in the units of `scale`, subtracted from the pixel |
//! | `std` (optional) | three numbers in the units of `scale`, by which the difference is divided |
//! | `channel_order` | `RGB` or `BGR`: the order of conv1_1's input channels, and of `mean` and `std` |
//! | `layout` | `out,in,ky,kx`: the order of the kernels' axes |
//! | `network` (optional) | `vgg19` or `vgg16`; where it is absent the tensors say |
//! | `pooling` (optional) | `mean` or `max`; `mean` where it is absent |
//!
//! The rest of the program works on x = pixel − mean in RGB and in 0..255 units, whatever the file says:
//! scale, deviation and channel order are folded into conv1_1's kernel when it is read. With k = 1 or 1/255
//! the network's input is (k·pixel − mean)/std = (k/std)·x, so multiplying conv1_1's kernel by k/std for each
//! input channel is the same function, also at the border, where the padding's zero is the mean colour in
//! both forms.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use half::f16;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};

use super::network::{Convolution, Network};
use super::vgg::{vgg16, vgg19};
use crate::error::{Error, Remedy, Result};
use crate::ops::pool::PoolKind;
use crate::tensors::{self, shortened};

/// Entries of a codebook: every value that a code can have, so that no code is out of range.
const CODEBOOK_ENTRIES: usize = 256;
/// What the embedded file is called in messages.
#[cfg(feature = "embedded-weights")]
const EMBEDDED_NAME: &str = "the embedded weights";

/// A weights file of a network whose header and metadata have been checked.
pub struct Weights {
    bytes: Cow<'static, [u8]>,
    name: String,
    network: Network,
    /// The kind of its pools, where it is not the one that the file says.
    other_pools: Option<PoolKind>,
    header: Metadata,
    /// Where the tensors' bytes begin in `bytes`.
    data_start: usize,
    mean: [f32; 3],
    /// What conv1_1's kernel is multiplied by for each input channel, in RGB order: k/std.
    first_kernel_factors: [f32; 3],
    channel_order: ChannelOrder,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChannelOrder {
    Rgb,
    Bgr,
}

/// Where a layer's kernel lies in the file, with types and shapes already checked.
enum KernelSource<'file> {
    Codes { codes: &'file [u8], codebook: &'file [u8] },
    Plain { values: &'file [u8], dtype: Dtype },
}

struct LayerSource<'file> {
    kernel: KernelSource<'file>,
    /// The tensor that holds the kernel's values, for messages.
    values_name: String,
    bias: &'file [u8],
    bias_dtype: Dtype,
}

impl Weights {
    /// Reads the header and the metadata of a safetensors file; `name` is what messages call the file.
    ///
    /// Reads no tensor yet: [`Weights::check`] and [`Weights::convolution`] do that. Pass a `Vec<u8>`, or a
    /// `&'static [u8]` that is part of the program. Besides these bytes the parsed header is kept: at most sixteen
    /// times its length, which is at most 1 MiB.
    ///
    /// # Errors
    /// [`Error::Weights`] for a file that is not safetensors, is cut short or contradicts itself, and for a
    /// metadata key that is missing or has an unknown value.
    pub fn from_bytes(bytes: impl Into<Cow<'static, [u8]>>, name: &str) -> Result<Self> {
        let bytes = bytes.into();
        let (data_start, header) = read_header(&bytes, name)?;
        let no_metadata = HashMap::new();
        let keys = MetadataKeys { file: name, values: header.metadata().as_ref().unwrap_or(&no_metadata) };
        keys.one_of("layout", &[("out,in,ky,kx", ())])?;
        let scale = keys.one_of("scale", &[("0..255", 255.0), ("0..1", 1.0)])?;
        let channel_order =
            keys.one_of("channel_order", &[("RGB", ChannelOrder::Rgb), ("BGR", ChannelOrder::Bgr)])?;
        let file_mean = keys
            .three_numbers("mean", &format!("three numbers from 0 to {scale}"), |value| {
                (0.0..=scale).contains(&value)
            })?
            .ok_or_else(|| keys.missing("mean", "three numbers in the units of `scale`"))?;
        let file_std = keys
            .three_numbers("std", "three numbers above 0", |value| value > 0.0 && value.is_finite())?
            .unwrap_or([1.0; 3]);
        let to_255 = 255.0 / scale;
        let rgb = |values: [f64; 3]| match channel_order {
            ChannelOrder::Rgb => values,
            ChannelOrder::Bgr => [values[2], values[1], values[0]],
        };
        let pools = keys.optional("pooling", &PoolKind::ALL)?.unwrap_or_default();
        let network = match keys.optional("network", &[("vgg19", vgg19 as fn(_) -> _), ("vgg16", vgg16)])? {
            Some(network) => network(pools),
            None if is_vgg16(&header) => vgg16(pools),
            None => vgg19(pools),
        };
        Ok(Weights {
            network,
            other_pools: None,
            mean: rgb(file_mean).map(|value| (value * to_255) as f32),
            first_kernel_factors: rgb(file_std).map(|value| (1.0 / (to_255 * value)) as f32),
            channel_order,
            digest: OnceLock::new(),
            name: name.to_owned(),
            data_start,
            header,
            bytes,
        })
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

    /// SHA-256 of the file's bytes, and of the kind of pools where another one is asked for, in hexadecimal digits.
    pub fn digest(&self) -> &str {
        let pools = self.other_pools.map_or("", PoolKind::name);
        self.digest.get_or_init(|| tensors::digest([&*self.bytes, pools.as_bytes()]))
    }

    /// The colour that the network takes for zero: RGB, in 0..255 units. Subtract it from a pixel to get x.
    pub fn mean(&self) -> [f32; 3] {
        self.mean
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
        let bias_name = format!("{name}.bias");
        let bias = self.floats(&bias_name, source.bias, source.bias_dtype)?;
        let mut kernel = match source.kernel {
            KernelSource::Codes { codes, codebook } => {
                let values = self.floats(&source.values_name, codebook, Dtype::F32)?;
                let mut table = [0.0; CODEBOOK_ENTRIES];
                table.copy_from_slice(&values);
                codes.iter().map(|&code| table[usize::from(code)]).collect()
            }
            KernelSource::Plain { values, dtype } => self.floats(&source.values_name, values, dtype)?,
        };
        if network.convolutions().next() == Some(layer) {
            self.fold_into_first_kernel(&mut kernel, layer.geometry.taps() as usize);
            // A tiny std can push a finite weight out of f32's range.
            self.refuse_non_finite(&source.values_name, &kernel)?;
        }
        Ok(ConvolutionWeights {
            kernel,
            bias,
            output_channels: layer.output_channels,
            input_channels: layer.input_channels,
        })
    }

    /// Turns the first convolution's kernel, (out, 3, taps), into one for mean-subtracted 0..255 RGB.
    fn fold_into_first_kernel(&self, kernel: &mut [f32], taps: usize) {
        for filter in kernel.chunks_exact_mut(3 * taps) {
            if self.channel_order == ChannelOrder::Bgr {
                let (blue, rest) = filter.split_at_mut(taps);
                blue.swap_with_slice(&mut rest[taps..]);
            }
            for (plane, factor) in filter.chunks_exact_mut(taps).zip(self.first_kernel_factors) {
                plane.iter_mut().for_each(|weight| *weight *= factor);
            }
        }
    }

    /// Finds a layer's tensors and checks their types and shapes.
    fn locate(&self, layer: &Convolution) -> Result<LayerSource<'_>> {
        let Convolution { name, input_channels, output_channels, geometry, .. } = layer;
        let weights = geometry.weights_shape(*input_channels, *output_channels);
        let [_, rows, columns] = geometry.kernel;
        let shape = [weights.c, weights.h, rows, columns].map(|side| side as usize);
        let output_channels = shape[0];
        let codes_name = format!("{name}.codes");
        let weight_name = format!("{name}.weight");
        let (kernel, values_name) = if let Some(codes) = self.header.info(&codes_name) {
            let codebook_name = format!("{name}.codebook");
            let codes = self.checked(&codes_name, codes, &[Dtype::U8], &shape)?;
            let codebook = self.required(&codebook_name, &[Dtype::F32], &[CODEBOOK_ENTRIES])?;
            (KernelSource::Codes { codes, codebook: self.data(codebook) }, codebook_name)
        } else if let Some(weight) = self.header.info(&weight_name) {
            let values = self.checked(&weight_name, weight, &[Dtype::F32, Dtype::F16], &shape)?;
            (KernelSource::Plain { values, dtype: weight.dtype }, weight_name)
        } else {
            return Err(self.error(
                name,
                format!("{weight_name}, or {codes_name} with {name}.codebook, of shape {}", Shape(&shape)),
                format!("neither; {}", self.tensors_there()),
                format!(
                    "use a {} file that holds this layer, or cost layers that come before it",
                    self.network.name()
                ),
            ));
        };
        let bias_name = format!("{name}.bias");
        let bias = self.required(&bias_name, &[Dtype::F32, Dtype::F16], &[output_channels])?;
        Ok(LayerSource { kernel, values_name, bias: self.data(bias), bias_dtype: bias.dtype })
    }

    /// The entry of a tensor that has to be there with one of these types and this shape.
    fn required(&self, tensor: &str, dtypes: &[Dtype], shape: &[usize]) -> Result<&TensorInfo> {
        let Some(info) = self.header.info(tensor) else {
            return Err(self.error(
                tensor,
                format!("{} of shape {}", one_of(dtypes), Shape(shape)),
                format!("no such tensor; {}", self.tensors_there()),
                "use a file that holds it",
            ));
        };
        self.checked(tensor, info, dtypes, shape)?;
        Ok(info)
    }

    fn checked(&self, tensor: &str, info: &TensorInfo, dtypes: &[Dtype], shape: &[usize]) -> Result<&[u8]> {
        if !dtypes.contains(&info.dtype) {
            let remedy = format!("save the tensor as {}", one_of(dtypes));
            return Err(self.error(tensor, one_of(dtypes), info.dtype.to_string(), remedy));
        }
        if info.shape != shape {
            return Err(self.error(
                tensor,
                format!("shape {}", Shape(shape)),
                format!("shape {}", Shape(&info.shape)),
                format!("use the weights of {} with axes in the order out,in,ky,kx", self.network.name()),
            ));
        }
        Ok(self.data(info))
    }

    /// A tensor's bytes. The header was checked to cover the file exactly, without gaps or overlaps.
    fn data(&self, info: &TensorInfo) -> &[u8] {
        let (start, end) = info.data_offsets;
        &self.bytes[self.data_start + start..self.data_start + end]
    }

    fn floats(&self, tensor: &str, bytes: &[u8], dtype: Dtype) -> Result<Vec<f32>> {
        let values: Vec<f32> = if dtype == Dtype::F16 {
            bytes.as_chunks().0.iter().map(|&value| f16::from_le_bytes(value).to_f32()).collect()
        } else {
            bytes.as_chunks().0.iter().map(|&value| f32::from_le_bytes(value)).collect()
        };
        self.refuse_non_finite(tensor, &values)?;
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

    /// What the file holds, for the message that a tensor was not found.
    fn tensors_there(&self) -> String {
        const SHOWN: usize = 4;
        let names = self.header.offset_keys();
        let listed = names.iter().take(SHOWN).map(|name| shortened(name)).collect::<Vec<_>>().join(", ");
        match names.len() {
            0 => "the file holds no tensor".to_owned(),
            count if count <= SHOWN => format!("the file holds {listed}"),
            count => format!("the file holds {listed} and {} more", count - SHOWN),
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
            .field("network", &self.network.name())
            .field("bytes", &self.bytes.len())
            .field("mean", &self.mean)
            .field("channel_order", &self.channel_order)
            .finish_non_exhaustive()
    }
}

/// Reads the header; returns where the tensors' bytes begin, and the header.
fn read_header(bytes: &[u8], file: &str) -> Result<(usize, Metadata)> {
    tensors::read_header(bytes).map_err(|found| {
        let remedy = other_format(bytes)
            .map_or("the file is damaged or cut short: fetch or make it again".to_owned(), |format| {
                format!("this looks like {format}: save the network as safetensors")
            });
        weights_error(file, "header", "a complete safetensors file", found, remedy)
    })
}

/// Whether the tensors are VGG-16's: the layers that only VGG-19 has are absent, and one that comes after the first of
/// them is there. A file that ends before it serves both.
fn is_vgg16(header: &Metadata) -> bool {
    let holds = |layer: &Convolution| {
        let kernels = [format!("{}.codes", layer.name), format!("{}.weight", layer.name)];
        kernels.iter().any(|tensor| header.info(tensor).is_some())
    };
    let (larger, smaller) = (vgg19(PoolKind::Mean), vgg16(PoolKind::Mean));
    let only_larger = |layer: &&Convolution| smaller.convolution(&layer.name).is_none();
    let after = larger.convolutions().skip_while(|layer| !only_larger(layer));
    let (only_larger, both): (Vec<&Convolution>, Vec<&Convolution>) = after.partition(only_larger);
    !only_larger.into_iter().any(holds) && both.into_iter().any(holds)
}

/// The formats in which VGG networks are usually found, by their first bytes.
fn other_format(bytes: &[u8]) -> Option<&'static str> {
    let starts = |magic: &[u8]| bytes.starts_with(magic);
    if starts(b"PK\x03\x04") || starts(b"\x80\x02") {
        Some("a PyTorch file")
    } else if starts(b"\x89HDF") {
        Some("a Keras file")
    } else if starts(b"MATLAB") {
        Some("a MATLAB file")
    } else {
        None
    }
}

/// The metadata, with the file's name for messages.
struct MetadataKeys<'header> {
    file: &'header str,
    values: &'header HashMap<String, String>,
}

impl MetadataKeys<'_> {
    fn one_of<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Result<T> {
        self.optional(key, choices)?.ok_or_else(|| self.missing(key, &spellings(choices)))
    }

    /// `None` without the key.
    fn optional<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Result<Option<T>> {
        let Some(value) = self.values.get(key) else { return Ok(None) };
        // Spaces after commas and the letters' case carry no meaning here.
        let bare: String = value.chars().filter(|character| !character.is_whitespace()).collect();
        match choices.iter().find(|(spelling, _)| spelling.eq_ignore_ascii_case(&bare)) {
            Some(&(_, choice)) => Ok(Some(choice)),
            None => Err(self.wrong(key, spellings(choices), value)),
        }
    }

    /// Three numbers written `a,b,c`, `a b c` or `[a, b, c]`; `None` without the key.
    fn three_numbers(
        &self,
        key: &str,
        expected: &str,
        allowed: impl Fn(f64) -> bool,
    ) -> Result<Option<[f64; 3]>> {
        let Some(value) = self.values.get(key) else { return Ok(None) };
        let bare = value.trim();
        let bare = bare.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(bare);
        // A comma with an empty neighbour is a missing number, not a longer gap.
        let words: Vec<&str> = if bare.contains(',') {
            bare.split(',').map(str::trim).collect()
        } else {
            bare.split_whitespace().collect()
        };
        let numbers: Option<Vec<f64>> =
            words.iter().map(|word| word.parse().ok().filter(|&number| allowed(number))).collect();
        match numbers.and_then(|numbers| <[f64; 3]>::try_from(numbers).ok()) {
            Some(numbers) => Ok(Some(numbers)),
            None => Err(self.wrong(key, expected, value)),
        }
    }

    fn missing(&self, key: &str, expected: &str) -> Error {
        weights_error(
            self.file,
            &format!("metadata `{key}`"),
            expected,
            "no such key",
            "save the file again with this key in its metadata",
        )
    }

    fn wrong(&self, key: &str, expected: impl Into<String>, found: &str) -> Error {
        weights_error(
            self.file,
            &format!("metadata `{key}`"),
            expected,
            format!("`{}`", shortened(found)),
            "save the file again with a value that is read here",
        )
    }
}

fn spellings<T>(choices: &[(&str, T)]) -> String {
    choices.iter().map(|(spelling, _)| *spelling).collect::<Vec<_>>().join(" or ")
}

fn weights_error(
    name: &str,
    item: &str,
    expected: impl Into<String>,
    found: impl Into<String>,
    remedy: impl Into<Remedy>,
) -> Error {
    Error::Weights {
        name: name.to_owned(),
        item: shortened(item),
        expected: expected.into(),
        found: found.into(),
        remedy: Box::new(remedy.into()),
    }
}

fn one_of(dtypes: &[Dtype]) -> String {
    dtypes.iter().map(Dtype::to_string).collect::<Vec<_>>().join(" or ")
}

/// A shape as messages spell it: (64, 3, 3, 3).
struct Shape<'shape>(&'shape [usize]);

impl fmt::Display for Shape<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        let sizes: Vec<String> = self.0.iter().take(SHOWN).map(usize::to_string).collect();
        let more = if self.0.len() > SHOWN { ", …" } else { "" };
        write!(formatter, "({}{more})", sizes.join(", "))
    }
}
