//! PyTorch's files, as `torch.save` writes a `state_dict()`: tensors with their names.
//!
//! Since PyTorch 1.6 a file is a ZIP, whose `data.pkl` says what there is, and whose `data/KEY` are the numbers. Before, it
//! was five pickles: a magic number, a version, the machine, what there is, and the keys of the numbers, which follow, each
//! list behind its length.

use std::borrow::Cow;
use std::collections::HashMap;

use rawzip::{CompressionMethod, ZipArchive};
use safetensors::tensor::Dtype;

use super::contents::{Contents, Format, LayerKey, Tensor, elements, is_small, places, spelled};
use super::fault::Fault;
use super::pickle::{LONGEST, Pickle, Refusal, Storage, View};
use crate::tensors::shortened;

type Result<T> = std::result::Result<T, Fault>;

/// The number in the first pickle of a legacy file, as the pickle has it.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// Entries of a ZIP that are looked at; VGG-19's has 41.
const MOST_ENTRIES: u64 = 4096;
/// What a file should be.
const WHOLE: &str = "a complete file of torch.save";

/// Whether a legacy file begins like this.
pub(super) fn is_legacy(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(32)];
    bytes.first() == Some(&0x80) && start.windows(MAGIC.len()).any(|window| window == MAGIC)
}

/// Takes the tensors of a ZIP that may be PyTorch's.
pub(super) fn read_zip(bytes: &[u8]) -> Result<Contents> {
    let zip_fault =
        |error: rawzip::Error| Fault::damaged("ZIP", "a complete ZIP", shortened(&error.to_string()));
    let archive = ZipArchive::from_slice(bytes).map_err(zip_fault)?;
    let mut entries = HashMap::new();
    let mut pickle = None;
    let mut others = Others::default();
    let mut records = archive.entries();
    while let Some(record) = records.next_entry().map_err(zip_fault)? {
        let path = record.file_path();
        let Ok(name) = std::str::from_utf8(path.as_ref()) else { continue };
        if entries.len() as u64 >= MOST_ENTRIES {
            return Err(Fault::new("ZIP", WHOLE, format!("more than {MOST_ENTRIES} entries"), SAVE));
        }
        others.note(name);
        if name == "data.pkl" || name.ends_with("/data.pkl") {
            pickle = Some(name.trim_end_matches("data.pkl").to_owned());
        }
        let plain = record.compression_method() == CompressionMethod::STORE;
        entries.insert(name.to_owned(), (record.wayfinder(), plain));
    }
    let Some(folder) = pickle else { return Err(others.fault()) };
    let entry = |name: &str| -> Result<&[u8]> {
        let Some((wayfinder, plain)) = entries.get(&format!("{folder}{name}")) else {
            return Err(Fault::damaged(name, WHOLE, "no such entry in the ZIP"));
        };
        if !plain {
            return Err(Fault::new(name, "an entry as torch.save writes it", "a compressed one", SAVE));
        }
        let found = archive.get_entry(*wayfinder).map_err(zip_fault)?;
        let verifier = found.claim_verifier();
        let data = found.data();
        if verifier.uncompressed_size != data.len() as u64 || verifier.crc != rawzip::crc32(data) {
            return Err(Fault::damaged(name, WHOLE, "other bytes than their checksum says"));
        }
        Ok(data)
    };
    if entries.contains_key(&format!("{folder}byteorder")) && entry("byteorder")? != b"little" {
        return Err(big_endian());
    }
    let bytes = entry("data.pkl")?;
    let pickle = read_pickle(bytes)?;
    take(Format::TorchZip, &pickle, |storage| entry(&format!("data/{}", storage.key)))
}

/// Takes the tensors of a legacy file.
pub(super) fn read_legacy(bytes: &[u8]) -> Result<Contents> {
    let mut at = 0;
    // The magic number, the version, and the machine, whose order of bytes is seen in the numbers' lengths.
    for _ in 0..3 {
        at += read_pickle(&bytes[at..])?.end;
    }
    let pickle = read_pickle(&bytes[at..])?;
    at += pickle.end;
    let keys = read_pickle(&bytes[at..])?;
    at += keys.end;
    let cut = || Fault::damaged("storages", WHOLE, "an end in the middle of them");
    let Some(keys) = keys.texts() else { return Err(Fault::damaged("storages", WHOLE, "no list of keys")) };
    let known: HashMap<&str, &Storage> = pickle.storages().map(|storage| (&*storage.key, storage)).collect();
    let mut places: HashMap<&str, &[u8]> = HashMap::new();
    for key in keys {
        let count = bytes.get(at..).and_then(|rest| rest.first_chunk()).ok_or_else(cut)?;
        at += 8;
        let Some(storage) = known.get(key) else {
            // How wide its numbers are is not known, and so neither where the next begin.
            return Err(Fault::damaged(key, WHOLE, "a storage that is not spoken of"));
        };
        if u64::from_le_bytes(*count) != storage.count as u64 {
            return Err(match u64::from_be_bytes(*count) == storage.count as u64 {
                true => big_endian(),
                false => Fault::damaged(key, WHOLE, "another length than the pickle says"),
            });
        }
        let length = storage.bytes().ok_or_else(cut)?;
        places.insert(key, bytes.get(at..).and_then(|rest| rest.get(..length)).ok_or_else(cut)?);
        at += length;
    }
    take(Format::TorchLegacy, &pickle, |storage| {
        places
            .get(&*storage.key)
            .copied()
            .ok_or_else(|| Fault::damaged(&storage.key, WHOLE, "no such storage"))
    })
}

const SAVE: &str = "save it again with torch.save(model.state_dict(), …)";

fn big_endian() -> Fault {
    Fault::new("numbers", "ones whose lowest byte comes first", "the highest first", SAVE)
}

fn read_pickle(bytes: &[u8]) -> Result<Pickle<'_>> {
    Pickle::read(bytes).map_err(|refusal| match refusal {
        Refusal::Damaged(_) if bytes.len() > LONGEST => {
            Fault::new("pickle", WHOLE, format!("one that is damaged, or longer than {LONGEST} bytes"), SAVE)
        }
        Refusal::Damaged(found) => Fault::damaged("pickle", WHOLE, found),
        Refusal::Foreign(name) => Fault::new(
            "pickle",
            "tensors and their names alone",
            format!("a call of {}, which is not made", shortened(&name)),
            SAVE,
        ),
    })
}

fn tensors<'pickle>(pickle: &'pickle Pickle<'_>) -> Result<Vec<(String, &'pickle View)>> {
    pickle.tensors().map_err(|_| Fault::new("pickle", WHOLE, "too many entries", SAVE))
}

/// Takes the tensors that may be a layer's; `bytes` gives those of a storage.
fn take<'bytes>(
    format: Format,
    pickle: &Pickle<'_>,
    bytes: impl Fn(&Storage) -> Result<&'bytes [u8]>,
) -> Result<Contents> {
    let mut contents = Contents::new(format);
    for (name, view) in tensors(pickle)? {
        contents.note(&name);
        let Some(key) = LayerKey::parse(&name) else { continue };
        let View { storage, offset, shape, strides } = view;
        let (dtype, start, length) = (storage.dtype, 0, 0);
        let tensor = Tensor { name, dtype, shape: shape.clone(), strides: None, start, length };
        if !is_small(shape) {
            contents.add(key, tensor);
            continue;
        }
        let found = bytes(storage)?;
        if storage.bytes() != Some(found.len()) {
            return Err(Fault::damaged(&tensor.name, WHOLE, "another length than the pickle says"));
        }
        let Some(values) = row_major(found, dtype, *offset, shape, strides) else {
            let numbers = storage.count;
            let found = format!("shape {} from {offset} on of {numbers} numbers", spelled(shape));
            return Err(Fault::damaged(&tensor.name, "a tensor within its storage", found));
        };
        contents.push(key, tensor, &values);
    }
    Ok(contents)
}

/// The bytes of a view, row-major. `None` where it reaches out of the storage, or has more numbers than there are.
fn row_major<'bytes>(
    bytes: &'bytes [u8],
    dtype: Dtype,
    offset: usize,
    shape: &[usize],
    strides: &[usize],
) -> Option<Cow<'bytes, [u8]>> {
    let size = dtype.bitsize() / 8;
    let count = elements(shape)?;
    let length = count.checked_mul(size)?;
    if length > bytes.len() {
        return None;
    }
    let mut usual = 1;
    let is_usual = shape.iter().zip(strides).rev().all(|(side, stride)| {
        let fits = *side == 1 || *stride == usual;
        usual *= side;
        fits
    });
    if is_usual {
        let start = offset.checked_mul(size)?;
        return Some(Cow::Borrowed(bytes.get(start..start.checked_add(length)?)?));
    }
    let mut values = Vec::with_capacity(length);
    for place in places(shape, strides) {
        let start = place.checked_add(offset)?.checked_mul(size)?;
        values.extend_from_slice(bytes.get(start..start.checked_add(size)?)?);
    }
    Some(Cow::Owned(values))
}

/// What a ZIP that is not PyTorch's may be.
#[derive(Default)]
struct Others {
    numpy: bool,
    keras: bool,
    office: bool,
}

impl Others {
    fn note(&mut self, name: &str) {
        self.numpy |= name.ends_with(".npy");
        self.keras |= name.ends_with("model.weights.h5");
        self.office |= name == "[Content_Types].xml";
    }

    fn fault(&self) -> Fault {
        let (found, remedy) = match self {
            Self { numpy: true, .. } => {
                ("a file of NumPy's (.npz)", "save the network as safetensors or .pth")
            }
            Self { keras: true, .. } => {
                ("a file of Keras 3 (.keras)", "unpack it, and name the model.weights.h5 in it")
            }
            Self { office: true, .. } => ("a document", "name the file of weights"),
            _ => ("a ZIP without a data.pkl", "unpack it first, and name the file of weights in it"),
        };
        Fault::new("format", "a file of weights", found, remedy)
    }
}
