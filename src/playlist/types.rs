//! What a playlist says, resolved: every segment carries its own key, init section and byte range.

use std::path::PathBuf;
use std::sync::Arc;

use crate::time::Nanos;

/// Where bytes are. Absolute: relative references are already joined to the playlist's own place.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Location {
    /// A file. Not yet judged by policy, and symlinks not yet followed.
    File(PathBuf),
    /// The decoded bytes of a `data:` URI.
    Data(Arc<[u8]>),
    /// An `http:` or `https:` URL.
    Http(url::Url),
}

/// The bytes `offset..offset + length` of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ByteRange {
    /// First byte.
    pub offset: u64,
    /// Number of bytes.
    pub length: u64,
}

/// How segments are encrypted (RFC 8216, 4.3.2.4).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum KeyMethod {
    /// Whole segments with AES-128-CBC and PKCS#7 padding.
    Aes128,
    /// The same with AES-256.
    Aes256,
    /// Any other method or key format, by its name; refused when the job is planned.
    Unsupported(String),
}

/// An EXT-X-KEY as it applies to a segment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// The encryption.
    pub method: KeyMethod,
    /// Where the key's bytes are; `None` where the tag names no URI.
    pub location: Option<Location>,
    /// The IV attribute, left-padded. `None`: the segment's media sequence number, big-endian.
    pub iv: Option<[u8; 16]>,
}

impl Key {
    /// Bytes under this key can be decrypted.
    pub(crate) fn is_supported(&self) -> bool {
        !matches!(self.method, KeyMethod::Unsupported(_))
    }
}

impl KeyMethod {
    /// As a user knows it.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Aes128 => "AES-128",
            Self::Aes256 => "AES-256",
            Self::Unsupported(name) => name,
        }
    }
}

/// Whether a segment of this EXTINF may hold nothing: some packagers list empty ones.
pub(crate) fn may_be_empty(duration: Option<Nanos>) -> bool {
    const NEXT_TO_NOTHING: Nanos = Nanos::from_ms(50);
    duration.is_some_and(|duration| duration <= NEXT_TO_NOTHING)
}

/// An EXT-X-MAP.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct InitSection {
    /// The resource.
    pub location: Location,
    /// The part of it; `None` for all.
    pub byte_range: Option<ByteRange>,
    /// The key in force at its line.
    pub key: Option<Arc<Key>>,
}

/// A media segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Media sequence number.
    pub media_sequence: u64,
    /// The resource.
    pub location: Location,
    /// The part of it; `None` for all.
    pub byte_range: Option<ByteRange>,
    /// EXTINF; `None` where there is no playlist to tell, or it told nonsense.
    pub duration: Option<Nanos>,
    /// EXT-X-DISCONTINUITY stands before this segment.
    pub discontinuity: bool,
    /// EXT-X-GAP: not to be fetched.
    pub gap: bool,
    /// The key in force.
    pub key: Option<Arc<Key>>,
    /// The init section in force.
    pub init: Option<Arc<InitSection>>,
    /// EXT-X-PROGRAM-DATE-TIME of this segment itself, as time since the Unix epoch.
    pub program_date_time: Option<Nanos>,
}

impl Segment {
    /// The keys that its bytes need: its own, and that of its init section.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        let init = self.init.as_ref().and_then(|init| init.key.as_deref());
        self.key.as_deref().into_iter().chain(init)
    }
}

/// A playlist of segments.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct MediaPlaylist {
    /// EXT-X-TARGETDURATION.
    pub target_duration: Option<Nanos>,
    /// EXT-X-MEDIA-SEQUENCE.
    pub media_sequence: u64,
    /// The segments, in order.
    pub segments: Vec<Segment>,
    /// Complete: EXT-X-ENDLIST, or PLAYLIST-TYPE:VOD.
    pub ended: bool,
}

impl MediaPlaylist {
    /// The sum of the durations; `None` if one is not known.
    pub(crate) fn duration(&self) -> Option<Nanos> {
        self.segments.iter().try_fold(Nanos::ZERO, |sum, s| Some(sum.plus(s.duration?)))
    }

    /// Discontinuities marked before any segment but the first.
    pub(crate) fn discontinuities(&self) -> u64 {
        self.segments.iter().skip(1).filter(|s| s.discontinuity).count() as u64
    }
}

/// An EXT-X-STREAM-INF with its URI.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Variant {
    /// Its media playlist.
    pub location: Location,
    /// BANDWIDTH, in bits a second.
    pub bandwidth: u64,
    /// AVERAGE-BANDWIDTH, in bits a second.
    pub average_bandwidth: Option<u64>,
    /// Width and height in pixels.
    pub resolution: Option<(u64, u64)>,
    /// Frames a second.
    pub frame_rate: Option<f64>,
    /// CODECS.
    pub codecs: Option<String>,
    /// The group of its audio renditions.
    pub audio_group: Option<String>,
    /// The group of its subtitle renditions.
    pub subtitle_group: Option<String>,
}

/// What a rendition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RenditionKind {
    /// AUDIO.
    Audio,
    /// VIDEO.
    Video,
    /// SUBTITLES.
    Subtitles,
    /// CLOSED-CAPTIONS.
    ClosedCaptions,
}

/// An EXT-X-MEDIA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rendition {
    /// TYPE.
    pub kind: RenditionKind,
    /// GROUP-ID.
    pub group: String,
    /// NAME.
    pub name: String,
    /// LANGUAGE.
    pub language: Option<String>,
    /// DEFAULT.
    pub default: bool,
    /// AUTOSELECT.
    pub autoselect: bool,
    /// Its media playlist; `None`: it is muxed into the variants.
    pub location: Option<Location>,
}

/// A playlist of playlists.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct MultivariantPlaylist {
    /// The variants, in order; I-frame playlists are none.
    pub variants: Vec<Variant>,
    /// The renditions, in order.
    pub renditions: Vec<Rendition>,
    /// The variables that it defines (EXT-X-DEFINE), which its media playlists may import.
    pub variables: Vec<(String, String)>,
}

/// Either kind of playlist.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Playlist {
    /// Names variants and renditions.
    Multivariant(MultivariantPlaylist),
    /// Names segments.
    Media(MediaPlaylist),
}

/// A playlist together with what was odd about it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parsed {
    /// The playlist.
    pub playlist: Playlist,
    /// One line each.
    pub warnings: Vec<String>,
}
