//! A job's downloads: ahead of the merge, several at once, each into a file of the workspace.
//!
//! Transfers run on the network's thread. The merge asks for what it needs next and waits for that; meanwhile the
//! window moves on behind it.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OnceCell};
use tokio::task::JoinSet;
use url::Url;

use super::body::{FileBody, KeyBody};
use super::wanted::{Kind, Wanted, without_query};
use crate::cancel::CancelToken;
use crate::error::{Error, ErrorKind, Result};
use crate::net::{Client, Network, Request};
use crate::options::OnGap;
use crate::playlist::{ByteRange, Location, Segment};
use crate::workspace::{Store, Stored};

/// A key's answer is read up to this size in bytes: enough to tell what is no key.
const KEY_BYTES: u64 = 64 << 10;
const WITHOUT_IT: &str = "check the playlist's URL, or go on without it with --on-gap skip";
/// How often progress is told, and looked for.
const TICK: Duration = Duration::from_millis(200);
/// A download of which nothing came for so long has stalled, as far as others are concerned.
const STALLED: Duration = Duration::from_secs(1);
/// How long a wait goes on before it looks at the cancel token.
const PATIENCE: Duration = Duration::from_millis(50);

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
    /// Resources that are fetched ahead of the one that was asked for last.
    pub(crate) window: usize,
    /// What to do where a server begins to refuse: links of this kind expire.
    pub(crate) refresh: Option<Refresh>,
    pub(crate) listener: Option<Listener>,
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

struct Shared {
    settings: Settings,
    wanted: Vec<Wanted>,
    index: HashMap<(Url, Option<ByteRange>, bool), usize>,
    state: Mutex<State>,
    changed: Condvar,
    moved: Notify,
    stop: CancelToken,
    /// URLs of which parts are wanted: what the first answer said of parts.
    parted: HashMap<Url, tokio::sync::Mutex<Parts>>,
    /// Loaded once, however that ended.
    refreshed: OnceCell<Result<Vec<Vec<Segment>>>>,
    /// Whether what another query brought may be taken for the same: asked once.
    same: OnceCell<bool>,
    started: Instant,
    /// The merge's token, whose time limit does not count what it waits.
    merging: std::sync::OnceLock<CancelToken>,
}

struct State {
    slots: Vec<Slot>,
    /// One behind the last that was asked for.
    reached: usize,
    /// Why nothing more comes.
    failed: Option<Error>,
    progress: Progress,
    /// How many are not waited for any more.
    settled: usize,
    /// How long the merge waited in all.
    waited: Duration,
    /// No transfer goes on any more.
    ended: bool,
}

enum Slot {
    Waiting,
    Stored(Stored),
    Key(Vec<u8>),
    Failed(Error),
}

/// Whether a server serves parts of a resource.
#[derive(Debug, Clone, Copy)]
enum Parts {
    Unknown,
    Served,
    /// It sent all of it instead.
    Whole(Stored),
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
            failed: None,
            progress: Progress { total, ..Progress::default() },
            settled: 0,
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
            merging: std::sync::OnceLock::new(),
        });
        network.spawn(drive(shared.clone()))?;
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
            self.shared.moved.notify_one();
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
            state = self.shared.sleep(state);
            let waited = since.elapsed();
            state.waited += waited;
            if let Some(token) = self.shared.merging.get() {
                token.extend(waited);
            }
        }
    }
}

impl Download {
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

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sleep<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, PATIENCE).unwrap_or_else(PoisonError::into_inner).0
    }

    fn progress(&self) -> Progress {
        let counts = self.settings.client.counts();
        Progress { bytes: counts.bytes, retries: counts.retries, ..self.state().progress }
    }

    /// How many may have begun.
    fn horizon(&self) -> usize {
        self.state().reached.saturating_add(self.settings.window)
    }

    fn settle(&self, n: usize, outcome: Result<Slot>) {
        let mut state = self.state();
        state.settled += 1;
        match outcome {
            Ok(slot) => {
                state.progress.done += u64::from(self.wanted[n].is_kept());
                state.progress.elapsed = self.started.elapsed();
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

    fn is_segment(&self, n: usize) -> bool {
        matches!(self.wanted[n].kind, Kind::Segment { .. } | Kind::Text)
    }

    fn fail(&self, error: Error) {
        self.state().failed.get_or_insert(error);
        self.changed.notify_all();
    }

    /// The error with its place.
    fn named(&self, n: usize, error: Error) -> Error {
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
    fn url(&self, n: usize) -> Url {
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

    /// Fetches one resource, from the run before if that is possible.
    async fn one(self: &Arc<Self>, n: usize) -> Result<Slot> {
        let parted = self.parted.get(&self.wanted[n].url).filter(|_| self.wanted[n].range.is_some());
        // In turn: the first part that the run before left may be all of the resource, and then no other is asked for.
        let mut parts = match parted {
            Some(parts) => Some(parts.lock().await),
            None => None,
        };
        let recalled = self.recall(n).await;
        if let (Some(parts), Some(stored)) = (&mut parts, recalled.filter(|stored| stored.whole)) {
            **parts = Parts::Whole(stored);
        }
        drop(parts);
        if let Some(stored) = recalled {
            self.state().progress.resumed += 1;
            return Ok(Slot::Stored(stored));
        }
        let url = self.url(n);
        match self.fetch(n, url.clone()).await {
            Err(error) if error.kind() == ErrorKind::Forbidden && self.settings.refresh.is_some() => {
                self.load_again().await?;
                let fresh = self.url(n);
                if fresh == url { Err(error) } else { self.fetch(n, fresh).await }
            }
            result => result,
        }
    }

    /// Loads the playlists once more, for links that do not expire so soon.
    async fn load_again(&self) -> Result<()> {
        let Some(refresh) = self.settings.refresh.clone() else { return Ok(()) };
        let load = async || {
            let panicked = |_| Error::new(ErrorKind::Internal, "loading the playlist again panicked");
            tokio::task::spawn_blocking(move || refresh()).await.map_err(panicked)?
        };
        self.refreshed.get_or_init(load).await.as_ref().map(|_| ()).map_err(Error::replica)
    }

    async fn recall(self: &Arc<Self>, n: usize) -> Option<Stored> {
        let wanted = &self.wanted[n];
        if !wanted.is_kept() || !self.settings.store.has_left() {
            return None;
        }
        if let Some(stored) = self.verified(n, Some(wanted.exact())).await {
            return Some(stored);
        }
        if !wanted.unique {
            return None;
        }
        let stored = self.verified(n, None).await?;
        // A query may be a token, which changes, or name the media itself.
        let same = self.same.get_or_try_init(async || {
            let size = self.settings.client.size(&wanted.url).await?;
            let end = wanted.range.map(|range| range.offset.saturating_add(range.length));
            Ok::<_, Error>(match (stored.whole, end) {
                (false, Some(end)) => size.is_some_and(|size| end <= size),
                _ => size == Some(stored.length),
            })
        });
        // What cannot be told for now is asked again for the next.
        same.await.is_ok_and(|same| *same).then_some(stored)
    }

    /// What the run before left. Reading it must not keep transfers waiting.
    async fn verified(self: &Arc<Self>, n: usize, exact: Option<u64>) -> Option<Stored> {
        let this = self.clone();
        let look = move || this.settings.store.recall(this.wanted[n].key, exact);
        tokio::task::spawn_blocking(look).await.ok().flatten()
    }

    async fn fetch(&self, n: usize, url: Url) -> Result<Slot> {
        let wanted = &self.wanted[n];
        if wanted.kind == Kind::Key {
            return self.fetch_key(url).await.map(Slot::Key);
        }
        let Some(parts) = wanted.range.and_then(|_| self.parted.get(&wanted.url)) else {
            return self.fetch_file(n, url).await.map(Slot::Stored);
        };
        // The first answer tells whether others need be asked for at all.
        let mut parts = parts.lock().await;
        match *parts {
            Parts::Whole(stored) => Ok(Slot::Stored(stored)),
            Parts::Served => {
                drop(parts);
                self.fetch_file(n, url).await.map(Slot::Stored)
            }
            Parts::Unknown => {
                let stored = self.fetch_file(n, url).await?;
                *parts = if stored.whole { Parts::Whole(stored) } else { Parts::Served };
                Ok(Slot::Stored(stored))
            }
        }
    }

    async fn fetch_file(&self, n: usize, url: Url) -> Result<Stored> {
        let wanted = &self.wanted[n];
        let mut body = FileBody::begin(&self.settings.store, wanted)?;
        let range = wanted.range.map(|range| range.offset..range.offset.saturating_add(range.length));
        let request = Request { url, range, encodings: false, limit_bytes: u64::MAX };
        let fetched = self.settings.client.fetch(&request, &mut body).await?;
        body.commit(&fetched)
    }

    async fn fetch_key(&self, url: Url) -> Result<Vec<u8>> {
        let request = Request { url, range: None, encodings: false, limit_bytes: KEY_BYTES };
        let mut body = KeyBody::default();
        self.settings.client.fetch(&request, &mut body).await?;
        Ok(body.0)
    }
}

/// A segment of this fate is one that cannot be had.
fn is_missing(kind: ErrorKind) -> bool {
    use ErrorKind as E;
    matches!(kind, E::Media | E::NotFound | E::Forbidden | E::Network | E::Timeout)
}

/// Keeps transfers going until all is there or the job ends.
async fn drive(shared: Arc<Shared>) {
    let _ending = Ending(&shared);
    let settings = &shared.settings;
    let most = settings.client.options().concurrent_segments.max(1);
    let patience = settings.client.options().download_timeout;
    let mut running = JoinSet::new();
    let mut next = 0;
    let mut tick = tokio::time::interval(TICK);
    let (mut bytes, mut advanced) = (0, Instant::now());
    loop {
        while running.len() < most && next < shared.wanted.len().min(shared.horizon()) {
            let (this, n) = (shared.clone(), next);
            running.spawn(async move {
                let outcome = this.one(n).await.map_err(|e| this.named(n, e));
                this.settle(n, outcome);
            });
            next += 1;
        }
        if running.is_empty() && next == shared.wanted.len() {
            break;
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
