//! Where a rendition's own times stand on the output.
//!
//! The media says it, by its epochs: each moved from its own clock to the output's by one offset. A segment of
//! subtitles belongs to the epoch that the media is in at the same time of the playlist, counted in EXTINFs, and from
//! mark to mark where both playlists have as many.

use super::{Document, Rendition};
use crate::playlist::Segment;
use crate::time::{Nanos, TimeBase};
use crate::timeline::{Epoch, nearest_wrapped};

/// A segment is taken to begin so much later than the sums say, which need not agree to the millisecond.
const LEEWAY: Nanos = Nanos::from_ms(500);
/// Cues further than this from their segment are on another clock than the media.
const SAME_CLOCK: Nanos = Nanos::from_ms(10_000);
/// Two readings of a clock that differ by less are one.
const SAME_TIME: Nanos = Nanos::from_ms(50);

/// A stretch of the main input's playlist that moved by one offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stretch {
    part: usize,
    /// From and to where, in the playlist's time.
    place: Nanos,
    end: Nanos,
    /// Where its media begins, on its own clock.
    start: Nanos,
    offset: Nanos,
}

/// The main input's clock, as it stands on the output.
pub(crate) struct Clock {
    stretches: Vec<Stretch>,
    /// Where each marked run begins, in the playlist's time.
    runs: Vec<Nanos>,
}

/// Where a time of a document goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) part: usize,
    pub(super) by: Nanos,
}

/// How a document's times are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// On the media's clock, on which their 0 stands here.
    Media { zero: Nanos },
    /// Counted in the playlist's time, with this added.
    Playlist { skew: Nanos },
}

/// How the times of one document go to the output.
pub(super) struct Rule<'a> {
    stretches: &'a [Stretch],
    reading: Reading,
}

/// What was odd, for warnings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Doubts {
    /// Documents whose X-TIMESTAMP-MAP leads far away from their segment.
    pub(super) misfits: u64,
    /// How far the two readings of times without a map are apart, where nothing tells which is meant.
    pub(super) ambiguous: Option<Nanos>,
}

/// Where each segment begins, and each marked run, by the sums of EXTINF.
fn places(segments: &[Segment]) -> (Vec<Nanos>, Vec<Nanos>) {
    let (mut places, mut runs, mut at) = (Vec::with_capacity(segments.len()), Vec::new(), Nanos::ZERO);
    for segment in segments {
        if segment.discontinuity || runs.is_empty() {
            runs.push(at);
        }
        places.push(at);
        at = at.plus(segment.duration.unwrap_or_default());
    }
    places.push(at);
    (places, runs)
}

impl Clock {
    /// The clock of a main input with these segments, and the epochs of each part of the output.
    pub(crate) fn new<'a>(segments: &[Segment], parts: impl Iterator<Item = &'a [Epoch]>) -> Self {
        let (places, runs) = places(segments);
        let place = |segment: usize| places.get(segment).or(places.last()).copied().unwrap_or_default();
        let mut stretches: Vec<Stretch> = Vec::new();
        for (part, epochs) in parts.enumerate() {
            for epoch in epochs {
                let (mut at, end) = (place(epoch.segment), place(usize::MAX));
                if let Some(before) = stretches.last_mut() {
                    at = at.max(before.place);
                    before.end = at;
                }
                stretches.push(Stretch { part, place: at, end, start: epoch.start, offset: epoch.offset });
            }
        }
        if stretches.is_empty() {
            let end = place(usize::MAX);
            stretches.push(Stretch { part: 0, place: Nanos::ZERO, end, start: Nanos::ZERO, offset: Nanos::ZERO });
        }
        Self { stretches, runs }
    }

    /// A rule for each document of a rendition.
    pub(super) fn rules(&self, rendition: &Rendition) -> (Vec<Rule<'_>>, Doubts) {
        let (places, runs) = places(&rendition.segments);
        let slots: Vec<Slot<'_>> = rendition
            .documents
            .iter()
            .map(|document| self.slot(document, &rendition.segments, &places, &runs))
            .collect();
        let mut doubts = Doubts::default();
        let mut readings: Vec<Option<Reading>> = Vec::new();
        for (document, slot) in rendition.documents.iter().zip(&slots) {
            let stated = document.zero.map(|zero| slot.near(document, zero));
            let fits = stated.is_none_or(|zero| slot.gap(document, zero) <= SAME_CLOCK);
            doubts.misfits += u64::from(!fits);
            readings.push(stated.filter(|_| fits).map(|zero| Reading::Media { zero }));
        }
        let open = || readings.iter().zip(&rendition.documents).zip(&slots).filter(|((r, _), _)| r.is_none());
        // What lies outside of the segments if all such times are read in one way, and in the other.
        let (mut by_media, mut by_playlist, mut apart) = (Nanos::ZERO, Nanos::ZERO, Nanos::ZERO);
        for ((_, document), slot) in open() {
            let zero = slot.near(document, Nanos::ZERO);
            by_media = by_media.plus(slot.outside(document, zero));
            by_playlist = by_playlist.plus(slot.outside(document, slot.playlist_zero()));
            if document.span().is_some() {
                apart = apart.max(zero.distance(slot.playlist_zero()));
            }
        }
        let is_tie = by_media.distance(by_playlist) <= Nanos::from_ms(10);
        // RFC 8216, 3.5: without a map, 0 is 0 of the media's clock.
        let on_media = is_tie || by_media < by_playlist;
        doubts.ambiguous = Some(apart).filter(|apart| is_tie && *apart > SAME_TIME);
        let rules = readings.iter().zip(&rendition.documents).zip(&slots).map(|((reading, document), slot)| Rule {
            stretches: slot.stretches,
            reading: match reading {
                Some(reading) => *reading,
                None if on_media => Reading::Media { zero: slot.near(document, Nanos::ZERO) },
                None => Reading::Playlist { skew: slot.skew },
            },
        });
        (rules.collect(), doubts)
    }

    fn slot(&self, document: &Document, segments: &[Segment], places: &[Nanos], runs: &[Nanos]) -> Slot<'_> {
        let own = places[document.segment];
        let duration = segments[document.segment].duration.unwrap_or_default();
        // The run that the segment is in: two playlists with as many marks have the same runs.
        let run = segments[..=document.segment].iter().skip(1).filter(|s| s.discontinuity).count();
        let marked = runs.len() == self.runs.len() && runs.len() > 1;
        let skew = if marked { self.runs[run].minus(runs[run]) } else { Nanos::ZERO };
        let place = own.plus(skew);
        let leeway = LEEWAY.min(Nanos(duration.0 / 2));
        let begun = |at: Nanos| self.stretches.partition_point(|s| s.place <= at).max(1);
        let first = begun(place.plus(leeway)) - 1;
        let mut last = begun(place.plus(duration).minus(leeway)).max(first + 1);
        if marked {
            // Not beyond its own run.
            let end = self.runs.get(run + 1).copied().unwrap_or(Nanos(i64::MAX));
            last = last.min(self.stretches.partition_point(|s| s.place < end)).max(first + 1);
        }
        Slot { stretches: &self.stretches[first..last], place, duration, skew }
    }
}

/// What is known of the place of a document's segment.
struct Slot<'a> {
    /// The stretches of media that it lies beside; one at least.
    stretches: &'a [Stretch],
    /// In the main playlist's time.
    place: Nanos,
    duration: Nanos,
    /// The main playlist's time minus the rendition's own.
    skew: Nanos,
}

impl Slot<'_> {
    /// Where the segment stands on the media's clock.
    fn on_media(&self) -> Nanos {
        let first = self.stretches[0];
        first.start.plus(self.place.minus(first.place))
    }

    /// Where 0 of a document stands on the media's clock if its times count from the playlist's start.
    fn playlist_zero(&self) -> Nanos {
        self.on_media().minus(self.place.minus(self.skew))
    }

    /// The zero that puts a document nearest to its segment, whole periods of the 33-bit clock from this one.
    fn near(&self, document: &Document, zero: Nanos) -> Nanos {
        let Some((start, _)) = document.span() else { return zero };
        let ticks = start.plus(zero).to_ticks(TimeBase::MPEG);
        let wanted = self.on_media().to_ticks(TimeBase::MPEG);
        zero.plus(Nanos::from_ticks(nearest_wrapped(ticks, wanted).saturating_sub(ticks), TimeBase::MPEG))
    }

    /// Time between the segment and the document.
    fn gap(&self, document: &Document, zero: Nanos) -> Nanos {
        let Some((start, end)) = document.span() else { return Nanos::ZERO };
        let (from, to) = (self.on_media(), self.on_media().plus(self.duration));
        start.plus(zero).minus(to).max(from.minus(end.plus(zero))).max(Nanos::ZERO)
    }

    /// Time of the document that lies outside of the segment, as far as that tells anything.
    fn outside(&self, document: &Document, zero: Nanos) -> Nanos {
        let Some((start, end)) = document.span() else { return Nanos::ZERO };
        let (from, to) = (self.on_media(), self.on_media().plus(self.duration));
        let before = from.minus(start.plus(zero)).max(Nanos::ZERO);
        let behind = end.plus(zero).minus(to).max(Nanos::ZERO);
        before.min(SAME_CLOCK).plus(behind.min(SAME_CLOCK))
    }
}

impl Rule<'_> {
    /// Where a time of the document goes.
    pub(super) fn moves(&self, at: Nanos) -> Moved {
        // Where one stretch ends the next begins.
        let beyond =
            |at: Nanos, from: Nanos, to: Nanos| from.minus(at).max(at.minus(to).plus(Nanos(1))).max(Nanos::ZERO);
        let place = |at: Nanos, skew: Nanos| {
            let at = at.plus(skew);
            self.stretches.iter().min_by_key(|s| beyond(at, s.place, s.end)).unwrap_or(&self.stretches[0])
        };
        match self.reading {
            Reading::Playlist { skew } => {
                let found = place(at, skew);
                let by = skew.minus(found.place).plus(found.start).plus(found.offset);
                Moved { part: found.part, by }
            }
            Reading::Media { zero } => {
                let media = at.plus(zero);
                let length = |s: &Stretch| s.end.minus(s.place);
                let nearest = self.stretches.iter().min_by_key(|s| beyond(media, s.start, s.start.plus(length(s))));
                let found = nearest.unwrap_or(&self.stretches[0]);
                Moved { part: found.part, by: zero.plus(found.offset) }
            }
        }
    }
}
