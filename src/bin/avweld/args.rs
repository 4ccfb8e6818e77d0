//! The command line.

use std::path::PathBuf;
use std::sync::LazyLock;

use avweld::{AudioChoice, Format, SubtitleChoice, VariantChoice};
use clap::{ArgAction, Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;

use crate::network::{NetworkArgs, TransferArgs};
use crate::values::{self, Change, Discontinuity, Gap, ProgressStyle};

/// What `--version` prints: which libav runs matters to whoever reads a bug report.
static LONG_VERSION: LazyLock<String> = LazyLock::new(|| {
    let libav = avweld::libav_versions().map(|(name, version)| format!("\n{name} {version}"));
    let built = env!("AVWELD_LIBAV_VERSION");
    format!("{}{}\nbuilt with libavformat {built}", env!("CARGO_PKG_VERSION"), libav.concat())
});

const ROOT_HELP: &str = "\
Examples:
  avweld merge index.m3u8 -o lesson.mp4
  avweld inspect master.m3u8

'avweld help merge' tells all options of a merge.";

const ROOT_LONG_HELP: &str = "\
Examples:
  avweld merge index.m3u8 -o lesson.mp4
  avweld merge master.m3u8 --variant 720p --audio all -o film.mkv
  avweld merge https://example.com/v/index.m3u8 -H 'Authorization: Bearer …' -o film.mp4
  avweld inspect master.m3u8

Exit codes:
    0  done, or skipped because the output exists
    1  internal error
    2  usage
   65  bad data: playlist malformed, media corrupt, key wrong, a segment missing
   66  input not found
   69  unsupported: encryption, codec, container, a limit reached
   73  output exists or cannot be created
   74  I/O error, disk full
   75  temporary, try again later: timeout, connection refused, 429, 5xx
   77  denied: permissions, 401, 403, or refused by policy
  130  cancelled by SIGINT
  143  cancelled by SIGTERM

Environment:
  http_proxy, https_proxy, all_proxy  proxies where --proxy gives none; also HTTPS_PROXY, ALL_PROXY
  no_proxy, NO_PROXY                  hosts that are reached without a proxy
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

const INSPECT_HELP: &str = "\
Examples:
  avweld inspect master.m3u8
  avweld inspect https://example.com/v/master.m3u8
  avweld inspect index.m3u8 --json | jq .inputs[0].segments";

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
#[command(name = "avweld", version, long_version = LONG_VERSION.as_str(), max_term_width = 100)]
#[command(arg_required_else_help = true, after_help = ROOT_HELP, after_long_help = ROOT_LONG_HELP)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Merge a playlist, a folder of segments or media files into one file
    ///
    /// Packets are copied, nothing is encoded anew. The output appears only when it is complete and
    /// has been read back; until then, and after a failure, its path stays as it was.
    #[command(after_help = MERGE_HELP)]
    Merge(Box<MergeArgs>),
    /// Show what an input holds: variants, renditions, segments, encryption, streams
    ///
    /// Reads the playlists, and of the media the first segment of each sequence.
    #[command(after_help = INSPECT_HELP)]
    Inspect(Box<InspectArgs>),
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

    #[command(flatten)]
    pub(crate) source: SourceArgs,

    #[command(flatten)]
    pub(crate) network: NetworkArgs,

    #[command(flatten)]
    pub(crate) transfer: TransferArgs,

    /// The file to write, or - for standard output [default: the input's name, in this folder]
    ///
    /// Standard output takes the formats fmp4 (its default), ts and mkv.
    #[arg(short, long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    #[arg(allow_hyphen_values = true, help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,

    /// The container [default: by the output's extension, else mp4]
    #[arg(short, long, value_parser = values::format(), ignore_case = true, help_heading = "Output")]
    pub(crate) format: Option<Format>,

    /// Replace an output that exists
    #[arg(short = 'y', long, conflicts_with = "skip_existing", help_heading = "Output")]
    pub(crate) overwrite: bool,

    /// Leave an output that exists as it is, and succeed
    #[arg(long, help_heading = "Output")]
    pub(crate) skip_existing: bool,

    /// Leave the index (moov) of an mp4, m4a or mov behind the media
    #[arg(long, help_heading = "Output")]
    pub(crate) no_faststart: bool,

    /// The job's label in events and the report [default: the output's name]
    #[arg(long, value_name = "LABEL", allow_hyphen_values = true, help_heading = "Output")]
    pub(crate) name: Option<String>,

    /// Where temporary files are made [default: the system's temporary folder]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    #[arg(allow_hyphen_values = true, help_heading = "Output")]
    pub(crate) temp_dir: Option<PathBuf>,

    /// Leave temporary files in place at the end
    #[arg(long, help_heading = "Output")]
    pub(crate) keep_temp: bool,

    /// What a segment that cannot be had does
    #[arg(long, value_enum, value_name = "POLICY", default_value = "fail", help_heading = "Trouble")]
    pub(crate) on_gap: Gap,

    /// What a discontinuity marked in the playlist does
    #[arg(long, value_enum, value_name = "POLICY", default_value = "join", help_heading = "Trouble")]
    pub(crate) on_discontinuity: Discontinuity,

    /// What a change of codec parameters does that one track cannot hold
    #[arg(long, value_enum, value_name = "POLICY", default_value = "split", help_heading = "Trouble")]
    pub(crate) on_change: Change,

    /// Print the report as one JSON object on standard output
    #[arg(long, help_heading = "Messages")]
    pub(crate) json: bool,

    /// How progress is shown
    #[arg(long, value_enum, value_name = "STYLE", default_value = "auto", help_heading = "Messages")]
    pub(crate) progress: ProgressStyle,

    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "verbose", help_heading = "Messages")]
    pub(crate) quiet: bool,

    /// Say more: steps and warnings as they happen, causes of errors; twice: progress lines too
    #[arg(short, long, action = ArgAction::Count, help_heading = "Messages")]
    pub(crate) verbose: u8,
}

#[derive(Args)]
pub(crate) struct InspectArgs {
    /// A playlist (.m3u8, a URL), a folder, a media file, or - for a playlist on standard input
    #[arg(value_name = "INPUT", value_hint = ValueHint::AnyPath)]
    pub(crate) input: PathBuf,

    #[command(flatten)]
    pub(crate) source: SourceArgs,

    #[command(flatten)]
    pub(crate) network: NetworkArgs,

    /// Print the findings as one JSON object
    #[arg(long, help_heading = "Messages")]
    pub(crate) json: bool,

    /// Say nothing but errors on standard error
    #[arg(short, long, conflicts_with = "verbose", help_heading = "Messages")]
    pub(crate) quiet: bool,

    /// Say more: the causes of an error
    #[arg(short, long, action = ArgAction::Count, help_heading = "Messages")]
    pub(crate) verbose: u8,
}

/// What both commands need to know to read an input.
#[derive(Args)]
#[command(next_help_heading = "Input")]
pub(crate) struct SourceArgs {
    /// What a playlist on standard input refers to: the folder or URL it came from
    #[arg(long, value_name = "FOLDER|URL", allow_hyphen_values = true)]
    pub(crate) base_url: Option<String>,

    /// Which variant: best, worst, a height (720p), a bandwidth (2500k) or an index (0)
    ///
    /// 720p takes the best of that height, else the nearest below; 2500k the best that needs at most
    /// 2500 kbit/s; an index counts from 0 in the order of the playlist.
    #[arg(long, value_name = "CHOICE", default_value = "best", value_parser = values::variant)]
    pub(crate) variant: VariantChoice,

    /// Which audio renditions become tracks: default, all, none or a language (en)
    ///
    /// A language takes its regions too: en also en-US.
    #[arg(long, value_name = "CHOICE", default_value = "default", value_parser = values::audio)]
    pub(crate) audio: AudioChoice,

    /// Which subtitle renditions are written beside the output: default, all, none or a language (en)
    ///
    /// Each becomes NAME.LANG.vtt, or NAME.LANG.ttml where it is IMSC, timed as the output is; default
    /// takes those that the playlist marks so. A language takes its regions too: en also en-US.
    #[arg(long, value_name = "CHOICE", default_value = "default", value_parser = values::subtitles)]
    pub(crate) subtitles: SubtitleChoice,

    /// Decryption key in place of the playlist's: 32 hex digits, or a file of 16 bytes
    ///
    /// Other users of this machine can see a command line: a file is the safer way.
    #[arg(long, value_name = "HEX|FILE", value_hint = ValueHint::FilePath, allow_hyphen_values = true)]
    pub(crate) key: Option<Secret>,

    /// Initialization vector of every segment, in place of the playlist's
    ///
    /// Up to 32 hex digits, with 0x before them or without; fewer are padded with zeros on the left.
    #[arg(long, value_name = "HEX", value_parser = values::iv)]
    pub(crate) iv: Option<[u8; 16]>,

    /// A folder beside its own that a playlist may name files in; may be repeated
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, allow_hyphen_values = true)]
    pub(crate) allow_path: Vec<PathBuf>,
}

/// A value that may be a key: a type of its own, without Debug output, so that it gets into no message.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) PathBuf);

impl From<std::ffi::OsString> for Secret {
    fn from(value: std::ffi::OsString) -> Self {
        Self(value.into())
    }
}

impl Command {
    /// How often `-v` was given.
    pub(crate) fn verbosity(&self) -> u8 {
        match self {
            Self::Merge(args) => args.verbose,
            Self::Inspect(args) => args.verbose,
            Self::Completions { .. } | Self::Man => 0,
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
            Command::Merge(merge) => *merge,
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
        assert_eq!(merge(&["a", "--allow-path", "x", "--allow-path", "y"]).source.allow_path.len(), 2);
        assert_eq!(merge(&["a", "-vv"]).verbose, 2);
        assert_eq!(merge(&["a", "-f", "MKV"]).format, Some(Format::Mkv));
        for bad in [&["a", "-y", "--skip-existing"][..], &["a", "-q", "-v"], &["a", "-f", "avi"], &[]] {
            assert!(Cli::try_parse_from(["avweld", "merge"].iter().chain(bad)).is_err(), "{bad:?}");
        }
    }
}
