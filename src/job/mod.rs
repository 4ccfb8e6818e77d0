//! One job, from its input to its report.

mod publish;
mod subtitles;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use crate::cancel::CancelToken;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Observer};
use crate::input::{Input, Output};
use crate::mux::{Extent, Sink, verify};
use crate::options::{Format, Options};
use crate::pipeline::{self, Merged, Part, PlannedInput, Settings, Teller};
use crate::plan::{Listed, Purpose, plan};
use crate::report::{DroppedStream, Elapsed, Report, SegmentCounts, TrackReport};
use crate::workspace::Workspace;
use publish::PartFiles;
use subtitles::Subtitles;

/// One merge: an input, an output and what to do on the way.
#[must_use = "a job does nothing until it is run"]
pub struct Job {
    input: Input,
    output: Output,
    name: Option<String>,
    options: Options,
    observer: Option<Arc<dyn Observer>>,
    cancel: CancelToken,
}

impl Job {
    /// A job with the default options.
    pub fn new(input: impl Into<Input>, output: impl Into<Output>) -> Self {
        Self {
            input: input.into(),
            output: output.into(),
            name: None,
            options: Options::default(),
            observer: None,
            cancel: CancelToken::new(),
        }
    }

    /// A label for events and the report; by default the output's name. It never becomes a path.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Replaces the options.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Who hears of the job's events; by default nobody. Called on the thread that runs the job.
    pub fn observer(mut self, observer: impl Observer + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// What cancels the job; by default nothing does.
    pub fn cancel_token(mut self, token: CancelToken) -> Self {
        self.cancel = token;
        self
    }

    /// Runs the job on the calling thread and blocks until it is done: until the output is on disk under its
    /// final name, or nothing of it is left.
    ///
    /// # Errors
    /// One error, with the segment and stream at fault where there is one. The output's path is then as it
    /// was, and no temporary file is left, unless [`Options::keep_temp`] says so.
    ///
    /// - `Exists`, `CannotCreate`: the output, or a workspace, before anything is read.
    /// - `NotFound`, `Denied`: the input, or a file that it names and may not.
    /// - `Usage`: a variant or a language that the playlist does not have, a format that a stream cannot take.
    /// - `Playlist`, `Media`, `Key`: an input that is malformed, cut short or not to be decrypted.
    /// - `Unsupported`, `Limit`: an input, or a change in it, that avweld or the format cannot do.
    /// - `Io`, `DiskFull`: reading and writing.
    /// - `Cancelled`: the token was cancelled.
    /// - `Internal`: a fault of avweld, a panic in the job included.
    pub fn run(self) -> Result<Report> {
        let cancel = self.cancel.clone();
        let outcome = catch_unwind(AssertUnwindSafe(|| self.run_inside())).unwrap_or_else(|panic| {
            let what = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
            Err(Error::new(ErrorKind::Internal, format!("panic: {}", what.unwrap_or("of an unknown kind")))
                .with_hint("this is a fault of avweld: please report it"))
        });
        // Inside libav a cancellation can surface as any error.
        outcome.map_err(|e| if cancel.is_cancelled() { Error::cancelled().or_worse(cancelled_or(e)) } else { e })
    }

    fn run_inside(self) -> Result<Report> {
        let started = Instant::now();
        self.cancel.check()?;
        let format = self.format()?;
        let mut tell = Teller::new(self.label(), self.observer.clone());
        let mut target = match self.output {
            Output::Path(path) => Target::Files(PartFiles::prepare(path, self.options.existing)?),
            Output::Writer(writer) => Target::Stream(Some(writer)),
        };
        let mut plan = plan(&self.input, &self.options, Purpose::Merge)?;
        let workspace = Workspace::create(self.options.temp_dir.as_deref(), self.options.keep_temp)?;
        let (segments, duration) = (plan.segments(), plan.duration());
        let extent = Extent { duration, bytes: plan.size_bytes() };
        tell.segments_total = segments;
        tell.event(|job| Event::Started { job, segments, duration_s: duration.map(crate::time::Nanos::seconds) });
        for warning in &plan.warnings {
            tell.warn(warning.clone());
        }
        let settings = Settings {
            format,
            faststart: self.options.faststart,
            on_discontinuity: self.options.on_discontinuity,
            on_change: self.options.on_change,
            limits: self.options.limits.clone(),
            extent,
            can_restart: matches!(target, Target::Files(_)),
        };
        let subtitles = match &target {
            Target::Files(files) => {
                Subtitles::read(std::mem::take(&mut plan.subtitles), &self.options, files, &mut tell, &self.cancel)?
            }
            Target::Stream(_) => Subtitles::left_out(&plan.subtitles, &mut tell),
        };
        let main = plan.inputs.first().map(|listed| listed.playlist.segments.clone());
        let planned = |listed: Listed| PlannedInput {
            role: listed.track_role.clone(),
            source: listed.into_source(&self.options, workspace.path()),
        };
        let inputs = plan.inputs.into_iter().map(planned).collect();
        let merged =
            pipeline::merge(inputs, &settings, &mut |n| target.sink(n), &mut tell, &self.cancel).map_err(|e| {
                // Of a stream nobody knows what it is written to.
                if e.kind() == ErrorKind::DiskFull && matches!(target, Target::Files(_)) {
                    e.with_hint(format!("about {} bytes are needed in the output's folder", extent.bytes))
                } else {
                    e
                }
            })?;
        let outputs = target.outputs();
        tell.bytes_in += subtitles.bytes();
        let subtitles = match &mut target {
            Target::Files(files) => subtitles.write(&main.unwrap_or_default(), &merged.parts, files, &mut tell)?,
            Target::Stream(_) => Vec::new(),
        };
        let mut size_bytes = 0;
        for (part, output) in merged.parts.iter().zip(&outputs) {
            size_bytes += check(part, output, format, &mut tell, &self.cancel)?;
        }
        // From here on the file is there, whatever comes: a cancellation is looked at once more before.
        self.cancel.check()?;
        if let Target::Files(files) = target {
            files.publish()?;
            for output in &outputs {
                let size_bytes = output.metadata().map_or(0, |m| m.len());
                tell.event(|job| Event::Published { job, output: output.clone(), size_bytes });
            }
        }
        let seconds = started.elapsed().as_secs_f64();
        let elapsed_s = Elapsed { download: 0.0, merge: seconds, total: seconds };
        Ok(Report { subtitles, ..report(merged, outputs, size_bytes, segments, elapsed_s, tell) })
    }

    /// By the option, by the output's extension, or MP4.
    fn format(&self) -> Result<Format> {
        match (&self.output, self.options.format) {
            (Output::Writer(_), Some(format @ (Format::Mp4 | Format::Mov | Format::M4a))) => {
                let message = format!("{} needs a file that can seek", format.name());
                Err(Error::new(ErrorKind::Usage, message).with_hint("choose fmp4, ts or mkv"))
            }
            (_, Some(format)) => Ok(format),
            (Output::Writer(_), None) => Ok(Format::Fmp4),
            (Output::Path(path), None) => {
                Ok(path.extension().and_then(|e| e.to_str()).and_then(Format::from_name).unwrap_or(Format::Mp4))
            }
        }
    }

    fn label(&self) -> String {
        let of_path = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        match (&self.name, &self.output) {
            (Some(name), _) => name.clone(),
            (None, Output::Path(path)) => of_path(path).unwrap_or_default(),
            (None, Output::Writer(_)) => "-".to_owned(),
        }
    }
}

/// A cancelled job's error: the cancellation, unless something real went wrong before.
fn cancelled_or(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Media | ErrorKind::Io | ErrorKind::Internal => Error::cancelled(),
        _ => error,
    }
}

/// Where the merge writes to.
enum Target {
    Files(PartFiles),
    Stream(Option<Box<dyn std::io::Write + Send>>),
}

impl Target {
    fn sink(&mut self, n: usize) -> Result<Sink> {
        match self {
            Self::Files(files) => files.create(n).map(Sink::File),
            Self::Stream(stream) => stream.take().map(Sink::Stream).ok_or_else(|| {
                Error::new(ErrorKind::Unsupported, format!("file {n} cannot follow another in one stream"))
                    .with_hint("write to a file with -o")
            }),
        }
    }

    fn outputs(&self) -> Vec<PathBuf> {
        match self {
            Self::Files(files) => files.targets(),
            Self::Stream(_) => vec![PathBuf::from("-")],
        }
    }
}

/// Verifies a finished file, and tells its size.
fn check(part: &Part, output: &Path, format: Format, tell: &mut Teller, cancel: &CancelToken) -> Result<u64> {
    let Some(file) = &part.file else { return Ok(0) };
    tell.event(|job| Event::Verifying { job, output: output.to_owned() });
    let expected: Vec<_> = part.tracks.iter().map(|t| t.expected.clone()).collect();
    for note in verify(file, format, &expected, cancel)? {
        tell.warn(note);
    }
    file.metadata().map(|m| m.len()).map_err(|e| Error::io("cannot read the output back", e))
}

fn report(
    merged: Merged,
    outputs: Vec<PathBuf>,
    size_bytes: u64,
    planned: u64,
    elapsed_s: Elapsed,
    tell: Teller,
) -> Report {
    let tracks =
        merged.parts.iter().flat_map(|part| part.tracks.iter().enumerate()).map(|(index, track)| TrackReport {
            index,
            kind: track.expected.kind.name(),
            codec: track.expected.codec.clone(),
            language: track.language.clone(),
            packets: track.expected.packets,
            start_s: track.start.seconds(),
            duration_s: track.expected.duration.seconds(),
        });
    let dropped =
        merged.dropped.into_iter().map(|d| DroppedStream { kind: d.kind.name(), codec: d.codec, reason: d.reason });
    Report {
        job: tell.job().to_owned(),
        status: "ok",
        output: outputs.first().cloned().unwrap_or_default(),
        outputs,
        size_bytes,
        duration_s: merged.parts.iter().map(|part| part.duration.seconds()).sum(),
        segments: SegmentCounts { planned, merged: merged.segments_merged, missing: merged.segments_missing },
        tracks: tracks.collect(),
        subtitles: Vec::new(),
        discontinuities: merged.discontinuities,
        timestamp_resets: merged.counts.resets,
        duplicate_packets: merged.counts.duplicates,
        mended_timestamps: merged.counts.mended,
        dropped_streams: dropped.collect(),
        bytes_in: tell.bytes_in,
        warnings: tell.into_warnings(),
        elapsed_s,
    }
}
