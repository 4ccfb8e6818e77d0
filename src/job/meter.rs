//! How fast a download is, and how long it will take.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::event::Event;
use crate::fetch::Progress;

/// The rate is that of the last few seconds.
const WINDOW: Duration = Duration::from_secs(5);
/// Less says nothing.
const SHORTEST: Duration = Duration::from_millis(400);

/// Turns a download's progress into events.
pub(super) struct Meter {
    job: String,
    seen: Mutex<VecDeque<(Instant, Progress)>>,
}

impl Meter {
    pub(super) fn new(job: String) -> Self {
        Self { job, seen: Mutex::default() }
    }

    /// The event for what was just reached.
    pub(super) fn event(&self, now: Instant, progress: Progress) -> Event {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.push_back((now, progress));
        while seen.len() > 2 && seen.front().is_some_and(|(at, _)| now.duration_since(*at) > WINDOW) {
            seen.pop_front();
        }
        let since = seen.front().filter(|(at, _)| now.duration_since(*at) >= SHORTEST);
        let per_s = |of: fn(&Progress) -> u64| {
            let (at, before) = since?;
            Some((of(&progress).saturating_sub(of(before))) as f64 / now.duration_since(*at).as_secs_f64())
        };
        let left = progress.total.saturating_sub(progress.done);
        let eta_s = per_s(|p| p.done).filter(|rate| *rate > 0.0).map(|rate| left as f64 / rate);
        Event::Downloading {
            job: self.job.clone(),
            segments: progress.done,
            segments_total: progress.total,
            resumed: progress.resumed,
            bytes: progress.bytes,
            bytes_per_s: per_s(|p| p.bytes),
            retries: progress.retries,
            eta_s,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(event: Event) -> (Option<f64>, Option<f64>) {
        match event {
            Event::Downloading { bytes_per_s, eta_s, .. } => (bytes_per_s, eta_s),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn rate_and_time_left_are_those_of_the_last_moments() {
        let meter = Meter::new("a".into());
        let start = Instant::now();
        let at = |s: u64, done: u64| {
            let progress = Progress { done, total: 100, bytes: done * 1000, ..Progress::default() };
            rates(meter.event(start + Duration::from_secs(s), progress))
        };
        assert_eq!(at(0, 0), (None, None));
        assert_eq!(at(1, 10), (Some(10_000.0), Some(9.0)));
        assert_eq!(at(20, 10), (Some(0.0), None), "stalled");
        assert_eq!(at(22, 14), (Some(2000.0), Some(43.0)));
    }
}
