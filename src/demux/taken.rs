//! What is known of a stream while its session is read.

use super::config::ConfigWatch;
use crate::av::{MediaKind, Stream};

/// Segments whose packets are counted: a stream is never further ahead of another.
const KEPT_COUNTS: usize = 8;

/// A stream of the session.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) kind: Option<MediaKind>,
    pub(super) watch: Option<ConfigWatch>,
    /// Position in the session's marks of the packet read last.
    pub(super) mark: Option<usize>,
    /// Packets that libav gave.
    pub(super) read: usize,
    /// Packets given out of the newest segments, the oldest first.
    given: Vec<(usize, usize)>,
    /// Packets that the session before gave out already.
    pub(super) repeated: usize,
}

impl Taken {
    /// `repeated`: packets of it that the session before gave out already.
    pub(super) fn new(stream: &Stream, repeated: usize) -> Self {
        let kind = Some(stream.parameters.kind());
        Self { kind, watch: ConfigWatch::new(stream), repeated, ..Self::default() }
    }

    pub(super) fn count(&mut self, segment: usize) {
        match self.given.last_mut() {
            Some((last, count)) if *last == segment => *count += 1,
            _ => self.given.push((segment, 1)),
        }
        if self.given.len() > KEPT_COUNTS {
            self.given.remove(0);
        }
    }

    /// Packets given out of a segment and those after it.
    pub(super) fn given_since(&self, segment: usize) -> usize {
        self.given.iter().filter(|(s, _)| *s >= segment).map(|(_, count)| count).sum()
    }
}
