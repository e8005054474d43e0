//! What values an option takes, by the type of its field, for programs that make a form of the table of options.

use super::options::{
    Borders, ColorMode, ContentCost, Init, OptimiserKind, Seamless, StyleStatistic, WeightedLayer,
};
use crate::ops::pool::PoolKind;
use crate::picture::Size;

/// What values an option takes, and how they are as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OptionKind {
    /// Yes or no.
    Switch,
    /// A whole number, 0 or more.
    Whole,
    /// A number.
    Number,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A size, as [`Size`] is written.
    Size,
    /// A list of [`WeightedLayer`].
    Layers,
    /// A value of this kind, or null: the option's documentation says what that stands for.
    Optional(&'static OptionKind),
}

/// A type of which a field of [`super::Options`] is.
pub(super) trait OptionValue {
    const KIND: OptionKind;
}

/// The kind of the field that `field` reads.
pub(super) const fn kind_of<T: OptionValue>(_field: fn(&super::Options) -> &T) -> OptionKind {
    T::KIND
}

macro_rules! kinds {
    ($($type:ty: $kind:ident),* $(,)?) => {
        $(impl OptionValue for $type {
            const KIND: OptionKind = OptionKind::$kind;
        })*
    };
}

kinds! { bool: Switch, u32: Whole, f32: Number, Size: Size, Vec<WeightedLayer>: Layers }

/// Types whose values are written as the words in their `ALL`.
macro_rules! words {
    ($($type:ty),* $(,)?) => {
        $(impl OptionValue for $type {
            const KIND: OptionKind = {
                const WORDS: &[&str] = &names(&<$type>::ALL);
                OptionKind::Word(WORDS)
            };
        })*
    };
}

words! { Borders, ColorMode, ContentCost, Init, OptimiserKind, PoolKind, Seamless, StyleStatistic }

impl<T: OptionValue> OptionValue for Option<T> {
    const KIND: OptionKind = OptionKind::Optional(&T::KIND);
}

/// The names of a table of names and values.
const fn names<T: Copy, const COUNT: usize>(all: &[(&'static str, T); COUNT]) -> [&'static str; COUNT] {
    let mut names = [""; COUNT];
    let mut index = 0;
    while index < COUNT {
        names[index] = all[index].0;
        index += 1;
    }
    names
}
