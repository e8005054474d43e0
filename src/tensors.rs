//! What weights and checkpoints have in common: the header of a safetensors file, read within bounds, and digests.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use safetensors::tensor::{Metadata, TensorInfo};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use sha2::{Digest, Sha256};

/// The longest header that is parsed. VGG-19's takes 4 kB; a parsed header takes several times its length,
/// so this bounds the memory that a bad file can ask for.
pub(crate) const HEADER_LIMIT: u64 = 1 << 20;
/// What the header calls the metadata among the tensors.
const METADATA: &str = "__metadata__";

/// Reads the header; returns where the tensors' bytes begin, and the header, which covers the file exactly, without
/// gaps or overlaps. Takes at most sixteen times the header's length in memory.
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
    let fault = |text: String| format!("a header with a fault: {}", shortened(&text));
    let Header { metadata, mut tensors } =
        serde_json::from_slice(header).map_err(|error| fault(error.to_string()))?;
    // In a file they may be named in any order.
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    let header = Metadata::new(metadata.map(|Unique(keys)| keys), tensors)
        .map_err(|error| fault(error.to_string()))?;
    if header.data_len() != data.len() {
        let (promised, there) = (header.data_len(), data.len());
        return Err(format!("{there} bytes of tensors where the header promises {promised}"));
    }
    Ok((size - data.len(), header))
}

/// The header as it is written. Not read as a `Metadata`, which would first keep all of it as a tree, of more
/// than ten times the bytes, and would pass over names that come twice.
struct Header {
    metadata: Option<Unique>,
    tensors: Vec<(String, TensorInfo)>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tensors;

        impl<'de> Visitor<'de> for Tensors {
            type Value = Header;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("tensors with their names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut metadata = None;
                let mut tensors = HashMap::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == METADATA {
                        if metadata.replace(map.next_value()?).is_some() {
                            return Err(twice(&name));
                        }
                    } else {
                        insert_new(&mut tensors, name, &mut map)?;
                    }
                }
                Ok(Header { metadata, tensors: tensors.into_iter().collect() })
            }
        }

        deserializer.deserialize_map(Tensors)
    }
}

/// Texts by keys, none of which comes twice.
struct Unique(HashMap<String, String>);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;

        impl<'de> Visitor<'de> for Texts {
            type Value = Unique;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("texts with their keys")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique, A::Error> {
                let mut keys = HashMap::new();
                while let Some(key) = map.next_key()? {
                    insert_new(&mut keys, key, &mut map)?;
                }
                Ok(Unique(keys))
            }
        }

        deserializer.deserialize_map(Texts)
    }
}

/// Adds the next value of `map` under `name`.
fn insert_new<'de, A: MapAccess<'de>, V: Deserialize<'de>>(
    values: &mut HashMap<String, V>,
    name: String,
    map: &mut A,
) -> Result<(), A::Error> {
    match values.entry(name) {
        Entry::Occupied(known) => Err(twice(known.key())),
        Entry::Vacant(free) => {
            free.insert(map.next_value()?);
            Ok(())
        }
    }
}

fn twice<E: serde::de::Error>(name: &str) -> E {
    E::custom(format!("`{}` comes twice", shortened(name)))
}

/// SHA-256 of these bytes, one after the other, in hexadecimal digits.
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
