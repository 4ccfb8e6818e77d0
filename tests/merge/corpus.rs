//! Field material from other projects' test suites, where `AVWELD_CORPUS` says that it is.

use std::env;
use std::fs;
use std::io::{Write, stderr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::expected::{ExpectedTrack, check_files, near};
use crate::judge::{self, Track};
use crate::sandbox::Sandbox;

/// A line of expected.tsv: playlist, tracks, duration.
fn check(corpus: &Path, line: &str) {
    let columns: Vec<&str> = line.split('\t').collect();
    let [playlist, tracks, duration] = columns[..] else { panic!("not three columns: {line}") };
    let expected: Vec<ExpectedTrack> = tracks.split(',').map(track).collect();
    let sandbox = Sandbox::new();
    let report = sandbox.merge(corpus.join(playlist), "merged.mp4", &[]);
    check_files(&report, &[expected]);
    // The table counts frames, so a track that starts later on the common clock makes the file longer than it says.
    let tracks = judge::tracks(&sandbox.output("merged.mp4"));
    let longest = tracks.iter().map(Track::duration_s).fold(0.0, f64::max);
    near(longest, duration.parse().unwrap(), 0.1, &format!("{playlist}: longest track"));
}

/// `video:h264=90`
fn track(text: &str) -> ExpectedTrack {
    let (kind, rest) = text.split_once(':').unwrap();
    let (codec, packets) = rest.split_once('=').unwrap();
    ExpectedTrack {
        kind: kind.into(),
        codec: codec.into(),
        packets: packets.parse().unwrap(),
        start_s: None,
        duration_s: None,
        language: None,
    }
}

/// Start and end of each cue, in seconds.
type Cues = &'static [(f64, f64)];

/// The multivariant playlists of the corpus that have subtitles: what is asked for, and the cues that their files say.
const SUBTITLES: [(&str, &str, Cues); 2] = [
    ("fmp4-webvtt/multivariant_playlist.m3u8", "default", &[(0.567, 0.801), (0.667, 0.951)]),
    ("ts-webvtt/index.m3u8", "de", &[(0.6, 2.88), (2.88, 6.36), (6.36, 10.68)]),
];

#[test]
fn subtitles_of_the_corpus_stand_where_their_files_say() {
    let Some(corpus) = env::var_os("AVWELD_CORPUS").map(PathBuf::from) else {
        writeln!(stderr(), "SKIPPED: the field corpus was not merged, AVWELD_CORPUS is not set").unwrap();
        return;
    };
    for (playlist, choice, wanted) in SUBTITLES {
        let sandbox = Sandbox::new();
        let report = sandbox.merge(corpus.join(playlist), "merged.mp4", &["--subtitles", choice]);
        let path = report["subtitles"][0]["path"].as_str().expect("a file of subtitles");
        let cues = judge::cues(Path::new(path));
        assert_eq!(cues.len(), wanted.len(), "{playlist}: {cues:?}");
        for (found, wanted) in cues.iter().zip(wanted) {
            near(found.0, wanted.0, 0.02, &format!("{playlist}: start of a cue"));
            near(found.1, wanted.1, 0.02, &format!("{playlist}: end of a cue"));
        }
    }
}

#[test]
fn the_corpus_merges_to_what_it_expects() {
    let Some(corpus) = env::var_os("AVWELD_CORPUS").map(PathBuf::from) else {
        // Past the harness, which would keep it to itself.
        writeln!(stderr(), "SKIPPED: the field corpus was not merged, AVWELD_CORPUS is not set").unwrap();
        return;
    };
    let table = fs::read_to_string(corpus.join("expected.tsv")).expect("AVWELD_CORPUS holds an expected.tsv");
    let lines: Vec<&str> = table.lines().filter(|l| !l.starts_with('#') && !l.is_empty()).collect();
    assert!(lines.len() >= 12, "only {} lines in expected.tsv", lines.len());
    let failed: Vec<&&str> =
        lines.iter().filter(|line| catch_unwind(AssertUnwindSafe(|| check(&corpus, line))).is_err()).collect();
    assert!(failed.is_empty(), "{} of {} failed, see above: {failed:#?}", failed.len(), lines.len());
}
