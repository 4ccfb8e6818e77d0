//! One job, from its input to its report.

mod check;
mod meter;
mod prepared;
mod publish;
mod subtitles;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::cancel::CancelToken;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Observer};
use crate::fetch::Web;
use crate::input::{Input, Output};
use crate::net::Network;
use crate::options::{Format, Options, Resume, TlsVerification, Verify};
use crate::pipeline::{Cores, Teller};
use crate::plan::{Purpose, plan};
use crate::report::Report;
use crate::workspace::{self, Workspace};
use prepared::{Target, identity};
use publish::PartFiles;
use subtitles::Subtitles;

pub(crate) use prepared::{Prepared, Verified};

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

    /// Who hears of the job's events; by default nobody. Called on the thread that runs the job, and for
    /// [`Event::Downloading`](crate::Event::Downloading) on the network's.
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
    /// was, and of temporary files only a download is left that the next run of the job goes on with.
    ///
    /// - `Exists`, `CannotCreate`: the output, or a workspace, before anything is read.
    /// - `NotFound`, `Denied`: the input, or a file that it names and may not.
    /// - `Usage`: a variant or a language that the playlist does not have, a format that a stream cannot take.
    /// - `Playlist`, `Media`, `Key`: an input that is malformed, cut short or not to be decrypted.
    /// - `Unsupported`, `Limit`: an input, or a change in it, that avweld or the format cannot do.
    /// - `Io`, `DiskFull`: reading and writing.
    /// - `Cancelled`: the token was cancelled.
    /// - `Internal`: a fault of avweld, a panic in the job included.
    /// - `Network`, `Timeout`, `Forbidden`: the web; see [`Error::is_retryable`].
    pub fn run(self) -> Result<Report> {
        let cancel = self.cancel.clone();
        guarded(&cancel, || {
            let network = Network::new(&self.options.network);
            let mut prepared = self.prepare(&network)?;
            if let Err(error) = prepared.begin_download() {
                return Err(prepared.give_up(error));
            }
            prepared.merge(Cores::for_each_of(1))?.publish()
        })
    }

    /// All that comes before the first media: the output refused if it must be, the input planned, a workspace
    /// opened. Blocks on playlists.
    pub(crate) fn prepare(self, network: &Network) -> Result<Prepared> {
        let started = Instant::now();
        self.cancel.check()?;
        let format = self.format()?;
        let mut tell = Teller::new(self.label(), self.observer.clone());
        let mut target = match self.output {
            Output::Path(path) => Target::Files(PartFiles::prepare(path, self.options.existing, self.options.fsync)?),
            Output::Writer(writer) => Target::Stream(Some(writer)),
        };
        let origin = self.input.url();
        let web = Web::new(network, &self.options.network, origin.as_ref(), &self.cancel)?;
        if self.options.network.tls_verification == TlsVerification::Off {
            tell.warn("certificates are not checked: anybody on the way can read and change what comes");
        }
        let mut plan = plan(&self.input, &self.options, Purpose::Merge, &web)?;
        if matches!(target, Target::Stream(_)) {
            Subtitles::leave_out(&mut plan.subtitles, &mut tell);
        }
        self.cancel.check()?;
        let wanted = plan.wanted();
        let can_resume = !wanted.is_empty() && self.options.resume == Resume::On;
        let purpose = workspace::Purpose {
            identity: if can_resume { identity(&self.input, &target) } else { 0 },
            part_folder: target.folder(),
        };
        let workspace = Workspace::open(self.options.temp_dir.as_deref(), purpose, self.options.keep_temp)?;
        target.named(&workspace);
        for warning in &plan.warnings {
            tell.warn(warning.clone());
        }
        Ok(Prepared {
            input: self.input,
            options: self.options,
            cancel: self.cancel,
            format,
            tell,
            target,
            plan,
            wanted,
            download: None,
            workspace,
            web,
            started,
        })
    }

    /// By the option, by the output's extension, or MP4.
    fn format(&self) -> Result<Format> {
        match (&self.output, self.options.format) {
            (Output::Writer(_), Some(format @ (Format::Mp4 | Format::Mov | Format::M4a))) => {
                let message = format!("{} needs a file that can seek", format.name());
                Err(Error::new(ErrorKind::Usage, message).with_hint("choose fmp4, ts or mkv"))
            }
            (Output::Writer(_), _) if self.options.verify == Verify::Decode => {
                let message = "what goes to a stream cannot be read back to be decoded";
                Err(Error::new(ErrorKind::Usage, message)
                    .with_hint("write to a file with -o, or leave --verify decode out"))
            }
            (_, Some(format)) => Ok(format),
            (Output::Writer(_), None) => Ok(Format::Fmp4),
            (Output::Path(path), None) => {
                Ok(path.extension().and_then(|e| e.to_str()).and_then(Format::from_name).unwrap_or(Format::Mp4))
            }
        }
    }

    /// What cancels it.
    pub(crate) fn token(&self) -> &CancelToken {
        &self.cancel
    }

    /// The path of its output, if it has one.
    pub(crate) fn output_path(&self) -> Option<&Path> {
        match &self.output {
            Output::Path(path) => Some(path),
            Output::Writer(_) => None,
        }
    }

    pub(crate) fn options_mut(&mut self) -> &mut Options {
        &mut self.options
    }

    /// As part of a service: with its token and its ears.
    pub(crate) fn joined(mut self, token: CancelToken, ears: Arc<dyn Observer>) -> Self {
        self.observer = Some(match self.observer {
            Some(own) => Arc::new(move |event: &Event| {
                own.on_event(event);
                ears.on_event(event);
            }),
            None => ears,
        });
        self.cancel = token;
        self
    }

    pub(crate) fn label(&self) -> String {
        let of_path = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        match (&self.name, &self.output) {
            (Some(name), _) => name.clone(),
            (None, Output::Path(path)) => of_path(path).unwrap_or_default(),
            (None, Output::Writer(_)) => "-".to_owned(),
        }
    }
}

/// Runs a part of a job: a panic in it is its error, and so is a cancellation, as whatever error it surfaced.
pub(crate) fn guarded<T>(cancel: &CancelToken, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let outcome = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let what = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(Error::new(ErrorKind::Internal, format!("panic: {}", what.unwrap_or("of an unknown kind")))
            .with_hint("this is a fault of avweld: please report it"))
    });
    // Inside libav a cancellation can surface as any error.
    outcome.map_err(|e| if cancel.is_cancelled() { cancelled_or(e) } else { e })
}

/// A cancelled job's error: the cancellation, unless something real went wrong before.
fn cancelled_or(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Media | ErrorKind::Io | ErrorKind::Internal => Error::cancelled(),
        _ => error,
    }
}
