//! One resource of a job: from the run before, or from the web.

use std::sync::Arc;

use url::Url;

use super::shared::{Parts, Shared, Slot};
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::body::{FileBody, KeyBody};
use crate::fetch::wanted::Kind;
use crate::net::Request;
use crate::workspace::Stored;

/// A key's answer is read up to this size in bytes: enough to tell what is no key.
const KEY_BYTES: u64 = 64 << 10;

impl Shared {
    /// Fetches one resource, from the run before if that is possible.
    pub(super) async fn one(self: &Arc<Self>, n: usize) -> Result<Slot> {
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
        let limit_bytes = match wanted.kind {
            Kind::Init { .. } if range.is_none() => self.settings.limits.init_section_bytes,
            _ => self.settings.limits.segment_bytes,
        };
        let request = Request { url, range, encodings: false, limit_bytes };
        let fetched = self.settings.client.fetch(&request, &mut body).await?;
        body.commit(&fetched)
    }

    async fn fetch_key(&self, url: Url) -> Result<Vec<u8>> {
        let request = Request { url, range: None, encodings: false, limit_bytes: KEY_BYTES };
        let mut body = KeyBody::default();
        self.settings.client.fetch(&request, &mut body).await.map_err(|error| match error.kind() {
            ErrorKind::Limit => error.of_kind(ErrorKind::Key).within("key rejected"),
            _ => error,
        })?;
        Ok(body.0)
    }
}
