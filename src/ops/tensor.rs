//! What is said of a tensor before it is in memory: its shape, the pieces that it is kept in, and the arrangement in
//! which a kernel reads it.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;

use crate::error::{Error, Remedy, Result};

/// A tensor's shape (C, D, H, W), f32, planar; a picture's planes have a depth D of 1. Matrices are (1, rows, columns),
/// scalars (1, 1, 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Channels.
    pub c: u32,
    /// Planes of a channel, one after the other.
    pub d: u32,
    /// Rows of a plane.
    pub h: u32,
    /// Columns.
    pub w: u32,
}

impl Shape {
    /// One number.
    pub const SCALAR: Self = Self::new(1, 1, 1);

    /// A shape (C, H, W).
    pub const fn new(c: u32, h: u32, w: u32) -> Self {
        Self::volume(c, 1, h, w)
    }

    /// A shape (C, D, H, W).
    pub const fn volume(c: u32, d: u32, h: u32, w: u32) -> Self {
        Self { c, d, h, w }
    }

    /// A row of `n` numbers: (1, 1, n).
    pub const fn row(n: u32) -> Self {
        Self::new(1, 1, n)
    }

    /// Rows of one channel, D·H: what kernels that do not look beyond a row take for its height.
    pub const fn rows(self) -> u32 {
        self.d * self.h
    }

    /// Elements of one channel.
    pub const fn plane(self) -> u64 {
        self.d as u64 * self.h as u64 * self.w as u64
    }

    /// All elements.
    pub const fn elements(self) -> u64 {
        self.c as u64 * self.plane()
    }

    /// Bytes as f32.
    pub const fn bytes(self) -> u64 {
        4 * self.elements()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { c, d, h, w } = self;
        if *d == 1 { write!(f, "{c}×{h}×{w}") } else { write!(f, "{c}×{d}×{h}×{w}") }
    }
}

/// A tensor's shape with the channel groups that it is kept in: no group is larger than a binding may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The whole tensor.
    pub shape: Shape,
    /// Channel ranges of the pieces, in order.
    pub pieces: Vec<Range<u32>>,
}

impl Layout {
    /// Pieces that are smaller than their tensor hold whole multiples of this many channels, where that many fit: no
    /// register tile of a kernel is cut in two.
    pub const WHOLE_CHANNELS: u32 = 16;

    /// Cuts `shape` into the fewest channel groups of at most `max_bytes`.
    ///
    /// # Errors
    /// [`Error::Memory`] where one channel alone is larger.
    pub fn new(shape: Shape, max_bytes: u64) -> Result<Self> {
        let plane = 4 * shape.plane();
        let fits = u32::try_from(max_bytes / plane.max(1)).unwrap_or(u32::MAX);
        if fits == 0 {
            return Err(Error::Memory {
                what: format!("one channel of a tensor {shape}"),
                needed: plane,
                available: max_bytes,
                remedy: Remedy::SmallerSize(None),
            });
        }
        let cut = fits >= Self::WHOLE_CHANNELS && fits < shape.c;
        let group = if cut { fits - fits % Self::WHOLE_CHANNELS } else { fits };
        let pieces =
            (0..shape.c.div_ceil(group)).map(|i| i * group..((i + 1) * group).min(shape.c)).collect();
        Ok(Self { shape, pieces })
    }

    /// A layout in one piece.
    pub fn whole(shape: Shape) -> Self {
        Self { shape, pieces: std::iter::once(0..shape.c).collect() }
    }

    /// Shape of one piece.
    pub fn piece_shape(&self, piece: usize) -> Shape {
        let range = &self.pieces[piece];
        Shape { c: range.end - range.start, ..self.shape }
    }

    /// Elements of one piece, as kernels count.
    pub fn piece_elements(&self, piece: usize) -> u32 {
        self.piece_shape(piece).elements() as u32
    }
}

/// Channels that a piece of one tensor and a piece of another have in common: each begins at its own channel of its piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Common {
    /// The piece of the first tensor.
    pub(crate) piece: usize,
    /// The piece of the other one.
    pub(crate) other: usize,
    /// How many channels.
    pub(crate) channels: u32,
    /// The first of them in the first tensor.
    pub(crate) channel: u32,
    /// In the first tensor's piece.
    pub(crate) first: u32,
    /// In the other tensor's piece.
    pub(crate) other_first: u32,
}

impl Layout {
    /// What the pieces of this tensor and those of `other` have in common, where channel 0 of this one is channel `shift`
    /// of the other. The groups differ where the planes do.
    pub(crate) fn common(&self, other: &Self, shift: u32) -> impl Iterator<Item = Common> {
        self.pieces.iter().enumerate().flat_map(move |(piece, own)| {
            other.pieces.iter().enumerate().filter_map(move |(index, range)| {
                let first = (own.start + shift).max(range.start);
                let end = (own.end + shift).min(range.end);
                Some(Common {
                    piece,
                    other: index,
                    channels: end.checked_sub(first).filter(|channels| *channels > 0)?,
                    channel: first - shift,
                    first: first - shift - own.start,
                    other_first: first - range.start,
                })
            })
        })
    }
}

/// The arrangement in which a kernel reads a constant. The op that owns the kernel makes it. All other code sees a name
/// with two functions; forms with the same name are equal.
#[derive(Clone, Copy)]
pub struct Form {
    /// Its name, which no other form has.
    pub name: &'static str,
    /// Words of 32 bits that a tensor of a shape takes in it.
    pub words: fn(Shape) -> u64,
    /// The words of a tensor with these values and this shape.
    pub arrange: fn(&[f32], Shape) -> Vec<u32>,
}

impl Form {
    /// As the tensor is: the bits of its numbers.
    pub const PLAIN: Self = Self {
        name: "plain",
        words: Shape::elements,
        arrange: |values, _| values.iter().map(|value| value.to_bits()).collect(),
    };
}

impl PartialEq for Form {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Form {}

impl PartialOrd for Form {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Form {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name.cmp(other.name)
    }
}

impl Hash for Form {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
