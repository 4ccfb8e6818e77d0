//! What is in an input, without merging it.

use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};
use crate::input::Input;
use crate::options::Options;

/// What an input holds. Serializes to the JSON object that `inspect --json` prints.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct Inspection {
    /// `multivariant`, `media` or `files`.
    pub kind: &'static str,
    /// Variants of a multivariant playlist.
    pub variants: Vec<VariantInfo>,
    /// Renditions of a multivariant playlist.
    pub renditions: Vec<RenditionInfo>,
    /// The media playlists that a merge with these options would read, the main one first.
    pub inputs: Vec<InputInfo>,
    /// What is odd, one line each.
    pub warnings: Vec<String>,
}

/// A variant.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct VariantInfo {
    /// Position in the playlist, from 0.
    pub index: usize,
    /// Its playlist, without query.
    pub uri: String,
    /// Bits a second.
    pub bandwidth: u64,
    /// `WIDTHxHEIGHT`.
    pub resolution: Option<String>,
    /// Frames a second.
    pub frame_rate: Option<f64>,
    /// RFC 6381 names.
    pub codecs: Option<String>,
    /// Its group of audio renditions.
    pub audio_group: Option<String>,
    /// True for the one that would be merged.
    pub selected: bool,
}

/// A rendition.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RenditionInfo {
    /// `audio`, `video`, `subtitles` or `closed_captions`.
    pub kind: &'static str,
    /// Its group.
    pub group: String,
    /// Its name.
    pub name: String,
    /// Its language.
    pub language: Option<String>,
    /// Marked DEFAULT.
    pub default: bool,
    /// Its playlist, without query; `None`: muxed into the variants.
    pub uri: Option<String>,
    /// True for those that would be merged.
    pub selected: bool,
}

/// A sequence of segments.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct InputInfo {
    /// Playlist, folder or first file, without query.
    pub uri: String,
    /// Number of segments.
    pub segments: u64,
    /// Media sequence number of the first.
    pub media_sequence: u64,
    /// Sum of the durations that the playlist gives, in seconds.
    pub duration_s: Option<f64>,
    /// The playlist says that it is complete.
    pub ended: bool,
    /// Marked discontinuities.
    pub discontinuities: u64,
    /// Segments marked as gaps.
    pub gaps: u64,
    /// Different init sections.
    pub init_sections: u64,
    /// Encryption methods in use: `AES-128`.
    pub encryption: Vec<String>,
    /// What the first segment's bytes are: `ts`, `fmp4`, `aac`, `mp3`, `ac3`, `eac3`; `None` if there is no telling.
    pub container: Option<&'static str>,
    /// Streams of the first segment.
    pub streams: Vec<StreamInfo>,
}

/// A stream.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StreamInfo {
    /// `video`, `audio`, `subtitle` or `data`.
    pub kind: &'static str,
    /// libav's name of the codec.
    pub codec: String,
    /// Language tag.
    pub language: Option<String>,
    /// Pixels.
    pub width: Option<u32>,
    /// Pixels.
    pub height: Option<u32>,
    /// Samples a second.
    pub sample_rate_hz: Option<u32>,
    /// Number of channels.
    pub channels: Option<u32>,
}

/// Looks into an input: its playlists, and the first segment of each sequence. Blocks; reads no more than that.
///
/// # Errors
/// As for [`Job::run`](crate::Job::run), as far as they concern the input.
pub fn inspect(_input: &Input, _options: &Options) -> Result<Inspection> {
    Err(Error::new(ErrorKind::Unsupported, "inspect"))
}
