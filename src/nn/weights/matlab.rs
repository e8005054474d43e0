//! MATLAB files of version 5 to 7, as far as MatConvNet's networks need them.
//!
//! A file is a list of elements: a type, a length, and that many bytes, often deflated. A matrix is an element of elements:
//! its class, its size, its name, and what is in it; cells and structs have matrices in them. `layers` is a cell of structs
//! with `name` and `weights`, itself a cell of the kernel (ky, kx, in, out) and the bias; numbers lie column by column.
//!
//! The published files have 500 MB, most of it for fully connected layers. So the file is read as a stream: what is
//! larger than any convolution is passed over, and never all in memory.

use std::io::{self, Read};

use flate2::read::ZlibDecoder;
use safetensors::tensor::Dtype;

use super::contents::{Contents, Format, LARGEST, LayerKey, Part, Tensor, elements, is_layer};
use super::fault::Fault;
use super::preprocessing::Preprocessing;
use crate::tensors::shortened;

type Result<T> = std::result::Result<T, Fault>;

/// Bytes of the header.
const HEADER: usize = 128;
/// Bytes that may come out of deflated elements: three times VGG-19 with its fully connected layers.
const MOST_INFLATED: u64 = 2 << 30;
/// Bytes of numbers that are kept: three times the convolutions of VGG-19.
const MOST_KEPT: usize = 256 << 20;
/// Matrices in a file; VGG-19's has some 3000, most of them names of classes.
const MOST_MATRICES: usize = 1 << 16;
/// Matrices in matrices.
const DEEPEST: usize = 8;
/// Bytes of names and texts that are read.
const LONGEST_TEXT: u64 = 1 << 12;
/// Fields of a struct.
const MOST_FIELDS: usize = 256;
/// What a file should be.
const WHOLE: &str = "a complete MATLAB file";

/// Types of elements.
mod element {
    pub(super) const MATRIX: u32 = 14;
    pub(super) const DEFLATED: u32 = 15;
}

/// What is in a file's header, where it is one of version 5: whether its lowest bytes come first.
pub(super) fn is_little_endian(bytes: &[u8]) -> Option<bool> {
    // It begins with a text, which has no zeros.
    if bytes.iter().take(4).any(|byte| *byte == 0) {
        return None;
    }
    match bytes.get(HEADER - 4..HEADER)? {
        [0, 1, b'I', b'M'] => Some(true),
        [1, 0, b'M', b'I'] => Some(false),
        _ => None,
    }
}

/// Takes the convolutions out of a file.
pub(super) fn read(bytes: &[u8]) -> Result<Contents> {
    if is_little_endian(bytes) != Some(true) {
        let remedy = "save it again on a usual machine, with -v7";
        return Err(Fault::new("numbers", "ones whose lowest byte comes first", "the highest first", remedy));
    }
    let mut rest = &bytes[HEADER..];
    let mut budget = Budget { matrices: MOST_MATRICES, kept: MOST_KEPT, inflated: MOST_INFLATED };
    let mut variables = Vec::new();
    let mut others = Vec::new();
    while !rest.is_empty() {
        let (kind, length) = rest.split_first_chunk::<8>().map(|(tag, _)| tag_of(tag)).ok_or_else(cut)?;
        let end = usize::try_from(length).ok().and_then(|length| length.checked_add(8)).ok_or_else(cut)?;
        let mut element = rest.get(..end).ok_or_else(cut)?;
        rest = &rest[end..];
        let found = match kind {
            element::MATRIX => variable(&mut element, &mut budget)?,
            element::DEFLATED => {
                let inflated = ZlibDecoder::new(&element[8..]);
                let mut inflated = inflated.take(budget.inflated);
                let found = variable(&mut inflated, &mut budget)?;
                budget.inflated = inflated.limit();
                found
            }
            _ => continue,
        };
        match found {
            Variable::Read(name, value) => variables.push((name, value)),
            Variable::Other(name) => others.push(name),
        }
    }
    convolutions(&variables, &others)
}

fn cut() -> Fault {
    Fault::damaged("elements", WHOLE, "an end in the middle of one")
}

fn damaged(found: impl Into<String>) -> Fault {
    Fault::damaged("elements", WHOLE, found)
}

/// What may still be read.
struct Budget {
    matrices: usize,
    kept: usize,
    inflated: u64,
}

impl Budget {
    fn keep(&mut self, bytes: usize) -> Result<()> {
        self.kept = self.kept.checked_sub(bytes).ok_or_else(|| damaged("too many numbers"))?;
        Ok(())
    }
}

/// What a matrix holds.
enum Value {
    /// f32, little-endian, column by column. `None` where there are more than are kept.
    Numbers {
        size: Vec<usize>,
        bytes: Option<Vec<u8>>,
    },
    Text(String),
    Cell(Vec<Value>),
    /// For each struct the values of the fields.
    Structs {
        fields: Vec<String>,
        structs: Vec<Vec<Value>>,
    },
    Other,
}

impl Value {
    /// A field of the first struct.
    fn field(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Structs { fields, structs } => field(fields, structs.first()?, name),
            _ => None,
        }
    }
}

fn field<'value>(fields: &[String], values: &'value [Value], name: &str) -> Option<&'value Value> {
    values.get(fields.iter().position(|field| field == name)?)
}

/// A variable of the file.
enum Variable {
    Read(String, Value),
    /// The name of one that says nothing of a network.
    Other(String),
}

/// Reads a variable with its tag.
fn variable(source: &mut dyn Read, budget: &mut Budget) -> Result<Variable> {
    let mut tag = [0; 8];
    fill(source, &mut tag)?;
    let (kind, length) = tag_of(&tag);
    if kind != element::MATRIX {
        return Err(damaged(format!("an element of type {kind} where a matrix should be")));
    }
    let mut stream = Stream { source, left: length };
    let head = stream.head()?;
    if !["layers", "normalization", "meta"].contains(&&*head.name) {
        return Ok(Variable::Other(shortened(&head.name)));
    }
    let name = head.name.clone();
    Ok(Variable::Read(name, stream.contents(head, budget, 0)?))
}

fn fill(source: &mut dyn Read, buffer: &mut [u8]) -> Result<()> {
    source.read_exact(buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => cut(),
        _ => damaged("deflated bytes with a fault"),
    })
}

/// Type and length.
fn tag_of(tag: &[u8; 8]) -> (u32, u64) {
    let word =
        |place: usize| u32::from_le_bytes([tag[place], tag[place + 1], tag[place + 2], tag[place + 3]]);
    (word(0), word(4).into())
}

/// The bytes of a matrix.
struct Stream<'source> {
    source: &'source mut dyn Read,
    /// Bytes of it that are still to come.
    left: u64,
}

/// An element within a matrix.
struct Element {
    kind: u32,
    length: u64,
    /// The bytes of a short one, which stand in its tag.
    short: Option<[u8; 4]>,
}

/// What stands before a matrix's contents.
struct Head {
    class: u8,
    size: Vec<usize>,
    name: String,
}

impl Stream<'_> {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<()> {
        self.left = self.left.checked_sub(buffer.len() as u64).ok_or_else(cut)?;
        fill(self.source, buffer)
    }

    fn skip(&mut self, length: u64) -> Result<()> {
        self.left = self.left.checked_sub(length).ok_or_else(cut)?;
        match io::copy(&mut self.source.take(length), &mut io::sink()) {
            Ok(skipped) if skipped == length => Ok(()),
            Ok(_) => Err(cut()),
            Err(_) => Err(damaged("deflated bytes with a fault")),
        }
    }

    fn element(&mut self) -> Result<Element> {
        let mut tag = [0; 8];
        self.fill(&mut tag)?;
        let (kind, length) = tag_of(&tag);
        if kind >> 16 == 0 {
            return Ok(Element { kind, length, short: None });
        }
        let length = u64::from(kind >> 16);
        if length > 4 {
            return Err(damaged(format!("a short element of {length} bytes")));
        }
        Ok(Element { kind: kind & 0xffff, length, short: Some([tag[4], tag[5], tag[6], tag[7]]) })
    }

    /// Bytes up to the next multiple of eight.
    fn skip_padding(&mut self, element: &Element) -> Result<()> {
        let padding = if element.short.is_some() { 0 } else { element.length.wrapping_neg() % 8 };
        // The last element of some files has none.
        self.skip(padding.min(self.left))
    }

    /// The bytes of an element that has at most `most`.
    fn bytes(&mut self, most: u64) -> Result<Vec<u8>> {
        let element = self.element()?;
        if element.length > most {
            return Err(damaged(format!("{} bytes where at most {most} should be", element.length)));
        }
        let mut bytes = vec![0; element.length as usize];
        match element.short {
            Some(short) => bytes.copy_from_slice(&short[..element.length as usize]),
            None => self.fill(&mut bytes)?,
        }
        self.skip_padding(&element)?;
        Ok(bytes)
    }

    fn head(&mut self) -> Result<Head> {
        let flags = self.bytes(8)?;
        let class = *flags.first().ok_or_else(|| damaged("a matrix without a class"))?;
        let sides = self.bytes(LONGEST_TEXT)?;
        let size = sides.as_chunks::<4>().0.iter().map(|side| u32::from_le_bytes(*side) as usize).collect();
        let name = text(&self.bytes(LONGEST_TEXT)?);
        Ok(Head { class, size, name })
    }

    /// A matrix within a matrix.
    fn matrix(&mut self, budget: &mut Budget, depth: usize) -> Result<Value> {
        budget.matrices = budget.matrices.checked_sub(1).ok_or_else(|| damaged("too many matrices"))?;
        if depth > DEEPEST {
            return Err(damaged("matrices too deep in one another"));
        }
        let element = self.element()?;
        if element.kind != element::MATRIX || element.short.is_some() {
            return Err(damaged(format!("an element of type {} where a matrix should be", element.kind)));
        }
        self.left = self.left.checked_sub(element.length).ok_or_else(cut)?;
        let mut inner = Stream { source: &mut *self.source, left: element.length };
        // Nothing at all is an empty matrix.
        if element.length == 0 {
            return Ok(Value::Other);
        }
        let head = inner.head()?;
        inner.contents(head, budget, depth)
    }

    fn contents(&mut self, head: Head, budget: &mut Budget, depth: usize) -> Result<Value> {
        let Head { class, size, .. } = head;
        let count = elements(&size).ok_or_else(|| damaged("a matrix of too many elements"))?;
        let value = match class {
            1 => Value::Cell(self.matrices(count, budget, depth)?),
            2 => {
                let length = self.bytes(4)?;
                let length = length.first_chunk().map_or(0, |length| u32::from_le_bytes(*length)) as usize;
                let names = self.bytes((MOST_FIELDS as u64) * 64)?;
                if length == 0 && !names.is_empty() {
                    return Err(damaged("fields without names"));
                }
                budget.keep(names.len())?;
                let fields: Vec<String> = names.chunks_exact(length.max(1)).map(text).collect();
                let mut structs = Vec::new();
                // One without fields has no bytes, however many there are.
                let count = if fields.is_empty() { 0 } else { count };
                for _ in 0..count {
                    structs.push(self.matrices(fields.len(), budget, depth)?);
                }
                Value::Structs { fields, structs }
            }
            4 => self.text_matrix(budget)?,
            6..=15 => self.numbers(size, count, budget)?,
            _ => Value::Other,
        };
        // An imaginary part, or what is not read here.
        self.skip(self.left)?;
        Ok(value)
    }

    fn matrices(&mut self, count: usize, budget: &mut Budget, depth: usize) -> Result<Vec<Value>> {
        (0..count).map(|_| self.matrix(budget, depth + 1)).collect()
    }

    fn text_matrix(&mut self, budget: &mut Budget) -> Result<Value> {
        let element = self.element()?;
        if element.length > LONGEST_TEXT {
            return Ok(Value::Other);
        }
        budget.keep(element.length as usize)?;
        let mut bytes = vec![0; element.length as usize];
        match element.short {
            Some(short) => bytes.copy_from_slice(&short[..element.length as usize]),
            None => self.fill(&mut bytes)?,
        }
        // UTF-16, or a byte for each letter. Names of layers are plain.
        let is_wide = matches!(element.kind, 4 | 17);
        let letters =
            bytes.chunks_exact(if is_wide { 2 } else { 1 }).map(|letter| letter[0]).collect::<Vec<u8>>();
        Ok(Value::Text(text(&letters)))
    }

    fn numbers(&mut self, size: Vec<usize>, count: usize, budget: &mut Budget) -> Result<Value> {
        let element = self.element()?;
        let Some((width, number)) = number_of(element.kind) else {
            return Err(damaged(format!("numbers of type {}", element.kind)));
        };
        if element.length != (count as u64).saturating_mul(width as u64) {
            return Err(damaged(format!("{} bytes for {count} numbers", element.length)));
        }
        if count > LARGEST {
            return Ok(Value::Numbers { size, bytes: None });
        }
        budget.keep(4 * count)?;
        let mut bytes = Vec::new();
        if let Some(short) = element.short {
            let numbers = short[..element.length as usize].chunks_exact(width).map(number);
            bytes.extend(numbers.flat_map(f32::to_le_bytes));
        } else {
            // Not all at once: what is promised need not be there.
            let mut left = element.length as usize;
            let mut block = [0; 1 << 12];
            while left > 0 {
                let length = left.min(block.len());
                let block = &mut block[..length];
                self.fill(block)?;
                bytes.extend(block.chunks_exact(width).map(number).flat_map(f32::to_le_bytes));
                left -= length;
            }
        }
        Ok(Value::Numbers { size, bytes: Some(bytes) })
    }
}

/// Letters up to the first zero.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// The number that bytes are.
type Number = fn(&[u8]) -> f32;

/// How many bytes a number of an element's type has, and which it is.
fn number_of(kind: u32) -> Option<(usize, Number)> {
    // A slice of another length does not come.
    Some(match kind {
        1 => (1, |bytes| f32::from(bytes[0] as i8)),
        2 => (1, |bytes| f32::from(bytes[0])),
        3 => (2, |bytes| bytes.try_into().map_or(f32::NAN, |bytes| i16::from_le_bytes(bytes).into())),
        4 => (2, |bytes| bytes.try_into().map_or(f32::NAN, |bytes| u16::from_le_bytes(bytes).into())),
        5 => (4, |bytes| bytes.try_into().map_or(f32::NAN, |bytes| i32::from_le_bytes(bytes) as f32)),
        6 => (4, |bytes| bytes.try_into().map_or(f32::NAN, |bytes| u32::from_le_bytes(bytes) as f32)),
        7 => (4, |bytes| bytes.try_into().map_or(f32::NAN, f32::from_le_bytes)),
        9 => (8, |bytes| bytes.try_into().map_or(f32::NAN, |bytes| f64::from_le_bytes(bytes) as f32)),
        12 => (8, |bytes| bytes.try_into().map_or(f32::NAN, |bytes| i64::from_le_bytes(bytes) as f32)),
        13 => (8, |bytes| bytes.try_into().map_or(f32::NAN, |bytes| u64::from_le_bytes(bytes) as f32)),
        _ => return None,
    })
}

/// The convolutions of MatConvNet's variables.
fn convolutions(variables: &[(String, Value)], others: &[String]) -> Result<Contents> {
    let find = |name: &str| variables.iter().find(|(known, _)| known == name).map(|(_, value)| value);
    let layers: Vec<(&[String], &[Value])> = match find("layers") {
        Some(Value::Cell(cells)) => cells.iter().filter_map(only_struct).collect(),
        Some(Value::Structs { fields, structs }) => {
            structs.iter().map(|values| (&fields[..], &values[..])).collect()
        }
        _ => {
            let known = variables.iter().map(|(name, _)| name).chain(others);
            let known: Vec<&str> = known.take(4).map(|name| &**name).collect();
            return Err(Fault::new(
                "variables",
                "layers, as MatConvNet's imagenet-vgg-verydeep-19 has them",
                if known.is_empty() { "none".to_owned() } else { known.join(", ") },
                "use that file, or imagenet-vgg-verydeep-16.mat",
            ));
        }
    };
    let mut contents = Contents::new(Format::Matlab);
    for (fields, values) in layers {
        let Some(Value::Text(name)) = field(fields, values, "name") else { continue };
        // The older releases have no cell.
        let (kernel, bias) = match field(fields, values, "weights") {
            Some(Value::Cell(cells)) => (cells.first(), cells.get(1)),
            _ => (field(fields, values, "filters"), field(fields, values, "biases")),
        };
        for (part, ending, value) in [(Part::Weight, "weight", kernel), (Part::Bias, "bias", bias)] {
            let Some(Value::Numbers { size, bytes }) = value else { continue };
            let tensor_name = format!("{name}.{ending}");
            contents.note(&tensor_name);
            if !is_layer(name) {
                continue;
            }
            let (shape, strides) = if part == Part::Weight { kernel_axes(size) } else { (list(size), None) };
            let tensor = Tensor { name: tensor_name, dtype: Dtype::F32, shape, strides, start: 0, length: 0 };
            contents.push(
                (LayerKey::Named(name.clone()), part),
                tensor,
                bytes.as_deref().unwrap_or_default(),
            );
        }
    }
    let normalisation = find("normalization").or_else(|| find("meta")?.field("normalization"));
    let mean = normalisation.and_then(|value| value.field("averageImage"));
    contents.preprocessing = Some(match mean {
        Some(Value::Numbers { size, bytes: Some(bytes) }) if !bytes.is_empty() => (
            Preprocessing { mean: mean_colour(size, bytes)?, ..Preprocessing::CAFFE_RGB },
            "as its averageImage says",
        ),
        _ => (Preprocessing::CAFFE_RGB, "assumed, as the file has no averageImage"),
    });
    Ok(contents)
}

fn only_struct(value: &Value) -> Option<(&[String], &[Value])> {
    match value {
        Value::Structs { fields, structs } => Some((fields, structs.first()?)),
        _ => None,
    }
}

/// Shape (out, in, ky, kx) and strides of a kernel (ky, kx, in, out) that lies column by column.
fn kernel_axes(size: &[usize]) -> (Vec<usize>, Option<Vec<usize>>) {
    // Sides of 1 at the end are not written.
    let [rows, columns, inputs, outputs] = match *size {
        [rows, columns] => [rows, columns, 1, 1],
        [rows, columns, inputs] => [rows, columns, inputs, 1],
        [rows, columns, inputs, outputs] => [rows, columns, inputs, outputs],
        _ => return (size.to_vec(), None),
    };
    let plane = rows.saturating_mul(columns);
    (vec![outputs, inputs, rows, columns], Some(vec![plane.saturating_mul(inputs), plane, 1, rows]))
}

/// The shape of a list, which a matrix has as one row or one column.
fn list(size: &[usize]) -> Vec<usize> {
    let long: Vec<usize> = size.iter().copied().filter(|side| *side != 1).collect();
    if long.is_empty() { vec![1] } else { long }
}

/// The mean of each channel of a picture (rows, columns, 3), or of a list of three.
fn mean_colour(size: &[usize], bytes: &[u8]) -> Result<[f64; 3]> {
    let values: Vec<f64> =
        bytes.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value).into()).collect();
    let plane = values.len() / 3;
    let has_three = size.last() == Some(&3) || values.len() == 3;
    let mean = [0, 1, 2].map(|channel| {
        let sum: f64 = values.iter().skip(channel * plane).take(plane).sum();
        sum / plane as f64
    });
    if !has_three || mean.iter().any(|mean| !(0.0..=255.0).contains(mean)) {
        return Err(Fault::damaged("averageImage", "three channels of 0 to 255", "something else"));
    }
    // In f32 the file's 123.68 is a little more.
    Ok(mean.map(|mean| (mean as f32).to_string().parse().unwrap_or(mean)))
}
