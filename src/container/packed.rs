//! Packed audio from segment to segment: its frames, without the tags and whatever else stands between them.
//!
//! libav takes a tag in the middle for part of a frame, and a frame that was cut for as long as it says. So it gets
//! whole frames only.

use super::frames::{self, HEADER_BYTES};
use super::{Container, Structure, id3};
use crate::time::{Nanos, TimeBase};

const ID3_HEADER_BYTES: usize = 10;
/// An ID3v1 tag, of 128 bytes, at the end of what once was a file.
const ID3V1: &[u8; 3] = b"TAG";
const ID3V1_BYTES: u64 = 128;

/// What is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    /// Nothing yet: a header comes.
    Header,
    /// A frame, of which so many bytes are still to come.
    Frame(u64),
    /// What is no sound.
    Tag(u64),
}

/// Follows packed audio.
#[derive(Debug)]
pub(crate) struct Packed {
    container: Container,
    piece: Piece,
    /// The bytes at hand: of a header, or of the frame.
    held: Vec<u8>,
    coding: Option<[u8; 2]>,
    /// Frames do not tell their length: the bytes are given as they are.
    transparent: bool,
    /// Frames seen since the beginning.
    frames: u64,
    /// Of the frames since the last call of [`begin_segment`](Self::begin_segment).
    duration: Nanos,
    /// Places since then where bytes stand that are nothing.
    bad_places: u64,
    in_junk: bool,
}

impl Packed {
    pub(crate) fn new(container: Container) -> Self {
        Self {
            container,
            piece: Piece::Header,
            held: Vec::new(),
            coding: None,
            transparent: false,
            frames: 0,
            duration: Nanos::ZERO,
            bad_places: 0,
            in_junk: false,
        }
    }

    /// The next bytes; the frames that are whole with them go to `out`.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            if self.transparent {
                out.extend_from_slice(bytes);
                return;
            }
            bytes = match self.piece {
                Piece::Header => self.header(bytes),
                Piece::Frame(remaining) => {
                    let (now, later) = split(bytes, remaining);
                    self.held.extend_from_slice(now);
                    self.piece = Piece::Frame(remaining - now.len() as u64);
                    later
                }
                Piece::Tag(remaining) => {
                    let (now, later) = split(bytes, remaining);
                    self.piece = Piece::Tag(remaining - now.len() as u64);
                    later
                }
            };
            match self.piece {
                Piece::Frame(0) => self.give(out),
                Piece::Tag(0) => self.piece = Piece::Header,
                _ => {}
            }
        }
    }

    /// Takes what belongs to a header, byte by byte; gives back the rest.
    fn header<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Some((first, rest)) = bytes.split_first() else { return bytes };
        self.held.push(*first);
        let Some(header) = self.held.first_chunk::<HEADER_BYTES>().copied() else { return rest };
        if header.starts_with(b"ID3") {
            if self.held.len() < ID3_HEADER_BYTES {
                return rest;
            }
            if let Some(length) = id3::tag_length(&self.held) {
                return self.begin(Piece::Tag((length - ID3_HEADER_BYTES) as u64), rest);
            }
        }
        if header.starts_with(ID3V1) {
            return self.begin(Piece::Tag(ID3V1_BYTES - HEADER_BYTES as u64), rest);
        }
        let coding = frames::coding(self.container, &header);
        // Behind junk anything may look like a frame: it is one if it is coded as those before.
        let found = frames::frame(self.container, &header)
            .filter(|_| !self.in_junk || self.coding.is_none_or(|before| before == coding));
        match found {
            Some(frame) => {
                if let Some(rate) = TimeBase::per_second(frame.rate_hz) {
                    self.duration = self.duration.plus(Nanos::from_ticks(frame.samples.into(), rate));
                }
                (self.coding, self.in_junk) = (Some(coding), false);
                self.piece = Piece::Frame(frame.length.saturating_sub(self.held.len() as u64));
            }
            None if self.coding.is_none() && !self.in_junk && self.begins_a_frame() => self.transparent = true,
            None => {
                self.bad_places += u64::from(!self.in_junk);
                self.in_junk = true;
                self.held.remove(0);
            }
        }
        rest
    }

    /// What is held begins as a frame does that does not tell its length.
    fn begins_a_frame(&self) -> bool {
        super::audio_container(&self.held) == Some(self.container)
    }

    fn begin<'a>(&mut self, piece: Piece, rest: &'a [u8]) -> &'a [u8] {
        self.held.clear();
        (self.piece, self.in_junk) = (piece, false);
        rest
    }

    /// Gives out the frame that is whole now. A description further in is none of what follows.
    fn give(&mut self, out: &mut Vec<u8>) {
        if self.frames == 0 || !frames::is_description(self.container, &self.held) {
            out.extend_from_slice(&self.held);
        }
        self.frames += 1;
        self.held.clear();
        self.piece = Piece::Header;
    }

    /// The frame at hand: its bytes so far, and those that are missing. `None` between two frames.
    pub(crate) fn open_frame(&self) -> Option<(u64, u64)> {
        match self.piece {
            Piece::Frame(missing) => Some((self.held.len() as u64, missing)),
            Piece::Header if self.may_be_frame() => Some((self.held.len() as u64, 1)),
            _ => None,
        }
    }

    /// Length of the frame at hand, if so many bytes more make it whole.
    pub(crate) fn whole_with(&self, bytes: u64) -> Option<u64> {
        let held = self.held.len() as u64;
        match self.piece {
            Piece::Frame(missing) => (missing == bytes).then_some(held + missing),
            Piece::Header => self.may_be_frame().then_some(held + bytes),
            Piece::Tag(_) => None,
        }
    }

    /// The few bytes held could become a header.
    fn may_be_frame(&self) -> bool {
        let sync: &[u8] = match self.container {
            Container::Ac3 | Container::Eac3 => &[0x0b, 0x77],
            _ => &[0xff],
        };
        let n = sync.len().min(self.held.len());
        n > 0 && !self.in_junk && self.held[..n] == sync[..n]
    }

    /// Length of the frames that began since the last segment's end; `None` where nothing tells.
    pub(crate) fn duration(&self) -> Option<Nanos> {
        (!self.transparent && self.coding.is_some()).then_some(self.duration)
    }

    /// A segment is at its end: how its structure was.
    pub(crate) fn structure(&self) -> Structure {
        // A few bytes at the end that begin nothing.
        let tail = u64::from(self.piece == Piece::Header && !self.held.is_empty() && !self.in_junk);
        match self.open_frame() {
            Some((_, missing_bytes)) => Structure::Cut { missing_bytes },
            None if self.bad_places + tail > 0 => Structure::Damaged { bad_packets: self.bad_places + tail },
            None => Structure::Whole,
        }
    }

    /// Another segment begins. `continues`: with the rest of the frame at hand.
    pub(crate) fn begin_segment(&mut self, continues: bool) {
        if !continues {
            self.held.clear();
            self.piece = Piece::Header;
        }
        (self.duration, self.bad_places, self.in_junk) = (Nanos::ZERO, 0, false);
    }

    /// The rest of a frame that is not there was passed over.
    pub(crate) fn passed_over(&mut self) {
        self.bad_places += 1;
    }
}

/// As much as belongs to the piece at hand, and the rest.
fn split(bytes: &[u8], remaining: u64) -> (&[u8], &[u8]) {
    bytes.split_at(usize::try_from(remaining).unwrap_or(usize::MAX).min(bytes.len()))
}

/// Bytes before the first frame of packed audio that begins inside of one: `None` if it is no packed audio either.
/// Three frames must follow each other, as anything may look like one.
pub(super) fn begins_inside(container: Container, bytes: &[u8]) -> Option<usize> {
    const LONGEST_FRAME_BYTES: usize = 8192;
    let next = |at: usize| {
        let header = bytes.get(at..)?.first_chunk()?;
        Some((at + usize::try_from(frames::frame(container, header)?.length).ok()?, frames::coding(container, header)))
    };
    (1..LONGEST_FRAME_BYTES.min(bytes.len())).find(|start| {
        let mut at = *start;
        let mut coding = None;
        (0..3).all(|_| match next(at) {
            Some((end, found)) if coding.is_none_or(|before| before == found) => {
                (at, coding) = (end, Some(found));
                true
            }
            _ => false,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A frame of AAC of so many bytes.
    fn aac(length: u8, content: u8) -> Vec<u8> {
        let mut frame = vec![0xff, 0xf1, 0x4c, 0x40, length >> 3, (length << 5) | 0x1f, 0xfc];
        frame.resize(length.into(), content);
        frame
    }

    fn tag(body: &[u8]) -> Vec<u8> {
        [b"ID3\x04\0\0\0\0\0", &[body.len() as u8][..], body].concat()
    }

    fn fed(packed: &mut Packed, bytes: &[u8], piece: usize) -> Vec<u8> {
        let mut out = Vec::new();
        bytes.chunks(piece).for_each(|bytes| packed.feed(bytes, &mut out));
        out
    }

    proptest! {
        #[test]
        fn frames_come_out_and_nothing_else(piece in 1usize..300, at in 0usize..4) {
            let frames = [aac(40, 1), aac(90, 2), aac(8, 3)];
            // A tag that looks like a frame inside.
            let between = [tag(&aac(60, 9)), [&b"TAG"[..], &[b' '; 125]].concat(), tag(b"")].concat();
            let mut bytes = frames[..at.min(3)].concat();
            bytes.extend(&between);
            bytes.extend(frames[at.min(3)..].concat());
            let mut packed = Packed::new(Container::Adts);
            prop_assert_eq!(fed(&mut packed, &bytes, piece), frames.concat());
            prop_assert_eq!(packed.structure(), Structure::Whole);
            prop_assert!(packed.duration().unwrap().distance(Nanos(64_000_000)) < Nanos(10));
        }

        #[test]
        fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..900), piece in 1usize..300) {
            for container in [Container::Adts, Container::Mp3, Container::Ac3, Container::Eac3] {
                let mut packed = Packed::new(container);
                fed(&mut packed, &bytes, piece);
                packed.structure();
                begins_inside(container, &bytes);
            }
        }
    }

    #[test]
    fn junk_is_passed_over_and_told() {
        let (a, b) = (aac(40, 1), aac(50, 2));
        let mut packed = Packed::new(Container::Adts);
        assert_eq!(fed(&mut packed, &[&a[..], &[0; 37], b"ID", &b].concat(), 7), [&a[..], &b].concat());
        assert_eq!(packed.structure(), Structure::Damaged { bad_packets: 1 });
        packed.begin_segment(false);
        assert_eq!(packed.structure(), Structure::Whole);
        fed(&mut packed, &[&a[..], &[0; 3]].concat(), 7);
        assert_eq!(packed.structure(), Structure::Damaged { bad_packets: 1 }, "a tail that is nothing");
    }

    #[test]
    fn a_cut_frame_is_seen_and_not_given_unless_it_goes_on() {
        let (a, b) = (aac(40, 1), aac(50, 2));
        for cut in [3, 20, 39] {
            let mut packed = Packed::new(Container::Adts);
            assert_eq!(fed(&mut packed, &[&b[..], &a[..cut]].concat(), 9), b);
            assert!(matches!(packed.structure(), Structure::Cut { .. }), "{cut}");
            packed.begin_segment(true);
            assert_eq!(fed(&mut packed, &[&a[cut..], &b[..]].concat(), 9), [&a[..], &b].concat(), "{cut}");
            assert_eq!(packed.structure(), Structure::Whole);
        }
        let mut packed = Packed::new(Container::Adts);
        fed(&mut packed, &a[..20], 9);
        packed.begin_segment(false);
        assert_eq!(fed(&mut packed, &b, 9), b, "the rest never came");
    }

    #[test]
    fn a_description_counts_only_in_front() {
        let mut info = vec![0xff, 0xfb, 0x90, 0xc0];
        info.resize(417, 0);
        let sound = info.clone();
        info[21..25].copy_from_slice(b"Xing");
        let mut packed = Packed::new(Container::Mp3);
        let bytes = [&info[..], &sound, &info, &sound].concat();
        assert_eq!(fed(&mut packed, &bytes, 100), [&info[..], &sound, &sound].concat());
    }

    #[test]
    fn a_start_inside_of_a_frame_is_found() {
        let frames = [aac(90, 2), aac(40, 1), aac(90, 2), aac(40, 0)].concat();
        assert_eq!(begins_inside(Container::Adts, &frames[30..]), Some(60));
        assert_eq!(begins_inside(Container::Adts, &frames[30..200]), None, "two frames may be chance");
        assert_eq!(begins_inside(Container::Mp3, &frames[30..]), None);
    }
}
