//! The sizes at which a transfer paints, coarse to fine.

use crate::ops::Wrap;

/// The area of each size over that of the one before.
const AREA_RATIO: f64 = 2.0;
/// Sides of what wraps are multiples of this: what four pools halve, and what a gradient's pyramid halves.
const SEAMLESS_MULTIPLE: u32 = 16;

/// The sizes (width, height) at which a picture is painted one after the other, the coarsest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scales(Vec<(u32, u32)>);

impl Scales {
    /// Those of a painting of `size` (width, height): sides divided by powers of √2, as long as the longer one has at
    /// least `coarsest` pixels; `size` alone for `None`.
    pub fn of(size: (u32, u32), coarsest: Option<u32>) -> Self {
        let longer = f64::from(size.0.max(size.1));
        let mut sizes = vec![size];
        let mut factor = AREA_RATIO.sqrt();
        while coarsest.is_some_and(|coarsest| longer / factor >= f64::from(coarsest.max(1))) {
            sizes.push((scaled(size.0, 1.0 / factor), scaled(size.1, 1.0 / factor)));
            factor = AREA_RATIO.powf(0.5 * (sizes.len() as f64));
        }
        sizes.reverse();
        Self(sizes)
    }

    /// The same with heights and widths rounded to multiples of [`SEAMLESS_MULTIPLE`] where they wrap: one at least.
    #[must_use]
    pub(super) fn wrapping(self, wrap: Wrap) -> Self {
        let side = |side: u32, wraps: bool| match wraps {
            true => scaled(side, 1.0 / f64::from(SEAMLESS_MULTIPLE)) * SEAMLESS_MULTIPLE,
            false => side,
        };
        Self(self.0.into_iter().map(|(width, height)| (side(width, wrap.x), side(height, wrap.y))).collect())
    }

    /// How many there are: one at least.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The sizes with their numbers.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (usize, (u32, u32))> {
        self.0.iter().copied().enumerate()
    }

    /// The size of this number, from 0; the last one for a number that is too large.
    pub fn get(&self, scale: usize) -> (u32, u32) {
        self.0[scale.min(self.last())]
    }

    /// The number of the last one, which is the size of the painting.
    pub fn last(&self) -> usize {
        self.0.len() - 1
    }
}

/// A side multiplied by `factor`: rounded, halves to the even number, and one pixel at least.
pub(super) fn scaled(side: u32, factor: f64) -> u32 {
    (f64::from(side) * factor).round_ties_even().max(1.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_halve_down_to_the_coarsest() {
        let scales = Scales::of((512, 384), Some(90));
        let expected = [(91, 68), (128, 96), (181, 136), (256, 192), (362, 272), (512, 384)];
        assert_eq!(scales.iter().map(|(_, size)| size).collect::<Vec<_>>(), expected);
        assert_eq!((scales.len(), scales.last(), scales.get(9)), (6, 5, (512, 384)));
        // Halves go to the even number.
        assert_eq!(Scales::of((97, 75), Some(48)).get(0), (48, 38));
        assert_eq!(Scales::of((97, 75), Some(60)).iter().collect::<Vec<_>>(), [(0, (69, 53)), (1, (97, 75))]);
    }

    #[test]
    fn sides_that_wrap_are_multiples_of_what_pools_halve() {
        let scales = |wrap| Scales::of((200, 130), Some(90)).wrapping(wrap);
        let sizes = |wrap| scales(wrap).iter().map(|(_, size)| size).collect::<Vec<_>>();
        assert_eq!(sizes(Wrap::NONE), [(100, 65), (141, 92), (200, 130)]);
        assert_eq!(sizes(Wrap::BOTH), [(96, 64), (144, 96), (192, 128)]);
        assert_eq!(sizes(Wrap { y: false, x: true }), [(96, 65), (144, 92), (192, 130)]);
        assert_eq!(Scales::of((3, 5), None).wrapping(Wrap::BOTH).get(0), (16, 16));
    }

    #[test]
    fn a_small_picture_or_none_asked_for_has_one() {
        for (size, coarsest) in [((512, 384), None), ((40, 30), Some(90)), ((1, 1), Some(2))] {
            assert_eq!(Scales::of(size, coarsest).iter().collect::<Vec<_>>(), [(0, size)]);
        }
        // Sides do not vanish.
        assert_eq!(Scales::of((4096, 1), Some(1)).get(0), (1, 1));
    }
}
