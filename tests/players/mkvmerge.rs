//! mkvmerge reads every packet of every output, and says nothing against any.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::judge;
use crate::outputs::{Merged, merge_all};
use crate::sandbox::Sandbox;

/// mkvmerge lets the last picture of a file last as long as all do on average, which a pause of 30 s makes 0.4 s.
const LONG_PAUSES: [&str; 1] = ["pause-by-the-wall-clock.mp4"];

/// What `mkvmerge -J` says of a file.
fn identify(path: &Path) -> Value {
    let output = Command::new("mkvmerge").arg("-J").arg(path).output().expect("mkvmerge runs; `make deps` installs it");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What is wrong with a file by mkvmerge's demuxer, a line each.
fn faults(sandbox: &Sandbox, merged: &Merged) -> Vec<String> {
    let mut faults = Vec::new();
    let mut hold = |what: &str, found: String, wanted: String| {
        if found != wanted {
            faults.push(format!("{}: {what}: {found}, not {wanted}", merged.name));
        }
    };
    let path = sandbox.output(&merged.name);
    let found = identify(&path);
    let container = &found["container"];
    hold("recognized", container["recognized"].to_string(), "true".into());
    hold("supported", container["supported"].to_string(), "true".into());
    hold("errors", found["errors"].to_string(), "[]".into());
    hold("warnings", found["warnings"].to_string(), "[]".into());
    let kinds: Option<Vec<&str>> =
        found["tracks"].as_array().map(|tracks| tracks.iter().map(|t| t["type"].as_str().unwrap_or("?")).collect());
    hold("tracks", format!("{:?}", kinds.unwrap_or_default()), format!("{:?}", merged.kinds()));

    // Of an MP4 it tells no more before it has read it.
    let copy = sandbox.input().join("copy.mkv");
    let run = Command::new("mkvmerge").args(["-q", "-o"]).arg(&copy).arg(&path).output().unwrap();
    hold(
        "exit code and messages",
        format!("{:?} {}", run.status.code(), String::from_utf8_lossy(&run.stdout)),
        "Some(0) ".into(),
    );
    let duration = identify(&copy)["container"]["properties"]["duration"].as_f64().unwrap_or(0.0) / 1e9;
    if (duration - merged.end_s).abs() > 0.05 && !LONG_PAUSES.contains(&merged.name.as_str()) {
        hold("duration", format!("{duration:.3}"), format!("{:.3}", merged.end_s));
    }
    // ffprobe complains of FLAC in Matroska: its parser takes sound for the start of a frame.
    if merged.tracks.iter().any(|(_, codec, _)| codec == "flac") {
        return faults;
    }
    let packets: Vec<u64> = judge::tracks(&copy).iter().map(|track| track.packets).collect();
    let wanted: Vec<u64> = merged.tracks.iter().map(|(_, _, packets)| *packets).collect();
    hold("packets of the tracks", format!("{packets:?}"), format!("{wanted:?}"));
    faults
}

#[test]
fn every_output_goes_through_mkvmerge_whole() {
    let sandbox = Sandbox::new();
    let merged = merge_all(&sandbox);
    let faults: Vec<String> = merged.iter().flat_map(|merged| faults(&sandbox, merged)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
