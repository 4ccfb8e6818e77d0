//! Watches a segment's bytes go by and tells at its end whether its structure was whole.
//!
//! A segment that was cut short often looks like good media up to the cut. What gives it away is
//! what the container promised and did not keep.

use super::fragment::{Listed, listed};
use super::movie::{MOOV_BYTES, MovieTrack, tracks_of};
use super::mp4::box_header;
use super::{Container, Packed, TS_SYNC};

/// A fragment's list that is longer is not looked into.
const MOOF_BYTES: u64 = 16 << 20;

/// How a segment's structure ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Structure {
    /// As it should.
    Whole,
    /// In the middle of a box or a frame: so many bytes are missing at least.
    Cut { missing_bytes: u64 },
    /// What stands where a box should begin is none.
    Broken,
    /// In the middle of a TS packet. Some packagers leave such tails without any loss.
    Torn,
    /// At so many places TS packets are missing, or what stands there is no packet, or no frame.
    Damaged { bad_packets: u64 },
    /// Inside PES packets that told their length, and the next segment does not go on with them.
    Open { missing_bytes: u64 },
}

/// A box that is looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IndexKind {
    Fragment,
    Movie,
}

impl IndexKind {
    fn of(kind: [u8; 4], size: u64) -> Option<Self> {
        match &kind {
            b"moof" if size <= MOOF_BYTES => Some(Self::Fragment),
            b"moov" if size <= MOOV_BYTES => Some(Self::Movie),
            _ => None,
        }
    }
}

/// Follows one segment.
#[derive(Debug)]
pub(crate) enum Watch {
    Ts {
        packet_bytes: usize,
        offset: usize,
        bad_packets: u64,
    },
    Mp4 {
        remaining: u64,
        header: Vec<u8>,
        endless: bool,
        broken: bool,
        /// A `moof` was met whose `mdat` was not.
        awaits_media: bool,
        /// The body of the `moof` or `moov` at hand, as far as it was met.
        body: Option<(IndexKind, Vec<u8>)>,
        /// What whole `moof`s listed, since it was asked for last.
        listed: Vec<Listed>,
        /// The same of the tracks that `moov`s declared.
        tracks: Vec<MovieTrack>,
    },
    Packed(Packed),
}

impl Watch {
    /// Follows a segment of this kind from its first media byte.
    pub(crate) fn new(container: Container) -> Self {
        match container {
            Container::MpegTs { packet_bytes } => Self::Ts { packet_bytes, offset: 0, bad_packets: 0 },
            Container::Mp4 => Self::Mp4 {
                remaining: 0,
                header: Vec::with_capacity(16),
                endless: false,
                broken: false,
                awaits_media: false,
                body: None,
                listed: Vec::new(),
                tracks: Vec::new(),
            },
            Container::Adts | Container::Mp3 | Container::Ac3 | Container::Eac3 => Self::Packed(Packed::new(container)),
        }
    }

    /// The next bytes.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) {
        match self {
            Self::Ts { packet_bytes, offset, bad_packets } => {
                let lead = if *packet_bytes == 192 { 4 } else { 0 };
                let first = (*packet_bytes + lead - *offset) % *packet_bytes;
                *bad_packets +=
                    bytes.iter().skip(first).step_by(*packet_bytes).filter(|b| **b != TS_SYNC).count() as u64;
                *offset = (*offset + bytes.len()) % *packet_bytes;
            }
            Self::Mp4 { remaining, header, endless, broken, awaits_media, body, listed: found_listed, tracks } => {
                while !bytes.is_empty() && !*endless && !*broken {
                    let of_box;
                    (of_box, bytes) = split(bytes, remaining);
                    if let Some((_, body)) = body.as_mut() {
                        body.extend_from_slice(of_box);
                    }
                    if let Some((kind, body)) = body.take_if(|_| *remaining == 0) {
                        match kind {
                            IndexKind::Fragment => found_listed.extend(listed(&body)),
                            IndexKind::Movie => tracks.extend(tracks_of(&body)),
                        }
                    }
                    let Some((first, rest)) = bytes.split_first() else { break };
                    header.push(*first);
                    bytes = rest;
                    // A header is 8 bytes, or 16 where it says that the size follows.
                    let wanted = if header.get(..4) == Some(&[0, 0, 0, 1]) { 16 } else { 8 };
                    if header.len() == wanted {
                        let found = box_header(header);
                        match found.map(|h| h.kind).as_ref() {
                            Some(b"moof") => *awaits_media = true,
                            Some(b"mdat") => *awaits_media = false,
                            _ => {}
                        }
                        match found {
                            Some(h) if h.size > 0 => {
                                *remaining = h.size - wanted as u64;
                                *body = IndexKind::of(h.kind, h.size).map(|kind| (kind, Vec::new()));
                            }
                            // Only the last box may leave its size open, and media is what writers do that for.
                            Some(h) if &h.kind == b"mdat" => *endless = true,
                            Some(_) | None => *broken = true,
                        }
                        header.clear();
                    }
                }
            }
            Self::Packed(packed) => packed.feed(bytes, &mut Vec::new()),
        }
    }

    /// The segment is at its end.
    pub(crate) fn finish(&self) -> Structure {
        match self {
            Self::Ts { offset: 1.., .. } => Structure::Torn,
            Self::Ts { bad_packets, .. } if *bad_packets > 0 => Structure::Damaged { bad_packets: *bad_packets },
            Self::Mp4 { broken: true, .. } => Structure::Broken,
            Self::Mp4 { endless: true, .. } => Structure::Whole,
            Self::Mp4 { remaining, header, .. } if *remaining > 0 || !header.is_empty() => {
                Structure::Cut { missing_bytes: (*remaining).max(1) }
            }
            Self::Packed(packed) => packed.structure(),
            _ => Structure::Whole,
        }
    }

    /// What fragments listed since the last call.
    pub(crate) fn take_listed(&mut self) -> Vec<Listed> {
        match self {
            Self::Mp4 { listed, .. } => std::mem::take(listed),
            _ => Vec::new(),
        }
    }

    /// The tracks that were declared since the last call.
    pub(crate) fn take_tracks(&mut self) -> Vec<MovieTrack> {
        match self {
            Self::Mp4 { tracks, .. } => std::mem::take(tracks),
            _ => Vec::new(),
        }
    }

    /// Its last box goes on to the end of the file, whatever follows.
    pub(crate) fn is_endless(&self) -> bool {
        matches!(self, Self::Mp4 { endless: true, .. })
    }

    /// The end came after a fragment's list of samples and before the samples.
    pub(crate) fn awaits_media(&self) -> bool {
        matches!(self, Self::Mp4 { awaits_media: true, .. })
    }
}

/// What belongs to the box at hand, and what follows.
fn split<'a>(bytes: &'a [u8], remaining: &mut u64) -> (&'a [u8], &'a [u8]) {
    let n = usize::try_from(*remaining).unwrap_or(usize::MAX).min(bytes.len());
    *remaining -= n as u64;
    bytes.split_at(n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn structure(container: Container, bytes: &[u8], piece: usize) -> Structure {
        let mut watch = Watch::new(container);
        bytes.chunks(piece).for_each(|piece| watch.feed(piece));
        watch.finish()
    }

    proptest! {
        #[test]
        fn an_mp4_cut_anywhere_inside_a_box_is_seen(cut in 1usize..2060, piece in 1usize..300) {
            let mut bytes = b"\0\0\0\x10styp1234\0\0\0\0\0\0\x07\xfcmdat".to_vec();
            bytes.resize(16 + 2044, 7);
            let seen = structure(Container::Mp4, &bytes[..cut], piece);
            prop_assert_eq!(seen == Structure::Whole, cut == 16 || cut == bytes.len());
        }

        #[test]
        fn bad_ts_packets_are_counted_however_the_bytes_come(piece in 1usize..1000, bad in 0usize..40) {
            for (packet_bytes, lead) in [(188, 0), (192, 4), (204, 0)] {
                let mut packet = vec![0u8; packet_bytes];
                packet[lead] = TS_SYNC;
                let mut bytes = packet.repeat(40);
                bytes[bad * packet_bytes + lead] = 0;
                let seen = structure(Container::MpegTs { packet_bytes }, &bytes, piece);
                prop_assert_eq!(seen, Structure::Damaged { bad_packets: 1 });
            }
        }
    }

    #[test]
    fn a_fragment_without_its_media_is_seen() {
        let bytes = b"\0\0\0\x09moof1\0\0\0\x09mdat1";
        for (end, awaits) in [(0, false), (9, true), (18, false)] {
            let mut watch = Watch::new(Container::Mp4);
            watch.feed(&bytes[..end]);
            assert_eq!((watch.finish(), watch.awaits_media()), (Structure::Whole, awaits), "{end}");
        }
    }

    #[test]
    fn a_cut_adts_frame_is_seen() {
        let frame = [0xff, 0xf1, 0x50, 0x80, 0x01, 0x5f, 0xfc, 1, 2, 3];
        let bytes = frame.repeat(3);
        assert_eq!(structure(Container::Adts, &bytes, 4), Structure::Whole);
        assert_eq!(structure(Container::Adts, &bytes[..bytes.len() - 1], 4), Structure::Cut { missing_bytes: 1 });
    }

    #[test]
    fn only_media_may_leave_its_size_open() {
        let mut watch = Watch::new(Container::Mp4);
        watch.feed(b"\0\0\0\x08free\0\0\0\0mdat whatever follows");
        assert_eq!((watch.finish(), watch.is_endless()), (Structure::Whole, true));
        let mut watch = Watch::new(Container::Mp4);
        watch.feed(b"\0\0\0\x08free\0\0\0\0trun whatever follows");
        assert_eq!((watch.finish(), watch.is_endless()), (Structure::Broken, false));
    }
}
