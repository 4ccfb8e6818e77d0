//! What is known of a stream while its session is read.

use std::collections::VecDeque;

use super::config::ConfigWatch;
use crate::av::{MediaKind, Stream};

/// Packets whose places are kept: libav gives no more of one stream before those of another that came earlier.
const KEPT_POSITIONS: usize = 1024;

/// A stream of the session.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) kind: Option<MediaKind>,
    /// The container's own number of it: in MP4 the `track_ID`.
    pub(super) id: u32,
    pub(super) watch: Option<ConfigWatch>,
    /// Position in the session's marks of the packet read last.
    pub(super) mark: Option<usize>,
    /// Packets that libav gave.
    pub(super) read: u64,
    /// Packets given out, or left out as repeated, of each segment of the session, in order.
    given: Vec<(usize, usize)>,
    /// Packets that the session before gave out already.
    pub(super) repeated: usize,
    /// Where the newest packets began in the session's bytes.
    positions: VecDeque<u64>,
}

impl Taken {
    /// `repeated`: packets of it that the session before gave out already.
    pub(super) fn new(stream: &Stream, repeated: usize) -> Self {
        let kind = Some(stream.parameters.kind());
        Self { kind, id: stream.id, watch: ConfigWatch::new(stream), repeated, ..Self::default() }
    }

    pub(super) fn count(&mut self, segment: usize) {
        match self.given.last_mut() {
            Some((last, count)) if *last == segment => *count += 1,
            _ => self.given.push((segment, 1)),
        }
    }

    /// Where a packet began.
    pub(super) fn at(&mut self, position: u64) {
        if self.positions.len() == KEPT_POSITIONS {
            self.positions.pop_front();
        }
        self.positions.push_back(position);
    }

    pub(super) fn last_position(&self) -> u64 {
        self.positions.back().copied().unwrap_or(0)
    }

    /// Packets that began at a place or behind it.
    pub(super) fn given_from(&self, position: u64) -> usize {
        self.positions.iter().filter(|at| **at >= position).count()
    }

    /// Packets given out of a segment and those after it.
    pub(super) fn given_since(&self, segment: usize) -> usize {
        self.given.iter().filter(|(s, _)| *s >= segment).map(|(_, count)| count).sum()
    }
}
