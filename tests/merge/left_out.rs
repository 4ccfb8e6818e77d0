//! Streams that are declared and hold nothing, that no table names, or that nobody here can read.

use std::fs;
use std::path::PathBuf;

use crate::codecs::mpeg_crc;
use crate::judge;
use crate::sandbox::{Sandbox, copy_fixture, fixture, report};

const UNSUPPORTED: i32 = 69;

/// A copy of a fixture, each of whose files of this kind is changed.
fn changed(sandbox: &Sandbox, case: &str, extension: &str, change: impl Fn(&mut Vec<u8>)) -> PathBuf {
    copy_fixture(case, &sandbox.input());
    let mut files = 0;
    for entry in fs::read_dir(sandbox.input()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|found| found == extension) {
            let mut bytes = fs::read(&path).unwrap();
            change(&mut bytes);
            fs::write(path, bytes).unwrap();
            files += 1;
        }
    }
    assert!(files > 0);
    sandbox.input().join("index.m3u8")
}

fn find(bytes: &[u8], what: &[u8; 4]) -> Option<usize> {
    bytes.windows(4).position(|window| window == what)
}

/// Changes what the PMTs say of the sound, whose stream type is the one of AAC.
fn change_tables(bytes: &mut [u8], change: impl Fn(&mut Vec<u8>, usize)) {
    let mut tables = 0;
    // Payloads that begin a section with table id 2.
    for packet in bytes.chunks_mut(188).filter(|p| p[1] & 0x40 != 0 && p[3] & 0x30 == 0x10 && p[4..6] == [0, 2]) {
        let length = usize::from(packet[6] & 15) << 8 | usize::from(packet[7]);
        let mut section = packet[5..5 + 3 + length - 4].to_vec();
        let sound = section.iter().skip(12).position(|byte| *byte == 0x0f).expect("sound") + 12;
        change(&mut section, sound);
        section[2] = u8::try_from(section.len() + 4 - 3).unwrap();
        section.extend(mpeg_crc(&section).to_be_bytes());
        packet[5..].fill(0xff);
        packet[5..5 + section.len()].copy_from_slice(&section);
        tables += 1;
    }
    assert!(tables > 0);
}

/// A whole file with its index behind its media, and in that one track more, of video, that has no sample.
fn with_an_empty_track(sandbox: &Sandbox) -> PathBuf {
    sandbox.merge(fixture("fmp4-muxed").join("index.m3u8"), "whole.mp4", &["--no-faststart"]);
    let mut bytes = fs::read(sandbox.output("whole.mp4")).unwrap();
    let moov = find(&bytes, b"moov").unwrap() - 4;
    let size = |bytes: &[u8], at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let start = moov + find(&bytes[moov..], b"trak").unwrap() - 4;
    let mut track = bytes[start..start + size(&bytes, start) as usize].to_vec();
    let number = find(&track, b"tkhd").unwrap() + 19;
    track[number] = 3;
    for (table, count) in [(b"stts", 8), (b"ctts", 8), (b"stss", 8), (b"stsc", 8), (b"stsz", 12), (b"stco", 8)] {
        let at = find(&track, table).unwrap_or_else(|| panic!("a table of {table:?}"));
        track[at + count..at + count + 4].fill(0);
    }
    let whole = size(&bytes, moov) + track.len() as u32;
    bytes[moov..moov + 4].copy_from_slice(&whole.to_be_bytes());
    bytes.splice(start..start, track);
    let path = sandbox.input().join("empty.mp4");
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_track_without_a_sample_is_left_out() {
    let sandbox = Sandbox::new();
    let input = with_an_empty_track(&sandbox);
    for name in ["o.mp4", "o.mkv", "o.ts"] {
        let report = sandbox.merge(&input, name, &[]);
        assert_eq!(report["dropped_streams"][0]["reason"], "it is declared, and holds nothing", "{name}: {report}");
        let packets: Vec<_> = judge::tracks(&sandbox.output(name)).into_iter().map(|t| (t.kind, t.packets)).collect();
        assert_eq!(packets, [("video".to_owned(), 75), ("audio".to_owned(), 142)], "{name}");
    }
}

#[test]
fn a_track_of_which_no_fragment_holds_anything_is_told_of() {
    let sandbox = Sandbox::new();
    let input = changed(&sandbox, "fmp4-muxed", "m4s", |bytes| {
        let video = find(bytes, b"traf").unwrap() + 4;
        let sound = video + find(&bytes[video..], b"traf").unwrap();
        bytes[sound..sound + 4].copy_from_slice(b"free");
    });
    let report = sandbox.merge(&input, "o.mp4", &[]);
    assert_eq!(report["tracks"].as_array().unwrap().len(), 1, "{report}");
    let reason = report["dropped_streams"][0]["reason"].as_str().unwrap();
    assert_eq!(reason, "it is declared, and no packet of it came", "{report}");
    // These formats have their tracks declared before anything comes.
    for name in ["o.mkv", "o.ts"] {
        let report = sandbox.merge(&input, name, &["--verify", "decode"]);
        let packets = [0, 1].map(|track| report["tracks"][track]["packets"].as_u64().unwrap());
        assert_eq!(packets, [75, 0], "{name}: {report}");
    }
}

/// Adds to the first track of an init section a sample entry that is encrypted, behind its own.
fn add_encrypted_entry(init: &mut Vec<u8>) {
    let mut entry = [&[0, 0, 0, 106][..], b"encv", &[0; 78], b"\0\0\0\x14schm\0\0\0\0cenc\0\x01\0\0"].concat();
    entry[15] = 1;
    let table = find(init, b"stsd").unwrap() - 4;
    let end = table + u32::from_be_bytes(init[table..table + 4].try_into().unwrap()) as usize;
    init[table + 15] = 2;
    for around in [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"] {
        let at = find(init, around).unwrap() - 4;
        let size = u32::from_be_bytes(init[at..at + 4].try_into().unwrap()) + entry.len() as u32;
        init[at..at + 4].copy_from_slice(&size.to_be_bytes());
    }
    init.splice(end..end, entry);
}

#[test]
fn samples_in_the_clear_are_merged_where_others_of_their_track_may_be_encrypted() {
    let sandbox = Sandbox::new();
    let input = changed(&sandbox, "fmp4-muxed", "mp4", add_encrypted_entry);
    let report = sandbox.merge(&input, "o.mp4", &[]);
    let packets = [0, 1].map(|track| report["tracks"][track]["packets"].as_u64().unwrap());
    assert_eq!(packets, [75, 142], "{report}");
    assert_eq!(judge::decoder_errors(&sandbox.output("o.mp4")), "");
}

#[test]
fn sound_that_libav_takes_for_something_else_is_refused_by_name() {
    for (case, extension, code) in [("ts-h264-aac", "ts", 0x2d), ("ts-h264-aac", "ts", 0x2e), ("fmp4-muxed", "mp4", 0)]
    {
        let sandbox = Sandbox::new();
        let input = changed(&sandbox, case, extension, |bytes| match code {
            0 => {
                let entry = find(bytes, b"mp4a").unwrap();
                bytes[entry..entry + 4].copy_from_slice(b"mhm1");
            }
            code => change_tables(bytes, |section, sound| section[sound] = code),
        });
        let output = sandbox.command(&input, sandbox.output("o.mp4")).output().unwrap();
        let error = report(&output)["error"].to_string();
        assert_eq!(output.status.code(), Some(UNSUPPORTED), "{case} {code:#x}: {error}");
        assert!(error.contains("its audio is mpegh_3d_audio") && error.contains("--on-gap skip"), "{error}");
        let report = sandbox.merge(&input, "o.mp4", &["--on-gap", "skip"]);
        assert_eq!(report["dropped_streams"][0]["codec"], "mpegh_3d_audio", "{case} {code:#x}: {report}");
        let kinds: Vec<_> = judge::tracks(&sandbox.output("o.mp4")).into_iter().map(|track| track.kind).collect();
        assert_eq!(kinds, ["video"], "{case} {code:#x}");
    }
}

/// A recording whose sound begins after a while; the tables are changed as told.
fn recording(sandbox: &Sandbox, change: impl Fn(&mut Vec<u8>, usize)) -> PathBuf {
    let segment = |n: usize| fs::read(fixture("ts-h264-aac").join(format!("index{n}.ts"))).unwrap();
    let mut bytes = segment(0);
    for packet in bytes.chunks_mut(188).filter(|packet| packet[1] & 0x1f == 1 && packet[2] == 1) {
        packet[1..4].copy_from_slice(&[0x1f, 0xff, 0x10]);
    }
    bytes.extend([segment(1), segment(2)].concat());
    change_tables(&mut bytes, change);
    let path = sandbox.input().join("recording.ts");
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_stream_that_no_table_names_costs_nothing_but_itself() {
    let sandbox = Sandbox::new();
    let unnamed = recording(&sandbox, |section, sound| section.truncate(sound));
    let report = sandbox.merge(&unnamed, "o.mp4", &[]);
    let packets: Vec<_> = judge::tracks(&sandbox.output("o.mp4")).into_iter().map(|t| (t.kind, t.packets)).collect();
    assert_eq!(packets, [("video".to_owned(), 75)], "{report}");
    assert_eq!(report["dropped_streams"][0]["kind"], "audio", "{report}");
    assert!(report["dropped_streams"][0]["reason"].as_str().unwrap().contains("no table"), "{report}");
    assert!(report["warnings"].to_string().contains("97 packets were left out"), "{report}");
}

#[test]
fn a_stream_that_a_table_names_may_not_be_lost() {
    let sandbox = Sandbox::new();
    let input = changed(&sandbox, "ts-h264-aac", "ts", |bytes| {
        // No frame of the sound has a header any more.
        for packet in bytes.chunks_mut(188).filter(|packet| packet[1] & 0x1f == 1 && packet[2] == 1) {
            while let Some(at) = packet.windows(2).position(|pair| pair == [0xff, 0xf1]) {
                packet[at] = 0x55;
            }
        }
    });
    let output = sandbox.command(&input, sandbox.output("o.mp4")).output().unwrap();
    let error = report(&output)["error"].to_string();
    assert_eq!(output.status.code(), Some(65), "{error}");
    assert!(error.contains("nothing tells how to decode"), "{error}");
}
