//! Histograms of pictures.

use super::{Real, expect_len};

/// How many of the interleaved bytes `rgba` (pixels, 4) have each level in a channel.
fn histogram(rgba: &[u8], channel: usize) -> [u64; 256] {
    let mut counts = [0; 256];
    rgba.chunks_exact(4).for_each(|pixel| counts[usize::from(pixel[channel])] += 1);
    counts
}

/// For each channel and level of the interleaved bytes `rgba` (pixels, 4) the level of `target` (pixels, 4) at which as large a
/// share of its pixels has been counted, from 0 on, as here at the middle of those that have the level; the lowest where there are
/// several. Returns y (3, 256), whole numbers.
pub fn histogram_match<T: Real>(rgba: &[u8], target: &[u8]) -> Vec<T> {
    let [count, count_target] = [rgba, target].map(|bytes| bytes.len() as u64 / 4);
    let mut y = Vec::with_capacity(3 * 256);
    for channel in 0..3 {
        let (counts, target) = (histogram(rgba, channel), histogram(target, channel));
        let mut below = 0;
        for level in counts {
            // Of twice as many pixels, so that the middle is a whole number.
            let rank = 2 * below + level;
            below += level;
            let mut counted = 0;
            let found = target.iter().position(|level| {
                counted += level;
                u128::from(counted) * u128::from(2 * count) >= u128::from(rank) * u128::from(count_target)
            });
            y.push(T::from(found.unwrap_or(255)).expect("a level converts to a float"));
        }
    }
    y
}

/// Interleaved bytes `rgba` (H, W, 4) by a `table` of levels (3, 256), as planes minus the `mean`. Returns y (3, H, W).
pub fn histogram_apply<T: Real>(rgba: &[u8], table: &[T], mean: [T; 3]) -> Vec<T> {
    expect_len("table", table, 3 * 256);
    let mut y = Vec::with_capacity(rgba.len() / 4 * 3);
    for (channel, mean) in mean.into_iter().enumerate() {
        let levels = rgba.chunks_exact(4).map(|pixel| table[256 * channel + usize::from(pixel[channel])]);
        y.extend(levels.map(|level| level - mean));
    }
    y
}
