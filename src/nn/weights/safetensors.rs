//! safetensors: a header as JSON, then the tensors.

use std::borrow::Cow;

use super::contents::{Contents, Format, LayerKey, Tensor};
use super::fault::{DAMAGED, Fault};
use crate::tensors;

/// Whether a file begins as one does: with the length of a header that is there, and its brace.
pub(super) fn is_likely(bytes: &[u8]) -> bool {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else { return false };
    u64::from_le_bytes(*length) <= rest.len() as u64 && rest.first() == Some(&b'{')
}

/// Takes the tensors of a file. Their bytes stay where they are.
pub(super) fn read(bytes: Cow<'static, [u8]>) -> Result<Contents, Fault> {
    let (start, header) = tensors::read_header(&bytes)
        .map_err(|found| Fault::new("header", "a complete safetensors file", found, DAMAGED))?;
    let mut contents = Contents::new(Format::Safetensors);
    contents.metadata = header.metadata().clone().unwrap_or_default();
    for name in header.offset_keys() {
        contents.note(&name);
        let (Some(key), Some(info)) = (LayerKey::parse(&name), header.info(&name)) else { continue };
        let (begin, end) = info.data_offsets;
        let (dtype, shape) = (info.dtype, info.shape.clone());
        contents.add(
            key,
            Tensor { name, dtype, shape, strides: None, start: start + begin, length: end - begin },
        );
    }
    contents.bytes = bytes;
    Ok(contents)
}
