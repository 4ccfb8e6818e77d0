//! H.264's configuration record (ISO/IEC 14496-15, 5.3.3.1).

use super::units::{Bits, units};

const SEQUENCE_PARAMETER_SET: u8 = 7;
const PICTURE_PARAMETER_SET: u8 = 8;
/// Profiles whose configuration says nothing of chroma and bit depth (ISO/IEC 14496-15, 5.3.3.1.2).
const PLAIN_PROFILES: [u8; 3] = [66, 77, 88];

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
    let mut bits = Bits::new(set);
    let _identifier = bits.number()?;
    let chroma = bits.number().filter(|n| *n <= 3)?;
    if chroma == 3 {
        let _planes_coded_apart = bits.bit()?;
    }
    let mut depth = || bits.number().filter(|n| *n <= 6);
    let (luma, chroma_depth) = (depth()?, depth()?);
    Some((chroma as u8, luma as u8, chroma_depth as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPS: [u8; 6] = [0x67, 77, 0x40, 31, 0x8d, 0x68];
    const PPS: [u8; 3] = [0x68, 0xee, 0x3c];

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
}
