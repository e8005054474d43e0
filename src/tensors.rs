//! What weights and checkpoints have in common: the header of a safetensors file, read within bounds, and digests.

use safetensors::tensor::Metadata;
use sha2::{Digest, Sha256};

/// The longest header that is parsed. VGG-19's takes 4 kB; a parsed header takes several times its length,
/// so this bounds the memory that a bad file can ask for.
pub(crate) const HEADER_LIMIT: u64 = 1 << 20;

/// Reads the header; returns where the tensors' bytes begin, and the header, which covers the file exactly, without
/// gaps or overlaps.
///
/// # Errors
/// What was found instead of a complete file.
pub(crate) fn read_header(bytes: &[u8]) -> Result<(usize, Metadata), String> {
    let size = bytes.len();
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(format!("{size} bytes"));
    };
    let length = u64::from_le_bytes(*length);
    if length > rest.len() as u64 {
        return Err(format!("a header length of {length} in a file of {size} bytes"));
    }
    if length > HEADER_LIMIT {
        return Err(format!("a header of {length} bytes, more than {HEADER_LIMIT}"));
    }
    // Not `SafeTensors::deserialize`: its sum of the lengths can overflow for offsets close to 2^64.
    let (header, data) = rest.split_at(length as usize);
    let header: Metadata = serde_json::from_slice(header)
        .map_err(|error| format!("a header with a fault: {}", shortened(&error.to_string())))?;
    if header.data_len() != data.len() {
        let (promised, there) = (header.data_len(), data.len());
        return Err(format!("{there} bytes of tensors where the header promises {promised}"));
    }
    Ok((size - data.len(), header))
}

/// SHA-256 of these bytes, one behind the other, in hexadecimal digits.
pub(crate) fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hasher = Sha256::new();
    parts.into_iter().for_each(|part| hasher.update(part));
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Text from a file, fit for one line of a message: bounded, without control characters.
pub(crate) fn shortened(text: &str) -> String {
    const LONGEST: usize = 120;
    let mut short: String = text.chars().filter(|character| !character.is_control()).take(LONGEST).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    short
}
