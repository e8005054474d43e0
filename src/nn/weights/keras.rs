//! Keras' files of weights: HDF5, in which a layer is a group with its kernel (ky, kx, in, out) and its bias.
//!
//! The names have changed over the years: `block1_conv1/block1_conv1_W_1:0`, `block1_conv1/block1_conv1/kernel:0`, whole
//! models have the same below `model_weights`, and Keras 3 numbers the layers: `layers/conv2d_1/vars/0`.

use std::borrow::Cow;

use hdf5_reader::messages::datatype::Datatype;
use hdf5_reader::{ByteOrder, Dataset, Hdf5File, OpenOptions};
use safetensors::tensor::Dtype;

use super::contents::{Contents, Format, LARGEST, LayerKey, Part, Tensor, elements, is_layer};
use super::fault::Fault;
use super::preprocessing::Preprocessing;
use crate::nn::vgg::{vgg16, vgg19};
use crate::ops::pool::PoolKind;
use crate::tensors::shortened;

type Result<T> = std::result::Result<T, Fault>;

/// What a file begins with.
pub(super) const MAGIC: &[u8] = b"\x89HDF\r\n\x1a\n";
/// Groups that are looked at; VGG-19's file has some 80.
const MOST_GROUPS: usize = 1 << 12;
/// Groups in groups.
const DEEPEST: usize = 8;
/// Bytes of numbers that are kept: three times the convolutions of VGG-19. A file need not hold the numbers that it
/// promises, as those that are absent are zeros.
const MOST_KEPT: usize = 256 << 20;
/// What a file should be.
const WHOLE: &str = "a complete HDF5 file";

/// Takes the convolutions out of a file.
pub(super) fn read(bytes: Cow<'static, [u8]>) -> Result<Contents> {
    let options = OpenOptions::default()
        .with_chunk_cache_bytes(0)
        .with_max_chunk_bytes(LARGEST * 8)
        .with_max_read_bytes(LARGEST * 8)
        .with_max_object_header_bytes(1 << 20);
    let fault =
        |error: hdf5_reader::error::Error| Fault::damaged("HDF5", WHOLE, shortened(&error.to_string()));
    let file = Hdf5File::from_owner(bytes, options).map_err(fault)?;
    let mut contents = Contents::new(Format::Keras);
    let mut numbered: Vec<(usize, Part, Tensor, Vec<u8>)> = Vec::new();
    let mut kept = MOST_KEPT;
    let mut left = vec![(String::new(), file.root_group().map_err(fault)?, 0)];
    let mut groups = 0;
    while let Some((path, group, depth)) = left.pop() {
        groups += 1;
        if groups > MOST_GROUPS || depth > DEEPEST {
            return Err(Fault::damaged("HDF5", "the groups of a network", "many more"));
        }
        let (inner, datasets) = group.members().map_err(fault)?;
        for group in inner.into_iter().rev() {
            let name = group.name().rsplit('/').next().unwrap_or_default();
            // The state of an optimiser has the names of layers, too.
            if !(depth == 0 && name.starts_with("optimizer")) {
                left.push((format!("{path}{name}/"), group, depth + 1));
            }
        }
        for dataset in datasets {
            let name = format!("{path}{}", dataset.name().rsplit('/').next().unwrap_or_default());
            contents.note(&name);
            let Some(layer) = Layer::of(&path) else { continue };
            let Some((part, tensor, bytes)) = tensor(name, &dataset).map_err(fault)? else { continue };
            kept = kept
                .checked_sub(bytes.len())
                .ok_or_else(|| Fault::damaged("HDF5", "the numbers of a network", "many more"))?;
            match layer {
                Layer::Named(layer) => contents.push((LayerKey::Named(layer), part), tensor, &bytes),
                Layer::Numbered(number) => numbered.push((number, part, tensor, bytes)),
            }
        }
    }
    // How many there are says of which network they are.
    let count = numbered.iter().map(|(number, ..)| number + 1).max().unwrap_or(0);
    let network = if count == vgg16(PoolKind::Mean).convolutions().count() { vgg16 } else { vgg19 };
    let network = network(PoolKind::Mean);
    let names: Vec<&str> = network.convolutions().map(|layer| &*layer.name).collect();
    for (number, part, tensor, bytes) in numbered {
        let Some(name) = names.get(number) else { continue };
        contents.push((LayerKey::Named((*name).to_owned()), part), tensor, &bytes);
    }
    if contents.tensors.is_empty() {
        let found = contents.tensors_there();
        let remedy = "use Keras' weights of VGG19 or VGG16";
        return Err(Fault::new("layers", "block1_conv1 and the others of Keras' VGG19", found, remedy));
    }
    contents.preprocessing = Some((Preprocessing::CAFFE, "assumed, as Keras' networks are"));
    Ok(contents)
}

/// A layer by what the path of its group says.
enum Layer {
    Named(String),
    /// By its number among the convolutions.
    Numbered(usize),
}

impl Layer {
    fn of(path: &str) -> Option<Self> {
        path.split('/').find_map(|part| {
            if let Some((block, number)) =
                part.strip_prefix("block").and_then(|rest| rest.split_once("_conv"))
            {
                let name = format!("conv{block}_{number}");
                return is_layer(&name).then_some(Self::Named(name));
            }
            let number = match part.strip_prefix("conv2d")? {
                "" => 0,
                rest => rest.strip_prefix('_')?.parse().ok()?,
            };
            (path.ends_with("/vars/") && number < 100).then_some(Self::Numbered(number))
        })
    }
}

/// A kernel or a bias with its bytes; `None` for what is neither.
fn tensor(name: String, dataset: &Dataset) -> hdf5_reader::error::Result<Option<(Part, Tensor, Vec<u8>)>> {
    let sides: Option<Vec<usize>> = dataset.shape().iter().map(|side| usize::try_from(*side).ok()).collect();
    let (part, shape, strides) = match sides.as_deref() {
        Some(&[rows, columns, inputs, outputs]) => {
            let row = columns.saturating_mul(inputs).saturating_mul(outputs);
            let strides = vec![1, outputs, row, inputs.saturating_mul(outputs)];
            (Part::Weight, vec![outputs, inputs, rows, columns], Some(strides))
        }
        Some(&[outputs]) => (Part::Bias, vec![outputs], None),
        _ => return Ok(None),
    };
    let (dtype, order) = match dataset.dtype() {
        Datatype::FloatingPoint { size: 2, byte_order } => (Dtype::F16, *byte_order),
        Datatype::FloatingPoint { size: 4, byte_order } => (Dtype::F32, *byte_order),
        Datatype::FloatingPoint { size: 8, byte_order } => (Dtype::F64, *byte_order),
        _ => return Ok(None),
    };
    let is_kept = elements(&shape).is_some_and(|count| count <= LARGEST);
    let mut bytes = if is_kept { dataset.read_raw_bytes()? } else { Vec::new() };
    if order == ByteOrder::BigEndian {
        bytes.chunks_exact_mut(dtype.bitsize() / 8).for_each(<[u8]>::reverse);
    }
    Ok(Some((part, Tensor { name, dtype, shape, strides, start: 0, length: 0 }, bytes)))
}
