//! The fence around libav: all of libav and all `unsafe` of the crate.
//!
//! Nothing outside this module sees a libav type. Each context has one owner; contexts move
//! between threads and are never shared. No path or URL reaches libav: bytes go in and out
//! through our own readers and writers ([`io`]), the demuxer is forced by name, and the
//! protocols, formats and codecs that libav may use are listed here.

mod bsf;
mod decoder;
mod demuxer;
mod error;
mod io;
mod log;
mod muxer;
mod order;
mod packet;
mod params;
mod side_data;
#[cfg(test)]
mod tests;

pub(crate) use bsf::BitstreamFilter;
pub(crate) use decoder::{Decoder, Tally};
pub(crate) use demuxer::{Demuxer, DemuxerKind, IndexEntry, Probing, Stream};
pub(crate) use io::{Reader, Writer};
pub(crate) use log::{LogScope, unheard};
pub(crate) use muxer::{Muxer, TrackSetup, Unstarted, Writing};
pub(crate) use order::PictureOrder;
pub(crate) use packet::Packet;
pub(crate) use params::{CodecId, MediaKind, Parameters};

use std::sync::OnceLock;

/// Prepares libav, once in a process however often and from however many threads it is called.
fn init() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        // `register_all` is a no-op since libavformat 58; only the log hook is ours to set.
        log::install();
    });
}
