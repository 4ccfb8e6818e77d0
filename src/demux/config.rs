//! Sees a codec's configuration change inside a session, where it travels with the packets and
//! libav goes on as if nothing had happened.

use crate::av::{CodecId, Packet, Stream};
use crate::container::latm_frame;

/// What is compared from packet to packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carrier {
    /// Sequence parameter sets before key pictures (ITU-T H.264, 7.4.1.2.1).
    H264,
    /// The same (ITU-T H.265, 7.4.2.4.4).
    Hevc,
    /// The fixed header of ADTS frames (ISO/IEC 13818-7, 6.2.1).
    Adts,
    /// The configuration that comes with some LATM frames (ISO/IEC 14496-3, 1.7.3.1).
    Latm,
}

/// Packets in a row that are no frames of their codec, from which on they are those of another.
const FOREIGN_PACKETS: u32 = 16;

/// What a packet is to the configuration of its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes on with it.
    Fits,
    /// It is no whole frame, or its header is damaged: nobody could decode it.
    Damaged,
    /// It begins another, as did so many packets before that were called damaged.
    Changes { damaged_before: u32 },
}

/// Follows one stream.
pub(super) struct ConfigWatch {
    carrier: Carrier,
    /// As the session's first packet that carried it had it.
    first: Option<Vec<u8>>,
    /// What the damaged packet before had, and how many are in a row.
    other: Option<Vec<u8>>,
    damaged: u32,
}

impl ConfigWatch {
    /// `None` for streams whose configuration is not in their packets.
    pub(super) fn new(stream: &Stream) -> Option<Self> {
        let extradata = stream.parameters.extradata();
        let in_packets =
            extradata.is_empty() || extradata.starts_with(&[0, 0, 1]) || extradata.starts_with(&[0, 0, 0, 1]);
        let carrier = match stream.parameters.codec() {
            CodecId::H264 if in_packets => Carrier::H264,
            CodecId::HEVC if in_packets => Carrier::Hevc,
            CodecId::AAC if stream.is_adts() => Carrier::Adts,
            CodecId::AAC_LATM => Carrier::Latm,
            _ => return None,
        };
        Some(Self { carrier, first: None, other: None, damaged: 0 })
    }

    /// Looks at the next packet.
    pub(super) fn look(&mut self, packet: &Packet) -> Verdict {
        let found = match self.carrier {
            Carrier::Adts => return self.look_at_adts(packet.data()),
            Carrier::Latm => latm_frame(packet.data()).ok().and_then(|frame| frame.config),
            Carrier::H264 | Carrier::Hevc if !packet.is_key() => None,
            Carrier::H264 => parameter_sets(packet.data(), |b| b & 0x1f == 7, |b| matches!(b & 0x1f, 1..=5)),
            Carrier::Hevc => parameter_sets(packet.data(), |b| b >> 1 & 0x3f == 33, |b| b >> 1 & 0x3f < 32),
        };
        match (&self.first, found) {
            (_, None) => Verdict::Fits,
            (None, found) => {
                self.first = found;
                Verdict::Fits
            }
            (Some(first), Some(found)) if *first == found => Verdict::Fits,
            _ => Verdict::Changes { damaged_before: 0 },
        }
    }

    /// A header that differs once is damage, as is what is no whole frame; twice the same, or many that are none, are
    /// another configuration, or another codec under the same PID.
    fn look_at_adts(&mut self, data: &[u8]) -> Verdict {
        let found = adts_header(data).filter(|_| adts_length(data) <= data.len());
        if found.is_some() && (self.first.is_none() || self.first == found) {
            (self.first, self.other, self.damaged) = (found, None, 0);
            return Verdict::Fits;
        }
        let is_again = found.is_some() && self.other == found;
        if is_again || (self.first.is_some() && self.damaged + 1 >= FOREIGN_PACKETS) {
            return Verdict::Changes { damaged_before: std::mem::take(&mut self.damaged) };
        }
        (self.other, self.damaged) = (found, self.damaged.saturating_add(1));
        // What never was ADTS is for the bitstream filter to refuse.
        if self.first.is_none() && self.damaged > FOREIGN_PACKETS { Verdict::Fits } else { Verdict::Damaged }
    }
}

/// Bytes that a frame says it has.
fn adts_length(data: &[u8]) -> usize {
    match data {
        [_, _, _, d, e, f, ..] => usize::from(d & 3) << 11 | usize::from(*e) << 3 | usize::from(f >> 5),
        _ => usize::MAX,
    }
}

/// Object type, sample rate and channels; `None` for what is no ADTS frame.
fn adts_header(data: &[u8]) -> Option<Vec<u8>> {
    match data {
        [0xff, b, c, d, ..] if b & 0xf6 == 0xf0 => Some(vec![b & 0x08, c & 0xfd, d & 0xc0]),
        _ => None,
    }
}

/// The sequence parameter sets that stand before the first slice; `None` if there are none.
fn parameter_sets(data: &[u8], is_set: fn(u8) -> bool, is_slice: fn(u8) -> bool) -> Option<Vec<u8>> {
    let mut sets = Vec::new();
    let mut starts = memchr::memmem::find_iter(data, &[0, 0, 1]).map(|at| at + 3).peekable();
    while let Some(start) = starts.next() {
        let first = *data.get(start)?;
        if is_slice(first) {
            break;
        }
        if is_set(first) {
            let end = starts.peek().map_or(data.len(), |next| next - 3);
            // The zero before a four-byte start code, and padding, belong to no unit.
            let length = data[start..end].iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
            sets.extend_from_slice(&data[start..start + length]);
        }
    }
    (!sets.is_empty()).then_some(sets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(data: &[u8]) -> Option<Vec<u8>> {
        parameter_sets(data, |b| b & 0x1f == 7, |b| matches!(b & 0x1f, 1..=5))
    }

    #[test]
    fn parameter_sets_end_at_the_first_slice_and_without_padding() {
        let picture = [0, 0, 0, 1, 9, 16, 0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x68, 3, 0, 0, 1, 0x65, 4, 0, 0, 1, 0x67, 9];
        assert_eq!(sets(&picture), Some(vec![0x67, 1, 2]));
        assert_eq!(sets(&[0, 0, 1, 0x65, 1]), None);
        assert_eq!(sets(&[0, 0, 1]), None);
    }

    #[test]
    fn one_damaged_frame_is_no_other_configuration() {
        let frame = |rate: u8| [0xff, 0xf1, 0x40 | rate << 2, 0x80, 0x01, 0x1f, 0xfc, 9];
        let mut watch = ConfigWatch { carrier: Carrier::Adts, first: None, other: None, damaged: 0 };
        let mut look = |data: &[u8]| watch.look_at_adts(data);
        let whole = frame(3);
        assert_eq!(look(&whole[..4]), Verdict::Damaged, "a stream that begins inside a frame");
        assert_eq!(look(&whole), Verdict::Fits);
        assert_eq!(look(&whole[..7]), Verdict::Damaged, "a frame that is cut");
        assert_eq!(look(&whole), Verdict::Fits);
        assert_eq!(look(&frame(4)), Verdict::Damaged);
        assert_eq!(look(&whole), Verdict::Fits);
        assert_eq!(look(&frame(4)), Verdict::Damaged);
        assert_eq!(look(&frame(4)), Verdict::Changes { damaged_before: 1 });
        for _ in 1..FOREIGN_PACKETS {
            assert_eq!(look(b"none of it"), Verdict::Damaged);
        }
        assert_eq!(look(b"none of it"), Verdict::Changes { damaged_before: FOREIGN_PACKETS - 1 });
    }

    #[test]
    fn adts_headers_differ_by_rate_and_channels_and_not_by_length() {
        let header = |c, d, e| adts_header(&[0xff, 0xf1, c, d, e, 0, 0]);
        assert_eq!(header(0x50, 0x80, 1), header(0x50, 0x81, 77));
        assert_ne!(header(0x50, 0x80, 1), header(0x4c, 0x80, 1));
        assert_ne!(header(0x50, 0x80, 1), header(0x50, 0x40, 1));
    }
}
