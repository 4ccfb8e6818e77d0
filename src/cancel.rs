//! Cancelling a job from outside, and its time limit.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorKind, Result};

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
    /// Cancelled with this one.
    parent: Option<CancelToken>,
    limit: Option<Mutex<Limit>>,
}

/// When a job's time is up.
#[derive(Debug)]
struct Limit {
    until: Instant,
    allowed: Duration,
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
        self.0.cancelled.load(Ordering::Relaxed) || self.0.parent.as_ref().is_some_and(Self::is_cancelled)
    }

    /// A token that is cancelled with this one, and can be by itself.
    pub(crate) fn child(&self) -> Self {
        self.derive(None)
    }

    /// A token that is cancelled with this one, and whose holder's time is up after so long.
    pub(crate) fn limited(&self, allowed: Duration) -> Self {
        let until = Instant::now().checked_add(allowed);
        self.derive(until.map(|until| Mutex::new(Limit { until, allowed })))
    }

    fn derive(&self, limit: Option<Mutex<Limit>>) -> Self {
        let waker = self.0.waker.child_token();
        Self(Arc::new(State { cancelled: AtomicBool::new(false), waker, parent: Some(self.clone()), limit }))
    }

    /// Time that the holder only waited does not count.
    pub(crate) fn extend(&self, waited: Duration) {
        if let Some(limit) = &self.0.limit {
            limit.lock().unwrap_or_else(PoisonError::into_inner).until += waited;
        }
    }

    /// An error once the token is cancelled, or the time is up, for use with `?`.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_cancelled() {
            return Err(Error::cancelled());
        }
        let limits = std::iter::successors(Some(self), |token| token.0.parent.as_ref());
        for limit in limits.filter_map(|token| token.0.limit.as_ref()) {
            let limit = limit.lock().unwrap_or_else(PoisonError::into_inner);
            if Instant::now() > limit.until {
                let message = format!("the merge took longer than {:.0} s", limit.allowed.as_secs_f64());
                return Err(Error::new(ErrorKind::Timeout, message).with_hint("allow more time with --merge-timeout"));
            }
        }
        Ok(())
    }

    /// Ready once the token is cancelled.
    pub(crate) async fn cancelled(&self) {
        self.0.waker.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_goes_with_its_parent_and_not_the_other_way() {
        let parent = CancelToken::new();
        let (one, other) = (parent.child(), parent.child());
        one.cancel();
        assert!(one.is_cancelled() && !parent.is_cancelled() && !other.is_cancelled());
        parent.cancel();
        assert_eq!(other.check().unwrap_err().kind(), ErrorKind::Cancelled);
    }

    #[test]
    fn time_that_is_up_is_an_error_and_waiting_does_not_count() {
        let token = CancelToken::new().limited(Duration::ZERO);
        while token.check().is_ok() {}
        assert_eq!(token.check().unwrap_err().kind(), ErrorKind::Timeout);
        assert_eq!(token.child().check().unwrap_err().kind(), ErrorKind::Timeout, "it holds for all parts of the job");
        token.extend(Duration::from_secs(60));
        assert!(token.check().is_ok());
        assert!(CancelToken::new().limited(Duration::MAX).check().is_ok());
    }
}
