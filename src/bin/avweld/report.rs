//! What a job came to: as JSON for programs, in a few lines for people.

use std::path::{Path, PathBuf};

use avweld::{Error, ErrorKind, Report, Result};
use indicatif::DecimalBytes;
use serde::Serialize;

use crate::terminal::{self, clock, count, printable, printable_path, warning_line};

/// The report of a job that has none from the library: it failed or was skipped.
#[derive(Serialize)]
pub(crate) struct Unfinished {
    job: String,
    status: &'static str,
    output: String,
    outputs: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Fault>,
}

#[derive(Serialize)]
struct Fault {
    kind: &'static str,
    exit_code: u8,
    message: String,
    segment: Option<u64>,
    retryable: bool,
}

impl Unfinished {
    /// A job that failed; nothing stands at its output path that did not before.
    pub(crate) fn failed(job: &str, output: &Path, error: &Error, exit_code: u8) -> Self {
        Self {
            job: job.to_owned(),
            status: "failed",
            output: lossy(output),
            outputs: Vec::new(),
            error: Some(Fault {
                kind: error.kind().as_str(),
                exit_code,
                message: error.to_string(),
                segment: error.segment(),
                retryable: error.is_retryable(),
            }),
        }
    }

    /// A job that was not run, because its output exists.
    pub(crate) fn skipped(job: &str, existing: &Path) -> Self {
        let output = lossy(existing);
        Self { job: job.to_owned(), status: "skipped", outputs: vec![output.clone()], output, error: None }
    }
}

/// The report of a job that succeeded, as it can be put into JSON: that is UTF-8, paths need not be.
pub(crate) fn with_utf8_paths(mut report: Report) -> Report {
    let beside = report.subtitles.iter_mut().map(|subtitles| &mut subtitles.path);
    for path in std::iter::once(&mut report.output).chain(&mut report.outputs).chain(beside) {
        *path = PathBuf::from(lossy(path));
    }
    report
}

/// Prints one object as one line.
pub(crate) fn print(value: &impl Serialize) -> Result<()> {
    let mut line =
        serde_json::to_vec(value).map_err(|e| Error::new(ErrorKind::Internal, "cannot make JSON").with_source(e))?;
    line.push(b'\n');
    terminal::data(&line)
}

fn lossy(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// More media sequence numbers than these are not listed in a summary.
const MISSING_LISTED: usize = 20;

/// What a job came to, for people.
pub(crate) fn summary(report: &Report, with_warnings: bool) -> Vec<String> {
    let segments = &report.segments;
    let several = report.outputs.len() > 1;
    let what = match several {
        true => count(report.outputs.len() as u64, "file"),
        false => printable_path(&report.output),
    };
    let mut lines = vec![format!(
        "{what}: {}, {}, {} of {}",
        DecimalBytes(report.size_bytes),
        clock(report.duration_s),
        segments.merged,
        count(segments.planned, "segment"),
    )];
    // The tracks of several files stand one file's behind the other's, each counted from 0.
    let mut files = report.outputs.iter().filter(|_| several);
    for track in &report.tracks {
        if track.index == 0 {
            lines.extend(files.next().map(|path| format!("  {}", printable_path(path))));
        }
        let indent = if several { "    " } else { "  " };
        let language = track.language.as_deref().map(|l| format!(" [{}]", printable(l))).unwrap_or_default();
        lines.push(format!(
            "{indent}track {}: {} {}{language}, {}",
            track.index,
            track.kind,
            printable(&track.codec),
            clock(track.duration_s)
        ));
    }
    for subtitles in &report.subtitles {
        let language = subtitles.language.as_deref().map(|l| format!(" [{}]", printable(l))).unwrap_or_default();
        let missing = match subtitles.missing.len() {
            0 => String::new(),
            _ => format!(", without {}", list(&subtitles.missing)),
        };
        let (path, cues) = (printable_path(&subtitles.path), count(subtitles.cues, "cue"));
        lines.push(format!("  subtitles{language}: {path}, {cues}{missing}"));
    }
    if !segments.missing.is_empty() {
        lines.push(format!("  missing: {}", list(&segments.missing)));
    }
    let download = &report.download;
    if download.requests > 0 {
        let mut line =
            format!("  fetched: {} in {}", DecimalBytes(download.bytes), count(download.requests, "request"));
        if download.retries > 0 {
            line.push_str(&format!(", {} made again", download.retries));
        }
        if download.resumed_segments > 0 {
            line.push_str(&format!(", {} kept from before", count(download.resumed_segments, "segment")));
        }
        lines.push(line);
    }
    let mended = [
        (report.timestamp_resets, "unmarked clock jump"),
        (report.mended_timestamps, "timestamp"),
        (report.duplicate_packets, "duplicate packet"),
    ];
    let mended: Vec<_> = mended.iter().filter(|(n, _)| *n > 0).map(|(n, what)| count(*n, what)).collect();
    if !mended.is_empty() {
        lines.push(format!("  mended: {}", mended.join(", ")));
    }
    if let Some(verify) = &report.verify {
        let errors = match (verify.errors, verify.source_errors) {
            (0, 0) => "no errors".to_owned(),
            (output, source) => format!("{}, {source} in the source", count(output, "error")),
        };
        lines.push(format!("  decoded: {}, {errors}", count(verify.decoded_frames, "frame")));
    }
    lines.extend(report.dropped_streams.iter().map(|stream| {
        format!("  left out: {} {}: {}", stream.kind, printable(&stream.codec), printable(&stream.reason))
    }));
    if with_warnings {
        lines.extend(report.warnings.iter().map(|message| format!("  {}", warning_line(message))));
    } else if !report.warnings.is_empty() {
        lines.push(format!("  {}", count(report.warnings.len() as u64, "warning")));
    }
    lines
}

fn list(sequence_numbers: &[u64]) -> String {
    let noun = if sequence_numbers.len() == 1 { "segment" } else { "segments" };
    let shown: Vec<_> = sequence_numbers.iter().take(MISSING_LISTED).map(u64::to_string).collect();
    let more = match sequence_numbers.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{noun} {}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_job_tells_kind_code_and_segment() {
        let error = Error::new(ErrorKind::Media, "cut short").with_segment(17, "a.ts");
        let report = Unfinished::failed("x", Path::new("x.mp4"), &error, 65);
        let json = serde_json::to_string(&report).expect("JSON");
        assert_eq!(
            json,
            r#"{"job":"x","status":"failed","output":"x.mp4","outputs":[],"error":{"kind":"media","exit_code":65,"message":"segment 17 (a.ts): cut short","segment":17,"retryable":false}}"#
        );
    }

    #[test]
    fn a_skipped_job_has_no_error() {
        let json = serde_json::to_string(&Unfinished::skipped("x", Path::new("x.mp4"))).expect("JSON");
        assert_eq!(json, r#"{"job":"x","status":"skipped","output":"x.mp4","outputs":["x.mp4"]}"#);
    }

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(list(&[3]), "segment 3");
        assert_eq!(list(&(0..22).collect::<Vec<_>>()).split(" and ").nth(1), Some("2 more"));
    }
}
