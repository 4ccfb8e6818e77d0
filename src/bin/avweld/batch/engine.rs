//! What runs jobs.

use std::thread::{self, Scope};

use avweld::{Error, Job, Report, Result};

/// Told of how a job ended; once, from any thread.
pub(crate) type Ended = Box<dyn FnOnce(Result<Report>) + Send>;

/// Runs jobs beside each other.
pub(crate) trait Engine {
    /// As many jobs are worth handing over before one has ended.
    fn places(&self) -> usize;

    /// Begins a job, or lets it wait for its turn, and returns at once.
    fn start(&self, job: Job, ended: Ended);
}

/// A thread for each job.
pub(crate) struct Threads<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    places: usize,
}

impl<'scope, 'env> Threads<'scope, 'env> {
    pub(crate) fn new(scope: &'scope Scope<'scope, 'env>, places: usize) -> Self {
        Self { scope, places }
    }
}

impl Engine for Threads<'_, '_> {
    fn places(&self) -> usize {
        self.places
    }

    fn start(&self, job: Job, ended: Ended) {
        // The job and whom to tell stay here until the thread stands: one that does not would take both with it.
        let (sender, receiver) = crossbeam_channel::bounded::<(Job, Ended)>(1);
        let body = move || {
            if let Ok((job, ended)) = receiver.recv() {
                ended(job.run());
            }
        };
        match thread::Builder::new().name("job".into()).spawn_scoped(self.scope, body) {
            // The thread waits for it, and so it cannot be gone.
            Ok(_) => drop(sender.send((job, ended))),
            Err(e) => ended(Err(Error::io("cannot start a thread for the job", e))),
        }
    }
}
