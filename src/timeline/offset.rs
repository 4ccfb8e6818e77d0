//! The offset of an epoch: where its clock is put on the output's, the same for all inputs that share it.

use super::unwrap::PERIOD;
use crate::time::{Nanos, TimeBase};

/// Inputs whose first timestamps lie further apart do not share a clock. Renditions may begin some segments apart.
const SAME_CLOCK: Nanos = Nanos::from_ms(60_000);

/// What one input's next offset follows from.
pub(super) struct Opening {
    /// It has no clock of its own: its times are counted from 0.
    pub(super) floating: bool,
    pub(super) wraps: bool,
    /// For each track that was seen: its start on the input's clock, and its end so far on the output's.
    pub(super) starts: Vec<(Nanos, Option<Nanos>)>,
    /// The latest end of the tracks that were not seen.
    pub(super) absent: Option<Nanos>,
}

impl Opening {
    fn start(&self) -> Option<Nanos> {
        self.starts.iter().map(|(start, _)| *start).min()
    }

    /// How far this input's clock is ahead of one on which the epoch starts at `leader`.
    fn ahead_of(&self, leader: Nanos) -> Nanos {
        let Some(start) = self.start() else { return Nanos::ZERO };
        let distance = start.minus(leader);
        let period = Nanos::from_ticks(PERIOD, TimeBase::MPEG);
        // Two clocks that wrap can be whole periods apart and still be the same.
        let periods = if self.wraps { (distance.0 as f64 / period.0 as f64).round() as i64 } else { 0 };
        let wrapped = Nanos(period.0.saturating_mul(periods));
        if self.floating || distance.distance(wrapped) > SAME_CLOCK { distance } else { wrapped }
    }
}

/// The offset of each input that comes to an epoch.
pub(super) fn offsets(openings: &[Opening]) -> Vec<Nanos> {
    let leader = openings.iter().filter(|o| !o.floating).find_map(Opening::start);
    let ahead: Vec<Nanos> = openings.iter().map(|o| leader.map_or(Nanos::ZERO, |at| o.ahead_of(at))).collect();
    let starts: Vec<(Nanos, Option<Nanos>)> = openings
        .iter()
        .zip(&ahead)
        .flat_map(|(o, ahead)| o.starts.iter().map(|(start, end)| (start.minus(*ahead), *end)))
        .collect();
    let first = starts.iter().map(|(start, _)| *start).min().unwrap_or_default();
    // No track may begin before it ended, and nothing before the end of a track that is silent from now on.
    let after_own = starts.iter().filter_map(|(start, end)| Some((*end)?.minus(*start))).max();
    let after_absent = openings.iter().filter_map(|o| o.absent).max().map(|end| end.minus(first));
    let offset = after_own.max(after_absent).unwrap_or(Nanos::ZERO.minus(first));
    ahead.into_iter().map(|ahead| offset.minus(ahead)).collect()
}
