//! What a merge must give, and how a file and its report are held against it.

use std::path::{Path, PathBuf};

use mp4_atom::FourCC;
use serde_json::Value;

use crate::boxes;
use crate::judge::{self, Track};

/// How far a length or a place may be from what is expected.
const TOLERANCE_S: f64 = 0.1;
/// How far audio and video may be moved against each other: less than a frame of 25 a second.
const SYNC_TOLERANCE_S: f64 = 0.03;
/// The same for cues: they are written in milliseconds.
const CUE_TOLERANCE_S: f64 = 0.003;

/// A track to expect.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ExpectedTrack {
    pub(crate) kind: String,
    pub(crate) codec: String,
    pub(crate) packets: u64,
    /// `None`: not known.
    pub(crate) start_s: Option<f64>,
    pub(crate) duration_s: Option<f64>,
    pub(crate) language: Option<String>,
}

/// A file of subtitles to expect beside the output.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ExpectedSubtitles {
    pub(crate) extension: String,
    pub(crate) language: String,
    /// Start and end of each cue, in order.
    pub(crate) cues: Vec<(f64, f64)>,
}

/// An expected.txt, as fixtures/expect.py describes it.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    pub(crate) segments: (u64, u64),
    pub(crate) missing: Vec<u64>,
    pub(crate) discontinuities: u64,
    pub(crate) timestamp_resets: u64,
    pub(crate) dropped: Vec<(String, String)>,
    pub(crate) outputs: Vec<Vec<ExpectedTrack>>,
    pub(crate) subtitles: Vec<ExpectedSubtitles>,
}

impl Expected {
    pub(crate) fn parse(text: &str) -> Self {
        let mut out = Self::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["segments", planned, merged] => out.segments = (number(planned), number(merged)),
                ["missing", n] => out.missing.push(number(n)),
                ["discontinuities", n] => out.discontinuities = number(n),
                ["timestamp_resets", n] => out.timestamp_resets = number(n),
                ["dropped", kind, codec] => out.dropped.push((kind.into(), codec.into())),
                ["subtitles", extension, language] => out.subtitles.push(ExpectedSubtitles {
                    extension: extension.into(),
                    language: language.into(),
                    cues: Vec::new(),
                }),
                ["cue", start, end] => {
                    out.subtitles.last_mut().unwrap().cues.push((start.parse().unwrap(), end.parse().unwrap()));
                }
                ["output"] => out.outputs.push(Vec::new()),
                [kind, codec, packets, start, duration, ref language @ ..] => {
                    out.outputs.last_mut().unwrap().push(ExpectedTrack {
                        kind: kind.into(),
                        codec: codec.into(),
                        packets: number(packets),
                        start_s: Some(start.parse().unwrap()),
                        duration_s: Some(duration.parse().unwrap()),
                        language: language.first().map(|l| (*l).to_owned()),
                    });
                }
                _ => panic!("not a line of expected.txt: {line}"),
            }
        }
        out
    }

    /// Holds the report's account of the job against this.
    pub(crate) fn check_job(&self, report: &Value) {
        let pairs = |v: &Value| -> Vec<(String, String)> {
            let text = |v: &Value| v.as_str().unwrap().to_owned();
            v.as_array().unwrap().iter().map(|d| (text(&d["kind"]), text(&d["codec"]))).collect()
        };
        assert_eq!(report["segments"]["planned"], self.segments.0, "segments planned");
        assert_eq!(report["segments"]["merged"], self.segments.1, "segments merged");
        assert_eq!(report["segments"]["missing"], Value::from(self.missing.clone()), "segments missing");
        assert_eq!(report["discontinuities"], self.discontinuities, "discontinuities");
        assert_eq!(report["timestamp_resets"], self.timestamp_resets, "timestamp resets");
        assert_eq!(pairs(&report["dropped_streams"]), self.dropped, "dropped streams");
        assert_eq!(report["outputs"].as_array().unwrap().len(), self.outputs.len(), "{}", report["outputs"]);
    }
}

/// Holds the files of subtitles beside an output, and what the report says of them, against what is expected.
pub(crate) fn check_subtitles(report: &Value, expected: &[ExpectedSubtitles]) {
    let told = report["subtitles"].as_array().unwrap();
    assert_eq!(told.len(), expected.len(), "subtitles in the report: {told:?}");
    for (told, expected) in told.iter().zip(expected) {
        let path = Path::new(told["path"].as_str().unwrap());
        assert_eq!(told["language"], expected.language, "{told}");
        assert_eq!(told["cues"], expected.cues.len(), "{told}");
        assert_eq!(told["missing"], Value::from(Vec::<u64>::new()), "{told}");
        assert_eq!(path.extension().unwrap().to_str(), Some(expected.extension.as_str()), "{told}");
        let cues = judge::cues(path);
        assert_eq!(cues.len(), expected.cues.len(), "{}: {cues:?}", path.display());
        for (found, wanted) in cues.iter().zip(&expected.cues) {
            near(found.0, wanted.0, CUE_TOLERANCE_S, &format!("{}: start of a cue", path.display()));
            near(found.1, wanted.1, CUE_TOLERANCE_S, &format!("{}: end of a cue", path.display()));
        }
    }
}

fn number(text: &str) -> u64 {
    text.parse().unwrap()
}

/// Holds each file of a report against what is expected in it, and the report against the files.
pub(crate) fn check_files(report: &Value, expected: &[Vec<ExpectedTrack>]) {
    let paths: Vec<PathBuf> =
        report["outputs"].as_array().unwrap().iter().map(|p| p.as_str().unwrap().into()).collect();
    assert_eq!(paths.len(), expected.len(), "files: {paths:?}");
    assert_eq!(report["output"], report["outputs"][0]);
    let mut told = report["tracks"].as_array().unwrap().as_slice();
    let (mut size, mut duration) = (0, 0.0);
    for (path, expected) in paths.iter().zip(expected) {
        let tracks = judge::tracks(path);
        check_tracks(path, &tracks, expected);
        check_boxes(path, &tracks);
        let (here, rest) = told.split_at_checked(tracks.len()).expect("the report has a row for each track");
        told = rest;
        for (index, (row, track)) in here.iter().zip(&tracks).enumerate() {
            check_row(row, index, track);
        }
        size += path.metadata().unwrap().len();
        duration += judge::duration_s(&tracks);
    }
    assert!(told.is_empty(), "the report has more tracks than the files: {told:?}");
    assert_eq!(report["size_bytes"], size, "size in the report");
    near(report["duration_s"].as_f64().unwrap(), duration, TOLERANCE_S, "duration in the report");
}

fn check_tracks(path: &Path, tracks: &[Track], expected: &[ExpectedTrack]) {
    let path = path.display();
    let seen: Vec<_> = tracks.iter().map(|t| (t.kind.as_str(), t.codec.as_str(), t.packets)).collect();
    let wanted: Vec<_> = expected.iter().map(|t| (t.kind.as_str(), t.codec.as_str(), t.packets)).collect();
    assert_eq!(seen, wanted, "{path}: kind, codec and packets of the tracks");
    for (track, wanted) in tracks.iter().zip(expected) {
        assert!(track.faults.is_empty(), "{path}: {}: {:?}", track.kind, track.faults);
        let what = format!("{path}: {}", track.kind);
        if let Some(duration) = wanted.duration_s {
            near(track.duration_s(), duration, TOLERANCE_S, &format!("{what}: duration"));
        }
        if let (Some(start), Some(first)) = (wanted.start_s, expected[0].start_s) {
            let moved = (track.start_s - tracks[0].start_s) - (start - first);
            near(moved, 0.0, SYNC_TOLERANCE_S, &format!("{what}: moved against the first track"));
        }
        if let Some(language) = &wanted.language {
            // MP4 has three letters where HLS has two.
            let written = track.language.as_deref().unwrap_or("none");
            assert!(written.starts_with(language.as_str()), "{what}: language {written}, not {language}");
        }
    }
    let start = tracks.iter().map(|t| t.start_s).fold(f64::INFINITY, f64::min);
    near(start, 0.0, TOLERANCE_S, &format!("{path}: start of the file"));
}

fn check_boxes(path: &Path, tracks: &[Track]) {
    let boxes = boxes::read(path);
    let path = path.display();
    assert!(boxes.moov_first(), "{path}: moov stands after mdat: {:?}", boxes.order);
    assert_eq!(boxes.tracks.len(), tracks.len(), "{path}: tracks in moov");
    for (found, track) in boxes.tracks.iter().zip(tracks) {
        let handler = if track.kind == "video" { b"vide" } else { b"soun" };
        assert_eq!(found.handler, FourCC::new(handler), "{path}: handler of {}", track.kind);
        assert_eq!(found.samples, track.packets, "{path}: samples in stsz");
        assert_eq!(found.entries, 1, "{path}: sample entries of one track");
        assert_eq!(found.is_hvc1, track.codec == "hevc", "{path}: {found:?}");
        assert!(!found.is_hev1, "{path}: hev1, which Apple's players refuse");
        assert_eq!(found.creation_time, 0, "{path}: a clock in the file");
        if track.kind == "video" {
            assert!(found.width > 0, "{path}: no width in tkhd");
            // No table means that every picture is a key picture.
            let first = found.key_samples.as_ref().is_none_or(|keys| keys.first() == Some(&1));
            assert!(first, "{path}: the first picture is no key picture");
        }
        near(found.duration_s, track.duration_s(), TOLERANCE_S, &format!("{path}: stts against ffprobe"));
    }
}

fn check_row(row: &Value, index: usize, track: &Track) {
    assert_eq!(row["index"], index, "{row}");
    assert_eq!(row["kind"], track.kind, "{row}");
    assert_eq!(row["codec"], track.codec, "{row}");
    assert_eq!(row["packets"], track.packets, "{row}");
    near(row["start_s"].as_f64().unwrap(), track.start_s, 0.05, &format!("start in the report: {row}"));
    near(row["duration_s"].as_f64().unwrap(), track.duration_s(), 0.05, &format!("duration in the report: {row}"));
    assert_eq!(row["language"].is_null(), track.language.is_none(), "{row} of a track with {:?}", track.language);
}

pub(crate) fn near(found: f64, wanted: f64, tolerance: f64, what: &str) {
    assert!((found - wanted).abs() <= tolerance, "{what}: {found:.4}, not {wanted:.4}");
}
