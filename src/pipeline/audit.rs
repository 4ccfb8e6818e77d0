//! Whether every segment is in the output: what each one held, against what it promised.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::tell::Teller;
use crate::container::Structure;
use crate::demux::{Ending, SegmentEnd};
use crate::error::{Error, ErrorKind, Result};
use crate::options::OnGap;
use crate::playlist::{Segment, may_be_empty};
use crate::time::Nanos;

/// Media may be so much shorter than announced before anything is made of it.
const SHORT: Nanos = Nanos::from_ms(300);
/// The same where the end of a segment's last packets is missing.
const SHORT_AND_OPEN: Nanos = Nanos::from_ms(100);
/// A hole behind a segment, from which on it counts.
const HOLE: Nanos = Nanos::from_ms(150);
/// Packets that a segment holds at least for its length to say anything: a slide show has holes everywhere.
const TELLING_PACKETS: u64 = 8;
/// Segments before one, by which its playlist's honesty is judged.
const TELLING_SEGMENTS: usize = 8;

/// One segment as it was met.
#[derive(Debug, Clone, Default)]
struct Met {
    ending: Option<Ending>,
    packets: u64,
    spans: Vec<TrackSpan>,
}

/// What a segment holds of a track, on the input's own unwrapped clock.
#[derive(Debug, Clone)]
struct TrackSpan {
    track: usize,
    /// Earliest and latest presentation time.
    start: Nanos,
    end: Nanos,
    /// When the packet is presented that is so last.
    last: Nanos,
    packets: i64,
    /// Packets that no time tells of.
    untimed: u64,
}

impl TrackSpan {
    fn length(&self) -> Nanos {
        self.end.minus(self.start)
    }

    /// From one packet to the next on average; `None` where too few tell.
    fn step(&self) -> Option<Nanos> {
        (self.packets > 1 && self.untimed == 0).then(|| Nanos(self.last.minus(self.start).0 / (self.packets - 1)))
    }
}

impl Met {
    /// Earliest and latest presentation time of all tracks; `None` if no packet tells.
    fn span(&self) -> Option<(Nanos, Nanos)> {
        let start = self.spans.iter().map(|span| span.start).min()?;
        let end = self.spans.iter().map(|span| span.end).max()?;
        Some((start, end))
    }

    /// Length of the shortest track.
    fn shortest(&self) -> Nanos {
        self.spans.iter().map(TrackSpan::length).min().unwrap_or_default()
    }
}

/// The account of one input's segments.
pub(crate) struct Audit {
    segments: Arc<[Segment]>,
    met: Vec<Met>,
    on_gap: OnGap,
    /// Segments before this one are settled.
    settled: usize,
    pub(crate) merged: u64,
    pub(crate) missing: Vec<u64>,
}

impl Audit {
    pub(crate) fn new(segments: Arc<[Segment]>, on_gap: OnGap) -> Self {
        let met = vec![Met::default(); segments.len()];
        Self { segments, met, on_gap, settled: 0, merged: 0, missing: Vec::new() }
    }

    /// A packet of a segment, with the time it is presented.
    pub(crate) fn packet(&mut self, segment: usize, track: usize, span: Option<(Nanos, Nanos)>) {
        let met = &mut self.met[segment];
        met.packets += 1;
        match (met.spans.iter_mut().find(|span| span.track == track), span) {
            (Some(span), Some((start, end))) => {
                (span.start, span.end) = (span.start.min(start), span.end.max(end));
                (span.last, span.packets) = (span.last.max(start), span.packets + 1);
            }
            (Some(span), None) => span.untimed += 1,
            (None, Some((start, end))) => {
                met.spans.push(TrackSpan { track, start, end, last: start, packets: 1, untimed: 0 });
            }
            (None, None) => {}
        }
    }

    /// A segment's bytes came to their end.
    pub(crate) fn end(&mut self, end: SegmentEnd) {
        self.met[end.segment].ending = Some(end.ending);
    }

    /// Judges the segments before `until`, of which no packet can follow any more.
    pub(crate) fn settle(&mut self, until: usize, tell: &mut Teller) -> Result<()> {
        while self.settled < until.min(self.met.len()) {
            let position = self.settled;
            self.settled += 1;
            self.judge(position, tell).map_err(|e| {
                let segment = &self.segments[position];
                e.with_segment(segment.media_sequence, segment.location.display())
            })?;
        }
        Ok(())
    }

    /// Judges all that is left, and tells of tracks that segments had nothing of.
    pub(crate) fn finish(&mut self, tell: &mut Teller) -> Result<()> {
        self.settle(self.met.len(), tell)?;
        let tracks: BTreeSet<usize> = self.met.iter().flat_map(|met| met.spans.iter().map(|span| span.track)).collect();
        for track in tracks {
            let lacks = |met: &&Met| met.packets > 0 && met.spans.iter().all(|span| span.track != track);
            let count = self.met.iter().filter(lacks).count();
            if let Some(first) = self.met.iter().position(|met| lacks(&met)) {
                let segment = &self.segments[first];
                let (sequence, name) = (segment.media_sequence, segment.location.display());
                tell.warn(format!("track {track} has nothing in {count} segments, the first is {sequence} ({name})"));
            }
        }
        Ok(())
    }

    fn judge(&mut self, position: usize, tell: &mut Teller) -> Result<()> {
        let segment = &self.segments[position];
        let (sequence, name) = (segment.media_sequence, segment.location.display());
        let met = &self.met[position];
        let (structure, init_only) = match &met.ending {
            Some(Ending::Gap) => {
                tell.warn(format!("segment {sequence} ({name}) is marked as a gap and is left out"));
                self.missing.push(sequence);
                return Ok(());
            }
            Some(Ending::Missing { reason }) => {
                tell.warn(format!("left out: {reason}"));
                self.missing.push(sequence);
                return Ok(());
            }
            Some(Ending::Read { structure, init_only }) => (*structure, *init_only),
            None => return Err(Error::new(ErrorKind::Internal, "it was never read")),
        };
        let is_empty = met.packets == 0 && !init_only;
        let as_announced = may_be_empty(segment.duration);
        let fault = if is_empty && !as_announced {
            Some("it holds no packet of any track".to_owned())
        } else {
            self.shortage(position, structure)
        };
        match (fault, self.on_gap) {
            (Some(fault), OnGap::Fail) => {
                return Err(Error::new(ErrorKind::Media, fault)
                    .with_hint("get the segment again, or go on with what is there with --on-gap skip"));
            }
            (Some(fault), OnGap::Skip) => {
                tell.warn(format!("segment {sequence} ({name}): {fault}"));
                self.missing.push(sequence);
            }
            (None, _) => {
                if is_empty {
                    tell.warn(format!("segment {sequence} ({name}) holds no packet, and is announced to last no time"));
                }
                if structure != Structure::Whole {
                    tell.warn(format!("segment {sequence} ({name}): {}", describe(structure)));
                }
                if let Some((held, announced)) = self.short_at_end(position) {
                    let (held, announced) = (held.seconds(), announced.seconds());
                    tell.warn(format!(
                        "segment {sequence} ({name}) holds {held:.3} s of the announced {announced:.3} s, and no segment \
                         follows that would show whether something is missing"
                    ));
                }
                self.merged += 1;
            }
        }
        Ok(())
    }

    /// What a segment lacks, if anything. A torn end by itself is no proof of loss where TS is concerned,
    /// and neither is an EXTINF that does not fit; together, or with a hole behind, they are.
    fn shortage(&self, position: usize, structure: Structure) -> Option<String> {
        let met = &self.met[position];
        let announced = self.segments[position].duration;
        let length = met.span().map_or(Nanos::ZERO, |(start, end)| end.minus(start));
        // What lacks its end for certain may have lost one track earlier than another.
        let held = match structure {
            Structure::Whole | Structure::Damaged { .. } => length,
            _ => met.shortest(),
        };
        let short = announced.map_or(Nanos::ZERO, |announced| announced.minus(held));
        let clearly_short = short > SHORT.max(Nanos(announced.unwrap_or_default().0 / 10));
        let hole = self.hole_behind(position);
        let told = || match announced {
            Some(a) => format!("it is cut short: {:.3} s of the announced {:.3} s", held.seconds(), a.seconds()),
            None => format!("it is cut short: {:.3} s are missing before the next", hole.seconds()),
        };
        let unexplained = self.follows_nothing(position) && self.tells_the_truth(position);
        match structure {
            Structure::Cut { missing_bytes } => {
                Some(format!("it is cut short: {missing_bytes} bytes are missing at its end at least"))
            }
            Structure::Broken => Some("it is damaged: what it lists and what it holds do not fit together".to_owned()),
            Structure::Open { .. } if short > SHORT_AND_OPEN => Some(told()),
            Structure::Torn if clearly_short => Some(told()),
            // At the end of a list EXTINF may be wrong, and one packet in the middle be lost.
            Structure::Damaged { .. } if clearly_short && !self.follows_nothing(position) => Some(told()),
            Structure::Torn | Structure::Damaged { .. } | Structure::Open { .. }
                if announced.is_none() && hole > HOLE =>
            {
                Some(told())
            }
            _ if met.packets >= TELLING_PACKETS && self.lacks_an_end(position) => Some(
                "it is cut short: one of its tracks ends too early, and is not there again before the next".to_owned(),
            ),
            _ if clearly_short && hole > HOLE && hole.0 > short.0 / 2 && met.packets >= TELLING_PACKETS => Some(told()),
            _ if clearly_short && unexplained && met.packets >= TELLING_PACKETS => Some(told()),
            _ => None,
        }
    }

    /// What a segment holds and what was announced, where it is clearly less and nothing follows that would tell more.
    fn short_at_end(&self, position: usize) -> Option<(Nanos, Nanos)> {
        let met = &self.met[position];
        let announced = self.segments[position].duration?;
        let (start, end) = met.span().filter(|_| met.packets >= TELLING_PACKETS)?;
        // Where all tracks were as long as announced before, one of them is enough.
        let is_short = |n: usize, held: Nanos| {
            self.segments[n].duration.is_none_or(|announced| announced.minus(held) > SHORT.max(Nanos(announced.0 / 10)))
        };
        let before = position.saturating_sub(TELLING_SEGMENTS)..position;
        let all_tracks = before.len() >= 2 && before.clone().all(|n| !is_short(n, self.met[n].shortest()));
        let held = if all_tracks { met.shortest() } else { end.minus(start) };
        (is_short(position, held) && self.follows_nothing(position)).then_some((held, announced))
    }

    /// A track is shorter than announced by just the time that it lacks before the next segment. A packet's length may be
    /// a guess, so the step to the next segment's first packet must be one that is clearly none of the track's.
    fn lacks_an_end(&self, position: usize) -> bool {
        let next = self.met.get(position + 1).filter(|_| !self.follows_nothing(position));
        let (Some(announced), Some(next)) = (self.segments[position].duration, next) else { return false };
        self.met[position].spans.iter().any(|span| {
            let short = announced.minus(span.length());
            let next = next.spans.iter().find(|next| next.track == span.track).map(|next| next.start);
            let (Some(next), Some(step)) = (next, span.step()) else { return false };
            let hole = next.minus(span.end);
            let is_none_of_its_steps = next.minus(span.last) > HOLE.plus(step).plus(step);
            is_none_of_its_steps && hole > HOLE && short > HOLE && hole.minus(short).0.abs() < SHORT_AND_OPEN.0
        })
    }

    /// No segment follows whose start could show a hole.
    fn follows_nothing(&self, position: usize) -> bool {
        self.segments.get(position + 1).is_none_or(|next| next.discontinuity)
    }

    /// The EXTINFs so far were those of the media, and this one is no mere repetition of a target duration.
    fn tells_the_truth(&self, position: usize) -> bool {
        let announced = |n: usize| self.segments[n].duration;
        let true_to_media = |n: usize| {
            let length = self.met[n].span().map(|(start, end)| end.minus(start));
            length.zip(announced(n)).is_some_and(|(l, a)| (l.0 - a.0).abs() < SHORT.0.max(a.0 / 10))
        };
        let before = position.saturating_sub(TELLING_SEGMENTS)..position;
        before.len() >= 2
            && before.clone().all(true_to_media)
            && before.clone().any(|n| announced(n) != announced(position))
    }

    /// Time between the end of a segment and the start of the next that was read, if that is the next in the list.
    fn hole_behind(&self, position: usize) -> Nanos {
        let next = self.met.get(position + 1).filter(|_| !self.segments[position + 1].discontinuity);
        match (self.met[position].span(), next.and_then(Met::span)) {
            (Some((_, end)), Some((start, _))) => start.minus(end),
            _ => Nanos::ZERO,
        }
    }
}

fn describe(structure: Structure) -> String {
    match structure {
        Structure::Whole => String::new(),
        Structure::Cut { missing_bytes } => format!("{missing_bytes} bytes are missing at its end at least"),
        Structure::Broken => "what it lists and what it holds do not fit together".to_owned(),
        Structure::Torn => "what follows its last whole packet was left out".to_owned(),
        Structure::Damaged { bad_packets: 1 } => "a place in it is damaged, or packets are missing there".to_owned(),
        Structure::Damaged { bad_packets } => {
            format!("{bad_packets} places in it are damaged, or packets are missing there")
        }
        Structure::Open { missing_bytes } => {
            format!("its last packets are incomplete: {missing_bytes} bytes are missing at its end at least")
        }
    }
}
