//! The last step of one track: from mapped timestamps to such as a muxer takes, with decoding
//! times that strictly increase and presentation times that never lie before them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::Stamped;
use crate::time::{Nanos, TimeBase, rescale_ticks};

/// Video packets looked at ahead of the one to be stamped: the deepest reordering that H.264 and HEVC allow.
const VIDEO_WINDOW: usize = 17;

/// No video sample is made shorter than this: players treat shorter ones as broken.
const SHORTEST_VIDEO_SAMPLE: Nanos = Nanos(1_500_000);

/// An audio timestamp is taken as exact up to this deviation from the count of samples: it covers
/// clocks of 90 kHz and of milliseconds, and is too short to be heard as a loss of sync.
const AUDIO_TOLERANCE: Nanos = Nanos(1_000_000);

/// A packet whose times are already on the output's clock, in ticks of the track.
pub(super) struct Mapped<P> {
    pub(super) pts: Option<i64>,
    pub(super) dts: Option<i64>,
    pub(super) duration: Option<i64>,
    /// Samples that the packet decodes to, where the input's clock is coarser than the sample rate.
    pub(super) samples: Option<u32>,
    /// How far the first timestamp of a segment may be off the count of samples.
    pub(super) tolerance: Option<Nanos>,
    pub(super) payload: P,
}

/// What a track is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TrackClass {
    /// Presented in another order than decoded.
    Video,
    /// Each packet follows the one before; exact to the sample where the rate is known.
    Audio { sample_rate_hz: Option<u32> },
}

pub(super) struct Track<P> {
    index: usize,
    pub(super) base: TimeBase,
    class: TrackClass,
    /// Video packets held back, in decoding order; `pts` is set.
    window: VecDeque<Mapped<P>>,
    /// Presentation times of everything held back: the n-th to go out decodes no later than the n-th smallest.
    order: BinaryHeap<Reverse<i64>>,
    /// Decoding times of the input are unusable: they are made from the presentation times, so far apart.
    rebuilt_delay: Option<i64>,
    last_dts: Option<i64>,
    last_duration: i64,
    /// The first sample of the present stretch of audio, and the samples since.
    audio_anchor: Option<(i64, i64)>,
    first_pts: Option<i64>,
    end: Option<i64>,
    pub(super) mended: u64,
    pub(super) packets: u64,
}

impl<P> Track<P> {
    pub(super) fn new(index: usize, base: TimeBase, class: TrackClass) -> Self {
        Self {
            index,
            base,
            class,
            window: VecDeque::new(),
            order: BinaryHeap::new(),
            rebuilt_delay: None,
            last_dts: None,
            last_duration: 0,
            audio_anchor: None,
            first_pts: None,
            end: None,
            mended: 0,
            packets: 0,
        }
    }

    pub(super) fn is_video(&self) -> bool {
        self.class == TrackClass::Video
    }

    /// Presentation time at which everything so far ends; `None` before the first packet.
    pub(super) fn end(&self) -> Option<Nanos> {
        self.end.map(|ticks| Nanos::from_ticks(ticks, self.base))
    }

    /// Presentation time of the earliest packet; `None` before the first packet.
    pub(super) fn start(&self) -> Option<Nanos> {
        self.first_pts.map(|ticks| Nanos::from_ticks(ticks, self.base))
    }

    /// A break: what comes now has another clock or another encoder.
    pub(super) fn begin_epoch(&mut self, out: &mut VecDeque<Stamped<P>>) {
        self.flush(out);
        self.rebuilt_delay = None;
        self.audio_anchor = None;
    }

    pub(super) fn push(&mut self, item: Mapped<P>, out: &mut VecDeque<Stamped<P>>) {
        match self.class {
            TrackClass::Video => self.push_video(item, out),
            TrackClass::Audio { sample_rate_hz } => self.push_audio(item, sample_rate_hz, out),
        }
    }

    pub(super) fn flush(&mut self, out: &mut VecDeque<Stamped<P>>) {
        while !self.window.is_empty() {
            self.emit_video(out);
        }
    }

    fn push_audio(&mut self, item: Mapped<P>, rate_hz: Option<u32>, out: &mut VecDeque<Stamped<P>>) {
        let samples_base = rate_hz.and_then(TimeBase::per_second);
        let counted = item.samples.zip(samples_base);
        let expected = match (self.audio_anchor, samples_base) {
            (Some((anchor, samples)), Some(base)) => Some(anchor + rescale_ticks(samples, base, self.base)),
            _ => self.last_dts.map(|dts| dts + self.last_duration),
        };
        let given = item.pts.or(item.dts);
        let tolerance = item.tolerance.unwrap_or(AUDIO_TOLERANCE).to_ticks(self.base).max(1);
        let snapped = match (given, expected) {
            (None, None) => 0,
            (None, Some(expected)) => expected,
            (Some(given), Some(expected)) if counted.is_some() && (given - expected).abs() <= tolerance => expected,
            (Some(given), _) => given,
        };
        // An overlap of less than a reset: squeezed rather than moved, so that what follows stays in sync.
        let pts = self.last_dts.map_or(snapped, |last| snapped.max(last + 1));
        if pts != snapped {
            self.mended += 1;
        }
        let duration = match counted {
            Some((samples, base)) => rescale_ticks(i64::from(samples), base, self.base),
            None => item.duration.unwrap_or(self.last_duration),
        };
        self.audio_anchor = match (counted, self.audio_anchor) {
            (Some((n, _)), Some((anchor, samples))) if Some(pts) == expected => Some((anchor, samples + i64::from(n))),
            (Some((n, _)), _) => Some((pts, i64::from(n))),
            (None, _) => None,
        };
        self.send(item.payload, pts, pts, duration, out);
    }

    fn push_video(&mut self, mut item: Mapped<P>, out: &mut VecDeque<Stamped<P>>) {
        let pts = item.pts.or(item.dts).unwrap_or_else(|| {
            let before = self.window.back().and_then(|i| i.pts).or(self.last_dts);
            before.map_or(0, |pts| pts + self.last_duration.max(1))
        });
        item.pts = Some(pts);
        self.order.push(Reverse(pts));
        self.window.push_back(item);
        if self.window.len() > VIDEO_WINDOW {
            self.emit_video(out);
        }
    }

    /// Stamps the packet at the head of the window.
    fn emit_video(&mut self, out: &mut VecDeque<Stamped<P>>) {
        let step = SHORTEST_VIDEO_SAMPLE.to_ticks(self.base).max(1);
        let lowest = self.last_dts.map(|last| last + step);
        // Each packet behind the head needs a sample's room before its own presentation.
        let highest = self.window.iter().zip(0..).filter_map(|(item, n)| Some(item.pts? - n * step)).min();
        let fits = |dts: i64| lowest.is_none_or(|low| dts >= low) && highest.is_none_or(|high| dts <= high);
        if self.rebuilt_delay.is_none() && self.decoding_times_are_broken(step) {
            self.rebuilt_delay = Some(self.reorder_delay());
        }
        let next_duration = self.typical_duration();
        let Some(item) = self.window.pop_front() else { return };
        let smallest = self.order.pop().map_or(0, |Reverse(pts)| pts);
        let pts = item.pts.unwrap_or(smallest);
        let given = match self.rebuilt_delay {
            Some(delay) => Some(smallest - delay),
            None => item.dts,
        };
        let dts = match given {
            Some(dts) if fits(dts) => dts,
            wish => {
                let wish = wish.or_else(|| Some(self.last_dts? + self.last_duration)).unwrap_or(pts);
                let wish = highest.map_or(wish, |high| wish.min(high));
                lowest.map_or(wish, |low| wish.max(low))
            }
        };
        if item.dts != Some(dts) {
            self.mended += 1;
        }
        let duration = item.duration.or(next_duration.map(|next| (next - dts).max(1))).unwrap_or(self.last_duration);
        self.send(item.payload, pts.max(dts), dts, duration, out);
    }

    /// Decoding time of the packet behind the head, to tell the head's duration where nothing else does.
    fn typical_duration(&self) -> Option<i64> {
        self.window.get(1).and_then(|next| next.dts)
    }

    /// More than a single packet of the window has a decoding time that no muxer takes.
    fn decoding_times_are_broken(&self, step: i64) -> bool {
        let mut last = self.last_dts;
        let mut broken = 0;
        for item in &self.window {
            let ok = match item.dts {
                Some(dts) => last.is_none_or(|last| dts >= last + step) && item.pts.is_none_or(|pts| pts >= dts),
                None => false,
            };
            broken += usize::from(!ok);
            last = item.dts.or(last);
        }
        broken > 1 && broken * 4 > self.window.len()
    }

    /// How much earlier than "n-th to be presented" the n-th packet must be decoded for all to arrive in time.
    fn reorder_delay(&self) -> i64 {
        let mut sorted: Vec<i64> = self.order.iter().map(|Reverse(pts)| *pts).collect();
        sorted.sort_unstable();
        let late = self.window.iter().zip(&sorted).filter_map(|(item, nth)| Some(nth - item.pts?)).max();
        late.unwrap_or(0).max(0)
    }

    fn send(&mut self, payload: P, pts: i64, dts: i64, duration: i64, out: &mut VecDeque<Stamped<P>>) {
        let duration = if duration > 0 { duration } else { self.last_duration.max(1) };
        self.last_dts = Some(dts);
        self.last_duration = duration;
        self.first_pts = Some(self.first_pts.map_or(pts, |first| first.min(pts)));
        self.end = Some(self.end.map_or(pts + duration, |end| end.max(pts + duration)));
        self.packets += 1;
        out.push_back(Stamped { track: self.index, pts, dts, duration, payload });
    }
}
