//! What runs jobs.

use std::future::Future;
use std::pin::Pin;

use avweld::{Job, Report, Result, Service};

use crate::settings;

/// A job under way: how it ends.
pub(crate) type Running = Pin<Box<dyn Future<Output = Result<Report>>>>;

/// Runs jobs beside each other.
pub(crate) trait Engine {
    /// Begins a job, or lets it wait for its turn, and returns at once.
    fn start(&self, job: Job) -> Running;
}

impl Engine for Service {
    fn start(&self, job: Job) -> Running {
        Box::pin(self.submit(job))
    }
}

/// As many jobs are handed over before one has ended: those at work, and enough behind them that the service never waits
/// for more, also where downloads have stalled and others go past them. A list may be much longer, and a job that was
/// handed over takes more memory than its line.
pub(crate) fn places(service: &settings::Service) -> usize {
    const BEHIND: usize = 40;
    service.max_concurrent_downloads.saturating_add(service.max_concurrent_merges).saturating_add(BEHIND)
}
