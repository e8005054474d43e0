//! Reads the pickles that `torch.save` makes of tensors with their names.
//!
//! A pickle is a program for a machine with a stack. Here it can make texts, numbers, lists, dictionaries and tensors, and
//! nothing else: the names of functions that it calls are compared with a list, none is ever looked up, and any other name
//! is an error. Lists and dictionaries are numbered in one list, so that sharing costs nothing and a circle is no danger.

use std::collections::HashMap;
use std::ops::Range;

use safetensors::tensor::Dtype;

/// Bytes of the longest pickle that is read. That of a network takes 4 kB.
pub(super) const LONGEST: usize = 1 << 20;
/// Dictionaries in dictionaries.
const DEEPEST: usize = 8;
/// Entries of dictionaries that are looked at; one that is shared counts each time.
const MOST_ENTRIES: usize = 1 << 16;
/// Bytes of a key of a dictionary, and of the names of all tensors.
const LONGEST_KEY: usize = 1 << 7;
const LONGEST_NAMES: usize = 1 << 18;
/// Axes of a tensor.
const MOST_AXES: usize = 8;

/// Why a pickle is refused.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It ends early, or is no pickle of `torch.save`.
    Damaged(String),
    /// It names something that is not a tensor's.
    Foreign(String),
}

type Result<T> = std::result::Result<T, Refusal>;

/// The number of a value.
type Id = u32;

/// A value that a pickle made.
#[derive(Clone, Debug)]
enum Value {
    /// What says nothing here: None, a truth value, a float, a large number.
    Other,
    Number(i64),
    /// Where its letters are in the bytes.
    Text(Range<u32>),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dictionary(Vec<(Id, Id)>),
    Callable(Callable),
    Storage(Box<Storage>),
    Tensor(Box<View>),
}

/// What a pickle may name.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Callable {
    OrderedDictionary,
    Tensor,
    Parameter,
    Storage(Dtype),
}

impl Callable {
    fn find(module: &str, name: &str) -> Option<Self> {
        let storage = match (module, name) {
            ("collections", "OrderedDict") => return Some(Self::OrderedDictionary),
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => return Some(Self::Tensor),
            ("torch._utils", "_rebuild_parameter") => return Some(Self::Parameter),
            ("torch" | "torch.storage" | "torch.cuda", storage) => storage.strip_suffix("Storage")?,
            _ => return None,
        };
        let dtype = match storage {
            "Float" => Dtype::F32,
            "Half" => Dtype::F16,
            "BFloat16" => Dtype::BF16,
            "Double" => Dtype::F64,
            "Byte" => Dtype::U8,
            "Char" => Dtype::I8,
            "Short" => Dtype::I16,
            "Int" => Dtype::I32,
            "Long" => Dtype::I64,
            "Bool" => Dtype::BOOL,
            _ => return None,
        };
        Some(Self::Storage(dtype))
    }
}

/// A list of numbers outside of the pickle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Storage {
    pub(super) dtype: Dtype,
    /// What it is called there.
    pub(super) key: String,
    /// Numbers in it.
    pub(super) count: usize,
}

impl Storage {
    /// Its length; `None` where that is too much.
    pub(super) fn bytes(&self) -> Option<usize> {
        self.count.checked_mul(self.dtype.bitsize() / 8)
    }
}

/// A tensor: which numbers of a storage it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) storage: Storage,
    /// The first, as all below counted in numbers.
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

/// What a pickle made.
pub(super) struct Pickle<'bytes> {
    bytes: &'bytes [u8],
    values: Vec<Value>,
    root: Id,
    /// Where it ends in the bytes.
    pub(super) end: usize,
}

impl<'bytes> Pickle<'bytes> {
    /// Runs the pickle at the beginning of these bytes.
    pub(super) fn read(bytes: &'bytes [u8]) -> Result<Self> {
        let bytes = &bytes[..bytes.len().min(LONGEST)];
        let mut machine = Machine {
            bytes,
            at: 0,
            values: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        };
        let root = machine.run()?;
        Ok(Self { bytes, root, end: machine.at, values: machine.values })
    }

    /// The tensors in its dictionaries by their names; those of dictionaries in dictionaries with dots.
    pub(super) fn tensors(&self) -> Result<Vec<(String, &View)>> {
        let mut found = Vec::new();
        let (mut seen, mut letters) = (0, 0);
        let mut left = vec![(String::new(), self.root, 0)];
        while let Some((name, id, depth)) = left.pop() {
            match self.value(id) {
                Some(Value::Tensor(view)) => {
                    letters += name.len();
                    if letters > LONGEST_NAMES {
                        return Err(damaged(format!("names of more than {LONGEST_NAMES} bytes")));
                    }
                    found.push((name, &**view));
                }
                Some(Value::Dictionary(entries)) if depth < DEEPEST => {
                    seen += entries.len();
                    if seen > MOST_ENTRIES {
                        return Err(damaged(format!("more than {MOST_ENTRIES} entries")));
                    }
                    // The last one is taken from the list first.
                    for (key, value) in entries.iter().rev() {
                        let key = self.text(*key).filter(|key| key.len() <= LONGEST_KEY);
                        let Some(key) = key else { continue };
                        let dot = if name.is_empty() { "" } else { "." };
                        left.push((format!("{name}{dot}{key}"), *value, depth + 1));
                    }
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// All lists of numbers that it names, each as often as it does.
    pub(super) fn storages(&self) -> impl Iterator<Item = &Storage> {
        self.values.iter().filter_map(|value| match value {
            Value::Storage(storage) => Some(&**storage),
            _ => None,
        })
    }

    /// The texts of a list, which is all that there is.
    pub(super) fn texts(&self) -> Option<Vec<&'bytes str>> {
        let Some(Value::List(items)) = self.value(self.root) else { return None };
        items.iter().map(|item| self.text(*item)).collect()
    }

    fn value(&self, id: Id) -> Option<&Value> {
        self.values.get(id as usize)
    }

    fn text(&self, id: Id) -> Option<&'bytes str> {
        text_of(self.bytes, self.values.get(id as usize)?)
    }
}

fn text_of<'bytes>(bytes: &'bytes [u8], value: &Value) -> Option<&'bytes str> {
    let Value::Text(range) = value else { return None };
    std::str::from_utf8(bytes.get(range.start as usize..range.end as usize)?).ok()
}

fn damaged(found: impl Into<String>) -> Refusal {
    Refusal::Damaged(found.into())
}

struct Machine<'bytes> {
    bytes: &'bytes [u8],
    at: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    /// How high the stack was at each mark.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'bytes> Machine<'bytes> {
    fn run(&mut self) -> Result<Id> {
        loop {
            let place = self.at;
            let [opcode] = self.take()?;
            match opcode {
                // PROTO and FRAME.
                0x80 => drop(self.take::<1>()?),
                0x95 => drop(self.take::<8>()?),
                b'.' => return self.pop(),
                b'(' => self.marks.push(self.stack.len()),
                b'N' | 0x88 | 0x89 => self.push(Value::Other)?,
                b'G' => {
                    self.take::<8>()?;
                    self.push(Value::Other)?;
                }
                b'J' => {
                    let number = i32::from_le_bytes(self.take()?);
                    self.push(Value::Number(number.into()))?;
                }
                b'K' => {
                    let [number] = self.take()?;
                    self.push(Value::Number(number.into()))?;
                }
                b'M' => {
                    let number = u16::from_le_bytes(self.take()?);
                    self.push(Value::Number(number.into()))?;
                }
                0x8a => {
                    let [length] = self.take()?;
                    let digits = self.slice(length.into())?;
                    let value = long(digits).map_or(Value::Other, Value::Number);
                    self.push(value)?;
                }
                // Texts and bytes by their lengths: of one byte, and of four.
                b'U' | b'C' | 0x8c => {
                    let [length] = self.take()?;
                    self.push_text(length.into())?;
                }
                b'T' | b'B' | b'X' => {
                    let length = u32::from_le_bytes(self.take()?);
                    self.push_text(length)?;
                }
                b']' => self.push(Value::List(Vec::new()))?,
                b'}' => self.push(Value::Dictionary(Vec::new()))?,
                b')' => self.push(Value::Tuple(Vec::new()))?,
                0x85..=0x87 => {
                    let from = self.stack.len().checked_sub(usize::from(opcode - 0x84));
                    let items = self.stack.split_off(from.ok_or_else(|| damaged("an empty stack"))?);
                    self.push(Value::Tuple(items))?;
                }
                b't' => {
                    let items = self.above_mark()?;
                    self.push(Value::Tuple(items))?;
                }
                b'l' => {
                    let items = self.above_mark()?;
                    self.push(Value::List(items))?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.append(vec![item])?;
                }
                b'e' => {
                    let items = self.above_mark()?;
                    self.append(items)?;
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.set(&[key, value])?;
                }
                b'u' => {
                    let items = self.above_mark()?;
                    self.set(&items)?;
                }
                // What goes into the memo, and comes back.
                b'q' => {
                    let [number] = self.take()?;
                    self.remember(number.into())?;
                }
                b'r' => {
                    let number = u32::from_le_bytes(self.take()?);
                    self.remember(number)?;
                }
                0x94 => self.remember(self.memo.len() as u32)?,
                b'h' => {
                    let [number] = self.take()?;
                    self.recall(number.into())?;
                }
                b'j' => {
                    let number = u32::from_le_bytes(self.take()?);
                    self.recall(number)?;
                }
                b'0' => drop(self.pop()?),
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.push_callable(module, name)?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let (module, name) = (self.text(module)?, self.text(name)?);
                    self.push_callable(module, name)?;
                }
                b'Q' => {
                    let id = self.pop()?;
                    let storage = self.storage(id)?;
                    self.push(Value::Storage(Box::new(storage)))?;
                }
                b'R' => {
                    let (arguments, callable) = (self.pop()?, self.pop()?);
                    self.call(callable, arguments)?;
                }
                // Attributes, of which no dictionary of tensors has any that matter.
                b'b' => drop(self.pop()?),
                other => return Err(damaged(format!("the opcode 0x{other:02x} at {place}"))),
            }
        }
    }

    fn slice(&mut self, length: usize) -> Result<&'bytes [u8]> {
        let rest = &self.bytes[self.at..];
        let Some(slice) = rest.get(..length) else { return Err(damaged("an end in the middle of it")) };
        self.at += length;
        Ok(slice)
    }

    fn take<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH]> {
        let slice = self.slice(LENGTH)?;
        slice.try_into().map_err(|_| damaged("an end in the middle of it"))
    }

    /// The text up to the end of its line.
    fn line(&mut self) -> Result<&'bytes str> {
        let rest = &self.bytes[self.at..];
        let end =
            rest.iter().position(|byte| *byte == b'\n').ok_or_else(|| damaged("a line without an end"))?;
        self.at += end + 1;
        std::str::from_utf8(&rest[..end]).map_err(|_| damaged("a name that is no text"))
    }

    fn push(&mut self, value: Value) -> Result<()> {
        self.stack.push(self.values.len() as Id);
        self.values.push(value);
        Ok(())
    }

    fn push_text(&mut self, length: u32) -> Result<()> {
        let start = self.at as u32;
        self.slice(length as usize)?;
        self.push(Value::Text(start..start + length))
    }

    fn push_callable(&mut self, module: &str, name: &str) -> Result<()> {
        match Callable::find(module, name) {
            Some(callable) => self.push(Value::Callable(callable)),
            None => Err(Refusal::Foreign(format!("{module}.{name}"))),
        }
    }

    /// The value on the top of the stack, but none from under the last mark.
    fn pop(&mut self) -> Result<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let above = self.stack.len() > floor;
        above.then(|| self.stack.pop()).flatten().ok_or_else(|| damaged("an empty stack"))
    }

    fn above_mark(&mut self) -> Result<Vec<Id>> {
        let mark = self.marks.pop().ok_or_else(|| damaged("no mark"))?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn value(&self, id: Id) -> Result<&Value> {
        self.values.get(id as usize).ok_or_else(|| damaged("an unknown value"))
    }

    /// The value on the top of the stack, to be changed.
    fn top(&mut self) -> Result<&mut Value> {
        let top = self.stack.last().ok_or_else(|| damaged("an empty stack"))?;
        self.values.get_mut(*top as usize).ok_or_else(|| damaged("an unknown value"))
    }

    fn append(&mut self, new: Vec<Id>) -> Result<()> {
        match self.top()? {
            Value::List(items) => items.extend(new),
            _ => return Err(damaged("items for what is no list")),
        }
        Ok(())
    }

    fn set(&mut self, pairs: &[Id]) -> Result<()> {
        let (pairs, rest) = pairs.as_chunks::<2>();
        match self.top()? {
            Value::Dictionary(entries) if rest.is_empty() => {
                entries.extend(pairs.iter().map(|[key, value]| (*key, *value)));
            }
            _ => return Err(damaged("entries for what is no dictionary")),
        }
        Ok(())
    }

    fn remember(&mut self, number: u32) -> Result<()> {
        let top = *self.stack.last().ok_or_else(|| damaged("an empty stack"))?;
        self.memo.insert(number, top);
        Ok(())
    }

    fn recall(&mut self, number: u32) -> Result<()> {
        let known = *self.memo.get(&number).ok_or_else(|| damaged("a value that was never remembered"))?;
        self.stack.push(known);
        Ok(())
    }

    fn text(&self, id: Id) -> Result<&'bytes str> {
        text_of(self.bytes, self.value(id)?).ok_or_else(|| damaged("something else than a text"))
    }

    fn number(&self, id: Id) -> Result<usize> {
        match self.value(id)? {
            Value::Number(number) => {
                usize::try_from(*number).map_err(|_| damaged(format!("the size {number}")))
            }
            _ => Err(damaged("something else than a number")),
        }
    }

    fn numbers(&self, id: Id) -> Result<Vec<usize>> {
        match self.value(id)? {
            Value::Tuple(items) | Value::List(items) if items.len() <= MOST_AXES => {
                items.iter().map(|item| self.number(*item)).collect()
            }
            _ => Err(damaged("something else than a shape")),
        }
    }

    fn items(&self, id: Id) -> Result<&[Id]> {
        match self.value(id)? {
            Value::Tuple(items) | Value::List(items) => Ok(items),
            _ => Err(damaged("something else than a tuple")),
        }
    }

    /// The storage that a persistent id stands for: ("storage", kind, key, where it was, numbers).
    fn storage(&self, id: Id) -> Result<Storage> {
        let (kind, key, count) = match *self.items(id)? {
            [_, kind, key, _, count] => (kind, key, count),
            [_, kind, key, _, count, view] if matches!(self.value(view)?, Value::Other) => (kind, key, count),
            _ => return Err(damaged("an unknown kind of storage")),
        };
        let Value::Callable(Callable::Storage(dtype)) = *self.value(kind)? else {
            return Err(damaged("an unknown kind of storage"));
        };
        Ok(Storage { dtype, key: self.text(key)?.to_owned(), count: self.number(count)? })
    }

    fn call(&mut self, callable: Id, arguments: Id) -> Result<()> {
        let Value::Callable(callable) = *self.value(callable)? else {
            return Err(damaged("a call of what is no function"));
        };
        let arguments = self.items(arguments)?;
        match (callable, arguments) {
            (Callable::OrderedDictionary, []) => self.push(Value::Dictionary(Vec::new())),
            // Python 2 makes it of a list of pairs.
            (Callable::OrderedDictionary, [pairs]) => {
                let mut entries = Vec::new();
                for pair in self.items(*pairs)? {
                    match *self.items(*pair)? {
                        [key, value] => entries.push((key, value)),
                        _ => return Err(damaged("entries that are no pairs")),
                    }
                }
                self.push(Value::Dictionary(entries))
            }
            (Callable::Tensor, [storage, offset, shape, strides, ..]) => {
                let Value::Storage(storage) = self.value(*storage)? else {
                    return Err(damaged("a tensor without a storage"));
                };
                let view = View {
                    storage: (**storage).clone(),
                    offset: self.number(*offset)?,
                    shape: self.numbers(*shape)?,
                    strides: self.numbers(*strides)?,
                };
                if view.shape.len() != view.strides.len() {
                    return Err(damaged("a shape and strides of other lengths"));
                }
                self.push(Value::Tensor(Box::new(view)))
            }
            (Callable::Parameter, [tensor, ..]) => {
                self.stack.push(*tensor);
                Ok(())
            }
            _ => Err(damaged("a call with other arguments")),
        }
    }
}

/// A number of any length, lowest byte first, in two's complement; `None` where it is too large.
fn long(digits: &[u8]) -> Option<i64> {
    let negative = digits.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut bytes = [if negative { 0xff } else { 0 }; 8];
    bytes.get_mut(..digits.len())?.copy_from_slice(digits);
    Some(i64::from_le_bytes(bytes))
}
