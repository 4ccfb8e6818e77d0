//! What the transfers of a job, and the merge that waits for them, know of each other.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OnceCell};
use url::Url;

use super::window::Window;
use super::{Progress, Settings};
use crate::cancel::CancelToken;
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::wanted::{Kind, Wanted, without_query};
use crate::options::OnGap;
use crate::playlist::{ByteRange, Location, Segment};
use crate::workspace::Stored;

const WITHOUT_IT: &str = "check the playlist's URL, or go on without it with --on-gap skip";
/// How long a wait goes on before it looks at the cancel token.
const PATIENCE: Duration = Duration::from_millis(50);

pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) wanted: Vec<Wanted>,
    pub(super) index: HashMap<(Url, Option<ByteRange>, bool), usize>,
    pub(super) state: Mutex<State>,
    pub(super) changed: Condvar,
    pub(super) moved: Notify,
    pub(super) stop: CancelToken,
    /// URLs of which parts are wanted: what the first answer said of parts.
    pub(super) parted: HashMap<Url, tokio::sync::Mutex<Parts>>,
    /// Loaded once, however that ended.
    pub(super) refreshed: OnceCell<Result<Vec<Vec<Segment>>>>,
    /// Whether what another query brought may be taken for the same: asked once.
    pub(super) same: OnceCell<bool>,
    pub(super) started: Instant,
    /// The merge's token, whose time limit does not count what it waits.
    pub(super) merging: OnceLock<CancelToken>,
}

pub(super) struct State {
    pub(super) slots: Vec<Slot>,
    /// One behind the last that was asked for.
    pub(super) reached: usize,
    /// The merge waits for what it asked for.
    pub(super) waiting: bool,
    pub(super) window: Window,
    /// Why nothing more comes.
    pub(super) failed: Option<Error>,
    pub(super) progress: Progress,
    /// How many are not waited for any more.
    pub(super) settled: usize,
    /// How often each will still be read.
    pub(super) uses: Vec<usize>,
    /// Those that were deleted and asked for after all.
    pub(super) again: VecDeque<usize>,
    /// How long the merge waited in all.
    pub(super) waited: Duration,
    /// No transfer goes on any more.
    pub(super) ended: bool,
}

pub(super) enum Slot {
    Waiting,
    Stored(Stored),
    Key(Vec<u8>),
    Failed(Error),
    /// It was there.
    Deleted,
}

/// Whether a server serves parts of a resource.
#[derive(Debug, Clone, Copy)]
pub(super) enum Parts {
    Unknown,
    Served,
    /// It sent all of it instead.
    Whole(Stored),
}

impl State {
    pub(super) fn fetch_again(&mut self, n: usize) {
        self.slots[n] = Slot::Waiting;
        self.again.push_back(n);
        self.settled -= 1;
        self.progress.done -= 1;
    }
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn sleep<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, PATIENCE).unwrap_or_else(PoisonError::into_inner).0
    }

    pub(super) fn progress(&self) -> Progress {
        let counts = self.settings.client.counts();
        Progress { bytes: counts.bytes, retries: counts.retries, ..self.state().progress }
    }

    /// The next that may begin, from `next` on.
    pub(super) fn take_next(&self, next: &mut usize) -> Option<usize> {
        let mut state = self.state();
        let horizon = state.reached.saturating_add(state.window.len()).min(self.wanted.len());
        state.again.pop_front().or_else(|| (*next < horizon).then(|| std::mem::replace(next, *next + 1)))
    }

    /// Waits until something that was deleted is asked for after all. False if that will not be.
    pub(super) async fn is_asked_again(&self) -> bool {
        loop {
            if !self.state().again.is_empty() {
                return true;
            }
            tokio::select! {
                () = self.settings.cancel.cancelled() => return false,
                () = self.stop.cancelled() => return false,
                () = self.moved.notified() => {}
            }
        }
    }

    /// Fewer are in flight than could be, as no more may begin: one more may if the merge waits. True if so.
    pub(super) fn let_one_more_begin(&self) -> bool {
        let mut state = self.state();
        state.waiting && state.window.grow()
    }

    pub(super) fn settle(&self, n: usize, outcome: Result<Slot>) {
        let mut state = self.state();
        state.settled += 1;
        match outcome {
            Ok(slot) => {
                state.progress.done += u64::from(self.wanted[n].is_kept());
                state.progress.elapsed = self.started.elapsed();
                if let Slot::Stored(stored) = &slot {
                    state.window.note(stored.length);
                }
                state.slots[n] = slot;
            }
            Err(error) => {
                let skipped = self.settings.on_gap == OnGap::Skip && self.is_segment(n) && is_missing(error.kind());
                if !skipped && state.failed.is_none() {
                    state.failed = Some(error.replica());
                }
                state.slots[n] = Slot::Failed(error);
            }
        }
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn is_segment(&self, n: usize) -> bool {
        matches!(self.wanted[n].kind, Kind::Segment { .. } | Kind::Text)
    }

    pub(super) fn fail(&self, error: Error) {
        self.state().failed.get_or_insert(error);
        self.changed.notify_all();
    }

    /// The error with its place.
    pub(super) fn named(&self, n: usize, error: Error) -> Error {
        let wanted = &self.wanted[n];
        let name = Location::Http(wanted.url.clone()).display();
        // What the playlist lists and the server does not have is corrupt input rather than a wrong argument.
        let error = match (error.kind(), wanted.kind) {
            (_, Kind::Key) => error,
            (ErrorKind::NotFound, _) => error.of_kind(ErrorKind::Media).with_hint(WITHOUT_IT),
            _ => error,
        };
        match wanted.kind {
            Kind::Segment { .. } | Kind::Text => error.with_segment(wanted.media_sequence, name),
            Kind::Init { .. } => error.within(format_args!("init section {name}")),
            Kind::Key => error.within(format_args!("key {name}")),
        }
    }

    /// Where a resource is by now: its playlist may have been loaded once more.
    pub(super) fn url(&self, n: usize) -> Url {
        let wanted = &self.wanted[n];
        let fresh = self.refreshed.get().and_then(|lists| lists.as_ref().ok()?.get(wanted.input));
        let segment = fresh.and_then(|list| list.iter().find(|s| s.media_sequence == wanted.media_sequence));
        let location = segment.and_then(|segment| match wanted.kind {
            Kind::Segment { .. } | Kind::Text if segment.byte_range == wanted.range => Some(&segment.location),
            Kind::Segment { .. } | Kind::Text => None,
            Kind::Init { .. } => {
                segment.init.as_ref().filter(|init| init.byte_range == wanted.range).map(|init| &init.location)
            }
            // A segment may name several.
            Kind::Key => {
                let path = without_query(&wanted.url);
                let is_it = |location: &&Location| matches!(location, Location::Http(u) if without_query(u) == path);
                let keys = || segment.keys().filter_map(|key| key.location.as_ref());
                keys().find(is_it).or_else(|| keys().next())
            }
        });
        match location {
            Some(Location::Http(url)) => url.clone(),
            _ => wanted.url.clone(),
        }
    }
}

/// A segment of this fate is one that cannot be had.
fn is_missing(kind: ErrorKind) -> bool {
    use ErrorKind as E;
    matches!(kind, E::Media | E::NotFound | E::Forbidden | E::Network | E::Timeout)
}
