//! Long recordings: neither does sound drift from pictures, nor does either last longer or shorter than it should.
//!
//! The transport streams are made here, packet by packet, so that it is known to the tick where each frame stands.
//! With `AVWELD_HEAVY=1`, best in a release build, they last as long as the project promises.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::boxes;
use crate::judge::decoder_errors;
use crate::sandbox::Sandbox;

/// Gray pictures of 16x16 pixels, by x264: each is decoded by itself.
const PICTURES: [&[u8]; 2] = [
    b"\0\0\0\x01\x09\xf0\0\0\0\x01\x67\x42\xc0\x0a\xdd\xec\x04\x40\0\0\x03\0\x40\0\0\x0c\x83\xc4\x89\xe0\
      \0\0\0\x01\x68\xce\x03\x92\xc8\0\0\x01\x65\x88\x84\x04\xbc\x98\xa0\xe0",
    b"\0\0\0\x01\x09\xf0\0\0\0\x01\x67\x42\xc0\x0a\xdd\xec\x04\x40\0\0\x03\0\x40\0\0\x0c\x83\xc4\x89\xe0\
      \0\0\0\x01\x68\xce\x03\x92\xc8\0\0\x01\x65\x88\x82\x01\x1f\x26\x28\xe0",
];
/// Samples of an AAC frame.
const FRAME: u64 = 1024;
const VIDEO: u16 = 0x100;
const AUDIO: u16 = 0x101;

/// A recording to be made.
struct Recording {
    seconds: u64,
    /// Ticks of 90 kHz from one picture to the next.
    picture_ticks: u64,
    rate_hz: u64,
    /// Timestamp of the first frames.
    start: u64,
    segment_seconds: u64,
}

impl Recording {
    fn pictures(&self) -> u64 {
        self.seconds * 90_000 / self.picture_ticks
    }

    fn frames(&self) -> u64 {
        self.seconds * self.rate_hz / FRAME
    }

    fn frame_ticks(&self, n: u64) -> u64 {
        (n * FRAME * 90_000 + self.rate_hz / 2) / self.rate_hz
    }

    /// Writes segments and playlist.
    fn write(&self, folder: &Path) {
        let mut list = String::from("#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:7\n");
        let mut muxer = Muxer::default();
        let (mut picture, mut frame, mut number) = (0, 0, 0u64);
        while picture < self.pictures() {
            let begins = picture;
            muxer.tables();
            let end = ((number + 1) * self.segment_seconds * 90_000).min(self.seconds * 90_000);
            while picture < self.pictures() && picture * self.picture_ticks < end {
                let at = picture * self.picture_ticks;
                muxer.picture(PICTURES[picture as usize % 2], self.start + at);
                picture += 1;
                // Sound comes in step with the pictures.
                while frame < self.frames() && self.frame_ticks(frame) < at + self.picture_ticks {
                    muxer.frame(self.rate_hz, self.start + self.frame_ticks(frame));
                    frame += 1;
                }
            }
            fs::write(folder.join(format!("{number}.ts")), std::mem::take(&mut muxer.bytes)).unwrap();
            let length = ((picture - begins) * self.picture_ticks) as f64 / 90_000.0;
            writeln!(list, "#EXTINF:{length:.6},\n{number}.ts").unwrap();
            number += 1;
        }
        fs::write(folder.join("index.m3u8"), list + "#EXT-X-ENDLIST\n").unwrap();
    }

    /// Merges it and holds every figure against what was made.
    fn check(&self) {
        let sandbox = Sandbox::new();
        self.write(&sandbox.input());
        let report = sandbox.merge(sandbox.input().join("index.m3u8"), "out.mp4", &[]);
        let said = (&report["timestamp_resets"], &report["duplicate_packets"]);
        assert!(said.0 == 0 && said.1 == 0, "{said:?}");
        let file = sandbox.output("out.mp4");
        let tracks = boxes::read(&file).tracks;
        let wanted_s = [
            (self.pictures() * self.picture_ticks) as f64 / 90_000.0,
            (self.frames() * FRAME) as f64 / self.rate_hz as f64,
        ];
        assert_eq!((tracks[0].samples, tracks[1].samples), (self.pictures(), self.frames()));
        for (track, wanted) in tracks.iter().zip(wanted_s) {
            assert!((track.duration_s - wanted).abs() < 0.001, "{} s are not {wanted}", track.duration_s);
        }
        let last_s = [
            ((self.pictures() - 1) * self.picture_ticks) as f64 / 90_000.0,
            ((self.frames() - 1) * FRAME) as f64 / self.rate_hz as f64,
        ];
        let last = last_shown_s(&file, last_s[0] - 2.0);
        let skew = (last[1] - last_s[1]) - (last[0] - last_s[0]);
        eprintln!("{} s, {} Hz: skew at the end {:.3} ms", self.seconds, self.rate_hz, skew * 1e3);
        assert!(skew.abs() < 0.001, "{skew} s of skew at the end");
        assert!((last[0] - last_s[0]).abs() < 0.001, "the last picture is shown at {}, not {}", last[0], last_s[0]);
        if self.seconds < 1_000 {
            assert_eq!(decoder_errors(&file), "");
        }
    }
}

/// Presentation of the last packet of video and of audio, in seconds.
fn last_shown_s(path: &Path, from_s: f64) -> [f64; 2] {
    [0, 1].map(|track: u32| {
        let output = Command::new("ffprobe")
            .args(["-v", "error", "-of", "csv=p=0", "-show_entries", "packet=pts_time", "-select_streams"])
            .args([&track.to_string(), "-read_intervals", &format!("{from_s}%")])
            .arg(path)
            .output()
            .expect("ffprobe runs; `make deps` installs it");
        let text = String::from_utf8(output.stdout).unwrap();
        let times = text.lines().filter_map(|line| line.trim_end_matches(',').parse::<f64>().ok());
        times.fold(f64::MIN, f64::max)
    })
}

/// Writes TS packets; each PES is one packet long.
#[derive(Default)]
struct Muxer {
    bytes: Vec<u8>,
    counters: [u8; 4],
}

impl Muxer {
    fn tables(&mut self) {
        let pat = [0, 0xb0, 13, 0, 1, 0xc1, 0, 0, 0, 1, 0xf0, 0];
        let pmt = [2, 0xb0, 23, 0, 1, 0xc1, 0, 0, 0xe1, 0, 0xf0, 0, 0x1b, 0xe1, 0, 0xf0, 0, 0x0f, 0xe1, 1, 0xf0, 0];
        for (pid, counter, table) in [(0, 0, &pat[..]), (0x1000, 1, &pmt)] {
            let section = [&[0], table, &crc(table).to_be_bytes()].concat();
            let payload = [&section[..], &vec![0xff; 184 - section.len()]].concat();
            self.packet(pid, counter, &[], &payload);
        }
    }

    fn picture(&mut self, data: &[u8], ticks: u64) {
        let clock = ticks.wrapping_sub(9_000) & 0x1_ffff_ffff;
        let mut field = vec![0x50];
        field.extend(((clock as u32) >> 1 | ((clock >> 32) as u32) << 31).to_be_bytes());
        field.extend([(clock as u8) << 7 | 0x7e, 0]);
        self.pes(VIDEO, 2, 0xe0, ticks, data, field);
    }

    fn frame(&mut self, rate_hz: u64, ticks: u64) {
        let index: u8 = if rate_hz == 48_000 { 3 } else { 4 };
        // Silence, mono.
        let data = [0xff, 0xf1, 0x40 | index << 2, 0x40, 1, 0x7f, 0xfc, 1, 0x18, 0x20, 7];
        self.pes(AUDIO, 3, 0xc0, ticks, &data, Vec::new());
    }

    fn pes(&mut self, pid: u16, counter: usize, id: u8, ticks: u64, data: &[u8], mut field: Vec<u8>) {
        let t = ticks & 0x1_ffff_ffff;
        let stamp =
            [0x21 | (t >> 29) as u8 & 0xe, (t >> 22) as u8, (t >> 14) as u8 | 1, (t >> 7) as u8, (t << 1) as u8 | 1];
        let length = (data.len() as u16 + 8).to_be_bytes();
        let header = [0, 0, 1, id, length[0], length[1], 0x84, 0x80, 5];
        let payload = [&header[..], &stamp, data].concat();
        if field.is_empty() {
            field.push(0);
        }
        field.resize(183 - payload.len(), 0xff);
        self.packet(pid, counter, &field, &payload);
    }

    fn packet(&mut self, pid: u16, counter: usize, field: &[u8], payload: &[u8]) {
        let count = &mut self.counters[counter];
        let control = if field.is_empty() { 0x10 } else { 0x30 };
        self.bytes.extend([0x47, 0x40 | (pid >> 8) as u8, pid as u8, control | *count & 15]);
        *count = count.wrapping_add(1);
        if !field.is_empty() {
            self.bytes.push(field.len() as u8);
            self.bytes.extend(field);
        }
        self.bytes.extend(payload);
        assert_eq!(self.bytes.len() % 188, 0);
    }
}

/// The checksum of tables (ISO/IEC 13818-1, annex A).
fn crc(data: &[u8]) -> u32 {
    data.iter().fold(!0, |crc: u32, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 })
    })
}

fn is_heavy() -> bool {
    std::env::var_os("AVWELD_HEAVY").is_some_and(|value| value == "1")
}

/// 29.97 pictures a second in segments of six seconds; the clock wraps on the way.
#[test]
fn sound_and_pictures_do_not_drift_apart() {
    let seconds = if is_heavy() { 36_000 } else { 600 };
    for rate_hz in [48_000, 44_100] {
        let start = (1 << 33) - seconds / 2 * 90_000;
        Recording { seconds, picture_ticks: 3_003, rate_hz, start, segment_seconds: 6 }.check();
    }
}

/// Longer than the clock's period of 26.5 hours; and than 32 bits of ticks can count.
#[test]
fn thirty_hours_last_thirty_hours() {
    let (seconds, rate_hz) = if is_heavy() { (108_000, 44_100) } else { (600, 48_000) };
    let start = (1 << 33) - 90_000;
    Recording { seconds, picture_ticks: 90_000, rate_hz, start, segment_seconds: 60 }.check();
}
