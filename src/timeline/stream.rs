//! One stream of an input: where it stands on its own clock, and whether a packet goes on from there.

use std::collections::VecDeque;

use super::Item;
use super::unwrap::nearest;
use crate::time::Nanos;

/// A jump back at a segment's border that is more than frames repeated.
pub(crate) const BACK_AT_BORDER: Nanos = Nanos::from_ms(150);
/// The same inside a segment, where no encoder begins anew without reason.
pub(crate) const BACK_INSIDE: Nanos = Nanos::from_ms(1_000);
/// A jump forward that is more than an outage.
pub(crate) const FORWARD: Nanos = Nanos::from_ms(10_000);

/// How far what a playlist announces may be off, and how much of a gap that it does not know of is let pass.
const ANNOUNCED_TOLERANCE: Nanos = Nanos::from_ms(1_000);

/// Packets of a stream that a repetition is looked for in, and the time that repetitions can go back.
const HISTORY: usize = 64;
const MAX_OVERLAP: Nanos = Nanos::from_ms(400);

/// Timestamps this far from zero are not meant: a century. What is left can be added without a thought.
const ABSURD: Nanos = Nanos::from_ms(100 * 366 * 86_400_000);
/// No packet lasts so long.
const ABSURD_LENGTH: Nanos = Nanos::from_ms(3_600_000);

impl<P> Item<P> {
    /// The time that says where the packet stands in its stream.
    pub(super) fn stands_at(&self) -> Option<Nanos> {
        self.dts.or(self.pts).map(|ticks| Nanos::from_ticks(ticks, self.base))
    }

    /// When it is presented.
    pub(super) fn presented_at(&self) -> Option<Nanos> {
        self.pts.or(self.dts).map(|ticks| Nanos::from_ticks(ticks, self.base))
    }

    /// All of it that is to be shown lies before a time.
    pub(super) fn ends_before(&self, time: Nanos) -> bool {
        let length = self.length().unwrap_or_default().max(self.priming);
        self.presented_at().is_some_and(|at| at < time && at.plus(length) <= time)
    }

    pub(super) fn length(&self) -> Option<Nanos> {
        self.duration.map(|ticks| Nanos::from_ticks(ticks, self.base))
    }

    /// What the next timestamp that wraps lies near to.
    pub(super) fn wrapping_ticks(&self) -> Option<i64> {
        self.dts.or(self.pts).filter(|_| self.wraps)
    }

    /// Takes away what cannot be meant, as if it had not been there.
    fn drop_absurd(&mut self, expected: Option<Nanos>) {
        let base = self.base;
        let at = |ticks: &i64| Nanos::from_ticks(*ticks, base);
        self.pts = self.pts.filter(|ticks| at(ticks).distance(Nanos::ZERO) < ABSURD);
        self.dts = self.dts.filter(|ticks| at(ticks).distance(Nanos::ZERO) < ABSURD);
        self.duration = self.duration.filter(|ticks| *ticks > 0 && at(ticks) < ABSURD_LENGTH);
        // Decoded at one place and presented at quite another: the one that was expected is believed.
        if let (Some(pts), Some(dts)) = (self.pts, self.dts)
            && at(&pts).distance(at(&dts)) > FORWARD
        {
            match expected.is_some_and(|next| at(&dts).distance(next) < at(&pts).distance(next)) {
                true => self.pts = None,
                false => self.dts = None,
            }
        }
    }

    /// No interleaving explains where it stands, seen from where another stream of its input has come to.
    pub(super) fn is_far_from(&self, newest: Nanos, missing: Nanos) -> bool {
        let distance = self.stands_at().map(|at| at.minus(newest)).unwrap_or_default();
        distance < Nanos(-BACK_INSIDE.0) || distance > FORWARD.plus(missing)
    }

    fn unwrap_near(&mut self, reference: Option<i64>) {
        if !self.wraps {
            return;
        }
        if let Some(reference) = reference.or(self.dts).or(self.pts) {
            self.dts = self.dts.map(|ticks| nearest(ticks, reference));
            self.pts = self.pts.map(|ticks| nearest(ticks, self.dts.unwrap_or(reference)));
        }
    }
}

/// How a packet follows the one before it in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Jump {
    /// It stands where it may.
    None,
    /// The packet was there before.
    Repeats,
    /// The clock jumps, or this packet's times are wrong.
    Breaks,
    /// All of a segment comes again.
    Again,
}

/// What is known of a place beside the stream itself.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Witnesses {
    /// Media known to be missing before it.
    pub(super) missing: Nanos,
    /// Where its segment begins, by the start of the stream's last and what the playlist announces.
    pub(super) announced: Option<Nanos>,
    /// The wall clock has a part in that.
    pub(super) by_wall_clock: bool,
    /// Where the stream of the same clock has come to that is ahead of all.
    pub(super) foremost: Option<Nanos>,
}

impl Witnesses {
    fn is_announced(&self, at: Nanos) -> bool {
        self.announced.is_some_and(|start| at.distance(start) <= ANNOUNCED_TOLERANCE)
    }

    /// Another stream is there already, or nearly.
    fn is_reached(&self, at: Nanos) -> bool {
        self.foremost.is_some_and(|foremost| at.minus(foremost) <= ANNOUNCED_TOLERANCE)
    }
}

/// A packet that was there, as far as a repetition is known by it.
struct Past {
    at: Nanos,
    fingerprint: u64,
    segment: usize,
    /// It is the stream's first of its segment.
    is_first: bool,
}

/// What is known of the stream that feeds a track.
pub(super) struct Stream {
    pub(super) track: usize,
    /// The epoch it has come to, and that one's offset once it is settled.
    pub(super) epoch: u64,
    pub(super) offset: Option<Nanos>,
    pub(super) segment: usize,
    /// Where the last packet stood and the next is expected, on the stream's own clock.
    pub(super) last: Option<Nanos>,
    pub(super) next: Option<Nanos>,
    /// Where the first packet of the last segment stood.
    pub(super) segment_start: Option<Nanos>,
    /// The latest presentation so far, and its end.
    shown: Option<(Nanos, Nanos)>,
    /// Decoding times came behind presentation: they tell nothing of where a packet stands.
    decodes_late: bool,
    /// The last timestamp, in ticks: the next one that wraps lies near it.
    reference_ticks: Option<i64>,
    history: VecDeque<Past>,
    /// Packets that wait for the epoch's offset.
    pub(super) held: usize,
    /// Its next packet is beyond the end of an epoch that has no offset yet.
    pub(super) blocked: bool,
}

impl Stream {
    pub(super) fn new(track: usize) -> Self {
        Self {
            track,
            epoch: 1,
            offset: None,
            segment: 0,
            last: None,
            next: None,
            segment_start: None,
            shown: None,
            decodes_late: false,
            reference_ticks: None,
            history: VecDeque::new(),
            held: 0,
            blocked: false,
        }
    }

    pub(super) fn enter(&mut self, epoch: u64, offset: Option<Nanos>) {
        *self = Self { epoch, offset, segment: self.segment, ..Self::new(self.track) };
    }

    /// The value that timestamps of the next packet lie near to, where they wrap.
    pub(super) fn reference_ticks(&self, newest: Option<i64>) -> Option<i64> {
        self.reference_ticks.or(newest)
    }

    /// Makes a packet's times comparable with the stream's own, or where it is new with the input's newest.
    pub(super) fn settle<P>(&self, item: &mut Item<P>, newest: Option<i64>) {
        item.unwrap_near(self.reference_ticks(newest));
        item.drop_absurd(self.next);
    }

    pub(super) fn advance<P>(&mut self, item: &Item<P>) {
        let stands = item.stands_at().or(self.next);
        let is_first = item.segment != self.segment || self.last.is_none();
        self.segment = item.segment;
        self.last = stands;
        self.next = stands.map(|at| at.plus(item.length().unwrap_or_default()));
        if is_first {
            self.segment_start = stands;
        }
        if let Some(at) = item.presented_at().filter(|at| self.shown.is_none_or(|(shown, _)| *at > shown)) {
            self.shown = Some((at, at.plus(item.length().unwrap_or_default())));
        }
        self.decodes_late |= item.dts.zip(item.pts).is_some_and(|(dts, pts)| dts > pts);
        self.reference_ticks = item.wrapping_ticks().or(self.reference_ticks);
        if let Some(at) = stands {
            if self.history.len() == HISTORY {
                self.history.pop_front();
            }
            self.history.push_back(Past { at, fingerprint: item.fingerprint, segment: item.segment, is_first });
        }
    }

    /// How a packet follows.
    pub(super) fn jump<P>(&self, item: &Item<P>, witnesses: &dyn Fn() -> Witnesses) -> Jump {
        let (Some(at), Some(next), Some(last)) = (item.stands_at(), self.next, self.last) else {
            return Jump::None;
        };
        let distance = at.minus(next);
        // Of the segment before: an older one that comes again was listed twice, which is no overlap.
        let repeated = self.history.iter().find(|past| {
            // Where the length of packets is not known, those of one segment may come with one time.
            let comes_again = at < next || item.segment != past.segment;
            let is_near = item.segment.saturating_sub(past.segment) <= 1;
            past.at == at && past.fingerprint == item.fingerprint && comes_again && is_near
        });
        if let Some(past) = repeated.filter(|_| at <= last && distance > Nanos(-MAX_OVERLAP.0)) {
            // An overlap repeats a segment's end; one that begins as another began is all of it again,
            // or still pictures on a clock that begins again.
            let is_all_again = past.is_first && item.segment != self.segment;
            return if is_all_again { Jump::Again } else { Jump::Repeats };
        }
        let back = if item.segment == self.segment { BACK_INSIDE } else { BACK_AT_BORDER };
        // What lies behind the last packet goes forward, whatever that one's length was said to be.
        let goes_back = distance < Nanos(-back.0) && at <= last;
        if goes_back && !self.goes_on_shown(item) {
            return Jump::Breaks;
        }
        if distance <= ANNOUNCED_TOLERANCE {
            return Jump::None;
        }
        let known = witnesses();
        let is_outage = distance <= FORWARD.plus(known.missing);
        // Neither by the length of what came before nor by the wall clock is there a gap.
        let is_denied = known.by_wall_clock && known.missing == Nanos::ZERO;
        match known.is_announced(at) || known.is_reached(at) || (is_outage && !is_denied) {
            true => Jump::None,
            false => Jump::Breaks,
        }
    }

    /// Its decoding time is behind, as others were that came too late, and its presentation goes on.
    fn goes_on_shown<P>(&self, item: &Item<P>) -> bool {
        let shown = item.presented_at().zip(self.shown);
        self.decodes_late && shown.is_some_and(|(at, (last, end))| at > last && at.minus(end) <= FORWARD)
    }

    /// Whether a packet follows one that did not go on here, and is nearer to that.
    pub(super) fn leaves_with<P>(&self, first: &Item<P>, second: &Item<P>) -> bool {
        let (Some(before), Some(at), Some(next)) = (first.stands_at(), second.stands_at(), self.next) else {
            return false;
        };
        let there = before.plus(first.length().unwrap_or_default());
        at > before && at.minus(before) <= FORWARD && at.distance(there) < at.distance(next)
    }

    /// Whether a packet that fits here would stand nearer to where another clock has come to.
    pub(super) fn is_nearer_to<P>(&self, item: &Item<P>, newest_ticks: Option<i64>, newest: Option<Nanos>) -> bool {
        let (Some(here), Some(newest)) = (item.stands_at(), newest) else { return false };
        let there = match (item.wraps, newest_ticks, item.dts.or(item.pts)) {
            (true, Some(reference), Some(ticks)) => Nanos::from_ticks(nearest(ticks, reference), item.base),
            _ => here,
        };
        match self.next {
            Some(next) => there.distance(newest) <= here.distance(next),
            // The stream was not there before: the other clock's, unless it cannot be.
            None => there.distance(newest) <= FORWARD,
        }
    }

    /// To be called on entering another clock: brings a packet's times to the neighbourhood of that one's.
    pub(super) fn move_to_clock<P>(item: &mut Item<P>, newest: Option<i64>) {
        item.unwrap_near(newest);
    }
}
