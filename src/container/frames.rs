//! Headers of packed audio's frames: how long each is, and where the next begins.

use super::Container;

/// Bytes of a frame's start that tell its length.
pub(super) const HEADER_BYTES: usize = 7;
/// Samples of one raw data block of AAC, for each channel.
const AAC_BLOCK_SAMPLES: u32 = 1024;
/// Samples of one block of AC-3 and E-AC-3, for each channel.
const AC3_BLOCK_SAMPLES: u32 = 256;

const AAC_RATES_HZ: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];
/// Of MPEG-1; halved for MPEG-2, and once more for MPEG-2.5.
const MPEG_RATES_HZ: [u32; 3] = [44_100, 48_000, 32_000];
const AC3_RATES_HZ: [u32; 3] = [48_000, 44_100, 32_000];
/// Kilobits a second of MPEG-1 by layer (ISO/IEC 11172-3, 2.4.2.3); the first stands for "free".
const MPEG1_KBPS: [[u32; 15]; 3] = [
    [0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
    [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
    [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
];
/// The same of MPEG-2 (ISO/IEC 13818-3, 2.4.2.3): layer I, then II and III.
const MPEG2_KBPS: [[u32; 15]; 2] = [
    [0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
    [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];
/// Of AC-3 (ETSI TS 102 366, 4.4.1.4).
const AC3_KBPS: [u32; 19] = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640];

/// What a frame's header tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// Bytes of header and body.
    pub(super) length: u64,
    /// For each channel. 0 where the frame only adds channels to the one before.
    pub(super) samples: u32,
    pub(super) rate_hz: u32,
}

/// Reads the header of a frame of this kind of packed audio; `None` if it is none, or does not tell its length.
pub(super) fn frame(container: Container, header: &[u8; HEADER_BYTES]) -> Option<Frame> {
    let frame = match container {
        Container::Adts => adts(header),
        Container::Mp3 => mpeg(header),
        Container::Ac3 | Container::Eac3 => ac3(header),
        Container::MpegTs { .. } | Container::Mp4 => None,
    };
    frame.filter(|frame| frame.length >= HEADER_BYTES as u64)
}

/// What frames of one stream have in common, of the bytes that tell the coding: not a frame's own length or padding.
pub(super) fn coding(container: Container, header: &[u8; HEADER_BYTES]) -> [u8; 2] {
    match container {
        Container::Adts => [header[1] | 1, header[2] & 0xfc],
        Container::Mp3 => [header[1] | 1, header[2] & 0x0c],
        _ => [header[0], header[1]],
    }
}

/// ISO/IEC 13818-7, 6.2.
fn adts(h: &[u8; HEADER_BYTES]) -> Option<Frame> {
    if h[0] != 0xff || h[1] & 0xf6 != 0xf0 {
        return None;
    }
    Some(Frame {
        length: u64::from(h[3] & 3) << 11 | u64::from(h[4]) << 3 | u64::from(h[5]) >> 5,
        samples: AAC_BLOCK_SAMPLES * (u32::from(h[6] & 3) + 1),
        rate_hz: *AAC_RATES_HZ.get(usize::from(h[2] >> 2 & 0xf))?,
    })
}

/// MPEG audio of all three layers (ISO/IEC 11172-3, 2.4.2.3).
fn mpeg(h: &[u8; HEADER_BYTES]) -> Option<Frame> {
    if h[0] != 0xff || h[1] & 0xe0 != 0xe0 {
        return None;
    }
    // 3: MPEG-1, 2: MPEG-2, 0: MPEG-2.5.
    let version = h[1] >> 3 & 3;
    let layer = usize::from(3u8.checked_sub(h[1] >> 1 & 3)?);
    if version == 1 || layer == 3 {
        return None;
    }
    let is_mpeg1 = version == 3;
    let halvings = [2, 0, 1, 0][usize::from(version)];
    let rate_hz = MPEG_RATES_HZ.get(usize::from(h[2] >> 2 & 3))? >> halvings;
    let table = if is_mpeg1 { &MPEG1_KBPS[layer] } else { &MPEG2_KBPS[layer.min(1)] };
    let bits_per_second = table.get(usize::from(h[2] >> 4)).filter(|kbps| **kbps > 0)? * 1000;
    let padding = u32::from(h[2] >> 1 & 1);
    let samples = match layer {
        0 => 384,
        2 if !is_mpeg1 => 576,
        _ => 1152,
    };
    let length = match layer {
        // Counted in slots of four bytes.
        0 => (12 * bits_per_second / rate_hz + padding) * 4,
        _ => samples / 8 * bits_per_second / rate_hz + padding,
    };
    Some(Frame { length: length.into(), samples, rate_hz })
}

/// AC-3 and E-AC-3, which one stream may mix (ETSI TS 102 366, 4.3 and E.1.2).
fn ac3(h: &[u8; HEADER_BYTES]) -> Option<Frame> {
    if h[..2] != [0x0b, 0x77] {
        return None;
    }
    let rate_code = usize::from(h[4] >> 6);
    match h[5] >> 3 {
        // From 9 on the rate is halved: half-rate streams of old.
        id @ 0..=10 => {
            let rate = *AC3_RATES_HZ.get(rate_code)?;
            let (code, odd) = (usize::from(h[4] & 0x3f) / 2, u32::from(h[4] & 1));
            let bits_per_second = AC3_KBPS.get(code)? * 1000;
            let words = bits_per_second * 96 / rate + if rate == 44_100 { odd } else { 0 };
            let halvings = u32::from(id.saturating_sub(8));
            Some(Frame { length: u64::from(words) * 2, samples: 6 * AC3_BLOCK_SAMPLES, rate_hz: rate >> halvings })
        }
        11..=16 => {
            let words = (u64::from(h[2] & 7) << 8 | u64::from(h[3])) + 1;
            let is_dependent = h[2] >> 6 == 1;
            let (rate_hz, blocks) = match rate_code {
                3 => (AC3_RATES_HZ.get(usize::from(h[4] >> 4 & 3))? / 2, 6),
                _ => (AC3_RATES_HZ[rate_code], [1, 2, 3, 6][usize::from(h[4] >> 4 & 3)]),
            };
            // Further programmes, and further channels of this one, last no longer.
            let is_first = !is_dependent && h[2] >> 3 & 7 == 0;
            let samples = if is_first { blocks * AC3_BLOCK_SAMPLES } else { 0 };
            Some(Frame { length: words * 2, samples, rate_hz })
        }
        _ => None,
    }
}

/// A frame of MPEG audio that describes the others and holds no sound: what encoders write first (the "Xing" header
/// of layer III; "VBRI" stands at one place).
pub(super) fn is_description(container: Container, frame: &[u8]) -> bool {
    let Some(&[0xff, b, _, modes]) = frame.first_chunk() else { return false };
    if container != Container::Mp3 || b >> 1 & 3 != 1 {
        return false;
    }
    let (is_mpeg1, is_mono) = (b >> 3 & 3 == 3, modes >> 6 == 3);
    let side_information = match (is_mpeg1, is_mono) {
        (true, false) => 32,
        (true, true) | (false, false) => 17,
        (false, true) => 9,
    };
    let checksum = if b & 1 == 0 { 2 } else { 0 };
    let is_at = |at: usize, name: &[u8; 4]| frame.get(at..at + 4) == Some(name);
    let at = 4 + checksum + side_information;
    is_at(at, b"Xing") || is_at(at, b"Info") || is_at(36, b"VBRI")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_tell_length_samples_and_rate() {
        use Container::{Ac3, Adts, Eac3, Mp3};
        for (name, container, header, expected) in [
            ("AAC, 48 kHz", Adts, [0xff, 0xf1, 0x4c, 0x40, 0x15, 0x7f, 0xfc], Some((171, 1024, 48_000))),
            ("AAC, two blocks", Adts, [0xff, 0xf1, 0x4c, 0x40, 0x15, 0x7f, 0xfd], Some((171, 2048, 48_000))),
            ("AAC without a rate", Adts, [0xff, 0xf1, 0x74, 0x40, 0x15, 0x7f, 0xfc], None),
            ("layer III, 128 kbit/s, padded", Mp3, [0xff, 0xfb, 0x92, 0, 0, 0, 0], Some((418, 1152, 44_100))),
            ("layer III of MPEG-2, 64 kbit/s", Mp3, [0xff, 0xf3, 0x84, 0, 0, 0, 0], Some((192, 576, 24_000))),
            ("layer II, 192 kbit/s", Mp3, [0xff, 0xfd, 0xa4, 0, 0, 0, 0], Some((576, 1152, 48_000))),
            ("layer I, 384 kbit/s", Mp3, [0xff, 0xff, 0xc4, 0, 0, 0, 0], Some((384, 384, 48_000))),
            ("MPEG audio of a free bit rate", Mp3, [0xff, 0xfb, 0x02, 0, 0, 0, 0], None),
            ("AC-3, 448 kbit/s", Ac3, [0x0b, 0x77, 0, 0, 0x1e, 0x40, 0], Some((1792, 1536, 48_000))),
            ("AC-3, 44.1 kHz, odd", Ac3, [0x0b, 0x77, 0, 0, 0x4f, 0x40, 0], Some((488, 1536, 44_100))),
            ("E-AC-3 of six blocks", Eac3, [0x0b, 0x77, 0x01, 0x7f, 0x30, 0x80, 0], Some((768, 1536, 48_000))),
            ("E-AC-3 of one block", Eac3, [0x0b, 0x77, 0x01, 0x7f, 0x00, 0x80, 0], Some((768, 256, 48_000))),
            ("E-AC-3, dependent", Eac3, [0x0b, 0x77, 0x41, 0x7f, 0x30, 0x80, 0], Some((768, 0, 48_000))),
            ("a tag", Mp3, *b"ID3\x04\0\0\0", None),
        ] {
            let found = frame(container, &header).map(|f| (f.length, f.samples, f.rate_hz));
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn a_description_is_told_from_sound() {
        let mut frame = vec![0xff, 0xfb, 0x90, 0xc0];
        frame.resize(417, 0);
        assert!(!is_description(Container::Mp3, &frame));
        frame[4 + 17..4 + 21].copy_from_slice(b"Info");
        assert!(is_description(Container::Mp3, &frame), "of one channel");
        frame[3] = 0;
        assert!(!is_description(Container::Mp3, &frame), "of two it stands elsewhere");
        assert!(!is_description(Container::Adts, &frame));
    }
}
