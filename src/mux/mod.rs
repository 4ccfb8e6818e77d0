//! Packets to a file: tracks, framing, header and trailer, the place of `moov`, and reading back what was written.

mod faststart;
mod framing;
mod output;
mod sink;
mod track;
mod verify;
mod write_back;

pub(crate) use output::{Extent, OutputFile};
pub(crate) use sink::Sink;
pub(crate) use track::{TrackPlan, TrackRole, origin};
pub(crate) use verify::{Expected, verify};
