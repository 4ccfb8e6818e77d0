//! Keeps a job's transfers going: as many at once as it may have, and none too far ahead.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::Used;
use super::shared::Shared;
use crate::error::{Error, ErrorKind};

/// How often progress is told, and looked for.
const TICK: Duration = Duration::from_millis(200);

/// Keeps transfers going until all is there or the job ends.
pub(super) async fn drive(shared: Arc<Shared>) {
    let _ending = Ending(&shared);
    let settings = &shared.settings;
    let most = settings.in_flight();
    let patience = settings.client.options().download_timeout;
    let mut running = JoinSet::new();
    let mut next = 0;
    let mut tick = tokio::time::interval(TICK);
    let (mut bytes, mut advanced) = (0, Instant::now());
    loop {
        while running.len() < most
            && let Some(n) = shared.take_next(&mut next)
        {
            let this = shared.clone();
            running.spawn(async move {
                let outcome = this.one(n).await.map_err(|e| this.named(n, e));
                this.settle(n, outcome);
            });
        }
        if running.is_empty() && next == shared.wanted.len() {
            tell(&shared);
            if settings.used == Used::Deleted && shared.is_asked_again().await {
                continue;
            }
            return;
        }
        if running.len() < most && next < shared.wanted.len() && shared.let_one_more_begin() {
            continue;
        }
        tokio::select! {
            () = settings.cancel.cancelled() => {
                shared.fail(Error::cancelled());
                break;
            }
            () = shared.stop.cancelled() => break,
            Some(ended) = running.join_next(), if !running.is_empty() => {
                if ended.is_err() {
                    shared.fail(Error::new(ErrorKind::Internal, "a transfer panicked"));
                }
                if shared.state().failed.is_some() {
                    break;
                }
            }
            () = shared.moved.notified() => {}
            _ = tick.tick() => {
                let progress = shared.progress();
                if progress.bytes != bytes || running.is_empty() {
                    (bytes, advanced) = (progress.bytes, Instant::now());
                }
                if advanced.elapsed() >= patience {
                    let message = format!("the download got no further for {:.0} s", patience.as_secs_f64());
                    shared.fail(Error::new(ErrorKind::Timeout, message)
                        .with_hint("try again later, or wait longer with --download-timeout"));
                    break;
                }
                tell(&shared);
            }
        }
    }
    running.shutdown().await;
    tell(&shared);
}

fn tell(shared: &Shared) {
    if let Some(listener) = &shared.settings.listener {
        listener(shared.progress());
    }
}

/// Says that no transfer goes on, however that came.
struct Ending<'a>(&'a Shared);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.ended = true;
        // Whoever still waits must not do so for ever, should a panic have been the end.
        if state.failed.is_none() && state.settled < state.slots.len() {
            state.failed = Some(Error::new(ErrorKind::Internal, "the download ended before all was there"));
        }
        drop(state);
        self.0.changed.notify_all();
    }
}
