//! Decoded frames of output and source are the same, in order.
//!
//! The source is put together without avweld (`source`) and decoded by ffmpeg run by run; the output is decoded by the
//! same ffmpeg from end to end. So that both decode every packet, edit lists are left aside and no priming sample is
//! skipped: whether players honour those is another test's matter. Where a run begins, the output's decoder comes
//! from the run before and the source's is new. A picture that begins a run needs none before it, but a transform
//! codec's first frames overlap with what was before: of them the length is compared, the samples are not
//! (`warm_up`).

use std::env;
use std::fs;
use std::io::{Write, stderr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::sandbox::{Sandbox, fixture, names};
use crate::source::{self, Run};

/// What decodes from one stream: a length and a hash for each frame.
#[derive(Debug, Clone, PartialEq)]
struct Decoded {
    kind: String,
    codec: String,
    frames: Vec<(u64, String)>,
}

/// Decodes every stream of a file, in order.
fn decode(path: &Path, is_mp4: bool) -> Vec<Decoded> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "fatal", "-nostdin", "-flags2", "+skip_manual"]);
    if is_mp4 {
        command.args(["-ignore_editlist", "1"]);
    }
    let output = command
        .arg("-i")
        .arg(path)
        .args(["-map", "0:v?", "-map", "0:a?", "-fps_mode", "passthrough", "-f", "framemd5", "-"])
        .output()
        .expect("ffmpeg runs; `make deps` installs it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ffmpeg on {}: {said}", path.display());
    let codecs = codecs(path);
    let mut out: Vec<Decoded> = Vec::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        if let Some(media) = line.strip_prefix("#media_type ") {
            let (index, kind) = media.split_once(": ").unwrap();
            assert_eq!(index.parse(), Ok(out.len()));
            let nth = out.iter().filter(|stream| stream.kind == kind).count();
            let codec = codecs.iter().filter(|(k, _)| k == kind).nth(nth).unwrap().1.clone();
            out.push(Decoded { kind: kind.to_owned(), codec, frames: Vec::new() });
        } else if !line.starts_with('#') {
            let column: Vec<&str> = line.split(',').map(str::trim).collect();
            let [index, .., size, hash] = column[..] else { panic!("not a line of framemd5: {line}") };
            out[index.parse::<usize>().unwrap()].frames.push((size.parse().unwrap(), hash.to_owned()));
        }
    }
    out
}

/// Kind and codec of each stream.
fn codecs(path: &Path) -> Vec<(String, String)> {
    let output = Command::new("ffprobe")
        .args(["-v", "fatal", "-of", "json", "-show_entries", "stream=codec_type,codec_name"])
        .arg(path)
        .output()
        .expect("ffprobe runs; `make deps` installs it");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let streams = found["streams"].as_array().unwrap();
    streams.iter().map(|stream| (text(&stream["codec_type"]), text(&stream["codec_name"]))).collect()
}

/// Frames at the start of a run whose samples depend on what was decoded before.
fn warm_up(codec: &str) -> usize {
    match codec {
        // Half a frame of overlap; with SBR its filter bank's delay too.
        "aac" | "aac_latm" => 2,
        "ac3" | "eac3" => 1,
        // The bit reservoir reaches back as far as 511 bytes, beside the overlap.
        "mp3" => 3,
        // 80 ms until its predictors converge.
        "opus" => 4,
        _ => 0,
    }
}

/// One track of the source: what each of its runs holds.
struct Wanted {
    kind: String,
    runs: Vec<Decoded>,
}

/// The tracks of a source, video first.
fn wanted(playlist: &Path) -> Vec<Wanted> {
    let inputs = source::inputs(playlist);
    let is_apart = inputs.len() > 1;
    let mut tracks: Vec<Wanted> = Vec::new();
    for (number, runs) in inputs.iter().enumerate() {
        let before = tracks.len();
        for run in runs {
            let mut here = decode_run(run);
            // Audio of its own takes the place of what is beside the pictures.
            here.retain(|stream| !stream.frames.is_empty() && (number > 0 || !is_apart || stream.kind == "video"));
            for (nth, stream) in numbered(here) {
                let same = tracks.iter().enumerate().skip(before).filter(|(_, t)| t.kind == stream.kind).nth(nth);
                match same.map(|(at, _)| at) {
                    Some(at) => tracks[at].runs.push(stream),
                    None => tracks.push(Wanted { kind: stream.kind.clone(), runs: vec![stream] }),
                }
            }
        }
    }
    tracks
}

/// Each stream with its number among those of its kind.
fn numbered(streams: Vec<Decoded>) -> Vec<(usize, Decoded)> {
    let kinds: Vec<String> = streams.iter().map(|stream| stream.kind.clone()).collect();
    let nth = |at: usize| kinds[..at].iter().filter(|kind| **kind == kinds[at]).count();
    streams.into_iter().enumerate().map(|(at, stream)| (nth(at), stream)).collect()
}

fn decode_run(run: &Run) -> Vec<Decoded> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&run.data).unwrap();
    decode(file.path(), run.is_mp4)
}

/// How the decoded frames of these files, one after the other, differ from the source's. `Ok`: not at all, and so
/// many were compared.
pub(crate) fn compare(playlist: &Path, outputs: &[PathBuf]) -> Result<usize, String> {
    let mut found: Vec<Decoded> = Vec::new();
    for output in outputs {
        for (nth, stream) in numbered(decode(output, true)) {
            match found.iter_mut().filter(|track| track.kind == stream.kind).nth(nth) {
                Some(track) => track.frames.extend(stream.frames),
                None => found.push(stream),
            }
        }
    }
    let wanted = wanted(playlist);
    let is = found.iter().map(|track| track.kind.as_str()).collect::<Vec<_>>();
    let was = wanted.iter().map(|track| track.kind.as_str()).collect::<Vec<_>>();
    if is != was {
        return Err(format!("tracks that decode: {is:?}, not {was:?}"));
    }
    found.iter().zip(&wanted).map(|(found, wanted)| compare_track(found, wanted)).sum()
}

fn compare_track(found: &Decoded, wanted: &Wanted) -> Result<usize, String> {
    let kind = &wanted.kind;
    let all: usize = wanted.runs.iter().map(|run| run.frames.len()).sum();
    if found.frames.len() != all {
        return Err(format!("{} frames of {kind} decode, not {all}", found.frames.len()));
    }
    let mut number = 0;
    for (nth, run) in wanted.runs.iter().enumerate() {
        let warm = if nth == 0 { 0 } else { warm_up(&run.codec) };
        for (n, was) in run.frames.iter().enumerate() {
            let is = &found.frames[number];
            if is.0 != was.0 || (n >= warm && is.1 != was.1) {
                return Err(format!("{kind}: frame {number} of {all} is not the source's (frame {n} of run {nth})"));
            }
            number += 1;
        }
    }
    Ok(all)
}

/// Merges, and holds what came out against the source.
fn check(playlist: &Path) -> Result<usize, String> {
    let sandbox = Sandbox::new();
    let report = sandbox.merge(playlist, "merged.mp4", &[]);
    let outputs: Vec<PathBuf> =
        report["outputs"].as_array().unwrap().iter().map(|path| path.as_str().unwrap().into()).collect();
    compare(playlist, &outputs)
}

fn check_all<'a>(playlists: impl Iterator<Item = (&'a str, PathBuf)>) {
    let mut failed = Vec::new();
    for (name, playlist) in playlists {
        match catch_unwind(AssertUnwindSafe(|| check(&playlist))) {
            Ok(Ok(frames)) => assert!(frames > 0, "{name}: no frame was compared"),
            Ok(Err(how)) => failed.push(format!("{name}: {how}")),
            Err(_) => failed.push(format!("{name}: see above")),
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn every_fixture_decodes_to_the_frames_of_its_source() {
    let cases: Vec<String> = names(&fixture("")).into_iter().filter(|n| fixture(n).is_dir()).collect();
    assert!(cases.len() >= 30, "only {} cases", cases.len());
    check_all(cases.iter().map(|case| (case.as_str(), fixture(case).join("index.m3u8"))));
}

#[test]
fn the_corpus_decodes_to_the_frames_of_its_sources() {
    let Some(corpus) = env::var_os("AVWELD_CORPUS").map(PathBuf::from) else {
        // Past the harness, which would keep it to itself.
        writeln!(stderr(), "SKIPPED: the field corpus was not decoded, AVWELD_CORPUS is not set").unwrap();
        return;
    };
    let table = fs::read_to_string(corpus.join("expected.tsv")).expect("AVWELD_CORPUS holds an expected.tsv");
    let lines = table.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let playlists: Vec<&str> = lines.map(|line| line.split('\t').next().unwrap()).collect();
    assert!(playlists.len() >= 12, "only {} lines in expected.tsv", playlists.len());
    check_all(playlists.iter().map(|playlist| (*playlist, corpus.join(playlist))));
}
