//! What a segment's bytes are: told from the bytes, never from a name or a content type.

mod ac3;
mod fragment;
mod frames;
mod id3;
mod latm;
mod movie;
mod mp4;
mod packed;
mod picture;
mod psi;
mod span;
mod tables;
mod ts;
mod watch;

pub(crate) use ac3::Ac3Frame;
pub(crate) use fragment::Listed;
pub(crate) use latm::latm_frame;
pub(crate) use movie::{MOOV_BYTES, MovieTrack, tracks_in, tracks_of};
pub(crate) use mp4::{InitPrefix, box_header, init_prefix};
pub(crate) use packed::Packed;
pub(crate) use picture::{begins_with_parameters, whole_picture};
pub(crate) use span::Span;
pub(crate) use tables::Tables;
pub(crate) use ts::{TsPackets, goes_on};
pub(crate) use watch::{Structure, Watch};

/// Bytes of a segment's start that [`sniff`] wants to see; fewer only where the segment is shorter.
pub(crate) const SNIFF_BYTES: usize = 64 << 10;

const TS_SYNC: u8 = 0x47;
const TS_PACKET_BYTES: usize = 188;
/// Sizes of TS packets, and where their sync byte stands: M2TS packets begin with a 4-byte time code.
const TS_LAYOUTS: [(usize, usize); 3] = [(188, 0), (192, 4), (204, 0)];

/// What [`sniff`] calls a picture. It may disguise media that begins behind the bytes that were looked at.
pub(crate) const PICTURE: &str = "a picture";
const UNKNOWN: &str = "data of an unknown kind";

/// The kind of a segment's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Container {
    /// MPEG transport stream in packets of 188, 192 (M2TS) or 204 (with error correction) bytes.
    MpegTs {
        packet_bytes: usize,
    },
    /// ISO base media: fragments, an init section, or a whole file.
    Mp4,
    /// AAC in ADTS frames.
    Adts,
    Mp3,
    Ac3,
    Eac3,
}

impl Container {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::MpegTs { .. } => "ts",
            Self::Mp4 => "fmp4",
            Self::Adts => "aac",
            Self::Mp3 => "mp3",
            Self::Ac3 => "ac3",
            Self::Eac3 => "eac3",
        }
    }

    /// Frames of one audio codec without a container around them (RFC 8216, 3.4).
    pub(crate) fn is_packed_audio(self) -> bool {
        matches!(self, Self::Adts | Self::Mp3 | Self::Ac3 | Self::Eac3)
    }
}

/// What [`sniff`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sniffed {
    pub(crate) container: Container,
    /// Bytes before the media: a picture that disguises it, an ID3 tag, what is left of a packet.
    pub(crate) skip: usize,
    /// Bytes behind those, of packed audio: the rest of a frame that began in the segment before.
    pub(crate) continued: usize,
    /// What is skipped is nothing that has its place there.
    pub(crate) is_junk: bool,
    /// The time of the first frame of packed audio in ticks of 90 kHz, out of its ID3 tag (RFC 8216, 3.4).
    pub(crate) audio_start_ticks: Option<i64>,
}

/// Looks at a segment's first bytes. On failure tells what they are instead, for a message: `an HTML page`.
pub(crate) fn sniff(head: &[u8]) -> Result<Sniffed, &'static str> {
    if head.is_empty() {
        return Err("empty");
    }
    let plain =
        |container, skip| Ok(Sniffed { container, skip, continued: 0, is_junk: false, audio_start_ticks: None });
    // Before TS: fragments can hold 0x47 at a distance of 188 bytes by chance.
    if mp4::starts_with_box(head) {
        return plain(Container::Mp4, 0);
    }
    if let Some(packet_bytes) = ts_packet_bytes(head) {
        return plain(Container::MpegTs { packet_bytes }, 0);
    }
    let tag = id3::parse(head);
    let audio = &head[tag.length.min(head.len())..];
    let packed = |container, continued| {
        Ok(Sniffed { container, skip: tag.length, continued, is_junk: false, audio_start_ticks: tag.start_ticks })
    };
    if let Some(container) = audio_container(audio) {
        return packed(container, 0);
    }
    // What a person could read, and what is something else by its first bytes, hides nothing.
    let (what, inside) = (what_else(head), ts_inside(head));
    let ts = |inside: TsInside, is_junk| {
        let container = Container::MpegTs { packet_bytes: inside.packet_bytes };
        Ok(Sniffed { container, skip: inside.skip, continued: 0, is_junk, audio_start_ticks: None })
    };
    match inside {
        Some(inside) if what == PICTURE => return ts(inside, false),
        Some(inside) if what == UNKNOWN && inside.goes_on => return ts(inside, true),
        _ => {}
    }
    if what != PICTURE
        && let Some((container, continued)) = [Container::Adts, Container::Mp3, Container::Ac3, Container::Eac3]
            .into_iter()
            .find_map(|container| Some((container, packed::begins_inside(container, audio)?)))
    {
        // Frames of both kinds look alike but for a number.
        return packed(audio_container(&audio[continued..]).unwrap_or(container), continued);
    }
    inside.filter(|_| what == UNKNOWN).map_or(Err(what), |inside| ts(inside, true))
}

/// TS packets behind other bytes.
#[derive(Debug, Clone, Copy)]
struct TsInside {
    skip: usize,
    packet_bytes: usize,
    /// They do not end before the bytes at hand do.
    goes_on: bool,
}

/// Where TS packets begin behind other bytes, and their size. These bytes may hold what looks like packets: of several
/// runs the one that goes on to the end counts, and then the longest.
fn ts_inside(head: &[u8]) -> Option<TsInside> {
    let mut best: Option<((bool, usize), usize, usize)> = None;
    for (size, lead) in TS_LAYOUTS {
        for sync in memchr::memchr_iter(TS_SYNC, head).filter(|sync| *sync >= lead) {
            let goes_on = sync.checked_sub(size).is_some_and(|before| head[before] == TS_SYNC);
            if goes_on {
                continue;
            }
            let packets = head[sync..].iter().step_by(size).take_while(|byte| **byte == TS_SYNC).count();
            let run = (sync + packets * size >= head.len(), packets * size);
            if packets >= 3 && best.is_none_or(|(longest, ..)| run > longest) {
                best = Some((run, sync - lead, size));
            }
        }
    }
    best.map(|((goes_on, _), skip, packet_bytes)| TsInside { skip, packet_bytes, goes_on })
}

/// Bytes of the ID3 tags at a segment's start, where they are more than is at hand and [`sniff`] needs what follows.
pub(crate) fn longer_tags(head: &[u8]) -> Option<usize> {
    Some(id3::parse(head).length)
        .filter(|length| *length > 0 && length.saturating_add(frames::HEADER_BYTES) > head.len())
}

/// The size of the TS packets that start here; `None` if none do. Three in a row must, or all there are.
fn ts_packet_bytes(bytes: &[u8]) -> Option<usize> {
    TS_LAYOUTS.into_iter().find_map(|(size, lead)| {
        let syncs = bytes.get(lead..)?.iter().step_by(size).take(3);
        let (mut seen, mut all) = (0, true);
        for byte in syncs {
            seen += 1;
            all &= *byte == TS_SYNC;
        }
        (all && seen > 0 && bytes.len() >= size && (seen == 3 || bytes.len() <= 3 * size)).then_some(size)
    })
}

/// The media at a segment's start is scrambled (ISO/IEC 13818-1, 2.4.3.3, transport_scrambling_control): some of each
/// programme's, by its tables; without tables, most packets of all.
pub(crate) fn is_scrambled(head: &[u8], packet_bytes: usize) -> bool {
    let lead = if packet_bytes == 192 { 4 } else { 0 };
    let packets = head.chunks_exact(packet_bytes).filter_map(|p| p.get(lead..lead + TS_PACKET_BYTES));
    let packets = packets.filter(|p| p[0] == TS_SYNC);
    let mostly = |of: &dyn Fn(u16) -> bool| {
        // Null packets and such without a payload cannot be.
        let carries = packets.clone().filter(|p| psi::pid(p) != 0x1fff && p[3] & 0x10 != 0 && of(psi::pid(p)));
        carries.clone().filter(|p| p[3] & 0xc0 != 0).count() * 2 > carries.count()
    };
    let programmes = psi::media_pids(packets.clone());
    if programmes.is_empty() {
        return mostly(&|_| true);
    }
    programmes.iter().all(|pids| pids.iter().any(|pid| mostly(&|other| other == *pid)))
}

fn audio_container(bytes: &[u8]) -> Option<Container> {
    match *bytes.first_chunk::<7>()? {
        // An ADTS sync word with layer 0 (ISO/IEC 13818-7, 6.2).
        [0xff, b, ..] if b & 0xf6 == 0xf0 => Some(Container::Adts),
        // MPEG audio: a version, layer, bit rate and sample rate that exist (ISO/IEC 11172-3, 2.4.1.3).
        [0xff, b, c, ..]
            if b & 0xe0 == 0xe0 && b & 0x18 != 0x08 && b & 0x06 != 0 && c >> 4 != 0xf && c & 0x0c != 0x0c =>
        {
            Some(Container::Mp3)
        }
        // AC-3 has a bitstream id up to 10, E-AC-3 from 11 to 16 (ETSI TS 102 366, E.1.3.1.6).
        [0x0b, 0x77, _, _, _, b, _] => match b >> 3 {
            0..=10 => Some(Container::Ac3),
            11..=16 => Some(Container::Eac3),
            _ => None,
        },
        _ => None,
    }
}

fn is_picture(head: &[u8]) -> bool {
    [&b"\x89PNG"[..], b"\xff\xd8\xff", b"GIF8", b"BM"].iter().any(|magic| head.starts_with(magic))
}

fn what_else(head: &[u8]) -> &'static str {
    let text = String::from_utf8_lossy(&head[..head.len().min(512)]);
    let text = text.trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
    let starts = |prefixes: &[&str]| prefixes.iter().any(|p| text.starts_with(p));
    if head.iter().all(|b| *b == 0) {
        "nothing but zero bytes"
    } else if starts(&["<!doctype html", "<html", "<head", "<body"]) {
        "an HTML page"
    } else if starts(&["<?xml", "<mpd", "<"]) {
        "an XML document"
    } else if starts(&["{", "["]) {
        "a JSON document"
    } else if starts(&["#extm3u", "ffconcat"]) {
        "a playlist"
    } else if starts(&["webvtt"]) {
        "WebVTT subtitles"
    } else if is_picture(head) {
        PICTURE
    } else if head.starts_with(b"ID3") {
        "an ID3 tag without sound behind it"
    } else {
        UNKNOWN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ts(packet_bytes: usize, lead: usize, packets: usize) -> Vec<u8> {
        let mut packet = vec![0u8; packet_bytes];
        packet[lead] = TS_SYNC;
        packet.repeat(packets)
    }

    #[test]
    fn tells_ts_by_its_packet_size() {
        for (size, lead) in [(188, 0), (192, 4), (204, 0)] {
            assert_eq!(sniff(&ts(size, lead, 9)).unwrap().container, Container::MpegTs { packet_bytes: size });
        }
        assert_eq!(sniff(&ts(188, 0, 1)).unwrap().container, Container::MpegTs { packet_bytes: 188 });
    }

    #[test]
    fn sees_scrambled_packets() {
        let mut bytes = ts(188, 0, 10);
        bytes.chunks_mut(188).for_each(|packet| packet[3] = 0x10);
        assert!(!is_scrambled(&bytes, 188));
        bytes.chunks_mut(188).skip(2).for_each(|packet| packet[3] = 0xd0);
        assert!(is_scrambled(&bytes, 188));
    }

    #[test]
    fn scrambled_sound_beside_clear_pictures_is_seen_and_foreign_packets_are_not() {
        let segment = include_bytes!("../../fixtures/ts-h264-aac/index0.ts");
        let scramble = |pid: u16| -> Vec<u8> {
            let mut bytes = segment.to_vec();
            bytes.chunks_mut(188).filter(|p| psi::pid(p) == pid).for_each(|p| p[3] |= 0x80);
            bytes
        };
        assert!(!is_scrambled(segment, 188));
        assert!(is_scrambled(&scramble(0x100), 188));
        assert!(is_scrambled(&scramble(0x101), 188));
        let mut foreign = ts(188, 0, 100);
        foreign.chunks_mut(188).for_each(|packet| packet[1..4].copy_from_slice(&[0x01, 0xaa, 0x90]));
        assert!(!is_scrambled(&[&segment[..], &foreign].concat(), 188));
    }

    #[test]
    fn finds_ts_behind_a_piece_of_a_packet() {
        for (size, lead) in TS_LAYOUTS {
            let bytes = [&[1; 77][..], &ts(size, lead, 20)].concat();
            let found = sniff(&bytes).unwrap();
            assert_eq!((found.container, found.skip), (Container::MpegTs { packet_bytes: size }, 77));
            assert!(found.is_junk);
        }
        assert_eq!(sniff(&[&[1; 77][..], &ts(188, 0, 2)].concat()), Err(UNKNOWN));
        assert_eq!(sniff(&[&b"<html>"[..], &ts(188, 0, 20)].concat()), Err("an HTML page"));
    }

    #[test]
    fn packets_inside_of_a_picture_are_none() {
        for fake in [3, 40] {
            let picture = [&b"\x89PNG\r\n\x1a\n"[..], &ts(188, 0, fake), &[0; 77]].concat();
            let found = sniff(&[&picture[..], &ts(188, 0, 30)].concat()).unwrap();
            assert_eq!((found.skip, found.is_junk), (picture.len(), false));
        }
    }

    #[test]
    fn cuts_a_picture_only_where_ts_begins() {
        // A lone 0x47 inside the picture is not where TS begins.
        let mut bytes = b"\x89PNG\r\n\x1a\n\x47 picture".to_vec();
        let prefix = bytes.len();
        bytes.extend(ts(188, 0, 5));
        let found = sniff(&bytes).unwrap();
        assert_eq!((found.container, found.skip), (Container::MpegTs { packet_bytes: 188 }, prefix));
        assert_eq!(sniff(b"\x89PNG\r\n\x1a\n and no media at all"), Err("a picture"));
    }

    #[test]
    fn a_fragment_with_sync_bytes_is_still_mp4() {
        let mut bytes = b"\0\0\x04\0mdat".to_vec();
        bytes.extend(ts(188, 0, 6));
        bytes[0..4].copy_from_slice(&1136u32.to_be_bytes());
        assert_eq!(sniff(&bytes).unwrap().container, Container::Mp4);
    }

    #[test]
    fn tells_packed_audio() {
        let head = |b: [u8; 7]| sniff(&b).unwrap().container;
        assert_eq!(head([0xff, 0xf1, 0x50, 0x80, 0, 0, 0]), Container::Adts);
        assert_eq!(head([0xff, 0xfb, 0x90, 0, 0, 0, 0]), Container::Mp3);
        assert_eq!(head([0x0b, 0x77, 0, 0, 0, 8 << 3, 0]), Container::Ac3);
        assert_eq!(head([0x0b, 0x77, 0, 0, 0, 16 << 3, 0]), Container::Eac3);
    }

    #[test]
    fn names_what_is_no_media() {
        for (bytes, what) in [
            (&b"ID3\x04\0\0\0\0\0\x02xx and nothing more"[..], "an ID3 tag without sound behind it"),
            (b"  <!DOCTYPE html><html>", "an HTML page"),
            (b"{\"error\": 404}", "a JSON document"),
            (b"#EXTM3U\n", "a playlist"),
            (b"ffconcat version 1.0", "a playlist"),
            (&[0; 400], "nothing but zero bytes"),
            (b"", "empty"),
            (b"v=0\r\no=- 0 0", "data of an unknown kind"),
        ] {
            assert_eq!(sniff(bytes), Err(what));
        }
    }
}
