//! Packets to a file: tracks, framing, header and trailer, the place of `moov`, and reading back what was written.

mod allocate;
mod avc;
mod decode;
mod faststart;
mod framing;
mod hevc;
mod moov;
mod output;
mod portions;
mod sink;
mod tables;
#[cfg(test)]
mod tests;
mod track;
mod units;
mod verify;
mod write_back;

pub(crate) use decode::{SourceDecoded, decode};
pub(crate) use output::{Extent, OutputFile};
pub(crate) use sink::Sink;
pub(crate) use track::{TrackPlan, TrackRole, keeps_empty_tracks, origin, track_class};
pub(crate) use verify::{Expected, verify};
pub(crate) use write_back::ToDisk;
