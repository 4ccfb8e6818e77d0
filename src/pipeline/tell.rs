//! What a running job tells: events to its observer, and the lines that end up in its report.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::event::{Event, Observer};
use crate::time::Nanos;

/// Progress is told no more often.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);
/// Warnings kept for the report; the rest is counted.
const KEPT_WARNINGS: usize = 200;

/// A job's voice.
pub(crate) struct Teller {
    job: String,
    observer: Option<Arc<dyn Observer>>,
    warnings: Vec<String>,
    unkept_warnings: u64,
    told: Option<Instant>,
    pub(crate) segments: u64,
    pub(crate) segments_total: u64,
    pub(crate) bytes_in: u64,
}

impl Teller {
    pub(crate) fn new(job: String, observer: Option<Arc<dyn Observer>>) -> Self {
        Self {
            job,
            observer,
            warnings: Vec::new(),
            unkept_warnings: 0,
            told: None,
            segments: 0,
            segments_total: 0,
            bytes_in: 0,
        }
    }

    pub(crate) fn job(&self) -> &str {
        &self.job
    }

    /// Who listens, if anybody does.
    pub(crate) fn observer(&self) -> Option<Arc<dyn Observer>> {
        self.observer.clone()
    }

    /// Sends an event; `make` is called with the job's label, and only if somebody listens.
    pub(crate) fn event(&self, make: impl FnOnce(String) -> Event) {
        if let Some(observer) = &self.observer {
            observer.on_event(&make(self.job.clone()));
        }
    }

    /// Trouble that the job survives.
    pub(crate) fn warn(&mut self, message: impl Into<String>) {
        let message = message.into();
        self.event(|job| Event::Warning { job, message: message.clone() });
        if self.warnings.len() < KEPT_WARNINGS {
            self.warnings.push(message);
        } else {
            self.unkept_warnings += 1;
        }
    }

    /// A segment was read; `media` is how far the output has come.
    pub(crate) fn progress(&mut self, media: Nanos) {
        let due = self.told.is_none_or(|told| told.elapsed() >= PROGRESS_INTERVAL);
        if due || self.segments == self.segments_total {
            self.told = Some(Instant::now());
            let (segments, segments_total, bytes_in) = (self.segments, self.segments_total, self.bytes_in);
            let media_s = media.seconds().max(0.0);
            self.event(|job| Event::Progress { job, segments, segments_total, bytes_in, media_s });
        }
    }

    /// The job begins anew: what it counted and noted so far comes again.
    pub(crate) fn restart(&mut self, warnings: usize) {
        self.warnings.truncate(warnings);
        (self.segments, self.bytes_in, self.unkept_warnings) = (0, 0, 0);
    }

    /// Warnings so far.
    pub(crate) fn warning_count(&self) -> usize {
        self.warnings.len()
    }

    /// The lines for the report.
    pub(crate) fn take_warnings(&mut self) -> Vec<String> {
        let mut warnings = std::mem::take(&mut self.warnings);
        if self.unkept_warnings > 0 {
            warnings.push(format!("{} further warnings", self.unkept_warnings));
        }
        warnings
    }
}
