//! A segment that was opened: what its bytes are, and how far they were read.

use crate::container::{
    Container, InitPrefix, PICTURE, SNIFF_BYTES, Tables, Watch, goes_on, init_prefix, is_scrambled, longer_tags, sniff,
};
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::{Fetcher, SegmentBytes};
use crate::playlist::{Segment, may_be_empty};

/// Tags before packed audio, with pictures as they may be, may take so many bytes.
const TAG_BYTES: usize = 16 << 20;

/// A segment that is open.
pub(super) struct Open {
    pub(super) segment: usize,
    pub(super) bytes: SegmentBytes,
    pub(super) container: Container,
    /// What its own start holds of an init section.
    pub(super) prefix: InitPrefix,
    pub(super) audio_start_ticks: Option<i64>,
    /// Of a transport stream.
    pub(super) tables: Tables,
    /// Of packed audio: bytes of a frame that began in the segment before.
    pub(super) continued: usize,
    pub(super) watch: Watch,
    /// It begins with bytes that belong to nothing.
    pub(super) begins_with_junk: bool,
    pub(super) read_bytes: u64,
    /// Bytes of its media that were read so far, left out or not.
    pub(super) media_at: u64,
}

impl Open {
    /// Opens a segment and looks at its first bytes. `None` for one that holds nothing and was announced to.
    pub(super) fn new(fetcher: &Fetcher, segment: &Segment, position: usize) -> Result<Option<Self>> {
        let mut bytes = fetcher.open(segment)?;
        while let Some(tags) = longer_tags(bytes.head()).filter(|tags| *tags <= TAG_BYTES)
            && bytes.lengthen_head(tags + SNIFF_BYTES)?
        {}
        if bytes.head().is_empty() && may_be_empty(segment.duration) {
            return Ok(None);
        }
        if sniff(bytes.head()) == Err(PICTURE) {
            bytes.look_further()?;
        }
        let found = sniff(bytes.head()).map_err(|what| {
            let error = Error::new(ErrorKind::Media, format!("it is {what}, not media"));
            if segment.key.is_some() {
                error.with_hint("the key may be the wrong one; else get the segment again")
            } else {
                error.with_hint("get the segment again, or go on without it with --on-gap skip")
            }
        })?;
        if let Container::MpegTs { packet_bytes } = found.container
            && is_scrambled(&bytes.head()[found.skip..], packet_bytes)
        {
            return Err(scrambled());
        }
        let prefix = match found.container {
            Container::Mp4 => init_prefix(bytes.head(), bytes.head_is_all()),
            _ => InitPrefix::None,
        };
        let tables = match found.container {
            Container::MpegTs { packet_bytes } => Tables::read(&bytes.head()[found.skip..], packet_bytes),
            _ => Tables::default(),
        };
        bytes.skip(found.skip);
        Ok(Some(Self {
            segment: position,
            bytes,
            container: found.container,
            prefix,
            audio_start_ticks: found.audio_start_ticks,
            tables,
            continued: found.continued,
            watch: Watch::new(found.container),
            begins_with_junk: found.is_junk,
            read_bytes: 0,
            media_at: 0,
        }))
    }
}

/// Whether a segment begins in the middle of a PES packet of this PID. Where its start tells nothing of it, it may.
pub(super) fn goes_on_in(next: Option<&Open>, pid: u16) -> bool {
    match next.map(|next| (next.container, next.bytes.head())) {
        Some((Container::MpegTs { packet_bytes }, head)) => goes_on(head, packet_bytes, pid).unwrap_or(true),
        _ => false,
    }
}

pub(super) fn scrambled() -> Error {
    Error::new(ErrorKind::Unsupported, "its packets are scrambled").with_hint("it can be merged once it is descrambled")
}
