//! The stages of one job: inputs are demuxed, the timeline stamps their packets, and the muxer writes them.
//!
//! A job is read by one thread, in steps: whichever input is furthest behind gives the next packet.
//! A second thread was measured to win nothing where two cores share their memory's bandwidth, and
//! with one the order of packets, and so every byte of the output, follows from the input alone.

mod audit;
mod part;
mod source;
mod tell;

pub(crate) use part::{FinishedTrack, Part};
pub(crate) use source::PlannedInput;
pub(crate) use tell::Teller;

use std::collections::BTreeMap;

use crate::av::LogScope;
use crate::cancel::CancelToken;
use crate::demux::Dropped;
use crate::error::Result;
use crate::mux::{Extent, Sink};
use crate::options::{Faststart, Format, Limits, OnChange, OnDiscontinuity};
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

/// Merges the inputs into one file, or into several where it has to be split. `sink` opens the n-th.
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
    let mut sources: Vec<Source> =
        inputs.into_iter().map(|planned| Source::new(planned, &settings.limits, cancel)).collect();
    let mut merged = Merged {
        parts: Vec::new(),
        segments_merged: 0,
        segments_missing: Vec::new(),
        discontinuities: 0,
        counts: Counts::default(),
        dropped: Vec::new(),
    };
    loop {
        cancel.check()?;
        let number = merged.parts.len();
        let finished = part::write(&mut sources, settings, &mut || sink(number), tell, cancel)?;
        merged.counts.resets += finished.counts.resets;
        merged.counts.duplicates += finished.counts.duplicates;
        merged.counts.mended += finished.counts.mended;
        merged.discontinuities += finished.discontinuities;
        for dropped in &finished.dropped {
            if !merged.dropped.contains(dropped) {
                merged.dropped.push(dropped.clone());
            }
        }
        let more = finished.more;
        merged.parts.push(finished);
        if !more {
            break;
        }
    }
    let mut missing = BTreeMap::new();
    for source in &sources {
        merged.segments_merged += source.audit.merged;
        missing.extend(source.audit.missing.iter().map(|sequence| (*sequence, ())));
        if let Some(trouble) = source.unusable() {
            tell.warn(trouble);
        }
    }
    merged.segments_missing = missing.into_keys().collect();
    Ok(merged)
}
