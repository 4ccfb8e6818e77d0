//! Epochs: finding where one ends, and the offset of the next.

use std::collections::VecDeque;

use super::track::{Mapped, Track};
use super::unwrap::{PERIOD, nearest};
use super::{Boundary, Counts, Item, Origin};
use crate::time::{Nanos, TimeBase, rescale_ticks};

/// How far inputs may run ahead of one that waits at a break, before the break counts as its own alone.
pub(super) const MAX_LAG: Nanos = Nanos::from_ms(5_000);

/// A jump back at a segment's border that is more than frames repeated.
const BACK_AT_BORDER: Nanos = Nanos::from_ms(150);
/// The same inside a segment, where no encoder begins anew without reason.
const BACK_INSIDE: Nanos = Nanos::from_ms(1_000);
/// A jump forward that is more than an outage.
const FORWARD: Nanos = Nanos::from_ms(10_000);

/// Inputs whose first timestamps lie further apart do not share a clock.
const SAME_CLOCK: Nanos = Nanos::from_ms(10_000);

/// Media time that is looked at, at most, to see every track of an epoch.
const LOOKAHEAD: Nanos = Nanos::from_ms(5_000);
/// Packets of video that are looked at: pictures presented before the first one decoded come within these.
const VIDEO_LOOKAHEAD: usize = 8;

/// Packets of a track that a repetition is looked for in, and the time that repetitions can go back.
const HISTORY: usize = 64;
const MAX_OVERLAP: Nanos = Nanos::from_ms(400);

impl<P> Item<P> {
    /// The time that says where the packet stands in its stream.
    fn stands_at(&self) -> Option<Nanos> {
        self.dts.or(self.pts).map(|ticks| Nanos::from_ticks(ticks, self.base))
    }

    fn length(&self) -> Nanos {
        match self.duration {
            Some(ticks) => Nanos::from_ticks(ticks, self.base),
            None => Nanos::ZERO,
        }
    }

    /// On the output's clock, in ticks of the track.
    pub(super) fn mapped(self, offset: Nanos, base: TimeBase) -> Mapped<P> {
        // The offset is rounded by itself, so that the distance of two packets never depends on it.
        let offset = offset.to_ticks(base);
        let map = |ticks: i64| rescale_ticks(ticks, self.base, base).saturating_add(offset);
        Mapped {
            pts: self.pts.map(map),
            dts: self.dts.map(map),
            duration: self.duration.map(|ticks| rescale_ticks(ticks, self.base, base)),
            samples: self.samples,
            tolerance: self.tolerance,
            payload: self.payload,
        }
    }
}

/// What is known of the stream that feeds a track.
struct Stream {
    track: usize,
    /// The epoch it has come to, and that one's offset once it is settled.
    epoch: u64,
    offset: Option<Nanos>,
    segment: usize,
    /// Where the last packet stood and the next is expected, on the stream's own clock.
    last: Option<Nanos>,
    next: Option<Nanos>,
    history: VecDeque<(Nanos, u64)>,
    held: usize,
}

impl Stream {
    fn enter(&mut self, epoch: u64, offset: Option<Nanos>) {
        *self = Self { epoch, offset, last: None, next: None, history: VecDeque::new(), held: 0, ..*self };
    }

    fn advance<P>(&mut self, item: &Item<P>) {
        let stands = item.stands_at().or(self.next);
        self.segment = item.segment;
        self.last = stands;
        self.next = stands.map(|at| at.plus(item.length()));
        if let Some(at) = stands {
            if self.history.len() == HISTORY {
                self.history.pop_front();
            }
            self.history.push_back((at, item.fingerprint));
        }
    }
}

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

/// One input: which epoch each of its streams is in.
pub(super) struct Input<P> {
    streams: Vec<Stream>,
    /// The newest epoch, and its offset once it is settled.
    epoch: u64,
    offset: Option<Nanos>,
    /// The segment that the newest epoch began with, where it began at a border.
    from_segment: usize,
    /// Packets of the newest epoch while it has no offset.
    held: Vec<Item<P>>,
    held_bytes: usize,
    /// What came after the end of an epoch that has no offset yet.
    blocked: VecDeque<Blocked<P>>,
    /// 33-bit timestamps are unwrapped to the neighbourhood of this.
    reference_ticks: Option<i64>,
    /// Media that is missing: the segment and its length.
    missing: Vec<(usize, Nanos)>,
    /// Missing media between the last epoch and the newest.
    hole: Nanos,
    pub(super) position: Nanos,
    pub(super) ended: bool,
}

impl<P> Input<P> {
    pub(super) fn new(tracks: Vec<usize>) -> Self {
        let stream = |track| Stream {
            track,
            epoch: 1,
            offset: None,
            segment: 0,
            last: None,
            next: None,
            history: VecDeque::new(),
            held: 0,
        };
        Self {
            streams: tracks.into_iter().map(stream).collect(),
            epoch: 1,
            offset: None,
            from_segment: 0,
            held: Vec::new(),
            held_bytes: 0,
            blocked: VecDeque::new(),
            reference_ticks: None,
            missing: Vec::new(),
            hole: Nanos::ZERO,
            position: Nanos::ZERO,
            ended: false,
        }
    }

    pub(super) fn tracks(&self) -> impl Iterator<Item = usize> {
        self.streams.iter().map(|s| s.track)
    }

    /// Packets wait for the newest epoch's offset, or are about to.
    pub(super) fn is_opening(&self) -> bool {
        self.offset.is_none() && !(self.ended && self.held.is_empty() && self.blocked.is_empty())
    }

    /// The epoch's start is known well enough to settle its offset.
    pub(super) fn has_enough(&self, tracks: &[Track<P>], bytes: usize) -> bool {
        let seen = |s: &Stream| s.held >= if tracks[s.track].is_video() { VIDEO_LOOKAHEAD } else { 1 };
        self.ended
            || !self.blocked.is_empty()
            || self.held_bytes > bytes
            || self.streams.iter().all(seen)
            || self.held_span() > LOOKAHEAD
    }

    fn held_span(&self) -> Nanos {
        let first = self.held.first().and_then(Item::stands_at);
        let last = self.held.last().and_then(Item::stands_at);
        first.zip(last).map_or(Nanos::ZERO, |(first, last)| last.minus(first))
    }

    pub(super) fn skip(&mut self, segment: usize, time: Nanos) {
        self.missing.push((segment, time));
    }

    /// Length of what is missing between two segments.
    fn missing_between(&self, from: usize, to: usize) -> Nanos {
        self.missing.iter().filter(|(n, _)| (from..to).contains(n)).fold(Nanos::ZERO, |sum, (_, time)| sum.plus(*time))
    }

    pub(super) fn begin_session(&mut self, boundary: Boundary, segment: usize, counts: &mut Counts) {
        if self.is_blocked() {
            self.blocked.push_back(Blocked::Session(boundary, segment));
            return;
        }
        let anything = self.streams.iter().any(|s| s.last.is_some());
        if !anything || boundary == Boundary::Unmarked {
            return;
        }
        if self.offset.is_none() {
            self.blocked.push_back(Blocked::Session(boundary, segment));
            return;
        }
        counts.resets += u64::from(boundary == Boundary::Restart);
        self.begin_epoch(segment);
        for stream in &mut self.streams {
            stream.enter(self.epoch, None);
        }
    }

    fn begin_epoch(&mut self, segment: usize) {
        let last = self.streams.iter().map(|s| s.segment).max().unwrap_or(0);
        self.hole = self.missing_between(last, segment);
        self.epoch += 1;
        self.offset = None;
        self.from_segment = segment;
    }

    fn is_blocked(&self) -> bool {
        !self.blocked.is_empty()
    }

    /// Takes a packet and tells what becomes of it.
    pub(super) fn accept(&mut self, mut item: Item<P>, counts: &mut Counts) -> Accepted<P> {
        let Some(n) = self.streams.iter().position(|s| s.track == item.track) else { return Accepted::Nothing };
        if self.is_blocked() {
            self.blocked.push_back(Blocked::Item(item));
            return Accepted::Nothing;
        }
        self.unwrap(&mut item);
        let mut starts = false;
        match self.jump(&self.streams[n], &item) {
            Jump::Repeats => {
                counts.duplicates += 1;
                return Accepted::Nothing;
            }
            Jump::Breaks if self.streams[n].epoch == self.epoch => {
                if self.offset.is_none() {
                    self.blocked.push_back(Blocked::Item(item));
                    return Accepted::Nothing;
                }
                counts.resets += 1;
                self.begin_epoch(item.segment);
                self.streams[n].enter(self.epoch, None);
            }
            Jump::Breaks => starts = true,
            Jump::None => starts = self.streams[n].epoch < self.epoch && item.segment >= self.from_segment,
        }
        if starts {
            self.streams[n].enter(self.epoch, self.offset);
        }
        let stream = &mut self.streams[n];
        stream.advance(&item);
        match stream.offset {
            Some(offset) => {
                if let Some(at) = stream.last {
                    self.position = self.position.max(at.plus(offset));
                }
                Accepted::Ready { item, offset, starts }
            }
            None => {
                stream.held += 1;
                self.held_bytes += item.bytes;
                self.held.push(item);
                Accepted::Nothing
            }
        }
    }

    fn unwrap(&mut self, item: &mut Item<P>) {
        if !item.wraps {
            return;
        }
        if let Some(reference) = self.reference_ticks.or(item.dts).or(item.pts) {
            item.dts = item.dts.map(|ticks| nearest(ticks, reference));
            item.pts = item.pts.map(|ticks| nearest(ticks, item.dts.unwrap_or(reference)));
            self.reference_ticks = item.dts.or(item.pts).or(Some(reference));
        }
    }

    /// Where a packet would stand on the output's clock.
    pub(super) fn place(&self, item: &Item<()>) -> Option<Nanos> {
        let stream = self.streams.iter().find(|s| s.track == item.track)?;
        let ticks = item.dts.or(item.pts);
        let ticks = match (item.wraps, self.reference_ticks) {
            (true, Some(reference)) => ticks.map(|ticks| nearest(ticks, reference)),
            _ => ticks,
        };
        let at = ticks.map(|ticks| Nanos::from_ticks(ticks, item.base)).or(stream.next)?;
        Some(at.plus(stream.offset?))
    }

    fn jump(&self, stream: &Stream, item: &Item<P>) -> Jump {
        let (Some(at), Some(next), Some(last)) = (item.stands_at(), stream.next, stream.last) else {
            return Jump::None;
        };
        let distance = at.minus(next);
        if at <= last && distance > Nanos(-MAX_OVERLAP.0) && stream.history.contains(&(at, item.fingerprint)) {
            return Jump::Repeats;
        }
        let back = if item.segment == stream.segment { BACK_INSIDE } else { BACK_AT_BORDER };
        let forward = FORWARD.plus(self.missing_between(stream.segment, item.segment));
        if distance < Nanos(-back.0) || distance > forward { Jump::Breaks } else { Jump::None }
    }

    /// What the newest epoch's offset follows from.
    pub(super) fn opening(&self, tracks: &[Track<P>], origin: Origin) -> Opening {
        let mut starts: Vec<(Nanos, Option<Nanos>)> = Vec::new();
        for stream in &self.streams {
            let end = tracks[stream.track].end();
            let held = self.held.iter().filter(|item| item.track == stream.track);
            let start = held.filter_map(|item| {
                let presented = item.pts.or(item.dts).map(|ticks| Nanos::from_ticks(ticks, item.base))?;
                Some(match (end, origin) {
                    (Some(_), _) => presented,
                    (None, Origin::Presentation) => presented.plus(item.priming),
                    (None, Origin::Lowest) => item.stands_at().map_or(presented, |at| at.min(presented)),
                })
            });
            starts.extend(start.min().map(|start| (start, end.map(|end| end.plus(self.hole)))));
        }
        Opening {
            waiting: self.is_opening(),
            floating: self.held.first().is_some_and(|item| item.floating),
            wraps: self.held.first().is_some_and(|item| item.wraps),
            starts,
        }
    }

    /// Settles the newest epoch's offset; what waited for it comes back, with its own offset or to be pushed again.
    pub(super) fn open(&mut self, offset: Nanos) -> (Vec<Item<P>>, VecDeque<Blocked<P>>) {
        self.offset = Some(offset);
        for stream in self.streams.iter_mut().filter(|s| s.epoch == self.epoch) {
            stream.offset = Some(offset);
            stream.held = 0;
        }
        self.held_bytes = 0;
        if let Some(at) = self.held.last().and_then(Item::stands_at) {
            self.position = self.position.max(at.plus(offset));
        }
        (std::mem::take(&mut self.held), std::mem::take(&mut self.blocked))
    }
}

enum Jump {
    /// It stands where it may.
    None,
    /// The packet was there before.
    Repeats,
    /// The clock jumps.
    Breaks,
}

/// What one input's next offset follows from.
pub(super) struct Opening {
    pub(super) waiting: bool,
    /// It has no clock of its own: its times are counted from 0.
    floating: bool,
    wraps: bool,
    /// For each track that was seen: its start on the input's clock, and its end so far on the output's.
    starts: Vec<(Nanos, Option<Nanos>)>,
}

impl Opening {
    fn start(&self) -> Option<Nanos> {
        self.starts.iter().map(|(start, _)| *start).min()
    }
}

/// The offset of each input that waits; the others' is of no meaning.
pub(super) fn offsets(openings: &[Opening]) -> Vec<Nanos> {
    let waiting = || openings.iter().filter(|o| o.waiting);
    let leader = waiting().find(|o| !o.floating && !o.starts.is_empty()).and_then(Opening::start);
    // How far each input's clock is ahead of the leader's.
    let ahead: Vec<Nanos> = openings
        .iter()
        .map(|o| match (o.start(), leader) {
            (Some(start), Some(leader)) => {
                let period = Nanos::from_ticks(PERIOD, TimeBase::MPEG);
                let distance = start.minus(leader);
                let periods = if o.wraps { (distance.0 as f64 / period.0 as f64).round() as i64 } else { 0 };
                let wrapped = Nanos(period.0.saturating_mul(periods));
                let rest = distance.minus(wrapped);
                if o.floating || rest.0.abs() > SAME_CLOCK.0 { distance } else { wrapped }
            }
            _ => Nanos::ZERO,
        })
        .collect();
    let starts = || {
        let pairs = openings.iter().zip(&ahead).filter(|(o, _)| o.waiting);
        pairs.flat_map(|(o, ahead)| o.starts.iter().map(|(start, end)| (start.minus(*ahead), *end)))
    };
    let after_all = starts().filter_map(|(start, end)| Some(end?.minus(start))).max();
    let from_zero = starts().map(|(start, _)| start).min().map(|first| Nanos::ZERO.minus(first));
    let offset = after_all.or(from_zero).unwrap_or_default();
    ahead.into_iter().map(|ahead| offset.minus(ahead)).collect()
}
