//! What a job is told: layers of options, each over the one below it.
//!
//! Every group of options is one struct, read from the command line by clap and from files by serde. What a layer does not
//! give is `None` there, and stays as the layers below have it.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use avweld::{Existing, Faststart, Format, Fsync, Options, Proxies, Result, Resume};
use bytesize::ByteSize;
use clap::{ArgAction, Args, ValueHint};
use serde::Deserialize;

use crate::args::SourceArgs;
use crate::keys;
use crate::network::{NetworkArgs, TransferArgs};
use crate::source;
use crate::values::{self, Change, Check, Discontinuity, Gap};

/// All that can be said of one job beside its input and its output.
#[derive(Args, Default, Clone, PartialEq)]
pub(crate) struct JobArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,

    #[command(flatten)]
    pub(crate) network: NetworkArgs,

    #[command(flatten)]
    pub(crate) transfer: TransferArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// How an output is made.
#[derive(Args, Deserialize, Default, Clone, PartialEq)]
#[serde(default)]
pub(crate) struct OutputArgs {
    /// The container [default: by the output's extension, else mp4]
    #[arg(short, long, value_parser = values::formats(), ignore_case = true, help_heading = "Output")]
    #[serde(deserialize_with = "keys::format")]
    pub(crate) format: Option<Format>,

    /// Replace an output that exists
    #[arg(short = 'y', long, value_name = "BOOL", num_args = 0..=1, require_equals = true, help_heading = "Output")]
    #[arg(default_missing_value = "true", hide_possible_values = true, conflicts_with = "skip_existing")]
    pub(crate) overwrite: Option<bool>,

    /// Leave an output that exists as it is, and succeed
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, help_heading = "Output")]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    pub(crate) skip_existing: Option<bool>,

    /// Leave the index (moov) of an mp4, m4a or mov behind the media
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, help_heading = "Output")]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    pub(crate) no_faststart: Option<bool>,

    /// Do not wait until the output is on disk: sooner done on a slow disk, and lost where power is
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, help_heading = "Output")]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    pub(crate) no_fsync: Option<bool>,

    /// How the output is checked before it appears [default: read]
    #[arg(long, value_enum, value_name = "HOW", help_heading = "Output")]
    pub(crate) verify: Option<Check>,

    /// Where temporary files are made [default: the system's temporary folder]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    #[arg(allow_hyphen_values = true, help_heading = "Output")]
    pub(crate) temp_dir: Option<PathBuf>,

    /// Delete segments as they are merged, and leave nothing for the next run: takes less room on disk
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, help_heading = "Output")]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    pub(crate) no_resume: Option<bool>,

    /// Leave temporary files in place at the end
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, help_heading = "Output")]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    pub(crate) keep_temp: Option<bool>,

    /// What a segment that cannot be had does [default: fail]
    #[arg(long, value_enum, value_name = "POLICY", help_heading = "Trouble")]
    pub(crate) on_gap: Option<Gap>,

    /// What a discontinuity marked in the playlist does [default: join]
    #[arg(long, value_enum, value_name = "POLICY", help_heading = "Trouble")]
    pub(crate) on_discontinuity: Option<Discontinuity>,

    /// What a change of codec parameters does that one track cannot hold [default: split]
    #[arg(long, value_enum, value_name = "POLICY", help_heading = "Trouble")]
    pub(crate) on_change: Option<Change>,
}

/// How many jobs at once, and what becomes of them.
#[derive(Args, Deserialize, Default, Clone, PartialEq)]
#[command(next_help_heading = "Batch")]
#[serde(default)]
pub(crate) struct ServiceArgs {
    /// The folder of the outputs, made where it is missing [default: the current one]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, allow_hyphen_values = true)]
    pub(crate) output_dir: Option<PathBuf>,

    /// Jobs that download, and merges, at once: both limits in one
    #[arg(short, long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,

    /// Jobs that download at once [default: 3]
    #[arg(long, value_name = "N")]
    pub(crate) max_concurrent_downloads: Option<NonZeroUsize>,

    /// Merges at once [default: 2]
    #[arg(long, value_name = "N")]
    pub(crate) max_concurrent_merges: Option<NonZeroUsize>,

    /// Memory that merges may take together, such as 500M or 2GiB; each counts as 64 MiB [default: no limit]
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    #[serde(deserialize_with = "keys::size")]
    pub(crate) max_memory: Option<ByteSize>,

    /// Cancel all jobs once one has failed
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(hide_possible_values = true)]
    pub(crate) fail_fast: Option<bool>,

    /// Remove what a failed job downloaded, after a while [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(hide_possible_values = true)]
    pub(crate) auto_cleanup: Option<bool>,

    /// How long that is kept, so that it can be gone on with [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = values::seconds)]
    #[serde(deserialize_with = "keys::seconds")]
    pub(crate) cleanup_delay: Option<Duration>,
}

/// What is said, and how much.
#[derive(Args, Deserialize, Default, Clone, PartialEq)]
#[command(next_help_heading = "Messages")]
#[serde(default)]
pub(crate) struct MessageArgs {
    /// Print JSON on standard output: one object, of a batch one a line
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(hide_possible_values = true)]
    pub(crate) json: Option<bool>,

    /// Say nothing but errors on standard error
    #[arg(short, long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true, conflicts_with = "verbose")]
    pub(crate) quiet: Option<bool>,

    /// Say more: steps and warnings as they happen, causes of errors; twice: progress lines too
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// What the layers of a job come to.
#[derive(Default)]
pub(crate) struct Settings {
    /// For the library.
    pub(crate) options: Options,
    /// An output that exists is left as it is, and no error.
    pub(crate) skip_existing: bool,
}

impl Settings {
    /// Puts layers over the defaults and the environment's proxies, the lowest first.
    ///
    /// # Errors
    /// `Usage` for values that contradict each other or cannot be used; those of a key that is rejected.
    pub(crate) fn new<'a>(layers: impl IntoIterator<Item = &'a JobArgs>, proxies: Proxies) -> Result<Self> {
        let mut settings = Self::default();
        settings.options.network.proxies = proxies;
        for layer in layers {
            layer.apply(&mut settings)?;
        }
        Ok(settings)
    }
}

impl JobArgs {
    /// Sets what this layer gives and leaves the rest as it is.
    fn apply(&self, settings: &mut Settings) -> Result<()> {
        source::apply(&self.source, &mut settings.options)?;
        self.network.apply(&mut settings.options.network)?;
        self.transfer.apply(&mut settings.options);
        self.output.apply(settings)
    }
}

impl OutputArgs {
    fn apply(&self, settings: &mut Settings) -> Result<()> {
        let options = &mut settings.options;
        match (self.overwrite, self.skip_existing) {
            (Some(true), Some(true)) => {
                return Err(source::usage("overwrite and skip_existing contradict each other; take one of them"));
            }
            // Each of the two takes back the other of a lower layer.
            (Some(true), _) => (options.existing, settings.skip_existing) = (Existing::Overwrite, false),
            (_, Some(true)) => (options.existing, settings.skip_existing) = (Existing::Refuse, true),
            (overwrite, skip_existing) => {
                set(&mut options.existing, overwrite.map(|_| Existing::Refuse));
                set(&mut settings.skip_existing, skip_existing);
            }
        }
        if self.format.is_some() {
            options.format = self.format;
        }
        if self.temp_dir.is_some() {
            options.temp_dir.clone_from(&self.temp_dir);
        }
        set(&mut options.fsync, self.no_fsync.map(|off| if off { Fsync::Off } else { Fsync::On }));
        set(&mut options.faststart, self.no_faststart.map(|off| if off { Faststart::Off } else { Faststart::On }));
        set(&mut options.verify, self.verify.map(Into::into));
        set(&mut options.resume, self.no_resume.map(|off| if off { Resume::Off } else { Resume::On }));
        set(&mut options.keep_temp, self.keep_temp);
        set(&mut options.on_gap, self.on_gap.map(Into::into));
        set(&mut options.on_discontinuity, self.on_discontinuity.map(Into::into));
        set(&mut options.on_change, self.on_change.map(Into::into));
        Ok(())
    }
}

/// What is said, and how much, all layers taken together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Messages {
    /// The report goes to standard output as JSON.
    pub(crate) json: bool,
    /// Nothing but errors.
    pub(crate) quiet: bool,
    /// How often more was asked for.
    pub(crate) verbose: u8,
}

impl Messages {
    /// Puts layers over the defaults, the lowest first.
    pub(crate) fn new<'a>(layers: impl IntoIterator<Item = &'a MessageArgs>) -> Self {
        let mut messages = Self::default();
        for layer in layers {
            set(&mut messages.json, layer.json);
            // As with the output: asking for more takes back that a lower layer wants silence.
            match (layer.quiet, layer.verbose) {
                (Some(true), _) => (messages.quiet, messages.verbose) = (true, 0),
                (_, 1..) => (messages.quiet, messages.verbose) = (false, layer.verbose),
                (quiet, 0) => set(&mut messages.quiet, quiet),
            }
        }
        messages
    }
}

/// How many jobs at once, and what becomes of them, all layers taken together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) max_concurrent_downloads: usize,
    pub(crate) max_concurrent_merges: usize,
    /// For all merges together, in bytes.
    pub(crate) max_memory: Option<u64>,
    pub(crate) fail_fast: bool,
    pub(crate) auto_cleanup: bool,
    pub(crate) cleanup_delay: Duration,
}

impl Service {
    /// Puts layers over the defaults, the lowest first.
    pub(crate) fn new<'a>(layers: impl IntoIterator<Item = &'a ServiceArgs>) -> Self {
        let mut service = Self {
            max_concurrent_downloads: 3,
            max_concurrent_merges: 2,
            max_memory: None,
            fail_fast: false,
            auto_cleanup: true,
            cleanup_delay: Duration::from_secs(60),
        };
        for layer in layers {
            // The narrower of one layer counts: `-j 8 --max-concurrent-merges 2`.
            let [downloads, merges] = [layer.max_concurrent_downloads, layer.max_concurrent_merges]
                .map(|own| own.or(layer.jobs).map(NonZeroUsize::get));
            set(&mut service.max_concurrent_downloads, downloads);
            set(&mut service.max_concurrent_merges, merges);
            set(&mut service.max_memory, layer.max_memory.map(|size| Some(size.as_u64())));
            set(&mut service.fail_fast, layer.fail_fast);
            set(&mut service.auto_cleanup, layer.auto_cleanup);
            set(&mut service.cleanup_delay, layer.cleanup_delay);
        }
        service
    }
}

/// Replaces a value if there is another.
pub(crate) fn set<T>(place: &mut T, given: Option<T>) {
    if let Some(value) = given {
        *place = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(overwrite: Option<bool>, skip_existing: Option<bool>) -> JobArgs {
        JobArgs { output: OutputArgs { overwrite, skip_existing, ..OutputArgs::default() }, ..JobArgs::default() }
    }

    #[test]
    fn a_layer_takes_back_what_a_lower_one_says_of_existing_outputs() {
        let of = |layers: &[JobArgs]| {
            let settings = Settings::new(layers, Proxies::default()).expect("settings");
            (settings.options.existing, settings.skip_existing)
        };
        let (overwrite, skip) = (output(Some(true), None), output(None, Some(true)));
        assert_eq!(of(&[]), (Existing::Refuse, false));
        assert_eq!(of(std::slice::from_ref(&overwrite)), (Existing::Overwrite, false));
        assert_eq!(of(&[overwrite.clone(), skip.clone()]), (Existing::Refuse, true));
        assert_eq!(of(&[skip.clone(), overwrite.clone()]), (Existing::Overwrite, false));
        assert_eq!(of(&[overwrite, output(Some(false), None)]), (Existing::Refuse, false));
        assert_eq!(of(&[skip, output(None, Some(false))]), (Existing::Refuse, false));
        assert!(Settings::new(&[output(Some(true), Some(true))], Proxies::default()).is_err());
    }

    #[test]
    fn both_limits_can_be_given_in_one() {
        let layer = |jobs, downloads, merges| ServiceArgs {
            jobs: NonZeroUsize::new(jobs),
            max_concurrent_downloads: NonZeroUsize::new(downloads),
            max_concurrent_merges: NonZeroUsize::new(merges),
            ..ServiceArgs::default()
        };
        let of = |layers: &[ServiceArgs]| {
            let service = Service::new(layers);
            (service.max_concurrent_downloads, service.max_concurrent_merges)
        };
        assert_eq!(of(&[]), (3, 2));
        assert_eq!(of(&[layer(8, 0, 0)]), (8, 8));
        assert_eq!(of(&[layer(8, 0, 4)]), (8, 4));
        assert_eq!(of(&[layer(0, 16, 16), layer(8, 0, 0)]), (8, 8));
        assert_eq!(of(&[layer(8, 0, 0), layer(0, 1, 0)]), (1, 8));
    }

    #[test]
    fn the_upper_layer_says_how_much_is_said() {
        let layer = |quiet, verbose| MessageArgs { json: None, quiet, verbose };
        let of = |layers: &[MessageArgs]| {
            let messages = Messages::new(layers);
            (messages.quiet, messages.verbose)
        };
        assert_eq!(of(&[layer(Some(true), 0), layer(None, 2)]), (false, 2));
        assert_eq!(of(&[layer(None, 2), layer(Some(true), 0)]), (true, 0));
        assert_eq!(of(&[layer(Some(true), 0), layer(None, 0)]), (true, 0));
        assert_eq!(of(&[layer(None, 1), layer(Some(false), 0)]), (false, 1));
    }
}
