//! The command line.

use std::path::PathBuf;

use avweld::{AudioChoice, SubtitleChoice, TimeRange, VariantChoice};
use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use serde::Deserialize;

use crate::batch::shard::Shard;
use crate::bench::BenchArgs;
use crate::keys;
use crate::network::NetworkArgs;
use crate::settings::{JobArgs, MessageArgs, ServiceArgs};
use crate::values::{self, ProgressStyle};

const ROOT_HELP: &str = "\
Examples:
  avweld merge index.m3u8 -o lesson.mp4
  avweld batch jobs.toml --output-dir out
  avweld inspect master.m3u8
  avweld bench

'avweld help merge' tells all options of a merge.";

const ROOT_LONG_HELP: &str = "\
Examples:
  avweld merge index.m3u8 -o lesson.mp4
  avweld merge master.m3u8 --variant 720p --audio all -o film.mkv
  avweld merge https://example.com/v/index.m3u8 -H 'Authorization: Bearer …' -o film.mp4
  avweld batch jobs.toml --output-dir out
  avweld inspect master.m3u8
  avweld bench

Exit codes:
    0  done, or skipped because the output exists
    1  internal error
    2  usage, or a config or job file
    3  a batch ended with some jobs failed
   65  bad data: playlist malformed, media corrupt, key wrong, a segment missing
   66  input not found
   69  unsupported: encryption, codec, container, a limit reached
   73  output exists or cannot be created
   74  I/O error, disk full
   75  temporary, try again later: timeout, connection refused, 429, 5xx
   77  denied: permissions, 401, 403, or refused by policy
  130  cancelled by SIGINT
  143  cancelled by SIGTERM

Files:
  avweld/config.toml in $XDG_CONFIG_HOME or ~/.config: every option as a key, _ in place of -

Environment:
  http_proxy, https_proxy, all_proxy  proxies where --proxy gives none; also HTTPS_PROXY, ALL_PROXY
  no_proxy, NO_PROXY                  hosts that are reached without a proxy
  JOB_COMPLETION_INDEX and _COUNT, SLURM_ARRAY_TASK_ID, _COUNT, _MIN and _STEP
                                      the part of a list that 'avweld batch' does without --shard
  NO_COLOR                            no colours on standard error";

const MERGE_HELP: &str = "\
Examples:
  avweld merge index.m3u8 -o lesson.mp4
  avweld merge segments/ -o lesson.mkv
  avweld merge a.ts b.ts c.ts -o abc.mp4
  avweld merge master.m3u8 --variant 720p --audio all --json
  avweld merge master.m3u8 --subtitles all -o film.mp4
  avweld merge https://example.com/v/index.m3u8 -o lesson.mp4
  avweld merge index.m3u8 -o - | mpv -
  avweld merge - --base-url segments/ -o lesson.mp4 < index.m3u8";

const BATCH_HELP: &str = "\
Examples:
  avweld batch jobs.toml --output-dir out
  avweld batch list.txt -j 8 --skip-existing --json > reports.jsonl
  generate-list | avweld batch - --shard 0/4";

const BATCH_LONG_HELP: &str = "\
Examples:
  avweld batch jobs.toml --output-dir out
  avweld batch list.txt -j 8 --skip-existing --json > reports.jsonl
  generate-list | avweld batch - --shard 0/4

Job files:
  TOML: options of all jobs, then a table for each; an option's key has _ in place of -
      retry_delay = 1
      [[job]]
      url = \"https://example.com/v/index.m3u8\"
      name = \"lesson-01\"
      headers = { Authorization = \"Bearer …\" }
  JSON Lines: the same keys, an object a line
      {\"url\": \"https://example.com/v/index.m3u8\", \"name\": \"lesson-01\", \"on_gap\": \"skip\"}
  Text: a URL a line, and a name behind it or none; # begins a comment
      https://example.com/v/index.m3u8  lesson-01

  Beside options a job has url, name, output (a path below the output folder) and output_dir. An
  output is called after output, else the name, else the URL; equal names are numbered. Relative
  paths begin at the current folder. The command line wins over a job, a job over the job file, the
  job file over the config file.

Exit code 3 tells that some jobs failed; each report has the code of its own job.";

const INSPECT_HELP: &str = "\
Examples:
  avweld inspect master.m3u8
  avweld inspect https://example.com/v/master.m3u8
  avweld inspect index.m3u8 --json | jq .inputs[0].segments
  avweld inspect index.m3u8 --deep --timeline";

const BENCH_HELP: &str = "\
Examples:
  avweld bench
  avweld bench --size 1G --temp-dir /var/tmp --plot throughput.svg
  avweld bench index.m3u8 --only merge,http --json

Merges and plain copies of the same bytes are run in turn, each without output of the one before. A
copy reads all segments, writes one file and brings it to disk as a merge does; of an input that was
given, what one merge made of it is copied. x copy tells how many times as long as a copy a merge
takes for a byte of input. MB are millions of bytes, MiB 1048576 bytes; memory and seconds of the
processor are those of this process, with what it kept of earlier measurements and, over HTTP, with
the server in it.";

const COMPLETIONS_HELP: &str = "\
Examples:
  avweld completions bash > ~/.local/share/bash-completion/completions/avweld
  avweld completions fish > ~/.config/fish/completions/avweld.fish";

const MAN_HELP: &str = "\
Example:
  avweld man > ~/.local/share/man/man1/avweld.1";

// Neither this nor what it is made of has Debug output: URLs, headers and keys in it may be secrets.
/// Merge HLS playlists and media segments into one verified file
#[derive(Parser)]
#[command(name = "avweld", version, disable_version_flag = true, max_term_width = 100)]
#[command(arg_required_else_help = true, subcommand_negates_reqs = true, after_help = ROOT_HELP, after_long_help = ROOT_LONG_HELP)]
pub(crate) struct Cli {
    /// Print the version; with -v also those of libav, how it was built, and all licences
    #[arg(short = 'V', long, required = true)]
    pub(crate) version: bool,

    /// Print all of it
    #[arg(short, long, requires = "version", hide = true)]
    pub(crate) verbose: bool,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Merge a playlist, a folder of segments or media files into one file
    ///
    /// Packets are copied, nothing is encoded anew. The output appears only when it is complete and
    /// has been read back; until then, and after a failure, its path stays as it was.
    #[command(after_help = MERGE_HELP)]
    Merge(Box<MergeArgs>),
    /// Merge many, several at once, from a job file
    ///
    /// Each job has a URL, or a path, and may have a name and options of its own. One that fails hurts no other.
    #[command(after_help = BATCH_HELP, after_long_help = BATCH_LONG_HELP)]
    Batch(Box<BatchArgs>),
    /// Show what an input holds: variants, renditions, segments, encryption, streams
    ///
    /// Reads the playlists, and of the media the first segment of each sequence; all of it where asked to look deeper.
    #[command(after_help = INSPECT_HELP)]
    Inspect(Box<InspectArgs>),
    /// Measure how fast this machine merges, against a plain copy
    ///
    /// Makes its own input, or takes yours, and measures one long merge, many small ones, several at once,
    /// and one by HTTP from 127.0.0.1. Starts no other program, and takes away all that it wrote.
    #[command(after_help = BENCH_HELP)]
    Bench(Box<BenchArgs>),
    /// Print a completion script for a shell
    #[command(after_help = COMPLETIONS_HELP)]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the man page
    #[command(after_help = MAN_HELP)]
    Man,
}

#[derive(Args)]
pub(crate) struct MergeArgs {
    /// A playlist (.m3u8, a URL), a folder, media files in order, or - for a playlist on standard input
    ///
    /// Of a folder the media files are merged in natural order: 2.ts comes before 10.ts.
    /// Put -- before names that begin with a dash.
    #[arg(value_name = "INPUT", required = true, value_hint = ValueHint::AnyPath)]
    pub(crate) inputs: Vec<PathBuf>,

    /// What a playlist on standard input refers to: the folder or URL it came from
    #[arg(long, value_name = "FOLDER|URL", allow_hyphen_values = true, help_heading = "Input")]
    pub(crate) base_url: Option<String>,

    #[command(flatten)]
    pub(crate) job: JobArgs,

    /// The file to write, or - for standard output [default: the input's name, in this folder]
    ///
    /// Standard output takes the formats fmp4 (its default), ts and mkv.
    #[arg(short, long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    #[arg(allow_hyphen_values = true, help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,

    /// The job's label in events and the report [default: the output's name]
    #[arg(long, value_name = "LABEL", allow_hyphen_values = true, help_heading = "Output")]
    pub(crate) name: Option<String>,

    #[command(flatten)]
    pub(crate) messages: MessageArgs,

    /// How progress is shown [default: auto]
    #[arg(long, value_enum, value_name = "STYLE", help_heading = "Messages")]
    pub(crate) progress: Option<ProgressStyle>,

    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

#[derive(Args)]
pub(crate) struct BatchArgs {
    /// A job file: .toml, .jsonl, or lines of text, URL [NAME]; - for standard input
    ///
    /// Without an extension that tells, it is told by how it begins.
    #[arg(value_name = "JOBS", id = "list", value_hint = ValueHint::FilePath)]
    pub(crate) list: PathBuf,

    #[command(flatten)]
    pub(crate) service: ServiceArgs,

    /// Take every N-th job only, from the I-th, counted from 0 [default: that of the array job, else all]
    ///
    /// Of an array job of Kubernetes (JOB_COMPLETION_INDEX, with JOB_COMPLETION_COUNT set beside it) or Slurm
    /// (SLURM_ARRAY_TASK_ID) each takes its own part.
    #[arg(long, value_name = "I/N", help_heading = "Batch")]
    pub(crate) shard: Option<Shard>,

    #[command(flatten)]
    pub(crate) job: JobArgs,

    #[command(flatten)]
    pub(crate) messages: MessageArgs,

    /// How progress is shown [default: auto]
    #[arg(long, value_enum, value_name = "STYLE", help_heading = "Messages")]
    pub(crate) progress: Option<ProgressStyle>,

    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

#[derive(Args)]
pub(crate) struct InspectArgs {
    /// A playlist (.m3u8, a URL), a folder, a media file, or - for a playlist on standard input
    #[arg(value_name = "INPUT", value_hint = ValueHint::AnyPath)]
    pub(crate) input: PathBuf,

    /// What a playlist on standard input refers to: the folder or URL it came from
    #[arg(long, value_name = "FOLDER|URL", allow_hyphen_values = true, help_heading = "Input")]
    pub(crate) base_url: Option<String>,

    /// Read all of the media: timestamps, packets, resets, gaps and key pictures of each run and stream
    ///
    /// A run is what shares one clock. Times are those of the source, in seconds; the offset is what a merge
    /// into one file adds to them. A gap is more than 0.1 s without a packet.
    #[arg(long, help_heading = "Look")]
    pub(crate) deep: bool,

    /// Read all of the media and draw it: a row for each stream over the time of a merged file
    #[arg(long, help_heading = "Look")]
    pub(crate) timeline: bool,

    #[command(flatten)]
    pub(crate) source: SourceArgs,

    #[command(flatten)]
    pub(crate) network: NetworkArgs,

    #[command(flatten)]
    pub(crate) messages: MessageArgs,

    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

/// Where the options come from that the command line does not give.
#[derive(Args)]
pub(crate) struct ConfigArgs {
    /// A file of options [default: avweld/config.toml in the user's config folder]
    ///
    /// TOML with the options' names as keys, _ in place of -; '' for none. What is given here wins.
    #[arg(long = "config", id = "config", value_name = "FILE", value_hint = ValueHint::FilePath)]
    #[arg(allow_hyphen_values = true, value_parser = values::path_or_nothing())]
    pub(crate) file: Option<PathBuf>,
}

/// How an input is read.
#[derive(Args, Deserialize, Default, Clone, PartialEq)]
#[command(next_help_heading = "Input")]
#[serde(default)]
pub(crate) struct SourceArgs {
    /// Which variant: best, worst, a height (720p), a bandwidth (2500k) or an index (0) [default: best]
    ///
    /// 720p takes the best of that height, else the nearest below; 2500k the best that needs at most
    /// 2500 kbit/s; an index counts from 0 in the order of the playlist.
    #[arg(long, value_name = "CHOICE", value_parser = values::variant)]
    #[serde(deserialize_with = "keys::variant")]
    pub(crate) variant: Option<VariantChoice>,

    /// Which audio renditions become tracks: default, all, none or a language (en) [default: default]
    ///
    /// A language takes its regions too: en also en-US.
    #[arg(long, value_name = "CHOICE", value_parser = values::audio)]
    #[serde(deserialize_with = "keys::audio")]
    pub(crate) audio: Option<AudioChoice>,

    /// Which subtitle renditions are written beside the output: default, all, none or a language (en) [default: default]
    ///
    /// Each becomes NAME.LANG.vtt, or NAME.LANG.ttml where it is IMSC, timed as the output is; default
    /// takes those that the playlist marks so. A language takes its regions too: en also en-US.
    #[arg(long, value_name = "CHOICE", value_parser = values::subtitles)]
    #[serde(deserialize_with = "keys::subtitles")]
    pub(crate) subtitles: Option<SubtitleChoice>,

    /// Take a part only, at segment borders: START-END in seconds or HH:MM:SS; either may be left out [default: all]
    ///
    /// Segments that lie in it, wholly or in part, are merged; times are those of the whole output, by the playlist.
    #[arg(long, value_name = "START-END", allow_hyphen_values = true, value_parser = values::range)]
    #[serde(deserialize_with = "keys::range")]
    pub(crate) range: Option<TimeRange>,

    /// Decryption key in place of the playlist's: 32 hex digits, or a file of 16 bytes
    ///
    /// Other users of this machine can see a command line: a file is the safer way.
    #[arg(long, value_name = "HEX|FILE", value_hint = ValueHint::FilePath, allow_hyphen_values = true)]
    #[serde(deserialize_with = "keys::secret")]
    pub(crate) key: Option<Secret>,

    /// Initialization vector of every segment, in place of the playlist's
    ///
    /// Up to 32 hex digits, with 0x before them or without; fewer are padded with zeros on the left.
    #[arg(long, value_name = "HEX", value_parser = values::iv)]
    #[serde(deserialize_with = "keys::iv")]
    pub(crate) iv: Option<[u8; 16]>,

    /// A folder beside its own that a playlist may name files in; may be repeated
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, allow_hyphen_values = true)]
    #[serde(deserialize_with = "keys::paths")]
    pub(crate) allow_path: Option<Vec<PathBuf>>,
}

/// A value that may be a key: a type of its own, without Debug output, so that it gets into no message.
#[derive(Clone, PartialEq)]
pub(crate) struct Secret(pub(crate) PathBuf);

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self(value.into())
    }
}

impl From<std::ffi::OsString> for Secret {
    fn from(value: std::ffi::OsString) -> Self {
        Self(value.into())
    }
}

impl Command {
    /// The config file that was asked for; `None` for a command that takes no options.
    pub(crate) fn config(&self) -> Option<&ConfigArgs> {
        match self {
            Self::Merge(args) => Some(&args.config),
            Self::Batch(args) => Some(&args.config),
            Self::Inspect(args) => Some(&args.config),
            Self::Bench(args) => Some(&args.config),
            Self::Completions { .. } | Self::Man => None,
        }
    }

    /// What the command line says of messages.
    pub(crate) fn messages(&self) -> Option<&MessageArgs> {
        match self {
            Self::Merge(args) => Some(&args.messages),
            Self::Batch(args) => Some(&args.messages),
            Self::Inspect(args) => Some(&args.messages),
            Self::Bench(args) => Some(&args.messages),
            Self::Completions { .. } | Self::Man => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn merge(args: &[&str]) -> MergeArgs {
        let args = ["avweld", "merge"].iter().chain(args);
        match Cli::try_parse_from(args).expect("the arguments parse").command {
            Some(Command::Merge(merge)) => *merge,
            _ => panic!("not a merge"),
        }
    }

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn names_are_never_options() {
        assert_eq!(merge(&["a.ts", "-o", "-x.mp4"]).output, Some("-x.mp4".into()));
        assert_eq!(merge(&["a.ts", "-o", "-"]).output, Some("-".into()));
        assert_eq!(merge(&["-o", "x.mp4", "--", "-x.ts"]).inputs, [PathBuf::from("-x.ts")]);
        assert_eq!(merge(&["-", "--base-url", "."]).inputs, [PathBuf::from("-")]);
    }

    #[test]
    fn options_repeat_and_conflict() {
        assert_eq!(
            merge(&["a", "--allow-path", "x", "--allow-path", "y"]).job.source.allow_path.map(|p| p.len()),
            Some(2)
        );
        assert_eq!(merge(&["a", "-vv"]).messages.verbose, 2);
        assert_eq!(merge(&["a", "-f", "MKV"]).job.output.format, Some(avweld::Format::Mkv));
        for bad in [&["a", "-y", "--skip-existing"][..], &["a", "-q", "-v"], &["a", "-f", "avi"], &[]] {
            assert!(Cli::try_parse_from(["avweld", "merge"].iter().chain(bad)).is_err(), "{bad:?}");
        }
    }
}
