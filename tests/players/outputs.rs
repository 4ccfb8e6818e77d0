//! The files to play: whatever the fixtures and the field corpus merge to.

use std::env;
use std::fs;
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::sandbox::{Sandbox, fixture, names};

/// A file, and what the report says of it.
#[derive(Debug)]
pub(crate) struct Merged {
    /// Its name in the sandbox's folder for outputs.
    pub(crate) name: String,
    /// Kind, codec and packets of each track.
    pub(crate) tracks: Vec<(String, String, u64)>,
    /// From 0 to the end of the last packet.
    pub(crate) end_s: f64,
}

impl Merged {
    pub(crate) fn kinds(&self) -> Vec<&str> {
        self.tracks.iter().map(|(kind, ..)| kind.as_str()).collect()
    }

    pub(crate) fn codecs(&self) -> Vec<&str> {
        self.tracks.iter().map(|(_, codec, _)| codec.as_str()).collect()
    }
}

/// Merges every fixture, and the corpus where there is one.
pub(crate) fn merge_all(sandbox: &Sandbox) -> Vec<Merged> {
    let all = names(&fixture("")).into_iter().map(|case| (case.clone(), fixture(&case).join("index.m3u8")));
    let mut inputs: Vec<(String, PathBuf)> = all.filter(|(_, playlist)| playlist.exists()).collect();
    assert!(inputs.len() >= 30, "only {} cases", inputs.len());
    match env::var_os("AVWELD_CORPUS").map(PathBuf::from) {
        Some(corpus) => inputs.extend(corpus_inputs(&corpus)),
        // Past the harness, which would keep it to itself.
        None => {
            let mut log = stderr();
            writeln!(log, "SKIPPED: the field corpus was not played, AVWELD_CORPUS is not set").unwrap();
        }
    }
    let merge = |(name, input): (String, PathBuf)| files(&sandbox.merge(input, &format!("{name}.mp4"), &[]));
    inputs.into_iter().flat_map(merge).collect()
}

fn corpus_inputs(corpus: &Path) -> Vec<(String, PathBuf)> {
    let table = fs::read_to_string(corpus.join("expected.tsv")).expect("AVWELD_CORPUS holds an expected.tsv");
    let lines = table.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let playlists: Vec<&str> = lines.map(|line| line.split('\t').next().unwrap()).collect();
    assert!(playlists.len() >= 12, "only {} lines in expected.tsv", playlists.len());
    playlists.iter().map(|playlist| (format!("corpus-{}", playlist.replace('/', "-")), corpus.join(playlist))).collect()
}

/// The files of a report. The tracks of several stand in it one after the other, counted from 0 in each.
fn files(report: &Value) -> Vec<Merged> {
    let mut files: Vec<Merged> = Vec::new();
    let mut paths = report["outputs"].as_array().unwrap().iter();
    for track in report["tracks"].as_array().unwrap() {
        if track["index"] == 0 {
            let path = Path::new(paths.next().unwrap().as_str().unwrap());
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            files.push(Merged { name, tracks: Vec::new(), end_s: 0.0 });
        }
        let file = files.last_mut().unwrap();
        let text = |name: &str| track[name].as_str().unwrap().to_owned();
        file.tracks.push((text("kind"), text("codec"), track["packets"].as_u64().unwrap()));
        let end = track["start_s"].as_f64().unwrap() + track["duration_s"].as_f64().unwrap();
        file.end_s = file.end_s.max(end);
    }
    assert_eq!(paths.next(), None, "a file without tracks");
    files
}
