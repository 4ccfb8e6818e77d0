//! The tables of a transport stream (ISO/IEC 13818-1, 2.4.4), as far as they tell which PIDs carry what.

use super::TS_SYNC;
use super::ts::payload;

const PAT_TABLE: u8 = 0;
const PMT_TABLE: u8 = 2;
/// Bytes of a section before its loop, and of the checksum behind it.
const SECTION_HEAD: usize = 8;
const CHECKSUM: usize = 4;

/// A stream of a programme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Declared {
    pub(super) stream_type: u8,
    pub(super) pid: u16,
    /// It is sound or pictures, as far as its type tells.
    pub(super) is_media: bool,
    /// It may be, by a type or a registration of whoever made it.
    pub(super) may_be_media: bool,
}

/// PIDs of the programmes' PMTs, of a PAT's section.
pub(super) fn pat(section: &[u8]) -> Option<Vec<u16>> {
    let entries = body(section, PAT_TABLE)?.chunks_exact(4);
    // Programme 0 is the network's.
    let programmes = entries.filter(|e| e[..2] != [0, 0]).map(|e| u16::from_be_bytes([e[2] & 0x1f, e[3]]));
    Some(programmes.collect())
}

/// The streams that a PMT's section lists.
pub(super) fn pmt(section: &[u8]) -> Option<Vec<Declared>> {
    let body = body(section, PMT_TABLE)?;
    let mut rest = body.get(4 + usize::from(u16::from_be_bytes([body.get(2)? & 0xf, *body.get(3)?]))..)?;
    let mut streams = Vec::new();
    while let Some(&[stream_type, high, low, length_high, length_low]) = rest.first_chunk() {
        let length = usize::from(u16::from_be_bytes([length_high & 0xf, length_low]));
        let descriptors = rest.get(5..5 + length)?;
        let pid = u16::from_be_bytes([high & 0x1f, low]);
        let is_media = is_media(stream_type, descriptors);
        let may_be_media = is_media || is_registered(stream_type, descriptors);
        streams.push(Declared { stream_type, pid, is_media, may_be_media });
        rest = &rest[5 + length..];
    }
    Some(streams)
}

/// The section that begins in a packet, if it ends there too.
pub(super) fn section(packet: &[u8]) -> Option<&[u8]> {
    let payload = payload(packet);
    whole(payload.get(1 + usize::from(*payload.first()?)..)?)
}

/// For each programme the PIDs of its sound and pictures, by the tables at a segment's start.
pub(super) fn media_pids<'a>(packets: impl Iterator<Item = &'a [u8]> + Clone) -> Vec<Vec<u16>> {
    let programmes = gather(packets.clone(), 0).and_then(|section| pat(&section)).unwrap_or_default();
    let streams = |pid| gather(packets.clone(), pid).and_then(|section| pmt(&section)).unwrap_or_default();
    let media = |pid| streams(pid).into_iter().filter(|s| s.is_media).map(|s| s.pid).collect::<Vec<u16>>();
    programmes.into_iter().map(media).filter(|pids| !pids.is_empty()).collect()
}

pub(super) fn pid(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[1] & 0x1f, packet[2]])
}

/// The first section of a PID, from as many packets as it takes.
fn gather<'a>(packets: impl Iterator<Item = &'a [u8]>, number: u16) -> Option<Vec<u8>> {
    let mut data = Vec::new();
    for packet in packets.filter(|p| p[0] == TS_SYNC && pid(p) == number) {
        let payload = payload(packet);
        if packet[1] & 0x40 != 0 {
            data = payload.get(1 + usize::from(*payload.first()?)..)?.to_vec();
        } else if !data.is_empty() {
            data.extend_from_slice(payload);
        }
        if let Some(section) = whole(&data) {
            return Some(section.to_vec());
        }
    }
    None
}

fn whole(data: &[u8]) -> Option<&[u8]> {
    let [_, high, low] = *data.first_chunk()?;
    data.get(..3 + usize::from(u16::from_be_bytes([high & 0xf, low])))
}

/// What stands between a section's head and its checksum.
fn body(section: &[u8], table: u8) -> Option<&[u8]> {
    section.first().filter(|first| **first == table)?;
    section.get(SECTION_HEAD..section.len().checked_sub(CHECKSUM)?)
}

/// Sound and pictures of other standards have types of their own, some of which others use for data; or a registration,
/// or an extension descriptor of DVB's (ISO/IEC 13818-1, 2.6.8; ETSI EN 300 468, 6.4).
fn is_registered(stream_type: u8, descriptors: &[u8]) -> bool {
    let is_known = matches!(stream_type, 0x1d..=0x32 | 0x42 | 0x80..=0x8a | 0xa1 | 0xa2 | 0xc0..=0xdf | 0xea);
    is_known || tags(descriptors).any(|tag| matches!(tag, 0x05 | 0x7f))
}

fn tags(descriptors: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = descriptors;
    std::iter::from_fn(move || {
        let (tag, length) = (*rest.first()?, usize::from(*rest.get(1)?));
        rest = rest.get(2 + length..).unwrap_or_default();
        Some(tag)
    })
}

/// Private data are sound where a descriptor says so (ETSI EN 300 468, 6.1): AC-3, E-AC-3, DTS, AAC.
fn is_media(stream_type: u8, descriptors: &[u8]) -> bool {
    match stream_type {
        0x01..=0x04 | 0x0f..=0x11 | 0x1b | 0x1c | 0x24 | 0x33 | 0x81 | 0x84 | 0x87 => true,
        0x06 => tags(descriptors).any(|tag| matches!(tag, 0x6a | 0x7a..=0x7c)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: &[u8] = include_bytes!("../../fixtures/ts-data-streams/0.ts");

    fn packets() -> impl Iterator<Item = &'static [u8]> + Clone {
        SEGMENT.chunks(188)
    }

    #[test]
    fn tables_tell_the_programme_and_its_streams() {
        assert_eq!(media_pids(packets()), [[0x100, 0x101]]);
        let section = packets().find(|p| pid(p) == 0x1000).and_then(section).unwrap();
        let streams: Vec<_> = pmt(section).unwrap().iter().map(|s| (s.stream_type, s.pid, s.is_media)).collect();
        assert_eq!(streams, [(0x1b, 0x100, true), (0x0f, 0x101, true), (0x15, 0x1f0, false), (0x86, 0x1f1, false)]);
    }

    #[test]
    fn private_streams_may_be_media_by_their_type_or_a_registration() {
        let cases: [(u8, &[u8], bool); 8] = [
            (0x1b, &[], true),
            (0x06, &[0x6a, 0], true),
            (0x06, &[0x0a, 1, 9, 0x05, 4, b'O', b'p', b'u', b's'], true),
            (0x06, &[0x0a, 1, 9], false),
            (0x2d, &[], true),
            (0x82, &[], true),
            (0x99, &[], false),
            (0x0d, &[0x0a], false),
        ];
        for (stream_type, descriptors, expected) in cases {
            let length = 9 + 5 + descriptors.len() as u8 + 4;
            let head = [2, 0xb0, length, 0, 1, 0xc1, 0, 0, 0xe1, 0, 0xf0, 0];
            let stream = [stream_type, 0xe1, 0, 0xf0, descriptors.len() as u8];
            let section = [&head[..], &stream, descriptors, &[0; 4]].concat();
            let found: Vec<_> = pmt(&section).unwrap().iter().map(|s| s.may_be_media).collect();
            assert_eq!(found, [expected], "{stream_type:#x} {descriptors:x?}");
        }
    }

    #[test]
    fn cut_and_foreign_tables_are_none() {
        let section = packets().find(|p| pid(p) == 0x1000).and_then(section).unwrap();
        assert_eq!(pat(section), None);
        for n in 0..section.len() {
            let _ = (pmt(&section[..n]), pat(&section[..n]), whole(&section[..n]));
        }
        assert!(media_pids(packets().skip(3)).is_empty());
    }
}
