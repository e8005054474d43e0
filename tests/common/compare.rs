//! Comparison element by element: one wrong element fails, however many are right.

/// How far `got` is from `want`, at its worst element.
#[derive(Clone, Debug)]
#[must_use]
pub(crate) struct Comparison {
    /// What was compared.
    pub(crate) name: String,
    /// The largest share of its allowed error that an element uses: at most 1 passes. Infinite when the
    /// lengths differ, when there is nothing to compare, and for an element that is not finite on either
    /// side.
    pub(crate) worst_share: f64,
    /// The element that uses it; the first of equals.
    pub(crate) worst_index: usize,
    /// What was found there, in words.
    pub(crate) detail: String,
}

impl Comparison {
    /// Whether every element is within its tolerance.
    pub(crate) fn passes(&self) -> bool {
        self.worst_share <= 1.0
    }
}

impl std::fmt::Display for Comparison {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {:.3} % of the allowed error, {}", self.name, self.worst_share * 100.0, self.detail)
    }
}

/// Compares each element of `got` with the reference `want`; the error allowed is `atol + rtol·|want|`.
pub(crate) fn compare<G, W>(name: &str, got: &[G], want: &[W], atol: f64, rtol: f64) -> Comparison
where
    G: Copy + Into<f64>,
    W: Copy + Into<f64>,
{
    let mut worst = Comparison {
        name: name.to_owned(),
        worst_share: 0.0,
        worst_index: 0,
        detail: "all equal".to_owned(),
    };
    if got.len() != want.len() || want.is_empty() {
        worst.worst_share = f64::INFINITY;
        worst.worst_index = got.len().min(want.len());
        worst.detail = format!("{} elements where {} were expected", got.len(), want.len());
        return worst;
    }
    for (index, (&got, &want)) in got.iter().zip(want).enumerate() {
        let (got, want): (f64, f64) = (got.into(), want.into());
        let allowed = atol + rtol * want.abs();
        let share = if !got.is_finite() || !want.is_finite() || !allowed.is_finite() {
            f64::INFINITY
        } else if got == want {
            0.0
        } else {
            // With no error allowed this is infinite, as it should be.
            (got - want).abs() / allowed
        };
        if share > worst.worst_share {
            worst.worst_share = share;
            worst.worst_index = index;
            worst.detail = format!("worst at {index}: {got:e} where {want:e} ± {allowed:.1e} was expected");
        }
    }
    worst
}

/// Prints the share of the allowed error that was used, and panics when an element is outside its tolerance.
#[track_caller]
pub(crate) fn assert_close<G, W>(name: &str, got: &[G], want: &[W], atol: f64, rtol: f64)
where
    G: Copy + Into<f64>,
    W: Copy + Into<f64>,
{
    let comparison = compare(name, got, want, atol, rtol);
    println!("{comparison}");
    assert!(comparison.passes(), "{comparison}");
}

/// The canary: takes a `got` that is right, moves one element at a time (the first, the middle and the last)
/// to twice its tolerance away from `want`, or to NaN, and panics unless [`compare`] with this tolerance
/// blames that very element.
#[track_caller]
pub(crate) fn assert_canary<G, W>(name: &str, got: &[G], want: &[W], atol: f64, rtol: f64)
where
    G: Copy + Into<f64>,
    W: Copy + Into<f64>,
{
    let healthy = compare(name, got, want, atol, rtol);
    assert!(healthy.passes(), "a canary must be healthy at first: {healthy}");
    for index in [0, want.len() / 2, want.len() - 1] {
        let right: f64 = want[index].into();
        let moved = right + 2.0 * (atol + rtol * right.abs());
        // Where no error is allowed, the smallest one must be caught.
        let moved = if moved == right { right.next_up() } else { moved };
        for corrupted in [moved, f64::NAN] {
            let mut got: Vec<f64> = got.iter().map(|&got| got.into()).collect();
            got[index] = corrupted;
            let comparison = compare(name, &got, want, atol, rtol);
            assert!(!comparison.passes(), "{name}: {corrupted:e} at {index} went unnoticed: {comparison}");
            assert_eq!(comparison.worst_index, index, "{name}: the wrong element was blamed: {comparison}");
        }
    }
}
