//! What a run says to what shows it, and what that says to the run.

use impasto::transfer::Transfer;

use crate::cli::clock::Clock;

/// How far a run is.
pub(crate) struct Moment {
    pub(crate) step: u32,
    pub(super) remaining: u32,
    /// Seconds of the last step.
    pub(super) lap: f64,
    /// Seconds that are left, where that is known.
    pub(super) left: Option<f64>,
}

impl Moment {
    /// After `step`, the last one.
    pub(crate) fn of(step: u32, transfer: &Transfer, clock: &Clock) -> Self {
        let left = clock.pace().map(|pace| pace.left);
        Self { step, remaining: transfer.remaining_steps(), lap: clock.lap(), left }
    }
}

/// What the run does after it was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    GoOn,
    Stop,
    /// A signal came while it rested.
    Interrupted(u8),
}
