//! Decoded frames of output and source are the same, in order.
//!
//! The source is put together without avweld (`source`) and decoded by ffmpeg; the output is decoded by the same
//! ffmpeg from end to end. So that both decode every packet, edit lists are left aside and no priming sample is
//! skipped: whether players honour those is another test's matter.
//!
//! What a decoder gives after a seam depends on what it decoded before: frames of audio overlap, and AAC's noise comes
//! from a generator that goes on. So a track of several runs has two just sources, one whose decoder begins anew with
//! each run, as it does for outputs in several files, and one whose decoder goes on. It must be the same as one of
//! them, frame by frame, with no exception at the seams. Streams may change without a mark, and ffmpeg's demuxer
//! then loses or splits them: in such cases a run ends there too.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::{Write as _, stderr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::sandbox::{Sandbox, fixture};
use crate::source::{self, Run};

/// What decodes from one stream: a length and a hash for each frame.
#[derive(Debug)]
struct Decoded {
    kind: String,
    frames: Vec<(u64, String)>,
}

/// A way to decode an input's runs.
type Way = fn(&[Run]) -> Vec<Decoded>;

/// For an MP4: its edit lists aside.
const WHOLE: &[&str] = &["-ignore_editlist", "1"];

/// Decodes every stream of a file, video first; those are left out from which nothing comes.
fn decode(path: &Path, options: &[&str]) -> Vec<Decoded> {
    let output = Command::new("ffmpeg")
        .args(["-v", "fatal", "-nostdin", "-flags2", "+skip_manual"])
        .args(options)
        .arg("-i")
        .arg(path)
        .args(["-map", "0:v?", "-map", "0:a?", "-fps_mode", "passthrough", "-autoscale", "0", "-f", "framemd5", "-"])
        .output()
        .expect("ffmpeg runs; `make deps` installs it");
    let said = String::from_utf8_lossy(&output.stderr);
    // A list of runs that do not go together is no source; what it lacks will show.
    let is_list = options.contains(&"concat");
    assert!(output.status.success() || is_list, "ffmpeg on {}: {said}", path.display());
    let mut out: Vec<Decoded> = Vec::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        if let Some(media) = line.strip_prefix("#media_type ") {
            let (index, kind) = media.split_once(": ").unwrap();
            assert_eq!(index.parse(), Ok(out.len()));
            out.push(Decoded { kind: kind.to_owned(), frames: Vec::new() });
        } else if !line.starts_with('#') {
            let column: Vec<&str> = line.split(',').map(str::trim).collect();
            let [index, .., size, hash] = column[..] else { panic!("not a line of framemd5: {line}") };
            out[index.parse::<usize>().unwrap()].frames.push((size.parse().unwrap(), hash.to_owned()));
        }
    }
    out.retain(|stream| !stream.frames.is_empty());
    out
}

/// The tracks of a source, video first: of each run after the other what it decodes to.
fn tracks(inputs: &[Vec<Run>], decode: impl Fn(&[Run]) -> Vec<Decoded>) -> Vec<Decoded> {
    let mut tracks: Vec<Decoded> = Vec::new();
    for (number, runs) in inputs.iter().enumerate() {
        let mut here = decode(runs);
        // Audio of its own takes the place of what is beside the pictures.
        here.retain(|stream| number > 0 || inputs.len() == 1 || stream.kind == "video");
        tracks.extend(here);
    }
    tracks
}

/// With a decoder for each run.
fn anew(runs: &[Run]) -> Vec<Decoded> {
    let decode = |run: &Run| {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), run.bytes()).unwrap();
        decode(file.path(), if run.is_mp4 { WHOLE } else { &[] })
    };
    join(runs.iter().map(decode).collect())
}

/// With one decoder for all of a track.
fn going_on(runs: &[Run]) -> Vec<Decoded> {
    let folder = tempfile::tempdir().unwrap();
    let mut list = String::from("ffconcat version 1.0\n");
    for (n, run) in runs.iter().enumerate() {
        fs::write(folder.path().join(format!("{n}.media")), run.bytes()).unwrap();
        writeln!(list, "file {n}.media").unwrap();
        if run.is_mp4 {
            list.push_str("option ignore_editlist 1\n");
        }
    }
    fs::write(folder.path().join("list"), list).unwrap();
    decode(&folder.path().join("list"), &["-f", "concat", "-safe", "0"])
}

/// The same, with a run's end also where ffprobe finds other streams in a segment than in the one before, by PID,
/// codec or size.
fn split(runs: &[Run]) -> Vec<Run> {
    let mut out: Vec<Run> = Vec::new();
    for run in runs {
        let mut last = None;
        for segment in &run.segments {
            let alone = Run { segments: vec![segment.clone()], ..run.clone() };
            let streams = Some(streams(&alone.bytes()));
            if streams == last {
                out.last_mut().unwrap().segments.push(segment.clone());
            } else {
                out.push(alone);
            }
            last = streams;
        }
    }
    out
}

/// What is in a segment.
fn streams(data: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), data).unwrap();
    let output = Command::new("ffprobe")
        .args(["-v", "fatal", "-of", "compact=p=0", "-show_entries"])
        .arg("stream=id,codec_name,width,height,sample_rate,channels")
        .arg(file.path())
        .output()
        .expect("ffprobe runs; `make deps` installs it");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Joins the streams of several files, by kind and by number among their kind.
fn join(files: Vec<Vec<Decoded>>) -> Vec<Decoded> {
    let mut tracks: Vec<Decoded> = Vec::new();
    for (nth, stream) in files.into_iter().flat_map(numbered) {
        match tracks.iter_mut().filter(|track| track.kind == stream.kind).nth(nth) {
            Some(track) => track.frames.extend(stream.frames),
            None => tracks.push(stream),
        }
    }
    // The first file may lack what a later one has.
    tracks.sort_by_key(|track| track.kind != "video");
    tracks
}

/// Each stream with its number among those of its kind.
fn numbered(streams: Vec<Decoded>) -> Vec<(usize, Decoded)> {
    let kinds: Vec<String> = streams.iter().map(|stream| stream.kind.clone()).collect();
    let nth = |at: usize| kinds[..at].iter().filter(|kind| **kind == kinds[at]).count();
    streams.into_iter().enumerate().map(|(at, stream)| (nth(at), stream)).collect()
}

/// How the decoded frames of these files, one after the other, differ from the source's. `Ok`: not at all, and so
/// many were compared.
pub(crate) fn compare(playlist: &Path, outputs: &[PathBuf]) -> Result<usize, String> {
    let found = join(outputs.iter().map(|output| decode(output, WHOLE)).collect());
    let inputs = source::inputs(&readable(playlist));
    let ways: [Way; 4] = [anew, going_on, |runs| anew(&split(runs)), |runs| going_on(&split(runs))];
    // Of several differences the first is told.
    let mut first = Ok(0);
    for decode_source in ways {
        let wanted = tracks(&inputs, decode_source);
        let told = same(&found, &wanted);
        if told.is_ok() {
            return told;
        }
        if let [output, _, ..] = outputs
            && let Ok(frames) = same_but_for_new_decoders(&found, &wanted, &decode(output, WHOLE))
        {
            return Ok(frames);
        }
        first = first.and(told);
    }
    first
}

/// Cases that ffmpeg's demuxers stumble over themselves, and what they must come to: the same media, plainly packed.
const PLAIN: [(&str, &str); 9] = [
    ("borders-pmt-moves-pids", "ts-h264-aac"),
    ("lies-never-there", "ts-h264-aac"),
    ("packed-mp3-tags-between", "packed-mp3-frames-across"),
    ("ts-192-inside", "ts-h264-aac"),
    ("ts-204-png", "ts-h264-aac"),
    ("ts-doubled-packets", "ts-h264-aac"),
    ("ts-junk-between", "ts-h264-aac"),
    ("ts-programmes", "ts-h264-aac"),
    ("ts-truncated-inside", "ts-h264-aac"),
];

/// A playlist of the same media that ffmpeg reads right.
fn readable(playlist: &Path) -> PathBuf {
    let name = playlist.parent().and_then(|folder| folder.file_name()).unwrap_or_default();
    let plain = PLAIN.iter().find(|(case, _)| name == *case);
    plain.map_or_else(|| playlist.to_owned(), |(_, plain)| fixture(plain).join("index.m3u8"))
}

/// Beside this also what a decoder of sound that began anew where another file begins may give: frames as long as the
/// source's, of which those behind the first file's need not be equal.
fn same_but_for_new_decoders(found: &[Decoded], wanted: &[Decoded], first: &[Decoded]) -> Result<usize, String> {
    let in_first = |n: usize| first.get(n).map_or(0, |track| track.frames.len());
    let blind = |tracks: &[Decoded]| -> Vec<Decoded> {
        let track = |(n, track): (usize, &Decoded)| {
            let hide = |(at, (size, hash)): (usize, &(u64, String))| {
                let is_hidden = track.kind == "audio" && at >= in_first(n);
                (*size, if is_hidden { String::new() } else { hash.clone() })
            };
            Decoded { kind: track.kind.clone(), frames: track.frames.iter().enumerate().map(hide).collect() }
        };
        tracks.iter().enumerate().map(track).collect()
    };
    same(&blind(found), &blind(wanted))
}

fn same(found: &[Decoded], wanted: &[Decoded]) -> Result<usize, String> {
    let kinds = |tracks: &[Decoded]| tracks.iter().map(|track| track.kind.clone()).collect::<Vec<_>>();
    if kinds(found) != kinds(wanted) {
        return Err(format!("tracks that decode: {:?}, not {:?}", kinds(found), kinds(wanted)));
    }
    for (Decoded { kind, frames }, wanted) in found.iter().zip(wanted) {
        let all = wanted.frames.len();
        if frames.len() != all {
            return Err(format!("{} frames of {kind} decode, not {all}", frames.len()));
        }
        if let Some(n) = frames.iter().zip(&wanted.frames).position(|(is, was)| is != was) {
            return Err(format!("{kind}: frame {n} of {all} is not the source's"));
        }
    }
    Ok(found.iter().map(|track| track.frames.len()).sum())
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
    check_all(source::cases().iter().map(|(case, playlist)| (case.as_str(), playlist.clone())));
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
