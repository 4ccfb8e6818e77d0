//! Segments to packets: one demuxer over all the segments of a session, so that each is neither
//! opened nor probed by itself.
//!
//! A *session* is what one libav context can read: a run's segments of one container with one init
//! section. It ends where a segment needs another context; the next begins there.

mod begin;
mod config;
mod ending;
mod ends;
mod feed;
mod fragments;
mod glimpse;
mod input;
mod open;
mod pictures;
mod seekable;
mod streams;
mod taken;

pub(crate) use ending::{Ending, SegmentEnd};
pub(crate) use input::{Demuxed, DemuxedPacket, InputDemuxer, InputSource, Unusable};
pub(crate) use streams::{Dropped, InputRole};
