//! ID3v2 tags before packed audio, and the time they carry.

/// The owner of the PRIV frame that holds a segment's time (RFC 8216, 3.4).
const TIMESTAMP_OWNER: &[u8] = b"com.apple.streaming.transportStreamTimestamp\0";

/// The tags at the start of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tags {
    /// Bytes of all tags together; 0 if there is none.
    pub(super) length: usize,
    /// 33-bit time of the first frame behind them, in ticks of 90 kHz.
    pub(super) start_ticks: Option<i64>,
}

/// Reads the ID3v2 tags at the start, of which there may be several.
pub(super) fn parse(bytes: &[u8]) -> Tags {
    let mut tags = Tags::default();
    while let Some(length) = tag_length(&bytes[tags.length.min(bytes.len())..]) {
        let tag = &bytes[tags.length..bytes.len().min(tags.length + length)];
        tags.start_ticks = tags.start_ticks.or_else(|| timestamp(tag));
        tags.length += length;
    }
    tags
}

/// Bytes of the ID3v2 tag that starts here, header and footer included; `None` if none does.
pub(super) fn tag_length(bytes: &[u8]) -> Option<usize> {
    match *bytes.first_chunk::<10>()? {
        [b'I', b'D', b'3', _, _, flags, a, b, c, d] if (a | b | c | d) < 0x80 => {
            let body = [a, b, c, d].iter().fold(0, |sum, byte| sum << 7 | usize::from(*byte));
            let footer = if flags & 0x10 != 0 { 10 } else { 0 };
            Some(10 + body + footer)
        }
        _ => None,
    }
}

/// The tag is not walked frame by frame: writers disagree on how frame sizes are coded,
/// and the owner's name is as good a mark.
fn timestamp(tag: &[u8]) -> Option<i64> {
    let at = memchr::memmem::find(tag, TIMESTAMP_OWNER)? + TIMESTAMP_OWNER.len();
    let ticks = u64::from_be_bytes(*tag.get(at..)?.first_chunk()?);
    i64::try_from(ticks & 0x1_ffff_ffff).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(ticks: u64) -> Vec<u8> {
        let mut frame = TIMESTAMP_OWNER.to_vec();
        frame.extend(ticks.to_be_bytes());
        let mut body = b"PRIV".to_vec();
        body.extend((frame.len() as u32).to_be_bytes());
        body.extend([0, 0]);
        body.extend(frame);
        let mut tag = b"ID3\x04\0\0\0\0\0".to_vec();
        tag.push(body.len() as u8);
        tag.extend(body);
        tag
    }

    #[test]
    fn reads_the_time_and_the_length_of_several_tags() {
        let mut bytes = b"ID3\x04\0\0\0\0\0\x02xx".to_vec();
        bytes.extend(tag(0x1_2345_6789));
        let length = bytes.len();
        bytes.extend(b"\xff\xf1frame");
        assert_eq!(parse(&bytes), Tags { length, start_ticks: Some(0x1_2345_6789) });
    }

    #[test]
    fn a_cut_tag_is_no_panic() {
        let whole = tag(900_000);
        for n in 0..whole.len() {
            parse(&whole[..n]);
        }
        assert_eq!(parse(b"no tag"), Tags::default());
    }
}
