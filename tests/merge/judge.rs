//! Looks at a media file with ffprobe alone.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// A track as ffprobe sees it. Times are in seconds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Track {
    pub(crate) kind: String,
    pub(crate) codec: String,
    pub(crate) tag: String,
    pub(crate) language: Option<String>,
    pub(crate) packets: u64,
    pub(crate) start_s: f64,
    pub(crate) end_s: f64,
    /// The greatest step between two DTS.
    pub(crate) largest_step_s: f64,
    /// What no correct file has, a line each.
    pub(crate) faults: Vec<String>,
    last_dts_s: Option<f64>,
}

impl Track {
    pub(crate) fn duration_s(&self) -> f64 {
        self.end_s - self.start_s
    }

    fn packet(&mut self, packet: &Value) {
        self.packets += 1;
        let (Some(pts), Some(dts)) = (seconds(&packet["pts_time"]), seconds(&packet["dts_time"])) else {
            self.faults.push(format!("packet {} has no timestamp", self.packets));
            return;
        };
        let duration = seconds(&packet["duration_time"]).unwrap_or(0.0);
        self.start_s = self.start_s.min(pts);
        self.end_s = self.end_s.max(pts + duration);
        if pts < dts - 1e-6 {
            self.faults.push(format!("packet {}: pts {pts} before dts {dts}", self.packets));
        }
        if let Some(last) = self.last_dts_s.replace(dts) {
            let step = dts - last;
            self.largest_step_s = self.largest_step_s.max(step);
            if step <= 0.0 {
                self.faults.push(format!("packet {}: dts {dts} after {last}", self.packets));
            } else if step < 0.001 && self.kind == "video" {
                self.faults.push(format!("packet {}: {step} s after the one before", self.packets));
            }
        }
    }
}

fn seconds(value: &Value) -> Option<f64> {
    value.as_str()?.parse().ok()
}

/// The tracks of a file, in order. Panics where ffprobe complains.
pub(crate) fn tracks(path: &Path) -> Vec<Track> {
    let entries = "stream=index,codec_type,codec_name,codec_tag_string:stream_tags=language\
                   :packet=stream_index,pts_time,dts_time,duration_time";
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "json", "-show_entries", entries])
        .arg(path)
        .output()
        .expect("ffprobe runs; `make deps` installs it");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "ffprobe on {}: {complaints}", path.display());
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut tracks = BTreeMap::new();
    for stream in found["streams"].as_array().unwrap() {
        let track = Track {
            kind: text(&stream["codec_type"]),
            codec: text(&stream["codec_name"]),
            tag: text(&stream["codec_tag_string"]),
            language: stream["tags"]["language"].as_str().filter(|l| *l != "und").map(str::to_owned),
            packets: 0,
            start_s: f64::INFINITY,
            end_s: f64::NEG_INFINITY,
            largest_step_s: 0.0,
            faults: Vec::new(),
            last_dts_s: None,
        };
        tracks.insert(stream["index"].as_u64().unwrap(), track);
    }
    for packet in found["packets"].as_array().unwrap() {
        tracks.get_mut(&packet["stream_index"].as_u64().unwrap()).unwrap().packet(packet);
    }
    tracks.into_values().collect()
}

/// Start and end of each cue of a WebVTT file by ffprobe, and of each paragraph of a TTML file by its attributes.
pub(crate) fn cues(path: &Path) -> Vec<(f64, f64)> {
    if path.extension().is_some_and(|e| e == "ttml") {
        let text = std::fs::read_to_string(path).unwrap();
        let clock = |text: &str| text.split(':').fold(0.0, |sum, part| sum * 60.0 + part.parse::<f64>().unwrap());
        let value = |tag: &str, name: &str| {
            let from = tag.split_once(&format!(" {name}=\"")).expect(tag).1;
            clock(from.split_once('"').unwrap().0)
        };
        let tags = text.split("<p ").skip(1).map(|tag| tag.split_once('>').unwrap().0);
        return tags.map(|tag| format!(" {tag}")).map(|tag| (value(&tag, "begin"), value(&tag, "end"))).collect();
    }
    // Older ffprobes stop at a STYLE block.
    let text = std::fs::read_to_string(path).unwrap();
    let blocks = text.split("\n\n").filter(|b| !["STYLE", "REGION"].iter().any(|word| b.starts_with(word)));
    let plain = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(plain.path(), blocks.collect::<Vec<_>>().join("\n\n")).unwrap();
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "json", "-f", "webvtt", "-show_entries", "packet=pts_time,duration_time"])
        .arg(plain.path())
        .output()
        .expect("ffprobe runs; `make deps` installs it");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "ffprobe on {}: {complaints}", path.display());
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let times = |packet: &Value| {
        let start = seconds(&packet["pts_time"]).unwrap();
        (start, start + seconds(&packet["duration_time"]).unwrap())
    };
    found["packets"].as_array().unwrap().iter().map(times).collect()
}

/// Length of the presentation over all tracks.
pub(crate) fn duration_s(tracks: &[Track]) -> f64 {
    let start = tracks.iter().map(|t| t.start_s).fold(f64::INFINITY, f64::min);
    tracks.iter().map(|t| t.end_s).fold(f64::NEG_INFINITY, f64::max) - start
}

/// What the decoder says of a file; nothing where all is well.
pub(crate) fn decoder_errors(path: &Path) -> String {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(path)
        .args(["-map", "0:v?", "-map", "0:a?", "-f", "null", "-"])
        .output()
        .expect("ffmpeg runs; `make deps` installs it");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(kind: &str, times: &[(&str, &str)]) -> Track {
        let mut track = Track {
            kind: kind.into(),
            codec: "h264".into(),
            tag: "avc1".into(),
            language: None,
            packets: 0,
            start_s: f64::INFINITY,
            end_s: f64::NEG_INFINITY,
            largest_step_s: 0.0,
            faults: Vec::new(),
            last_dts_s: None,
        };
        for (pts, dts) in times {
            track.packet(&serde_json::json!({"pts_time": pts, "dts_time": dts, "duration_time": "0.040000"}));
        }
        track
    }

    #[test]
    fn the_judge_finds_each_fault() {
        assert_eq!(judged("video", &[("0.08", "0.00"), ("0.04", "0.04")]).faults.len(), 0);
        assert_eq!(judged("video", &[("0.00", "0.04")]).faults.len(), 1, "pts before dts");
        assert_eq!(judged("video", &[("0.04", "0.04"), ("0.04", "0.04")]).faults.len(), 1, "dts repeated");
        assert_eq!(judged("video", &[("0.04", "0.04"), ("0.0405", "0.0405")]).faults.len(), 1, "under 1 ms");
        assert_eq!(judged("audio", &[("0.04", "0.04"), ("0.0405", "0.0405")]).faults.len(), 0, "audio may");
        assert_eq!(judged("audio", &[("N/A", "0.04")]).faults.len(), 1, "no timestamp");
    }
}
