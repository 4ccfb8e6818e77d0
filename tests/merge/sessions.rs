//! What changes between segments, or is damaged in one, without a playlist that says so.

use std::fs;
use std::path::{Path, PathBuf};

use avweld::{Input, Job, Options};
use serde_json::Value;

use crate::judge;
use crate::sandbox::{Sandbox, copy_fixture, fixture, report};

/// Packets of each track of each file, in order.
fn packets(report: &Value) -> Vec<u64> {
    report["tracks"].as_array().unwrap().iter().map(|t| t["packets"].as_u64().unwrap()).collect()
}

fn faultless(path: &Path) {
    let tracks = judge::tracks(path);
    assert!(tracks.iter().all(|t| t.faults.is_empty()), "{}: {tracks:#?}", path.display());
    assert_eq!(judge::decoder_errors(path), "", "{}", path.display());
}

/// Two transport streams whose pictures differ in size; made by splitting the fixture that has both.
fn two_sizes(sandbox: &Sandbox) -> [PathBuf; 2] {
    sandbox.merge(fixture("fmp4-two-configs").join("index.m3u8"), "size.ts", &[]);
    [0, 1].map(|n| {
        let name = format!("size.{n:03}.ts");
        let path = sandbox.input().join(&name);
        fs::rename(sandbox.output(&name), &path).unwrap();
        path
    })
}

#[test]
fn another_picture_size_begins_another_file_and_loses_nothing() {
    let sandbox = Sandbox::new();
    let [small, large] = two_sizes(&sandbox);
    let output = sandbox.command(&small, sandbox.output("out.mp4")).arg(&large).output().unwrap();
    let report = report(&output);
    assert_eq!(sandbox.outputs(), ["out.000.mp4", "out.001.mp4"], "{report}");
    assert_eq!(packets(&report), [50, 95, 50, 95]);
    assert_eq!(report["warnings"], Value::from(Vec::<String>::new()), "each begins with a key picture");
    for name in sandbox.outputs() {
        faultless(&sandbox.output(&name));
    }
}

#[test]
fn another_picture_size_fails_where_one_file_is_wanted() {
    let sandbox = Sandbox::new();
    let [small, large] = two_sizes(&sandbox);
    let output = sandbox.command(&small, sandbox.output("out.mp4")).arg(&large).args(["--on-change", "fail"]).output();
    let report = report(&output.unwrap());
    assert_eq!(report["error"]["exit_code"], 69);
    let said = report["error"]["message"].as_str().unwrap();
    assert!(said.contains("160x90") && said.contains("320x180"), "{said}");
    assert_eq!(sandbox.outputs(), [""; 0]);
}

#[test]
fn another_picture_size_cuts_a_separate_audio_rendition_at_the_same_time() {
    let sandbox = Sandbox::new();
    copy_fixture("fmp4-separate-audio", &sandbox.input());
    let write = |name: &str, text: &str| fs::write(sandbox.input().join(name), text).unwrap();
    write(
        "picture.m3u8",
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MAP:URI=\"video-init.mp4\"\n#EXTINF:1,\nvideo0.m4s\n\
         #EXT-X-MAP:URI=\"large-init.mp4\"\n#EXTINF:1,\nlarge1.m4s\n#EXT-X-ENDLIST\n",
    );
    write(
        "sound.m3u8",
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MAP:URI=\"en-init.mp4\"\n#EXTINF:1,\nen0.m4s\n#EXTINF:1,\nen1.m4s\n\
         #EXT-X-ENDLIST\n",
    );
    write(
        "index.m3u8",
        "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"en\",DEFAULT=YES,URI=\"sound.m3u8\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=1000,AUDIO=\"a\"\npicture.m3u8\n",
    );
    let whole = sandbox.merge(sandbox.input().join("sound.m3u8"), "sound.mp4", &[]);
    fs::remove_file(sandbox.output("sound.mp4")).unwrap();
    let report = sandbox.merge(sandbox.input().join("index.m3u8"), "out.mp4", &[]);
    assert_eq!(sandbox.outputs(), ["out.000.mp4", "out.001.mp4"]);
    let [first, sound_a, second, sound_b] = packets(&report)[..] else { panic!("{report}") };
    assert_eq!((first, second), (25, 25));
    assert_eq!(vec![sound_a + sound_b], packets(&whole), "all of the sound is in one file or the other");
    for track in report["tracks"].as_array().unwrap() {
        let (start, duration) = (track["start_s"].as_f64().unwrap(), track["duration_s"].as_f64().unwrap());
        assert!(start < 0.12 && (duration - 1.0).abs() < 0.12, "{track}");
    }
}

#[test]
fn sound_that_comes_beyond_the_look_ahead_is_a_track_of_the_one_file() {
    let sandbox = Sandbox::new();
    sandbox.merge(fixture("fmp4-separate-audio").join("video.m3u8"), "silent.ts", &[]);
    let silent = sandbox.input().join("silent.ts");
    fs::rename(sandbox.output("silent.ts"), &silent).unwrap();
    let mut options = Options::default();
    options.limits.probe_bytes = 4096;
    options.temp_dir = Some(sandbox.temp());
    let input = Input::paths([silent, fixture("ts-h264-aac").join("index0.ts")]);
    let output = sandbox.output("out.mp4");
    let report = Job::new(input, &output).options(options).run().unwrap();
    let found: Vec<(&str, u64)> = report.tracks.iter().map(|t| (t.kind, t.packets)).collect();
    let alone = sandbox.merge(fixture("ts-h264-aac").join("index0.ts"), "alone.mp4", &[]);
    assert_eq!(found, [("video", 75 + packets(&alone)[0]), ("audio", packets(&alone)[1])]);
    assert!((report.tracks[1].start_s - 3.0).abs() < 0.1, "{report:?}");
    assert_eq!(report.segments.merged, 2);
    faultless(&output);
}

/// A fragmented MP4 whose second fragment lists an audio sample far beyond its end.
fn damaged(sandbox: &Sandbox) -> PathBuf {
    copy_fixture("fmp4-muxed", &sandbox.input());
    let path = sandbox.input().join("index1.m4s");
    let mut bytes = fs::read(&path).unwrap();
    let tables: Vec<usize> = bytes.windows(4).enumerate().filter(|(_, w)| w == b"trun").map(|(at, _)| at).collect();
    let [_, audio] = tables[..] else { panic!("{} tables of samples", tables.len()) };
    // Version and flags, sample count, data offset; then sizes. The tenth becomes a hundred times a segment.
    let size = audio + 16 + 9 * 4;
    bytes[size..size + 4].copy_from_slice(&600_000u32.to_be_bytes());
    fs::write(&path, bytes).unwrap();
    sandbox.input().join("index.m3u8")
}

#[test]
fn a_fragment_that_lists_what_it_does_not_hold_is_refused_by_name() {
    let sandbox = Sandbox::new();
    let output = sandbox.command(damaged(&sandbox), sandbox.output("out.mp4")).output().unwrap();
    let report = report(&output);
    assert_eq!(output.status.code(), Some(65), "{report}");
    assert_eq!(report["error"]["segment"], 1, "{report}");
    assert_eq!(sandbox.outputs(), [""; 0]);
}

#[test]
fn a_damaged_fragment_costs_nothing_of_the_others() {
    let sandbox = Sandbox::new();
    let sound = fixture("fmp4-muxed");
    let whole = packets(&sandbox.merge(sound.join("index.m3u8"), "whole.mp4", &[]));
    let report = sandbox.merge(damaged(&sandbox), "out.mp4", &["--on-gap", "skip"]);
    assert_eq!(report["segments"]["missing"], Value::from(vec![1]));
    for (left, whole) in packets(&report).iter().zip(whole) {
        assert!(*left >= whole * 2 / 3 - 1, "{left} of {whole} packets, with two of three segments whole");
    }
}

#[test]
fn scrambled_packets_are_refused_by_that_word() {
    let sandbox = Sandbox::new();
    let path = sandbox.input().join("scrambled.ts");
    let mut bytes = fs::read(fixture("ts-h264-aac").join("index0.ts")).unwrap();
    for packet in bytes.chunks_exact_mut(188) {
        let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        if pid >= 0x100 {
            packet[3] |= 0x80;
        }
    }
    fs::write(&path, bytes).unwrap();
    let output = sandbox.command(&path, sandbox.output("out.mp4")).output().unwrap();
    assert_eq!(output.status.code(), Some(69));
    assert!(report(&output)["error"]["message"].as_str().unwrap().contains("scrambled"));
}

#[test]
fn a_picture_that_no_player_could_decode_is_refused() {
    let sandbox = Sandbox::new();
    let path = sandbox.input().join("without.ts");
    let mut bytes = fs::read(fixture("ts-h264-aac").join("index0.ts")).unwrap();
    // Picture parameter sets become filler.
    let sets: Vec<usize> =
        bytes.windows(4).enumerate().filter(|(_, w)| w == b"\0\0\x01\x68").map(|(at, _)| at).collect();
    assert!(!sets.is_empty());
    for at in sets {
        bytes[at + 3] = 0x6c;
    }
    fs::write(&path, bytes).unwrap();
    let output = sandbox.command(&path, sandbox.output("out.mp4")).output().unwrap();
    assert_eq!(output.status.code(), Some(65));
    assert!(report(&output)["error"]["message"].as_str().unwrap().contains("decode"));
    assert_eq!(sandbox.outputs(), [""; 0]);
}
