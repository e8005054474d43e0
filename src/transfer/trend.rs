//! Whether the total cost still falls: what ends a size before its steps are done.

use std::collections::VecDeque;

/// Steps whose costs are compared with those of as many steps before. A mean over some steps does not see that every second
/// one goes on with an older map.
const WINDOW: usize = 10;

/// The total costs of the last steps at a size, the oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Trend(VecDeque<f32>);

impl Trend {
    /// From the bits that a checkpoint holds.
    pub(super) fn from_bits(bits: &[u32]) -> Self {
        Self(bits.iter().map(|bits| f32::from_bits(*bits)).collect())
    }

    /// The bits of the costs: numbers in decimal digits need not be read as they were written.
    pub(super) fn to_bits(&self) -> Vec<u32> {
        self.0.iter().map(|total| total.to_bits()).collect()
    }

    /// The total cost of the picture before one more step. With a `tolerance` of 0 nothing is kept.
    pub(super) fn push(&mut self, total: f32, tolerance: f32) {
        if tolerance <= 0.0 {
            self.0.clear();
            return;
        }
        self.0.push_back(total);
        if self.0.len() > 2 * WINDOW {
            self.0.pop_front();
        }
    }

    /// Whether the mean of the last [`WINDOW`] costs differs from that of as many before by less than the share `tolerance` of
    /// these. Never for 0, before there are enough, and for costs that are not finite.
    pub(super) fn has_settled(&self, tolerance: f32) -> bool {
        if self.0.len() < 2 * WINDOW {
            return false;
        }
        let sum =
            |from: usize| self.0.iter().skip(from).take(WINDOW).map(|total| f64::from(*total)).sum::<f64>();
        let (before, now) = (sum(0), sum(WINDOW));
        (now - before).abs() < f64::from(tolerance) * before.abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(totals: impl IntoIterator<Item = f32>) -> Trend {
        let mut trend = Trend::default();
        totals.into_iter().for_each(|total| trend.push(total, 0.1));
        trend
    }

    #[test]
    fn costs_settle_when_their_mean_stays() {
        assert!(!of([1.0; 19]).has_settled(0.5), "too few");
        assert!(of([1.0; 20]).has_settled(1e-6));
        assert!(!of([1.0; 20]).has_settled(0.0), "it is off");
        // 10 costs of 4 and 10 of 3: a quarter less.
        let falling = || [4.0; 10].into_iter().chain([3.0; 10]);
        assert!(!of(falling()).has_settled(0.25) && of(falling()).has_settled(0.26));
        // Rising as falling, and only the last 20 count.
        assert!(of([3.0; 10].into_iter().chain([4.0; 10])).has_settled(0.34));
        assert!(of([900.0; 7].into_iter().chain([1.0; 20])).has_settled(1e-6));
        // Every second one is higher.
        assert!(of((0..20).map(|i| if i % 2 == 0 { 2.0 } else { 1.0 })).has_settled(1e-6));
        assert!(!of([f32::NAN; 20]).has_settled(0.5) && !of([f32::INFINITY; 20]).has_settled(0.5));
    }

    #[test]
    fn bits_bring_the_same_back() {
        let trend = of((1..30).map(|i| 1.0 / i as f32));
        assert_eq!(trend.0.len(), 20);
        let mut read = Trend::from_bits(&trend.to_bits());
        assert_eq!(read, trend);
        read.push(1.0, 0.0);
        assert_eq!(read, Trend::default(), "it is off");
    }
}
