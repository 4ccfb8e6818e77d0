//! What becomes a track of the output.

use super::framing::Unframe;
use crate::av::{CodecId, MediaKind, Packet, Parameters, Stream, TrackSetup};
use crate::error::{Error, ErrorKind, Result};
use crate::options::Format;
use crate::time::TimeBase;
use crate::timeline::{Origin, TrackClass};

/// What a playlist says of the rendition that a track comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct TrackRole {
    /// A language tag (BCP 47).
    pub(crate) language: Option<String>,
    pub(crate) title: Option<String>,
    /// The one of its kind that a player begins with.
    pub(crate) default: bool,
}

/// A track before the file is begun.
pub(crate) struct TrackPlan {
    pub(crate) kind: MediaKind,
    /// As the output carries them.
    pub(crate) parameters: Parameters,
    /// As the input carries them: what later sessions must fit.
    pub(crate) source: Parameters,
    /// The input's time base.
    pub(crate) time_base: TimeBase,
    pub(crate) frame_rate: Option<f64>,
    /// ISO 639-2 code where the tag has one, else the tag.
    pub(crate) language: Option<String>,
    pub(crate) title: Option<String>,
    pub(crate) default: bool,
}

impl TrackPlan {
    /// Plans a track for a stream. `first` is the stream's first packet, if it is known: a filter
    /// may need it to tell what the header must say.
    pub(crate) fn new(stream: &Stream, role: &TrackRole, format: Format, first: Option<&Packet>) -> Result<Self> {
        let mut parameters = stream.parameters.try_clone()?;
        if let Some(mut unframe) = Unframe::new(&parameters, format)? {
            unframe.configure(&mut parameters, first)?;
        }
        let language = role.language.as_ref().or(stream.language.as_ref());
        Ok(Self {
            kind: stream.parameters.kind(),
            parameters,
            source: stream.parameters.try_clone()?,
            time_base: stream.time_base,
            frame_rate: stream.frame_rate,
            language: language.map(|tag| iso_639_2(tag)),
            title: role.title.clone(),
            default: role.default,
        })
    }

    pub(super) fn try_clone(&self) -> Result<Self> {
        Ok(Self {
            kind: self.kind,
            parameters: self.parameters.try_clone()?,
            source: self.source.try_clone()?,
            time_base: self.time_base,
            frame_rate: self.frame_rate,
            language: self.language.clone(),
            title: self.title.clone(),
            default: self.default,
        })
    }

    /// What the muxer is told.
    pub(super) fn setup(&self) -> TrackSetup<'_> {
        TrackSetup {
            parameters: &self.parameters,
            time_base: self.wished_time_base(),
            language: self.language.as_deref(),
            title: self.title.as_deref(),
            default: self.default,
            frame_rate: self.frame_rate,
        }
    }

    /// The time base to ask the muxer for. MP4 counts audio in samples.
    fn wished_time_base(&self) -> TimeBase {
        let samples = self.parameters.sample_rate_hz().and_then(TimeBase::per_second);
        match self.kind {
            MediaKind::Audio => samples.unwrap_or(self.time_base),
            _ => self.time_base,
        }
    }

    pub(crate) fn class(&self) -> TrackClass {
        track_class(&self.parameters)
    }

    /// It holds this kind of media in this codec.
    pub(crate) fn is_of(&self, kind: MediaKind, codec: &str) -> bool {
        self.kind == kind && self.parameters.codec().name() == codec
    }

    /// For messages: `video h264 1280x720`.
    pub(crate) fn describe(&self) -> String {
        format!("{} {}", self.kind.name(), self.parameters.describe())
    }
}

/// How the timeline treats a track that carries this.
pub(crate) fn track_class(parameters: &Parameters) -> TrackClass {
    match parameters.kind() {
        MediaKind::Audio => TrackClass::Audio { sample_rate_hz: parameters.sample_rate_hz() },
        _ => TrackClass::Video,
    }
}

/// Where an output's clock begins.
pub(crate) fn origin(format: Format) -> Origin {
    match format {
        Format::Mp4 | Format::Fmp4 | Format::Mov | Format::M4a => Origin::Presentation,
        // Neither has edit lists.
        Format::Mkv | Format::Ts => Origin::Lowest,
    }
}

/// Whether a file of this format has a track of which no packet was written: libav leaves it out of an index.
pub(crate) fn keeps_empty_tracks(format: Format) -> bool {
    !matches!(format, Format::Mp4 | Format::Mov | Format::M4a)
}

/// MP4 and Matroska take three letters where HLS gives a tag like `en` or `pt-BR`.
fn iso_639_2(tag: &str) -> String {
    let primary = tag.split(['-', '_']).next().unwrap_or(tag).to_ascii_lowercase();
    match isolang::Language::from_639_1(&primary) {
        Some(language) => language.to_639_3().to_owned(),
        None => primary,
    }
}

/// Codecs that a transport stream has a name for. libav writes any other as private data, which nobody can read.
const TS_CODECS: [&str; 14] = [
    "h264",
    "hevc",
    "mpeg1video",
    "mpeg2video",
    "mpeg4",
    "aac",
    "aac_latm",
    "mp2",
    "mp3",
    "ac3",
    "eac3",
    "dts",
    "truehd",
    "opus",
];

/// What a format cannot hold is refused by name, before anything is written.
pub(super) fn check_format(format: Format, tracks: &[TrackPlan]) -> Result<()> {
    if format == Format::M4a && tracks.iter().any(|t| t.kind == MediaKind::Video) {
        return Err(
            Error::new(ErrorKind::Unsupported, "m4a holds audio only, and the input has video").with_hint("choose mp4")
        );
    }
    if format == Format::Ts
        && let Some(track) = tracks.iter().find(|t| !TS_CODECS.contains(&t.parameters.codec().name().as_str()))
    {
        let message =
            format!("{}: a transport stream cannot hold it so that players know what it is", track.describe());
        return Err(Error::new(ErrorKind::Unsupported, message).with_hint("try --format mp4 or --format mkv"));
    }
    if format != Format::Ts
        && let Some(track) = tracks.iter().find(|t| !has_parameter_sets(&t.parameters))
    {
        let message = format!("{}: not all parameter sets came where the stream was looked for", track.describe());
        return Err(Error::new(ErrorKind::Media, message)
            .with_hint("no player could decode it: its first segment may be damaged, get it again"));
    }
    Ok(())
}

/// Whether a decoder can begin: H.264 needs a sequence and a picture parameter set, HEVC a video parameter set too. libav writes an empty
/// configuration where one is missing, and no player opens the file.
fn has_parameter_sets(parameters: &Parameters) -> bool {
    let extradata = parameters.extradata();
    let units = || memchr::memmem::find_iter(extradata, &[0, 0, 1]).filter_map(|at| extradata.get(at + 3).copied());
    match parameters.codec() {
        // As MP4 carries them already (ISO/IEC 14496-15, 5.3.3.1 and 8.3.3.1): a version first, which is 1.
        CodecId::H264 | CodecId::HEVC if extradata.first() == Some(&1) => true,
        CodecId::H264 => [7, 8].iter().all(|kind| units().any(|b| b & 0x1f == *kind)),
        CodecId::HEVC => [32, 33, 34].iter().all(|kind| units().any(|b| b >> 1 & 0x3f == *kind)),
        _ => true,
    }
}
