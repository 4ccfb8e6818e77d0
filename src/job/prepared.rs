//! A job from its plan to its report.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use xxhash_rust::xxh3::Xxh3;

use super::cancelled_or;
use super::check::Check;
use super::meter::Meter;
use super::publish::PartFiles;
use super::subtitles::Subtitles;
use crate::cancel::CancelToken;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::fetch::{Download, Listener, Refresh, Settings as DownloadSettings, Used, Wanted, Web, without_query};
use crate::input::Input;
use crate::mux::{Extent, Sink, ToDisk};
use crate::options::{Format, Fsync, Options, Resume};
use crate::pipeline::{self, Cores, Merged, PlannedInput, Settings, Teller};
use crate::plan::{Listed, Plan, Purpose, plan};
use crate::report::{
    Download as Downloaded, DroppedStream, Elapsed, Report, SegmentCounts, SubtitleReport, TrackReport, Verification,
};
use crate::workspace::Workspace;

/// A job whose plan is made.
pub(crate) struct Prepared {
    pub(super) input: Input,
    pub(super) options: Options,
    pub(super) cancel: CancelToken,
    pub(super) format: Format,
    pub(super) tell: Teller,
    pub(super) target: Target,
    pub(super) plan: Plan,
    /// What comes from the web.
    pub(super) wanted: Vec<Wanted>,
    /// Once it has begun. Stands before the workspace, which its files are in.
    pub(super) download: Option<Arc<Download>>,
    pub(super) workspace: Workspace,
    pub(super) web: Web,
    pub(super) started: Instant,
}

impl Prepared {
    /// Something comes from the web.
    pub(crate) fn needs_download(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Begins to fetch what comes from the web, if anything does.
    pub(crate) fn begin_download(&mut self) -> Result<()> {
        if self.wanted.is_empty() {
            return Ok(());
        }
        let input = self.input.clone();
        // A playlist that is not on the web stays as it is, however often it is read.
        let refresh = matches!(input, Input::Paths(_)) && input.url().is_some();
        let refresh = refresh.then(|| {
            let (options, web) = (self.options.clone(), self.web.clone());
            Arc::new(move || {
                let plan = plan(&input, &options, Purpose::Merge, &web)?;
                let sequences = plan.inputs.into_iter().chain(plan.subtitles);
                Ok(sequences.map(|listed| listed.playlist.segments).collect())
            }) as Refresh
        });
        let listener = self.tell.observer().map(|observer| {
            let meter = Meter::new(self.tell.job().to_owned());
            Arc::new(move |progress| observer.on_event(&meter.event(Instant::now(), progress))) as Listener
        });
        let settings = DownloadSettings {
            client: self.web.client.clone(),
            store: self.workspace.store()?,
            cancel: self.cancel.clone(),
            on_gap: self.options.on_gap,
            limits: self.options.limits.clone(),
            refresh,
            listener,
            used: if self.options.resume == Resume::On || self.options.keep_temp { Used::Kept } else { Used::Deleted },
        };
        let download = Arc::new(Download::start(&self.web.network, std::mem::take(&mut self.wanted), settings)?);
        let sequences = self.plan.inputs.iter().chain(&self.plan.subtitles);
        sequences.for_each(|listed| listed.fetcher.take_from(&download));
        self.download = Some(download);
        Ok(())
    }

    /// Blocks until all that comes from the web is there. `stalled` hears when nothing comes any more for a while, and
    /// when it comes again.
    pub(crate) fn wait_for_download(&self, stalled: &mut dyn FnMut(bool)) -> Result<()> {
        match &self.download {
            Some(download) => download.wait_for_all(stalled),
            None => Ok(()),
        }
    }

    /// The job fails: ends its download, and keeps its workspace where the next run can go on with it.
    pub(crate) fn give_up(&self, error: Error) -> Error {
        let Some(download) = &self.download else { return error };
        download.stop();
        // Else the hint below would be on an error that nobody is told.
        let error = if self.cancel.is_cancelled() { cancelled_or(error) } else { error };
        let done = download.progress().done;
        let resumable = error.is_retryable() || error.kind() == ErrorKind::Cancelled || self.cancel.is_cancelled();
        if done == 0 || !resumable || self.options.resume == Resume::Off {
            return error;
        }
        self.workspace.keep();
        error.with_further_hint(format!("run it again to go on: {done} segments are kept"))
    }

    /// The folder of its workspace.
    pub(crate) fn workspace(&self) -> &Path {
        self.workspace.path()
    }

    /// Merges what comes, and verifies it. Blocks; waits for what is still to come.
    pub(crate) fn merge(mut self, cores: Cores) -> Result<Verified> {
        let cancel = self.cancel.limited(self.options.merge_timeout);
        if let Some(download) = &self.download {
            download.waits_for_free(&cancel);
        }
        match self.write(cores, &cancel) {
            Ok(merged) => Ok(Verified { job: self, merged, cancel }),
            Err(error) => Err(self.give_up(error)),
        }
    }

    fn write(&mut self, cores: Cores, cancel: &CancelToken) -> Result<Output> {
        let Self { options, format, tell, target, plan, .. } = self;
        let format = *format;
        let (segments, duration) = (plan.segments(), plan.duration());
        let extent = Extent { duration, bytes: plan.size_bytes() };
        tell.segments_total = segments;
        tell.event(|job| Event::Started { job, segments, duration_s: duration.map(crate::time::Nanos::seconds) });
        let settings = Settings {
            format,
            faststart: options.faststart,
            on_discontinuity: options.on_discontinuity,
            on_change: options.on_change,
            limits: options.limits.clone(),
            extent,
            verify: options.verify,
            can_restart: matches!(target, Target::Files(_)),
            cores,
        };
        let subtitles = match &*target {
            Target::Files(files) => Subtitles::read(std::mem::take(&mut plan.subtitles), options, files, tell, cancel)?,
            Target::Stream(_) => Subtitles::default(),
        };
        let main = plan.inputs.first().map(|listed| listed.playlist.segments.clone()).unwrap_or_default();
        let workspace = self.workspace.path();
        let planned = |listed: Listed| PlannedInput {
            role: listed.track_role.clone(),
            source: listed.into_source(options, workspace),
        };
        let inputs = plan.inputs.drain(..).map(planned).collect();
        let is_to_come = self.download.as_ref().map(|download| download.progress()).is_some_and(|p| p.done < p.total);
        let to_disk = match options.fsync {
            Fsync::Off => ToDisk::Later,
            Fsync::On if is_to_come => ToDisk::Close,
            Fsync::On => ToDisk::Beside,
        };
        let merged =
            pipeline::merge(inputs, &settings, &mut |n| target.sink(n, to_disk), tell, cancel).map_err(|e| {
                // Of a stream nobody knows what it is written to.
                if e.kind() == ErrorKind::DiskFull && matches!(target, Target::Files(_)) {
                    e.with_hint(format!("about {} bytes are needed in the output's folder", extent.bytes))
                } else {
                    e
                }
            })?;
        let outputs = target.outputs();
        tell.bytes_in += subtitles.bytes();
        let subtitles = match target {
            Target::Files(files) => subtitles.write(&main, &merged.parts, files, tell)?,
            Target::Stream(_) => Vec::new(),
        };
        let (mut size_bytes, mut check) = (0, Check::new(format, options.verify));
        for (part, output) in merged.parts.iter().zip(&outputs) {
            size_bytes += check.file(part, output, tell, cancel)?;
        }
        Ok(Output { merged, paths: outputs, subtitles, size_bytes, verify: check.decoded(), segments })
    }

    fn publish(&mut self, output: Output, cancel: &CancelToken) -> Result<Report> {
        let Self { tell, target, .. } = self;
        // From here on the file is there, whatever comes: a cancellation is looked at once more before.
        cancel.check()?;
        target.publish()?;
        if !matches!(target, Target::Stream(_)) {
            for output in &output.paths {
                let size_bytes = output.metadata().map_or(0, |m| m.len());
                tell.event(|job| Event::Published { job, output: output.clone(), size_bytes });
            }
        }
        let progress = self.download.as_ref().map(|download| download.progress());
        let waited = self.download.as_ref().map_or(0.0, |download| download.waited().as_secs_f64());
        let total = self.started.elapsed().as_secs_f64();
        let elapsed_s = Elapsed {
            download: progress.map_or(0.0, |progress| progress.elapsed.as_secs_f64()),
            merge: (total - waited).max(0.0),
            total,
        };
        let counts = self.web.client.counts();
        let downloaded = Downloaded {
            requests: counts.requests,
            retries: counts.retries,
            bytes: counts.bytes,
            resumed_segments: progress.map_or(0, |progress| progress.resumed),
        };
        Ok(report(output, downloaded, elapsed_s, tell))
    }
}

/// What a job wrote.
struct Output {
    merged: Merged,
    /// The names that the files are to have.
    paths: Vec<PathBuf>,
    subtitles: Vec<SubtitleReport>,
    size_bytes: u64,
    verify: Option<Verification>,
    /// Those that were planned.
    segments: u64,
}

/// A job whose output is complete, and has not got its name yet.
pub(crate) struct Verified {
    job: Prepared,
    merged: Output,
    cancel: CancelToken,
}

impl Verified {
    /// The folder of its workspace.
    pub(crate) fn workspace(&self) -> &Path {
        self.job.workspace()
    }

    /// Publishes the output. Blocks on the disk, and needs no processor.
    pub(crate) fn publish(self) -> Result<Report> {
        let Self { mut job, merged, cancel } = self;
        job.publish(merged, &cancel).map_err(|error| job.give_up(error))
    }
}

/// Tells a job from others across runs: by its input and its output, without what expires.
pub(super) fn identity(input: &Input, target: &Target) -> u128 {
    let mut hash = Xxh3::new();
    let mut add = |bytes: &[u8]| {
        hash.update(&(bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    match (input, input.url()) {
        (_, Some(url)) => add(without_query(&url).as_bytes()),
        (Input::Paths(paths), None) => {
            for path in paths {
                add(absolute(path).as_os_str().as_encoded_bytes());
            }
        }
        (Input::PlaylistText { base, .. }, None) => add(base.as_bytes()),
    }
    match target {
        Target::Files(files) => add(absolute(files.target()).as_os_str().as_encoded_bytes()),
        Target::Stream(_) => add(b"-"),
    }
    // 0 is for jobs that have none.
    hash.digest128().max(1)
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Where the merge writes to.
pub(super) enum Target {
    Files(PartFiles),
    Stream(Option<Box<dyn std::io::Write + Send>>),
}

impl Target {
    /// Where part files will stand.
    pub(super) fn folder(&self) -> Option<&Path> {
        match self {
            Self::Files(files) => Some(files.folder()),
            Self::Stream(_) => None,
        }
    }

    /// Lets part files be known as those of a workspace.
    pub(super) fn named(&mut self, workspace: &Workspace) {
        if let Self::Files(files) = self {
            files.named(workspace.part_prefix());
        }
    }

    fn sink(&mut self, n: usize, to_disk: ToDisk) -> Result<Sink> {
        match self {
            Self::Files(files) => files.create(n, to_disk),
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

    fn publish(&mut self) -> Result<()> {
        match self {
            Self::Files(files) => files.publish(),
            Self::Stream(_) => Ok(()),
        }
    }
}

fn report(output: Output, download: Downloaded, elapsed_s: Elapsed, tell: &mut Teller) -> Report {
    let Output { merged, paths: outputs, subtitles, size_bytes, verify, segments: planned } = output;
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
        subtitles,
        discontinuities: merged.discontinuities,
        timestamp_resets: merged.counts.resets,
        duplicate_packets: merged.counts.duplicates,
        mended_timestamps: merged.counts.mended,
        dropped_streams: dropped.collect(),
        bytes_in: tell.bytes_in,
        download,
        warnings: tell.take_warnings(),
        verify,
        elapsed_s,
    }
}
