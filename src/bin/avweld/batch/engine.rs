//! What runs jobs.

use avweld::{Job, Report, Result, Service};

/// Told of how a job ended; once, from any thread.
pub(crate) type Ended = Box<dyn FnOnce(Result<Report>) + Send>;

/// Runs jobs beside each other.
pub(crate) trait Engine {
    /// As many jobs are worth handing over before one has ended.
    fn places(&self) -> usize;

    /// Begins a job, or lets it wait for its turn, and returns at once.
    fn start(&self, job: Job, ended: Ended);
}

/// The library's service.
pub(crate) struct Queue {
    pub(crate) service: Service,
    /// Beyond those that run, some that can begin where servers of others have stalled.
    pub(crate) places: usize,
}

impl Engine for Queue {
    fn places(&self) -> usize {
        self.places
    }

    fn start(&self, job: Job, ended: Ended) {
        self.service.submit(job).then(ended);
    }
}
