//! What a segment's bytes are: told from the bytes, never from a name or a content type.

mod ac3;
mod adts;
mod id3;
mod mp4;
mod span;
mod watch;

pub(crate) use ac3::Ac3Frame;
pub(crate) use mp4::{InitPrefix, box_header, init_prefix};
pub(crate) use span::Span;
pub(crate) use watch::{Structure, Watch};

/// Bytes of a segment's start that [`sniff`] wants to see; fewer only where the segment is shorter.
pub(crate) const SNIFF_BYTES: usize = 64 << 10;

const TS_SYNC: u8 = 0x47;

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
    /// Bytes before the media: a picture that disguises it, an ID3 tag.
    pub(crate) skip: usize,
    /// The time of the first frame of packed audio in ticks of 90 kHz, out of its ID3 tag (RFC 8216, 3.4).
    pub(crate) audio_start_ticks: Option<i64>,
}

/// Looks at a segment's first bytes. On failure tells what they are instead, for a message: `an HTML page`.
pub(crate) fn sniff(head: &[u8]) -> Result<Sniffed, &'static str> {
    if head.is_empty() {
        return Err("empty");
    }
    let plain = |container, skip| Ok(Sniffed { container, skip, audio_start_ticks: None });
    // Before TS: fragments can hold 0x47 at a distance of 188 bytes by chance.
    if mp4::starts_with_box(head) {
        return plain(Container::Mp4, 0);
    }
    if let Some(packet_bytes) = ts_packet_bytes(head) {
        return plain(Container::MpegTs { packet_bytes }, 0);
    }
    let tag = id3::parse(head);
    let audio = &head[tag.length.min(head.len())..];
    if let Some(container) = audio_container(audio) {
        return Ok(Sniffed { container, skip: tag.length, audio_start_ticks: tag.start_ticks });
    }
    // Only a picture is cut away, and only up to where whole TS packets begin.
    if is_picture(head)
        && let Some((skip, packet_bytes)) = (1..head.len()).find_map(|i| Some((i, ts_packet_bytes(&head[i..])?)))
    {
        return plain(Container::MpegTs { packet_bytes }, skip);
    }
    Err(what_else(head))
}

/// The size of the TS packets that start here; `None` if none do. Three in a row must, or all there are.
fn ts_packet_bytes(bytes: &[u8]) -> Option<usize> {
    // M2TS packets begin with a 4-byte time code.
    [(188, 0), (192, 4), (204, 0)].into_iter().find_map(|(size, lead)| {
        let syncs = bytes.get(lead..)?.iter().step_by(size).take(3);
        let (mut seen, mut all) = (0, true);
        for byte in syncs {
            seen += 1;
            all &= *byte == TS_SYNC;
        }
        (all && seen > 0 && bytes.len() >= size && (seen == 3 || bytes.len() <= 3 * size)).then_some(size)
    })
}

/// Most TS packets of a segment's start are scrambled (ISO/IEC 13818-1, 2.4.3.3, transport_scrambling_control).
pub(crate) fn is_scrambled(head: &[u8], packet_bytes: usize) -> bool {
    let lead = if packet_bytes == 192 { 4 } else { 0 };
    let packets = head.chunks_exact(packet_bytes).filter_map(|p| p[lead..].first_chunk::<4>());
    let (mut scrambled, mut all) = (0, 0);
    for [sync, high, low, control] in packets {
        // Null packets and such without a payload cannot be.
        let carries = *sync == TS_SYNC && (high & 0x1f, *low) != (0x1f, 0xff) && control & 0x10 != 0;
        all += usize::from(carries);
        scrambled += usize::from(carries && control & 0xc0 != 0);
    }
    scrambled * 2 > all
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
        "a picture"
    } else {
        "data of an unknown kind"
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
            (&b"  <!DOCTYPE html><html>"[..], "an HTML page"),
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
