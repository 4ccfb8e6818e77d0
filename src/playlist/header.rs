//! What a media playlist says about itself.

use crate::error::{Error, ErrorKind, Result};
use crate::options::Limits;
use crate::playlist::normalise::{Content, lines};
use crate::playlist::warnings::Warnings;
use crate::playlist::{malformed, values};
use crate::time::Nanos;

/// The tags that concern the playlist as a whole; they may stand anywhere.
#[derive(Default)]
pub(super) struct Header {
    /// EXT-X-TARGETDURATION.
    pub(super) target_duration: Option<Nanos>,
    /// EXT-X-MEDIA-SEQUENCE; 0 where there is none (RFC 8216, 4.3.3.2).
    pub(super) media_sequence: u64,
    /// False if the playlist gives a media sequence number that cannot be read.
    pub(super) sequence_known: bool,
    /// EXT-X-ENDLIST, or PLAYLIST-TYPE:VOD.
    pub(super) ended: bool,
}

impl Header {
    /// Reads them all, and counts the segments against the limit before any is kept.
    pub(super) fn read(text: &str, limits: &Limits, warnings: &mut Warnings) -> Result<Self> {
        let mut header = Self { sequence_known: true, ..Self::default() };
        let mut numbered = false;
        let mut segments = 0;
        for line in lines(text) {
            let Content::Tag(name, value) = line.content else {
                segments += 1;
                if segments > limits.segments {
                    let message = format!("more than {} segments: that is the limit (segments)", limits.segments);
                    return Err(Error::new(ErrorKind::Limit, message));
                }
                continue;
            };
            match (name, value) {
                ("EXT-X-TARGETDURATION", _) => {
                    header.target_duration = values::seconds(value);
                    if header.target_duration.is_none() {
                        warnings.line(line.number, "EXT-X-TARGETDURATION is no usable duration");
                    }
                }
                ("EXT-X-MEDIA-SEQUENCE", _) => {
                    if numbered {
                        warnings.line(line.number, "EXT-X-MEDIA-SEQUENCE is given again: the last counts");
                    }
                    numbered = true;
                    header.sequence_known = value.parse::<u64>().is_ok();
                    header.media_sequence = value.parse().unwrap_or(0);
                    if !header.sequence_known {
                        warnings.line(line.number, "EXT-X-MEDIA-SEQUENCE is no usable number: taken as 0");
                    }
                }
                ("EXT-X-ENDLIST", _) | ("EXT-X-PLAYLIST-TYPE", "VOD") => header.ended = true,
                ("EXT-X-I-FRAMES-ONLY", _) => {
                    warnings.line(line.number, "an I-frame playlist: it holds key frames only, for seeking");
                }
                ("EXT-X-SKIP", _) if !value.split(',').any(|attribute| attribute.trim() == "SKIPPED-SEGMENTS=0") => {
                    return Err(malformed(line.number, "a delta update (EXT-X-SKIP), which leaves segments out")
                        .with_hint("load the playlist without _HLS_skip"));
                }
                _ => {}
            }
        }
        Ok(header)
    }
}
