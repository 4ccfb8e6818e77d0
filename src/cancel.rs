//! Cancelling a job from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};

/// Tells a running job to stop. Clones share one state.
///
/// The job looks at its token before every read and write of media bytes, also inside
/// libav, and ends with [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled). Of a download what is complete stays
/// in the job's workspace, for the next run; nothing else is left on disk.
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// Looked at before every packet, so it is not behind the waker's lock.
    cancelled: AtomicBool,
    waker: CancellationToken,
}

impl CancelToken {
    /// A token that is not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks every job that holds this token to stop. Returns at once; may be called from any thread.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
        self.0.waker.cancel();
    }

    /// True once [`cancel`](Self::cancel) was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Relaxed)
    }

    /// An error once the token is cancelled, for use with `?`.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::cancelled()) } else { Ok(()) }
    }

    /// Ready once the token is cancelled.
    pub(crate) async fn cancelled(&self) {
        self.0.waker.cancelled().await;
    }
}
