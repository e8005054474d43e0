//! When a picture is due: so seldom that reading and showing it takes a small share of the run.

use std::time::{Duration, Instant};

/// How many times longer the run paints than it shows.
const PAINTING_SHARE: u32 = 60;

/// When the next picture is due.
#[derive(Debug)]
pub(super) struct Due {
    /// Between two pictures, at least.
    pause: Duration,
    last: Option<Instant>,
    /// How long the last picture took.
    taken: Duration,
}

impl Due {
    pub(super) fn after(pause: Duration) -> Self {
        Self { pause, last: None, taken: Duration::ZERO }
    }

    pub(super) fn is_now(&self) -> bool {
        let pause = self.pause.max(PAINTING_SHARE * self.taken);
        self.last.is_none_or(|last| last.elapsed() >= pause)
    }

    /// A picture that was begun at this time is shown.
    pub(super) fn shown(&mut self, begin: Instant) {
        self.taken = begin.elapsed();
        self.last = Some(Instant::now());
    }
}
