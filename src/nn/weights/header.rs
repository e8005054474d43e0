//! The header of a safetensors file: JSON that says where each tensor lies.

use safetensors::tensor::Metadata;

use super::{shortened, weights_error};
use crate::error::Result;

/// The longest header that is parsed. VGG-19's takes 4 kB; a parsed header takes several times its length,
/// so this bounds the memory that a bad file can ask for.
pub(super) const HEADER_LIMIT: u64 = 1 << 20;

/// Reads the header; returns where the tensors' bytes begin, and the header.
pub(super) fn read(bytes: &[u8], file: &str) -> Result<(usize, Metadata)> {
    const EXPECTED: &str = "a complete safetensors file";
    let fail = |found: String| {
        let remedy = other_format(bytes)
            .map_or("the file is damaged or cut short: fetch or make it again".to_owned(), |format| {
                format!("this looks like {format}: save the network as safetensors")
            });
        weights_error(file, "header", EXPECTED, found, remedy)
    };
    let size = bytes.len();
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(fail(format!("{size} bytes")));
    };
    let length = u64::from_le_bytes(*length);
    if length > rest.len() as u64 {
        return Err(fail(format!("a header length of {length} in a file of {size} bytes")));
    }
    if length > HEADER_LIMIT {
        return Err(fail(format!("a header of {length} bytes, more than {HEADER_LIMIT}")));
    }
    // Not `SafeTensors::deserialize`: its sum of the lengths can overflow for offsets close to 2^64.
    let (header, data) = rest.split_at(length as usize);
    let header: Metadata = serde_json::from_slice(header)
        .map_err(|error| fail(format!("a header with a fault: {}", shortened(&error.to_string()))))?;
    if header.data_len() != data.len() {
        let (promised, there) = (header.data_len(), data.len());
        return Err(fail(format!("{there} bytes of tensors where the header promises {promised}")));
    }
    Ok((size - data.len(), header))
}

/// The formats in which VGG-19 is usually found, by their first bytes.
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
