//! What the submitter of a job holds.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crossbeam_channel::Sender;

use super::work::Message;
use crate::cancel::CancelToken;
use crate::error::{Error, ErrorKind, Result};
use crate::report::Report;

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum JobStatus {
    /// It waits for a place.
    Queued,
    /// Its playlists are read and its segments fetched.
    Downloading,
    /// Its download is complete, and it waits for a place to merge.
    Ready,
    /// It is merged, verified and published.
    Merging,
    /// It has ended, well or not.
    Ended,
}

/// A job that a [`Service`](crate::Service) runs. Dropped, the job goes on.
///
/// As a future it gives what [`wait`](Self::wait) gives.
#[must_use = "a job's outcome is told by its handle alone"]
pub struct JobHandle {
    slot: Arc<Slot>,
    queue: Sender<Message>,
}

/// What a job and its handle share.
pub(super) struct Slot {
    pub(super) cancel: CancelToken,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    status: JobStatus,
    outcome: Option<Result<Report>>,
    waker: Option<Waker>,
    then: Option<Then>,
}

type Then = Box<dyn FnOnce(Result<Report>) + Send>;

impl Slot {
    pub(super) fn new(cancel: CancelToken) -> Self {
        let state = State { status: JobStatus::Queued, outcome: None, waker: None, then: None };
        Self { cancel, state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(super) fn advance(&self, status: JobStatus) {
        self.state().status = status;
    }

    pub(super) fn settle(&self, outcome: Result<Report>) {
        let mut state = self.state();
        state.status = JobStatus::Ended;
        if let Some(then) = state.then.take() {
            drop(state);
            then(outcome);
            return;
        }
        state.outcome = Some(outcome);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
        drop(state);
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn taken() -> Error {
    Error::new(ErrorKind::Usage, "the outcome of this job was taken before")
}

impl JobHandle {
    pub(super) fn new(slot: Arc<Slot>, queue: Sender<Message>) -> Self {
        Self { slot, queue }
    }

    /// Asks the job to stop, wherever it is. Returns at once.
    pub fn cancel(&self) {
        self.slot.cancel.cancel();
        // One that waits in the queue is taken out of it at once.
        let _gone = self.queue.send(Message::Look);
    }

    /// How far the job is.
    pub fn status(&self) -> JobStatus {
        self.slot.state().status
    }

    /// Calls `then` with the outcome as the job ends: on the service's thread, so it must return soon; at once, on this
    /// one, where the job has ended already.
    pub fn then(self, then: impl FnOnce(Result<Report>) + Send + 'static) {
        let mut state = self.slot.state();
        match (state.outcome.take(), state.status) {
            (Some(outcome), _) => {
                drop(state);
                then(outcome);
            }
            (None, JobStatus::Ended) => {
                drop(state);
                then(Err(taken()));
            }
            (None, _) => state.then = Some(Box::new(then)),
        }
    }

    /// Blocks until the job has ended.
    ///
    /// # Errors
    /// Those of [`Job::run`](crate::Job::run); `Cancelled` also where the service stopped.
    pub fn wait(self) -> Result<Report> {
        let mut state = self.slot.state();
        loop {
            if let Some(outcome) = state.outcome.take() {
                return outcome;
            }
            if state.status == JobStatus::Ended {
                return Err(taken());
            }
            state = self.slot.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Future for JobHandle {
    type Output = Result<Report>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.slot.state();
        if let Some(outcome) = state.outcome.take() {
            return Poll::Ready(outcome);
        }
        if state.status == JobStatus::Ended {
            return Poll::Ready(Err(taken()));
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}
