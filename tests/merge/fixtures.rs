//! Every case of fixtures/ merges to what its expected.txt says.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::boxes;
use crate::expected::{Expected, check_files, check_subtitles};
use crate::judge::decoder_errors;
use crate::sandbox::{Sandbox, fixture, names};

/// Cases whose decoded media has a seam on purpose: a part of the media is missing, or comes again where its sound
/// is longer than its pictures.
pub(crate) const SEAMS: [&str; 2] = ["gap", "listed-twice"];

/// The names of all cases of fixtures/, in order.
pub(crate) fn cases() -> Vec<String> {
    names(&fixture("")).into_iter().filter(|name| fixture(name).join("index.m3u8").is_file()).collect()
}

fn check(case: &str) {
    let folder = fixture(case);
    let expected = Expected::parse(&fs::read_to_string(folder.join("expected.txt")).unwrap());
    let sandbox = Sandbox::new();
    let report = sandbox.merge(folder.join("index.m3u8"), "merged.mp4", &[]);
    expected.check_job(&report);
    check_files(&report, &expected.outputs);
    check_subtitles(&report, &expected.subtitles);
    let written: Vec<String> = match expected.outputs.len() {
        1 => vec!["merged.mp4".into()],
        n => (0..n).map(|i| format!("merged.{i:03}.mp4")).collect(),
    };
    let beside = expected.subtitles.iter().map(|s| format!("merged.{}.{}", s.language, s.extension));
    let mut all: Vec<String> = written.iter().cloned().chain(beside).collect();
    all.sort();
    assert_eq!(sandbox.outputs(), all, "files in the output folder");
    for name in &written {
        check_key_pictures(&sandbox.output(name));
    }
    if !SEAMS.contains(&case) {
        for name in written {
            assert_eq!(decoder_errors(&sandbox.output(&name)), "", "{name} does not decode cleanly");
        }
    }
}

/// One picture in 25, or in 15, is a key picture in every fixture.
fn check_key_pictures(path: &Path) {
    for track in boxes::read(path).tracks.iter().filter(|t| t.width > 0) {
        let keys = track.key_samples.as_ref().expect("an stss box: not every picture is a key picture");
        let apart = track.samples / keys.len() as u64;
        assert!((15..=25).contains(&apart), "{} key pictures in {} samples", keys.len(), track.samples);
    }
}

#[test]
fn every_fixture_merges_to_what_it_expects() {
    let cases = cases();
    assert!(cases.len() >= 30, "only {} cases", cases.len());
    let failed: Vec<&String> =
        cases.iter().filter(|case| catch_unwind(AssertUnwindSafe(|| check(case))).is_err()).collect();
    assert!(failed.is_empty(), "{} of {} cases failed, see above: {failed:?}", failed.len(), cases.len());
}

#[test]
fn every_fixture_stands_in_the_table_and_is_small() {
    let table = fs::read_to_string(fixture("README.md")).unwrap();
    let mut total = 0;
    for case in cases() {
        let size = folder_size(&fixture(&case));
        assert!(size <= 150_000, "{case} has {size} bytes");
        assert!(table.contains(&format!("`{case}`")), "{case} is not in fixtures/README.md");
        total += size;
    }
    assert!(total <= 5_000_000, "{total} bytes in all");
}

fn folder_size(folder: &Path) -> u64 {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}
