//! What the words of an output are.

use half::f16;

/// Which numbers the words of an output hold: these are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elements {
    /// An f32 each.
    Floats,
    /// Bits, in which nothing may differ.
    Words,
    /// Four bytes each, the lowest first.
    Bytes,
    /// Two halves each, the lower one first.
    Halves,
}

impl Elements {
    /// All kinds with their names.
    pub const ALL: [(&'static str, Self); 4] =
        [("floats", Self::Floats), ("words", Self::Words), ("bytes", Self::Bytes), ("halves", Self::Halves)];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, it)| *it == self).map_or("", |(name, _)| name)
    }

    /// How many numbers a word holds.
    pub fn of_a_word(self) -> usize {
        match self {
            Self::Floats | Self::Words => 1,
            Self::Bytes => 4,
            Self::Halves => 2,
        }
    }

    /// The numbers in `words`.
    pub fn numbers(self, words: &[u32]) -> Vec<f64> {
        let half = |bits: u32| f16::from_bits(bits as u16).to_f64();
        match self {
            Self::Floats => words.iter().map(|bits| f64::from(f32::from_bits(*bits))).collect(),
            Self::Words => words.iter().map(|word| f64::from(*word)).collect(),
            Self::Bytes => words.iter().flat_map(|word| word.to_le_bytes().map(f64::from)).collect(),
            Self::Halves => words.iter().flat_map(|word| [*word, word >> 16].map(half)).collect(),
        }
    }
}
