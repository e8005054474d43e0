//! Comparison element by element: one wrong element fails, however many are right.

use std::fmt;

use super::case::Case;
use super::elements::Elements;
use super::expected::CaseData;
use super::families::elements_of;
use super::run::Run;
use super::tolerance::Tolerance;

/// How far `got` is from `want`, at its worst element.
#[derive(Clone, Debug)]
#[must_use]
pub struct Comparison {
    /// What was compared.
    pub name: String,
    /// The largest share of its allowed error that an element uses: at most 1 passes. Infinite when the
    /// lengths differ, when there is nothing to compare, and for an element that is not finite on either
    /// side.
    pub worst_share: f64,
    /// The element that uses it; the first of equals.
    pub worst_index: usize,
    /// What was found there, in words.
    pub detail: String,
    /// Why that much error is allowed, where the tolerance says so.
    pub reason: Option<&'static str>,
}

impl Comparison {
    /// Nothing wrong yet.
    fn faultless(name: &str) -> Self {
        let detail = "all equal".to_owned();
        Self { name: name.to_owned(), worst_share: 0.0, worst_index: 0, detail, reason: None }
    }

    /// What is wrong as a whole, and not by how much.
    fn wrong(name: &str, detail: String) -> Self {
        Self { name: name.to_owned(), worst_share: f64::INFINITY, worst_index: 0, detail, reason: None }
    }

    /// A single figure, such as the norm of a difference, that may be at most `allowed`.
    pub fn of_figure(name: &str, figure: f64, allowed: f64) -> Self {
        let worst_share = if figure.is_finite() { figure / allowed } else { f64::INFINITY };
        let detail = format!("{figure:.2e} where at most {allowed:.0e} is allowed");
        Self { name: name.to_owned(), worst_share, worst_index: 0, detail, reason: None }
    }

    /// The same with the reason why that much error is allowed.
    pub fn because(self, reason: &'static str) -> Self {
        Self { reason: Some(reason), ..self }
    }

    /// Whether every element is within its tolerance.
    pub fn passes(&self) -> bool {
        self.worst_share <= 1.0
    }

    /// The one of both that uses more; this one where they are equal.
    pub fn or_worse(self, other: Self) -> Self {
        if other.worst_share > self.worst_share { other } else { self }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:.3} % of the allowed error, {}", self.name, self.worst_share * 100.0, self.detail)?;
        match self.reason {
            Some(reason) if !self.passes() => write!(f, ". Why that much is allowed: {reason}"),
            _ => Ok(()),
        }
    }
}

/// Compares each element of `got` with the reference `want`; the error allowed is `atol + rtol·|want|`.
pub fn compare<G, W>(name: &str, got: &[G], want: &[W], atol: f64, rtol: f64) -> Comparison
where
    G: Copy + Into<f64>,
    W: Copy + Into<f64>,
{
    let mut worst = Comparison::faultless(name);
    if got.len() != want.len() || want.is_empty() {
        let detail = format!("{} elements where {} were expected", got.len(), want.len());
        return Comparison { worst_index: got.len().min(want.len()), ..Comparison::wrong(name, detail) };
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

impl Tolerance {
    /// For words of bits, in which any difference is one too many.
    const BITS: Self = Self { atol: 0.0, rtol: 0.0, reason: "these are bits, and allow no error" };

    /// [`compare`] with this tolerance; where that fails, the comparison gives the tolerance's reason.
    pub fn compare<G, W>(&self, name: &str, got: &[G], want: &[W]) -> Comparison
    where
        G: Copy + Into<f64>,
        W: Copy + Into<f64>,
    {
        compare(name, got, want, self.atol, self.rtol).because(self.reason)
    }
}

/// What a run of a case left behind against what is expected of it: outputs and updated inputs within `tolerance`,
/// side outputs to the bit, inputs that no kernel may write unchanged, guards whole. The worst of these comparisons.
pub fn compare_run(name: &str, case: &Case, tolerance: Tolerance, data: &CaseData, run: &Run) -> Comparison {
    if !run.overruns.is_empty() {
        return Comparison::wrong(name, run.overruns.join("; "));
    }
    let output = elements_of(case).numbers(&run.output);
    let expected = &data.expected;
    let mut worst = tolerance.compare(&format!("{name}, output"), &output, &expected.output);
    if run.sides.len() != expected.sides.len() {
        let detail = format!("{} side outputs where {} were expected", run.sides.len(), expected.sides.len());
        return Comparison::wrong(name, detail);
    }
    for (side, want) in run.sides.iter().zip(&expected.sides) {
        worst = worst.or_worse(Tolerance::BITS.compare(&format!("{name}, side output"), side, want));
    }
    for (index, (given, want)) in data.values.iter().zip(&expected.inputs).enumerate() {
        let name = format!("{name}, input {index}");
        let found = &run.inputs[index];
        if let Some(want) = want {
            worst = worst.or_worse(tolerance.compare(&name, &Elements::Floats.numbers(found), want));
        } else if found != given {
            return Comparison::wrong(&name, "it was changed, and no kernel may write it".to_owned());
        }
    }
    worst
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_that_fails_gives_the_reason_of_its_tolerance() {
        let tolerance = Tolerance { atol: 0.5, rtol: 0.0, reason: "a level is rounded" };
        let text = |got: f64| tolerance.compare("y", &[got], &[1.0]).to_string();
        assert_eq!(
            text(1.25),
            "y: 50.000 % of the allowed error, worst at 0: 1.25e0 where 1e0 ± 5.0e-1 was expected"
        );
        assert!(
            text(2.0).ends_with("was expected. Why that much is allowed: a level is rounded"),
            "{}",
            text(2.0)
        );
        let worse = tolerance.compare("y", &[1.0], &[1.0]).or_worse(compare("z", &[2.0], &[1.0], 0.1, 0.0));
        assert!(!worse.to_string().contains("allowed:"), "the reason of another comparison: {worse}");
    }
}
