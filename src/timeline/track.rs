//! The last step of one track: from mapped timestamps to such as a muxer takes, with decoding
//! times that strictly increase and presentation times that never lie before them.

use std::collections::VecDeque;

use super::audio::Samples;
use super::video::Reordering;
use super::{Item, Origin, PictureOrder, Stamped};
use crate::time::{Nanos, TimeBase, rescale_ticks};

/// Timestamps are kept within this, so that what is added to them cannot overflow.
const BOUND_TICKS: i64 = 1 << 60;

/// A packet whose times are already on the output's clock, in ticks of the track.
pub(super) struct Mapped<P> {
    pub(super) pts: Option<i64>,
    pub(super) dts: Option<i64>,
    pub(super) duration: Option<i64>,
    /// The container tells no durations: it is by what the codec says of its rate.
    pub(super) guessed_duration: bool,
    /// Samples that the packet decodes to, where the input's clock is coarser than the sample rate.
    pub(super) samples: Option<u32>,
    /// How far the first timestamp of a segment may be off the count of samples.
    pub(super) tolerance: Option<Nanos>,
    /// Presentation, and its length, as exactly as the input says them: a track's ticks can be coarse.
    pub(super) presented: Option<Nanos>,
    pub(super) length: Option<Nanos>,
    pub(super) order: Option<PictureOrder>,
    pub(super) payload: P,
}

impl<P> Mapped<P> {
    pub(super) fn new(item: Item<P>, offset: Nanos, base: TimeBase) -> Self {
        // The offset is rounded by itself, so that the distance of two packets never depends on it.
        let offset_ticks = offset.to_ticks(base);
        let map = |ticks: i64| {
            rescale_ticks(ticks, item.base, base).saturating_add(offset_ticks).clamp(-BOUND_TICKS, BOUND_TICKS)
        };
        Self {
            pts: item.pts.map(map),
            dts: item.dts.map(map),
            duration: item.duration.map(|ticks| rescale_ticks(ticks, item.base, base).clamp(0, BOUND_TICKS)),
            guessed_duration: item.wraps,
            samples: item.samples,
            tolerance: item.tolerance,
            presented: item.presented_at().map(|at| at.plus(offset)),
            length: item.length(),
            order: item.order,
            payload: item.payload,
        }
    }
}

/// What a track is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TrackClass {
    /// Presented in another order than decoded.
    Video,
    /// Each packet follows the one before; exact to the sample where the rate is known.
    Audio { sample_rate_hz: Option<u32> },
}

/// How packets of a class are stamped.
enum Stamper<P> {
    Video(Box<Reordering<P>>),
    Audio(Samples),
}

/// What a track has come to.
pub(super) struct Written {
    pub(super) base: TimeBase,
    /// No timestamp may be lower.
    pub(super) floor: Option<i64>,
    delay: i64,
    pub(super) last_dts: Option<i64>,
    pub(super) last_duration: i64,
    first_pts: Option<i64>,
    last_pts: Option<i64>,
    end: Option<Nanos>,
    pub(super) mended: u64,
    packets: u64,
    index: usize,
}

pub(super) struct Track<P> {
    stamper: Stamper<P>,
    pub(super) base: TimeBase,
    written: Written,
}

impl<P> Track<P> {
    pub(super) fn new(index: usize, base: TimeBase, class: TrackClass, origin: Origin) -> Self {
        let stamper = match class {
            TrackClass::Video => Stamper::Video(Box::new(Reordering::new())),
            TrackClass::Audio { sample_rate_hz } => Stamper::Audio(Samples::new(sample_rate_hz)),
        };
        let written = Written {
            base,
            floor: (origin == Origin::Lowest).then_some(0),
            delay: 0,
            last_dts: None,
            last_duration: 0,
            first_pts: None,
            last_pts: None,
            end: None,
            mended: 0,
            packets: 0,
            index,
        };
        Self { stamper, base, written }
    }

    pub(super) fn is_video(&self) -> bool {
        matches!(self.stamper, Stamper::Video(_))
    }

    /// Presentation time at which everything so far ends; `None` before the first packet.
    pub(super) fn end(&self) -> Option<Nanos> {
        self.written.end
    }

    /// Presentation time of the earliest packet; `None` before the first packet.
    pub(super) fn start(&self) -> Option<Nanos> {
        self.written.first_pts.map(|ticks| Nanos::from_ticks(ticks, self.base))
    }

    /// The longest that a packet is decoded before it is presented.
    pub(super) fn delay(&self) -> Nanos {
        Nanos::from_ticks(self.written.delay, self.base)
    }

    pub(super) fn mended(&self) -> u64 {
        self.written.mended
    }

    pub(super) fn packets(&self) -> u64 {
        self.written.packets
    }

    /// A break: what comes now has another clock or another encoder.
    pub(super) fn begin_epoch(&mut self, out: &mut VecDeque<Stamped<P>>) {
        self.flush(out);
        match &mut self.stamper {
            Stamper::Video(reordering) => reordering.forget(),
            Stamper::Audio(samples) => samples.forget(),
        }
    }

    pub(super) fn push(&mut self, item: Mapped<P>, out: &mut VecDeque<Stamped<P>>) {
        match &mut self.stamper {
            Stamper::Video(reordering) => reordering.push(item, &mut self.written, out),
            Stamper::Audio(samples) => samples.push(item, &mut self.written, out),
        }
    }

    pub(super) fn flush(&mut self, out: &mut VecDeque<Stamped<P>>) {
        if let Stamper::Video(reordering) = &mut self.stamper {
            reordering.flush(&mut self.written, out);
        }
    }
}

/// Times of a packet as they go out; `end` is where its presentation ends.
pub(super) struct Times {
    pub(super) pts: i64,
    pub(super) dts: i64,
    pub(super) duration: i64,
    pub(super) end: Nanos,
}

impl Written {
    /// The lowest decoding time that can follow, where a sample takes `step` at least.
    pub(super) fn lowest(&self, step: i64) -> Option<i64> {
        self.last_dts.map(|last| last.saturating_add(step)).max(self.floor)
    }

    pub(super) fn send<P>(&mut self, payload: P, times: Times, out: &mut VecDeque<Stamped<P>>) {
        let Times { pts, dts, duration, end } = times;
        self.delay = self.delay.max(pts.saturating_sub(dts));
        self.last_dts = Some(dts);
        self.last_duration = duration;
        self.first_pts = Some(self.first_pts.map_or(pts, |first| first.min(pts)));
        // A length that is too long ends where the next picture comes.
        if self.last_pts.is_none_or(|last| pts >= last) {
            self.last_pts = Some(pts);
            self.end = Some(end);
        }
        self.packets += 1;
        out.push_back(Stamped { track: self.index, pts, dts, duration, payload });
    }
}
