//! The stages of one job: inputs are demuxed, the timeline stamps their packets, and the muxer writes them.
//!
//! A job goes on in steps, on one thread: whichever input is furthest behind gives the next packet. So the order of
//! packets, and with it every byte of the output, follows from the inputs alone, on whichever threads they are
//! [read](reading).

mod account;
mod audit;
mod part;
mod reading;
mod source;
#[cfg(feature = "bench")]
mod stages;
mod survey;
mod tell;

pub(crate) use part::Part;
pub(crate) use source::PlannedInput;
#[cfg(feature = "bench")]
pub(crate) use stages::Stages;
pub(crate) use survey::survey;
pub(crate) use tell::Teller;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::thread;

use crate::av::LogScope;
use crate::cancel::CancelToken;
use crate::demux::Dropped;
use crate::error::{Error, ErrorKind, Result};
use crate::mux::{Extent, Sink};
use crate::options::{Faststart, Format, Limits, OnChange, OnDiscontinuity, Verify};
use crate::timeline::Counts;
use source::Source;

/// What the pipeline is told.
pub(crate) struct Settings {
    pub(crate) format: Format,
    pub(crate) faststart: Faststart,
    pub(crate) on_discontinuity: OnDiscontinuity,
    pub(crate) on_change: OnChange,
    pub(crate) limits: Limits,
    pub(crate) extent: Extent,
    pub(crate) verify: Verify,
    /// The output can be begun anew.
    pub(crate) can_restart: bool,
    pub(crate) cores: Cores,
}

/// How many cores a merge may keep busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cores {
    /// Others merge beside it.
    One,
    /// Some are idle: inputs are read ahead, each on a thread.
    Several,
}

impl Cores {
    /// For each of so many merges at a time.
    pub(crate) fn for_each_of(merges: usize) -> Self {
        let all = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        if all / merges.max(1) > 1 { Self::Several } else { Self::One }
    }
}

/// What became of all inputs.
pub(crate) struct Merged {
    pub(crate) parts: Vec<Part>,
    pub(crate) segments_merged: u64,
    pub(crate) segments_missing: Vec<u64>,
    pub(crate) discontinuities: u64,
    pub(crate) counts: Counts,
    pub(crate) dropped: Vec<Dropped>,
}

/// A stream that first comes in the middle of a file, whose tracks must be known at its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ahead {
    part: usize,
    input: usize,
    segment: usize,
}

/// How often a merge begins anew for a stream that came late.
const MAX_RESTARTS: usize = 4;

/// Merges the inputs into one file, or into several where it has to be split. `sink` opens the n-th; where it is
/// called for one that it opened before, the merge began anew.
///
/// Blocks until all is written; nothing is verified or published yet.
pub(crate) fn merge(
    inputs: Vec<PlannedInput>,
    settings: &Settings,
    sink: &mut dyn FnMut(usize) -> Result<Sink>,
    tell: &mut Teller,
    cancel: &CancelToken,
) -> Result<Merged> {
    let _log = LogScope::enter();
    let warnings = tell.warning_count();
    let mut ahead = Vec::new();
    loop {
        let mut attempt = Attempt { inputs: &inputs, settings, ahead: &ahead, cancel };
        match attempt.run(sink, tell)? {
            Ok(merged) => return Ok(merged),
            Err(late) => {
                ahead.push(late);
                tell.restart(warnings);
            }
        }
    }
}

/// One run over all inputs, with what runs before it found out.
struct Attempt<'a> {
    inputs: &'a [PlannedInput],
    settings: &'a Settings,
    ahead: &'a [Ahead],
    cancel: &'a CancelToken,
}

impl Attempt<'_> {
    fn run(&mut self, sink: &mut dyn FnMut(usize) -> Result<Sink>, tell: &mut Teller) -> Result<Result<Merged, Ahead>> {
        let new = |planned: &PlannedInput| match self.settings.cores {
            Cores::One => Ok(Source::new(planned.clone(), &self.settings.limits, self.cancel)),
            Cores::Several => Source::ahead(planned.clone(), &self.settings.limits, self.cancel),
        };
        let mut sources = self.inputs.iter().map(new).collect::<Result<Vec<_>>>()?;
        let mut merged = Merged {
            parts: Vec::new(),
            segments_merged: 0,
            segments_missing: Vec::new(),
            discontinuities: 0,
            counts: Counts::default(),
            dropped: Vec::new(),
        };
        loop {
            self.cancel.check()?;
            let number = merged.parts.len();
            let part = match part::write(&mut sources, self, number, &mut || sink(number), tell)? {
                Ok(part) => part,
                Err(late) => return Ok(Err(late)),
            };
            let more = part.more;
            merged.add(part);
            if !more {
                break;
            }
        }
        if merged.parts.iter().flat_map(|part| &part.tracks).all(|track| track.expected.packets == 0) {
            return Err(Error::new(ErrorKind::Media, "no segment holds a packet of any track")
                .with_hint("an init section alone is no media"));
        }
        let mut missing = BTreeSet::new();
        for source in &sources {
            merged.segments_merged += source.audit.merged;
            missing.extend(&source.audit.missing);
            merged.note_dropped(source.late_dropped());
            for trouble in source.unusable() {
                tell.warn(trouble);
            }
        }
        if merged.counts.hidden > 0 {
            tell.warn(format!(
                "{} packets are hidden: their track came late in the input, and they lie before the others' start",
                merged.counts.hidden
            ));
        }
        merged.segments_missing = missing.into_iter().collect();
        Ok(Ok(merged))
    }
}

impl Merged {
    fn add(&mut self, part: Part) {
        self.counts.resets += part.counts.resets;
        self.counts.duplicates += part.counts.duplicates;
        self.counts.mended += part.counts.mended;
        self.counts.hidden += part.counts.hidden;
        self.discontinuities += part.discontinuities;
        self.note_dropped(&part.dropped);
        self.parts.push(part);
    }

    fn note_dropped(&mut self, dropped: &[Dropped]) {
        for dropped in dropped {
            if !self.dropped.contains(dropped) {
                self.dropped.push(dropped.clone());
            }
        }
    }
}
