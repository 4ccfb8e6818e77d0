//! Audio: each packet follows the one before, counted in samples where the input's clock is coarser.

use std::collections::VecDeque;

use super::Stamped;
use super::track::{Mapped, Times, Written};
use crate::time::{Nanos, TimeBase, rescale_ticks};

/// An audio timestamp is taken as exact up to this deviation from the count of samples: it covers
/// clocks of 90 kHz and of milliseconds, and is too short to be heard as a loss of sync.
const AUDIO_TOLERANCE: Nanos = Nanos::from_ms(1);

/// No packet of audio is longer: two with more between them have a hole there.
const LONGEST_PACKET: Nanos = Nanos::from_ms(1_000);

/// The part of a packet's duration that audio packets over each other are squeezed to at most.
const SQUEEZED: i64 = 4;

/// A stretch of audio without a hole.
#[derive(Clone, Copy)]
struct Stretch {
    /// Its first sample, in ticks of the track, and more exactly.
    first_ticks: i64,
    first: Nanos,
    /// Samples since.
    samples: i64,
}

/// Counts the samples of an audio track.
pub(super) struct Samples {
    /// One tick per sample.
    base: Option<TimeBase>,
    stretch: Option<Stretch>,
}

impl Samples {
    pub(super) fn new(sample_rate_hz: Option<u32>) -> Self {
        Self { base: sample_rate_hz.and_then(TimeBase::per_second), stretch: None }
    }

    pub(super) fn forget(&mut self) {
        self.stretch = None;
    }

    pub(super) fn push<P>(&mut self, item: Mapped<P>, written: &mut Written, out: &mut VecDeque<Stamped<P>>) {
        let counted = item.samples.map(i64::from).zip(self.base);
        let counted_on = self.stretch.zip(self.base).map(|(stretch, base)| {
            stretch.first_ticks.saturating_add(rescale_ticks(stretch.samples, base, written.base))
        });
        let behind = || written.last_dts.map(|dts| dts.saturating_add(written.last_duration));
        let given = item.pts.or(item.dts);
        let tolerance = item.tolerance.unwrap_or(AUDIO_TOLERANCE).to_ticks(written.base).max(1);
        let snapped = match (given, counted_on) {
            (Some(given), Some(count)) if counted.is_some() && given.abs_diff(count) <= tolerance.unsigned_abs() => {
                count
            }
            (Some(given), _) => given,
            (None, count) => count.or_else(behind).unwrap_or(0),
        };
        // An overlap of less than a reset: squeezed rather than moved, so that what follows stays in sync; into steps
        // that a decoder still tells apart.
        let step = (written.last_duration / SQUEEZED).max(1);
        let pts = written.lowest(step).map_or(snapped, |low| snapped.max(low));
        written.mended += u64::from(pts != snapped);
        let presented = item.presented.filter(|_| given == Some(pts));
        let presented = presented.unwrap_or_else(|| Nanos::from_ticks(pts, written.base));
        self.stretch = counted.map(|(samples, _)| match self.stretch {
            Some(stretch) if Some(pts) == counted_on => {
                Stretch { samples: stretch.samples.saturating_add(samples), ..stretch }
            }
            _ => Stretch { first_ticks: pts, first: presented, samples },
        });
        let longest = LONGEST_PACKET.to_ticks(written.base);
        let duration = match counted {
            Some((samples, base)) => rescale_ticks(samples, base, written.base),
            None => item.duration.unwrap_or_default(),
        };
        // Some containers and codecs tell no length: a packet is then as long as the one before was.
        let step = || Some(pts.saturating_sub(written.last_dts?)).filter(|step| (1..=longest).contains(step));
        let duration = if duration > 0 { duration } else { step().unwrap_or(written.last_duration.max(1)) };
        let end = match (self.stretch, self.base) {
            (Some(stretch), Some(base)) => stretch.first.plus(Nanos::from_ticks(stretch.samples, base)),
            _ => presented.plus(item.length.unwrap_or_else(|| Nanos::from_ticks(duration, written.base))),
        };
        written.send(item.payload, Times { pts, dts: pts, duration, end }, out);
    }
}
