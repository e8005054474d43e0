//! The library's comparison as assertions.

use impasto::cases::Tolerance;
pub(crate) use impasto::cases::compare::{Comparison, compare};

/// Prints the share of the allowed error that was used, and panics when it is more than all.
#[track_caller]
pub(crate) fn assert_passes(comparison: &Comparison) {
    println!("{comparison}");
    assert!(comparison.passes(), "{comparison}");
}

/// [`compare`], printed; panics when an element is outside its tolerance.
#[track_caller]
pub(crate) fn assert_close<G, W>(name: &str, got: &[G], want: &[W], atol: f64, rtol: f64)
where
    G: Copy + Into<f64>,
    W: Copy + Into<f64>,
{
    assert_passes(&compare(name, got, want, atol, rtol));
}

/// The same with the reason of a tolerance.
#[track_caller]
pub(crate) fn assert_within<G, W>(name: &str, got: &[G], want: &[W], tolerance: Tolerance)
where
    G: Copy + Into<f64>,
    W: Copy + Into<f64>,
{
    assert_passes(&tolerance.compare(name, got, want));
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
