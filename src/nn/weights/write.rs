//! What is in a file of weights, and the same as a file of ours.

use std::collections::BTreeMap;

use half::f16;
use safetensors::tensor::Dtype;
use serde_json::{Map, Value, json};

use super::contents::{Part, elements};
use super::preprocessing::listed;
use super::{LayerSource, Weights};
use crate::error::Result;
use crate::nn::network::{Convolution, LayerSpec};
use crate::ops::Precision;
use crate::ops::pool::PoolKind;

/// How a file holds a convolution's kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKernel {
    /// What the file calls it.
    pub name: String,
    /// The type of its numbers: `F32`, or `U8` for codes.
    pub dtype: String,
    /// (out, in, ky, kx).
    pub shape: Vec<usize>,
}

impl Weights {
    /// How the file holds the kernel of a layer; `None` where it holds none, or the network has no such layer.
    ///
    /// # Errors
    /// [`crate::Error::Weights`] where the kernel or the bias has another shape or type, or one of the two is missing.
    pub fn stored(&self, layer: &str) -> Result<Option<StoredKernel>> {
        let Some(source) = self.located(layer)? else { return Ok(None) };
        let kernel = source.codes.unwrap_or(source.values);
        let (dtype, shape) = (kernel.dtype.to_string(), kernel.shape.clone());
        Ok(Some(StoredKernel { name: kernel.name.clone(), dtype, shape }))
    }

    /// The kind of the network's pools.
    pub fn pools(&self) -> PoolKind {
        let kind = |layer: &LayerSpec| match layer {
            LayerSpec::Pool { kind, .. } => Some(*kind),
            LayerSpec::Convolution(_) => None,
        };
        self.network.layers().iter().find_map(kind).unwrap_or_default()
    }

    /// All layers that are there as a file that [`Weights::from_bytes`] reads: safetensors with plain weights of this
    /// precision, in the file's own order of channels and range of pixels, and with all of its metadata. The same weights
    /// give the same bytes. Takes the length of the result and one layer more of memory.
    ///
    /// # Errors
    /// [`crate::Error::Weights`] where there is no layer, a layer is not as it should be, or a value is not finite or too
    /// large for the precision.
    pub fn to_safetensors(&self, precision: Precision) -> Result<Vec<u8>> {
        let (dtype, size) = match precision {
            Precision::F32 => (Dtype::F32, 4),
            Precision::F16 => (Dtype::F16, 2),
        };
        let mut layers = Vec::new();
        for Convolution { name, .. } in self.network.convolutions() {
            layers.extend(self.located(name)?.map(|source| (name, source)));
        }
        if layers.is_empty() {
            // Says what is missing.
            self.check(0)?;
        }
        // Not by the crate, which writes the metadata in another order each time.
        let mut header = Map::new();
        header.insert("__metadata__".to_owned(), json!(self.metadata()));
        let mut end = 0;
        for (layer, source) in &layers {
            let kernel = &source.codes.unwrap_or(source.values).shape;
            for (part, shape) in [("weight", kernel), ("bias", &source.bias.shape)] {
                let start = end;
                end += size * elements(shape).unwrap_or(0);
                let entry =
                    json!({ "dtype": dtype.to_string(), "shape": shape, "data_offsets": [start, end] });
                header.insert(format!("{layer}.{part}"), entry);
            }
        }
        let mut header = Value::Object(header).to_string();
        // The numbers begin at a multiple of their size.
        header.push_str(&" ".repeat(header.len().wrapping_neg() % 8));
        let mut bytes = Vec::with_capacity(8 + header.len() + end);
        bytes.extend((header.len() as u64).to_le_bytes());
        bytes.extend(header.bytes());
        for (layer, source) in &layers {
            let (kernel, bias) = self.numbers(source)?;
            for (part, values) in [("weight", kernel), ("bias", bias)] {
                self.store(precision, &format!("{layer}.{part}"), &values, &mut bytes)?;
            }
        }
        Ok(bytes)
    }

    /// Adds numbers to the bytes of a file.
    fn store(&self, precision: Precision, name: &str, values: &[f32], bytes: &mut Vec<u8>) -> Result<()> {
        for (place, value) in values.iter().enumerate() {
            if precision == Precision::F32 {
                bytes.extend(value.to_le_bytes());
                continue;
            }
            let half = f16::from_f32(*value);
            if !half.is_finite() {
                let found = format!("{value} at place {place}");
                return Err(self.error(name, "numbers that f16 can hold", found, "take f32"));
            }
            bytes.extend(half.to_le_bytes());
        }
        Ok(())
    }

    /// What a file of ours says of itself.
    fn metadata(&self) -> BTreeMap<&'static str, String> {
        let network = self.network.name().to_lowercase().replace('-', "");
        let pools =
            PoolKind::ALL.iter().find(|(_, kind)| *kind == self.pools()).map_or("mean", |(name, _)| name);
        let keys = [
            ("layout", "out,in,ky,kx".to_owned()),
            ("scale", format!("0..{}", self.preprocessing.scale)),
            ("mean", listed(self.preprocessing.mean)),
            ("std", listed(self.preprocessing.std)),
            ("channel_order", self.preprocessing.channel_order.name().to_owned()),
            ("network", network),
            ("pooling", pools.to_owned()),
        ];
        BTreeMap::from(keys)
    }

    /// Where a layer's numbers lie; `None` where the file has no kernel of it, or the network no such layer.
    fn located(&self, layer: &str) -> Result<Option<LayerSource<'_>>> {
        let Some(convolution) = self.network.convolution(layer) else { return Ok(None) };
        let key = self.naming.key(layer);
        let is_there =
            [Part::Codes, Part::Weight].iter().any(|part| self.contents.get(&key, *part).is_some());
        is_there.then(|| self.locate(convolution)).transpose()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// f16 holds up to 65504.
    #[test]
    fn what_f16_cannot_hold_is_named() {
        let header = r#"{"__metadata__":{"preprocessing":"caffe"},"conv1_1.weight":{"dtype":"F32","shape":[64,3,3,3],"data_offsets":[0,6912]},"conv1_1.bias":{"dtype":"F32","shape":[64],"data_offsets":[6912,7168]}}"#;
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.bytes());
        bytes.extend([0; 7168]);
        let place = bytes.len() - 256 + 4 * 3;
        bytes[place..place + 4].copy_from_slice(&70_000_f32.to_le_bytes());
        let weights = Weights::from_bytes(bytes, "w").unwrap();
        let error = weights.to_safetensors(Precision::F16).unwrap_err().to_string();
        assert!(
            error.contains("conv1_1.bias: expected numbers that f16 can hold, found 70000 at place 3"),
            "{error}"
        );
        weights.to_safetensors(Precision::F32).unwrap();
    }
}
