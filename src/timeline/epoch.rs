//! Epochs of one input: finding where one ends, and holding back the start of the next.

use std::collections::VecDeque;

use super::offset::Opening;
use super::stream::{Jump, Stream, Witnesses};
use super::track::Track;
use super::unwrap::nearest;
use super::{Announced, Boundary, Counts, Item, Origin};
use crate::time::Nanos;

/// How far inputs may run ahead of one that waits at a break, before the break counts as its own alone.
pub(super) const MAX_LAG: Nanos = Nanos::from_ms(5_000);

/// Breaks of two inputs are one and the same where they lie this near to each other.
const SAME_BREAK: Nanos = Nanos::from_ms(1_000);

/// Media time that is looked at, at most, to see the order of an epoch's first pictures.
const LOOKAHEAD: Nanos = Nanos::from_ms(5_000);
/// The same to see every track: fragments of MP4 may hold all of their pictures before the first of their sound.
const LOOKAHEAD_FOR_TRACKS: Nanos = Nanos::from_ms(30_000);
/// Packets that are looked at, at most: where timestamps tell nothing of the time.
const LOOKAHEAD_PACKETS: usize = 2_048;
/// Packets beyond the epoch's end that are looked past, for a track that is interleaved late.
const LOOKPAST_PACKETS: usize = 64;
/// Packets in a row, at most, whose times are doubted.
const DOUBTED_PACKETS: usize = 8;
/// Packets of video that are looked at: pictures presented before the first one decoded come within these.
const VIDEO_LOOKAHEAD: usize = 8;

/// What waits for an epoch to be opened.
pub(super) enum Blocked<P> {
    Item(Item<P>),
    Session(Boundary, usize),
}

/// What becomes of a packet.
pub(super) enum Accepted<P> {
    /// It goes out with this offset; `starts`: as the first of its epoch.
    Ready { item: Item<P>, offset: Nanos, starts: bool },
    /// It is kept, or was left out.
    Nothing,
}

/// A packet that comes once more.
pub(super) struct Again<P> {
    item: Item<P>,
    /// If its times jump, then so does the clock.
    sure: bool,
}

impl<P> From<Item<P>> for Again<P> {
    fn from(item: Item<P>) -> Self {
        Self { item, sure: false }
    }
}

/// How the newest epoch began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begun {
    /// It is the first.
    First,
    /// At a mark of the playlist, the n-th.
    Marked(u64),
    /// The clock jumped.
    Unmarked,
}

/// One input: which epoch each of its streams is in.
pub(super) struct Input<P> {
    streams: Vec<Stream>,
    /// The newest epoch, and its offset once it is settled.
    epoch: u64,
    offset: Option<Nanos>,
    begun: Begun,
    /// Marked discontinuities so far.
    marks: u64,
    /// The segment that the newest epoch began with.
    from_segment: usize,
    /// Where its clock has come to, by the streams that entered it.
    newest_at: Option<Nanos>,
    newest_ticks: Option<i64>,
    /// Packets of the newest epoch while it has no offset.
    held: Vec<Item<P>>,
    /// What came after the end of an epoch that has no offset yet.
    blocked: VecDeque<Blocked<P>>,
    /// Packets whose times jump, until the next of their stream tells whether its clock does.
    doubted: Vec<Item<P>>,
    /// Packets that are to be accepted before any other.
    pub(super) again: VecDeque<Again<P>>,
    pub(super) announced: Vec<Announced>,
    /// Bytes of `held` and `blocked`.
    kept_bytes: usize,
    /// Media that is missing: the segment, and the length up to and with it.
    missing: Vec<(usize, Nanos)>,
    /// Missing media between the last epoch and the newest.
    hole: Nanos,
    /// The epoch before had no packet, so that nobody knows how long it was.
    after_void: bool,
    pub(super) position: Nanos,
    pub(super) ended: bool,
}

impl<P> Input<P> {
    pub(super) fn new(tracks: Vec<usize>) -> Self {
        Self {
            streams: tracks.into_iter().map(Stream::new).collect(),
            epoch: 1,
            offset: None,
            begun: Begun::First,
            marks: 0,
            from_segment: 0,
            newest_at: None,
            newest_ticks: None,
            held: Vec::new(),
            blocked: VecDeque::new(),
            doubted: Vec::new(),
            again: VecDeque::new(),
            announced: Vec::new(),
            kept_bytes: 0,
            missing: Vec::new(),
            hole: Nanos::ZERO,
            after_void: false,
            position: Nanos::ZERO,
            ended: false,
        }
    }

    pub(super) fn tracks(&self) -> impl Iterator<Item = usize> {
        self.streams.iter().map(|s| s.track)
    }

    /// The tracks whose streams have come to the newest epoch.
    pub(super) fn entered_tracks(&self) -> impl Iterator<Item = usize> {
        self.streams.iter().filter(|s| s.epoch == self.epoch).map(|s| s.track)
    }

    /// Packets wait for the newest epoch's offset, or are about to.
    pub(super) fn is_opening(&self) -> bool {
        self.offset.is_none() && !(self.ended && self.held.is_empty() && self.blocked.is_empty())
    }

    /// The epoch's start is known well enough to settle its offset.
    pub(super) fn has_enough(&self, tracks: &[Track<P>], bytes: usize) -> bool {
        let seen = |s: &Stream| s.blocked || s.held >= if tracks[s.track].is_video() { VIDEO_LOOKAHEAD } else { 1 };
        self.ended
            || self.is_at_session()
            || (self.kept_bytes > 0 && self.all_kept_bytes() > bytes)
            || self.held.len() > LOOKAHEAD_PACKETS
            || self.blocked.len() > LOOKPAST_PACKETS
            || self.streams.iter().all(seen)
            || self.held_span() > self.lookahead()
    }

    fn lookahead(&self) -> Nanos {
        let is_unseen = |s: &Stream| s.held == 0 && !s.blocked;
        if self.streams.iter().any(is_unseen) { LOOKAHEAD_FOR_TRACKS } else { LOOKAHEAD }
    }

    fn held_span(&self) -> Nanos {
        let mut times = self.held.iter().filter_map(Item::stands_at);
        let Some(first) = times.next() else { return Nanos::ZERO };
        let (low, high) = times.fold((first, first), |(low, high), at| (low.min(at), high.max(at)));
        high.minus(low)
    }

    /// Bytes of all packets that are kept back: those that are doubted may come to wait for the epoch as well.
    pub(super) fn all_kept_bytes(&self) -> usize {
        self.doubted.iter().fold(self.kept_bytes, |sum, item| sum.saturating_add(item.bytes))
    }

    pub(super) fn skip(&mut self, segment: usize, time: Nanos) {
        let before = self.missing.last().map_or(Nanos::ZERO, |(_, sum)| *sum);
        self.missing.push((segment, before.plus(time.max(Nanos::ZERO))));
    }

    /// Length of what is missing between two segments.
    fn missing_between(&self, from: usize, to: usize) -> Nanos {
        let before = |segment: usize| match self.missing.partition_point(|(n, _)| *n < segment) {
            0 => Nanos::ZERO,
            n => self.missing[n - 1].1,
        };
        before(to).minus(before(from)).max(Nanos::ZERO)
    }

    pub(super) fn begin_session(&mut self, boundary: Boundary, segment: usize) {
        let is_void = self.streams.iter().all(|s| s.last.is_none());
        let begun = match boundary {
            Boundary::Unmarked => return self.pass_session(boundary, segment),
            // Another input may have packets where this one has none: each mark counts.
            Boundary::Marked => Begun::Marked(self.marks + 1),
            Boundary::Restart if is_void => return self.pass_session(boundary, segment),
            Boundary::Restart => Begun::Unmarked,
        };
        if self.offset.is_none() || !self.blocked.is_empty() {
            self.blocked.push_back(Blocked::Session(boundary, segment));
            return;
        }
        self.after_void = is_void;
        self.begin_epoch(begun, segment);
        for stream in &mut self.streams {
            stream.enter(self.epoch, None);
        }
    }

    /// The clock may go on. What is kept back already stays before this.
    fn pass_session(&mut self, boundary: Boundary, segment: usize) {
        if self.is_at_session() {
            self.blocked.push_back(Blocked::Session(boundary, segment));
        }
    }

    /// Everything that comes belongs to a session that cannot begin yet.
    fn is_at_session(&self) -> bool {
        self.blocked.iter().any(|b| matches!(b, Blocked::Session(..)))
    }

    fn begin_epoch(&mut self, begun: Begun, segment: usize) {
        let last = self.streams.iter().map(|s| s.segment).max().unwrap_or(0);
        self.hole = self.missing_between(last, segment);
        self.position = self.position.plus(self.hole);
        self.epoch += 1;
        self.offset = None;
        self.begun = begun;
        self.marks += u64::from(matches!(begun, Begun::Marked(_)));
        self.from_segment = segment;
        self.newest_at = None;
    }

    /// Takes a packet and tells what becomes of it.
    pub(super) fn accept(&mut self, packet: Again<P>, counts: &mut Counts) -> Accepted<P> {
        let Again { mut item, sure } = packet;
        let Some(n) = self.streams.iter().position(|s| s.track == item.track) else { return Accepted::Nothing };
        if self.streams[n].blocked || self.is_at_session() {
            return self.block(n, item);
        }
        let stream = &self.streams[n];
        stream.settle(&mut item, self.newest_ticks);
        // A stream that comes later than the others shows by their clock that its segment has another one.
        let newcomer = stream.last.is_none() && item.segment > self.from_segment;
        let jump = match self.newest_at.filter(|_| newcomer && stream.epoch == self.epoch) {
            Some(newest) if item.is_far_from(newest, self.missing_between(stream.segment, item.segment)) => {
                Jump::Breaks
            }
            _ => stream.jump(&item, &|| self.witnesses(stream, item.segment)),
        };
        if self.is_doubted(item.track) {
            return self.judge_doubted(n, item, jump);
        }
        if jump == Jump::Breaks && stream.last.is_some() && self.may_doubt(stream) && !sure {
            self.doubted.push(item);
            return Accepted::Nothing;
        }
        let starts = match jump {
            Jump::Repeats => {
                counts.duplicates += 1;
                return Accepted::Nothing;
            }
            Jump::Breaks | Jump::Again if stream.epoch == self.epoch => {
                if self.offset.is_none() {
                    return self.block(n, item);
                }
                self.after_void = false;
                self.begin_epoch(Begun::Unmarked, item.segment);
                true
            }
            Jump::Breaks | Jump::Again => true,
            // Packets of the clock before may still come, from the same segment or even the next.
            Jump::None => {
                stream.epoch < self.epoch
                    && item.segment >= self.from_segment
                    && stream.is_nearer_to(&item, self.newest_ticks, self.newest_at)
            }
        };
        let stream = &mut self.streams[n];
        if starts {
            Stream::move_to_clock(&mut item, self.newest_ticks);
            stream.enter(self.epoch, self.offset);
        }
        stream.advance(&item);
        if stream.epoch == self.epoch {
            self.newest_at = stream.last.or(self.newest_at);
            self.newest_ticks = item.wrapping_ticks().or(self.newest_ticks);
        }
        match stream.offset {
            Some(offset) => {
                if let Some(at) = stream.last {
                    self.position = self.position.max(at.plus(offset));
                }
                Accepted::Ready { item, offset, starts }
            }
            None => {
                stream.held += 1;
                self.kept_bytes = self.kept_bytes.saturating_add(item.bytes);
                self.held.push(item);
                Accepted::Nothing
            }
        }
    }

    /// What is known of a segment's start beside the stream itself.
    fn witnesses(&self, stream: &Stream, segment: usize) -> Witnesses {
        let missing = self.missing_between(stream.segment, segment);
        let ahead = self.streams.iter().filter(|s| s.epoch == stream.epoch).filter_map(|s| s.last).max();
        let lengths = self.announced.get(stream.segment..segment).unwrap_or_default();
        let length = lengths.iter().try_fold(Nanos::ZERO, |sum, one| Some(sum.plus(one.duration?)));
        let pauses = self.announced.get(stream.segment + 1..=segment).unwrap_or_default();
        let pause = pauses.iter().filter_map(|one| one.pause).fold(Nanos::ZERO, Nanos::plus);
        let length = length.filter(|_| !lengths.is_empty()).zip(stream.segment_start);
        Witnesses {
            missing,
            announced: length.map(|(length, start)| start.plus(length).plus(pause)),
            by_wall_clock: length.is_some() && pauses.iter().any(|one| one.pause.is_some()),
            foremost: ahead,
        }
    }

    fn is_doubted(&self, track: usize) -> bool {
        !self.doubted.is_empty() && self.doubted.iter().any(|item| item.track == track)
    }

    /// A jump in this stream would begin an epoch: one packet is no proof of it.
    fn may_doubt(&self, stream: &Stream) -> bool {
        stream.epoch == self.epoch && self.offset.is_some() && !self.ended
    }

    /// Tells by a packet whether the clock jumped before it, or whether those before it had wrong times.
    fn judge_doubted(&mut self, stream: usize, item: Item<P>, jump: Jump) -> Accepted<P> {
        let doubted = self.doubted.iter().filter(|doubted| doubted.track == item.track);
        let goes_on_there =
            doubted.clone().next_back().is_some_and(|last| self.streams[stream].leaves_with(last, &item));
        let sure = goes_on_there || doubted.count() >= DOUBTED_PACKETS || !self.may_doubt(&self.streams[stream]);
        if sure || matches!(jump, Jump::None | Jump::Repeats) {
            self.release_doubted(item.track, sure);
            self.again.push_back(item.into());
        } else {
            self.doubted.push(item);
        }
        Accepted::Nothing
    }

    /// Lets doubted packets of a track come again: with the clock that they showed, or without times.
    fn release_doubted(&mut self, track: usize, sure: bool) {
        for mut item in std::mem::take(&mut self.doubted) {
            if item.track != track {
                self.doubted.push(item);
                continue;
            }
            if !sure {
                (item.pts, item.dts) = (None, None);
            }
            self.again.push_back(Again { item, sure });
        }
    }

    /// Nothing follows that would tell of doubted packets: several of a stream are believed, a single one is not.
    pub(super) fn end_doubt(&mut self) {
        while let Some(track) = self.doubted.first().map(|item| item.track) {
            let count = self.doubted.iter().filter(|item| item.track == track).count();
            let has_jumped = self.streams.iter().any(|s| s.track == track && s.epoch < self.epoch);
            self.release_doubted(track, count > 1 || has_jumped);
        }
    }

    fn block(&mut self, stream: usize, item: Item<P>) -> Accepted<P> {
        self.streams[stream].blocked = true;
        self.kept_bytes = self.kept_bytes.saturating_add(item.bytes);
        self.blocked.push_back(Blocked::Item(item));
        Accepted::Nothing
    }

    /// Where a packet would stand on the output's clock.
    pub(super) fn place(&self, item: &Item<()>) -> Option<Nanos> {
        let stream = self.streams.iter().find(|s| s.track == item.track)?;
        let ticks = item.dts.or(item.pts);
        let ticks = match (item.wraps, stream.reference_ticks(self.newest_ticks)) {
            (true, Some(reference)) => ticks.map(|ticks| nearest(ticks, reference)),
            _ => ticks,
        };
        let at = ticks.map(|ticks| Nanos::from_ticks(ticks, item.base)).or(stream.next)?;
        Some(at.plus(stream.offset?))
    }

    /// Where the newest epoch begins, about; `None` where only the other inputs can tell.
    pub(super) fn break_at(&self) -> Option<Nanos> {
        (!self.after_void).then_some(self.position)
    }

    /// Both inputs wait at one and the same break.
    pub(super) fn shares_break(&self, other: &Self) -> bool {
        match (self.begun, other.begun) {
            (Begun::First, Begun::First) => return true,
            // With media missing, marks may be missing as well.
            (Begun::Marked(a), Begun::Marked(b)) if a == b && self.hole == other.hole => return true,
            _ => {}
        }
        matches!((self.break_at(), other.break_at()), (Some(a), Some(b)) if a.distance(b) <= SAME_BREAK)
    }

    /// The clock jumped here, and the playlist says nothing of it.
    pub(super) fn is_at_reset(&self) -> bool {
        self.begun == Begun::Unmarked
    }

    /// Marks of the playlist so far, where the newest epoch began at one.
    pub(super) fn mark(&self) -> Option<u64> {
        matches!(self.begun, Begun::Marked(_)).then_some(self.marks)
    }

    /// The mark this input stands at is the same as another's, whose playlist had more before.
    pub(super) fn catch_up(&mut self, marks: u64) {
        if self.mark().is_some() {
            self.marks = self.marks.max(marks);
        }
    }

    /// What the newest epoch's offset follows from.
    pub(super) fn opening(&self, tracks: &[Track<P>], origin: Origin) -> Opening {
        let entered = self.streams.iter().filter(|s| s.epoch == self.epoch);
        let (mut starts, mut absent) = (Vec::new(), None);
        for stream in entered {
            let track = &tracks[stream.track];
            let end = track.end().map(|end| end.plus(self.hole));
            let held: Vec<_> = self.held.iter().filter(|item| item.track == stream.track).collect();
            let start = held.iter().filter_map(|item| {
                let presented = item.presented_at()?;
                Some(match (end, origin) {
                    (Some(_), _) => presented,
                    (None, Origin::Presentation) => presented.plus(item.priming),
                    (None, Origin::Lowest) => item.stands_at().map_or(presented, |at| at.min(presented)),
                })
            });
            let start = start.min();
            let rebuilt = (track.is_video() && end.is_none() && origin == Origin::Lowest).then(|| rebuilt_start(&held));
            match start {
                Some(start) => starts.push((rebuilt.flatten().map_or(start, |at| at.min(start)), end)),
                None => absent = absent.max(end),
            }
        }
        Opening {
            floating: self.held.first().is_some_and(|item| item.floating),
            wraps: self.held.first().is_some_and(|item| item.wraps),
            starts,
            absent,
        }
    }

    /// Segment and first presentation of the newest epoch, which waits for its offset; `None` if it has no packet.
    pub(super) fn begins(&self) -> Option<(usize, Nanos)> {
        let segment = self.held.iter().map(|item| item.segment).min()?;
        let start = self.held.iter().filter_map(|item| Some(item.presented_at()?.plus(item.priming))).min()?;
        Some((segment, start))
    }

    /// Settles the newest epoch's offset; what waited for it comes back, with its own offset or to be pushed again.
    pub(super) fn open(&mut self, offset: Nanos) -> (Vec<Item<P>>, VecDeque<Blocked<P>>) {
        self.offset = Some(offset);
        for stream in &mut self.streams {
            stream.blocked = false;
            if stream.epoch == self.epoch {
                stream.offset = Some(offset);
                stream.held = 0;
            }
        }
        self.kept_bytes = 0;
        let last = self.held.iter().filter_map(Item::stands_at).max();
        self.position = last.map_or(self.position, |at| self.position.max(at.plus(offset)));
        (std::mem::take(&mut self.held), std::mem::take(&mut self.blocked))
    }
}

/// The first decoding time that will be made up for video whose own are of no use; `None` where they are.
fn rebuilt_start<P>(held: &[&Item<P>]) -> Option<Nanos> {
    let sound = held.windows(2).all(|pair| pair[0].dts < pair[1].dts)
        && held.iter().all(|item| item.dts.is_some_and(|dts| item.pts.is_none_or(|pts| pts >= dts)));
    let times: Vec<Nanos> = held.iter().filter_map(|item| item.presented_at()).collect();
    let mut sorted = times.clone();
    sorted.sort_unstable();
    let delay = sorted.iter().zip(&times).map(|(nth, at)| nth.minus(*at)).max()?;
    (!sound).then(|| sorted[0].minus(delay.max(Nanos::ZERO)))
}
