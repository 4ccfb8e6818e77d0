//! A part of a playlist's time.

use serde_json::{Value, json};

use crate::judge;
use crate::sandbox::{Sandbox, fixture, report};

fn planned(report: &Value) -> u64 {
    assert_eq!(report["segments"]["planned"], report["segments"]["merged"], "{report}");
    report["segments"]["planned"].as_u64().unwrap()
}

#[test]
fn segments_in_the_range_are_merged_and_the_file_begins_at_0() {
    // Three segments of a second.
    for (range, segments) in [("1-2", 1), ("0.5-1.5", 2), ("00:00:01-", 2), ("-1", 1), ("0-99", 3), ("0.95-2.05", 1)] {
        let sandbox = Sandbox::new();
        let report = sandbox.merge(fixture("ts-h264-aac").join("index.m3u8"), "part.mp4", &["--range", range]);
        assert_eq!(planned(&report), segments, "{range}");
        let tracks = judge::tracks(&sandbox.output("part.mp4"));
        assert_eq!(tracks[0].packets, segments * 25, "{range}");
        assert!(tracks.iter().all(|t| t.faults.is_empty() && t.start_s < 0.1), "{range}: {tracks:#?}");
        assert_eq!(judge::decoder_errors(&sandbox.output("part.mp4")), "", "{range}");
    }
}

#[test]
fn an_initialization_vector_is_still_that_of_the_segments_number() {
    let sandbox = Sandbox::new();
    let report = sandbox.merge(fixture("aes128-rotation").join("index.m3u8"), "part.mp4", &["--range", "2-"]);
    assert_eq!(planned(&report), 2);
    assert_eq!(judge::decoder_errors(&sandbox.output("part.mp4")), "");
}

#[test]
fn renditions_and_subtitles_are_cut_where_the_video_is() {
    let sandbox = Sandbox::new();
    sandbox.merge(fixture("fmp4-separate-audio").join("index.m3u8"), "part.mp4", &["--range", "1-2", "--audio", "all"]);
    let tracks = judge::tracks(&sandbox.output("part.mp4"));
    assert_eq!(tracks.len(), 3);
    for track in tracks {
        assert!((track.duration_s() - 1.0).abs() < 0.1 && track.start_s < 0.1, "{track:#?}");
    }
    let sandbox = Sandbox::new();
    let report = sandbox.merge(fixture("subtitles-webvtt").join("index.m3u8"), "part.mp4", &["--range", "2-"]);
    let cues = judge::cues(&sandbox.output("part.en.vtt"));
    let length = report["duration_s"].as_f64().unwrap();
    assert!(!cues.is_empty() && cues.iter().all(|(start, end)| *start < length && *end <= length + 0.5), "{cues:?}");
}

#[test]
fn a_range_that_holds_nothing_or_cannot_be_known_is_refused() {
    let sandbox = Sandbox::new();
    let run = |input, range| {
        let output = sandbox.command(input, sandbox.output("part.mp4")).args(["--range", range]).output().unwrap();
        (report(&output)["error"]["exit_code"].clone(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = run(fixture("ts-h264-aac").join("index.m3u8"), "60-");
    assert_eq!(code, json!(2));
    assert!(said.contains("3.0"), "it tells how long the playlist is: {said}");
    let (code, said) = run(fixture("ts-h264-aac").join("index0.ts"), "0-1");
    assert_eq!(code, json!(2));
    assert!(said.contains("playlist"), "{said}");
    assert_eq!(sandbox.outputs(), [""; 0]);
}
