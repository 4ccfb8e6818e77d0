//! Streams that lack something or hold too much: what is said of it, and that nothing else is lost.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::golden;
use crate::judge;
use crate::sandbox::{Sandbox, copy_fixture, fixture, report};

const TS_PACKET: usize = 188;
const AUDIO: u8 = 1;

fn spoil(folder: &Path, case: &str, name: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) -> PathBuf {
    copy_fixture(case, folder);
    let path = folder.join(name);
    fs::write(&path, change(fs::read(&path).unwrap())).unwrap();
    folder.join("index.m3u8")
}

/// Packets of each track, and the whole of the warnings.
fn merged(sandbox: &Sandbox, playlist: &Path, arguments: &[&str]) -> (Vec<u64>, String) {
    let report = sandbox.merge(playlist, "out.mp4", arguments);
    let packets = report["tracks"].as_array().unwrap().iter().map(|t| t["packets"].as_u64().unwrap()).collect();
    (packets, report["warnings"].to_string())
}

fn refusal(sandbox: &Sandbox, playlist: &Path) -> String {
    let output = sandbox.command(playlist, sandbox.output("out.mp4")).output().unwrap();
    assert!(!output.status.success(), "it was merged");
    assert_eq!(sandbox.outputs(), [""; 0]);
    report(&output)["error"]["message"].as_str().unwrap().to_owned()
}

fn is_of(packet: &[u8], low: u8) -> bool {
    packet[1] & 0x1f == 1 && packet[2] == low
}

#[test]
fn scrambled_sound_is_refused_wherever_it_begins() {
    for first in [0, 25] {
        let sandbox = Sandbox::new();
        let playlist = spoil(&sandbox.input(), "ts-h264-aac", "index1.ts", |mut bytes| {
            let packets = bytes.chunks_mut(TS_PACKET).skip(first);
            packets.filter(|p| is_of(p, AUDIO)).for_each(|packet| packet[3] |= 0x80);
            bytes
        });
        let message = refusal(&sandbox, &playlist);
        assert!(message.contains("scrambled") && message.contains("index1.ts"), "{message}");
    }
}

#[test]
fn a_cut_fragment_is_named_itself_wherever_it_is_cut() {
    for length in [300, 700, 1000, 1500, 2000, 4000] {
        let sandbox = Sandbox::new();
        let playlist = spoil(&sandbox.input(), "fmp4-muxed", "index1.m4s", |bytes| bytes[..length].to_vec());
        let message = refusal(&sandbox, &playlist);
        assert!(message.contains("index1.m4s"), "cut at {length}: {message}");
        let (packets, _) = merged(&sandbox, &playlist, &["--on-gap", "skip"]);
        assert!(packets[0] >= 50 && packets[1] >= 96, "cut at {length}: {packets:?}");
    }
}

#[test]
fn sound_that_lacks_its_end_is_told_of_and_refused_where_more_is_gone() {
    for (name, gone, refused) in [
        ("index2.ts", 1, false),
        ("index2.ts", 5, true),
        ("index2.ts", 30, true),
        ("index1.ts", 1, false),
        ("index1.ts", 5, true),
        ("index1.ts", 10, true),
    ] {
        let sandbox = Sandbox::new();
        let cut = |bytes: Vec<u8>| bytes[..bytes.len() - gone * TS_PACKET].to_vec();
        let playlist = spoil(&sandbox.input(), "ts-h264-aac", name, cut);
        if refused {
            let message = refusal(&sandbox, &playlist);
            assert!(message.contains("cut short") && message.contains(name), "{name} without {gone}: {message}");
        } else {
            let (packets, warnings) = merged(&sandbox, &playlist, &[]);
            assert!(warnings.contains("incomplete") && warnings.contains(name), "{name} without {gone}: {warnings}");
            // No more than what the frames that are gone were, and the one that was cut.
            assert!(packets[0] == 75 && packets[1] >= 132, "{name} without {gone}: {packets:?}");
            assert_eq!(judge::decoder_errors(&sandbox.output("out.mp4")), "");
        }
    }
}

#[test]
fn a_packet_that_was_lost_on_the_way_is_told_of_and_costs_a_few_frames() {
    for nth in [3, 7] {
        let sandbox = Sandbox::new();
        let playlist = spoil(&sandbox.input(), "ts-h264-aac", "index1.ts", |bytes| {
            let packets: Vec<&[u8]> = bytes.chunks(TS_PACKET).collect();
            let inside = |p: &[u8]| is_of(p, AUDIO) && p[1] & 0x40 == 0;
            let lost = packets.iter().enumerate().filter(|(_, p)| inside(p)).nth(nth).unwrap().0;
            packets.iter().enumerate().filter(|(n, _)| *n != lost).flat_map(|(_, p)| p.to_vec()).collect()
        });
        let (packets, warnings) = merged(&sandbox, &playlist, &[]);
        assert!(packets[0] == 75 && packets[1] >= 137, "{packets:?}");
        assert!(warnings.contains("packets are missing") && warnings.contains("index1.ts"), "{warnings}");
    }
}

#[test]
fn a_segment_of_tables_alone_is_missing_and_costs_nothing_of_the_others() {
    let sandbox = Sandbox::new();
    // Its first three packets are SDT, PAT and PMT.
    let tables = |bytes: Vec<u8>| bytes[..3 * TS_PACKET].to_vec();
    let playlist = spoil(&sandbox.input(), "ts-h264-aac", "index1.ts", tables);
    let message = refusal(&sandbox, &playlist);
    assert!(message.contains("index1.ts") && message.contains("--on-gap skip"), "{message}");
    let (packets, warnings) = merged(&sandbox, &playlist, &["--on-gap", "skip"]);
    assert!(packets == [50, 96] && warnings.contains("index1.ts"), "{packets:?} {warnings}");
}

#[test]
fn a_fragment_that_lists_samples_in_another_segment_costs_that_one_nothing() {
    for damaged in 0..2 {
        let sandbox = Sandbox::new();
        let name = format!("index{damaged}.m4s");
        let playlist = spoil(&sandbox.input(), "fmp4-muxed", &name, |mut bytes| {
            let offset = memchr::memmem::find_iter(&bytes, b"trun").nth(1).unwrap() + 12;
            let ahead = u32::try_from(bytes.len()).unwrap() + 600;
            let field = bytes[offset..].first_chunk_mut::<4>().unwrap();
            *field = (u32::from_be_bytes(*field) + ahead).to_be_bytes();
            bytes
        });
        let message = refusal(&sandbox, &playlist);
        assert!(message.contains(&name), "{message}");
        let report = sandbox.merge(&playlist, "out.mp4", &["--on-gap", "skip"]);
        assert_eq!(report["segments"]["missing"], Value::from(vec![damaged]), "{report}");
        let sound = &report["tracks"][1]["packets"];
        assert!(sound.as_u64().unwrap() >= 90, "{report}");
    }
}

#[test]
fn media_may_leave_its_size_open() {
    let sandbox = Sandbox::new();
    let open = |mut bytes: Vec<u8>| {
        let kind = memchr::memmem::rfind(&bytes, b"mdat").unwrap();
        bytes[kind - 4..kind].fill(0);
        bytes
    };
    let mut playlist = PathBuf::new();
    for n in 0..3 {
        let name = format!("index{n}.m4s");
        let path = sandbox.input().join(&name);
        if n == 0 {
            playlist = spoil(&sandbox.input(), "fmp4-muxed", &name, open);
        } else {
            fs::write(&path, open(fs::read(&path).unwrap())).unwrap();
        }
    }
    assert_eq!(merged(&sandbox, &playlist, &[]), (vec![75, 142], "[]".to_owned()));
    fs::remove_file(sandbox.output("out.mp4")).unwrap();
    let path = sandbox.input().join("index1.m4s");
    let bytes = fs::read(&path).unwrap();
    for missing in [1, 10, 500, 2000] {
        fs::write(&path, &bytes[..bytes.len() - missing]).unwrap();
        let message = refusal(&sandbox, &playlist);
        assert!(message.contains("index1.m4s"), "{missing}: {message}");
    }
}

/// Where segments are that are not there: the list, and how long each track is with their time kept.
#[test]
fn missing_segments_leave_their_time_and_a_line_in_the_report() {
    type Case<'a> = (&'a str, &'a [&'a str], &'a [u64], &'a [u64], f64);
    let cases: [Case; 12] = [
        ("ts-h264-aac", &["index0.ts"], &[0], &[50, 97], 2.07),
        ("ts-h264-aac", &["index1.ts"], &[1], &[50, 96], 3.03),
        ("ts-h264-aac", &["index2.ts"], &[2], &[50, 91], 2.02),
        ("ts-h264-aac", &["index1.ts", "index2.ts"], &[1, 2], &[25, 45], 1.02),
        ("ts-h264-aac", &["index0.ts", "index2.ts"], &[0, 2], &[25, 46], 1.06),
        ("fmp4-muxed", &["index1.m4s"], &[1], &[50, 96], 3.03),
        ("packed-aac", &["a1.aac"], &[1], &[96], 3.03),
        ("packed-no-tags", &["a1.aac"], &[1], &[96], 3.03),
        ("packed-no-tags", &["a1.aac", "a2.aac"], &[1, 2], &[50], 3.03),
        ("packed-no-tags", &["a0.aac"], &[0], &[96], 2.05),
        ("separate-audio-ts", &["a1.aac"], &[1], &[75, 96], 3.23),
        ("separate-audio-ts", &["video1.ts"], &[1], &[50, 142], 3.23),
    ];
    for (case, gone, missing, packets, duration) in cases {
        let sandbox = Sandbox::new();
        copy_fixture(case, &sandbox.input());
        gone.iter().for_each(|name| fs::remove_file(sandbox.input().join(name)).unwrap());
        let playlist = sandbox.input().join("index.m3u8");
        let report = sandbox.merge(&playlist, "out.mp4", &["--on-gap", "skip"]);
        let held: Vec<u64> =
            report["tracks"].as_array().unwrap().iter().map(|t| t["packets"].as_u64().unwrap()).collect();
        let what = format!("{case} without {gone:?}: {report}");
        assert_eq!(held, packets, "{what}");
        assert_eq!(report["segments"]["missing"], Value::from(missing), "{what}");
        assert!((report["duration_s"].as_f64().unwrap() - duration).abs() < 0.02, "{what}");
        assert!(gone.iter().all(|name| report["warnings"].to_string().contains(name)), "{what}");
    }
}

#[test]
fn captions_stay_in_the_pictures() {
    let sandbox = Sandbox::new();
    sandbox.merge(fixture("ts-captions").join("index.m3u8"), "out.mp4", &[]);
    let bytes = fs::read(sandbox.output("out.mp4")).unwrap();
    let messages: Vec<&[u8]> = memchr::memmem::find_iter(&bytes, b"GA94\x03").map(|at| &bytes[at..at + 11]).collect();
    assert_eq!(messages.len(), 75);
    assert!(messages.iter().all(|m| m[5..8] == [0x41, 0xff, 0xfc] && m[8] > 0x80 && m[10] == 0xff), "{messages:x?}");
}

#[test]
fn a_local_file_may_have_any_name() {
    for name in ["film.html", "film.jpg", "film.txt", "film"] {
        let sandbox = Sandbox::new();
        let path = sandbox.input().join(name);
        fs::copy(fixture("ts-h264-aac").join("index0.ts"), &path).unwrap();
        let (packets, warnings) = merged(&sandbox, &path, &[]);
        assert!(packets == [25, 45] && warnings == "[]", "{name}: {packets:?} {warnings}");
    }
}

/// Bytes of the video's packets, in order.
fn video_sizes(output: &Path) -> Vec<u64> {
    let list = golden::list(output);
    let sizes = list.lines().filter_map(|line| line.strip_prefix("0 ")?.split(' ').nth(2)?.parse().ok());
    sizes.collect()
}

#[test]
fn pictures_that_are_cut_over_pes_packets_from_a_segment_on_stay_whole() {
    for from in 0..3 {
        let sandbox = Sandbox::new();
        copy_fixture("ts-h264-aac", &sandbox.input());
        sandbox.merge(sandbox.input().join("index.m3u8"), "plain.mp4", &[]);
        for n in from..3 {
            let cut = fixture("borders-nal-over-pes").join(format!("{n}.ts"));
            fs::copy(cut, sandbox.input().join(format!("index{n}.ts"))).unwrap();
        }
        sandbox.merge(sandbox.input().join("index.m3u8"), "cut.mp4", &[]);
        let [plain, cut] = ["plain.mp4", "cut.mp4"].map(|name| fs::read(sandbox.output(name)).unwrap());
        assert!(plain == cut, "cut from segment {from} on");
    }
}

#[test]
fn a_picture_of_any_size_is_one_packet() {
    // A unit of filler data, as long as makes the counters of the packets that follow fit.
    const PACKETS: usize = 16 * 107;
    let sandbox = Sandbox::new();
    copy_fixture("ts-h264-aac", &sandbox.input());
    let playlist = sandbox.input().join("index.m3u8");
    sandbox.merge(&playlist, "plain.mp4", &[]);
    let path = sandbox.input().join("index1.ts");
    let bytes = fs::read(&path).unwrap();
    let packets: Vec<&[u8]> = bytes.chunks(TS_PACKET).collect();
    let of_video = |n: &usize| is_of(packets[*n], 0) && packets[*n][3] & 0x10 != 0;
    let second = (0..packets.len()).filter(of_video).filter(|n| packets[*n][1] & 0x40 != 0).nth(1).unwrap();
    let last = (0..second).rfind(of_video).unwrap();
    let counter = packets[last][3] & 0x0f;
    let filler = (0..PACKETS).flat_map(|n| {
        let head = [0x47, 0x01, 0x00, 0x10 | (counter + 1 + (n % 16) as u8) & 0x0f];
        let payload = if n == 0 { [&[0, 0, 1, 12][..], &[0xff; 180]].concat() } else { vec![0xff; 184] };
        [&head[..], &payload].concat()
    });
    let at = (last + 1) * TS_PACKET;
    fs::write(&path, [&bytes[..at], &filler.collect::<Vec<u8>>(), &bytes[at..]].concat()).unwrap();
    sandbox.merge(&playlist, "large.mp4", &[]);
    let [mut plain, large] = ["plain.mp4", "large.mp4"].map(|name| video_sizes(&sandbox.output(name)));
    // A length of four bytes takes the place of a start code of three.
    plain[25] += PACKETS as u64 * 184 + 1;
    assert_eq!(plain, large);
}
