//! What a finished job did.

mod deep;

use std::path::PathBuf;

use serde::Serialize;

pub use deep::{Deep, Gap, Run, StreamRun};

/// The account of a job that succeeded. Serializes to the JSON object that `--json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The job's label.
    pub job: String,
    /// `ok`.
    pub status: &'static str,
    /// The file, or the first of several; `-` for a stream.
    pub output: PathBuf,
    /// Every file, in order.
    pub outputs: Vec<PathBuf>,
    /// Size of all files together, in bytes; 0 for what went to a stream.
    pub size_bytes: u64,
    /// Media time of all files together, in seconds: of each from its first packet to the end of its last, over
    /// all tracks.
    pub duration_s: f64,
    /// Segments planned, merged and missing.
    pub segments: SegmentCounts,
    /// The tracks; of several files those of each, one after the other.
    pub tracks: Vec<TrackReport>,
    /// Subtitle renditions, each with the file it was written to beside the output; of several outputs those of
    /// each, one after the other.
    pub subtitles: Vec<SubtitleReport>,
    /// Discontinuities that the playlist marks, inside what was merged.
    pub discontinuities: u64,
    /// Clock jumps that were not marked and were mended.
    pub timestamp_resets: u64,
    /// Packets at segment borders that repeated one already written, and were left out.
    pub duplicate_packets: u64,
    /// Packets whose timestamps had to be changed to keep time increasing.
    pub mended_timestamps: u64,
    /// Input streams that are not in the output, each with the reason.
    pub dropped_streams: Vec<DroppedStream>,
    /// Trouble that the job survived, one line each.
    pub warnings: Vec<String>,
    /// Media bytes read.
    pub bytes_in: u64,
    /// What came from the web; all 0 for a local input.
    pub download: Download,
    /// What decoding came to; `None`, and not in the JSON, unless [`Verify::Decode`](crate::Verify::Decode) asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<Verification>,
    /// Wall-clock times.
    pub elapsed_s: Elapsed,
}

/// What came of decoding the outputs and their source, over all tracks of all files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Verification {
    /// Frames that the outputs decode to: pictures, and blocks of samples.
    pub decoded_frames: u64,
    /// Frames that the source's packets decode to.
    pub source_frames: u64,
    /// Packets of the outputs that a decoder returned an error for, complained of, or marked as damaged.
    pub errors: u64,
    /// The same for the source's packets.
    pub source_errors: u64,
    /// Tracks that were not decoded, as there is no decoder for them.
    pub undecoded_tracks: u64,
}

/// What a job fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Download {
    /// Requests made, redirects and retries included.
    pub requests: u64,
    /// Of these, those that were made again because one before had failed.
    pub retries: u64,
    /// Bytes that came, of playlists and keys too.
    pub bytes: u64,
    /// Segments and init sections that a run before had fetched.
    pub resumed_segments: u64,
}

/// How many segments a job had.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct SegmentCounts {
    /// Segments listed, over all inputs.
    pub planned: u64,
    /// Segments in the output, over all inputs.
    pub merged: u64,
    /// Media sequence numbers of those that are not.
    pub missing: Vec<u64>,
}

/// A track of an output.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TrackReport {
    /// Position in its file, from 0.
    pub index: usize,
    /// `video`, `audio` or `subtitle`.
    pub kind: &'static str,
    /// libav's name of the codec: `h264`, `aac`.
    pub codec: String,
    /// Language tag; `None` if the input does not say.
    pub language: Option<String>,
    /// Packets written.
    pub packets: u64,
    /// Presentation time of the first packet, in seconds.
    pub start_s: f64,
    /// From the first packet's start to the last one's end, in seconds.
    pub duration_s: f64,
}

/// A file of subtitles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SubtitleReport {
    /// Language tag; `None` if the playlist does not say.
    pub language: Option<String>,
    /// The rendition's name; empty if the playlist does not say.
    pub name: String,
    /// The file: WebVTT (`.vtt`) or TTML (`.ttml`).
    pub path: PathBuf,
    /// Cues written.
    pub cues: u64,
    /// Media sequence numbers of the rendition's segments that are not in it.
    pub missing: Vec<u64>,
}

/// An input stream that is not in the output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DroppedStream {
    /// `video`, `audio`, `subtitle` or `data`.
    pub kind: &'static str,
    /// libav's name of the codec.
    pub codec: String,
    /// Why.
    pub reason: String,
}

/// Wall-clock times of a job, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct Elapsed {
    /// Fetching what is not local.
    pub download: f64,
    /// Demuxing, muxing, verifying and publishing.
    pub merge: f64,
    /// All.
    pub total: f64,
}
