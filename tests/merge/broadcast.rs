//! What recordings of broadcasts have: an end inside of a group of pictures, frames torn at the start, short audio frames.

use std::fs;
use std::process::Command;

use crate::boxes;
use crate::judge::decoder_errors;
use crate::sandbox::{Sandbox, copy_fixture, fixture};

#[test]
fn pictures_that_wait_long_for_their_time_do_not_make_a_file_too_short() {
    for (case, packets) in [("ts-h264-aac", 37), ("ts-hevc-aac", 30)] {
        let sandbox = Sandbox::new();
        let recording = sandbox.input().join("recording.ts");
        // Five pictures a second, and none follows the last that refers to it: it is shown long after it is decoded.
        let made = Command::new("ffmpeg")
            .args(["-v", "error", "-itsscale", "5", "-i"])
            .arg(fixture(case).join("index.m3u8"))
            .args(["-map", "0:v", "-c", "copy", "-frames:v", &packets.to_string()])
            .arg(&recording)
            .status();
        assert!(made.expect("ffmpeg runs; `make deps` installs it").success());
        let report = sandbox.merge(&recording, "merged.mp4", &[]);
        assert_eq!(report["tracks"][0]["packets"], packets, "{case}");
    }
}

#[test]
fn a_recording_that_begins_inside_of_an_audio_frame_loses_that_frame_alone() {
    for (case, frames) in [("ts-ac3", 63), ("ts-eac3", 63)] {
        let sandbox = Sandbox::new();
        copy_fixture(case, &sandbox.input());
        let first = sandbox.input().join("index0.ts");
        let mut bytes = fs::read(&first).unwrap();
        let head = bytes.windows(2).position(|pair| pair == [0x0b, 0x77]).unwrap();
        bytes[head..head + 2].fill(0);
        fs::write(&first, bytes).unwrap();
        let report = sandbox.merge(sandbox.input().join("index.m3u8"), "merged.mp4", &[]);
        assert_eq!(report["tracks"][1]["packets"], frames - 1, "{case}: {report}");
        assert!(report["warnings"].to_string().contains("torn"), "{case}: {report}");
        assert_eq!(decoder_errors(&sandbox.output("merged.mp4")), "", "{case}");
    }
}

#[test]
fn short_frames_of_eac3_are_joined_to_samples_in_mp4_alone() {
    let sandbox = Sandbox::new();
    // Three blocks of silence each; the thirteenth is half a sample.
    let mut frame = [&[0x0b, 0x77, 0x00, 0x1f, 0x24, 0x80][..], &[0; 58]].concat();
    let check = crc16(&frame[2..62]);
    frame[62..].copy_from_slice(&check.to_be_bytes());
    fs::write(sandbox.input().join("a.ec3"), frame.repeat(13)).unwrap();
    for (name, packets) in [("merged.mp4", 6), ("merged.mkv", 13)] {
        let report = sandbox.merge(sandbox.input().join("a.ec3"), name, &[]);
        assert_eq!(report["tracks"][0]["packets"], packets, "{name}");
    }
    assert_eq!(boxes::read(&sandbox.output("merged.mp4")).tracks[0].samples, 6);
}

/// The check at the end of a frame (ETSI TS 102 366, E.1.3.6): newer versions of libav ask for it before they believe a
/// header.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc: u16, _| crc << 1 ^ if crc >> 15 == 1 { 0x8005 } else { 0 })
    })
}
