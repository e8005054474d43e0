//! How far from its twin a kernel may be, and why.

/// The error allowed of an element is `atol + rtol·|expected|`.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    /// The absolute part.
    pub atol: f64,
    /// The part relative to the expected value.
    pub rtol: f64,
    /// Why that much.
    pub reason: &'static str,
}

/// Twice the most that one f32 operation rounds by, relative to its result.
pub(super) const EPSILON: f64 = 1.0 / (1_u64 << 23) as f64;

impl Tolerance {
    /// For results that no rounding can change.
    pub(super) const EXACT: Self =
        Self { atol: 0.0, rtol: 0.0, reason: "copies, comparisons and zeros do not round" };

    /// For sums of `terms` random terms within ±`scale`.
    pub(super) fn sum(terms: u64, scale: f64) -> Self {
        let terms = terms as f64;
        Self {
            atol: EPSILON * scale * terms,
            rtol: EPSILON * (1.0 + terms.sqrt()),
            reason: "each addition rounds by at most 2⁻²⁴ of a partial sum. With random signs a partial sum stays \
                     within a few roots of the number of terms, and so does the sum of the roundings: together the \
                     number of terms times 2⁻²⁴ at most, doubled. With equal signs the roundings are of the \
                     result, and their number counts by its root",
        }
    }

    /// For sums of positive terms, `depth` additions deep.
    pub(super) fn positive_sum(depth: u64) -> Self {
        Self {
            atol: 0.0,
            rtol: EPSILON * (1.0 + (depth as f64).sqrt()),
            reason: "terms of one sign: each of the additions that a term passes through rounds by 2⁻²⁴ of the \
                     result, up or down, so that their root counts, doubled",
        }
    }

    /// For a few operations that each round once, on numbers within ±`scale`.
    pub(super) fn few(operations: u32, scale: f64) -> Self {
        Self {
            atol: EPSILON * scale,
            rtol: EPSILON * f64::from(operations),
            reason: "a few operations that round by 2⁻²⁴ each, doubled because a division may be off by more; \
                     where something is added that may cancel, relative to what is added",
        }
    }
}
