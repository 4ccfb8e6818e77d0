//! What is known of one host, for all jobs that speak to it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};

/// A host and port.
pub(super) struct Host {
    /// A place for each request in flight.
    pub(super) places: Arc<Semaphore>,
    /// It asked to be left alone until then.
    not_before: Mutex<Option<Instant>>,
    served: AtomicU64,
}

impl Host {
    pub(super) fn new(connections: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(connections)), not_before: Mutex::default(), served: AtomicU64::new(0) }
    }

    /// The host asked for a pause: all requests to it keep it.
    pub(super) fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut not_before = self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        *not_before = Some(not_before.map_or(until, |other| other.max(until)));
    }

    /// Ready once the host may be asked again.
    pub(super) async fn ready(&self) {
        loop {
            let until = *self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
            match until {
                Some(until) if until > Instant::now() => sleep_until(until).await,
                _ => return,
            }
        }
    }

    /// A request was served whole.
    pub(super) fn note_served(&self) {
        self.served.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests that were served whole so far: where it grows, the host is alive.
    pub(super) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }
}
