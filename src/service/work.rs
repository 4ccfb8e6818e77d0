//! What the queue, its workers and their submitters pass around.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender};

use super::handle::Slot;
use crate::error::{Error, Result};
use crate::event::{Event, Observer};
use crate::job::{Job, Prepared, Verified};
use crate::net::Network;
use crate::report::Report;

/// What all of a service's threads share.
pub(super) struct Shared {
    pub(super) network: Network,
    pub(super) observers: Observers,
}

/// A job as it was submitted.
pub(super) struct Entry {
    pub(super) job: Job,
    pub(super) slot: Arc<Slot>,
}

/// A job on its way through the queue.
pub(super) struct Running {
    pub(super) id: u64,
    pub(super) label: String,
    pub(super) slot: Arc<Slot>,
    /// The path that no other job may write to meanwhile.
    pub(super) claim: Option<PathBuf>,
    /// It was told what it waits for.
    pub(super) told: bool,
}

/// What the queue is told.
pub(super) enum Message {
    Submit(Box<Entry>),
    /// Somebody cancelled something.
    Look,
    /// A job's plan is made.
    Planned(Running, Result<Box<Prepared>>),
    /// Nothing comes for a download any more, or again.
    Stalled(bool),
    /// A job's download has ended. The error of one that failed keeps no workspace open.
    Downloaded(Running, Result<Box<Prepared>>),
    /// A job's output is written and verified.
    Verified(Running, Box<Verified>),
    /// A merge has failed, and its workspace was kept where the path stands.
    Failed(Running, Error, PathBuf),
    /// A job has ended, and its workspace was kept where the path stands.
    Published(Running, Box<Result<Report>>, Option<PathBuf>),
    /// A workspace was kept after a failed download.
    Kept(PathBuf),
    Stop,
}

/// Who hears of all jobs' events.
pub(super) struct Observers {
    own: Option<Arc<dyn Observer>>,
    subscribers: Mutex<Vec<Sender<Event>>>,
}

impl Observers {
    pub(super) fn new(own: Option<Arc<dyn Observer>>) -> Self {
        Self { own, subscribers: Mutex::default() }
    }

    pub(super) fn subscribe(&self) -> Receiver<Event> {
        let (sender, receiver) = crossbeam_channel::unbounded();
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        receiver
    }

    pub(super) fn tell(&self, event: &Event) {
        if let Some(own) = &self.own {
            own.on_event(event);
        }
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        subscribers.retain(|subscriber| subscriber.send(event.clone()).is_ok());
    }
}

impl Observer for Shared {
    fn on_event(&self, event: &Event) {
        self.observers.tell(event);
    }
}
