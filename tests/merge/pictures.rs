//! Decoded pictures are those of the source, in the same order, whatever was wrong with their timestamps.

use std::path::Path;
use std::process::Command;

use crate::sandbox::{Sandbox, fixture};

/// Cases that hold the pictures of `ts-h264-aac`, each once.
const CASES: [&str; 16] = [
    "dts-after-pts",
    "dts-doubled",
    "dts-missing",
    "jitter-of-a-tick",
    "jump-against-the-wall-clock",
    "jump-back-half-a-second",
    "jump-forward-two-hours",
    "jump-inside-a-segment",
    "pause-by-the-wall-clock",
    "pid-change",
    "pts-missing",
    "renditions-begin-apart",
    "wild-timestamps",
    "wrap-at-a-border",
    "wrap-before-a-discontinuity",
    "wrap-between-pts-and-dts",
];

/// A hash of each picture, in the order in which they are shown.
fn pictures(input: &str) -> Vec<String> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i", input, "-map", "0:v:0", "-fps_mode", "passthrough"])
        .args(["-f", "framemd5", "-"])
        .output()
        .expect("ffmpeg runs; `make deps` installs it");
    let lines = String::from_utf8(output.stdout).unwrap();
    lines
        .lines()
        .filter(|l| !l.starts_with('#'))
        .filter_map(|l| Some(l.rsplit(',').next()?.trim().to_owned()))
        .collect()
}

#[test]
fn pictures_are_shown_in_the_order_of_the_source() {
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let source = [0, 1, 2].map(|n| path(&fixture("ts-h264-aac").join(format!("index{n}.ts"))));
    let wanted = pictures(&format!("concat:{}", source.join("|")));
    assert_eq!(wanted.len(), 75);
    for case in CASES {
        let sandbox = Sandbox::new();
        sandbox.merge(fixture(case).join("index.m3u8"), "out.mp4", &[]);
        assert_eq!(pictures(&path(&sandbox.output("out.mp4"))), wanted, "{case}");
    }
}
