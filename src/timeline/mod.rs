//! The only place where a timestamp changes. Pure: no libav, no bytes, no clock.
//!
//! Packets come in per input, in the order they were demuxed, with the times of their stream; they
//! go out stamped in ticks of their track, on one clock that begins at 0. In between:
//!
//! - 33-bit timestamps are unwrapped;
//! - an *epoch* is what shares one clock: it ends where the playlist marks a discontinuity, and where
//!   timestamps jump in a way that nothing explains. All tracks of all inputs get the same offset for
//!   an epoch, so that audio and video stay together as they were; it puts the epoch's start at the
//!   end of the one before, late enough that no track overlaps itself. To find it, the epoch's first
//!   packets are held back until every track was seen, within bounds;
//! - each [`Track`] then sees to it that decoding times strictly increase and come no later than
//!   presentation times.

mod audio;
mod epoch;
mod offset;
mod restore;
mod stream;
mod track;
mod unwrap;
mod video;

use std::collections::VecDeque;

use crate::time::{Nanos, TimeBase};
use epoch::{Accepted, Again, Blocked, Input};
use offset::Opening;
use track::Track;

pub(crate) use stream::{BACK_AT_BORDER, BACK_INSIDE, FORWARD};
pub(crate) use track::TrackClass;
pub(crate) use unwrap::{PERIOD, nearest as nearest_wrapped};

/// A packet as it came from its input.
pub(crate) struct Item<P> {
    /// The output track it goes to.
    pub(crate) track: usize,
    /// Position of its segment in the input.
    pub(crate) segment: usize,
    /// In ticks of `base`.
    pub(crate) pts: Option<i64>,
    /// In ticks of `base`.
    pub(crate) dts: Option<i64>,
    /// In ticks of `base`.
    pub(crate) duration: Option<i64>,
    pub(crate) base: TimeBase,
    /// Timestamps wrap at 2^33.
    pub(crate) wraps: bool,
    /// Samples that the packet decodes to, where `base` is coarser than the sample rate.
    pub(crate) samples: Option<u32>,
    /// Time at the packet's start that is not to be played: encoder priming.
    pub(crate) priming: Nanos,
    /// How far the timestamp may be off the count of samples and still mean the same; `None` for the track's own.
    pub(crate) tolerance: Option<Nanos>,
    /// The times are counted from 0: the stream has no clock of its own.
    pub(crate) floating: bool,
    /// Video: where the picture itself says that it is shown; `None` where nobody asked it.
    pub(crate) order: Option<PictureOrder>,
    /// Tells packets of one stream apart; equal for repetitions.
    pub(crate) fingerprint: u64,
    /// Size in bytes, for the bound on what is held back.
    pub(crate) bytes: usize,
    pub(crate) payload: P,
}

impl Item<()> {
    /// The same with the packet itself.
    pub(crate) fn with_payload<P>(self, payload: P) -> Item<P> {
        let Self { track, segment, pts, dts, duration, base, wraps, samples, priming, tolerance, floating, .. } = self;
        let (order, fingerprint, bytes) = (self.order, self.fingerprint, self.bytes);
        Item {
            track,
            segment,
            pts,
            dts,
            duration,
            base,
            wraps,
            samples,
            priming,
            tolerance,
            floating,
            order,
            fingerprint,
            bytes,
            payload,
        }
    }
}

/// A picture's place among those around it, by its codec's own count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PictureOrder {
    /// Lower is shown earlier, between two pictures that begin the count anew.
    pub(crate) count: i64,
    /// A key picture, which may begin the count anew.
    pub(crate) key: bool,
}

/// What a playlist says of a segment: it bears witness to what a jump of the clock there means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Announced {
    /// EXTINF.
    pub(crate) duration: Option<Nanos>,
    /// Time between the announced end of the segment before and this one's start, by EXT-X-PROGRAM-DATE-TIME;
    /// `None` where that tells nothing.
    pub(crate) pause: Option<Nanos>,
}

/// A packet as it goes to the muxer, in ticks of its track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamped<P> {
    pub(crate) track: usize,
    pub(crate) pts: i64,
    pub(crate) dts: i64,
    pub(crate) duration: i64,
    pub(crate) payload: P,
}

/// A track of the output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TrackSpec {
    /// The input that feeds it.
    pub(crate) input: usize,
    pub(crate) base: TimeBase,
    pub(crate) class: TrackClass,
}

/// How a stretch of media that a demuxer begins anew follows the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Boundary {
    /// The playlist marks a discontinuity.
    Marked,
    /// The clock may go on; if it does not, that is found out from the timestamps.
    Unmarked,
    /// The clock begins again for sure: the same segment is listed a second time.
    Restart,
}

/// Whether the first timestamps of an output may be negative: decoding before the first
/// presentation, and priming that an edit list hides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Presentation begins at 0; what comes before is negative.
    Presentation,
    /// No timestamp at all is below 0.
    Lowest,
}

/// Where an input's clock was put on the output's, from a segment on until the next of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Epoch {
    /// Position of the first segment in the input.
    pub(crate) segment: usize,
    /// The first presentation, on the input's own unwrapped clock.
    pub(crate) start: Nanos,
    /// What is added to get to the output's clock.
    pub(crate) offset: Nanos,
}

/// What had to be done, for the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    /// Clock jumps that were not marked.
    pub(crate) resets: u64,
    /// Packets left out because they repeated one at a segment border.
    pub(crate) duplicates: u64,
    /// Packets whose timestamps had to be changed beyond their offset.
    pub(crate) mended: u64,
    /// Packets that are not shown: they came when the output's start was settled, and lie before it.
    pub(crate) hidden: u64,
}

/// The clock of one output.
pub(crate) struct Timeline<P> {
    inputs: Vec<Input<P>>,
    tracks: Vec<Track<P>>,
    origin: Origin,
    lookahead_bytes: usize,
    out: VecDeque<Stamped<P>>,
    counts: Counts,
    epochs: Vec<(usize, Epoch)>,
}

impl<P> Timeline<P> {
    /// A clock at 0. At most `lookahead_bytes` of packets are held back at the start of an epoch.
    pub(crate) fn new(inputs: usize, tracks: &[TrackSpec], origin: Origin, lookahead_bytes: usize) -> Self {
        let inputs = (0..inputs)
            .map(|i| Input::new(tracks.iter().enumerate().filter(|(_, t)| t.input == i).map(|(n, _)| n).collect()))
            .collect();
        let tracks = tracks.iter().enumerate().map(|(i, t)| Track::new(i, t.base, t.class, origin)).collect();
        Self {
            inputs,
            tracks,
            origin,
            lookahead_bytes,
            out: VecDeque::new(),
            counts: Counts::default(),
            epochs: Vec::new(),
        }
    }

    /// The input that should be read next; `None` once all have ended and everything went out.
    ///
    /// Inputs are read in step, so that no more is held back than needed.
    pub(crate) fn wants(&mut self) -> Option<usize> {
        loop {
            let live = || self.inputs.iter().enumerate().filter(|(_, input)| !input.ended);
            // An epoch that lacks the first packets of a track.
            if let Some((i, _)) =
                live().find(|(_, input)| input.is_opening() && !input.has_enough(&self.tracks, self.lookahead_bytes))
            {
                return Some(i);
            }
            let running = live().filter(|(_, input)| !input.is_opening()).min_by_key(|(_, input)| input.position);
            let mut opening = self.inputs.iter().filter(|input| input.is_opening()).peekable();
            let is_waited_for = opening.peek().is_some();
            let waiting_since = opening.filter_map(Input::break_at).min();
            match running {
                // The others come up to the same break, unless it is this input's alone.
                Some((i, input)) if waiting_since.is_none_or(|since| input.position <= since.plus(epoch::MAX_LAG)) => {
                    return Some(i);
                }
                _ if is_waited_for => self.open_epochs(),
                _ => return None,
            }
        }
    }

    /// The input's demuxer begins anew with a segment; the next packets come from there.
    pub(crate) fn begin_session(&mut self, input: usize, boundary: Boundary, segment: usize) {
        if boundary != Boundary::Unmarked {
            self.push_doubted(input);
        }
        self.inputs[input].begin_session(boundary, segment);
    }

    /// A segment is missing, and with it so much media.
    pub(crate) fn skip(&mut self, input: usize, segment: usize, time: Nanos) {
        self.inputs[input].skip(segment, time);
    }

    /// What the playlist says of an input's segments.
    pub(crate) fn announce(&mut self, input: usize, segments: Vec<Announced>) {
        self.inputs[input].announced = segments;
    }

    /// The next packet of an input.
    pub(crate) fn push(&mut self, input: usize, item: Item<P>) {
        self.accept(input, item.into());
        while let Some(packet) = self.inputs[input].again.pop_front() {
            self.accept(input, packet);
        }
    }

    fn accept(&mut self, input: usize, packet: Again<P>) {
        if let Accepted::Ready { item, offset, starts } = self.inputs[input].accept(packet, &mut self.counts) {
            let is_hidden = self.origin == Origin::Presentation && item.ends_before(Nanos::ZERO.minus(offset));
            self.counts.hidden += u64::from(is_hidden);
            if starts {
                self.tracks[item.track].begin_epoch(&mut self.out);
            }
            self.send(item, offset);
        }
    }

    /// Lets packets go whose times are doubted, where none follow that would tell.
    fn push_doubted(&mut self, input: usize) {
        self.inputs[input].end_doubt();
        while let Some(packet) = self.inputs[input].again.pop_front() {
            self.accept(input, packet);
        }
    }

    fn send(&mut self, item: Item<P>, offset: Nanos) {
        let track = &mut self.tracks[item.track];
        track.push(track::Mapped::new(item, offset, track.base), &mut self.out);
    }

    /// Where a packet would stand on the output's clock, were it pushed now; `None` where that is not settled.
    pub(crate) fn place(&self, input: usize, item: &Item<()>) -> Option<Nanos> {
        self.inputs[input].place(item)
    }

    /// Where an input's tracks end so far; `None` while they are empty.
    pub(crate) fn input_end(&self, input: usize) -> Option<Nanos> {
        self.inputs[input].tracks().filter_map(|t| self.tracks[t].end()).max()
    }

    /// The input has no more packets.
    pub(crate) fn end(&mut self, input: usize) {
        self.push_doubted(input);
        self.inputs[input].ended = true;
        self.flush_ended(input);
        if self.inputs.iter().all(|i| i.ended) {
            while self.inputs.iter().any(Input::is_opening) {
                self.open_epochs();
            }
        }
    }

    /// Lets go of what a track looks ahead at, where nothing can follow.
    fn flush_ended(&mut self, input: usize) {
        if self.inputs[input].ended && !self.inputs[input].is_opening() {
            for track in self.inputs[input].tracks() {
                self.tracks[track].flush(&mut self.out);
            }
        }
    }

    /// The next packet that is ready.
    pub(crate) fn pop(&mut self) -> Option<Stamped<P>> {
        self.out.pop_front()
    }

    /// What had to be done so far.
    pub(crate) fn counts(&self) -> Counts {
        Counts { mended: self.tracks.iter().map(|t| t.mended()).sum(), ..self.counts }
    }

    /// The epochs of an input that had packets, in order, as far as they are settled.
    pub(crate) fn epochs(&self, input: usize) -> Vec<Epoch> {
        self.epochs.iter().filter(|(i, _)| *i == input).map(|(_, epoch)| *epoch).collect()
    }

    /// First and last presentation time of a track; `None` while it is empty.
    pub(crate) fn span(&self, track: usize) -> Option<(Nanos, Nanos)> {
        let track = &self.tracks[track];
        Some((track.start()?, track.end()?))
    }

    /// The longest that a packet of a track is decoded before it is presented.
    pub(crate) fn delay(&self, track: usize) -> Nanos {
        self.tracks[track].delay()
    }

    /// Packets of a track that went out.
    pub(crate) fn packets(&self, track: usize) -> u64 {
        self.tracks[track].packets()
    }

    /// How far the slowest input has come.
    pub(crate) fn position(&self) -> Nanos {
        self.inputs.iter().map(|i| i.position).min().unwrap_or_default()
    }

    /// The inputs that wait at the earliest of the breaks that are waited at.
    fn earliest_break(&self) -> Vec<usize> {
        let waiting = || self.inputs.iter().enumerate().filter(|(_, input)| input.is_opening());
        let place = |input: &Input<P>| (input.break_at().is_none(), input.break_at());
        let Some((_, first)) = waiting().min_by_key(|(_, input)| place(input)) else { return Vec::new() };
        waiting()
            .filter(|(_, input)| std::ptr::eq(*input, first) || input.shares_break(first))
            .map(|(i, _)| i)
            .collect()
    }

    /// Settles the offset of the earliest epoch that waits, for all inputs that come to it, and lets its packets go.
    fn open_epochs(&mut self) {
        let group = self.earliest_break();
        let marks = group.iter().filter_map(|i| self.inputs[*i].mark()).max();
        if marks.is_none() && group.iter().any(|i| self.inputs[*i].is_at_reset()) {
            self.counts.resets += 1;
        }
        for i in &group {
            self.inputs[*i].catch_up(marks.unwrap_or_default());
            // Packets of the epoch before that a track still holds must count for its end.
            for track in self.inputs[*i].entered_tracks() {
                self.tracks[track].begin_epoch(&mut self.out);
            }
        }
        let openings: Vec<Opening> = group.iter().map(|i| self.inputs[*i].opening(&self.tracks, self.origin)).collect();
        for (i, offset) in group.into_iter().zip(offset::offsets(&openings)) {
            if let Some((segment, start)) = self.inputs[i].begins() {
                self.epochs.push((i, Epoch { segment, start, offset }));
            }
            let (held, blocked) = self.inputs[i].open(offset);
            held.into_iter().for_each(|item| self.send(item, offset));
            for blocked in blocked {
                match blocked {
                    Blocked::Item(item) => self.push(i, item),
                    Blocked::Session(boundary, segment) => self.begin_session(i, boundary, segment),
                }
            }
            self.flush_ended(i);
        }
    }
}

#[cfg(test)]
mod tests;
