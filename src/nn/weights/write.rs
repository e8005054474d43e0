//! What is in a file of weights, and the same as a file of ours.

use std::collections::HashMap;

use half::f16;
use safetensors::tensor::{Dtype, TensorView};

use super::contents::Part;
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
    /// precision, in the file's own order of channels and range of pixels, and with all of its metadata. Takes twice the
    /// file's length of memory meanwhile.
    ///
    /// # Errors
    /// [`crate::Error::Weights`] where there is no layer, a layer is not as it should be, or a value is not finite or too large
    /// for the precision.
    pub fn to_safetensors(&self, precision: Precision) -> Result<Vec<u8>> {
        let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
        let dtype = match precision {
            Precision::F32 => Dtype::F32,
            Precision::F16 => Dtype::F16,
        };
        for Convolution { name, .. } in self.network.convolutions() {
            let Some(source) = self.located(name)? else { continue };
            let (kernel, bias) = self.numbers(&source)?;
            let shape = source.codes.unwrap_or(source.values).shape.clone();
            for (part, shape, values) in [("weight", shape, kernel), ("bias", vec![bias.len()], bias)] {
                let name = format!("{name}.{part}");
                let bytes = self.stored_as(precision, &name, &values)?;
                tensors.push((name, shape, bytes));
            }
        }
        if tensors.is_empty() {
            // Says what is missing.
            self.check(0)?;
        }
        let views = tensors.iter().map(|(name, shape, bytes)| {
            TensorView::new(dtype, shape.clone(), bytes).map(|view| (name, view))
        });
        let fault = |error: safetensors::SafeTensorError| {
            self.error(
                "tensors",
                "ones that can be written",
                error.to_string(),
                "report this as a fault of impasto",
            )
        };
        let views = views.collect::<std::result::Result<Vec<_>, _>>().map_err(fault)?;
        safetensors::serialize(views, Some(self.metadata())).map_err(fault)
    }

    fn stored_as(&self, precision: Precision, name: &str, values: &[f32]) -> Result<Vec<u8>> {
        if precision == Precision::F32 {
            return Ok(values.iter().flat_map(|value| value.to_le_bytes()).collect());
        }
        let halves: Vec<f16> = values.iter().map(|value| f16::from_f32(*value)).collect();
        if let Some(place) = halves.iter().position(|value| !value.is_finite()) {
            return Err(self.error(
                name,
                "numbers that f16 can hold",
                format!("{} at place {place}", values[place]),
                "take f32",
            ));
        }
        Ok(halves.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    /// What a file of ours says of itself.
    fn metadata(&self) -> HashMap<String, String> {
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
        keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
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
