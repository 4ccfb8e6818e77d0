//! HEVC's configuration record (ISO/IEC 14496-15, 8.3.3.1).

use super::units::{Bits, units};

const VIDEO_PARAMETER_SET: u8 = 32;
const SEQUENCE_PARAMETER_SET: u8 = 33;
const PICTURE_PARAMETER_SET: u8 = 34;
/// A unit's header (ITU-T H.265, 7.3.1.2).
const HEADER_BYTES: usize = 2;
/// Profile, tier, constraints and level of the whole stream (7.3.3), in the record as in the parameter set.
const PROFILE_BYTES: usize = 12;

/// Parameter sets between start codes as a decoder configuration record. `None` if a set is missing, or they are no
/// such sets.
///
/// They stay in the packets too, as one that comes later may differ: without it, pictures would be decoded by the wrong
/// one. That the record is called complete all the same is what `hvc1` asks for.
pub(super) fn configuration(extradata: &[u8]) -> Option<Vec<u8>> {
    // Those of the base layer, as any decoder knows it.
    let sets: Vec<&[u8]> = units(extradata)
        .map(|unit| &extradata[unit])
        .filter(|unit| unit.len() > HEADER_BYTES && unit[0] & 1 == 0 && unit[1] >> 3 == 0)
        .collect();
    let of_kind = |kind| sets.iter().filter(move |set| set[0] >> 1 & 0x3f == kind);
    let told = Told::read(&of_kind(SEQUENCE_PARAMETER_SET).next()?[HEADER_BYTES..])?;
    let mut record = vec![1];
    record.extend(told.profile);
    // Nothing is said of segmentation, parallel decoding and frame rate.
    record.extend([0xf0, 0, 0xfc, 0xfc | told.chroma, 0xf8 | told.luma_depth, 0xf8 | told.chroma_depth, 0, 0]);
    // Lengths of four bytes, three arrays.
    record.extend([told.temporal_layers << 3 | u8::from(told.nested) << 2 | 3, 3]);
    for kind in [VIDEO_PARAMETER_SET, SEQUENCE_PARAMETER_SET, PICTURE_PARAMETER_SET] {
        let count = u16::try_from(of_kind(kind).count()).ok().filter(|n| *n > 0)?;
        record.push(0x80 | kind);
        record.extend(count.to_be_bytes());
        for set in of_kind(kind) {
            record.extend(u16::try_from(set.len()).ok()?.to_be_bytes());
            record.extend(*set);
        }
    }
    Some(record)
}

/// What a sequence parameter set tells (7.3.2.2.1). Depths are less 8.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    profile: Vec<u8>,
    temporal_layers: u8,
    nested: bool,
    chroma: u8,
    luma_depth: u8,
    chroma_depth: u8,
}

impl Told {
    fn read(set: &[u8]) -> Option<Self> {
        let mut bits = Bits::new(set);
        let _video_set = bits.bits(4)?;
        let sub_layers = bits.bits(3)?;
        let nested = bits.bit()? == 1;
        let profile = (0..PROFILE_BYTES).map(|_| Some(bits.bits(8)? as u8)).collect::<Option<_>>()?;
        let present = (0..sub_layers).map(|_| Some((bits.bit()?, bits.bit()?))).collect::<Option<Vec<_>>>()?;
        if sub_layers > 0 {
            bits.skip(2 * (8 - sub_layers as usize));
        }
        for (profile, level) in present {
            bits.skip(88 * profile as usize + 8 * level as usize);
        }
        let _identifier = bits.number()?;
        let chroma = bits.number().filter(|n| *n <= 3)?;
        if chroma == 3 {
            let _planes_coded_apart = bits.bit()?;
        }
        let (_width, _height) = (bits.number()?, bits.number()?);
        if bits.bit()? == 1 {
            for _border in 0..4 {
                bits.number()?;
            }
        }
        let mut depth = || bits.number().filter(|n| *n <= 7);
        let (luma_depth, chroma_depth) = (depth()? as u8, depth()? as u8);
        let temporal_layers = sub_layers as u8 + 1;
        Some(Self { profile, temporal_layers, nested, chroma: chroma as u8, luma_depth, chroma_depth })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VPS: &str = "40010c01ffff01600000030090000003000003001e959009";
    const SPS: &str = "42010101600000030090000003000003001ea0142061f26595924932bc05a02000000300200000030321";
    const PPS: &str = "4401c172b42240";

    fn between_start_codes(sets: &[&str]) -> Vec<u8> {
        sets.iter().flat_map(|set| [vec![0, 0, 0, 1], hex::decode(set).unwrap()].concat()).collect()
    }

    #[test]
    fn a_configuration_says_what_the_sequence_parameter_set_does_and_holds_all_sets() {
        let head = "0101600000009000000000001ef000fcfdf8f800000f03";
        let record = format!("{head}a000010018{VPS}a10001002a{SPS}a200010007{PPS}");
        assert_eq!(configuration(&between_start_codes(&[VPS, SPS, PPS])).map(hex::encode), Some(record));
        // Before them the delimiter of an access unit; behind them one of a layer above the base.
        let among_others = between_start_codes(&["460150", VPS, SPS, PPS, "4409c172b42240"]);
        assert_eq!(configuration(&among_others), configuration(&between_start_codes(&[VPS, SPS, PPS])));
        for lacking in [&[SPS, PPS], &[VPS, PPS], &[VPS, SPS]] {
            assert_eq!(configuration(&between_start_codes(lacking)), None, "{lacking:?}");
        }
        assert_eq!(configuration(&[]), None);
        assert_eq!(configuration(&between_start_codes(&[VPS, &SPS[..30], PPS])), None, "a set that is cut");
    }

    #[test]
    fn layers_in_time_borders_and_depth_are_told_from_each_other() {
        // Three layers in time, nested; the first of the lower two tells its profile and level, the second its level.
        let mut bits = "0000".to_owned() + "010" + "1" + &"00000001".repeat(12) + "11" + "01" + &"0".repeat(12);
        bits += &("1".repeat(88) + &"1".repeat(8) + &"1".repeat(8));
        // Identifier 0, chroma format 3 in planes apart, 3 by 1, borders, depths of 10 and 12.
        bits += &("1".to_owned() + "00100" + "1" + "00100" + "010" + "1" + "1111" + "011" + "00101" + "1");
        bits += &"0".repeat(bits.len().next_multiple_of(8) - bits.len());
        let set: Vec<u8> =
            bits.as_bytes().chunks(8).map(|byte| byte.iter().fold(0, |value, bit| value << 1 | (bit - b'0'))).collect();
        let told =
            Told { profile: vec![1; 12], temporal_layers: 3, nested: true, chroma: 3, luma_depth: 2, chroma_depth: 4 };
        assert_eq!(Told::read(&set), Some(told));
        assert_eq!(Told::read(&set[..set.len() - 2]), None);
    }
}
