//! H.264 and HEVC from start codes to lengths: Annex B (ITU-T H.264, H.265) to what MP4 and Matroska carry
//! (ISO/IEC 14496-15).
//!
//! libav's muxers can do it too. They spend a quarter of a merge on H.264, as their search looks at four bytes at a time,
//! and newer ones leave out all parameter sets of HEVC, those that differ from the header's with the others.

use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::av::Packet;
use crate::error::{Error, ErrorKind, Result};

const LENGTH_BYTES: usize = 4;
static START_CODE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(&[0, 0, 1]));

/// Where the units between start codes are, without the zeros around them (B.1.1, B.2.1).
pub(super) fn units(data: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut starts = START_CODE.find_iter(data).map(|at| at + 3).peekable();
    std::iter::from_fn(move || {
        let start = starts.next()?;
        let end = starts.peek().map_or(data.len(), |next| next - 3);
        Some(start..data[start..end].iter().rposition(|b| *b != 0).map_or(start, |last| start + last + 1))
    })
    .filter(|unit| !unit.is_empty())
}

/// Reads a unit's payload bit by bit.
pub(super) struct Bits {
    payload: Vec<u8>,
    at: usize,
}

impl Bits {
    /// Over a part of a unit. A 3 behind two zeros only keeps start codes out (7.4.1, 7.4.2).
    pub(super) fn new(unit: &[u8]) -> Self {
        let stuffed = |n: usize| n >= 2 && unit[n] == 3 && unit[n - 2..n] == [0, 0];
        Self { payload: (0..unit.len()).filter(|n| !stuffed(*n)).map(|n| unit[n]).collect(), at: 0 }
    }

    pub(super) fn bit(&mut self) -> Option<u32> {
        let byte = self.payload.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(u32::from(bit))
    }

    pub(super) fn bits(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value, _| Some(value << 1 | self.bit()?))
    }

    /// Leaves bits out, of which there may be fewer.
    pub(super) fn skip(&mut self, count: usize) {
        self.at = self.at.saturating_add(count);
    }

    /// An Exp-Golomb code (9.1, 9.2).
    pub(super) fn number(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.bit()? == 0 {
            zeros += 1;
        }
        if zeros > 31 {
            return None;
        }
        (0..zeros).try_fold(1, |value, _| Some(value << 1 | self.bit()?)).map(|value: u32| value - 1)
    }
}

/// Writes packets with lengths in place of start codes.
#[derive(Default)]
pub(super) struct Framing {
    /// Units and their lengths as written; kept from packet to packet for its room.
    units: Vec<(Range<usize>, [u8; LENGTH_BYTES])>,
}

impl Framing {
    pub(super) fn frame(&mut self, mut packet: Packet) -> Result<Packet> {
        self.units.clear();
        // libav's packets are shorter than 2 GiB.
        self.units.extend(units(packet.data()).map(|unit| (unit.clone(), (unit.len() as u32).to_be_bytes())));
        if self.units.is_empty() {
            return Err(Error::new(ErrorKind::Media, "a picture holds nothing but start codes"));
        }
        if self.fits(packet.data().len())
            && let Some(data) = packet.data_mut()
        {
            for (unit, length) in &self.units {
                data[unit.start - LENGTH_BYTES..unit.start].copy_from_slice(length);
            }
            return Ok(packet);
        }
        let data = packet.data();
        packet.assembled(self.units.iter().flat_map(|(unit, length)| [&length[..], &data[unit.clone()]]))
    }

    /// Whether each start code is as long as a length, so that one takes the other's place.
    fn fits(&self, bytes: usize) -> bool {
        let mut end = 0;
        let chained =
            self.units.iter().all(|(unit, _)| unit.start - std::mem::replace(&mut end, unit.end) == LENGTH_BYTES);
        chained && end == bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(data: &[u8]) -> Vec<&[u8]> {
        units(data).map(|unit| &data[unit]).collect()
    }

    #[test]
    fn units_stand_between_start_codes_without_the_zeros_around_them() {
        assert_eq!(found(&[0, 0, 0, 1, 9, 16, 0, 0, 1, 0x65, 1, 2]), [&[9, 16][..], &[0x65, 1, 2]]);
        assert_eq!(
            found(&[7, 7, 0, 0, 1, 5, 0, 0, 3, 1, 0, 0, 0]),
            [&[5, 0, 0, 3, 1][..]],
            "padding, emulation prevention"
        );
        assert_eq!(found(&[0, 0, 1, 0, 0, 1, 5]), [&[5][..]], "an empty unit");
        assert!(found(&[0, 0, 0]).is_empty());
        assert!(found(&[5, 6, 7]).is_empty());
    }

    #[test]
    fn start_codes_of_any_length_become_lengths() {
        let short = [&[0, 0, 0, 1, 9, 16, 0, 0, 1, 0x65][..], &[8; 300], &[0]].concat();
        let long = [&[0, 0, 0, 1, 9, 16, 0, 0, 0, 1, 0x65][..], &[8; 300]].concat();
        let expected = [&[0, 0, 0, 2, 9, 16, 0, 0, 1, 45, 0x65][..], &[8; 300]].concat();
        let mut framing = Framing::default();
        for data in [short, long] {
            let mut packet = Packet::new().unwrap().assembled([&data[..]].into_iter()).unwrap();
            packet.set_times(7, 5, 3);
            let check = |framed: Packet| {
                assert_eq!(framed.data(), expected);
                assert_eq!((framed.pts(), framed.dts(), framed.duration()), (Some(7), Some(5), Some(3)));
            };
            check(framing.frame(packet.try_clone().unwrap()).unwrap());
            assert_eq!(packet.data(), data, "a packet that shares its payload sees no change");
            check(framing.frame(packet).unwrap());
        }
        assert!(framing.frame(Packet::new().unwrap()).is_err());
    }
}
