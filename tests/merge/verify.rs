//! `--verify decode`: the output decodes as its source does.

use std::fs;

use serde_json::Value;

use crate::sandbox::{Sandbox, copy_fixture, fixture, names, report};

const USAGE: i32 = 2;

/// Frames, errors, frames of the source, errors of the source.
fn counts(report: &Value) -> [u64; 4] {
    ["decoded_frames", "errors", "source_frames", "source_errors"]
        .map(|key| report["verify"][key].as_u64().unwrap_or_else(|| panic!("no {key}: {report}")))
}

fn packets(report: &Value) -> u64 {
    report["tracks"].as_array().unwrap().iter().map(|track| track["packets"].as_u64().unwrap()).sum()
}

#[test]
fn each_packet_of_a_clean_stream_decodes_to_a_frame_without_errors() {
    let cases = [
        ("ts-h264-aac", "out.mp4"),
        ("ts-h264-aac", "out.mkv"),
        ("ts-h264-aac", "out.ts"),
        ("ts-hevc-aac", "out.mp4"),
        ("ts-eac3", "out.mp4"),
        ("fmp4-separate-audio", "out.mov"),
        ("audio-late", "out.mp4"),
        ("wrap-33bit", "out.mp4"),
        // Two files, each compared by itself.
        ("fmp4-two-configs", "out.mp4"),
    ];
    for (case, name) in cases {
        let sandbox = Sandbox::new();
        let report = sandbox.merge(fixture(case).join("index.m3u8"), name, &["--verify", "decode"]);
        let all = packets(&report);
        assert_eq!(counts(&report), [all, 0, all, 0], "{case} to {name}");
        assert_eq!(report["verify"]["undecoded_tracks"], 0, "{case}");
    }
}

#[test]
fn errors_of_the_source_are_no_fault_of_the_output() {
    let sandbox = Sandbox::new();
    copy_fixture("ts-h264-aac", &sandbox.input());
    // Inside pictures: whole TS packets of the first stream, in which no header begins.
    let inside = |packet: &[u8]| packet[1] & 0x5f == 0x01 && packet[2] == 0 && packet[3] & 0x30 == 0x10;
    let mut damaged = 0;
    for name in ["index0.ts", "index1.ts", "index2.ts"] {
        let path = sandbox.input().join(name);
        let mut bytes = fs::read(&path).unwrap();
        for packet in bytes.chunks_mut(188).filter(|packet| inside(packet)) {
            packet[60..70].iter_mut().for_each(|byte| *byte ^= 0x5a);
            damaged += 1;
        }
        fs::write(&path, bytes).unwrap();
    }
    assert!(damaged >= 8, "{damaged} packets damaged");
    let runs = ["a.mp4", "b.mp4"].map(|name| {
        let report = sandbox.merge(sandbox.input().join("index.m3u8"), name, &["--verify", "decode"]);
        counts(&report)
    });
    let [frames, errors, source_frames, source_errors] = runs[0];
    assert!(errors > 0, "nothing was damaged: {runs:?}");
    assert_eq!((frames, errors), (source_frames, source_errors));
    assert_eq!(runs[0], runs[1], "two runs count the same");
}

#[test]
fn without_being_asked_for_it_is_neither_done_nor_told() {
    let sandbox = Sandbox::new();
    let report = sandbox.merge(fixture("ts-h264-aac").join("index.m3u8"), "out.mp4", &[]);
    assert!(report.get("verify").is_none(), "{report}");
}

#[test]
fn the_config_asks_for_it_too() {
    let sandbox = Sandbox::new();
    let config = sandbox.input().join("config.toml");
    fs::write(&config, "verify = 'decode'\n").unwrap();
    let arguments = ["--config", config.to_str().unwrap()];
    let report = sandbox.merge(fixture("packed-mp3").join("index.m3u8"), "out.mp4", &arguments);
    assert!(counts(&report)[0] > 0, "{report}");
}

#[test]
fn what_goes_to_a_pipe_cannot_be_decoded() {
    let sandbox = Sandbox::new();
    let mut command = crate::sandbox::avweld();
    command.arg("merge").arg(fixture("ts-h264-aac").join("index.m3u8"));
    let output = command.args(["-o", "-", "--verify", "decode", "--temp-dir"]).arg(sandbox.temp()).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(USAGE), "{message}");
    assert!(output.stdout.is_empty() && message.contains("cannot be read back"), "{message}");
    assert_eq!(names(&sandbox.temp()), [""; 0]);
}

/// A batch takes it as any option: of all jobs, or of one.
#[test]
fn a_job_of_a_batch_may_ask_for_it() {
    let sandbox = Sandbox::new();
    let list = sandbox.input().join("jobs.jsonl");
    let index = fixture("ts-h264-aac").join("index.m3u8");
    fs::write(&list, format!("{{\"url\": {:?}, \"name\": \"a\", \"verify\": \"decode\"}}\n", index.to_str().unwrap()))
        .unwrap();
    let mut command = crate::sandbox::avweld();
    command.arg("batch").arg(&list).args(["--json", "--output-dir"]).arg(sandbox.output("")).arg("--temp-dir");
    let mut output = command.arg(sandbox.temp()).output().unwrap();
    let first = output.stdout.iter().position(|byte| *byte == b'\n').expect("a line");
    output.stdout.truncate(first);
    assert_eq!(counts(&report(&output))[1], 0);
}
