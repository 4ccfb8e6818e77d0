//! The input of a bench that was given none: MPEG-TS of the sample again and again, at the bit rate of real video.
//!
//! Of a film's packets the sample has the number and the kinds, but not the size. So each picture is followed by a NAL unit
//! of a type that H.264 leaves to applications and decoders pass over. What fills it looks like compressed video: it
//! does not shrink, and has single zeros, so that a search for start codes has as much to do as in a film.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use avweld::{CancelToken, Error, Result};

use super::check;
use super::sample::{PACKET, PICTURE_TICKS, SOUND_TICKS, Sample};

/// Of a whole picture; four million bits a second at 25 pictures.
const PICTURE_BYTES: usize = 17_200;
/// A key picture has so many times as much.
const KEY: usize = 5;
/// Seconds of a segment, each the sample once.
const SEGMENT_S: u64 = 6;
/// About what a segment comes to.
pub(super) const SEGMENT_BYTES: u64 = 3_120_000;
/// The clock's start, and by how much it is ahead of what is decoded, as ffmpeg has them.
const START_TICKS: u64 = 126_000;
const PCR_AHEAD_TICKS: u64 = 63_000;
/// Audio is sent in groups, as in a film.
const SOUNDS_A_PES: usize = 8;

/// Writes so many segments and their playlist, and returns the segments.
pub(super) fn write(folder: &Path, segments: u64, cancel: &CancelToken) -> Result<Vec<PathBuf>> {
    let failed = |e| Error::io("cannot write the bench's input", e);
    let mut generator = Generator::new()?;
    let mut names = Vec::new();
    for n in 0..segments {
        check(cancel)?;
        let name = format!("{n}.ts");
        fs::write(folder.join(&name), generator.segment()).map_err(failed)?;
        names.push(name);
    }
    fs::write(folder.join("index.m3u8"), playlist(names.iter().map(String::as_str))).map_err(failed)?;
    Ok(names.iter().map(|name| folder.join(name)).collect())
}

/// A playlist of segments that were made here.
pub(super) fn playlist<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut text = format!("#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{SEGMENT_S}\n#EXT-X-PLAYLIST-TYPE:VOD\n");
    for name in names {
        // Writing to a string does not fail.
        let _ = writeln!(text, "#EXTINF:{SEGMENT_S}.0,\n{name}");
    }
    text + "#EXT-X-ENDLIST\n"
}

struct Generator {
    sample: Sample,
    noise: Vec<u8>,
    counters: [u8; 4],
    picture: u64,
    sound: u64,
    out: Vec<u8>,
}

impl Generator {
    fn new() -> Result<Self> {
        let noise = noise(1 << 20);
        Ok(Self { sample: Sample::take_apart()?, noise, counters: [0; 4], picture: 0, sound: 0, out: Vec::new() })
    }

    /// The next segment.
    fn segment(&mut self) -> &[u8] {
        self.out.clear();
        for n in 0..2 {
            let mut table = self.sample.tables[n];
            table[3] = 0x10 | self.counters[n];
            self.counters[n] = (self.counters[n] + 1) & 15;
            self.out.extend_from_slice(&table);
        }
        let end = self.picture + SEGMENT_S * self.sample.pictures.len() as u64;
        while self.picture < end {
            self.write_picture();
            // The sound goes ahead of the pictures by less than a group.
            while self.sound * SOUND_TICKS < self.picture * PICTURE_TICKS {
                self.write_sounds();
            }
        }
        &self.out
    }

    fn write_picture(&mut self) {
        let n = (self.picture % self.sample.pictures.len() as u64) as usize;
        let (unit, delay) = &self.sample.pictures[n];
        let dts = START_TICKS + self.picture * PICTURE_TICKS;
        let size = if n == 0 { KEY * PICTURE_BYTES } else { PICTURE_BYTES };
        let mut pes = vec![0, 0, 1, 0xe0, 0, 0, 0x80, 0xc0, 10];
        pes.extend(timestamp(3, dts + delay));
        pes.extend(timestamp(1, dts));
        pes.extend_from_slice(unit);
        let filling = size.saturating_sub(unit.len() + 6);
        let from = (self.picture as usize).wrapping_mul(7919) % (self.noise.len() - filling);
        // NAL unit type 30; it must not end with a zero.
        pes.extend([0, 0, 0, 1, 30]);
        pes.extend_from_slice(&self.noise[from..from + filling]);
        pes.push(0x80);
        self.packets(2, self.sample.video_pid, &pes, Some((dts - PCR_AHEAD_TICKS, n == 0)));
        self.picture += 1;
    }

    fn write_sounds(&mut self) {
        let mut pes = vec![0, 0, 1, 0xc0, 0, 0, 0x80, 0x80, 5];
        // With the pictures as they are shown, as in the sample.
        pes.extend(timestamp(2, START_TICKS + self.sample.pictures[0].1 + self.sound * SOUND_TICKS));
        for _ in 0..SOUNDS_A_PES {
            pes.extend_from_slice(&self.sample.sounds[(self.sound % self.sample.sounds.len() as u64) as usize]);
            self.sound += 1;
        }
        let length = (pes.len() - 6) as u16;
        pes[4..6].copy_from_slice(&length.to_be_bytes());
        self.packets(3, self.sample.audio_pid, &pes, None);
    }

    /// A PES packet in TS packets, with a clock reference and whether one can begin to decode here.
    fn packets(&mut self, counter: usize, pid: u16, pes: &[u8], reference: Option<(u64, bool)>) {
        let mut rest = pes;
        let mut first = true;
        while !rest.is_empty() {
            let mut adaptation = Vec::new();
            if let Some((pcr, key)) = reference.filter(|_| first) {
                adaptation.push(if key { 0x50 } else { 0x10 });
                // 33 bits of 90 kHz, six reserved ones, nine of a finer clock that are zero.
                let field = (pcr & 0x1_ffff_ffff) << 15 | 0x7e00;
                adaptation.extend_from_slice(&field.to_be_bytes()[2..]);
            }
            let room = PACKET - 4 - if adaptation.is_empty() { 0 } else { 1 + adaptation.len() };
            let mut has_adaptation = !adaptation.is_empty();
            if rest.len() < room {
                // Filled up in front: a length byte, flags, and stuffing.
                let mut missing = room - rest.len();
                if !has_adaptation {
                    has_adaptation = true;
                    missing -= 1;
                    if missing > 0 {
                        adaptation.push(0);
                        missing -= 1;
                    }
                }
                adaptation.resize(adaptation.len() + missing, 0xff);
            }
            let [high, low] = pid.to_be_bytes();
            let control = if has_adaptation { 0x30 } else { 0x10 };
            self.out.extend([0x47, high | if first { 0x40 } else { 0 }, low, control | self.counters[counter]]);
            if has_adaptation {
                self.out.push(adaptation.len() as u8);
                self.out.extend_from_slice(&adaptation);
            }
            let (now, later) = rest.split_at(rest.len().min(room));
            self.out.extend_from_slice(now);
            self.counters[counter] = (self.counters[counter] + 1) & 15;
            (rest, first) = (later, false);
        }
    }
}

/// A timestamp as PES headers have it, of 33 bits, with what its first four bits must be.
fn timestamp(marker: u8, ticks: u64) -> [u8; 5] {
    let bits = |from: u32, count: u32| (ticks >> from & ((1 << count) - 1)) as u8;
    [marker << 4 | bits(30, 3) << 1 | 1, bits(22, 8), bits(15, 7) << 1 | 1, bits(7, 8), bits(0, 7) << 1 | 1]
}

/// The same bytes on each run, without order, and no two zeros in a row: those begin a start code.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut out = Vec::with_capacity(length);
    while out.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let byte = (state >> 32) as u8;
        out.push(if byte == 0 && out.last() == Some(&0) { 1 } else { byte });
    }
    out
}

#[cfg(test)]
mod tests {
    // No `use`: the benches have this file too, and no tests in it.

    #[test]
    fn timestamps_are_written_as_the_sample_has_them() {
        // 133200, as in the fixture's first PES header.
        assert_eq!(super::timestamp(3, 133_200), [0x31, 0x00, 0x09, 0x10, 0xa1]);
        assert_eq!(super::timestamp(2, (1 << 33) - 1), [0x2f, 0xff, 0xff, 0xff, 0xff]);
    }

    #[test]
    fn packets_are_whole_and_counted_without_a_gap_across_segments() {
        let mut generator = super::Generator::new().expect("the sample");
        let mut last = [None; 8192];
        for _ in 0..2 {
            let segment = generator.segment();
            let (packets, rest) = segment.as_chunks::<{ super::PACKET }>();
            assert!(rest.is_empty());
            assert!(segment.len().abs_diff(super::SEGMENT_BYTES as usize) < 60_000, "{} bytes", segment.len());
            for packet in packets {
                assert_eq!(packet[0], 0x47);
                let pid = usize::from(u16::from_be_bytes([packet[1] & 0x1f, packet[2]]));
                let counter = packet[3] & 15;
                assert!(last[pid].is_none_or(|last: u8| (last + 1) & 15 == counter), "PID {pid}");
                last[pid] = Some(counter);
            }
        }
    }

    #[test]
    fn noise_has_zeros_and_never_a_start_code() {
        let noise = super::noise(100_000);
        assert!(noise.iter().filter(|byte| **byte == 0).count() > 200);
        assert!(!noise.windows(2).any(|pair| pair == [0, 0]));
    }
}
