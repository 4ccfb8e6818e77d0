//! A job's downloads: ahead of the merge, several at once, each into a file of the workspace.
//!
//! Transfers run on the network's thread. The merge asks for what it needs next and waits for that; meanwhile the
//! window moves on behind it.

mod drive;
mod one;
mod shared;
mod window;

use std::collections::VecDeque;
use std::fs::File;
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OnceCell};
use url::Url;

use super::wanted::{Kind, Wanted};
use crate::cancel::CancelToken;
use crate::error::{Error, ErrorKind, Result};
use crate::net::{Client, Network};
use crate::options::{Limits, OnGap};
use crate::playlist::{ByteRange, Location, Segment};
use crate::workspace::Store;
use shared::{Parts, Shared, Slot, State};
use window::Window;

/// A download of which nothing came for so long has stalled, as far as others are concerned.
const STALLED: Duration = Duration::from_secs(1);

/// The segments of each sequence, from the playlists loaded once more.
pub(crate) type Refresh = Arc<dyn Fn() -> Result<Vec<Vec<Segment>>> + Send + Sync>;

/// Hears how far a download is. Called on the network's thread.
pub(crate) type Listener = Arc<dyn Fn(Progress) + Send + Sync>;

/// How a job downloads.
pub(crate) struct Settings {
    pub(crate) client: Client,
    pub(crate) store: Store,
    pub(crate) cancel: CancelToken,
    pub(crate) on_gap: OnGap,
    pub(crate) limits: Limits,
    /// What to do where a server begins to refuse: links of this kind expire.
    pub(crate) refresh: Option<Refresh>,
    pub(crate) listener: Option<Listener>,
    pub(crate) used: Used,
}

/// What becomes of a segment that the merge has no further use for, as far as it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Used {
    Kept,
    Deleted,
}

impl Settings {
    /// Transfers at once.
    fn in_flight(&self) -> usize {
        self.client.options().concurrent_segments.max(1)
    }
}

/// How far a download is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Progress {
    /// Resources that are complete, without keys.
    pub(crate) done: u64,
    pub(crate) total: u64,
    /// Of these, from the run before.
    pub(crate) resumed: u64,
    /// Bytes that came so far.
    pub(crate) bytes: u64,
    pub(crate) retries: u64,
    /// Wall-clock time from the start to the last byte so far.
    pub(crate) elapsed: Duration,
}

/// A download that runs. Dropped, it stops.
pub(crate) struct Download {
    shared: Arc<Shared>,
    /// Lives at least as long as what runs on it.
    _network: Network,
}

impl Download {
    /// Begins to fetch, in order.
    pub(crate) fn start(network: &Network, wanted: Vec<Wanted>, settings: Settings) -> Result<Self> {
        let total = wanted.iter().filter(|w| w.is_kept()).count() as u64;
        let place = |(n, w): (usize, &Wanted)| ((w.url.clone(), w.range, w.kind == Kind::Key), n);
        let index = wanted.iter().enumerate().map(place).collect();
        let ranged = wanted.iter().filter(|w| w.range.is_some());
        let parted = ranged.map(|w| (w.url.clone(), tokio::sync::Mutex::new(Parts::Unknown))).collect();
        let state = State {
            slots: wanted.iter().map(|_| Slot::Waiting).collect(),
            reached: 0,
            waiting: false,
            window: Window::new(settings.in_flight()),
            failed: None,
            progress: Progress { total, ..Progress::default() },
            settled: 0,
            uses: wanted.iter().map(|w| w.uses).collect(),
            again: VecDeque::new(),
            waited: Duration::ZERO,
            ended: false,
        };
        let shared = Arc::new(Shared {
            settings,
            wanted,
            index,
            state: Mutex::new(state),
            changed: Condvar::new(),
            moved: Notify::new(),
            stop: CancelToken::new(),
            parted,
            refreshed: OnceCell::new(),
            same: OnceCell::new(),
            started: Instant::now(),
            merging: OnceLock::new(),
        });
        network.spawn(drive::drive(shared.clone()))?;
        Ok(Self { shared, _network: network.clone() })
    }

    /// A resource's file and the part of it that is meant. Blocks until it is there.
    ///
    /// # Errors
    /// What became of it; `Cancelled`.
    pub(crate) fn open(&self, url: &Url, range: Option<ByteRange>) -> Result<(File, ByteRange)> {
        let stored = self.wait(url, range, false, |slot| match slot {
            Slot::Stored(stored) => Some(*stored),
            _ => None,
        })?;
        let file = self.shared.settings.store.read(stored)?;
        let whole = ByteRange { offset: 0, length: stored.length };
        let part = if stored.whole { range.unwrap_or(whole) } else { whole };
        match part.offset.checked_add(part.length) {
            Some(end) if end <= stored.length => Ok((file, part)),
            _ => {
                let ByteRange { offset, length } = part;
                let message = format!("byte range {length}@{offset} reaches beyond the end of {} bytes", stored.length);
                Err(Error::new(ErrorKind::Media, message))
            }
        }
    }

    /// A key's bytes, not yet looked at. Blocks until they are there.
    pub(crate) fn key(&self, url: &Url) -> Result<Vec<u8>> {
        self.wait(url, None, true, |slot| match slot {
            Slot::Key(bytes) => Some(bytes.clone()),
            _ => None,
        })
    }

    /// Blocks until all is there, or enough to know that it will not be. `stalled` hears when nothing comes any more
    /// for a while, and when it comes again.
    pub(crate) fn wait_for_all(&self, stalled: &mut dyn FnMut(bool)) -> Result<()> {
        self.shared.state().reached = self.shared.wanted.len();
        self.shared.moved.notify_one();
        let (mut bytes, mut advanced, mut told) = (0, Instant::now(), false);
        let mut state = self.shared.state();
        loop {
            if let Some(error) = &state.failed {
                return Err(error.replica());
            }
            if state.settled == state.slots.len() {
                return Ok(());
            }
            self.shared.settings.cancel.check()?;
            state = self.shared.sleep(state);
            let now = self.shared.settings.client.counts().bytes;
            if now != bytes {
                (bytes, advanced) = (now, Instant::now());
            }
            if told != (advanced.elapsed() >= STALLED) {
                told = !told;
                stalled(told);
            }
        }
    }

    /// Nothing of a segment will be read any more, as far as anybody can tell: it is deleted where that is wanted. Should
    /// it be asked for after all, it is fetched once more.
    pub(crate) fn release(&self, url: &Url, range: Option<ByteRange>) {
        if self.shared.settings.used == Used::Kept {
            return;
        }
        let Some(&n) = self.shared.index.get(&(url.clone(), range, false)) else { return };
        let mut state = self.shared.state();
        state.uses[n] = state.uses[n].saturating_sub(1);
        match state.slots[n] {
            // The file of one that came whole is that of its other parts, too.
            Slot::Stored(stored) if state.uses[n] == 0 && !stored.whole => {
                state.slots[n] = Slot::Deleted;
                drop(state);
                self.shared.settings.store.remove(stored);
            }
            _ => {}
        }
    }

    /// Time that a caller waits here does not count for the limit of this token, from now on.
    pub(crate) fn waits_for_free(&self, token: &CancelToken) {
        self.shared.merging.get_or_init(|| token.clone());
    }

    /// How long callers waited.
    pub(crate) fn waited(&self) -> Duration {
        self.shared.state().waited
    }

    pub(crate) fn progress(&self) -> Progress {
        self.shared.progress()
    }

    fn wait<T>(
        &self,
        url: &Url,
        range: Option<ByteRange>,
        is_key: bool,
        take: impl Fn(&Slot) -> Option<T>,
    ) -> Result<T> {
        let unplanned =
            || Error::new(ErrorKind::Internal, format!("{} was not planned", Location::Http(url.clone()).display()));
        let n = *self.shared.index.get(&(url.clone(), range, is_key)).ok_or_else(unplanned)?;
        let mut state = self.shared.state();
        if n + 1 > state.reached {
            state.reached = n + 1;
            if take(&state.slots[n]).is_some() {
                state.window.shrink();
            }
            self.shared.moved.notify_one();
        }
        if matches!(state.slots[n], Slot::Deleted) {
            state.fetch_again(n);
        }
        loop {
            if let Some(found) = take(&state.slots[n]) {
                return Ok(found);
            }
            if let Slot::Failed(error) = &state.slots[n] {
                return Err(error.replica());
            }
            if let Some(error) = &state.failed {
                return Err(error.replica());
            }
            self.shared.settings.cancel.check()?;
            let since = Instant::now();
            state.waiting = true;
            self.shared.moved.notify_one();
            state = self.shared.sleep(state);
            let waited = since.elapsed();
            state.waiting = false;
            state.waited += waited;
            if let Some(token) = self.shared.merging.get() {
                token.extend(waited);
            }
        }
    }

    /// Ends all transfers. When this returns nothing is written any more. Blocks for moments.
    pub(crate) fn stop(&self) {
        self.shared.stop.cancel();
        let mut state = self.shared.state();
        while !state.ended {
            state = self.shared.sleep(state);
        }
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        self.stop();
    }
}
