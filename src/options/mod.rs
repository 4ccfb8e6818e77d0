//! What a job can be told: policies, formats and limits, each with its default.

mod network;

use std::path::PathBuf;
use std::time::Duration;

pub use network::{AddressPolicy, HttpVersion, InsecureSegments, NetworkOptions, Proxies, TlsVerification};

/// The container of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// MP4 with `moov` before `mdat`.
    Mp4,
    /// Fragmented MP4: can be written to a pipe.
    Fmp4,
    /// QuickTime.
    Mov,
    /// MP4 with audio only.
    M4a,
    /// Matroska.
    Mkv,
    /// MPEG transport stream.
    Ts,
}

impl Format {
    /// Every format, in the order they are offered.
    pub const ALL: [Self; 6] = [Self::Mp4, Self::Fmp4, Self::Mov, Self::M4a, Self::Mkv, Self::Ts];

    /// The name that [`Format::from_name`] takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Fmp4 => "fmp4",
            Self::Mov => "mov",
            Self::M4a => "m4a",
            Self::Mkv => "mkv",
            Self::Ts => "ts",
        }
    }

    /// The format of a name or of a file extension, in any case; `None` if there is none.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "m4v" => Some(Self::Mp4),
            "m2ts" | "mts" => Some(Self::Ts),
            _ => Self::ALL.into_iter().find(|f| f.name() == name),
        }
    }
}

/// What happens to an output path that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// The job is refused before it reads anything.
    #[default]
    Refuse,
    /// It is replaced, in one step, once the new file is complete and verified.
    Overwrite,
}

/// What a segment that is missing, cut short or no media does to the job. One that the playlist itself
/// marks as a gap is left out either way, listed as missing and warned of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnGap {
    /// The job fails.
    #[default]
    Fail,
    /// The job goes on, keeps the hole, and lists the segment as missing.
    Skip,
}

/// What a discontinuity that the playlist marks does to the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDiscontinuity {
    /// The next run begins where the one before ended, in the same file.
    #[default]
    Join,
    /// The next run begins a file of its own: `NAME.000.mp4`, `NAME.001.mp4`, …
    Split,
}

/// What happens where codec parameters change so that one track cannot hold both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnChange {
    /// The output goes on in a file of its own: `NAME.000.mp4`, `NAME.001.mp4`, …
    #[default]
    Split,
    /// The job fails and tells both sets of parameters.
    Fail,
}

/// Where an MP4's or MOV's index (`moov`) stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Faststart {
    /// Before the media, so that a player can begin while the file still loads.
    #[default]
    On,
    /// After the media.
    Off,
}

/// Whether an output is on disk before it gets its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fsync {
    /// It is, and its name too when the job ends: a machine that loses power loses no output that was there.
    #[default]
    On,
    /// The system brings it there when it likes, as with most programs: a job ends sooner on a slow disk.
    Off,
}

/// Whether a download that was broken off can be gone on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Resume {
    /// What was downloaded stays until the output is there; where the job is killed, cancelled or fails for a while, the
    /// next run of it goes on from there.
    #[default]
    On,
    /// Segments are deleted as they are merged, so that few of them are on disk at one time, and nothing is left for
    /// another run.
    Off,
}

/// How a finished file is checked before it is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verify {
    /// It is read back: its tracks, packets and durations are those that were written.
    #[default]
    Read,
    /// It is decoded as well, and so is its source: no track gives more errors than its source, or another number
    /// of frames. Takes the time of decoding twice, on one thread, and a decoder's memory for each track.
    Decode,
}

/// Which variant of a multivariant playlist is merged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum VariantChoice {
    /// The one with the highest bandwidth.
    #[default]
    Best,
    /// The one with the lowest bandwidth.
    Worst,
    /// The best of those with this picture height; the nearest below where none has it.
    Height(u32),
    /// The best that needs at most this bandwidth in kbit/s; the smallest where none does.
    Kbps(u64),
    /// By its position in the playlist, from 0.
    Index(usize),
}

/// Which audio renditions of a multivariant playlist become tracks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AudioChoice {
    /// The rendition marked DEFAULT, else AUTOSELECT, else the first.
    #[default]
    Default,
    /// Every rendition of the variant's group.
    All,
    /// No rendition; sound in the variant's own segments stays.
    None,
    /// Those of one language (a BCP 47 tag; `en` also takes `en-US`).
    Language(String),
}

/// Which subtitle renditions of a multivariant playlist are written: as tracks where the container holds them, else
/// as files beside the output.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SubtitleChoice {
    /// Those marked DEFAULT; none where none is.
    #[default]
    Default,
    /// Every rendition of the variant's group.
    All,
    /// None.
    None,
    /// Those of one language (a BCP 47 tag; `en` also takes `en-US`).
    Language(String),
}

/// A part of an input, on the clock that begins at 0 with its first segment: by its playlist's EXTINF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// Where it begins.
    pub start: Duration,
    /// Where it ends; `None`: with the input.
    pub end: Option<Duration>,
}

/// A decryption key given by the user, in place of the playlist's.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct KeyOverride {
    /// The key of every segment; `None`: those of the playlist. Where there is no playlist, or one without
    /// keys, it decrypts all segments.
    pub key: Option<[u8; 16]>,
    /// The initialization vector of every segment; `None`: by the playlist, or the media sequence number.
    pub iv: Option<[u8; 16]>,
}

impl std::fmt::Debug for KeyOverride {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Keys never show, in no log either.
        write!(f, "KeyOverride {{ key: {}, iv: {} }}", self.key.is_some(), self.iv.is_some())
    }
}

/// Sizes and counts that a job will not go beyond, whatever its input says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// A playlist's size in bytes.
    pub playlist_bytes: usize,
    /// One line of a playlist, in bytes.
    pub line_bytes: usize,
    /// Segments in one media playlist.
    pub segments: usize,
    /// Variants in one multivariant playlist.
    pub variants: usize,
    /// A `data:` URI of a key or init section, decoded, in bytes.
    pub data_uri_bytes: usize,
    /// An init section, in bytes.
    pub init_section_bytes: u64,
    /// A segment that comes from the web, in bytes; a whole resource where a server sends that instead of a part.
    pub segment_bytes: u64,
    /// What a segment's gzip body may inflate to, in bytes.
    pub inflated_segment_bytes: u64,
    /// Media that is read ahead to find the streams of a run, in bytes.
    pub probe_bytes: u64,
    /// Packets held back while the start of a run is looked at, in bytes.
    pub lookahead_bytes: usize,
    /// All segments of one subtitle rendition together, in bytes.
    pub subtitle_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            playlist_bytes: 32 << 20,
            line_bytes: 64 << 10,
            segments: 200_000,
            variants: 500,
            data_uri_bytes: 64 << 10,
            init_section_bytes: 16 << 20,
            segment_bytes: 64 << 30,
            inflated_segment_bytes: 256 << 20,
            probe_bytes: 16 << 20,
            lookahead_bytes: 16 << 20,
            subtitle_bytes: 64 << 20,
        }
    }
}

/// Everything a job can be told beside its input and its output.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// The container; `None`: by the output's extension, MP4 where that says nothing.
    pub format: Option<Format>,
    /// What happens to an output path that exists.
    pub existing: Existing,
    /// What a segment that cannot be had does.
    pub on_gap: OnGap,
    /// What a marked discontinuity does.
    pub on_discontinuity: OnDiscontinuity,
    /// What a change of codec parameters does.
    pub on_change: OnChange,
    /// How a finished file is checked.
    pub verify: Verify,
    /// Where `moov` stands.
    pub faststart: Faststart,
    /// Whether the output is on disk before it gets its name.
    pub fsync: Fsync,
    /// Which variant is merged.
    pub variant: VariantChoice,
    /// Which audio renditions are merged in.
    pub audio: AudioChoice,
    /// Which subtitle renditions are written.
    pub subtitles: SubtitleChoice,
    /// Take the segments only that lie in this range, wholly or in part; `None`: all. Needs a playlist's durations.
    pub range: Option<TimeRange>,
    /// Key and IV in place of the playlist's.
    pub key: KeyOverride,
    /// How what is not local is fetched.
    pub network: NetworkOptions,
    /// How long the merge may take in all; waiting for the network does not count.
    pub merge_timeout: Duration,
    /// Folders beside its own that a playlist may name files in.
    pub allow_paths: Vec<PathBuf>,
    /// Where workspaces are made; `None`: the system's temporary folder.
    pub temp_dir: Option<PathBuf>,
    /// Whether a download that was broken off can be gone on with.
    pub resume: Resume,
    /// Leave the workspace in place at the end.
    pub keep_temp: bool,
    /// What the job will not go beyond.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            format: None,
            existing: Existing::default(),
            on_gap: OnGap::default(),
            on_discontinuity: OnDiscontinuity::default(),
            on_change: OnChange::default(),
            verify: Verify::default(),
            faststart: Faststart::default(),
            fsync: Fsync::default(),
            variant: VariantChoice::default(),
            audio: AudioChoice::default(),
            subtitles: SubtitleChoice::default(),
            range: None,
            key: KeyOverride::default(),
            network: NetworkOptions::default(),
            merge_timeout: Duration::from_secs(600),
            allow_paths: Vec::new(),
            temp_dir: None,
            resume: Resume::default(),
            keep_temp: false,
            limits: Limits::default(),
        }
    }
}
