//! The command line of `bench`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{Args, ValueEnum, ValueHint};
use serde::Serialize;

use crate::args::{ConfigArgs, SourceArgs};
use crate::network::NetworkArgs;
use crate::settings::MessageArgs;
use crate::values;

/// Below this nothing is measured but how a merge begins and ends.
pub(super) const LEAST_BYTES: u64 = 1_000_000;

#[derive(Args)]
pub(crate) struct BenchArgs {
    /// A playlist (.m3u8, a URL), a folder or media files in order [default: made for it]
    ///
    /// Made for it are H.264 and AAC in MPEG-TS at 4 Mbit/s, in segments of 6 s.
    #[arg(value_name = "INPUT", value_hint = ValueHint::AnyPath)]
    pub(crate) inputs: Vec<PathBuf>,

    /// How much input is made; less where the disk has not four times as much free
    #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = values::size, help_heading = "Bench")]
    pub(crate) size: ByteSize,

    /// How often each measurement is repeated, of which the median counts
    #[arg(long, value_name = "N", default_value = "5", help_heading = "Bench")]
    pub(crate) runs: NonZeroUsize,

    /// How many small merges, each of three segments [default: as many as make up the size, 64 at most]
    ///
    /// Of an input that was given each is the whole.
    #[arg(long, value_name = "N", help_heading = "Bench")]
    pub(crate) jobs: Option<NonZeroUsize>,

    /// Up to how many merges at once [default: the number of cores]
    #[arg(long, value_name = "N", help_heading = "Bench")]
    pub(crate) concurrency: Option<NonZeroUsize>,

    /// What is measured, several with commas [default: all]
    #[arg(long, value_enum, value_name = "PHASES", value_delimiter = ',', help_heading = "Bench")]
    pub(crate) only: Vec<Phase>,

    /// Draw throughput over concurrency into this file, and replace what it holds
    #[arg(long, value_name = "FILE.svg", value_hint = ValueHint::FilePath, help_heading = "Bench")]
    pub(crate) plot: Option<PathBuf>,

    /// Where input and output are written: a folder on the disk to be measured [default: the system's temporary folder]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    #[arg(allow_hyphen_values = true, help_heading = "Bench")]
    pub(crate) temp_dir: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) source: SourceArgs,

    #[command(flatten)]
    pub(crate) network: NetworkArgs,

    #[command(flatten)]
    pub(crate) messages: MessageArgs,

    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Phase {
    /// One merge of all segments.
    Merge,
    /// The same by HTTP from 127.0.0.1.
    Http,
    /// Many small merges, as many at once as there are cores.
    Many,
    /// Merges at once, from one to as many as there are cores.
    Concurrency,
}

impl Phase {
    /// What needs least memory comes first: an allocator gives little of it back.
    pub(super) const ALL: [Self; 4] = [Self::Merge, Self::Http, Self::Many, Self::Concurrency];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Merge => "merge",
            Self::Many => "many",
            Self::Concurrency => "concurrency",
            Self::Http => "http",
        }
    }
}
