//! docs/classes.md: what avweld and ffmpeg make of each fixture, by the same judge.
//!
//! `AVWELD_BLESS=1 cargo test --test merge peers` writes it again, from the tables of fixtures/README.md, the
//! expected.txt of each case, and the ffmpeg that is installed.

use std::fmt::Write as _;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::expected::Expected;
use crate::fixtures::SEAMS;
use crate::frames;
use crate::judge::{self, Track};
use crate::sandbox::{Sandbox, fixture, report};
use crate::source;

/// How far off a length, a place or a skew may be.
const TOLERANCE_S: f64 = 0.1;
const SYNC_TOLERANCE_S: f64 = 0.03;

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/classes.md")
}

/// What is wrong with these files as the merge of a case, in a few words each.
fn faults(case: &str, outputs: &[PathBuf]) -> Vec<String> {
    let expected = Expected::parse(&fs::read_to_string(fixture(case).join("expected.txt")).unwrap());
    let mut faults = Vec::new();
    if outputs.len() == expected.outputs.len() {
        for (path, wanted) in outputs.iter().zip(&expected.outputs) {
            let tracks = judge::tracks(path);
            let outset = wanted[0].start_s;
            faults.extend(wanted.iter().flat_map(|wanted| {
                let Some(track) = tracks.iter().find(|track| track.kind == wanted.kind) else {
                    return vec![format!("no {}", wanted.kind)];
                };
                let mut faults = track_faults(track);
                let mut off = |what: &str, found: f64, wanted: f64, tolerance: f64| {
                    if (found - wanted).abs() > tolerance {
                        faults.push(format!("{} {what} {found:.2} s, not {wanted:.2}", track.kind));
                    }
                };
                off("lasts", track.duration_s(), wanted.duration_s.unwrap(), TOLERANCE_S);
                // Against the first track, as a file may begin a little later than at 0.
                let (first, at) = (&tracks[0], |start: Option<f64>| start.unwrap_or(0.0));
                let wanted_start = at(wanted.start_s) - at(outset);
                off("starts beside the first track at", track.start_s - first.start_s, wanted_start, SYNC_TOLERANCE_S);
                if track.codec == "hevc" && track.tag != "hvc1" {
                    faults.push(format!("{}, which Apple's players refuse", track.tag));
                }
                let language = track.language.as_deref().unwrap_or("none");
                if wanted.language.as_ref().is_some_and(|wanted| !language.starts_with(wanted)) {
                    faults.push(format!("language of the {}: {language}", track.kind));
                }
                if track.packets != wanted.packets {
                    faults.push(format!("{} of {} packets of {}", track.packets, wanted.packets, track.kind));
                }
                faults
            }));
        }
    } else {
        faults.push(format!("{} file, not {}", outputs.len(), expected.outputs.len()));
    }
    // Of media that is cut, or put together, on purpose.
    let has_seams = SEAMS.contains(&case);
    let errors: usize =
        outputs.iter().filter(|_| !has_seams).map(|path| judge::decoder_errors(path).lines().count()).sum();
    if errors > 0 && case != "gap" {
        faults.push(format!("{errors} messages of the decoder"));
    }
    // What lacks packets lacks frames too.
    if !faults.iter().any(|fault| fault.contains("packets of")) {
        faults.extend(frames::compare(&fixture(case).join("index.m3u8"), outputs).err());
    }
    faults
}

/// The judge's findings in a track, counted by their kind.
fn track_faults(track: &Track) -> Vec<String> {
    let kinds = [
        ("before dts", "PTS before DTS"),
        (" s after the one before", "samples under 1 ms"),
        (" after ", "DTS that do not increase"),
        ("no timestamp", "packets without a timestamp"),
    ];
    let mut counts = [0; 4];
    for fault in &track.faults {
        counts[kinds.iter().position(|(text, _)| fault.contains(text)).unwrap()] += 1;
    }
    let told = kinds.iter().zip(counts).filter(|(_, count)| *count > 0);
    told.map(|((_, name), count)| format!("{}: {count} {name}", track.kind)).collect()
}

fn verdict(case: &str, outputs: &[PathBuf]) -> String {
    let judged = catch_unwind(AssertUnwindSafe(|| faults(case, outputs)));
    match judged {
        Ok(faults) if faults.is_empty() => "right".to_owned(),
        Ok(faults) => faults.join("; "),
        Err(_) => "ffprobe or ffmpeg cannot read it".to_owned(),
    }
}

fn avweld_makes(case: &str) -> String {
    let sandbox = Sandbox::new();
    let output = sandbox.command(fixture(case).join("index.m3u8"), sandbox.output("merged.mp4")).output().unwrap();
    let report = report(&output);
    let Some(outputs) = report["outputs"].as_array().filter(|_| output.status.success()) else {
        return report["error"]["message"].to_string();
    };
    verdict(case, &outputs.iter().map(|path| path.as_str().unwrap().into()).collect::<Vec<_>>())
}

fn ffmpeg_makes(case: &str) -> String {
    let sandbox = Sandbox::new();
    let file = sandbox.output("merged.mp4");
    let run = |more: &[&str]| {
        Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-allowed_extensions", "ALL"])
            .args(more)
            .args(["-i", "index.m3u8", "-c", "copy", "-y"])
            .arg(&file)
            .current_dir(fixture(case))
            .output()
            .expect("ffmpeg runs; `make deps` installs it")
    };
    let mut output = run(&[]);
    // What it refuses by its name alone may have another try.
    if !output.status.success() && String::from_utf8_lossy(&output.stderr).contains("allowed") {
        output = run(&["-extension_picky", "0"]);
    }
    if output.status.success() {
        return verdict(case, &[file]);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let first = said.lines().next().unwrap_or_default();
    // Without the part of it that speaks, and where that is in memory.
    format!("fails: {}", first.rsplit_once("] ").map_or(first, |(_, text)| text))
}

/// The rows of fixtures/README.md: section, case, and what is special about it.
fn rows() -> Vec<(String, String, String)> {
    let text = fs::read_to_string(fixture("README.md")).unwrap();
    let (mut section, mut rows) = ("Plain and encrypted".to_owned(), Vec::new());
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            title.clone_into(&mut section);
        }
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let ["", cases, special, ..] = columns[..] else { continue };
        // What ffmpeg makes of it is found out here.
        let special = special.split("ffmpeg:").next().unwrap().trim().trim_end_matches([';', '(', ' ']);
        for case in cases.split(", ").filter_map(|case| case.strip_prefix('`')?.strip_suffix('`')) {
            rows.push((section.clone(), case.to_owned(), special.to_owned()));
        }
    }
    rows
}

/// The first line of `ffmpeg -version`, as far as the number.
fn version() -> String {
    let output = Command::new("ffmpeg").arg("-version").output().expect("ffmpeg runs; `make deps` installs it");
    let text = String::from_utf8_lossy(&output.stdout);
    text.split_whitespace().nth(2).unwrap().split(['-', '+']).next().unwrap().to_owned()
}

fn write() {
    let mut text = format!(
        "# Classes of streams\n\n\
         What avweld and `ffmpeg -allowed_extensions ALL -i index.m3u8 -c copy out.mp4` ({}) make of each case of\n\
         `fixtures/`, held against the same `expected.txt`: packets, lengths, places, decoding times, and every decoded\n\
         frame against the source's. `AVWELD_BLESS=1 cargo test --test merge peers` writes this page.\n",
        version()
    );
    let mut section = String::new();
    for (of, case, special) in rows() {
        if of != section {
            write!(text, "\n## {of}\n\n| case | what is special | avweld | ffmpeg |\n|---|---|---|---|\n").unwrap();
            section = of;
        }
        let [ours, theirs] = [avweld_makes(&case), ffmpeg_makes(&case)].map(|verdict| verdict.replace('|', "/"));
        writeln!(text, "| `{case}` | {special} | {ours} | {theirs} |").unwrap();
    }
    fs::write(page(), text).unwrap();
}

#[test]
fn peers_every_fixture_stands_among_the_classes_and_is_right() {
    if std::env::var_os("AVWELD_BLESS").is_some() {
        write();
    }
    let text = fs::read_to_string(page()).unwrap();
    for (case, _) in source::cases() {
        let row = text.lines().find(|line| line.starts_with(&format!("| `{case}` |")));
        let row = row.unwrap_or_else(|| panic!("{case} is not in docs/classes.md"));
        assert_eq!(row.split('|').nth_back(2).unwrap().trim(), "right", "{row}");
    }
}
