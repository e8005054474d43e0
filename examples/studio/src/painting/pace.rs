//! How far the device is behind, and how long the window's frames take.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use eframe::wgpu;

/// Submissions of painting that may be under way at once. A window that is shown is slowed down by its screen; one that is
/// hidden is not, and without an end to the queue a person would wait for all of it.
const UNDER_WAY: u32 = 2;

/// Frames that count.
const FRAMES: usize = 240;

/// Submissions of painting under way.
#[derive(Default)]
pub(super) struct Queue {
    under_way: Arc<AtomicU32>,
}

impl Queue {
    pub fn is_full(&self) -> bool {
        self.under_way.load(Ordering::Relaxed) >= UNDER_WAY
    }

    pub fn is_busy(&self) -> bool {
        self.under_way.load(Ordering::Relaxed) > 0
    }

    pub fn submit(&self, queue: &wgpu::Queue, encoder: wgpu::CommandEncoder) {
        queue.submit([encoder.finish()]);
        self.under_way.fetch_add(1, Ordering::Relaxed);
        let under_way = Arc::clone(&self.under_way);
        queue.on_submitted_work_done(move || {
            under_way.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// How long the last frames took in which there was painting.
#[derive(Default)]
pub struct FrameTimes {
    last: Option<Instant>,
    times: VecDeque<Duration>,
}

impl FrameTimes {
    pub(super) fn frame(&mut self, painting: bool) {
        let now = Instant::now();
        if let Some(last) = self.last.filter(|_| painting) {
            if self.times.len() == FRAMES {
                self.times.pop_front();
            }
            self.times.push_back(now - last);
        }
        self.last = painting.then_some(now);
    }

    /// The median and the longest, in milliseconds.
    pub fn summary(&self) -> Option<(f64, f64)> {
        let mut times: Vec<_> = self.times.iter().map(|time| time.as_secs_f64() * 1000.0).collect();
        times.sort_by(f64::total_cmp);
        Some((*times.get(times.len() / 2)?, *times.last()?))
    }
}
