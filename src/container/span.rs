//! How long a segment is, told from its bytes as they go by, without decoding.
//!
//! A body that was cut exactly between two TS packets or two frames has the structure of a whole one. Its length
//! gives it away, and a PES packet that promised more than came.

use std::collections::HashMap;

use super::{Container, Packed, TS_PACKET_BYTES, TS_SYNC};
use crate::time::{Nanos, TimeBase};

/// What was found by the end of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Found {
    /// Length of its longest stream; `None` where nothing tells.
    pub(crate) duration: Option<Nanos>,
    /// It ended inside of something that told its size.
    pub(crate) is_open: bool,
}

/// Follows one segment.
#[derive(Debug)]
pub(crate) enum Span {
    Ts {
        packet_bytes: usize,
        packet: Vec<u8>,
        /// By PID, of which there are 8192 at most.
        streams: HashMap<u16, Stream>,
    },
    Packed(Packed),
    /// fMP4 has its time scale in another resource.
    Nothing,
}

/// One PID that carries PES packets.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// Unwrapped, in ticks of 90 kHz: of the PES packet before, the earliest and the latest.
    times: Option<(i64, i64, i64)>,
    /// PES packets with a time.
    count: i64,
    /// Bytes that are still to come of the last one; `None` where it told no length, as video may.
    missing: Option<u64>,
}

impl Span {
    /// Follows a segment of this kind from its first media byte.
    pub(crate) fn new(container: Container) -> Self {
        match container {
            Container::MpegTs { packet_bytes } => {
                Self::Ts { packet_bytes, packet: Vec::with_capacity(packet_bytes), streams: HashMap::new() }
            }
            Container::Adts | Container::Mp3 | Container::Ac3 | Container::Eac3 => Self::Packed(Packed::new(container)),
            Container::Mp4 => Self::Nothing,
        }
    }

    /// The next bytes.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) {
        match self {
            Self::Ts { packet_bytes, packet, streams } => {
                let lead = if *packet_bytes == 192 { 4 } else { 0 };
                while !bytes.is_empty() {
                    let (now, later) = bytes.split_at(bytes.len().min(*packet_bytes - packet.len()));
                    packet.extend_from_slice(now);
                    bytes = later;
                    if packet.len() == *packet_bytes {
                        ts_packet(&packet[lead..lead + TS_PACKET_BYTES], streams);
                        packet.clear();
                    }
                }
            }
            Self::Packed(packed) => packed.feed(bytes, &mut Vec::new()),
            Self::Nothing => {}
        }
    }

    /// The segment is at its end.
    pub(crate) fn finish(&self) -> Found {
        match self {
            Self::Ts { streams, .. } => Found {
                duration: streams.values().filter_map(Stream::duration).max(),
                is_open: streams.values().any(|stream| stream.missing.is_some_and(|missing| missing > 0)),
            },
            Self::Packed(packed) => Found { duration: packed.duration(), is_open: packed.open_frame().is_some() },
            Self::Nothing => Found::default(),
        }
    }
}

impl Stream {
    /// From the first time to the last, and the last PES packet's own length, which is taken to be that of the
    /// others.
    fn duration(&self) -> Option<Nanos> {
        let (_, first, last) = self.times?;
        let between = last.saturating_sub(first);
        let ticks = between.saturating_add(between / (self.count - 1).max(1));
        Some(Nanos::from_ticks(ticks, TimeBase::MPEG))
    }

    fn begin(&mut self, pes: &[u8]) {
        let Some(header) = pes.first_chunk::<6>() else { return };
        let declared = u64::from(u16::from_be_bytes([header[4], header[5]]));
        self.missing = (declared > 0).then(|| declared.saturating_sub((pes.len() - header.len()) as u64));
        let Some(ticks) = pts(pes) else { return };
        let (before, first, last) = self.times.unwrap_or((ticks, ticks, ticks));
        // The difference as 33 bits with a sign: whichever of the two ways round is nearer.
        let now = before.saturating_add((ticks.wrapping_sub(before) << 31) >> 31);
        self.times = Some((now, first.min(now), last.max(now)));
        self.count += 1;
    }
}

/// Takes down what one packet tells (ISO/IEC 13818-1, 2.4.3.2).
fn ts_packet(packet: &[u8], streams: &mut HashMap<u16, Stream>) {
    let &[sync, high, low, control, ref rest @ ..] = packet else { return };
    let is_scrambled = control & 0xc0 != 0;
    if sync != TS_SYNC || is_scrambled || control & 0x10 == 0 {
        return;
    }
    let adaptation = if control & 0x20 != 0 { rest.first().map_or(0, |length| usize::from(*length) + 1) } else { 0 };
    let Some(payload) = rest.get(adaptation..) else { return };
    let pid = u16::from_be_bytes([high & 0x1f, low]);
    let begins = high & 0x40 != 0;
    if begins && payload.starts_with(&[0, 0, 1]) {
        streams.entry(pid).or_default().begin(payload);
    } else if let Some(missing) = streams.get_mut(&pid).and_then(|stream| stream.missing.as_mut()) {
        *missing = missing.saturating_sub(payload.len() as u64);
    }
}

/// The PTS of a PES packet; `None` if it has none (ISO/IEC 13818-1, 2.4.3.6).
fn pts(pes: &[u8]) -> Option<i64> {
    let &[_, _, _, id, _, _, marks, flags, _, a, b, c, d, e] = pes.first_chunk::<14>()?;
    let is_media = matches!(id, 0xbd | 0xc0..=0xef | 0xfd);
    let has_pts = marks & 0xc0 == 0x80 && flags & 0x80 != 0;
    let [a, b, c, d, e] = [a, b, c, d, e].map(i64::from);
    (is_media && has_pts).then_some((a >> 1 & 7) << 30 | b << 22 | (c >> 1) << 15 | d << 7 | e >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SEGMENT: &[u8] = include_bytes!("../../fixtures/ts-h264-aac/index0.ts");
    const WRAPPED: [&[u8]; 3] = [
        include_bytes!("../../fixtures/wrap-33bit/index0.ts"),
        include_bytes!("../../fixtures/wrap-33bit/index1.ts"),
        include_bytes!("../../fixtures/wrap-33bit/index2.ts"),
    ];
    const AUDIO: &[u8] = include_bytes!("../../fixtures/packed-aac/a1.aac");

    fn found(container: Container, bytes: &[u8], piece: usize) -> Found {
        let mut span = Span::new(container);
        bytes.chunks(piece).for_each(|piece| span.feed(piece));
        span.finish()
    }

    fn ts(bytes: &[u8]) -> Found {
        found(Container::MpegTs { packet_bytes: TS_PACKET_BYTES }, bytes, 1 << 16)
    }

    fn ms(found: Found) -> i64 {
        found.duration.map_or(-1, |duration| duration.0 / 1_000_000)
    }

    proptest! {
        #[test]
        fn a_cut_between_packets_is_never_longer_and_the_pieces_do_not_matter(k in 0usize..=55, piece in 1usize..500) {
            let cut = &SEGMENT[..k * TS_PACKET_BYTES];
            let container = Container::MpegTs { packet_bytes: TS_PACKET_BYTES };
            prop_assert_eq!(found(container, cut, piece), ts(cut));
            prop_assert!(ts(cut).duration <= ts(SEGMENT).duration);
        }

        #[test]
        fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..900), k in 0usize..50) {
            for container in [188, 192, 204].map(|packet_bytes| Container::MpegTs { packet_bytes }) {
                found(container, &bytes, 100);
            }
            found(Container::Adts, &bytes, 3);
            let mut spoiled = SEGMENT.to_vec();
            spoiled[k * 188 + 4..].iter_mut().zip(&bytes).for_each(|(byte, other)| *byte = *other);
            ts(&spoiled);
        }
    }

    #[test]
    fn a_whole_segment_is_as_long_as_announced_and_half_of_it_is_not() {
        assert!((950..1100).contains(&ms(ts(SEGMENT))), "{:?}", ts(SEGMENT));
        assert!(!ts(SEGMENT).is_open);
        let half = SEGMENT.len() / 2 / TS_PACKET_BYTES * TS_PACKET_BYTES;
        assert!(ms(ts(&SEGMENT[..half])) < 700, "{:?}", ts(&SEGMENT[..half]));
        for (lead, size) in [(4, 192), (0, 204)] {
            let packet = |p: &[u8]| [&[7; 16][..lead], p, &[7; 16][..size - lead - 188]].concat();
            let bytes: Vec<u8> = SEGMENT.chunks(188).flat_map(packet).collect();
            assert_eq!(found(Container::MpegTs { packet_bytes: size }, &bytes, 1000), ts(SEGMENT));
        }
    }

    #[test]
    fn a_pes_packet_that_promised_more_is_seen() {
        // Where the last packet of audio is missing, and so the end of its PES packet.
        let audio = |p: &&[u8]| p[1] & 0x1f == 1 && p[2] == 1;
        let last = SEGMENT.chunks(188).rposition(|p| audio(&p)).expect("audio");
        assert!(SEGMENT[last * 188 + 1] & 0x40 == 0, "it takes more than one packet");
        assert!(ts(&SEGMENT[..last * 188]).is_open);
    }

    #[test]
    fn clocks_that_wrap_inside_of_a_segment_count_on() {
        for segment in WRAPPED {
            assert!((950..1100).contains(&ms(ts(segment))), "{:?}", ts(segment));
        }
    }

    #[test]
    fn adts_is_as_long_as_its_frames() {
        let (skip, container) = (super::super::sniff(AUDIO).unwrap().skip, Container::Adts);
        let whole = found(container, &AUDIO[skip..], 100);
        assert!((950..1100).contains(&ms(whole)) && !whole.is_open, "{whole:?}");
        assert!(found(container, &AUDIO[skip..AUDIO.len() - 1], 100).is_open);
        let frame = super::super::frames::frame(container, AUDIO[skip..].first_chunk().unwrap()).unwrap();
        let one = found(container, &AUDIO[skip..skip + frame.length as usize], 100);
        assert!((20..25).contains(&ms(one)) && !one.is_open, "{one:?}");
    }
}
