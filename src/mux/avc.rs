//! H.264 from start codes to lengths: Annex B (ITU-T H.264) to what MP4 and Matroska carry (ISO/IEC 14496-15, 5).
//!
//! libav's muxers can do it too, and spend a quarter of a merge on it: their search looks at four bytes at a time.

use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::av::Packet;
use crate::error::{Error, ErrorKind, Result};

const LENGTH_BYTES: usize = 4;
static START_CODE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(&[0, 0, 1]));

const SEQUENCE_PARAMETER_SET: u8 = 7;
const PICTURE_PARAMETER_SET: u8 = 8;
/// Profiles whose configuration says nothing of chroma and bit depth (ISO/IEC 14496-15, 5.3.3.1.2).
const PLAIN_PROFILES: [u8; 3] = [66, 77, 88];

/// Where the units between start codes are, without the zeros around them (B.1.1).
fn units(data: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut starts = START_CODE.find_iter(data).map(|at| at + 3).peekable();
    std::iter::from_fn(move || {
        let start = starts.next()?;
        let end = starts.peek().map_or(data.len(), |next| next - 3);
        Some(start..data[start..end].iter().rposition(|b| *b != 0).map_or(start, |last| start + last + 1))
    })
    .filter(|unit| !unit.is_empty())
}

/// Parameter sets between start codes as a decoder configuration record. `None` if a set is missing, or they are no
/// such sets.
pub(super) fn configuration(extradata: &[u8]) -> Option<Vec<u8>> {
    let of_kind = |kind| units(extradata).map(|u| &extradata[u]).filter(move |u| u[0] & 0x1f == kind);
    let first = of_kind(SEQUENCE_PARAMETER_SET).next().filter(|set| set.len() > 3)?;
    of_kind(PICTURE_PARAMETER_SET).next()?;
    // Lengths of four bytes.
    let mut record = vec![1, first[1], first[2], first[3], 0xff];
    for (kind, bits) in [(SEQUENCE_PARAMETER_SET, 0xe0), (PICTURE_PARAMETER_SET, 0)] {
        record.push(bits | u8::try_from(of_kind(kind).count()).ok().filter(|n| *n < 32)?);
        for set in of_kind(kind) {
            record.extend(u16::try_from(set.len()).ok()?.to_be_bytes());
            record.extend(set);
        }
    }
    if !PLAIN_PROFILES.contains(&first[1]) {
        let (chroma, luma_depth, chroma_depth) = samples(&first[4..])?;
        record.extend([0xfc | chroma, 0xf8 | luma_depth, 0xf8 | chroma_depth, 0]);
    }
    Some(record)
}

/// Chroma format and the two bit depths, less 8, of a sequence parameter set from its identifier on (7.3.2.1.1).
fn samples(set: &[u8]) -> Option<(u8, u8, u8)> {
    // A 3 behind two zeros only keeps start codes out (7.4.1).
    let stuffed = |n: usize| n >= 2 && set[n] == 3 && set[n - 2..n] == [0, 0];
    let payload = (0..set.len()).filter(|n| !stuffed(*n)).map(|n| set[n]).collect();
    let mut bits = Bits { payload, at: 0 };
    let _identifier = bits.number()?;
    let chroma = bits.number().filter(|n| *n <= 3)?;
    if chroma == 3 {
        let _planes_coded_apart = bits.bit()?;
    }
    let mut depth = || bits.number().filter(|n| *n <= 6);
    let (luma, chroma_depth) = (depth()?, depth()?);
    Some((chroma as u8, luma as u8, chroma_depth as u8))
}

struct Bits {
    payload: Vec<u8>,
    at: usize,
}

impl Bits {
    fn bit(&mut self) -> Option<u32> {
        let byte = self.payload.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(u32::from(bit))
    }

    /// An Exp-Golomb code (9.1).
    fn number(&mut self) -> Option<u32> {
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

    const SPS: [u8; 6] = [0x67, 77, 0x40, 31, 0x8d, 0x68];
    const PPS: [u8; 3] = [0x68, 0xee, 0x3c];

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
    fn a_configuration_holds_both_kinds_of_parameter_sets_with_their_lengths() {
        let extradata = [&[0, 0, 0, 1][..], &SPS, &[0, 0, 1], &PPS, &[0]].concat();
        let record = [&[1, 77, 0x40, 31, 0xff, 0xe1, 0, 6][..], &SPS, &[1, 0, 3], &PPS].concat();
        assert_eq!(configuration(&extradata), Some(record));
        assert_eq!(configuration(&extradata[..10]), None, "no picture parameter set");
        assert_eq!(configuration(&[&[0, 0, 1][..], &PPS].concat()), None, "no sequence parameter set");
        assert_eq!(configuration(&[]), None);
    }

    #[test]
    fn high_profiles_tell_chroma_format_and_bit_depth() {
        // Identifier 0 (1), chroma format 1 (010), luma depth 8 (1), chroma depth 10 (011).
        assert_eq!(samples(&[0b1010_1011]), Some((1, 0, 2)));
        // Chroma format 3 (00100), planes apart (1), depths 8 and 8 (1, 1).
        assert_eq!(samples(&[0b1001_0011, 0b1000_0000]), Some((3, 0, 0)));
        // An identifier of 31 bits with a 3 behind its two zeros, which is no part of it.
        assert_eq!(samples(&[0, 0, 3, 1, 0, 0, 0, 0b0010_1011]), samples(&[0, 0, 1, 0, 0, 0, 0b0010_1011]));
        assert_eq!(samples(&[0; 40]), None, "a number without end");
        assert_eq!(samples(&[]), None);
        let high = [0x67, 100, 0, 31, 0b1010_1110];
        let record = configuration(&[&[0, 0, 1][..], &high, &[0, 0, 1], &PPS].concat()).unwrap();
        assert_eq!(record[record.len() - 4..], [0xfd, 0xf8, 0xf8, 0]);
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
